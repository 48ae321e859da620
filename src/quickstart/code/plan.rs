//! What quickstart does with code: `recipes/quickstart.yaml`, read into types.

use serde::{Deserialize, Serialize};

use crate::chat::Scaffold;
use crate::quickstart::plan::{self, MeasurePlan, MethodPlan, ModelPlan};
use crate::seed;
use crate::synth::Style;
use crate::train::TrainConfig;
use crate::train::reinforce::Groups;

/// The embedded plan.
pub const DEFAULT: &str = include_str!("../../../recipes/quickstart.yaml");

/// What quickstart does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always [`plan::FORMAT`].
    pub format: String,
    /// Which tasks.
    pub tasks: TaskPlan,
    /// How hard the problems are and how experts go about them.
    pub experts: Style,
    /// Which student.
    pub model: ModelPlan,
    /// How the student comes to its first abilities.
    pub base: MethodPlan,
    /// How the base goes on by imitation, with the compute that SRL used.
    pub sft: MethodPlan,
    /// How the base goes on by SRL.
    pub srl: MethodPlan,
    /// Replies to each step.
    pub groups: Groups,
    /// How the student is measured.
    pub measure: MeasurePlan,
}

/// Which tasks are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskPlan {
    /// Embedded repositories that bugs are planted in.
    pub repositories: usize,
    /// Tasks to train on, at most.
    pub train: usize,
    /// Tasks to measure on, never trained on.
    pub held_out: usize,
    /// Hasty attempts that the base imitates beside each expert.
    pub hasty: usize,
    /// Measure on tasks taken from the training side instead: this is how the numbers of the plan were chosen.
    pub rehearse: bool,
}

impl Plan {
    /// The embedded plan with `changes`, each `key.key=value`.
    ///
    /// # Errors
    /// When a key does not exist or a value does not fit.
    pub fn load(changes: &[String]) -> anyhow::Result<Self> {
        plan::load(DEFAULT, changes)
    }

    /// What the student is told, in training as in rollouts.
    pub fn scaffold(&self) -> Scaffold {
        Scaffold {
            system: "Repair the repository: think, then give one command.".to_owned(),
            ..Scaffold::default()
        }
    }

    /// The phase `name` of a run with `seed`.
    pub(super) fn training(&self, name: &str, method: &MethodPlan, seed: u64) -> TrainConfig {
        method.training(self.scaffold(), self.measure.limits(), seed::derive(seed, name, &[]))
    }
}

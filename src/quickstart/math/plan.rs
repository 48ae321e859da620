//! What quickstart does with mathematics: `recipes/quickstart-math.yaml`, read into types.

use serde::{Deserialize, Serialize};

use crate::chat::{MathScaffold, Scaffold};
use crate::quickstart::plan::{self, MeasurePlan, MethodPlan, ModelPlan};
use crate::seed;
use crate::solve::Manner;
use crate::train::TrainConfig;
use crate::train::reinforce::{Groups, Reinforcement};

/// The embedded plan.
pub const DEFAULT: &str = include_str!("../../../recipes/quickstart-math.yaml");

/// What quickstart does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always [`plan::FORMAT`].
    pub format: String,
    /// Which problems.
    pub tasks: TaskPlan,
    /// Which student.
    pub model: ModelPlan,
    /// How the student comes to its first abilities.
    pub base: MethodPlan,
    /// How the base goes on by imitation.
    pub sft: MethodPlan,
    /// How the base goes on by the answers that it comes to by itself.
    pub rlvr: MethodPlan,
    /// How the base goes on by SRL.
    pub srl: MethodPlan,
    /// How the base goes on by SRL, and then by its answers.
    pub srl_rlvr: StagesPlan,
    /// Replies to each step, and tries at each problem.
    pub groups: Groups,
    /// How the student is measured.
    pub measure: MeasurePlan,
}

/// Which problems are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskPlan {
    /// Problems to train on.
    pub train: usize,
    /// Problems of known templates to measure on, with numbers that are not trained on.
    pub new_numbers: usize,
    /// Problems to measure on of templates that are never trained on.
    pub new_templates: usize,
    /// Measure on problems taken from the training side instead: this is how the numbers of the plan were chosen.
    pub rehearse: bool,
}

/// One method after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagesPlan {
    /// The first stage.
    pub srl: MethodPlan,
    /// The second stage.
    pub rlvr: MethodPlan,
}

impl Plan {
    /// The embedded plan with `changes`, each `key.key=value`.
    ///
    /// # Errors
    /// When a key does not exist or a value does not fit.
    pub fn load(changes: &[String]) -> anyhow::Result<Self> {
        plan::load(DEFAULT, changes)
    }

    /// What the student is told, in training as when it solves problems.
    pub fn scaffold(&self) -> Scaffold {
        let system = "Solve the problem: think, then give the next step.".to_owned();
        Scaffold { math: MathScaffold { system, ..MathScaffold::default() }, ..Scaffold::default() }
    }

    /// How the student solves problems.
    pub fn manner(&self) -> Manner {
        Manner::Steps { scaffold: self.scaffold(), limit: self.measure.steps }
    }

    /// How groups become updates.
    pub(super) fn reinforcement(&self) -> Reinforcement {
        Reinforcement { groups: self.groups, ..Reinforcement::default() }
    }

    /// The phase `name` of a run with `seed`.
    pub(super) fn training(&self, name: &str, method: &MethodPlan, seed: u64) -> TrainConfig {
        method.training(self.scaffold(), self.measure.limits(), seed::derive(seed, name, &[]))
    }
}

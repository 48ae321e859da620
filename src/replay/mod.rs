//! Replay: experts' steps run again, each observation compared with the recorded one.
//!
//! Guarantees that a difference is either explained by a named normaliser or reported with its step and line;
//! nothing is smoothed over silently. Trajectories of one task that begin alike run that beginning once, as a trunk,
//! and fork. The replayed patch is the host's own diff. A lost sandbox is tried again and never becomes a result.

pub mod effect;
pub mod normal;

mod compare;
mod run;
mod script;
mod trunk;

use serde::{Deserialize, Serialize};

use crate::act::Actor;
use crate::sandbox::SandboxError;
use crate::trajectory::{Action, Trajectory};
use normal::Places;
pub use run::{Options, Ran, Work, run_all};
use script::Script;
pub use script::recorded_workdir;
pub use trunk::{Plan, plan};

/// Name and version in the first field of every replay record.
pub const FORMAT: &str = "apprentice.replay/1";

/// What replaying a trajectory showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Always [`FORMAT`].
    pub format: String,
    /// The trajectory's id.
    pub trajectory: String,
    /// The task's id.
    pub task: String,
    /// A digest of the trajectory, its task and its sandbox: what a resume compares.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub input: String,
    /// Steps of the trajectory.
    pub steps: usize,
    /// Steps that were run once for this trajectory and others that begin alike.
    #[serde(default)]
    pub shared_steps: usize,
    /// The recording's directory and the sandbox's, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remapped: Option<Places>,
    /// Steps that were run and have a recorded observation to compare with.
    pub compared: usize,
    /// Steps whose observation is as recorded.
    pub matched: usize,
    /// How far apart recording and replay are, from 0 (not at all) to 1: the mean over the compared steps of the share
    /// of lines that only one of them has. Absent where nothing could be compared.
    pub divergence: Option<f64>,
    /// The first step, from 1, whose observation is not as recorded.
    pub first_divergence: Option<usize>,
    /// Whether the replayed patch is the recorded one; absent when none was recorded.
    pub patch_matches: Option<bool>,
    /// The verdict on the replayed patch; absent when it was not graded.
    pub grade: Option<String>,
    /// Why it was not graded, where grading was tried and the host failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade_error: Option<String>,
    /// The normalisers that were needed.
    pub normalisers: Vec<String>,
    /// Step by step.
    pub step_list: Vec<StepReplay>,
    /// The replayed patch.
    pub patch: String,
}

impl Replay {
    /// Whether every step and the patch are as recorded.
    pub fn is_faithful(&self) -> bool {
        self.first_divergence.is_none() && self.first_foreign().is_none() && self.patch_matches != Some(false)
    }

    /// The first step, from 1, that ran where it was recorded and cannot run here.
    pub fn first_foreign(&self) -> Option<usize> {
        self.step_list.iter().find(|step| step.outcome == Outcome::Foreign).map(|step| step.step)
    }
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReplay {
    /// Which, from 1.
    pub step: usize,
    /// Whether it was taken in the same reply as the step before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// The first line of its action.
    pub action: String,
    /// How it compares.
    pub outcome: Outcome,
    /// The normalisers that were needed to make it match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub normalisers: Vec<String>,
    /// The share of lines that recording and replay have in common, where they were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
    /// The first difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Wall time of the replayed action.
    pub seconds: f64,
}

/// How a replayed step compares with the recorded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The observation is as recorded.
    Matched,
    /// It is not.
    Diverged,
    /// The scaffold refused the step when it was recorded, so it was not run again either.
    NotExecuted,
    /// It ran where it was recorded, by a tool that no sandbox has here: it was not run again, and what it did is missing.
    Foreign,
    /// The record has no observation of the environment's to compare with.
    NotRecorded,
}

/// Where two observations part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The line, from 1, of the normalised observations.
    pub line: usize,
    /// What was recorded there; absent past its end.
    pub recorded: Option<String>,
    /// What the replay gave there; absent past its end.
    pub replayed: Option<String>,
    /// Both as a unified diff, the first lines of it.
    pub diff: String,
}

/// What `trajectory` runs in a sandbox whose work directory is `workdir`, one entry a step: nothing where the step was
/// not run, or asked for a review only.
pub fn actions(trajectory: &Trajectory, workdir: &str) -> Vec<Option<Action>> {
    Script::new(trajectory, workdir).actions
}

/// The action of somebody who was shown `trajectory`, in a sandbox whose work directory is `workdir`.
pub fn action_like(trajectory: &Trajectory, workdir: &str, action: &Action) -> Action {
    script::moved(action, &Script::new(trajectory, workdir).places)
}

/// Runs every executed step of `trajectory` in `actor`, whose work directory is `workdir`.
///
/// # Errors
/// When the sandbox is lost: that says nothing about the trajectory.
pub async fn replay(
    trajectory: &Trajectory,
    actor: &mut Actor,
    workdir: &str,
) -> Result<Replay, SandboxError> {
    let script = Script::new(trajectory, workdir);
    let mut observations = Vec::new();
    for action in script.run() {
        observations.push(std::sync::Arc::new(actor.perform(&action).await?));
    }
    let patch = actor.patch().await?.patch;
    Ok(compare::replay(trajectory, &script, &observations, patch))
}

//! Replay: an expert's steps run again, each observation compared with the recorded one.
//!
//! Guarantees that a difference is either explained by a named normaliser or reported with its step and line;
//! nothing is smoothed over silently. The replayed patch is the host's own diff. Stops no sandbox: the caller owns it.

pub mod normal;

use serde::Serialize;
use similar::TextDiff;

use crate::act::Actor;
use crate::patch;
use crate::sandbox::SandboxError;
use crate::trajectory::{Action, EditorCall, Observation, Step, Trajectory};
use normal::Places;

/// Name and version in the first field of every replay record.
pub const FORMAT: &str = "apprentice.replay/1";

/// What replaying a trajectory showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// Always [`FORMAT`].
    pub format: &'static str,
    /// The trajectory's id.
    pub trajectory: String,
    /// The task's id.
    pub task: String,
    /// Steps of the trajectory.
    pub steps: usize,
    /// Steps that were run and have a recorded observation to compare with.
    pub compared: usize,
    /// Steps whose observation is as recorded.
    pub matched: usize,
    /// The first step, from 1, whose observation is not as recorded.
    pub first_divergence: Option<usize>,
    /// Whether the replayed patch is the recorded one; absent when none was recorded.
    pub patch_matches: Option<bool>,
    /// The verdict on the replayed patch; absent when it was not graded.
    pub grade: Option<String>,
    /// Why it was not graded, where grading was tried and the host failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grade_error: Option<String>,
    /// The normalisers that were needed.
    pub normalisers: Vec<&'static str>,
    /// Step by step.
    pub step_list: Vec<StepReplay>,
    /// The replayed patch.
    pub patch: String,
}

impl Replay {
    /// Whether every step and the patch are as recorded.
    pub fn is_faithful(&self) -> bool {
        self.first_divergence.is_none() && self.patch_matches != Some(false)
    }
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReplay {
    /// Which, from 1.
    pub step: usize,
    /// The first line of its action.
    pub action: String,
    /// How it compares.
    pub outcome: Outcome,
    /// The normalisers that were needed to make it match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub normalisers: Vec<&'static str>,
    /// The first difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Wall time of the replayed action.
    pub seconds: f64,
}

/// How a replayed step compares with the recorded one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The observation is as recorded.
    Matched,
    /// It is not.
    Diverged,
    /// The scaffold refused the step when it was recorded, so it was not run again either.
    NotExecuted,
    /// The record has no observation of the environment's to compare with.
    NotRecorded,
}

/// Where two observations part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

/// Lines of a diff that are reported.
const DIFF_LINES: usize = 40;
/// Characters of an action that are reported.
const ACTION_CHARS: usize = 120;

/// Runs every executed step of `trajectory` in `actor`, whose work directory is `workdir`.
///
/// # Errors
/// When the sandbox is lost: that says nothing about the trajectory.
pub async fn replay(
    trajectory: &Trajectory,
    actor: &mut Actor,
    workdir: &str,
) -> Result<Replay, SandboxError> {
    let recorded = trajectory.source.workdir.as_deref();
    let places = Places { recorded: recorded.unwrap_or(workdir).to_owned(), replayed: workdir.to_owned() };
    let mut steps = Vec::with_capacity(trajectory.steps.len());
    let last = trajectory.steps.iter().rposition(|step| step.executed);
    for (index, step) in trajectory.steps.iter().enumerate() {
        let ends = if Some(index) == last { Ends::Episode } else { Ends::Nothing };
        steps.push(run_step(step, index, ends, actor, &places).await?);
    }
    let patch = actor.diff().await?;
    Ok(summary(trajectory, steps, patch))
}

/// Whether a `submit` here ends the episode; before, it only makes the scaffold ask for a review.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Episode,
    Nothing,
}

async fn run_step(
    step: &Step,
    index: usize,
    ends: Ends,
    actor: &mut Actor,
    places: &Places,
) -> Result<StepReplay, SandboxError> {
    let mut replayed = StepReplay {
        step: index + 1,
        action: headline(&step.action.text()),
        outcome: Outcome::NotExecuted,
        normalisers: Vec::new(),
        difference: None,
        seconds: 0.0,
    };
    if !step.executed {
        return Ok(replayed);
    }
    if step.action == Action::Submit && ends == Ends::Nothing {
        replayed.outcome = Outcome::NotRecorded;
        return Ok(replayed);
    }
    let observation = actor.perform(&moved(&step.action, places)).await?;
    replayed.seconds = observation.elapsed_seconds;
    match &step.observation {
        None => replayed.outcome = Outcome::NotRecorded,
        Some(recorded) => compare(step, recorded, &observation, places, &mut replayed),
    }
    Ok(replayed)
}

fn compare(
    step: &Step,
    recorded: &Observation,
    observation: &Observation,
    places: &Places,
    replayed: &mut StepReplay,
) {
    if step.action == Action::Submit && patch::same(&recorded.output, &observation.output) {
        replayed.outcome = Outcome::Matched;
        if recorded.output != observation.output {
            replayed.normalisers = vec!["patch"];
        }
        return;
    }
    let compared = normal::compare(&step.action.text(), &recorded.output, &observation.output, places);
    if compared.recorded == compared.replayed {
        replayed.outcome = Outcome::Matched;
        replayed.normalisers = compared.normalisers;
    } else {
        replayed.outcome = Outcome::Diverged;
        replayed.difference = Some(difference(&compared.recorded, &compared.replayed));
    }
}

fn difference(recorded: &str, replayed: &str) -> Difference {
    let (mut left, mut right) = (recorded.split('\n'), replayed.split('\n'));
    let mut line = 1;
    let (recorded_line, replayed_line) = loop {
        match (left.next(), right.next()) {
            (Some(a), Some(b)) if a == b => line += 1,
            (a, b) => break (a.map(str::to_owned), b.map(str::to_owned)),
        }
    };
    let diff = TextDiff::from_lines(recorded, replayed);
    let diff = diff
        .unified_diff()
        .context_radius(2)
        .missing_newline_hint(false)
        .header("recorded", "replayed")
        .to_string();
    let diff = diff.lines().take(DIFF_LINES).collect::<Vec<_>>().join("\n");
    Difference { line, recorded: recorded_line, replayed: replayed_line, diff }
}

/// The action with the recorded work directory replaced by the sandbox's, where they differ.
fn moved(action: &Action, places: &Places) -> Action {
    if places.recorded == places.replayed {
        return action.clone();
    }
    let there = |text: &str| normal::moved(text, &places.recorded, &places.replayed);
    match action {
        Action::Bash { command } => Action::bash(there(command)),
        Action::Editor(call) => {
            let arguments = call.arguments.iter().map(|(key, value)| {
                let value = value.as_str().map_or_else(|| value.clone(), |text| there(text).into());
                (key.clone(), value)
            });
            Action::Editor(EditorCall {
                text: there(&call.text),
                arguments: arguments.collect(),
                ..call.clone()
            })
        }
        action => action.clone(),
    }
}

fn summary(trajectory: &Trajectory, step_list: Vec<StepReplay>, patch: String) -> Replay {
    let with = |outcome| step_list.iter().filter(move |step: &&StepReplay| step.outcome == outcome);
    let mut normalisers: Vec<&'static str> =
        step_list.iter().flat_map(|step| step.normalisers.iter().copied()).collect();
    normalisers.sort_unstable();
    normalisers.dedup();
    Replay {
        format: FORMAT,
        trajectory: trajectory.id.clone(),
        task: trajectory.task.clone(),
        steps: step_list.len(),
        compared: with(Outcome::Matched).count() + with(Outcome::Diverged).count(),
        matched: with(Outcome::Matched).count(),
        first_divergence: with(Outcome::Diverged).map(|step| step.step).next(),
        patch_matches: trajectory.patch.as_ref().map(|recorded| patch::same(recorded, &patch)),
        grade: None,
        grade_error: None,
        normalisers,
        step_list,
        patch,
    }
}

fn headline(action: &str) -> String {
    let first = action.lines().next().unwrap_or_default();
    let mut headline: String = first.chars().take(ACTION_CHARS).collect();
    if headline.len() < action.trim_end().len() {
        headline.push('…');
    }
    headline
}

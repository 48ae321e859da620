//! What was replayed beside what was recorded: step by step, and as one number.
//!
//! Pure functions. The divergence of a replay is the mean of 1 − s over the steps that can be compared, where s is 1
//! for an observation that is as recorded and else the share of lines that both have: 2·M / (R + P), M lines in common
//! in order, R recorded, P replayed, after the normalisers. 0 is a replay without a difference; it is absent when
//! nothing was recorded to compare with.

use similar::{ChangeTag, TextDiff};

use super::normal::{self, Places};
use super::script::Script;
use super::{Difference, FORMAT, Outcome, Replay, StepReplay};
use crate::patch;
use crate::trajectory::{Action, Exit, Observation, Step, Trajectory};

/// Lines of a diff that are reported.
const DIFF_LINES: usize = 40;
/// Characters of an action that are reported.
const ACTION_CHARS: usize = 120;

/// The replay of `trajectory`, whose actions gave `observations`, in order, and whose files ended as `patch`.
pub(super) fn replay(
    trajectory: &Trajectory,
    script: &Script,
    observations: &[impl AsRef<Observation>],
    patch: String,
) -> Replay {
    let mut observations = observations.iter().map(AsRef::as_ref);
    let steps = trajectory.steps.iter().zip(&script.actions).enumerate();
    let steps = steps.map(|(at, (step, action))| {
        let observation = action.as_ref().and_then(|_| observations.next());
        step_replay(at, step, observation, &script.places)
    });
    summary(trajectory, script, steps.collect(), patch)
}

fn step_replay(at: usize, step: &Step, observation: Option<&Observation>, places: &Places) -> StepReplay {
    let mut replayed = StepReplay {
        step: at + 1,
        continues: step.continues,
        action: headline(&step.action.text()),
        outcome: not_compared(step),
        normalisers: Vec::new(),
        similarity: None,
        difference: None,
        seconds: observation.map_or(0.0, |observation| observation.elapsed_seconds),
    };
    if let (Some(observation), Some(recorded)) = (observation, &step.observation) {
        compare(step, recorded, observation, places, &mut replayed);
    }
    replayed
}

/// What becomes of a step whose observation cannot be compared.
fn not_compared(step: &Step) -> Outcome {
    match (step.foreign, step.executed) {
        (true, _) => Outcome::Foreign,
        (false, true) => Outcome::NotRecorded,
        (false, false) => Outcome::NotExecuted,
    }
}

fn compare(
    step: &Step,
    recorded: &Observation,
    observation: &Observation,
    places: &Places,
    replayed: &mut StepReplay,
) {
    if step.action == Action::Submit && patch::same(&recorded.output, &observation.output) {
        (replayed.outcome, replayed.similarity) = (Outcome::Matched, Some(1.0));
        if recorded.output != observation.output {
            replayed.normalisers = vec!["patch".to_owned()];
        }
        return;
    }
    let mut compared = normal::compare(&step.action, &recorded.output, &observation.output, places);
    if let Some((recorded, replayed)) = other_ends(step, recorded, observation) {
        compared.recorded.push_str(&format!("\n[exit code {recorded}]"));
        compared.replayed.push_str(&format!("\n[exit code {replayed}]"));
    }
    if compared.recorded == compared.replayed {
        (replayed.outcome, replayed.similarity) = (Outcome::Matched, Some(1.0));
        replayed.normalisers = compared.normalisers.into_iter().map(str::to_owned).collect();
    } else {
        let (similarity, difference) = difference(&compared.recorded, &compared.replayed);
        (replayed.outcome, replayed.similarity) = (Outcome::Diverged, Some(similarity));
        replayed.difference = Some(difference);
    }
}

/// The exit codes of a command that ended in another way than recorded; none where the record does not say.
fn other_ends(step: &Step, recorded: &Observation, observation: &Observation) -> Option<(i32, i32)> {
    let Action::Bash { .. } = step.action else { return None };
    let written = || normal::exit_code(&recorded.output).map(Exit::Code);
    let (recorded, replayed) = (code(recorded.exit.or_else(written)?)?, code(observation.exit?)?);
    (recorded != replayed).then_some((recorded, replayed))
}

/// The code that a shell gives to an end. Scaffolds write a negative one where they do not know it.
fn code(exit: Exit) -> Option<i32> {
    match exit {
        Exit::Code(code) => (0 <= code).then_some(code),
        Exit::Signal(signal) => Some(128 + signal),
        // What `timeout` gives; scaffolds have words of their own for it, which the outputs show.
        Exit::TimedOut => Some(124),
        Exit::OutOfMemory => Some(137),
    }
}

/// The share of lines that both have, and where they part.
fn difference(recorded: &str, replayed: &str) -> (f64, Difference) {
    let (mut left, mut right) = (recorded.split('\n'), replayed.split('\n'));
    let mut line = 1;
    let (recorded_line, replayed_line) = loop {
        match (left.next(), right.next()) {
            (Some(a), Some(b)) if a == b => line += 1,
            (a, b) => break (a.map(str::to_owned), b.map(str::to_owned)),
        }
    };
    // A last line without end is no other line.
    let (recorded, replayed) = (format!("{recorded}\n"), format!("{replayed}\n"));
    let diff =
        TextDiff::configure().timeout(std::time::Duration::from_secs(2)).diff_lines(&recorded, &replayed);
    let common = diff.iter_all_changes().filter(|change| change.tag() == ChangeTag::Equal).count();
    let total = diff.old_slices().len() + diff.new_slices().len();
    let similarity = if total == 0 { 0.0 } else { 2.0 * common as f64 / total as f64 };
    let diff = diff
        .unified_diff()
        .context_radius(2)
        .missing_newline_hint(false)
        .header("recorded", "replayed")
        .to_string();
    let diff = diff.lines().take(DIFF_LINES).collect::<Vec<_>>().join("\n");
    (similarity, Difference { line, recorded: recorded_line, replayed: replayed_line, diff })
}

fn summary(trajectory: &Trajectory, script: &Script, step_list: Vec<StepReplay>, patch: String) -> Replay {
    let with = |outcome| step_list.iter().filter(move |step: &&StepReplay| step.outcome == outcome);
    let mut normalisers: Vec<String> =
        step_list.iter().flat_map(|step| step.normalisers.iter().cloned()).collect();
    normalisers.sort_unstable();
    normalisers.dedup();
    let compared: Vec<f64> = step_list.iter().filter_map(|step| step.similarity).collect();
    let apart = compared.iter().map(|similarity| 1.0 - similarity).sum::<f64>();
    let remapped = (script.places.recorded != script.places.replayed).then(|| script.places.clone());
    Replay {
        format: FORMAT.to_owned(),
        trajectory: trajectory.id.clone(),
        task: trajectory.task.clone(),
        input: String::new(),
        steps: step_list.len(),
        shared_steps: 0,
        remapped,
        compared: compared.len(),
        matched: with(Outcome::Matched).count(),
        divergence: (!compared.is_empty()).then(|| apart / compared.len() as f64),
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

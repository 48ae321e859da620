//! The viewer: a trajectory, what a replay found and what steps earned, for a terminal and as one HTML page.
//!
//! Guarantees that nothing an agent wrote can do more than be read: control characters and marks that turn text around are
//! shown, never sent. Computes nothing: it shows what is recorded.

pub mod page;
pub mod terminal;
mod visible;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::trajectory::{Action, End, Step, Trajectory};
pub use page::escape;
pub use visible::visible;

/// A trajectory and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// What was recorded.
    pub trajectory: &'a Trajectory,
    /// What a replay found, where there was one.
    pub replay: Option<&'a ReplayRecord>,
    /// What replies to a step earned, by the step's number from 1.
    pub rewards: &'a BTreeMap<usize, Vec<Rewarded>>,
}

/// A line of `replays.jsonl`, as far as it is shown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ReplayRecord {
    /// Its format, which whoever reads the file checks.
    pub format: String,
    /// The trajectory's id.
    pub trajectory: String,
    /// Steps that were compared.
    pub compared: usize,
    /// Steps whose observation is as recorded.
    pub matched: usize,
    /// The first step, from 1, whose observation is not.
    pub first_divergence: Option<usize>,
    /// Whether the replayed patch is the recorded one.
    pub patch_matches: Option<bool>,
    /// The verdict on it.
    pub grade: Option<String>,
    /// Why there is none, where the host failed.
    pub grade_error: Option<String>,
    /// Step by step.
    pub step_list: Vec<StepRecord>,
}

/// What a replay found at a step.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StepRecord {
    /// Which, from 1.
    pub step: usize,
    /// `matched`, `diverged`, and so on.
    pub outcome: String,
    /// The normalisers that were needed.
    pub normalisers: Vec<String>,
    /// The first difference.
    pub difference: Option<DifferenceRecord>,
}

/// Where two observations part.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DifferenceRecord {
    /// The line, from 1.
    pub line: usize,
    /// Both as a unified diff.
    pub diff: String,
}

/// What a reply to a step earned.
#[derive(Debug, Clone, Deserialize)]
pub struct Rewarded {
    /// The trajectory's id.
    pub trajectory: String,
    /// The step's number, from 1.
    pub step: usize,
    /// The reward.
    pub reward: f64,
    /// The action that earned it.
    #[serde(default)]
    pub action: Option<String>,
}

impl View<'_> {
    /// What the replay found at the step with this number.
    fn replayed(&self, number: usize) -> Option<&StepRecord> {
        self.replay?.step_list.iter().find(|step| step.step == number)
    }

    /// What replies to the step with this number earned.
    fn rewards(&self, number: usize) -> &[Rewarded] {
        self.rewards.get(&number).map_or(&[], Vec::as_slice)
    }

    /// What is known of the whole, as names and values.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let Trajectory { task, source, steps, answer, resolved, .. } = self.trajectory;
        let mut facts = vec![("task", task.clone()), ("steps", steps.len().to_string())];
        let texts = [
            ("source", Some(&source.format)),
            ("model", source.model.as_ref()),
            ("directory", source.workdir.as_ref()),
        ];
        facts.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text?.clone()))));
        let line = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        facts.extend(answer.as_ref().map(|answer| ("answer", line(answer))));
        facts.push(("end", end(self.trajectory.end).to_owned()));
        if let Some(resolved) = resolved {
            facts.push(("label", if *resolved { "resolved" } else { "unresolved" }.to_owned()));
        }
        if let Some(replay) = self.replay {
            facts.push(("replay", described(replay)));
        }
        let rewards: Vec<f64> = self.rewards.values().flatten().map(|rewarded| rewarded.reward).collect();
        if !rewards.is_empty() {
            facts.push(("reward", format!("{:.3} on average", mean(&rewards))));
        }
        facts.retain(|(_, value)| !value.is_empty());
        facts
    }
}

fn described(replay: &ReplayRecord) -> String {
    let mut text = format!("{} of {} observations as recorded", replay.matched, replay.compared);
    if let Some(first) = replay.first_divergence {
        text.push_str(&format!(", first other one at step {first}"));
    }
    match replay.patch_matches {
        Some(true) => text.push_str(", same patch"),
        Some(false) => text.push_str(", another patch"),
        None => {}
    }
    if let Some(grade) = &replay.grade {
        text.push_str(&format!(", {grade}"));
    }
    if let Some(reason) = &replay.grade_error {
        text.push_str(&format!(", not graded: {reason}"));
    }
    text
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// What kind of action a step takes, and what is odd about it.
fn kind(step: &Step) -> (&'static str, Option<&'static str>) {
    let kind = match &step.action {
        Action::Bash { .. } => "bash",
        Action::Editor(_) => "editor",
        Action::Submit => "submit",
        Action::Answer { .. } => "answer",
    };
    let note = match (step.executed, step.continues) {
        (false, _) => Some("not executed"),
        (true, true) => Some("same reply"),
        (true, false) => None,
    };
    (kind, note)
}

fn end(end: End) -> &'static str {
    match end {
        End::Submitted => "submitted",
        End::StepLimit => "step limit",
        End::TimeLimit => "time limit",
        End::TokenLimit => "token limit",
        End::ContextLimit => "context limit",
        End::Malformed => "unreadable reply",
        End::SandboxLost => "sandbox lost",
        End::Unknown => "",
    }
}

/// How a command ended, where that is recorded, and what the record left out.
fn ending(step: &Step) -> Option<String> {
    use crate::trajectory::Exit;
    let observation = step.observation.as_ref()?;
    let mut parts = Vec::new();
    match observation.exit {
        Some(Exit::Code(0)) | None => {}
        Some(Exit::Code(code)) => parts.push(format!("exit {code}")),
        Some(Exit::Signal(signal)) => parts.push(format!("signal {signal}")),
        Some(Exit::TimedOut) => parts.push("timed out".to_owned()),
        Some(Exit::OutOfMemory) => parts.push("out of memory".to_owned()),
    }
    if 0 < observation.omitted_bytes {
        parts.push(format!("{} bytes were not recorded", observation.omitted_bytes));
    }
    if !observation.background.is_empty() {
        parts.push(format!("{} processes run on", observation.background.len()));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests;

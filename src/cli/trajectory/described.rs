//! A replay for people.

use crate::replay::{Outcome, Replay};

/// One line a step, the first difference of each, and what it amounts to.
pub(super) fn described(replay: &Replay) -> String {
    let mut text = format!("Replayed {}  task {}", replay.trajectory, replay.task);
    if 0 < replay.shared_steps {
        text.push_str(&format!("  {} steps shared with others", replay.shared_steps));
    }
    if let Some(places) = &replay.remapped {
        text.push_str(&format!("  {} is {}", places.recorded, places.replayed));
    }
    text.push('\n');
    for step in &replay.step_list {
        let outcome = match step.outcome {
            Outcome::Matched => "matched",
            Outcome::Diverged => "DIVERGED",
            Outcome::NotExecuted => "not executed",
            Outcome::Foreign => "foreign",
            Outcome::NotRecorded => "not recorded",
        };
        let mark = if step.continues { "+" } else { " " };
        text.push_str(&format!("{:>4}{mark} {outcome:<12}  {}", step.step, step.action));
        if !step.normalisers.is_empty() {
            text.push_str(&format!("  ({})", step.normalisers.join(", ")));
        }
        text.push('\n');
        if let Some(difference) = &step.difference {
            for line in difference.diff.lines() {
                text.push_str(&format!("        {line}\n"));
            }
        }
    }
    text + &summary(replay)
}

fn summary(replay: &Replay) -> String {
    let patch = match replay.patch_matches {
        Some(true) => "is the recorded one",
        Some(false) => "is not the recorded one",
        None => "has no recorded one to compare with",
    };
    let grade = replay.grade.as_deref().or(replay.grade_error.as_deref()).unwrap_or("not graded");
    let divergence = replay.divergence.map_or(String::new(), |apart| format!(", divergence {apart:.3}"));
    format!(
        "{} of {} observations matched{divergence}; the patch {patch}; {grade}",
        replay.matched, replay.compared
    )
}

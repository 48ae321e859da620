//! A replay for people. What a record says in it can only be read: it sends nothing to a terminal.

use crate::replay::{Outcome, Replay};
use crate::viewer::visible;

/// One line a step, the first difference of each, and what it amounts to.
pub(super) fn described(replay: &Replay) -> String {
    visible(&raw(replay)).into_owned()
}

fn raw(replay: &Replay) -> String {
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
    let failed = || replay.grade_error.as_ref().map(|reason| format!("not graded: {reason}"));
    let grade = replay.grade.clone().or_else(failed).unwrap_or_else(|| "not graded".to_owned());
    let divergence = replay.divergence.map_or(String::new(), |apart| format!(", divergence {apart:.3}"));
    format!(
        "{} of {} observations matched{divergence}; the patch {patch}; {grade}",
        replay.matched, replay.compared
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::FORMAT;

    #[test]
    fn a_records_words_send_nothing_to_a_terminal() {
        let line = serde_json::json!({
            "format": FORMAT, "trajectory": "a\u{1b}]0;x\u{7}", "task": "t\u{1b}[2J", "steps": 1, "compared": 1, "matched": 0,
            "divergence": 1.0, "first_divergence": 1, "patch_matches": null, "grade": null, "grade_error": "lost\u{1b}[H",
            "normalisers": [], "patch": "", "step_list": [{
                "step": 1, "action": "ls\u{202e}\u{8}", "outcome": "diverged", "seconds": 0.0,
                "difference": {"line": 1, "recorded": "a", "replayed": "b", "diff": "-a\u{9b}2J\n+b"},
            }],
        });
        let text = described(&serde_json::from_value(line).unwrap());
        let is_sent = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
        assert!(!text.contains(is_sent), "{text:?}");
        assert!(text.contains("        +b\n") && text.contains("not graded: lost"), "{text}");
    }
}

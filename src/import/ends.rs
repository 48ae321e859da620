//! Why episodes stopped, in the words of scaffolds; and the patches that they left.
//!
//! Guarantees that a status which nobody knows is unknown, never a success.

use crate::patch::Patch;
use crate::trajectory::End;

/// Phrases of a status, in small letters, and what they say. The first that is found counts: a scaffold that
/// submits for an agent which ran out of something says both.
const STATUSES: &[(&str, End)] = &[
    ("context", End::ContextLimit),
    ("token limit", End::ContextLimit),
    ("exit format", End::Malformed),
    ("format error", End::Malformed),
    ("formaterror", End::Malformed),
    ("exit environment", End::SandboxLost),
    ("exit cost", End::StepLimit),
    ("limits exceeded", End::StepLimit),
    ("limitsexceeded", End::StepLimit),
    ("step limit", End::StepLimit),
    ("max iter", End::StepLimit),
    ("max iteration", End::StepLimit),
    ("max iterations", End::StepLimit),
    ("maximum iteration", End::StepLimit),
    ("maximum iterations", End::StepLimit),
    ("max turns", End::StepLimit),
    ("timeout", End::TimeLimit),
    ("time out", End::TimeLimit),
    ("timed out", End::TimeLimit),
    ("time limit", End::TimeLimit),
    ("time exceeded", End::TimeLimit),
    ("timeexceeded", End::TimeLimit),
    ("execution time", End::TimeLimit),
    ("submitted", End::Submitted),
    ("submit", End::Submitted),
    ("finished", End::Submitted),
];

/// What `status` says, which is a scaffold's name for an end; unknown when it is nothing known.
pub(super) fn end(status: &str) -> End {
    match status.to_ascii_lowercase().as_str() {
        // R2E-Gym's words for an agent that ended by itself, and a chat API's for a full context.
        "agent" => End::Submitted,
        "length" => End::ContextLimit,
        _ => {
            let words = words(status);
            let says = |phrase: &str| words.contains(&format!(" {phrase} "));
            STATUSES.iter().find(|(phrase, _)| says(phrase)).map_or(End::Unknown, |(_, end)| *end)
        }
    }
}

/// The words of a status in small letters, a space around each: `exit_cost` and `ExitCost` have the same two.
fn words(status: &str) -> String {
    let mut words = " ".to_owned();
    let mut was_small = false;
    for letter in status.chars() {
        if letter.is_uppercase() && was_small || !letter.is_alphanumeric() {
            words.push(' ');
        }
        if letter.is_alphanumeric() {
            words.extend(letter.to_lowercase());
        }
        was_small = letter.is_lowercase();
    }
    words.push(' ');
    words
}

/// A recorded patch with plain line ends, without words before it; absent when the text is none.
pub(super) fn patch(text: &str) -> Option<String> {
    let text = if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text.to_owned() };
    let patch = text.trim_start_matches('\n');
    let patch = if patch.starts_with("diff ") { patch } else { after_words(patch)? };
    Some(format!("{}\n", patch.trim_end_matches('\n')))
}

/// The patch that begins at some line of `text`, if what begins there is one.
fn after_words(text: &str) -> Option<&str> {
    let lines = text.split_inclusive('\n').scan(0, |end, line| {
        *end += line.len();
        Some((*end - line.len(), line))
    });
    let begins = |at: usize, line: &str| {
        line.starts_with("diff --git ")
            || line.starts_with("--- ") && text[at + line.len()..].starts_with("+++ ")
    };
    let (at, _) = lines.into_iter().find(|(at, line)| begins(*at, line))?;
    let patch = &text[at..];
    let has_hunks = |read: Patch| read.files.iter().any(|file| !file.hunks.is_empty());
    (patch.starts_with("diff ") || Patch::parse(patch).is_ok_and(has_hunks)).then_some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_all_scaffolds_are_told_apart() {
        for (status, expected) in [
            ("submitted", End::Submitted),
            ("Submitted", End::Submitted),
            ("submitted (exit_cost)", End::StepLimit),
            ("submitted (exit_context)", End::ContextLimit),
            ("exit_format", End::Malformed),
            ("exit_command_timeout", End::TimeLimit),
            ("submitted (exit_total_execution_time)", End::TimeLimit),
            ("LimitsExceeded", End::StepLimit),
            ("TimeExceeded", End::TimeLimit),
            ("RepeatedFormatError", End::Malformed),
            ("UserInterruption", End::Unknown),
            ("agent_max_step_limit", End::StepLimit),
            ("agent", End::Submitted),
            ("traj_time_limit", End::TimeLimit),
            ("early_exit", End::Unknown),
            ("exit_environment_error", End::SandboxLost),
            ("FileNotFoundError", End::Unknown),
            ("CommandTimeoutError", End::TimeLimit),
            ("runtime_error", End::Unknown),
            ("sometimes", End::Unknown),
            ("unsubmitted", End::Unknown),
        ] {
            assert_eq!(end(status), expected, "{status}");
        }
    }

    #[test]
    fn a_patch_has_plain_line_ends() {
        assert_eq!(
            patch("\r\ndiff --git a/x b/x\r\n+a\r\n\r\n").as_deref(),
            Some("diff --git a/x b/x\n+a\n")
        );
        assert_eq!(patch("no patch"), None);
        let plain = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
        assert_eq!(patch(plain).as_deref(), Some(plain));
        let git = format!("diff --git a/x b/x\n{plain}");
        let warned = format!("warning: LF will be replaced by CRLF in x.\n{git}");
        assert_eq!(patch(&warned).as_deref(), Some(git.as_str()));
        assert_eq!(patch("--- a/x\n+++ b/x\n@@ nonsense\n"), None);
    }
}

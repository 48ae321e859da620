//! Why episodes stopped, in the words of scaffolds; and the patches that they left.
//!
//! Guarantees that a status which nobody knows is unknown, never a success.

use crate::trajectory::End;

/// Words of a status, in small letters, and what they say. The first that is found counts: a scaffold that
/// submits for an agent which ran out of something says both.
const STATUSES: &[(&str, End)] = &[
    ("exit_context", End::ContextLimit),
    ("context", End::ContextLimit),
    ("token_limit", End::ContextLimit),
    ("exit_format", End::Malformed),
    ("formaterror", End::Malformed),
    ("exit_environment", End::SandboxLost),
    ("exit_cost", End::StepLimit),
    ("limitsexceeded", End::StepLimit),
    ("step_limit", End::StepLimit),
    ("max_iter", End::StepLimit),
    ("maximum iteration", End::StepLimit),
    ("max_turns", End::StepLimit),
    ("time", End::TimeLimit),
    ("submitted", End::Submitted),
    ("submit", End::Submitted),
    ("finished", End::Submitted),
];

/// What `status` says; unknown when it is nothing known.
pub(super) fn end(status: &str) -> End {
    let status = status.to_ascii_lowercase();
    match status.as_str() {
        // R2E-Gym's words for an agent that ended by itself, and a chat API's for a full context.
        "agent" => End::Submitted,
        "length" => End::ContextLimit,
        status => {
            STATUSES.iter().find(|(words, _)| status.contains(words)).map_or(End::Unknown, |(_, end)| *end)
        }
    }
}

/// A recorded patch with plain line ends; absent when the text is none.
pub(super) fn patch(text: &str) -> Option<String> {
    let text = if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text.to_owned() };
    let patch = text.trim_start_matches('\n');
    patch.starts_with("diff ").then(|| format!("{}\n", patch.trim_end_matches('\n')))
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
    }
}

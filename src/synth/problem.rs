//! Problem statements: the symptom, never the repair.

use super::bench::Evidence;
use super::style::Hint;
use super::{Candidate, Repository, repository};

/// A failing example, read from the expert's test output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Example<'a> {
    /// What was called.
    pub(super) call: &'a str,
    /// What came.
    pub(super) got: &'a str,
    /// What should have come.
    pub(super) want: &'a str,
}

/// What the student reads.
pub(super) fn statement(
    repository: &Repository,
    candidate: &Candidate,
    evidence: &Evidence,
    hint: Hint,
) -> String {
    let command = &repository.expert_command;
    let symptom = match (hint, example(&evidence.failing.output)) {
        (Hint::Example, Some(Example { call, got, want })) => {
            format!("`{call}` prints {got} but should print {want}.")
        }
        (Hint::Example, None) => format!("The test `{}` fails.", evidence.fail_to_pass[0]),
        (Hint::Name, _) => format!("{} gives wrong results.", repository::stem(&candidate.mutation.file)),
        (Hint::Suite, _) => {
            let failing = evidence.fail_to_pass.len();
            format!("{failing} of {} tests fail.", failing + evidence.pass_to_pass.len())
        }
    };
    format!("{symptom} Repair it. Tests: {command}")
}

/// The first line of the form `# gcd 12 18: got 1, want 6`.
pub(super) fn example(output: &str) -> Option<Example<'_>> {
    output.lines().find_map(|line| {
        let (call, values) = line.strip_prefix("# ")?.split_once(": got ")?;
        let (got, want) = values.rsplit_once(", want ")?;
        Some(Example { call, got, want })
    })
}

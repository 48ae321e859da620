//! Problem statements: the symptom, never the repair.

use super::bench::Evidence;
use super::style::Hint;
use super::{Candidate, Repository, repository};
use crate::mutate::{Kind, Mutation};

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
        (Hint::Example, example) => shown(example.as_ref(), evidence),
        (Hint::Line, example) => {
            format!("{} {}", shown(example.as_ref(), evidence), place(&candidate.mutation))
        }
        (Hint::Name, _) => format!("{} gives wrong results.", repository::stem(&candidate.mutation.file)),
        (Hint::Suite, _) => {
            let failing = evidence.fail_to_pass.len();
            format!("{failing} of {} tests fail.", failing + evidence.pass_to_pass.len())
        }
    };
    format!("{symptom} Repair it. Tests: {command}")
}

/// Where the repair belongs; not what it is.
fn place(bug: &Mutation) -> String {
    let Mutation { file, line, .. } = bug;
    match bug.kind {
        Kind::Dropped => format!("See line {line} of {file}, which is missing."),
        _ => format!("See line {line} of {file}."),
    }
}

fn shown(example: Option<&Example<'_>>, evidence: &Evidence) -> String {
    match example {
        Some(Example { call, got, want }) => format!("`{call}` prints {got} but should print {want}."),
        None => format!("The test `{}` fails.", evidence.fail_to_pass[0]),
    }
}

/// The first line of the form `# gcd 12 18: got 1, want 6`.
pub(super) fn example(output: &str) -> Option<Example<'_>> {
    output.lines().find_map(|line| {
        let (call, values) = line.strip_prefix("# ")?.split_once(": got ")?;
        let (got, want) = values.rsplit_once(", want ")?;
        Some(Example { call, got, want })
    })
}

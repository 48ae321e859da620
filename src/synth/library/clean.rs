//! The tests without a mutation: what passes, what is flaky, and how long it takes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::trial;
use crate::sandbox::Sandbox;
use crate::synth::Repository;
use crate::testlog::Statuses;

/// Wall time of the tests of a library before it is known how long they take.
const PATIENCE: Duration = Duration::from_secs(1800);
/// A mutation that makes the tests take this many times as long keeps them from ending.
const SLOWER: u32 = 5;
/// Added to that, for machines that others use as well.
const SPARE: Duration = Duration::from_secs(10);

/// What the tests say without a mutation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clean {
    /// Tests that passed both times.
    pub(super) passing: BTreeSet<String>,
    /// Tests that both runs name with different statuses, or only one of them names: they decide nothing.
    pub(super) flaky: Vec<String>,
    /// Every other test that both runs name.
    pub(super) known: BTreeSet<String>,
    /// Wall time that a run with a mutation may take.
    pub(super) deadline: Duration,
}

/// Runs the tests twice.
pub(super) async fn run(sandbox: &mut dyn Sandbox, library: &Repository) -> anyhow::Result<Clean> {
    let (first, slow) = once(sandbox, library).await?;
    let (second, fast) = once(sandbox, library).await?;
    Ok(clean(&first, &second, slow.max(fast)))
}

async fn once(sandbox: &mut dyn Sandbox, library: &Repository) -> anyhow::Result<(Statuses, Duration)> {
    let begin = Instant::now();
    let seen = trial::test(sandbox, library, PATIENCE).await?;
    let statuses = trial::statuses(library, &seen.output);
    ensure!(
        statuses.values().any(|status| status.is_pass()),
        "no test of `{}` passes without a mutation; `{}` printed:\n{}",
        library.name,
        library.test_command,
        seen.output
    );
    Ok((statuses, begin.elapsed()))
}

fn clean(first: &Statuses, second: &Statuses, longest: Duration) -> Clean {
    let is_steady = |id: &&String| first.get(*id).is_some_and(|status| second.get(*id) == Some(status));
    let all: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let (steady, flaky): (Vec<&String>, Vec<&String>) = all.into_iter().partition(is_steady);
    let passing = steady.iter().filter(|id| first[**id].is_pass());
    Clean {
        passing: passing.map(ToString::to_string).collect(),
        flaky: flaky.into_iter().cloned().collect(),
        known: steady.iter().map(ToString::to_string).collect(),
        deadline: longest * SLOWER + SPARE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testlog::Status;

    #[test]
    fn a_test_that_changes_its_mind_decides_nothing() {
        let run = |statuses: &[(&str, Status)]| -> Statuses {
            statuses.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect()
        };
        let first = run(&[
            ("a", Status::Passed),
            ("b", Status::Passed),
            ("c", Status::Failed),
            ("d", Status::Passed),
        ]);
        let second = run(&[("a", Status::Passed), ("b", Status::Failed), ("c", Status::Failed)]);
        let clean = clean(&first, &second, Duration::from_secs(2));
        assert_eq!(clean.passing, BTreeSet::from(["a".to_owned()]));
        assert_eq!(clean.flaky, ["b", "d"]);
        assert_eq!(clean.known, BTreeSet::from(["a".to_owned(), "c".to_owned()]));
        assert_eq!(clean.deadline, Duration::from_secs(20));
    }
}

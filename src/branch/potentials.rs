//! The potentials of trees: their tasks' tests, run once for each tree.
//!
//! The grader runs them in a sandbox of its own with the tests put back, so that what a student did to them is worth
//! nothing, and not in a fork that the student could write to. Guarantees that a host's failure is an error.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::cost::Cost;
use crate::fsio;
use crate::grade::{self, Job, JobPrediction, Outcome, Verdict};
use crate::replay::{Options, Work};
use crate::reward::potential::Passing;
use crate::task::{Expect, Tests};
use crate::testlog::Status;

/// What is known of trees, by task and digest of what differs from its base.
#[derive(Debug, Default)]
pub(super) struct Potentials(BTreeMap<(String, String), Option<f64>>);

impl Potentials {
    /// The potentials of the trees that `patches` make of the work's base, in order; none where the task names no test.
    pub(super) async fn of(
        &mut self,
        work: &Work,
        patches: &[String],
        options: &Options,
        cost: &mut Cost,
    ) -> Result<Vec<Option<f64>>> {
        let task = &work.task.task;
        let Some(tests) = &task.tests else { return Ok(vec![None; patches.len()]) };
        let key = |patch: &String| (task.id.clone(), fsio::sha256_hex(patch.as_bytes()));
        let mut missing: BTreeMap<(String, String), &String> = BTreeMap::new();
        for patch in patches {
            let key = key(patch);
            if self.0.contains_key(&key) || missing.contains_key(&key) {
                cost.test_hits += 1;
            } else {
                missing.insert(key, patch);
            }
        }
        let job = |patch: &&String| Job {
            task: work.task.clone(),
            spec: work.spec.clone(),
            backend: work.backend.clone(),
            prediction: match patch.trim() {
                "" => JobPrediction::Noop,
                _ => JobPrediction::Patch((*patch).clone()),
            },
        };
        let jobs = missing.values().map(job).collect();
        let grading = grade::Options { cache: options.cache.clone(), ready: options.ready.clone() };
        let verdicts = grade::grade_all(jobs, options.parallel, &grading, |_| ()).await;
        for (key, verdict) in std::iter::zip(missing.into_keys(), verdicts) {
            ensure!(
                verdict.outcome.is_valid(),
                "the tests of task `{}` could not be run: {}",
                task.id,
                verdict.reason
            );
            cost.test_runs += u64::from(verdict.seconds.is_some());
            cost.sandbox_seconds += verdict.seconds.unwrap_or_default();
            self.0.insert(key, passing(tests, &verdict).potential());
        }
        Ok(patches.iter().map(|patch| self.0[&key(patch)]).collect())
    }
}

/// The tests that are as the task expects them. A run that cannot be believed shows none.
fn passing(tests: &Tests, verdict: &Verdict) -> Passing {
    let found = |of: &BTreeMap<String, Option<Status>>, is_good: fn(Option<Status>) -> bool| {
        (of.values().filter(|status| is_good(**status)).count(), of.len())
    };
    let passing = match &tests.expect {
        // Such tasks are judged as a whole.
        Expect::ExitZero | Expect::Exact(_) => {
            Passing { telling: (usize::from(verdict.is_resolved()), 1), keeping: (0, 0) }
        }
        Expect::Lists => Passing {
            telling: found(&verdict.fail_to_pass, passes),
            keeping: found(&verdict.pass_to_pass, |status| passes(status) || status == Some(Status::Skipped)),
        },
        Expect::FailOnly => {
            let is_good = |status: Option<Status>| !matches!(status, Some(Status::Failed | Status::Error));
            Passing {
                telling: found(&verdict.fail_to_pass, is_good),
                keeping: found(&verdict.pass_to_pass, is_good),
            }
        }
    };
    let is_whole = passing.potential() == Some(1.0);
    match verdict.outcome {
        Outcome::Resolved => passing,
        // Either it says of itself that it is not to be believed, or the grader found why not.
        Outcome::Tampered | Outcome::TimedOut => none_of(passing),
        _ if is_whole => none_of(passing),
        _ => passing,
    }
}

fn passes(status: Option<Status>) -> bool {
    status.is_some_and(Status::is_pass)
}

fn none_of(passing: Passing) -> Passing {
    // A refused patch names no test, and must not count as a task without any.
    let all = |(_, all): (usize, usize)| (0, all);
    Passing { telling: (0, passing.telling.1.max(1)), keeping: all(passing.keeping) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(outcome: Outcome, telling: Option<Status>, keeping: Option<Status>) -> Verdict {
        let one = |status| BTreeMap::from([("a".to_owned(), status)]);
        Verdict { fail_to_pass: one(telling), pass_to_pass: one(keeping), ..Verdict::new("t", outcome, "") }
    }

    #[test]
    fn a_run_that_is_not_to_be_believed_has_the_potential_zero() {
        let passed = Some(Status::Passed);
        let potential = |verdict: &Verdict| passing(&Tests::default(), verdict).potential();
        assert_eq!(potential(&verdict(Outcome::Resolved, passed, passed)), Some(1.0));
        assert_eq!(potential(&verdict(Outcome::Unresolved, Some(Status::Failed), passed)), Some(0.25));
        assert_eq!(potential(&verdict(Outcome::Unresolved, passed, Some(Status::Failed))), Some(0.75));
        assert_eq!(potential(&verdict(Outcome::Unresolved, None, Some(Status::Skipped))), Some(0.25));
        for outcome in [Outcome::Unresolved, Outcome::Tampered, Outcome::TimedOut] {
            assert_eq!(potential(&verdict(outcome, passed, passed)), Some(0.0), "{outcome:?}");
        }
        assert_eq!(potential(&Verdict::new("t", Outcome::Tampered, "")), Some(0.0));
    }
}

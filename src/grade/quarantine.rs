//! Tests that a task's certificate takes out of its grades.

use std::collections::BTreeSet;

use anyhow::ensure;

use crate::task::{Expect, LoadedTask, Tests};
use crate::task_dir::certified::{self, Standing};

/// The tests that a grade neither requires nor counts.
#[derive(Debug, Default)]
pub(super) struct Quarantine(BTreeSet<String>);

impl Quarantine {
    /// Those of a task's certificate, if it fits the task.
    ///
    /// # Errors
    /// When the certificate cannot be read, or leaves no test that tells a repair: then nothing can be graded.
    pub(super) fn of(loaded: &LoadedTask) -> anyhow::Result<Self> {
        let Standing::Fits(certificate) = certified::standing(loaded)? else { return Ok(Self::default()) };
        let ids: BTreeSet<String> = certificate.quarantined.into_iter().map(|test| test.id).collect();
        let tests = loaded.task.tests.as_ref();
        let telling = tests.map(|tests| &tests.fail_to_pass[..]).unwrap_or_default();
        ensure!(
            telling.is_empty() || !telling.iter().all(|id| ids.contains(id)),
            "the certificate of task `{}` quarantines every test of `fail_to_pass`; repair the task",
            loaded.task.id
        );
        Ok(Self(ids))
    }

    /// The tests that are left to require.
    pub(super) fn counted(&self, tests: &Tests) -> Tests {
        let mut tests = tests.clone();
        tests.fail_to_pass.retain(|id| !self.0.contains(id));
        tests.pass_to_pass.retain(|id| !self.0.contains(id));
        if let Expect::Exact(endings) = &mut tests.expect {
            endings.retain(|id, _| !self.0.contains(id));
        }
        tests
    }

    /// All of them, sorted.
    pub(super) fn ids(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

//! Trying mutations: each in a fork of one prepared sandbox, several side by side.
//!
//! Guarantees that a trial sees nothing of another, and that trials come back in the order of their mutations.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;

use super::clean::Clean;
use super::symptom::{self, Symptom};
use super::{Planned, Reason, Site};
use crate::mutate;
use crate::sandbox::{Exec, FileWrite, Sandbox, SandboxError};
use crate::synth::Repository;
use crate::testlog::{self, Statuses};
use crate::trajectory::{Exit, Observation};

/// Bytes kept of what the tests print.
const LOG_BYTES: usize = 4 << 20;

/// What the tests say of a mutation that they catch.
#[derive(Debug, Clone, Default)]
pub(super) struct Caught {
    pub(super) fail_to_pass: Vec<String>,
    pub(super) pass_to_pass: Vec<String>,
    /// What the failing tests say, first of all the one to show.
    pub(super) symptoms: Vec<Symptom>,
}

/// What became of a mutation.
#[derive(Debug)]
pub(super) enum Tried {
    Caught(Box<Caught>),
    Dropped(Reason),
}

/// The sandbox that trials are forked from.
pub(super) struct Prepared(Mutex<Box<dyn Sandbox>>);

impl Prepared {
    pub(super) fn new(sandbox: Box<dyn Sandbox>) -> Self {
        Self(Mutex::new(sandbox))
    }

    async fn fork(&self) -> Result<Box<dyn Sandbox>, SandboxError> {
        self.0.lock().await.fork().await
    }

    pub(super) async fn stop(self) -> Result<(), SandboxError> {
        self.0.into_inner().stop().await
    }
}

/// Tries a wave of mutations.
pub(super) async fn run_all(
    site: &Site<'_>,
    prepared: &Prepared,
    library: &Repository,
    clean: &Clean,
    wave: &[Planned],
) -> anyhow::Result<Vec<Tried>> {
    let trials = wave.iter().map(|planned| run(prepared, library, clean, planned));
    stream::iter(trials).buffered(site.workers.max(1)).try_collect().await
}

async fn run(
    prepared: &Prepared,
    library: &Repository,
    clean: &Clean,
    planned: &Planned,
) -> anyhow::Result<Tried> {
    let file = &planned.mutation.file;
    let text = planned.mutation.apply(&library.files[file]);
    if !mutate::parses(file, &text) {
        return Ok(Tried::Dropped(Reason::Unreadable));
    }
    let mut sandbox =
        prepared.fork().await.context("could not fork the sandbox in which mutations are tried")?;
    if let FileWrite::Refused(why) = sandbox.write(file, text.as_bytes()).await? {
        bail!("the sandbox does not let `{file}` be written: {why}");
    }
    let seen = test(&mut *sandbox, library, clean.deadline).await?;
    sandbox.stop().await?;
    Ok(judge(&statuses(library, &seen.output), &seen, clean))
}

/// Runs the tests as the grader does, from where the set-up left off; unlike there, other runs follow, so that
/// a change of directory must not stay.
pub(super) async fn test(
    sandbox: &mut dyn Sandbox,
    library: &Repository,
    deadline: Duration,
) -> Result<Observation, SandboxError> {
    let script = format!("(\n{}\n)", library.test_command);
    sandbox.exec(&Exec::new(&script, deadline, LOG_BYTES)).await
}

/// What the tests' output says of each test.
pub(super) fn statuses(library: &Repository, output: &str) -> Statuses {
    // A reader of ours never fails; where a dataset's raises, the run names no test.
    testlog::read(&library.parser, &testlog::Context::default(), output).unwrap_or_default()
}

fn judge(statuses: &Statuses, seen: &Observation, clean: &Clean) -> Tried {
    if seen.exit == Some(Exit::TimedOut) {
        return Tried::Dropped(Reason::TimedOut);
    }
    if statuses.is_empty() {
        return Tried::Dropped(Reason::NothingRan);
    }
    // A suite that lost tests was kept from running or from ending.
    if clean.known.iter().any(|id| !statuses.contains_key(id)) {
        return Tried::Dropped(Reason::TestsLost);
    }
    let (pass_to_pass, fail_to_pass): (Vec<String>, Vec<String>) =
        clean.passing.iter().cloned().partition(|id| statuses[id].is_pass());
    match (fail_to_pass.is_empty(), pass_to_pass.is_empty()) {
        (true, _) => Tried::Dropped(Reason::Unnoticed),
        (_, true) => Tried::Dropped(Reason::EverythingFails),
        _ => {
            let symptoms = symptom::symptoms(&seen.output, &fail_to_pass);
            Tried::Caught(Box::new(Caught { fail_to_pass, pass_to_pass, symptoms }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testlog::Status::{self, Failed, Passed};

    fn verdict(statuses: &[(&str, Status)], exit: Exit) -> String {
        let clean = Clean {
            passing: ["a", "b"].map(str::to_owned).into(),
            flaky: vec!["f".to_owned()],
            known: ["a", "b", "x"].map(str::to_owned).into(),
            deadline: Duration::from_secs(1),
        };
        let statuses = statuses.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect();
        match judge(&statuses, &Observation { exit: Some(exit), ..Observation::recorded("") }, &clean) {
            Tried::Caught(caught) => format!("{:?} {:?}", caught.fail_to_pass, caught.pass_to_pass),
            Tried::Dropped(reason) => reason.name().to_owned(),
        }
    }

    #[test]
    fn only_what_fails_some_tests_and_keeps_all_is_caught() {
        let code = Exit::Code(1);
        assert_eq!(verdict(&[("a", Failed), ("b", Passed), ("x", Failed)], code), r#"["a"] ["b"]"#);
        assert_eq!(verdict(&[("a", Passed), ("b", Passed), ("x", Passed), ("f", Failed)], code), "unnoticed");
        assert_eq!(verdict(&[("a", Failed), ("b", Failed), ("x", Failed)], code), "everything-fails");
        assert_eq!(verdict(&[("a", Failed), ("b", Passed)], code), "tests-lost");
        assert_eq!(verdict(&[], code), "nothing-ran");
        assert_eq!(verdict(&[("a", Failed), ("b", Passed), ("x", Failed)], Exit::TimedOut), "timed-out");
    }
}

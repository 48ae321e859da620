//! Running a task's tests so that their report reaches the grader.
//!
//! Guarantees that a report which a file holds was made by the run: a file of that name is removed first. pytest is
//! given our plug-in by its variables, so the test command stays as the task has it.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::sandbox::session::quote;
use crate::sandbox::{Exec, FileRead, Sandbox};
use crate::task::{ReportFormat, Tests};
use crate::testlog::Written;
use crate::testlog::report::PYTEST_PLUGIN;
use crate::trajectory::{Exit, Observation, Reported};

/// Bytes kept of a report: the events of 100 000 tests fit.
const REPORT_BYTES: usize = 128 << 20;
/// How long removing a file may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run of the tests gave.
pub(super) struct Run {
    pub(super) observation: Observation,
    /// What a file holds, where the report is one.
    pub(super) file: Option<Vec<u8>>,
}

impl Run {
    /// The report.
    pub(super) fn written(&self) -> Written<'_> {
        match (&self.file, &self.observation.report) {
            (None, None) => Written::Nothing,
            (None, Some(Reported { omitted_bytes: 1.., .. })) => Written::TooMuch(REPORT_BYTES),
            (Some(bytes), _) | (None, Some(Reported { bytes, .. })) => Written::Whole(bytes),
        }
    }
}

/// Runs the tests.
pub(super) async fn run(sandbox: &mut dyn Sandbox, tests: &Tests, exec: Exec<'_>) -> anyhow::Result<Run> {
    let Some(report) = &tests.report else {
        return Ok(Run { observation: sandbox.exec(&exec).await?, file: None });
    };
    let Some(path) = &report.path else {
        let script = match report.format {
            ReportFormat::PytestEvents => with_plug_in(&plug_in(sandbox).await?, exec.script),
            _ => exec.script.to_owned(),
        };
        let exec = Exec { script: &script, ..exec }.reporting(REPORT_BYTES);
        return Ok(Run { observation: sandbox.exec(&exec).await?, file: None });
    };
    let removal = format!("rm -rf -- {}", quote(path));
    let removed = sandbox.exec(&Exec::new(&removal, PATIENCE, 4096).fresh()).await?;
    ensure!(
        removed.exit.is_some_and(Exit::is_success),
        "could not remove `{path}` before the tests: {}",
        removed.output.trim_end()
    );
    let observation = sandbox.exec(&exec).await?;
    let file = match sandbox.read(path).await? {
        FileRead::File(bytes) => Some(bytes),
        FileRead::Directory | FileRead::Missing | FileRead::Refused(_) => None,
    };
    Ok(Run { observation, file })
}

/// Writes our plug-in into a directory of its own (a test's user could put modules into one that is shared), and gives
/// that. It comes before the test command, so that a plug-in which cannot be written is no failure of the tests.
async fn plug_in(sandbox: &mut dyn Sandbox) -> anyhow::Result<String> {
    let script = format!(
        "set -e\nplace=$(mktemp -d)\nprintf %s {} > \"$place/apprentice_events.py\"\nchmod -R a-w \"$place\"\n\
         printf '%s\\n' \"$place\"",
        quote(PYTEST_PLUGIN)
    );
    let done = sandbox.exec(&Exec::new(&script, PATIENCE, 4096).fresh()).await?;
    let place = done.output.lines().last().filter(|_| done.exit.is_some_and(Exit::is_success));
    place.map(str::to_owned).with_context(|| {
        format!("could not write our plug-in for pytest into the sandbox: {}", done.output.trim_end())
    })
}

/// The test command, with our plug-in where pytest finds it.
fn with_plug_in(place: &str, command: &str) -> String {
    let place = quote(place);
    format!(
        "export PYTHONPATH={place}\"${{PYTHONPATH:+:$PYTHONPATH}}\"\n\
         export PYTEST_ADDOPTS=\"-p apprentice_events${{PYTEST_ADDOPTS:+ $PYTEST_ADDOPTS}}\"\n{command}"
    )
}

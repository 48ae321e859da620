//! A run as the harness makes it: its chain of commands on the patch, then the row's script, with the image's own git.
//!
//! Unlike the harness it runs in our sandbox, with our limits, without a network unless the sandbox has one, and
//! without `CAP_SYS_ADMIN`; a deadline ends all processes. The sandbox is thrown away, and nothing of it is believed
//! by our own grade.

use std::time::Duration;

use anyhow::{Context as _, anyhow};

use super::{Files, Reference, Source};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, Exec, FileWrite, Sandbox, Start};
use crate::swe_bench::row::Row;
use crate::swe_bench::{Harness, chain};
use crate::trajectory::{Exit, Observation};

/// Where the harness puts the patch.
const PATCH: &str = "/tmp/patch.diff";
/// Where the script lies; the harness has it at the root.
const SCRIPT: &str = "/tmp/eval.sh";
/// How long a command on a patch may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes kept of a command's output on a patch, and of the tests'.
const STEP_BYTES: usize = 16 << 10;
const LOG_BYTES: usize = 16 << 20;

/// Where the run is made.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// Starts the sandbox.
    pub backend: &'a dyn Backend,
    /// The sandbox, whose image holds the repository.
    pub spec: &'a SandboxSpec,
    /// How long the script may take.
    pub deadline: Duration,
}

/// Runs a row's script on a patch.
///
/// # Errors
/// When the row has no script, or the sandbox fails: nothing is known then.
pub async fn run(bench: Bench<'_>, harness: Harness, row: &Row, patch: &str) -> anyhow::Result<Reference> {
    let script = row.script(harness).context("the row has no script")?;
    let mut sandbox = bench.backend.start(&Start { spec: bench.spec, tree: None }).await?;
    let done = in_sandbox(&mut *sandbox, bench.deadline, (harness, row), (patch, &script)).await;
    if let Err(error) = sandbox.stop().await {
        // What is left behind is for `sandbox prune`; it neither hides why the run failed nor undoes one that ended.
        tracing::warn!(%error, id = row.instance_id, "could not stop the sandbox");
    }
    let mut reference = Reference { row: row.digest(), ..done? };
    reference.files.get_or_insert_default().script = Some(script);
    Ok(reference)
}

async fn in_sandbox(
    sandbox: &mut dyn Sandbox,
    deadline: Duration,
    (harness, row): (Harness, &Row),
    (patch, script): (&str, &str),
) -> anyhow::Result<Reference> {
    put(sandbox, PATCH, patch).await?;
    put(sandbox, SCRIPT, script).await?;
    let mut log = String::new();
    let mut applied = None;
    for attempt in chain::attempts(harness, PATCH) {
        let done = sandbox.exec(&Exec::new(&attempt.script, PATIENCE, STEP_BYTES).fresh()).await?;
        log.push_str(&format!("{}: {:?}\n{}\n", attempt.name, done.exit, done.output.trim_end()));
        if done.exit.is_some_and(Exit::is_success) {
            applied = Some(attempt.name.to_owned());
            break;
        }
    }
    let mut reference = if applied.is_some() {
        let script = format!("bash {SCRIPT}");
        let exec = Exec::new(&script, deadline, LOG_BYTES).fresh();
        judged(sandbox.exec(&exec).await?, deadline, (harness, row), patch)
    } else {
        let reason = "no command of the harness applies the patch";
        Reference { from: Source::OwnRun, ..Reference::nothing(harness, Some(false), reason) }
    };
    reference.applied_by = applied;
    reference.files.get_or_insert_default().log = log;
    Ok(reference)
}

fn judged(done: Observation, deadline: Duration, (harness, row): (Harness, &Row), patch: &str) -> Reference {
    if done.exit != Some(Exit::TimedOut) {
        return Reference::of_log(harness, Source::OwnRun, row, (patch, done.output));
    }
    let reason = "the tests overran their deadline";
    let seconds = deadline.as_secs();
    let output = Some(format!("{}\n\nTimeout error: {seconds} seconds exceeded.", done.output));
    Reference {
        from: Source::OwnRun,
        files: Some(Files { output, ..Files::default() }),
        ..Reference::nothing(harness, Some(false), reason)
    }
}

async fn put(sandbox: &mut dyn Sandbox, path: &str, text: &str) -> anyhow::Result<()> {
    match sandbox.write(path, text.as_bytes()).await? {
        FileWrite::Written => Ok(()),
        FileWrite::Refused(reason) => {
            Err(anyhow!("could not write `{path}` into the sandbox of the reference run: {reason}"))
        }
    }
}

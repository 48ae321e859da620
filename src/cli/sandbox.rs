//! `apprentice sandbox`: build, run, shell, list, prune.

mod build;
mod list;
mod prune;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::failure::{Answer, Failure};
use super::output::Output;
use super::shell::{self, Shell};
use crate::isolation::Isolation;
use crate::sandbox::select::{BackendKind, Choice, Selection};
use crate::sandbox::session::quote;
use crate::sandbox::spec::{SandboxSpec, SpecError};
use crate::sandbox::{Contact, Exec, Sandbox, SandboxError, Start, Streams};
use crate::trajectory::{Apart, Exit, Observation};

/// Build, run, list and prune sandboxes
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Build(build::Args),
    /// Run one command in a new sandbox
    Run(Run),
    /// Talk to a shell in a new sandbox; where stdin is no terminal, run its lines one after the other
    Shell(Shell),
    List(list::Args),
    Prune(prune::Args),
}

/// Where sandboxes run; flattened into every command that starts one.
#[derive(Debug, Clone, clap::Args)]
pub struct BackendArgs {
    /// Run sandboxes in: auto, docker, namespaces or landlock
    #[arg(long = "sandbox", value_name = "KIND", default_value_t = BackendKind::Auto)]
    pub kind: BackendKind,
    /// Run with less protection than the full set, and record it
    #[arg(long)]
    pub accept_weaker_isolation: bool,
    /// Directory of sandbox kinds, beside those that are shipped
    #[arg(long, value_name = "DIR", default_value = "sandboxes")]
    pub sandboxes: PathBuf,
}

impl BackendArgs {
    /// The specification called `name`.
    ///
    /// # Errors
    /// [`Failure`] with a hint when there is none or it is invalid.
    pub fn spec(&self, name: &str) -> Result<SandboxSpec, Failure> {
        load(name, &self.sandboxes)
    }

    /// What the user chose, for callers that select a backend for each task.
    ///
    /// # Errors
    /// [`Failure`] of the host.
    pub fn choice(&self) -> Result<Choice, Failure> {
        Choice::new(self.kind, self.isolation()).map_err(failure)
    }

    /// Whether the user accepts less protection.
    pub fn isolation(&self) -> Isolation {
        if self.accept_weaker_isolation { Isolation::AcceptWeaker } else { Isolation::Full }
    }

    /// The backend for sandboxes of `spec`, whose image is pulled if need be while `output` is told.
    ///
    /// # Errors
    /// [`Failure`] of the host, with a hint.
    pub async fn select(&self, spec: &SandboxSpec, output: Output) -> Result<Selection, Failure> {
        let specs = [Arc::new(spec.clone())];
        let selected = self.choice()?.backends(&specs, &|line| output.say(line)).await.map_err(failure)?;
        Ok(selected.into_iter().next().expect("invariant: one was asked for"))
    }
}

/// Makes a command's failure of a sandbox's error.
pub fn failure(error: SandboxError) -> Failure {
    let hint = error.hint().map(str::to_owned);
    let failure = Failure::host(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn load(name: &str, directory: &Path) -> Result<SandboxSpec, Failure> {
    SandboxSpec::load(name, directory).map_err(|error| {
        let hint = error.hint();
        let failure = match &error {
            SpecError::Unknown { .. } => Failure::usage(error),
            SpecError::Unreadable { .. } | SpecError::Invalid { .. } => Failure::input(error),
        };
        failure.with_hint(hint)
    })
}

/// Runs a command's asynchronous part.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::host)?;
    runtime.block_on(work)
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    block_on(async {
        match args.verb {
            Verb::Build(args) => build::run(&args, output).await,
            Verb::Run(args) => run_one(args, output).await,
            Verb::Shell(args) => shell::shell(args, output).await,
            Verb::List(args) => list::run(&args, output).await,
            Verb::Prune(args) => prune::run(&args, output).await,
        }
    })
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The sandbox's name, such as `shell` or `python`
    name: String,
    /// Copy this directory into the work directory
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Kill the command after this many seconds (default: the sandbox's limit)
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    #[command(flatten)]
    backend: BackendArgs,
    /// The command: one argument is a script, several are a program with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RunResult<'a> {
    format: &'static str,
    sandbox: &'a str,
    backend: &'a str,
    #[serde(flatten)]
    observation: &'a Observation,
    /// Hosts that it asked the proxy for, where there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contacts: Vec<Contact>,
    /// Beside the joint output.
    #[serde(flatten)]
    apart: &'a Apart,
}

async fn run_one(args: Run, output: Output) -> Result<Answer, Failure> {
    let spec = args.backend.spec(&args.name)?;
    let timeout = match args.timeout {
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(Failure::usage)?,
        None => spec.limits.command_timeout(),
    };
    let script = match &args.command[..] {
        [script] => script.clone(),
        words => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
    };
    let (backend, mut sandbox) = start(&args.backend, &spec, args.tree.as_deref(), output).await?;
    let exec =
        Exec { streams: Streams::Apart, ..Exec::new(&script, timeout, spec.limits.output_bytes).fresh() };
    let observed = sandbox.exec(&exec).await;
    let contacts = sandbox.contacts();
    let stopped = sandbox.stop().await;
    let mut observation = observed.map_err(failure)?;
    stopped.map_err(failure)?;
    if let Some(summary) = Contact::summary(&contacts) {
        output.say(&format!("the command {summary}"));
    }
    let apart = observation.apart.take().unwrap_or_default();
    if output.is_json() {
        let value = RunResult {
            format: "apprentice.command/1",
            sandbox: &spec.name,
            backend,
            observation: &observation,
            contacts,
            apart: &apart,
        };
        output.result(&value, "").map_err(Failure::host)?;
    } else if output.is_one_place() {
        output.data(observation.output.as_bytes()).map_err(Failure::host)?;
    } else {
        output.both(&apart.stdout, &apart.stderr).map_err(Failure::host)?;
    }
    Ok(answer(&observation, output))
}

pub(super) fn answer(observation: &Observation, output: Output) -> Answer {
    let how = match observation.exit {
        Some(exit) if exit.is_success() => return Answer::Yes,
        Some(Exit::Code(code)) => format!("exited with code {code}"),
        Some(Exit::Signal(signal)) => format!("was ended by signal {signal}"),
        Some(Exit::TimedOut) => {
            format!("was killed at its deadline, after {:.1} s", observation.elapsed_seconds)
        }
        Some(Exit::OutOfMemory) => "was killed at its memory limit".to_owned(),
        None => "ended".to_owned(),
    };
    output.say(&format!("the command {how}"));
    Answer::No
}

pub(super) async fn start(
    args: &BackendArgs,
    spec: &SandboxSpec,
    tree: Option<&Path>,
    output: Output,
) -> Result<(&'static str, Box<dyn Sandbox>), Failure> {
    if let Some(tree) = tree
        && !tree.is_dir()
    {
        return Err(Failure::usage(anyhow::anyhow!("`{}` is not a directory", tree.display()))
            .with_hint("name a directory with `--tree`"));
    }
    let selection = args.select(spec, output).await?;
    output.say(&selection.line);
    let sandbox = selection.backend.start(&Start { spec, tree }).await.map_err(failure)?;
    Ok((selection.backend.name(), sandbox))
}

//! `apprentice quickstart`: the whole loop on embedded data.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use super::failure::{Answer, Failure};
use super::interrupt;
use super::output::Output;
use super::progress::Progress;
use super::sandbox::failure as sandbox_failure;
use crate::event::{Event, EventSink as _, MethodRow, Tee};
use crate::isolation::Isolation;
use crate::quickstart::plan::Plan;
use crate::quickstart::{Ending, Quickstart};
use crate::report;
use crate::run::{Manifest, RunDir, RunError};
use crate::sandbox::SandboxError;
use crate::sandbox::select::{BackendKind, Choice, Selection};
use crate::sandbox::spec::SandboxSpec;

/// Run the whole loop on embedded data: tasks, experts, a small student, SFT and SRL, a table
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run directory; an interrupted run in it goes on
    #[arg(long, value_name = "DIR", default_value = "runs/quickstart")]
    out: PathBuf,
    /// Run sandboxes in: auto, docker, namespaces or landlock
    #[arg(long = "sandbox", value_name = "KIND", default_value_t = BackendKind::Auto)]
    kind: BackendKind,
    /// Seed of every random choice
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Change a number of the plan, such as srl.rate=1e-4 (recipes/quickstart.yaml)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    changes: Vec<String>,
}

#[derive(Serialize)]
struct Table<'a> {
    format: &'static str,
    rows: &'a [MethodRow],
    seconds: f64,
}

/// Runs the command.
///
/// # Errors
/// A wrong `--set`, a run directory of another run, or a host that cannot run sandboxes.
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments")]
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    let started = std::time::Instant::now();
    let plan = Plan::load(&args.changes).map_err(|error| {
        Failure::usage(error).with_hint("see recipes/quickstart.yaml for the keys and their values")
    })?;
    let spec = Arc::new(SandboxSpec::load("shell", Path::new("sandboxes")).map_err(Failure::input)?);
    let (selection, isolation) = select(args.kind, &spec)?;
    let run_dir = open(&args, &plan, &selection, isolation)?;
    let stop = interrupt::flag();
    let ending = go(&args, &plan, &spec, &selection, &run_dir, &stop, output)?;
    let Ending::Done(rows) = ending else {
        let command = format!("apprentice quickstart --out {} --seed {}", args.out.display(), args.seed);
        return Err(Failure::interrupted(anyhow::anyhow!("interrupted; what is done is kept"))
            .with_hint(format!("continue with `{command}`")));
    };
    let page = args.out.join("report.html");
    report::gather(std::slice::from_ref(&args.out))?.write(&page).map_err(Failure::host)?;
    output.say(&format!("{:>12} {}", "Wrote", page.display()));
    let seconds = started.elapsed().as_secs_f64();
    let table = Table { format: "apprentice.quickstart/1", rows: &rows, seconds };
    output.result(&table, &report::table::table(&rows)).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn go(
    args: &Args,
    plan: &Plan,
    spec: &Arc<SandboxSpec>,
    selection: &Selection,
    run_dir: &RunDir,
    stop: &AtomicBool,
    output: Output,
) -> Result<Ending, Failure> {
    let mut events = Tee::new().with(run_dir.events().map_err(Failure::host)?).with(Progress::new(output));
    events.emit(&Event::Note { text: selection.line.clone() }).map_err(Failure::host)?;
    let backend = &selection.backend;
    let quickstart = Quickstart { plan, seed: args.seed, dir: run_dir.path(), backend, spec, stop };
    quickstart.run(&mut events).map_err(Failure::host)
}

/// Hundreds of short-lived sandboxes: namespaces start in milliseconds, containers in tenths of a second, so
/// `auto` asks for namespaces first. The tasks and the student are our own, so where neither is to be had, this
/// command alone may fall to Landlock by itself.
fn select(kind: BackendKind, spec: &SandboxSpec) -> Result<(Selection, Isolation), Failure> {
    let asked: &[(BackendKind, Isolation)] = match kind {
        BackendKind::Auto => &[
            (BackendKind::Namespaces, Isolation::Full),
            (BackendKind::Docker, Isolation::Full),
            (BackendKind::Landlock, Isolation::AcceptWeaker),
        ],
        BackendKind::Landlock => &[(BackendKind::Landlock, Isolation::AcceptWeaker)],
        BackendKind::Docker => &[(BackendKind::Docker, Isolation::Full)],
        BackendKind::Namespaces => &[(BackendKind::Namespaces, Isolation::Full)],
    };
    super::sandbox::block_on(async {
        let mut first: Option<SandboxError> = None;
        for &(kind, isolation) in asked {
            let choice = Choice::new(kind, isolation).map_err(sandbox_failure)?;
            match choice.backend(spec).await {
                Ok(selection) => return Ok((selection, isolation)),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(sandbox_failure(first.expect("invariant: something was asked for")))
    })
}

/// Begins a run, or goes on with the same one.
fn open(args: &Args, plan: &Plan, selection: &Selection, isolation: Isolation) -> Result<RunDir, Failure> {
    let recipe = serde_json::to_value(plan).map_err(Failure::usage)?;
    let mut manifest = Manifest::new(std::env::args(), recipe);
    manifest.seeds.insert("run".to_owned(), args.seed);
    manifest.digests.sandboxes.insert("shell".to_owned(), selection.made_of.clone());
    manifest.protection = Some(selection.protection.clone());
    manifest.isolation = isolation;
    let begun = args.out.join("manifest.json").exists();
    let opened =
        if begun { RunDir::resume(&args.out, &manifest) } else { RunDir::create(&args.out, manifest) };
    opened.map_err(|error: RunError| {
        let hint = error.hint();
        Failure::usage(error).with_hint(hint)
    })
}

//! `apprentice task`.

mod import;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde_json::{Value, json};

use super::certificates;
use super::failure::{Answer, Failure};
use super::output::Output;
use crate::task::Kind;
use crate::task_dir;

/// List, check, import and synthesise tasks
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    List(ListArgs),
    Show(ShowArgs),
    Check(super::check::Args),
    Import(import::Args),
    Synth(super::synth::Args),
}

/// List the tasks of a directory
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// The tasks' directory
    #[arg(long, value_name = "DIR", default_value = "tasks")]
    tasks: PathBuf,
}

/// Show one task
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The task's id
    id: String,
    /// The tasks' directory
    #[arg(long, value_name = "DIR", default_value = "tasks")]
    tasks: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    match args.verb {
        Verb::List(args) => list(&args, output),
        Verb::Show(args) => show(&args, output),
        Verb::Check(args) => super::check::run(&args, output),
        Verb::Import(args) => import::run(&args, output),
        Verb::Synth(args) => super::synth::run(args, output),
    }
}

fn list(args: &ListArgs, output: Output) -> Result<Answer, Failure> {
    let tasks = task_dir::load_all(&args.tasks).map_err(Failure::input)?;
    if tasks.is_empty() {
        let failure = Failure::nothing(anyhow!("`{}` holds no task", args.tasks.display()));
        return Err(
            failure.with_hint("write one, or use `apprentice task import` or `apprentice task synth`")
        );
    }
    let width = tasks.keys().map(String::len).max().unwrap_or_default();
    let mut text = String::new();
    let mut rows: Vec<Value> = Vec::new();
    for (id, loaded) in &tasks {
        let task = &loaded.task;
        let (kind, first) = (kind_name(task.kind), task.problem.trim().lines().next().unwrap_or_default());
        let first: String = first.chars().take(80).collect();
        let certificate = certificates::word(loaded)?;
        text.push_str(&format!("{id:width$}  {kind}  {:9}  {first}\n", certificate.unwrap_or("–")));
        let tests = task.tests.as_ref();
        rows.push(json!({
            "id": id,
            "kind": kind,
            "problem": first,
            "sandbox": task.sandbox.as_ref().map(|sandbox| &sandbox.like),
            "fail_to_pass": tests.map(|tests| tests.fail_to_pass.len()),
            "pass_to_pass": tests.map(|tests| tests.pass_to_pass.len()),
            "gold": task.gold.is_some(),
            "certificate": certificate,
        }));
    }
    output.result(&json!({"format": "apprentice.tasks/1", "tasks": rows}), &text).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Code => "code",
        Kind::Math => "math",
    }
}

fn show(args: &ShowArgs, output: Output) -> Result<Answer, Failure> {
    let dir = args.tasks.join(&args.id);
    if !dir.join(task_dir::FILE).is_file() {
        return Err(unknown(&args.id, &args.tasks));
    }
    let loaded = task_dir::load(&dir).map_err(Failure::input)?;
    output.result(&loaded.task, &loaded.task.to_yaml()).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

/// The failure of naming a task that is not there.
pub(super) fn unknown(id: &str, tasks: &Path) -> Failure {
    let failure = Failure::usage(anyhow!("`{}` holds no task `{id}`", tasks.display()));
    failure.with_hint("see `apprentice task list`")
}

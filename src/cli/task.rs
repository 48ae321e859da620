//! `apprentice task`.

mod import;

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde_json::{Value, json};

use super::failure::{Answer, Failure};
use super::grade;
use super::output::Output;
use super::sandboxes::HostArgs;
use crate::grade::{JobPrediction, Outcome, Verdict};
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
    Check(CheckArgs),
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

/// Check that tasks are fair: the gold patch resolves each, and doing nothing does not
#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// The tasks' ids; all of them without one
    ids: Vec<String>,
    /// The tasks' directory
    #[arg(long, value_name = "DIR", default_value = "tasks")]
    tasks: PathBuf,
    #[command(flatten)]
    host: HostArgs,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    match args.verb {
        Verb::List(args) => list(&args, output),
        Verb::Show(args) => show(&args, output),
        Verb::Check(args) => check(&args, output),
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
        text.push_str(&format!("{id:width$}  {kind}  {first}\n"));
        let tests = task.tests.as_ref();
        rows.push(json!({
            "id": id,
            "kind": kind,
            "problem": first,
            "sandbox": task.sandbox.as_ref().map(|sandbox| &sandbox.like),
            "fail_to_pass": tests.map(|tests| tests.fail_to_pass.len()),
            "pass_to_pass": tests.map(|tests| tests.pass_to_pass.len()),
            "gold": task.gold.is_some(),
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

fn unknown(id: &str, tasks: &Path) -> Failure {
    let failure = Failure::usage(anyhow!("`{}` holds no task `{id}`", tasks.display()));
    failure.with_hint("see `apprentice task list`")
}

fn check(args: &CheckArgs, output: Output) -> Result<Answer, Failure> {
    let mut tasks = grade::load_tasks(&args.tasks)?;
    if let Some(id) = args.ids.iter().find(|id| !tasks.contains_key(*id)) {
        return Err(unknown(id, &args.tasks));
    }
    tasks.retain(|id, _| args.ids.is_empty() || args.ids.contains(id));
    if let Some(id) = tasks.iter().find(|(_, loaded)| loaded.task.gold.is_none()).map(|(id, _)| id) {
        return Err(Failure::input(anyhow!("task `{id}` has no gold patch to check it by")));
    }
    let both = |id: &String| [(id.clone(), JobPrediction::Gold), (id.clone(), JobPrediction::Noop)];
    let verdicts = grade::grade_alone(&args.host, &tasks, tasks.keys().flat_map(both).collect(), output)?;
    let width = tasks.keys().map(String::len).max().unwrap_or_default();
    let (mut text, mut rows, mut is_all_fair) = (String::new(), Vec::new(), true);
    for pair in verdicts.chunks(2) {
        let fault = unfair(&pair[0], &pair[1]);
        is_all_fair &= fault.is_none();
        let (id, word) = (&pair[0].id, fault.as_deref().unwrap_or("fair"));
        text.push_str(&format!("{id:width$}  {word}\n"));
        rows.push(json!({
            "id": id,
            "fair": fault.is_none(),
            "gold": pair[0].outcome,
            "noop": pair[1].outcome,
            "reason": fault,
        }));
    }
    output.result(&json!({"format": "apprentice.check/1", "tasks": rows}), &text).map_err(Failure::host)?;
    Ok(if is_all_fair { Answer::Yes } else { Answer::No })
}

/// What is wrong with a task that graded its gold patch and its starting point like this.
fn unfair(gold: &Verdict, noop: &Verdict) -> Option<String> {
    match (gold.outcome, noop.outcome) {
        (Outcome::Resolved, Outcome::Unresolved | Outcome::TimedOut) => None,
        (Outcome::Resolved, Outcome::Resolved) => Some("doing nothing resolves it".to_owned()),
        (Outcome::Resolved, _) => Some(format!("doing nothing: {}: {}", noop.outcome.name(), noop.reason)),
        (outcome, _) => Some(format!("the gold patch: {}: {}", outcome.name(), gold.reason)),
    }
}

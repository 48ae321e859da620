//! `apprentice task`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use super::failure::{Answer, Failure};
use super::grade;
use super::output::Output;
use super::sandboxes::{HostArgs, cache_dir};
use crate::grade::{JobPrediction, Outcome, Verdict};
use crate::import::swe_bench;
use crate::task::{Kind, Repo, Task};
use crate::{task_dir, workspace};

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
    Import(ImportArgs),
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

/// Turn other projects' tasks into ours
#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// The source's format
    #[arg(long, value_name = "FORMAT", value_parser = ["swe-bench"], default_value = "swe-bench")]
    from: String,
    /// The instances: JSON or JSONL
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Where the repository comes from: a clone, a directory, a bundle, a source archive or a URL
    /// (default: GitHub)
    #[arg(long, value_name = "PATH_OR_URL")]
    repo: Option<String>,
    /// The repository is already repaired: start from it with the gold patch taken back
    #[arg(long, requires = "repo")]
    reverse_gold: bool,
    /// The sandbox that the tasks name
    #[arg(long, value_name = "NAME", default_value = "python")]
    sandbox_name: String,
    /// A command of the set-up, whose result every episode and every grade begins with (repeatable)
    #[arg(long, value_name = "CMD")]
    setup: Vec<String>,
    /// Where the tasks' directories are written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where clones are kept (default: the user's cache directory)
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
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
        Verb::Import(args) => import(&args, output),
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
            "sandbox": task.sandbox,
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
        (Outcome::Resolved, Outcome::Unresolved | Outcome::Partial | Outcome::TimedOut) => None,
        (Outcome::Resolved, Outcome::Resolved) => Some("doing nothing resolves it".to_owned()),
        (Outcome::Resolved, _) => Some(format!("doing nothing: {}: {}", noop.outcome.name(), noop.reason)),
        (outcome, _) => Some(format!("the gold patch: {}: {}", outcome.name(), gold.reason)),
    }
}

fn import(args: &ImportArgs, output: Output) -> Result<Answer, Failure> {
    let text = fs_err::read_to_string(&args.source).map_err(Failure::usage)?;
    let options = swe_bench::Options {
        repo: args.repo.as_deref().map(repo_of).transpose()?,
        sandbox: args.sandbox_name.clone(),
        setup: args.setup.clone(),
    };
    let mut imported = swe_bench::import(&text, &options)
        .with_context(|| format!("could not import `{}`", args.source.display()))
        .map_err(Failure::input)?;
    let mut ids = Vec::new();
    for mut task in imported.tasks {
        if args.reverse_gold
            && let Err(error) = take_gold_back(&mut task, args)
        {
            imported.refused.push((task.id, format!("{error:#}")));
            continue;
        }
        task_dir::save(&task, &args.out).map_err(Failure::host)?;
        ids.push(task.id);
    }
    if ids.is_empty() {
        let why = imported.refused.first().map(|(id, why)| format!(": {id}: {why}")).unwrap_or_default();
        return Err(Failure::nothing(anyhow!("`{}` gave no task{why}", args.source.display())));
    }
    let mut text = format!("Imported {} tasks to {}\n", ids.len(), args.out.display());
    for (id, why) in &imported.refused {
        text.push_str(&format!("Refused {id}: {why}\n"));
    }
    let refused: Vec<Value> =
        imported.refused.iter().map(|(id, why)| json!({"id": id, "reason": why})).collect();
    let value = json!({"format": "apprentice.import/1", "tasks": ids, "refused": refused});
    output.result(&value, &text).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn take_gold_back(task: &mut Task, args: &ImportArgs) -> anyhow::Result<()> {
    let gold = task.gold.clone().context("it has no gold patch to take back")?;
    let repo = task.repo.as_mut().context("it has no repository")?;
    let dir = args.out.join(&task.id);
    repo.patch = Some(workspace::reversed_archive_patch(repo, &dir, &cache_dir(args.cache.as_ref()), &gold)?);
    Ok(())
}

/// The source that a path or URL names.
fn repo_of(text: &str) -> Result<Repo, Failure> {
    let path = Path::new(text);
    if !path.exists() {
        if text.contains("://") || (text.contains(':') && text.contains('@')) {
            return Ok(Repo { git: Some(text.to_owned()), ..Repo::default() });
        }
        return Err(Failure::usage(anyhow!("the repository `{text}` does not exist")));
    }
    let full = fs_err::canonicalize(path).map_err(Failure::host)?.to_string_lossy().into_owned();
    let is_git = path.join(".git").exists() || path.join("HEAD").is_file();
    Ok(match (path.is_dir(), is_git) {
        (true, true) => Repo { git: Some(full), ..Repo::default() },
        (true, false) => Repo { path: Some(full), ..Repo::default() },
        _ if text.ends_with(".bundle") => Repo { bundle: Some(full), ..Repo::default() },
        _ => Repo { archive: Some(full), ..Repo::default() },
    })
}

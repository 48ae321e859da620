//! `apprentice trajectory`: import, show, replay, audit, and what a student learns from it.

mod audit;
mod curation;
mod described;
mod examples;
mod export;
mod replay;
mod show;
#[cfg(feature = "train")]
mod tokens;
#[cfg(not(feature = "train"))]
#[path = "trajectory/no_tokens.rs"]
mod tokens;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::failure::{Answer, Failure};
use super::output::Output;
use crate::fsio;
use crate::import::{self, Imported, Options, Reject, TrajectoryFormat};
use crate::trajectory::Trajectory;

/// Import, show, replay, audit and export trajectories, and turn them into examples
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Import(ImportArgs),
    Show(show::Args),
    Replay(replay::Args),
    Audit(audit::Args),
    Examples(examples::Args),
    Export(export::Args),
}

/// Read recorded trajectories of any known format into one JSONL file
#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// Files, or directories whose `.traj` and `.jsonl` files are read
    #[arg(required = true)]
    sources: Vec<PathBuf>,
    /// The format of the sources; found by looking when absent
    #[arg(long)]
    from: Option<String>,
    /// Where the trajectories are written
    #[arg(long)]
    out: PathBuf,
    /// Leave records out that cannot be read, and list them in `rejects.jsonl` beside the output
    #[arg(long)]
    keep_going: bool,
    /// File every trajectory under this task
    #[arg(long)]
    task: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    match args.command {
        Command::Import(args) => run_import(&args, output),
        Command::Show(args) => show::run(&args, output),
        Command::Replay(args) => replay::run(&args, output),
        Command::Audit(args) => audit::run(&args, output),
        Command::Examples(args) => examples::run(&args, output),
        Command::Export(args) => export::run(&args, output),
    }
}

fn run_import(args: &ImportArgs, output: Output) -> Result<Answer, Failure> {
    let format = args.from.as_deref().map(named_format).transpose()?;
    let options = Options { format, task: args.task.as_deref() };
    let files = import::files(&args.sources).map_err(Failure::input)?;
    let mut imported = Imported::default();
    for file in &files {
        let found = import::read_file(file, options).map_err(Failure::input)?;
        if let (false, Some(reject)) = (args.keep_going, found.rejects.first()) {
            return Err(refusal(reject));
        }
        imported.trajectories.extend(found.trajectories);
        imported.rejects.extend(found.rejects);
    }
    let rejects = rejects_path(&args.out);
    if !imported.rejects.is_empty() {
        fsio::write_json_lines(&rejects, &imported.rejects).map_err(Failure::host)?;
    }
    if imported.trajectories.is_empty() {
        let failure = Failure::nothing(anyhow::anyhow!("no trajectory was found in {} files", files.len()));
        return Err(failure.with_hint("name files, or directories with `.traj` or `.jsonl` files"));
    }
    distinct_ids(&mut imported.trajectories);
    fsio::write_json_lines(&args.out, &imported.trajectories).map_err(Failure::host)?;
    report_import(&imported, &args.out, &rejects, output)?;
    Ok(Answer::Yes)
}

fn named_format(name: &str) -> Result<&'static dyn TrajectoryFormat, Failure> {
    import::format(name).ok_or_else(|| {
        let known: Vec<&str> = import::FORMATS.iter().map(|format| format.name()).collect();
        Failure::usage(anyhow::anyhow!("`{name}` is no format of trajectories"))
            .with_hint(format!("use one of: {}", known.join(", ")))
    })
}

fn refusal(reject: &Reject) -> Failure {
    let source =
        anyhow::Error::new(reject.clone()).context(format!("could not import `{}`", reject.file.display()));
    Failure::input(source).with_hint(reject.remedy.clone())
}

fn rejects_path(out: &Path) -> PathBuf {
    out.parent().unwrap_or(Path::new("")).join("rejects.jsonl")
}

/// Files of the same name in two directories give the same id; the later ones get a number.
fn distinct_ids(trajectories: &mut [Trajectory]) {
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for trajectory in trajectories {
        let count = seen.entry(trajectory.id.clone()).or_default();
        *count += 1;
        if 1 < *count {
            trajectory.id = format!("{}#{count}", trajectory.id);
        }
    }
}

fn report_import(imported: &Imported, out: &Path, rejects: &Path, output: Output) -> Result<(), Failure> {
    let steps: usize = imported.trajectories.iter().map(|trajectory| trajectory.steps.len()).sum();
    let listed: Vec<Value> = imported
        .trajectories
        .iter()
        .map(|t| json!({"id": t.id, "task": t.task, "steps": t.steps.len(), "file": t.source.file}))
        .collect();
    let value = json!({
        "format": "apprentice.import/1",
        "trajectories": listed,
        "steps": steps,
        "rejected": imported.rejects.len(),
        "out": out.display().to_string(),
    });
    let mut human = format!(
        "Imported {steps} steps from {} trajectories into {}",
        imported.trajectories.len(),
        out.display()
    );
    if !imported.rejects.is_empty() {
        human.push_str(&format!(" ({} rejected, see {})", imported.rejects.len(), rejects.display()));
    }
    output.result(&value, &human).map_err(Failure::host)
}

/// Reads a file of any known format; a bad record is a failure.
fn read_all(file: &Path) -> Result<Vec<Trajectory>, Failure> {
    let imported = import::read_file(file, Options::default()).map_err(Failure::input)?;
    match imported.rejects.first() {
        Some(reject) => Err(refusal(reject)),
        None if imported.trajectories.is_empty() => {
            Err(Failure::nothing(anyhow::anyhow!("`{}` holds no trajectory", file.display())))
        }
        None => Ok(imported.trajectories),
    }
}

fn unknown_task(trajectory: &Trajectory, tasks: &Path) -> Failure {
    let source = anyhow::anyhow!(
        "trajectory `{}`: task `{}` is not in `{}`",
        trajectory.id,
        trajectory.task,
        tasks.display()
    );
    Failure::usage(source).with_hint("import the task, or file the trajectory under another with `--task`")
}

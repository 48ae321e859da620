//! `apprentice trajectory`: import, show, replay, and what a student learns from it.

mod import_files;
mod replay;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::failure::{Answer, Failure};
use super::output::Output;
use crate::chat::{self, Scaffold};
use crate::import::{self, Options};
use crate::trajectory::{Action, Trajectory};
use crate::{example, fsio, task_dir};

/// Import, show and replay trajectories, and turn them into examples
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Import(import_files::Args),
    Show(ShowArgs),
    Replay(replay::Args),
    Examples(ExamplesArgs),
}

/// Show trajectories step by step
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// A file of any known format
    file: PathBuf,
    /// Only the trajectory with this id
    #[arg(long)]
    id: Option<String>,
}

/// Write what a student sees before each of the expert's steps, and the expert's reply
#[derive(Debug, clap::Args)]
struct ExamplesArgs {
    /// A file of trajectories
    file: PathBuf,
    /// The directory of the tasks
    #[arg(long)]
    tasks: PathBuf,
    /// Where the examples are written
    #[arg(long)]
    out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    match args.command {
        Command::Import(args) => import_files::run(&args, output),
        Command::Show(args) => run_show(&args, output),
        Command::Replay(args) => replay::run(&args, output),
        Command::Examples(args) => run_examples(&args, output),
    }
}

/// Reads a file of any known format; a bad record is a failure.
fn read_all(file: &Path) -> Result<Vec<Trajectory>, Failure> {
    let imported = import::read_file(file, Options::default()).map_err(Failure::input)?;
    match imported.rejects.first() {
        Some(reject) => Err(import_files::refusal(reject)),
        None if imported.trajectories.is_empty() => {
            Err(Failure::nothing(anyhow::anyhow!("`{}` holds no trajectory", file.display())))
        }
        None => Ok(imported.trajectories),
    }
}

fn run_show(args: &ShowArgs, output: Output) -> Result<Answer, Failure> {
    let wanted = |t: &&Trajectory| args.id.as_ref().is_none_or(|id| *id == t.id);
    let all = read_all(&args.file)?;
    let chosen: Vec<&Trajectory> = all.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let ids: Vec<&str> = all.iter().map(|t| t.id.as_str()).collect();
        let failure = Failure::nothing(anyhow::anyhow!("no trajectory has this id"));
        return Err(failure.with_hint(format!("use one of: {}", ids.join(", "))));
    }
    for trajectory in chosen {
        output.result(trajectory, &described(trajectory)).map_err(Failure::host)?;
    }
    Ok(Answer::Yes)
}

fn described(trajectory: &Trajectory) -> String {
    let mut text = format!("{}  task {}  {} steps\n", trajectory.id, trajectory.task, trajectory.steps.len());
    for (index, step) in trajectory.steps.iter().enumerate() {
        let kind = match &step.action {
            Action::Bash { .. } => "bash",
            Action::Editor(_) => "editor",
            Action::Submit => "submit",
            Action::Answer { .. } => "answer",
        };
        let note = if step.executed { "" } else { "  (not executed)" };
        text.push_str(&format!("\nStep {}  {kind}{note}\n", index + 1));
        for (mark, part) in [("  # ", step.thought.as_str()), ("  $ ", &step.action.text())] {
            part.trim_end().lines().for_each(|line| text.push_str(&format!("{mark}{line}\n")));
        }
        let seen = step.observation.as_ref().map_or("", |observation| observation.output.trim_end());
        seen.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
    }
    text
}

fn run_examples(args: &ExamplesArgs, output: Output) -> Result<Answer, Failure> {
    let trajectories = read_all(&args.file)?;
    let tasks = task_dir::load_all(&args.tasks).map_err(Failure::input)?;
    let scaffold = Scaffold::default();
    let mut lines = Vec::new();
    for trajectory in &trajectories {
        let task = tasks.get(&trajectory.task).ok_or_else(|| unknown_task(trajectory, &args.tasks))?;
        for example in example::examples(&task.task, trajectory) {
            lines.push(json!({
                "format": "apprentice.example/1",
                "trajectory": example.trajectory,
                "task": task.task.id,
                "step": example.index + 1,
                "messages": chat::conversation(&scaffold, example.task, example.history),
                "reply": chat::render_reply(example.expert),
                "action": example.action().text(),
            }));
        }
    }
    if lines.is_empty() {
        return Err(Failure::nothing(anyhow::anyhow!("the trajectories have no executed step")));
    }
    fsio::write_json_lines(&args.out, &lines)
        .with_context(|| "could not write the examples")
        .map_err(Failure::host)?;
    let value = json!({"format": "apprentice.examples/1", "examples": lines.len(), "out": args.out.display().to_string()});
    let human = format!("Wrote {} examples to {}", lines.len(), args.out.display());
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(Answer::Yes)
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

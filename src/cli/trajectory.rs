//! `apprentice trajectory`: import, show, replay, audit, rewrite, and what a student learns from it.

mod audit;
mod curation;
mod described;
mod effects;
mod examples;
mod export;
mod import_files;
mod replay;
mod rewrite;
mod show;
#[cfg(feature = "train")]
mod tokens;
#[cfg(not(feature = "train"))]
#[path = "trajectory/no_tokens.rs"]
mod tokens;

use std::ops::ControlFlow;
use std::path::Path;

use super::failure::{Answer, Failure};
use super::output::Output;
use crate::import::{self, Options, Outcome};
use crate::trajectory::Trajectory;

/// Import, show, replay, audit, rewrite and export trajectories, and turn them into examples
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Import(import_files::Args),
    Show(show::Args),
    Replay(replay::Args),
    Audit(audit::Args),
    Effects(effects::Args),
    Examples(examples::Args),
    Export(export::Args),
    Rewrite(rewrite::Args),
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    match args.command {
        Command::Import(args) => import_files::run(&args, output),
        Command::Show(args) => show::run(&args, output),
        Command::Replay(args) => replay::run(&args, output),
        Command::Audit(args) => audit::run(&args, output),
        Command::Effects(args) => effects::run(&args, output),
        Command::Examples(args) => examples::run(&args, output),
        Command::Export(args) => export::run(&args, output),
        Command::Rewrite(args) => rewrite::run(&args, output),
    }
}

/// Reads what a file of any known format holds, record by record, and takes what `make` makes of each.
fn outcomes<T: Send>(
    file: &Path,
    options: Options<'_>,
    make: &(dyn Fn(Outcome) -> T + Sync),
    mut take: impl FnMut(T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut failed = None;
    let take = &mut |made: T| match take(made) {
        Ok(()) => ControlFlow::Continue(()),
        Err(failure) => {
            failed = Some(failure);
            ControlFlow::Break(())
        }
    };
    import::each_as(file, options, make, take).map_err(Failure::input)?;
    failed.map_or(Ok(()), Err)
}

/// Reads trajectories one by one, so that a file is never in memory as a whole, and gives their number; a bad
/// record is a failure.
fn each(file: &Path, mut take: impl FnMut(Trajectory) -> Result<(), Failure>) -> Result<usize, Failure> {
    let mut count = 0;
    outcomes(file, Options::default(), &|outcome| outcome, |outcome| {
        count += 1;
        take(outcome.map_err(|reject| import_files::refusal(&reject))?)
    })?;
    if count == 0 {
        return Err(Failure::nothing(anyhow::anyhow!("`{}` holds no trajectory", file.display())));
    }
    Ok(count)
}

/// Reads all trajectories of a file.
fn read_all(file: &Path) -> Result<Vec<Trajectory>, Failure> {
    let mut all = Vec::new();
    each(file, |trajectory| {
        all.push(trajectory);
        Ok(())
    })?;
    Ok(all)
}

/// Refuses a line of `replays.jsonl` of a kind that is not known.
fn check_replay_format(path: &Path, format: &str) -> Result<(), Failure> {
    if format == crate::replay::FORMAT {
        return Ok(());
    }
    let refused = anyhow::anyhow!("`{}`: a line has the format `{format}`", path.display());
    let hint =
        format!("make it again with `trajectory replay --out`, which writes `{}`", crate::replay::FORMAT);
    Err(Failure::input(refused).with_hint(hint))
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

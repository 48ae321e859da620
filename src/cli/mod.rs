//! The command line: parse, run, print, exit.
//!
//! One file a noun; each has an `Args` whose doc comments are its help, and a `run`.

#[cfg(feature = "train")]
mod against;
mod answers;
mod ask;
mod certificates;
mod check;
pub mod doctor;
pub mod failure;
pub mod grade;
mod grades;
mod interrupt;
#[cfg(feature = "train")]
pub mod model;
pub mod output;
mod pairs;
mod policy;
mod profile;
pub mod progress;
#[cfg(feature = "train")]
pub mod quickstart;
mod rates;
pub mod report;
pub mod reward;
pub mod rollout;
pub mod sandbox;
pub mod sandboxes;
#[cfg(feature = "train")]
mod serve;
mod shell;
pub mod synth;
pub mod task;
#[cfg(feature = "train")]
pub mod train;
pub mod trajectory;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::{Answer, Failure};
use output::Output;

/// Train software-engineering agents on expert trajectories: sandboxes, replay, step rewards, SRL
#[derive(Debug, Parser)]
#[command(name = "apprentice", version, propagate_version = true)]
struct Cli {
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Log more (-v info, -vv debug)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "train")]
    Quickstart(quickstart::Args),
    Doctor(doctor::Args),
    Task(task::Args),
    Sandbox(sandbox::Args),
    Trajectory(trajectory::Args),
    Rollout(rollout::Args),
    Grade(grade::Args),
    Eval(rollout::EvalArgs),
    #[cfg(feature = "train")]
    Train(train::Args),
    Reward(reward::Args),
    #[cfg(feature = "train")]
    Model(model::Args),
    Report(report::Args),
}

/// Runs the command line and gives the process's exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json, cli.quiet);
    start_logs(cli.verbose);
    match run(cli.command, output) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Ok(Answer::Code(code)) => ExitCode::from(code),
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

fn run(command: Command, output: Output) -> Result<Answer, Failure> {
    match command {
        #[cfg(feature = "train")]
        Command::Quickstart(args) => quickstart::run(args, output),
        Command::Doctor(args) => doctor::run(args, output),
        Command::Task(args) => task::run(args, output),
        Command::Sandbox(args) => sandbox::run(args, output),
        Command::Trajectory(args) => trajectory::run(args, output),
        Command::Rollout(args) => rollout::run(args, output),
        Command::Grade(args) => grade::run(args, output),
        Command::Eval(args) => rollout::eval(args, output),
        #[cfg(feature = "train")]
        Command::Train(args) => train::run(args, output),
        Command::Reward(args) => reward::run(args, output),
        #[cfg(feature = "train")]
        Command::Model(args) => model::run(args, output),
        Command::Report(args) => report::run(args, output),
    }
}

fn start_logs(verbose: u8) {
    let default = ["warn", "apprentice=info", "apprentice=debug"][usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

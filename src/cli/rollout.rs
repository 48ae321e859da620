//! `apprentice rollout`.

use super::failure::{Answer, Failure};
use super::output::Output;

/// Run a policy on tasks
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
#[expect(clippy::needless_pass_by_value, reason = "stub")]
pub fn run(_args: Args, _output: Output) -> Result<Answer, Failure> {
    Ok(Answer::Yes)
}

/// Run a policy on tasks, grade, and state the resolution rate with its interval
#[derive(Debug, clap::Args)]
pub struct EvalArgs {}

/// Runs `apprentice eval`.
///
/// # Errors
/// See [`Failure`].
#[expect(clippy::needless_pass_by_value, reason = "stub")]
pub fn eval(_args: EvalArgs, _output: Output) -> Result<Answer, Failure> {
    Ok(Answer::Yes)
}

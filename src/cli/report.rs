//! `apprentice report`.

use super::failure::{Answer, Failure};
use super::output::Output;

/// Write a page about runs
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

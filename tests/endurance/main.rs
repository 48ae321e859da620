//! What holds over hours: killed managers leave nothing, thousands of sandboxes cost no memory, an engine that
//! is restarted changes no result.
//!
//! These tests take minutes, so they run only when asked for, one at a time:
//! `cargo test --test endurance -- --ignored --nocapture --test-threads 1`. docs/endurance.md has the figures.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips and what it measured")]

use std::path::PathBuf;
use std::process::Command;

mod engine;
mod graders;
mod kills;
mod remains;
mod soak;

#[expect(dead_code, clippy::unused_async, reason = "shared with the contract, which uses more of it")]
#[path = "../sandbox_contract/ground.rs"]
mod ground;

/// A number that the caller may choose.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |number| number.parse().unwrap())
}

/// This program again, running one of its tests with a temporary directory of its own.
fn again(test: &str, room: &std::path::Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("TMPDIR", room);
    command
}

/// The program that users run.
fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_apprentice"))
}

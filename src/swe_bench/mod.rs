//! What the reference harnesses make of a row, a patch and a log: their rules, defects included.
//!
//! Pure functions on text. Guarantees the verdicts of `../shared/fixtures/grading` for each [`Harness`]; so they are no
//! way to learn whether a patch is right (`grade` is), only what the reference says of it. docs/grading-compat.md says
//! where ours differs and why. Runs nothing: `grade::reference` does.

pub mod chain;
pub mod classic;
pub mod grading;
pub mod infra;
pub mod log;
pub mod prediction;
pub mod report;
pub mod row;
pub mod script;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

/// Before what the tests print.
pub const START: &str = ">>>>> Start Test Output";
/// After what the tests print.
pub const END: &str = ">>>>> End Test Output";
/// Before the exit code of the test command.
pub const EXIT_CODE: &str = ">>>>> Test Exit Code";

/// A harness whose verdicts are reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Harness {
    /// `swebench` 5.0.2.
    #[serde(rename = "swebench-5.0.2")]
    SweBench5,
    /// `swebench` 4.1.0.
    #[serde(rename = "swebench-4.1.0")]
    SweBench4,
    /// `swesmith` 0.0.9.
    #[serde(rename = "swesmith-0.0.9")]
    SweSmith,
}

impl Harness {
    /// Its package and version.
    pub fn name(self) -> &'static str {
        match self {
            Self::SweBench5 => "swebench-5.0.2",
            Self::SweBench4 => "swebench-4.1.0",
            Self::SweSmith => "swesmith-0.0.9",
        }
    }
}

//! Certificates: what `task check` saw when it tried a task, and what follows for its grades.
//!
//! Plain data of `certificate.json` (`apprentice.certificate/1`, docs/certificates.md). Does not touch the file system
//! (`task_dir` does) and does not judge (`certify` does).

use serde::{Deserialize, Serialize};

/// Name and version in the first field of every certificate.
pub const FORMAT: &str = "apprentice.certificate/1";

/// What was found out about one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Always [`FORMAT`].
    pub format: String,
    /// The task's id.
    pub task: String,
    /// The digest of the task that was checked; of any other the certificate says nothing.
    pub task_digest: String,
    /// What it was checked in.
    pub sandbox: CheckedIn,
    /// The version of the program that checked it.
    pub version: String,
    /// Whether it has no fault, so that its grades can be trusted.
    pub certified: bool,
    /// What is wrong with it.
    pub faults: Vec<Finding>,
    /// What a reader should know and what makes no grade wrong.
    pub remarks: Vec<Finding>,
    /// Tests that no grade requires or counts, because their own result cannot be relied on.
    pub quarantined: Vec<Quarantined>,
    /// Wall seconds of the slowest run of the tests with the gold patch, in the order that the command gives.
    pub gold_seconds: f64,
    /// Five times that, and at least [`LEAST_SECONDS`]: a deadline for `limits.test_seconds`.
    pub suggested_test_seconds: f64,
    /// How much of the gold patch the problem gives away.
    pub statement: Statement,
    /// Every run of the tests, in the order of the checks.
    pub runs: Vec<CheckRun>,
}

/// The shortest deadline that is suggested: a busy host needs seconds to start anything.
pub const LEAST_SECONDS: f64 = 10.0;

/// What a task was checked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedIn {
    /// The sandbox's name.
    pub name: String,
    /// The backend.
    pub backend: String,
    /// The digest of its image or root file system, or what stands for one.
    pub made_of: String,
}

/// What a task is tried for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The gold patch resolves it, each time.
    Gold,
    /// Doing nothing does not: every test of `fail_to_pass` fails, every one of `pass_to_pass` passes.
    Noop,
    /// The tests' patch alone does not.
    TestsOnly,
    /// The tests say the same in another order.
    Order,
    /// The problem does not hold the patch.
    Statement,
}

/// Something that a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// What was found, in words.
    pub what: String,
}

/// A test whose result cannot be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The test's id, as `fail_to_pass` or `pass_to_pass` gives it.
    pub id: String,
    /// How it was caught.
    pub why: Why,
}

/// How a test was caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its result differs between runs of the same files.
    Flaky,
    /// Its result depends on which tests ran before it.
    Order,
}

impl Why {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flaky => "flaky",
            Self::Order => "order",
        }
    }
}

/// One run of the tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckRun {
    /// What it was made for.
    pub check: Check,
    /// The order of the tests, where it was not the command's own: `reversed` or a seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The verdict's name.
    pub outcome: String,
    /// Why, in words; empty where the task is resolved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Wall seconds of the tests; absent where they did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The tests of the task that did not pass, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_passed: Vec<String>,
}

/// How much of the gold patch a problem gives away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// The share of the gold patch's telling added lines that the problem holds, from 0 to 1.
    pub overlap: f64,
    /// Those lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// Names that the gold patch brings and that the problem already says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Links to commits and pull requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
}

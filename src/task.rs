//! Tasks: a problem, where it is worked on, and how the result is graded.
//!
//! Plain data of `task.yaml` (`apprentice.task/1`) with its validation. Guarantees that a loaded
//! code task has tests to grade it by. Does not touch the file system: `task_dir` does.

use serde::{Deserialize, Serialize};

/// Name and version in the first field of every task file.
pub const FORMAT: &str = "apprentice.task/1";

/// A problem with a grader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Always [`FORMAT`].
    pub format: String,
    /// Unique among the tasks of a directory; also its directory's name.
    pub id: String,
    /// Code or math.
    pub kind: Kind,
    /// What the student reads.
    pub problem: String,
    /// The sandbox's name under `sandboxes/` (code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// Where the repository comes from (code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<Repo>,
    /// Commands that prepare the sandbox before the episode, run in the work directory (code).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    /// How the result is graded (code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
    /// The patch that is known to resolve the task, in git's format (code).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<String>,
    /// Bounds of an episode, where they differ from the sandbox's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// The right answer (math).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// The two kinds of task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A repository to repair, graded by its tests.
    Code,
    /// A question with an answer.
    Math,
}

/// Where a repository comes from; exactly one of `path`, `git`, `bundle` and `image` is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repo {
    /// A directory, relative to the task's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A git URL or local clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<String>,
    /// A git bundle, relative to the task's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// An image that holds the repository in its work directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The commit to start from (git, bundle).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_commit: Option<String>,
    /// A patch that turns the source into the task's starting point: a planted bug, or a
    /// reversed gold patch. In git's format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
}

/// How a code task is graded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// The command that runs the tests, in the work directory.
    pub command: String,
    /// Who reads its output.
    pub parser: Parser,
    /// A patch that brings the tests, applied after the student's patch. In git's format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// Files and directories that are restored from the starting point before grading.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restore: Vec<String>,
    /// Tests that fail before and must pass after.
    pub fail_to_pass: Vec<String>,
    /// Tests that pass before and must still pass.
    #[serde(default)]
    pub pass_to_pass: Vec<String>,
}

/// The readers of test output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parser {
    /// `pytest -rA`.
    Pytest,
    /// The Test Anything Protocol.
    Tap,
}

/// Bounds of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Wall seconds of one command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_seconds: Option<f64>,
    /// Wall seconds of the tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_seconds: Option<f64>,
}

//! What the tests of a task must show, where that is not a list of tests that pass.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The rule that a test run is judged by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// `fail_to_pass` and `pass_to_pass` pass; a test that did not run does not.
    #[default]
    Lists,
    /// No listed test is reported as failed; the runner names nothing but failures, so a test that is not named passed.
    FailOnly,
    /// The command ends with code 0, whatever its output says.
    ExitZero,
    /// Each of these tests ends as written, and no other test fails.
    Exact(BTreeMap<String, Ending>),
}

/// How a test ends in an exact expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It passes.
    Passed,
    /// It fails.
    Failed,
    /// It, its set-up or its file breaks.
    Error,
    /// It does not run.
    Skipped,
}

impl Expect {
    /// Whether it is the rule of a task that names none.
    pub(super) fn is_lists(&self) -> bool {
        *self == Self::Lists
    }

    /// Why nothing would tell a repair from none by this rule; `is_list_empty` says that no test must start to pass.
    pub(super) fn fault(&self, is_list_empty: bool) -> Option<String> {
        match self {
            Self::Lists | Self::FailOnly if is_list_empty => Some(
                "tests.fail_to_pass: it is empty, so nothing would tell a repair; name a test".to_owned(),
            ),
            Self::Exact(endings) if endings.is_empty() => Some(
                "tests.expect.exact: it is empty, so nothing would tell a repair; name a test".to_owned(),
            ),
            _ => None,
        }
    }
}

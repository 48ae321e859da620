//! What failed when a grade could not be made, and whether making it again may help.

use serde::{Deserialize, Serialize};

use crate::sandbox::SandboxError;

/// Why a grade says nothing about the patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Infrastructure {
    /// What failed.
    pub kind: Trouble,
    /// Whether the same grade may succeed in another sandbox of this host.
    pub retryable: bool,
}

/// What can fail besides the patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A sandbox stopped answering.
    SandboxLost,
    /// The sandbox cannot be had here: no backend, no image, too little isolation, no room.
    SandboxUnavailable,
    /// The task's set-up does not succeed.
    SetUp,
    /// The task cannot be graded: its repository or its `tests.patch` is not as it says.
    Task,
    /// A file of the host could not be read or written.
    Host,
    /// The grader itself broke down.
    Grader,
}

impl Infrastructure {
    /// The grader's own breakdown.
    pub(super) const GRADER: Self = Self { kind: Trouble::Grader, retryable: false };

    /// What an error of a grade is.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        let kind = match error.downcast_ref::<SandboxError>() {
            Some(SandboxError::Lost { .. }) => Trouble::SandboxLost,
            Some(SandboxError::SetUp { .. }) => Trouble::SetUp,
            Some(SandboxError::Host { .. }) => Trouble::Host,
            Some(_) => Trouble::SandboxUnavailable,
            None if error.chain().any(|cause| cause.is::<std::io::Error>()) => Trouble::Host,
            None => Trouble::Task,
        };
        Self { kind, retryable: kind == Trouble::SandboxLost }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn only_a_lost_sandbox_is_worth_another_try() {
        let lost = SandboxError::Lost {
            id: "s".to_owned(),
            doing: "reading".to_owned(),
            source: io::Error::from(io::ErrorKind::BrokenPipe).into(),
        };
        let set_up = SandboxError::SetUp { command: "false".to_owned(), reason: "exit 1".to_owned() };
        let cases = [
            (lost.into(), Trouble::SandboxLost, true),
            (set_up.into(), Trouble::SetUp, false),
            (anyhow::Error::from(io::Error::other("full")).context("could not write"), Trouble::Host, false),
            (anyhow::anyhow!("the task's `tests.patch` does not apply"), Trouble::Task, false),
        ];
        for (error, kind, retryable) in cases {
            assert_eq!(Infrastructure::of(&error), Infrastructure { kind, retryable }, "{error:#}");
        }
    }
}

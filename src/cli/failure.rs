//! Failures of a command: whose they are, and so which exit code they get.

use std::process::ExitCode;

use crate::run::RunError;

/// Whose failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// A flag, a recipe key, an unknown task.
    Usage,
    /// A trajectory, task or weights file is invalid.
    Input,
    /// Nothing was selected.
    Nothing,
    /// The host cannot do it: no Docker, weak isolation, a full disk.
    Host,
    /// The user interrupted; the run directory is resumable.
    Interrupted,
}

/// A command that could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// Whose failure it is.
    pub kind: FailureKind,
    /// What went wrong, with its causes.
    pub source: anyhow::Error,
    /// What to do about it; starts with a verb.
    pub hint: Option<String>,
}

impl Failure {
    /// A wrong flag, key or name.
    pub fn usage(source: impl Into<anyhow::Error>) -> Self {
        Self { kind: FailureKind::Usage, source: source.into(), hint: None }
    }

    /// An invalid file.
    pub fn input(source: impl Into<anyhow::Error>) -> Self {
        Self { kind: FailureKind::Input, source: source.into(), hint: None }
    }

    /// An empty selection.
    pub fn nothing(source: impl Into<anyhow::Error>) -> Self {
        Self { kind: FailureKind::Nothing, source: source.into(), hint: None }
    }

    /// A host that cannot do it.
    pub fn host(source: impl Into<anyhow::Error>) -> Self {
        Self { kind: FailureKind::Host, source: source.into(), hint: None }
    }

    /// An interrupted command.
    pub fn interrupted(source: impl Into<anyhow::Error>) -> Self {
        Self { kind: FailureKind::Interrupted, source: source.into(), hint: None }
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The process's exit code (STYLE.md 6).
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            FailureKind::Usage => 2,
            FailureKind::Input => 3,
            FailureKind::Nothing => 4,
            FailureKind::Host => 5,
            FailureKind::Interrupted => 130,
        })
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let hint = error.hint();
        let failure = match error {
            RunError::Taken { .. } | RunError::Differs { .. } => Self::usage(error),
            RunError::NotARun { .. } | RunError::Damaged { .. } | RunError::Format { .. } => {
                Self::input(error)
            }
            RunError::InUse { .. } | RunError::Io(_) => Self::host(error),
            RunError::File(source) => Self::host(source),
        };
        failure.with_hint(hint)
    }
}

/// What a command that did its work answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Done: exit 0.
    Yes,
    /// Done, and the answer is no (a grade failed, a replay diverged): exit 1.
    No,
    /// Done, and a program that the user talked to ended with this code, which is ours.
    Code(u8),
}

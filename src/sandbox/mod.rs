//! Sandboxes: isolated machines that run commands, keep files and fork.
//!
//! Two traits and what they exchange. A backend guarantees that a deadline kills the whole process
//! tree, that output is bounded, and that nothing of a stopped sandbox remains. A sandbox knows
//! nothing of agents: not of steps, not of what "submitted" means.

pub mod admission;
mod bootstrap;
pub mod capacity;
#[cfg(feature = "docker")]
pub mod docker;
pub mod inside;
pub mod kept;
pub mod landlock;
pub mod namespaces;
pub mod output;
mod patient;
mod proxy;
pub mod rootfs;
pub mod scripted;
pub mod select;
pub mod session;
pub mod spec;
pub mod terminal;
pub mod tree;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::isolation::Protection;
use crate::patch::{self, Change};
use crate::trajectory::{Exit, Observation};
use capacity::Capacity;
pub use patient::Patient;
pub use proxy::{Contact, Outcome};
use spec::SandboxSpec;
use terminal::Terminal;
use tree::Compared;

/// How long to wait before each further try at work whose sandbox was lost; when they are used up, it stays lost.
pub const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// Tells the user one line of what goes on.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);

/// Makes sandboxes of one kind.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Its name on the command line: `docker`, `namespaces`, `landlock` or `scripted`.
    fn name(&self) -> &'static str;

    /// Says what this host enforces, without starting anything that stays.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when the backend cannot work here, with the remedy.
    async fn probe(&self) -> Result<Protection, SandboxError>;

    /// Makes `count` sandboxes ready, so that as many starts of the same kind need not wait; a backend that
    /// starts in milliseconds has nothing to do.
    async fn warm(&self, start: &Start<'_>, count: usize) -> Result<(), SandboxError> {
        let _ = (start, count);
        Ok(())
    }

    /// A text that changes whenever a sandbox of this start would begin with other programs or files, those of
    /// `start.tree` left out.
    async fn made_of(&self, start: &Start<'_>) -> Result<String, SandboxError> {
        let _ = start;
        Ok(self.name().to_owned())
    }

    /// What the machine that runs the sandboxes has to give.
    async fn capacity(&self) -> Result<Capacity, SandboxError> {
        Ok(Capacity::of_process())
    }

    /// How many sandboxes of `spec` may be there at once, so that one more would wait for the end of another.
    async fn at_once(&self, spec: &SandboxSpec) -> Result<usize, SandboxError> {
        let _ = spec;
        Ok(usize::MAX)
    }

    /// Starts a sandbox whose work directory holds a copy of `start.tree`.
    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError>;
}

/// What a new sandbox is made of.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// Its root file system, limits and environment.
    pub spec: &'a SandboxSpec,
    /// The repository at its starting point: a directory on the host that is never written to.
    /// Absent when the sandbox's own image holds it (or it starts empty).
    pub tree: Option<&'a Path>,
}

/// One running machine.
#[async_trait]
pub trait Sandbox: Send {
    /// Unique among all sandboxes of this host.
    fn id(&self) -> &str;

    /// Runs a script with bash, in the work directory or where the session left off.
    ///
    /// A script that fails, crashes or overruns its deadline is an observation, not an error.
    ///
    /// # Errors
    /// [`SandboxError::Lost`] when the sandbox itself is gone or does not answer.
    async fn exec(&mut self, exec: &Exec<'_>) -> Result<Observation, SandboxError>;

    /// Runs a shell that a user talks to, on a terminal of its own, in the work directory and in no session, until
    /// it ends by itself or `terminal` hangs up.
    ///
    /// # Errors
    /// [`SandboxError::Lost`] when the sandbox itself is gone, [`SandboxError::Unavailable`] where it runs nothing.
    async fn interact(&mut self, terminal: Terminal) -> Result<Exit, SandboxError> {
        drop(terminal);
        Err(SandboxError::Unavailable {
            backend: "scripted",
            reason: "nobody canned a shell to talk to".to_owned(),
            hint: "choose `--sandbox docker` or `--sandbox namespaces`".to_owned(),
        })
    }

    /// Reads a file (relative paths start at the work directory), following no link out of the sandbox.
    async fn read(&mut self, path: &str) -> Result<FileRead, SandboxError>;

    /// Writes a whole file, making its parent directories; keeps an existing file's mode.
    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<FileWrite, SandboxError>;

    /// Everything below the work directory that differs from its start, `.git` left out, and what is not told of.
    async fn compare(&mut self) -> Result<Compared, SandboxError>;

    /// What differs, sorted by path.
    async fn changes(&mut self) -> Result<Vec<Change>, SandboxError> {
        Ok(self.compare().await?.changes)
    }

    /// All of it as one patch in git's format, whoever changed it; a student's patch is taken by `extract`.
    async fn diff(&mut self) -> Result<String, SandboxError> {
        let changes = self.changes().await?;
        patch::between(&changes).map_err(|error| SandboxError::Patch {
            path: changes.first().map(|change| change.path.clone()).unwrap_or_default(),
            reason: error.message().to_owned(),
        })
    }

    /// Remembers how everything that commands can write looks now, for [`Sandbox::keep`].
    async fn remember(&mut self) -> Result<(), SandboxError> {
        Ok(())
    }

    /// Writes what differs from what was remembered, directory and variables of the session among it, to the
    /// new file `file`, which another sandbox of the same start [takes over](Sandbox::take_over).
    async fn keep(&mut self, file: &Path) -> Result<Kept, SandboxError> {
        let _ = file;
        Ok(Kept::Not("this kind of sandbox cannot give its files to another".to_owned()))
    }

    /// Takes over what another sandbox of the same start has kept. [`Sandbox::changes`] tells of it too.
    async fn take_over(&mut self, file: &Path) -> Result<(), SandboxError> {
        Err(SandboxError::Host {
            doing: "take over",
            path: file.to_owned(),
            source: std::io::ErrorKind::Unsupported.into(),
        })
    }

    /// The hosts that its commands have asked its proxy for; none where there is no proxy.
    fn contacts(&self) -> Vec<Contact> {
        Vec::new()
    }

    /// Makes a second sandbox that starts from this one's files, directory, variables and functions.
    /// Running processes stay behind.
    async fn fork(&mut self) -> Result<Box<dyn Sandbox>, SandboxError>;

    /// Ends it and frees all it held.
    async fn stop(self: Box<Self>) -> Result<(), SandboxError>;
}

/// Whether a sandbox's files were kept for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// All of them.
    Whole,
    /// They were not, for the reason given.
    Not(String),
}

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct Exec<'a> {
    /// A bash script of any length.
    pub script: &'a str,
    /// Wall time after which the whole process tree is killed.
    pub timeout: Duration,
    /// Bytes of output that are kept: the first and the last half.
    pub output_bytes: usize,
    /// Whether directory, exported variables and functions carry on.
    pub session: Session,
    /// Whether the observation tells its two streams apart.
    pub streams: Streams,
    /// Bytes that are kept of what is written to the file that [`REPORT_VARIABLE`] names; 0 gives the command no
    /// such file.
    pub report_bytes: usize,
}

/// The variable that names a command's report: a pipe in which nothing that was written can be taken back. Whoever
/// runs as the sandbox's user can write to it, and bytes that the process inside has not read yet can be read away.
pub const REPORT_VARIABLE: &str = "APPRENTICE_REPORT";

impl<'a> Exec<'a> {
    /// A script in the session, its streams together.
    pub fn new(script: &'a str, timeout: Duration, output_bytes: usize) -> Self {
        Self {
            script,
            timeout,
            output_bytes,
            session: Session::Carried,
            streams: Streams::Together,
            report_bytes: 0,
        }
    }

    /// The same script, with a report of which the first `report_bytes` are kept.
    #[must_use]
    pub fn reporting(self, report_bytes: usize) -> Self {
        Self { report_bytes, ..self }
    }

    /// The same script, in no session.
    #[must_use]
    pub fn fresh(self) -> Self {
        Self { session: Session::Fresh, ..self }
    }
}

/// How standard output and standard error come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Streams {
    /// As one text: both are one pipe, so their order is exactly that in which they were written.
    #[default]
    Together,
    /// Also each by itself ([`Observation::apart`]). Two pipes then, and each write waits until the one before it
    /// to the same stream was read, which makes a command that prints much slower.
    ///
    /// What is written to the descriptors that the command was given, and to copies of them (`>&2`,
    /// `exec 2>&1`, children), is in the order in which the writes ended, whoever wrote. Where a stream was opened
    /// anew by its name (`> /dev/stderr`), writes to it that come faster than they are read are joined, and stand
    /// where the last of them does. A kernel that watches no pipes (inotify) gives the order of arrival. Each
    /// stream by itself is whole and in order in any case.
    Apart,
}

/// What a command inherits from the one before and leaves to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Session {
    /// Directory, exported variables and functions.
    #[default]
    Carried,
    /// Nothing: it starts in the work directory and leaves no trace but files.
    Fresh,
}

/// What reading a path gave: the agent's mistakes are values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileRead {
    /// A regular file.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// Nothing is there.
    Missing,
    /// It is there but may not be read, or is neither file nor directory.
    Refused(String),
}

/// What writing a path gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileWrite {
    /// The file holds the bytes.
    Written,
    /// The sandbox does not allow it, for the reason given.
    Refused(String),
}

/// Why a sandbox could not do its work: this host's trouble or ours, never the agent's.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The backend cannot work on this host.
    #[error("{backend} sandboxes are not available: {reason}")]
    Unavailable {
        /// The backend's name.
        backend: &'static str,
        /// What is missing.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// The host enforces less than the specification asks for.
    #[error("{backend} sandboxes would lack: {lacks}")]
    WeakIsolation {
        /// The backend's name.
        backend: &'static str,
        /// What is not enforced.
        lacks: String,
        /// What to do about it.
        hint: String,
    },
    /// An image or base file system cannot be had.
    #[error("image `{image}` cannot be had: {reason}")]
    Image {
        /// The image or sandbox name.
        image: String,
        /// Every way that was tried.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// The sandbox stopped answering.
    #[error("sandbox `{id}` was lost while {doing}")]
    Lost {
        /// Which sandbox.
        id: String,
        /// What was going on.
        doing: String,
        /// Why.
        #[source]
        source: anyhow::Error,
    },
    /// A command that prepares the sandbox for its task did not succeed.
    #[error("the set-up command `{command}` did not succeed: {reason}")]
    SetUp {
        /// The command.
        command: String,
        /// How it ended, and what it printed.
        reason: String,
    },
    /// The repository that an image brought may tell of what came after the base commit.
    #[error("the history of the image's repository could not be cut at the base commit: {reason}")]
    History {
        /// What is still there, or what failed.
        reason: String,
    },
    /// The patch of a sandbox's files does not give these files again.
    #[error("the patch does not give `{path}` as the sandbox has it: {reason}")]
    Patch {
        /// The first file that it does not give.
        path: String,
        /// What it gives instead.
        reason: String,
    },
    /// The machine cannot bear the sandbox.
    #[error("a sandbox `{sandbox}` finds no room: {reason}")]
    NoRoom {
        /// The kind of sandbox.
        sandbox: String,
        /// What it needs, and what there is.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// A file of the host could not be read or written.
    #[error("could not {doing} `{path}`")]
    Host {
        /// The operation, as a verb.
        doing: &'static str,
        /// The path on the host.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl SandboxError {
    /// What to do about it, starting with a verb.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unavailable { hint, .. }
            | Self::WeakIsolation { hint, .. }
            | Self::Image { hint, .. }
            | Self::NoRoom { hint, .. } => Some(hint),
            Self::Lost { .. }
            | Self::SetUp { .. }
            | Self::History { .. }
            | Self::Patch { .. }
            | Self::Host { .. } => None,
        }
    }

    /// What happened, with its causes, on one line.
    pub fn with_causes(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |cause| cause.source());
        causes.fold(self.to_string(), |told, cause| format!("{told}: {cause}"))
    }

    /// Whether the same work may succeed in another sandbox.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

//! Acting: one sandbox, one agent's editor state, one action after another.
//!
//! The one place that turns an [`Action`] into calls of a sandbox; students' rollouts and replays share it.
//! Guarantees that what the agent does wrong is an [`Observation`] and that an error is the host's. Does not
//! decide when an episode ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::editor::{self, Files, Found};
use crate::extract::{Baseline, Extracted, extract_aside, told};
use crate::isolation::Limits;
use crate::patch::Change;
use crate::sandbox::{Contact, Exec, FileRead, FileWrite, Sandbox, SandboxError, Session};
use crate::trajectory::{Action, EditorCall, EditorSetup, Observation};

/// Bytes kept of what the editor's own commands print.
const EDITOR_OUTPUT_BYTES: usize = 4 << 20;

/// An agent at work in a sandbox.
pub struct Actor {
    sandbox: Box<dyn Sandbox>,
    editor: editor::State,
    limits: Limits,
    session: Session,
    baseline: Arc<Baseline>,
}

impl Actor {
    /// An agent that starts in `sandbox`, its commands bound by `limits`.
    pub fn new(sandbox: Box<dyn Sandbox>, limits: Limits) -> Self {
        let baseline = Arc::default();
        Self { sandbox, editor: editor::State::default(), limits, session: Session::Carried, baseline }
    }

    /// The same agent whose patch is made against `baseline`.
    #[must_use]
    pub fn with_baseline(mut self, baseline: Arc<Baseline>) -> Self {
        self.baseline = baseline;
        self
    }

    /// The same agent with an editor of another release or window.
    #[must_use]
    pub fn with_editor(mut self, setup: EditorSetup) -> Self {
        self.editor = editor::State::new(setup);
        self
    }

    /// The same agent whose commands inherit directory and variables, or not.
    #[must_use]
    pub fn with_session(mut self, session: Session) -> Self {
        self.session = session;
        self
    }

    /// Takes one action and gives what the agent sees.
    ///
    /// # Errors
    /// When the sandbox is lost.
    pub async fn perform(&mut self, action: &Action) -> Result<Observation, SandboxError> {
        match action {
            Action::Bash { command } => self.bash(command).await,
            Action::Editor(call) => self.edit(call).await,
            Action::Submit => Ok(Observation::new(self.patch().await?.patch, 0)),
            Action::Answer { .. } => Ok(Observation::new("", 0)),
        }
    }

    async fn bash(&mut self, command: &str) -> Result<Observation, SandboxError> {
        self.editor.interrupted();
        let Limits { output_bytes, .. } = self.limits;
        let exec =
            Exec { session: self.session, ..Exec::new(command, self.limits.command_timeout(), output_bytes) };
        self.sandbox.exec(&exec).await
    }

    async fn edit(&mut self, call: &EditorCall) -> Result<Observation, SandboxError> {
        let started = std::time::Instant::now();
        let mut files =
            SandboxFiles { sandbox: self.sandbox.as_mut(), timeout: self.limits.command_timeout() };
        let outcome = editor::perform(&mut files, &mut self.editor, call).await?;
        let elapsed_seconds = started.elapsed().as_secs_f64();
        Ok(Observation { elapsed_seconds, ..Observation::new(outcome.output, outcome.code) })
    }

    /// The files at `paths` that are there, whole, as a student is shown them.
    ///
    /// # Errors
    /// When the sandbox is lost.
    pub async fn show(&mut self, paths: &[&str]) -> Result<String, SandboxError> {
        editor::show(&mut self.files(), paths).await
    }

    /// The paths of all files, as a student is shown them.
    ///
    /// # Errors
    /// When the sandbox is lost.
    pub async fn structure(&mut self) -> Result<String, SandboxError> {
        editor::structure(&mut self.files()).await
    }

    fn files(&mut self) -> SandboxFiles<'_> {
        SandboxFiles { sandbox: self.sandbox.as_mut(), timeout: self.limits.command_timeout() }
    }

    /// What the agent changed, as a patch against its baseline.
    ///
    /// # Errors
    /// When the sandbox is lost, or the patch does not give its files again.
    pub async fn patch(&mut self) -> Result<Extracted, SandboxError> {
        extract_aside(self.sandbox.compare().await?, self.baseline.clone()).await
    }

    /// The files that its patch tells of, each with its base, by path.
    ///
    /// # Errors
    /// When the sandbox is lost.
    pub async fn changes(&mut self) -> Result<Vec<Change>, SandboxError> {
        Ok(told(self.sandbox.compare().await?, &self.baseline))
    }

    /// Whether its commands leave directory and variables to those that follow.
    pub fn session(&self) -> Session {
        self.session
    }

    /// A second agent that starts where this one is: files, directory, variables, editor.
    ///
    /// # Errors
    /// When the sandbox cannot be forked.
    pub async fn fork(&mut self) -> Result<Self, SandboxError> {
        Ok(Self {
            sandbox: self.sandbox.fork().await?,
            editor: self.editor.clone(),
            limits: self.limits.clone(),
            session: self.session,
            baseline: self.baseline.clone(),
        })
    }

    /// The sandbox, for what is not an agent's action.
    pub fn sandbox(&mut self) -> &mut dyn Sandbox {
        self.sandbox.as_mut()
    }

    /// The hosts that the agent's commands have asked the sandbox's proxy for.
    pub fn contacts(&self) -> Vec<Contact> {
        self.sandbox.contacts()
    }

    /// Ends the sandbox.
    ///
    /// # Errors
    /// When it does not go away.
    pub async fn stop(self) -> Result<(), SandboxError> {
        self.sandbox.stop().await
    }
}

/// A sandbox's files as the editor asks for them.
struct SandboxFiles<'a> {
    sandbox: &'a mut dyn Sandbox,
    timeout: Duration,
}

#[async_trait]
impl Files for SandboxFiles<'_> {
    type Error = SandboxError;

    async fn read(&mut self, path: &str) -> Result<Found, SandboxError> {
        Ok(match self.sandbox.read(path).await? {
            FileRead::File(bytes) => Found::File(bytes),
            FileRead::Directory => Found::Directory,
            FileRead::Missing => Found::Missing,
            FileRead::Refused(reason) => Found::Refused(reason),
        })
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<Option<String>, SandboxError> {
        Ok(match self.sandbox.write(path, bytes).await? {
            FileWrite::Written => None,
            FileWrite::Refused(reason) => Some(reason),
        })
    }

    async fn run(&mut self, script: &str) -> Result<String, SandboxError> {
        let exec = Exec::new(script, self.timeout, EDITOR_OUTPUT_BYTES);
        Ok(self.sandbox.exec(&exec).await?.output)
    }
}

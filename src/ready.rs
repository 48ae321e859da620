//! Ready sandboxes: a task's repository with its set-up done, the same for every sample.
//!
//! The one place that runs set-up commands. Where an image brought the repository, its history is cut at the base
//! commit before (`history`). They run once, in a sandbox that starts from the repository at its
//! base commit; what they left (files, directory, exported variables) is kept below the cache under a digest of
//! all that it depends on, and every other sandbox of the task takes it over: rollouts, replays and graders
//! begin alike. Guarantees that a set-up that fails is an error and not kept, and that
//! [`Sandbox::changes`] tells of what the set-up changed, as if it had run there. A set-up that leaves
//! processes running is done in every sandbox, because no file holds a process.

mod baseline;
mod history;
#[cfg(test)]
mod history_tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::act::Actor;
use crate::extract::{Baseline, Ignored};
use crate::sandbox::kept::{Found, Starts, Turn};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, Exec, Kept, Sandbox, SandboxError, Start};
use crate::task::Task;
use crate::trajectory::Exit;
use crate::workspace::Workspace;

/// Changes whenever the same set-up would be kept otherwise.
const FORMAT: &str = "apprentice.ready/2";
/// Wall seconds of a set-up command where the task does not say how long its tests may take.
const SETUP_SECONDS: f64 = 1800.0;
/// Bytes kept of what a set-up command prints, for the error of one that fails.
const OUTPUT_BYTES: usize = 64 << 10;

/// What a sandbox is made ready for.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Makes the sandbox.
    pub backend: &'a dyn Backend,
    /// What it is made of.
    pub spec: &'a SandboxSpec,
    /// Whose set-up is done in it.
    pub task: &'a Task,
    /// Its repository.
    pub workspace: &'a Workspace,
}

/// Makes ready sandboxes.
pub struct Ready {
    starts: Option<Starts>,
    say: Box<dyn Fn(&str) + Send + Sync>,
    /// Of what something was said already.
    told: Mutex<BTreeSet<String>>,
    ignored: Ignored,
    /// What students start from, by what their sandboxes start from.
    baselines: Mutex<BTreeMap<String, Arc<Baseline>>>,
}

impl Ready {
    /// Keeps what set-ups leave below `cache`.
    pub fn below(cache: &Path) -> Self {
        Self { starts: Some(Starts::below(cache)), ..Self::anew() }
    }

    /// Runs every set-up in every sandbox.
    pub fn anew() -> Self {
        Self {
            starts: None,
            say: Box::new(|_| ()),
            told: Mutex::default(),
            ignored: Ignored::default(),
            baselines: Mutex::default(),
        }
    }

    /// The same, telling `say` of what is kept and found.
    #[must_use]
    pub fn telling(self, say: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { say: Box::new(say), ..self }
    }

    /// The same, where `ignored` says what becomes of ignored files in students' patches.
    #[must_use]
    pub fn with_ignored(self, ignored: Ignored) -> Self {
        Self { ignored, ..self }
    }

    /// Starts a sandbox in which the task's set-up is done.
    ///
    /// # Errors
    /// [`SandboxError::SetUp`] when a command of it does not succeed; what starting and running give.
    pub async fn start(&self, order: &Order<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        Ok(self.begin(order).await?.0)
    }

    /// Starts one, and names the start that it has in common with others.
    async fn begin(&self, order: &Order<'_>) -> Result<Begun, SandboxError> {
        let start = order.start();
        if order.task.setup.is_empty() && !order.is_from_image() {
            let sandbox = order.backend.start(&start).await?;
            return Ok((sandbox, Some(order.workspace.identity.clone())));
        }
        let Some(starts) = &self.starts else { return self.set_up(order).await };
        let digest = digest(order, &order.backend.made_of(&start).await?);
        if let Some(found) = starts.find(&digest)? {
            return self.from(order, &found, &digest).await;
        }
        let turn = match starts.turn(&digest).await {
            Ok(turn) => turn,
            Err(error) => {
                self.do_without(error, &order.task.id, &digest)?;
                return self.set_up(order).await;
            }
        };
        if let Some(found) = starts.find(&digest)? {
            drop(turn);
            return self.from(order, &found, &digest).await;
        }
        if let Some(sandbox) = self.make(order, turn, &digest).await? {
            return Ok((sandbox, None));
        }
        match starts.find(&digest)? {
            Some(found) => self.from(order, &found, &digest).await,
            // It was removed this moment.
            None => self.set_up(order).await,
        }
    }

    /// Starts an agent in such a sandbox, bound as the task says.
    ///
    /// # Errors
    /// As [`Ready::start`].
    pub async fn actor(&self, order: &Order<'_>) -> Result<Actor, SandboxError> {
        let (mut sandbox, start) = self.begin(order).await?;
        let baseline = match self.baseline(order, &mut *sandbox, start.as_deref()).await {
            Ok(baseline) => baseline,
            Err(error) => {
                // The first failure is the one to report.
                drop(sandbox.stop().await);
                return Err(error);
            }
        };
        let mut limits = order.spec.limits.clone();
        if let Some(seconds) = order.task.limits.and_then(|limits| limits.command_seconds) {
            limits.command_seconds = seconds;
        }
        Ok(Actor::new(sandbox, limits).with_baseline(baseline))
    }

    /// Does the set-up and keeps what it left; gives the sandbox itself where that cannot be kept.
    async fn make(
        &self,
        order: &Order<'_>,
        turn: Turn,
        digest: &str,
    ) -> Result<Option<Box<dyn Sandbox>>, SandboxError> {
        let (id, begin) = (&order.task.id, Instant::now());
        let mut sandbox = order.backend.start(&order.start()).await?;
        sandbox.remember().await?;
        let (mut sandbox, background) = run(sandbox, order.task).await?;
        let kept = match background.first() {
            None => sandbox.keep(&turn.files()).await,
            Some(process) => Ok(Kept::Not(format!("it leaves a process running, `{process}`"))),
        };
        let placed = kept.and_then(|kept| turn.place(id, &kept).map(|()| kept));
        let kept = match placed {
            Ok(kept) => kept,
            Err(error) => {
                self.do_without(error, id, digest)?;
                return Ok(Some(sandbox));
            }
        };
        let seconds = begin.elapsed().as_secs_f64();
        match kept {
            Kept::Whole => {
                self.tell(digest, || {
                    format!("{:>12} {id} in {seconds:.1} s, once for all its sandboxes", "Set up")
                });
                sandbox.stop().await?;
                Ok(None)
            }
            Kept::Not(why) => {
                self.tell(digest, || format!("{:>12} {id} in every sandbox: {why}", "Set up"));
                Ok(Some(sandbox))
            }
        }
    }

    /// That a set-up cannot be kept on this host costs time only: the next sandbox tries again.
    fn do_without(&self, error: SandboxError, id: &str, digest: &str) -> Result<(), SandboxError> {
        let SandboxError::Host { source, .. } = &error else { return Err(error) };
        self.tell(digest, || format!("warning: the set-up of {id} is not kept: {error}: {source}"));
        Ok(())
    }

    /// Starts a sandbox from what was found.
    async fn from(&self, order: &Order<'_>, found: &Found, digest: &str) -> Result<Begun, SandboxError> {
        let id = &order.task.id;
        let files = match found.files() {
            Ok(files) => files,
            Err(why) => {
                self.tell(digest, || format!("{:>12} {id} in every sandbox: {why}", "Set up"));
                return self.set_up(order).await;
            }
        };
        self.tell(digest, || format!("{:>12} {id} set up, made before", "Found"));
        let mut sandbox = order.backend.start(&order.start()).await?;
        match sandbox.take_over(files).await {
            Ok(()) => Ok((sandbox, Some(digest.to_owned()))),
            Err(error) => {
                // The first failure is the one to report.
                drop(sandbox.stop().await);
                Err(error)
            }
        }
    }

    /// Starts a sandbox and does the set-up in it.
    async fn set_up(&self, order: &Order<'_>) -> Result<Begun, SandboxError> {
        let sandbox = order.backend.start(&order.start()).await?;
        Ok((run(sandbox, order.task).await?.0, None))
    }

    fn tell(&self, digest: &str, line: impl FnOnce() -> String) {
        let mut told = self.told.lock().expect("invariant: nothing panics while it holds this lock");
        if told.insert(digest.to_owned()) {
            (self.say)(&line());
        }
    }
}

/// A ready sandbox, and what names its start where others have the same.
type Begun = (Box<dyn Sandbox>, Option<String>);

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("starts", &self.starts).finish_non_exhaustive()
    }
}

impl<'a> Order<'a> {
    fn start(&self) -> Start<'a> {
        Start { spec: self.spec, tree: self.workspace.tree.as_deref() }
    }

    /// Whether the repository came with the image, and its history with it.
    fn is_from_image(&self) -> bool {
        self.task.repo.as_ref().is_some_and(|repo| repo.image.is_some())
    }
}

/// Runs the set-up of a task; gives the sandbox back with the processes that it left running.
async fn run(
    mut sandbox: Box<dyn Sandbox>,
    task: &Task,
) -> Result<(Box<dyn Sandbox>, Vec<String>), SandboxError> {
    let seconds = task.limits.and_then(|limits| limits.test_seconds).unwrap_or(SETUP_SECONDS);
    let timeout = Duration::from_secs_f64(seconds);
    if let Some(repo) = task.repo.as_ref().filter(|repo| repo.image.is_some())
        && let Err(error) = history::scrub(&mut *sandbox, repo.base_commit.as_deref()).await
    {
        drop(sandbox.stop().await);
        return Err(error);
    }
    let mut background = Vec::new();
    for script in &task.setup {
        let exec = Exec::new(script, timeout, OUTPUT_BYTES);
        let done = sandbox.exec(&exec).await?;
        if !done.exit.is_some_and(Exit::is_success) {
            let reason = format!("{}: {}", end(done.exit), done.output.trim_end());
            drop(sandbox.stop().await);
            return Err(SandboxError::SetUp { command: script.clone(), reason });
        }
        background = done.background;
    }
    Ok((sandbox, background))
}

fn end(exit: Option<Exit>) -> String {
    match exit {
        Some(Exit::Code(code)) => format!("it ended with code {code}"),
        Some(Exit::Signal(signal)) => format!("it was ended by signal {signal}"),
        Some(Exit::TimedOut) => "it overran its deadline".to_owned(),
        Some(Exit::OutOfMemory) => "it ran out of memory".to_owned(),
        None => "it did not end".to_owned(),
    }
}

/// Says all that a set-up's result depends on.
fn digest(order: &Order<'_>, made_of: &str) -> String {
    let scrub = order
        .is_from_image()
        .then(|| (history::SCRUB, order.task.repo.as_ref().map(|repo| &repo.base_commit)));
    let depends_on =
        serde_json::json!([FORMAT, made_of, order.spec, order.workspace.identity, scrub, order.task.setup]);
    format!("{:x}", Sha256::digest(depends_on.to_string()))
}

#[cfg(test)]
mod tests;

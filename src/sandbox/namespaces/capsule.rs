//! A sandbox that serves over a socket behind the [`Sandbox`] trait.
//!
//! Guarantees that nothing blocks the asynchronous threads, that a call whose caller gave up does not
//! disturb the next, and that a dropped sandbox is killed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::Either;
use tokio::sync::mpsc;

use super::blocking;
use super::launch::HangUp;
use super::line::{Line, lost};
use crate::sandbox::inside::protocol::{Interact, Request};
use crate::sandbox::proxy::Ledger;
use crate::sandbox::terminal::{Keys, Terminal};
use crate::sandbox::tree::Compared;
use crate::sandbox::{Contact, Exec, FileRead, FileWrite, Kept, Sandbox, SandboxError};
use crate::trajectory::{Exit, Observation};

/// What differs between the kinds of sandboxes that serve over a socket. Blocks.
pub(in crate::sandbox) trait Body: Send + Sized + 'static {
    /// Its line.
    fn line(&mut self) -> &mut Line;
    /// What was asked of its proxy, where it has one.
    fn ledger(&self) -> Option<Ledger> {
        None
    }
    /// Fails when something that its commands need beside their own machine has ended.
    fn is_whole(&self) -> Result<(), SandboxError> {
        Ok(())
    }
    /// What differs from the tree it started from.
    fn compare(&self) -> Result<Compared, SandboxError>;
    /// The directories that hold all that commands can write, as seen from inside; none where another sandbox
    /// would have them elsewhere.
    fn roots(&self) -> Option<Vec<PathBuf>>;
    /// Another one that starts from its files.
    fn fork(&mut self) -> Result<Self, SandboxError>;
    /// Ends it.
    fn stop(&mut self) -> Result<(), SandboxError>;
}

/// One running sandbox.
#[derive(Debug)]
pub(in crate::sandbox) struct Capsule<B: Body> {
    id: String,
    hang_up: HangUp,
    ledger: Option<Ledger>,
    body: Option<Arc<Mutex<B>>>,
}

impl<B: Body> Capsule<B> {
    pub(in crate::sandbox) fn new(mut body: B) -> Result<Self, SandboxError> {
        let line = body.line();
        let id = line.id.clone();
        let hang_up = line.process.hang_up_handle().map_err(|source| lost(&id, "starting", source))?;
        let ledger = body.ledger();
        Ok(Self { id, hang_up, ledger, body: Some(Arc::new(Mutex::new(body))) })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut B) -> Result<T, SandboxError> + Send + 'static,
    ) -> Result<T, SandboxError> {
        let body = self.body.clone().expect("invariant: only dropping takes the body");
        // The lock is waited for only when the caller before gave up on a command that still runs.
        blocking(move || {
            let mut body = body.lock().expect("invariant: nothing panics while it holds this lock");
            let done = work(&mut body)?;
            body.is_whole().map(|()| done)
        })
        .await
    }
}

impl<B: Body> Drop for Capsule<B> {
    fn drop(&mut self) {
        // This ends a command that still runs, too.
        self.hang_up.hang_up();
        // Dropping the body waits for the end of all processes, which is not for this thread.
        let body = self.body.take();
        std::thread::spawn(move || drop(body));
    }
}

#[async_trait]
impl<B: Body> Sandbox for Capsule<B> {
    fn id(&self) -> &str {
        &self.id
    }

    async fn exec(&mut self, exec: &Exec<'_>) -> Result<Observation, SandboxError> {
        let Exec { script, timeout, output_bytes, session, streams, report_bytes } = *exec;
        let script = script.to_owned();
        self.with(move |body| {
            let exec = Exec { script: &script, timeout, output_bytes, session, streams, report_bytes };
            body.line().exec(&exec)
        })
        .await
    }

    async fn interact(&mut self, terminal: Terminal) -> Result<Exit, SandboxError> {
        let setup = Interact::shell(&terminal);
        let Terminal { mut keys, screen, .. } = terminal;
        let mut speaker = self.with(move |body| body.line().begin_interacting(&setup)).await?;
        let (to_speaker, mut from_here) = mpsc::channel(1);
        let speaking = tokio::task::spawn_blocking(move || {
            while let Some(key) = from_here.blocking_recv() {
                let (request, typed) = Request::of(key);
                // Who cannot be spoken to is not heard any more either, and that is told.
                speaker.send(&request, &typed).ok();
            }
            // Who leaves without a word has hung up; a program that has ended does not hear it.
            speaker.send(&Request::Abort, &[]).ok();
        });
        let hearing = self.with(move |body| {
            body.line().interact(|bytes| {
                // Whoever does not look any more may still hang up.
                screen.blocking_send(bytes).ok();
            })
        });
        let forwarding = async move {
            while let Some(key) = keys.recv().await {
                if key == Keys::HungUp || to_speaker.send(key).await.is_err() {
                    break;
                }
            }
        };
        let ended = {
            let (hearing, forwarding) = (std::pin::pin!(hearing), std::pin::pin!(forwarding));
            match futures_util::future::select(hearing, forwarding).await {
                Either::Left((ended, _)) => ended,
                Either::Right(((), hearing)) => hearing.await,
            }
        };
        // Nothing may be spoken into what comes next.
        speaking.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        ended
    }

    async fn read(&mut self, path: &str) -> Result<FileRead, SandboxError> {
        let path = path.to_owned();
        self.with(move |body| body.line().read(&path)).await
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<FileWrite, SandboxError> {
        let (path, bytes) = (path.to_owned(), bytes.to_vec());
        self.with(move |body| body.line().write(&path, &bytes)).await
    }

    async fn compare(&mut self) -> Result<Compared, SandboxError> {
        self.with(|body| body.compare()).await
    }

    async fn remember(&mut self) -> Result<(), SandboxError> {
        self.with(|body| match body.roots() {
            Some(roots) => body.line().remember(roots),
            None => Ok(()),
        })
        .await
    }

    async fn keep(&mut self, file: &Path) -> Result<Kept, SandboxError> {
        let file = file.to_owned();
        self.with(move |body| match body.roots() {
            Some(_) => body.line().keep(&file),
            None => Ok(Kept::Not("each sandbox of this kind has its files elsewhere".to_owned())),
        })
        .await
    }

    async fn take_over(&mut self, file: &Path) -> Result<(), SandboxError> {
        let file = file.to_owned();
        self.with(move |body| body.line().take_over(&file)).await
    }

    fn contacts(&self) -> Vec<Contact> {
        self.ledger.as_ref().map(Ledger::contacts).unwrap_or_default()
    }

    async fn fork(&mut self) -> Result<Box<dyn Sandbox>, SandboxError> {
        let child = self.with(B::fork).await?;
        Ok(Box::new(Self::new(child)?))
    }

    async fn stop(self: Box<Self>) -> Result<(), SandboxError> {
        self.with(B::stop).await
    }
}

//! A container whose first process answers.
//!
//! Guarantees that a talk which was given up does not disturb the next, that nothing is taken for an answer when
//! the way to listed hosts ended before it, and that a container nobody stopped is removed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::files::lost;
use super::line::Line;
use super::owner;
use crate::sandbox::proxy::Tunnel;
use crate::sandbox::{Contact, SandboxError};

/// The line, and whether the two sides lost step.
struct Wire {
    line: Line,
    is_lost: bool,
}

/// A talk in the caller's own task, because another one's thread would have to be woken for it; it goes on in one
/// of its own when the caller gives up.
struct Talk<T: Send + 'static>(Option<BoxFuture<'static, io::Result<T>>>);

impl<T: Send + 'static> Talk<T> {
    async fn said(&mut self) -> io::Result<T> {
        let Some(talk) = &mut self.0 else { return Err(io::Error::other("it was said already")) };
        let said = talk.await;
        self.0 = None;
        said
    }
}

impl<T: Send + 'static> Drop for Talk<T> {
    fn drop(&mut self) {
        if let (Some(talk), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            drop(runtime.spawn(talk));
        }
    }
}

/// A running container.
pub(super) struct Running {
    docker: Docker,
    id: String,
    wire: Arc<Mutex<Wire>>,
    /// Where listed hosts may be reached.
    tunnel: Option<Tunnel>,
    is_removed: bool,
}

impl Running {
    pub(super) fn new(docker: Docker, id: String, line: Line) -> Self {
        let wire = Arc::new(Mutex::new(Wire { line, is_lost: false }));
        Self { docker, id, wire, tunnel: None, is_removed: false }
    }

    /// Keeps a tunnel, if there is one, open for as long as the container runs.
    pub(super) fn keep(&mut self, tunnel: Option<Tunnel>) {
        self.tunnel = tunnel;
    }

    /// Whether its first process is there, as far as is known without asking it; one that talks is.
    pub(super) fn is_open(&self) -> bool {
        self.wire.try_lock().map_or(true, |mut wire| !wire.is_lost && wire.line.is_open())
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What was asked of its proxy, where it has one.
    pub(super) fn contacts(&self) -> Vec<Contact> {
        self.tunnel.as_ref().map(|tunnel| tunnel.ledger().contacts()).unwrap_or_default()
    }

    pub(super) fn lost<E: Into<anyhow::Error>>(
        &self,
        doing: &str,
    ) -> impl FnOnce(E) -> SandboxError + use<E> {
        lost(&self.id, doing)
    }

    /// Talks to the first process. A caller who gives up does not disturb the next: the talk goes on.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        doing: &'static str,
        patience: Duration,
        talk: impl for<'line> FnOnce(&'line mut Line) -> BoxFuture<'line, io::Result<T>> + Send + 'static,
    ) -> Result<T, SandboxError> {
        let wire = self.wire.clone();
        let mut talking = Talk(Some(Box::pin(async move {
            let mut wire = wire.lock_owned().await;
            if wire.is_lost {
                return Err(io::Error::other("it did not answer before"));
            }
            let said = match tokio::time::timeout(patience, talk(&mut wire.line)).await {
                Ok(said) => said,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer came in time")),
            };
            // What comes after a missed answer would belong to another question.
            wire.is_lost = said.is_err();
            said
        })));
        let said = talking.said().await.map_err(self.lost(doing))?;
        match self.tunnel.as_ref().is_some_and(Tunnel::is_over) {
            // What its commands were refused is not theirs to answer for.
            true => Err(self.lost("its proxy ended")(io::Error::other("its relay is gone"))),
            false => Ok(said),
        }
    }

    /// Ends and removes it.
    pub(super) async fn remove(&mut self) -> Result<(), SandboxError> {
        self.is_removed = true;
        drop(self.tunnel.take());
        owner::remove_container(&self.docker, &self.id).await.map_err(self.lost("being removed"))
    }

    /// Removes it because of `error`, which is the one to report; what is left here is found by its labels.
    pub(super) async fn abandon(mut self, error: SandboxError) -> SandboxError {
        drop(self.remove().await);
        error
    }
}

impl Drop for Running {
    /// Removes what nobody stopped, on a thread of its own; what does not finish is found by its labels.
    fn drop(&mut self) {
        if self.is_removed {
            return;
        }
        tracing::debug!(sandbox = %self.id, "a sandbox was dropped without being stopped");
        owner::remove_later(self.id.clone());
    }
}

//! A sandbox in namespaces behind the [`Sandbox`] trait.
//!
//! Guarantees that nothing blocks the asynchronous threads, that a call whose caller gave up does not
//! disturb the next, and that a dropped sandbox is killed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::blocking;
use super::launch::Killer;
use super::machine::{self, Machine};
use crate::sandbox::tree::Change;
use crate::sandbox::{Exec, FileRead, FileWrite, Sandbox, SandboxError, Session};
use crate::trajectory::Observation;

/// One running sandbox.
#[derive(Debug)]
pub(in crate::sandbox) struct Capsule {
    id: String,
    killer: Killer,
    machine: Arc<Mutex<Machine>>,
}

impl Capsule {
    pub(in crate::sandbox) fn new(machine: Machine) -> Result<Self, SandboxError> {
        let killer = machine.process.killer().try_clone();
        let killer = killer.map_err(|source| machine::lost(&machine.id, "starting", source))?;
        Ok(Self { id: machine.id.clone(), killer, machine: Arc::new(Mutex::new(machine)) })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Machine) -> Result<T, SandboxError> + Send + 'static,
    ) -> Result<T, SandboxError> {
        let machine = self.machine.clone();
        // The lock is waited for only when the caller before gave up on a command that still runs.
        blocking(move || {
            work(&mut machine.lock().expect("invariant: nothing panics while it holds this lock"))
        })
        .await
    }
}

impl Drop for Capsule {
    fn drop(&mut self) {
        self.killer.kill();
    }
}

/// A command that outlives its borrow.
struct OwnedExec {
    script: String,
    timeout: Duration,
    output_bytes: usize,
    session: Session,
}

#[async_trait]
impl Sandbox for Capsule {
    fn id(&self) -> &str {
        &self.id
    }

    async fn exec(&mut self, exec: &Exec<'_>) -> Result<Observation, SandboxError> {
        let Exec { script, timeout, output_bytes, session } = *exec;
        let owned = OwnedExec { script: script.to_owned(), timeout, output_bytes, session };
        self.with(move |machine| {
            let OwnedExec { script, timeout, output_bytes, session } = &owned;
            machine.exec(&Exec { script, timeout: *timeout, output_bytes: *output_bytes, session: *session })
        })
        .await
    }

    async fn read(&mut self, path: &str) -> Result<FileRead, SandboxError> {
        let path = path.to_owned();
        self.with(move |machine| machine.read(&path)).await
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<FileWrite, SandboxError> {
        let (path, bytes) = (path.to_owned(), bytes.to_vec());
        self.with(move |machine| machine.write(&path, &bytes)).await
    }

    async fn changes(&mut self) -> Result<Vec<Change>, SandboxError> {
        self.with(|machine| machine.changes()).await
    }

    async fn fork(&mut self) -> Result<Box<dyn Sandbox>, SandboxError> {
        let child = self
            .with(|machine| {
                let (blueprint, store) = (machine.blueprint.clone(), machine.store.clone());
                Machine::start(&blueprint, Some(&store))
            })
            .await?;
        Ok(Box::new(Self::new(child)?))
    }

    async fn stop(self: Box<Self>) -> Result<(), SandboxError> {
        self.with(Machine::stop).await
    }
}

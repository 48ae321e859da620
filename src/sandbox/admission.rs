//! A backend that starts no more sandboxes than the machine can bear.
//!
//! Guarantees that the memory limits of all sandboxes together stay within what was free when the first was
//! asked for, less a head-room, and their processors within 16 times the machine's; that who
//! does not fit waits in the order of asking, and gets its place when another sandbox ends, however it ends;
//! that one is always admitted when nothing runs; and that none starts on a disk that is nearly full. A fork
//! counts, and never waits: whoever forks holds what others wait for, so a fork that waited for them would
//! wait for itself. So forks can go beyond the bound, and starts then wait until they are back below it.
//!
//! Whoever needs several sandboxes at the same time asks for no more than [`Backend::at_once`].

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OnceCell, oneshot};
use tokio::time::Instant;

use super::capacity::Capacity;
use super::spec::SandboxSpec;
use super::terminal::Terminal;
use super::tree::Compared;
use super::{Backend, Contact, Exec, FileRead, FileWrite, Kept, Sandbox, SandboxError, Start};
use crate::isolation::{Limits, Protection};
use crate::trajectory::{Exit, Observation};

/// One part of so many of the machine's memory is left to everything else.
const HEAD_ROOM: u64 = 10;
/// How often each processor is given away: a sandbox waits most of the time, for its policy.
const TIMES_SHARED: u64 = 16;
/// Nothing starts with less free disk than this.
const DISK_FLOOR_MIB: u64 = 512;
/// How long a full disk is waited for, and how often it is looked at.
const DISK_PATIENCE: Duration = Duration::from_secs(120);
const DISK_PERIOD: Duration = Duration::from_secs(2);

/// What a sandbox takes of the machine, or all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Share {
    memory_mib: u64,
    milli_cpus: u64,
}

impl Share {
    fn of(limits: &Limits) -> Self {
        Self { memory_mib: limits.memory_mib, milli_cpus: (limits.cpus * 1000.0).ceil() as u64 }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            milli_cpus: self.milli_cpus.saturating_add(other.milli_cpus),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            memory_mib: self.memory_mib - other.memory_mib,
            milli_cpus: self.milli_cpus - other.milli_cpus,
        }
    }

    fn is_within(self, bound: Self) -> bool {
        self.memory_mib <= bound.memory_mib && self.milli_cpus <= bound.milli_cpus
    }
}

/// What sandboxes may take together, and all there is.
#[derive(Debug, Clone, Copy)]
struct Bound {
    share: Share,
    memory_mib: u64,
}

impl Bound {
    fn of(capacity: &Capacity) -> Self {
        let head_room = capacity.memory_mib / HEAD_ROOM;
        let share = Share {
            memory_mib: capacity.free_memory_mib.saturating_sub(head_room),
            milli_cpus: (capacity.cores as u64).saturating_mul(1000 * TIMES_SHARED),
        };
        Self { share, memory_mib: capacity.memory_mib }
    }
}

/// A machine that several backends share.
#[derive(Debug, Default)]
pub struct Host {
    bound: OnceCell<Bound>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: Share,
    n_held: usize,
    waiting: VecDeque<Waiter>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    share: Share,
    sender: oneshot::Sender<Place>,
}

impl Host {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: nothing panics while it holds this lock")
    }

    /// A place for who may not wait.
    fn take(self: &Arc<Self>, share: Share) -> Place {
        let mut state = self.state();
        state.hold(share);
        Place { host: Arc::clone(self), share }
    }

    /// Waits for a place.
    async fn wait_for(self: &Arc<Self>, bound: Share, share: Share) -> Place {
        let (sender, receiver) = oneshot::channel();
        let ticket = {
            let mut state = self.state();
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.waiting.push_back(Waiter { ticket, share, sender });
            ticket
        };
        let _waiting = Waiting { host: self, ticket };
        self.admit(bound);
        receiver.await.expect("invariant: who leaves the line has stopped waiting")
    }

    /// Gives places to those who wait longest, as long as they fit.
    fn admit(self: &Arc<Self>, bound: Share) {
        let mut admitted = Vec::new();
        let mut state = self.state();
        while let Some(first) = state.waiting.front()
            && (state.n_held == 0 || state.taken.plus(first.share).is_within(bound))
        {
            let Some(waiter) = state.waiting.pop_front() else { break };
            state.hold(waiter.share);
            admitted.push((waiter.sender, Place { host: Arc::clone(self), share: waiter.share }));
        }
        drop(state);
        for (sender, place) in admitted {
            // Who has just stopped waiting gives the place back.
            drop(sender.send(place));
        }
    }

    fn admit_others(self: &Arc<Self>) {
        if let Some(bound) = self.bound.get() {
            self.admit(bound.share);
        }
    }
}

impl State {
    fn hold(&mut self, share: Share) {
        self.taken = self.taken.plus(share);
        self.n_held += 1;
    }
}

/// A place among those that run, given back when it is let go.
#[derive(Debug)]
struct Place {
    host: Arc<Host>,
    share: Share,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.host.state();
        state.taken = state.taken.minus(self.share);
        state.n_held -= 1;
        drop(state);
        self.host.admit_others();
    }
}

/// A place in the line, left when it is let go.
struct Waiting<'a> {
    host: &'a Arc<Host>,
    ticket: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.host.state().waiting.retain(|waiter| waiter.ticket != self.ticket);
        // The next may fit where this one did not.
        self.host.admit_others();
    }
}

/// A backend whose sandboxes take their places on a machine.
pub struct Admission {
    backend: Arc<dyn Backend>,
    host: Arc<Host>,
}

impl Admission {
    /// Lets `backend` start what fits on `host`.
    pub fn new(backend: Arc<dyn Backend>, host: Arc<Host>) -> Self {
        Self { backend, host }
    }

    async fn bound(&self) -> Result<Bound, SandboxError> {
        let measure = || async { Ok(Bound::of(&self.backend.capacity().await?)) };
        self.host.bound.get_or_try_init(measure).await.copied()
    }

    /// Refuses what could never fit.
    fn require_room(spec: &SandboxSpec, bound: &Bound) -> Result<(), SandboxError> {
        if spec.limits.memory_mib <= bound.memory_mib {
            return Ok(());
        }
        Err(SandboxError::NoRoom {
            sandbox: spec.name.clone(),
            reason: format!(
                "it may use {} MiB of memory, and the machine has {} MiB in all",
                spec.limits.memory_mib, bound.memory_mib
            ),
            hint: format!("lower `limits.memory_mib` in its sandbox.yaml to at most {}", bound.memory_mib),
        })
    }

    /// Waits as long as the disk is nearly full.
    async fn require_disk(&self, spec: &SandboxSpec) -> Result<(), SandboxError> {
        let begin = Instant::now();
        loop {
            let capacity = self.backend.capacity().await?;
            let free = capacity.free_disk_mib;
            if DISK_FLOOR_MIB <= free {
                return Ok(());
            }
            let disk = capacity.disk.unwrap_or_default();
            if DISK_PATIENCE <= begin.elapsed() {
                return Err(SandboxError::NoRoom {
                    sandbox: spec.name.clone(),
                    reason: format!(
                        "the disk of `{}` has {free} MiB left, and {DISK_FLOOR_MIB} are needed",
                        disk.display()
                    ),
                    hint: "free some disk: see `apprentice sandbox prune --dry-run`".to_owned(),
                });
            }
            tracing::warn!(free_mib = free, disk = %disk.display(), "waiting for room on the disk");
            tokio::time::sleep(DISK_PERIOD).await;
        }
    }
}

#[async_trait]
impl Backend for Admission {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    async fn probe(&self) -> Result<Protection, SandboxError> {
        self.backend.probe().await
    }

    async fn warm(&self, start: &Start<'_>, count: usize) -> Result<(), SandboxError> {
        let count = count.min(self.at_once(start.spec).await?);
        self.backend.warm(start, count).await
    }

    async fn made_of(&self, start: &Start<'_>) -> Result<String, SandboxError> {
        self.backend.made_of(start).await
    }

    async fn capacity(&self) -> Result<Capacity, SandboxError> {
        self.backend.capacity().await
    }

    async fn at_once(&self, spec: &SandboxSpec) -> Result<usize, SandboxError> {
        let (bound, share) = (self.bound().await?.share, Share::of(&spec.limits));
        let times = |all: u64, one: u64| all.checked_div(one).unwrap_or(u64::MAX);
        let fits = times(bound.memory_mib, share.memory_mib).min(times(bound.milli_cpus, share.milli_cpus));
        Ok(usize::try_from(fits).unwrap_or(usize::MAX).max(1))
    }

    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        let bound = self.bound().await?;
        Self::require_room(start.spec, &bound)?;
        let place = self.host.wait_for(bound.share, Share::of(&start.spec.limits)).await;
        self.require_disk(start.spec).await?;
        let sandbox = self.backend.start(start).await?;
        Ok(Box::new(Admitted { sandbox, place }))
    }
}

/// A sandbox that has its place.
struct Admitted {
    sandbox: Box<dyn Sandbox>,
    /// Let go after the sandbox.
    place: Place,
}

#[async_trait]
impl Sandbox for Admitted {
    fn id(&self) -> &str {
        self.sandbox.id()
    }

    async fn exec(&mut self, exec: &Exec<'_>) -> Result<Observation, SandboxError> {
        self.sandbox.exec(exec).await
    }

    async fn interact(&mut self, terminal: Terminal) -> Result<Exit, SandboxError> {
        self.sandbox.interact(terminal).await
    }

    async fn read(&mut self, path: &str) -> Result<FileRead, SandboxError> {
        self.sandbox.read(path).await
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<FileWrite, SandboxError> {
        self.sandbox.write(path, bytes).await
    }

    async fn compare(&mut self) -> Result<Compared, SandboxError> {
        self.sandbox.compare().await
    }

    async fn remember(&mut self) -> Result<(), SandboxError> {
        self.sandbox.remember().await
    }

    async fn keep(&mut self, file: &Path) -> Result<Kept, SandboxError> {
        self.sandbox.keep(file).await
    }

    async fn take_over(&mut self, file: &Path) -> Result<(), SandboxError> {
        self.sandbox.take_over(file).await
    }

    fn contacts(&self) -> Vec<Contact> {
        self.sandbox.contacts()
    }

    async fn fork(&mut self) -> Result<Box<dyn Sandbox>, SandboxError> {
        let place = self.place.host.take(self.place.share);
        Ok(Box::new(Self { sandbox: self.sandbox.fork().await?, place }))
    }

    async fn stop(self: Box<Self>) -> Result<(), SandboxError> {
        let Self { sandbox, place } = *self;
        let stopped = sandbox.stop().await;
        drop(place);
        stopped
    }
}

#[cfg(test)]
mod tests;

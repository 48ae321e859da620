//! Many replays at once: trunks side by side, branches forked where trajectories part.
//!
//! Guarantees that at most `parallel` sandboxes run commands at a time, that what is told is told in the order of the
//! works, and that work whose sandbox is lost or cannot be forked is made again, each trajectory alone, three tries in
//! all. Grades nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::script::{Ground, Script};
use super::trunk::{self, Trunk};
use super::{Replay, compare, effect};
use crate::act::Actor;
use crate::ready::{Order, Ready};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, PAUSES, SandboxError, Session};
use crate::task::LoadedTask;
use crate::trajectory::{Observation, Trajectory};
use crate::workspace::{self, Workspace};

/// One trajectory to replay.
#[derive(Clone)]
pub struct Work {
    /// The trajectory.
    pub trajectory: Arc<Trajectory>,
    /// Its task.
    pub task: Arc<LoadedTask>,
    /// The sandbox that it is replayed in; its work directory is where the repository lies.
    pub spec: Arc<SandboxSpec>,
    /// What starts that sandbox.
    pub backend: Arc<dyn Backend>,
}

impl Work {
    pub(super) fn script(&self) -> Script {
        Script::new(&self.trajectory, &self.spec.workdir)
    }
}

/// How replays are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where prepared repositories are kept.
    pub cache: PathBuf,
    /// Makes sandboxes ready.
    pub ready: Arc<Ready>,
    /// Sandboxes that run commands at the same time.
    pub parallel: usize,
}

/// The replay of a work, or why the host could not make it.
pub type Ran = Result<Replay, Arc<anyhow::Error>>;

/// Replays every work and gives the replays in their order; `done` hears of each in that order, as soon as
/// those before it are made.
pub async fn run_all(works: &[Work], options: &Options, mut done: impl FnMut(usize, &Ran)) -> Vec<Ran> {
    let scripts: Arc<Vec<Script>> = Arc::new(works.iter().map(Work::script).collect());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let site = Arc::new(Site {
        works: works.to_vec(),
        scripts,
        cache: options.cache.clone(),
        ready: Arc::clone(&options.ready),
        slots: Arc::new(Semaphore::new(options.parallel.max(1))),
        sender,
    });
    let mut running = JoinSet::new();
    for group in trunk::groups(works) {
        running.spawn(Arc::clone(&site).run_group(group));
    }
    drop(site);
    let mut ready: BTreeMap<usize, Ran> = BTreeMap::new();
    let mut ran: Vec<Ran> = Vec::with_capacity(works.len());
    while let Some((number, outcome)) = receiver.recv().await {
        ready.insert(number, outcome);
        while let Some(next) = ready.remove(&ran.len()) {
            done(ran.len(), &next);
            ran.push(next);
        }
    }
    // A panic is a bug of ours; its works were not made, and say so.
    while ran.len() < works.len() {
        let next = ready.remove(&ran.len());
        let next = next.unwrap_or_else(|| Err(Arc::new(anyhow::anyhow!("the replay itself broke down"))));
        done(ran.len(), &next);
        ran.push(next);
    }
    ran
}

/// What all replays of one call share.
struct Site {
    works: Vec<Work>,
    scripts: Arc<Vec<Script>>,
    cache: PathBuf,
    ready: Arc<Ready>,
    slots: Arc<Semaphore>,
    sender: mpsc::UnboundedSender<(usize, Ran)>,
}

/// Works that were not made.
type Failed = Vec<Failure>;

/// Why a work was not made.
struct Failure {
    number: usize,
    error: Arc<anyhow::Error>,
    /// Whether it may succeed alone in another sandbox.
    again: bool,
}

/// The same failure of all works below a node.
fn shared_failure(node: &Trunk, error: SandboxError, again: Again) -> Failed {
    let again = again == Again::Yes || error.is_lost();
    let error = Arc::new(anyhow::Error::new(error));
    let failure = |number| Failure { number, error: Arc::clone(&error), again };
    node.numbers().into_iter().map(failure).collect()
}

/// Whether a failure is worth another try whatever it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// A fork failed: without it the same work may succeed.
    Yes,
    /// Only where the sandbox was lost.
    IfLost,
}

/// A slot of one's own, or none: then the slot of whoever waits is used.
type Slot = Option<OwnedSemaphorePermit>;

/// What a node is run with.
struct Held {
    #[expect(dead_code, reason = "it is free again when this is dropped")]
    slot: Slot,
    /// The repository at its starting point.
    tree: Option<Arc<Path>>,
    /// Steps that were run before the last fork.
    forked_at: usize,
}

/// What was seen on the way from the root to a node.
type Seen = Vec<Arc<Observation>>;

impl Site {
    /// Replays works that start alike; those that fail are tried again alone.
    async fn run_group(self: Arc<Self>, group: Vec<usize>) {
        let workspace = match self.workspace(group[0]).await {
            Ok(workspace) => Arc::new(workspace),
            Err(error) => return self.give_up(&group, error),
        };
        let trunk = trunk::trunk(&self.works, &self.scripts, &group);
        let mut failed = Arc::clone(&self).run_trunk(trunk, Arc::clone(&workspace)).await;
        for pause in PAUSES {
            if failed.is_empty() {
                return;
            }
            tokio::time::sleep(pause).await;
            let mut still = Failed::new();
            for failure in failed {
                if !failure.again {
                    still.push(failure);
                    continue;
                }
                let trunk = trunk::trunk(&self.works, &self.scripts, &[failure.number]);
                still.extend(Arc::clone(&self).run_trunk(trunk, Arc::clone(&workspace)).await);
            }
            failed = still;
        }
        for failure in failed {
            self.tell(failure.number, Err(failure.error));
        }
    }

    /// The repository at its starting point.
    async fn workspace(&self, number: usize) -> anyhow::Result<Workspace> {
        let (task, cache) = (Arc::clone(&self.works[number].task), self.cache.clone());
        tokio::task::spawn_blocking(move || workspace::prepare(&task, &cache)).await?
    }

    fn give_up(&self, group: &[usize], error: anyhow::Error) {
        let error = Arc::new(error);
        for number in group {
            self.tell(*number, Err(Arc::clone(&error)));
        }
    }

    fn tell(&self, number: usize, ran: Ran) {
        // Nobody listens any more when the caller went away.
        drop(self.sender.send((number, ran)));
    }

    /// Starts a sandbox and runs a tree in it from its root.
    async fn run_trunk(self: Arc<Self>, trunk: Trunk, workspace: Arc<Workspace>) -> Failed {
        let slot = self.slot().await;
        let work = &self.works[trunk.numbers()[0]];
        let Work { task, spec, backend, .. } = work;
        let order = Order { backend: &**backend, spec, task: &task.task, workspace: &workspace };
        let started = self.ready.actor(&order).await;
        let ground = Ground::of(&work.trajectory);
        match started {
            Err(error) => shared_failure(&trunk, error, Again::IfLost),
            Ok(mut actor) => {
                if ground.fresh_shells {
                    actor = actor.with_session(Session::Fresh);
                }
                if let Some(setup) = ground.editor {
                    actor = actor.with_editor(setup);
                }
                let tree = workspace.tree.as_deref().map(Arc::from);
                self.run_node(trunk, actor, Seen::new(), Held { slot: Some(slot), tree, forked_at: 0 }).await
            }
        }
    }

    async fn slot(&self) -> OwnedSemaphorePermit {
        let slots = Arc::clone(&self.slots);
        slots.acquire_owned().await.expect("invariant: the semaphore is never closed")
    }

    /// Runs a node's actions, ends those trajectories that end there, and forks for the others.
    fn run_node(
        self: Arc<Self>,
        node: Trunk,
        mut actor: Actor,
        mut seen: Seen,
        held: Held,
    ) -> BoxFuture<'static, Failed> {
        async move {
            for action in &node.actions {
                match actor.perform(action).await {
                    Ok(observation) => seen.push(Arc::new(observation)),
                    Err(error) => {
                        drop(actor.stop().await);
                        return shared_failure(&node, error, Again::IfLost);
                    }
                }
            }
            if let Err(error) = self.end(&node, &mut actor, &seen, &held).await {
                drop(actor.stop().await);
                return shared_failure(&node, error, Again::IfLost);
            }
            self.run_branches(node.branches, actor, seen, held).await
        }
        .boxed()
    }

    /// Tells of the trajectories that end at a node.
    async fn end(
        &self,
        node: &Trunk,
        actor: &mut Actor,
        seen: &Seen,
        held: &Held,
    ) -> Result<(), SandboxError> {
        if node.ends.is_empty() {
            return Ok(());
        }
        let patch = actor.patch().await?.patch;
        let is_shared = 1 < node.ends.len() || !node.branches.is_empty();
        for number in &node.ends {
            let trajectory = &self.works[*number].trajectory;
            let replay = compare::replay(trajectory, &self.scripts[*number], seen, patch.clone());
            let shared_steps = if is_shared { seen.len() } else { held.forked_at };
            let recorded = trajectory.patch.as_ref();
            let patch_matches = recorded.map(|recorded| effect::same(held.tree.as_deref(), recorded, &patch));
            self.tell(*number, Ok(Replay { shared_steps, patch_matches, ..replay }));
        }
        Ok(())
    }

    /// Every branch but the last gets a fork; the last goes on in the trunk's own sandbox.
    async fn run_branches(
        self: Arc<Self>,
        mut branches: Vec<Trunk>,
        mut actor: Actor,
        seen: Seen,
        held: Held,
    ) -> Failed {
        let forked_at = seen.len();
        let Some(last) = branches.pop() else {
            // The replays are made: what is left behind is for `sandbox prune`.
            if let Err(error) = actor.stop().await {
                tracing::warn!(%error, "could not stop a sandbox");
            }
            return Failed::new();
        };
        let (mut failed, mut running) = (Failed::new(), JoinSet::new());
        for branch in branches {
            let fork = match actor.fork().await {
                Ok(fork) => fork,
                Err(error) => {
                    failed.extend(shared_failure(&branch, error, Again::Yes));
                    continue;
                }
            };
            // Where no slot is free the trunk's own is used: it has nothing else to do meanwhile.
            let own = Arc::clone(&self.slots).try_acquire_owned().ok();
            let is_lent = own.is_none();
            let work = Arc::clone(&self).run_node(
                branch,
                fork,
                seen.clone(),
                Held { slot: own, forked_at, tree: held.tree.clone() },
            );
            if is_lent {
                failed.extend(work.await);
            } else {
                running.spawn(work);
            }
        }
        let held = Held { forked_at, ..held };
        failed.extend(Arc::clone(&self).run_node(last, actor, seen, held).await);
        while let Some(joined) = running.join_next().await {
            failed.extend(joined.unwrap_or_default());
        }
        failed
    }
}

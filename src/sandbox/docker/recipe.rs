//! What containers of one kind are made of, and how one is made.
//!
//! Guarantees that a container which was made answers and holds the start, or is removed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::AttachContainerOptions;
use tokio::sync::Semaphore;

use super::engine::Engine;
use super::files::{self, SESSION_DIRECTORY, lost};
use super::images::Image;
use super::line::Line;
use super::prepare::Prepared;
use super::running::Running;
use super::warm::Warm;
use super::{body, direct, owner, relay, usr};
use crate::sandbox::inside::protocol::{
    Beside, Bounds, Confinement, Fill, Held, Plan, Ran, Request, Run, Shelf, Started, User, Wrote,
};
use crate::sandbox::proxy::{self, Tunnel};
use crate::sandbox::session::SessionDir;
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Exec, SandboxError};

/// How long a container may take to start on a crowded machine, and to take over a repository.
pub(super) const START: Duration = Duration::from_secs(300);

/// Where a sandbox keeps what its commands write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    /// In sized file systems in memory; all else is read-only.
    Memory,
    /// In the container's own layer, which holds the repository of the image or one too large for memory.
    Disk,
}

/// What containers of one kind are made of.
pub(super) struct Recipe {
    pub(super) docker: Docker,
    /// Makes the image ready again.
    pub(super) engine: Arc<Engine>,
    pub(super) spec: SandboxSpec,
    pub(super) image: Arc<Image>,
    pub(super) prepared: Prepared,
    pub(super) argv: Vec<String>,
    /// The repository on the host; absent when the image holds it.
    pub(super) tree: Option<PathBuf>,
    pub(super) storage: Storage,
    /// Containers that wait.
    pub(super) warm: Warm,
    /// How many more the engine may start now, for whatever recipe.
    pub(super) turns: Arc<Semaphore>,
}

impl Recipe {
    /// The directories that hold all that commands can write.
    pub(super) fn roots(&self) -> Vec<String> {
        let own = [&self.spec.workdir, &self.prepared.user.home].map(Clone::clone);
        let common = ["/tmp", "/var/tmp", "/dev/shm", files::STATE_DIRECTORY].map(str::to_owned);
        own.into_iter().chain(common).collect()
    }

    /// Starts a container and fills its work directory.
    pub(super) async fn make(&self) -> Result<Running, SandboxError> {
        let running = match self.boot(&self.prepared.image).await {
            Err(error @ SandboxError::Image { .. }) if self.is_image_gone().await => {
                tracing::info!(%error, "the image of a sandbox was removed, and is made ready again");
                self.engine.prepare_again(&self.spec, &self.image, self.tree.is_none()).await?;
                self.boot(&self.prepared.image).await?
            }
            booted => booted?,
        };
        match self.fill(&running).await {
            Ok(()) => Ok(running),
            Err(error) => Err(running.abandon(error).await),
        }
    }

    async fn is_image_gone(&self) -> bool {
        let found = self.docker.inspect_image(&self.prepared.image).await;
        matches!(found, Err(Error::DockerResponseServerError { status_code: 404, .. }))
    }

    /// Makes one that waits for its first command: bash has run in it, so that the engine's storage has read
    /// what it needs.
    pub(super) async fn make_warm(&self) -> Result<Running, SandboxError> {
        let running = self.make().await?;
        let session = SessionDir::new(files::SESSION_DIRECTORY);
        let exec = Exec::new("cat </dev/null", START, 0).fresh();
        let run = Run::of(session.invocation(&exec), &exec, &session);
        let ran = running.with("running its first command", START, |line| {
            Box::pin(async move {
                line.send(&Request::Exec(run), &[]).await?;
                line.receive::<Ran>().await
            })
        });
        match ran.await {
            Ok(_) => Ok(running),
            Err(error) => Err(running.abandon(error).await),
        }
    }

    /// Gives it the session's prelude and the repository.
    async fn fill(&self, running: &Running) -> Result<(), SandboxError> {
        const DOING: &str = "filling its work directory";
        let (pieces, packing) = files::pack_start(&self.spec.workdir, self.tree.as_deref());
        let wrote = running.with(DOING, START, |line| {
            Box::pin(async move {
                line.send(&Request::Fill(Fill::Start), &[]).await?;
                line.send_pieces(pieces).await?;
                Ok(line.receive::<Wrote>().await?.0)
            })
        });
        let wrote = wrote.await?;
        let packed = packing.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        packed.map_err(|source| SandboxError::Host {
            doing: "pack",
            path: self.tree.clone().unwrap_or_default(),
            source,
        })?;
        wrote.map_err(|reason| running.lost(DOING)(anyhow!(reason)))
    }

    /// Creates a container of `image`, with a volume where that is faster.
    async fn create(&self, image: &str) -> Result<String, SandboxError> {
        let volume = match self.storage {
            Storage::Memory => self.engine.usr(image, &self.spec.name).await?,
            Storage::Disk => None,
        };
        let id = body::create(self, image, volume.as_deref()).await?;
        let Some(volume) = volume else { return Ok(id) };
        if usr::is_there(&self.docker, &volume).await.unwrap_or(false) {
            return Ok(id);
        }
        // Somebody removed it, and the engine made an empty one of that name.
        owner::remove_container(&self.docker, &id).await.map_err(lost(&id, "being removed"))?;
        drop(usr::remove(&self.docker, &volume).await);
        self.engine.forget_usr(image).await;
        body::create(self, image, None).await
    }

    /// Starts a container of `image` whose first process answers.
    pub(super) async fn boot(&self, image: &str) -> Result<Running, SandboxError> {
        // All at once they would all be ready at the end; in turns most are at work before.
        let _turn = self.turns.acquire().await.expect("invariant: nobody closes it");
        let id = self.create(image).await?;
        self.begin(id).await
    }

    /// The same, of an image in which commands of root may have replaced the program that serves.
    pub(super) async fn boot_distrusting(&self, image: &str) -> Result<Running, SandboxError> {
        let _turn = self.turns.acquire().await.expect("invariant: nobody closes it");
        let id = self.create(image).await?;
        match self.engine.bring_program(&id).await {
            Ok(()) => self.begin(id).await,
            Err(error) => {
                // The first failure is the one to report; what is left here is found by its labels.
                drop(owner::remove_container(&self.docker, &id).await);
                Err(error)
            }
        }
    }

    /// Starts a container that was created, and talks to it.
    async fn begin(&self, id: String) -> Result<Running, SandboxError> {
        let line = match self.attach(&id).await {
            Ok(line) => line,
            Err(error) => {
                // The first failure is the one to report; what is left here is found by its labels.
                drop(owner::remove_container(&self.docker, &id).await);
                return Err(error);
            }
        };
        let mut running = Running::new(self.docker.clone(), id, line);
        match self.meet(&running).await {
            Ok(tunnel) => {
                running.keep(tunnel);
                Ok(running)
            }
            Err(error) => Err(running.abandon(error).await),
        }
    }

    /// Starts the first process; gives the line to it.
    async fn attach(&self, id: &str) -> Result<Line, SandboxError> {
        let attached = async {
            let options = AttachContainerOptions {
                stdin: true,
                stdout: true,
                stderr: true,
                stream: true,
                ..AttachContainerOptions::default()
            };
            let attached = self.docker.attach_container(id, Some(options)).await?;
            self.docker.start_container(id, None).await?;
            Ok::<_, Error>(Line::new(attached))
        };
        match tokio::time::timeout(START, attached).await {
            Ok(Ok(line)) => Ok(line),
            // It was there a moment ago.
            Ok(Err(error @ Error::DockerResponseServerError { status_code: 404 | 409, .. })) => {
                Err(lost(id, "starting")(error))
            }
            Ok(Err(error)) => Err(body::not_started(&self.spec, &error)),
            Err(_) => Err(lost(id, "starting")(anyhow!("the engine did not answer within 300 s"))),
        }
    }

    /// Makes the first process ready, and opens the ways to it and to its relay.
    async fn meet(&self, running: &Running) -> Result<Option<Tunnel>, SandboxError> {
        let plan = self.plan();
        let greeted = running.with("starting", START, move |line| {
            Box::pin(async move {
                line.send(&plan, &[]).await?;
                match line.receive().await?.0 {
                    Started::Ready(_) => Ok(()),
                    Started::Failed { doing, reason, .. } => {
                        Err(io::Error::other(format!("could not {doing}: {reason}")))
                    }
                }
            })
        });
        greeted.await?;
        direct::meet(&self.docker, running).await?;
        relay::open(self, running).await
    }

    fn plan(&self) -> Plan {
        let user = &self.prepared.user;
        let limits = &self.spec.limits;
        let mut env = self.prepared.env.clone();
        env.push(("HOME".to_owned(), user.home.clone()));
        env.extend(proxy::variables(&self.spec.network));
        env.extend(self.spec.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        Plan {
            confinement: Confinement::Container(User {
                uid: user.uid as u32,
                gid: user.gid as u32,
                relay: if self.spec.network.allowed().is_some() { Beside::Relay } else { Beside::Nothing },
            }),
            host_id: None,
            cgroups: Vec::new(),
            processors: Vec::new(),
            bounds: Bounds {
                memory: limits.memory_mib << 20,
                memory_held: Held::ByCgroup,
                pids: limits.pids,
                disk: limits.disk_mib << 20,
                quiet: limits.quiet_timeout(),
            },
            env,
            workdir: PathBuf::from(&self.spec.workdir),
            files: Vec::new(),
            roots: self.roots().into_iter().map(PathBuf::from).collect(),
            shelf: Shelf::of(limits, &SessionDir::new(SESSION_DIRECTORY)),
        }
    }
}

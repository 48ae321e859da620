//! Sandboxes in Docker containers, or Podman's through its Docker-compatible socket.
//!
//! Guarantees no network, no capabilities, an unprivileged user, a read-only system with sized file systems
//! in memory for what commands write, bounds on memory, processes and processor, and labels by which a later
//! process finds what a killed one left. A command costs no request to the engine: a process of ours serves
//! in each container ([`super::inside`]), over a socket of our own or, where none can be had, the container's standard
//! streams. Where
//! the image holds the repository, or root works in it, its layer is written to instead, which is bounded by
//! looking every two seconds, because Docker has no quota on most storage drivers.

mod body;
mod container;
mod direct;
pub mod disk;
mod engine;
mod evict;
mod fetch;
mod files;
pub mod images;
mod ledger;
mod line;
mod owner;
mod prepare;
mod program;
mod pulls;
mod recipe;
mod reference;
mod relay;
mod running;
mod users;
mod usr;
mod warm;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Once, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error;
use tokio::sync::{Mutex, Semaphore};

use super::capacity::Capacity;
use super::spec::SandboxSpec;
use super::{Backend, Sandbox, SandboxError, Say, Start};
use crate::isolation::{Isolation, Lack, Protection};
use container::Container;
use disk::KeepFree;
use engine::{Engine, Settings};
use images::Image;
use ledger::Ledger;
use recipe::{Recipe, Storage};
use warm::Warm;

pub use evict::Evictable;
pub use images::Way;
pub use owner::{LOOKS, Leftover, leftovers, remove};
pub use prepare::Stale;
pub use reference::short;

/// The backend's name.
const NAME: &str = "docker";

/// How long a daemon may take to say hello.
const HELLO: Duration = Duration::from_secs(5);

/// How long an image that another version of this program made is kept for it.
const KEEP_STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the volume of such an image is, which its sandboxes can do without.
const KEEP_STALE_VOLUME: Duration = Duration::from_secs(24 * 3600);

/// A repository larger than this part of the sandbox's memory is kept on disk.
const MEMORY_SHARE: u64 = 2;

/// Makes sandboxes from Docker containers.
#[derive(Clone)]
pub struct DockerBackend {
    engine: Arc<Engine>,
    isolation: Isolation,
    recipes: Arc<Mutex<HashMap<String, Weak<Recipe>>>>,
    /// Bounds how many containers start at a time.
    turns: Arc<Semaphore>,
    /// Those whose containers wait, which are kept while this backend lives.
    warmed: Arc<Mutex<Vec<Arc<Recipe>>>>,
    /// What killed processes left is removed once, when the first sandbox starts.
    swept: Arc<Once>,
}

impl DockerBackend {
    /// Connects to `DOCKER_HOST`, else to Docker's socket, else to Podman's.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when nothing answers.
    pub async fn connect(isolation: Isolation) -> Result<Self, SandboxError> {
        let hello = async {
            if std::env::var_os("DOCKER_HOST").is_some() {
                return Docker::connect_with_defaults()?.negotiate_version().await;
            }
            match Docker::connect_with_unix_defaults()?.negotiate_version().await {
                Ok(docker) => Ok(docker),
                Err(error) => match Docker::connect_with_podman_defaults() {
                    Ok(podman) => podman.negotiate_version().await.map_err(|_| error),
                    Err(_) => Err(error),
                },
            }
        };
        let docker = match tokio::time::timeout(HELLO, hello).await {
            Ok(answer) => answer.map_err(|error| unavailable(&error))?,
            Err(_) => return Err(unavailable("the daemon did not answer within 5 s")),
        };
        let keep = KeepFree::of_environment().map_err(|reason| SandboxError::Unavailable {
            backend: NAME,
            reason,
            hint: format!("set {} to a size such as `20GiB`, a part such as `10%`, or `off`", disk::VARIABLE),
        })?;
        let settings = Settings { exe: None, keep, notes: Ledger::directory_of_user() };
        Ok(Self::of(Engine::new(docker, settings), isolation))
    }

    /// Runs `exe` inside containers, a program that calls
    /// [`init_if_asked`](super::inside::init_if_asked) before anything else; without this the one that
    /// runs here.
    #[must_use]
    pub fn with_exe(self, exe: PathBuf) -> Self {
        let settings = self.engine.settings.clone();
        self.with(Settings { exe: Some(exe), ..settings })
    }

    /// Keeps so much of the engine's disk free, whatever the environment says.
    #[must_use]
    pub fn keeping_free(self, keep: KeepFree) -> Self {
        let settings = self.engine.settings.clone();
        self.with(Settings { keep, ..settings })
    }

    /// Notes what it pulls in `directory`; without this below the user's cache directory.
    #[must_use]
    pub fn with_notes(self, directory: PathBuf) -> Self {
        let settings = self.engine.settings.clone();
        self.with(Settings { notes: Some(directory), ..settings })
    }

    /// The same before anything was asked.
    fn with(self, settings: Settings) -> Self {
        Self::of(Engine::new(self.docker().clone(), settings), self.isolation)
    }

    fn of(engine: Engine, isolation: Isolation) -> Self {
        Self {
            engine: Arc::new(engine),
            isolation,
            recipes: Arc::default(),
            turns: Arc::new(Semaphore::new(starts_at_a_time())),
            warmed: Arc::default(),
            swept: Arc::new(Once::new()),
        }
    }

    /// The engine's API, for images and leftovers.
    pub fn docker(&self) -> &Docker {
        &self.engine.docker
    }

    /// The image of `spec`, pulled if need be: the same one to the end of this backend.
    ///
    /// # Errors
    /// [`SandboxError::Image`] with every way that was tried.
    pub async fn image(&self, spec: &SandboxSpec, say: Say<'_>) -> Result<Arc<Image>, SandboxError> {
        self.engine.image(spec, say).await
    }

    /// Makes the image of `spec` in the first way that works; what is not pulled is made `one_by_one`.
    ///
    /// # Errors
    /// [`SandboxError::Image`] with every way that was tried.
    pub async fn build(
        &self,
        spec: &SandboxSpec,
        one_by_one: &Mutex<()>,
        say: Say<'_>,
    ) -> Result<(Image, Way), SandboxError> {
        self.engine.store().await?.build(spec, one_by_one, say).await
    }

    /// The bytes that are missing to what should be free of the engine's disk.
    ///
    /// # Errors
    /// Why that cannot be known; [`SandboxError::Unavailable`] when the engine does not answer.
    pub async fn missing_room(&self) -> Result<Result<u64, String>, SandboxError> {
        Ok(self.engine.store().await?.room.missing())
    }

    /// What would be removed to free `missing` bytes, if each image freed its size.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when the engine does not answer.
    pub async fn would_evict(&self, missing: u64) -> Result<Vec<Evictable>, SandboxError> {
        let mut left = missing;
        let all = self.engine.store().await?.evictable().await.map_err(|error| unavailable(&error))?;
        let needed = all.into_iter().take_while(|image| {
            let is_needed = 0 < left;
            left = left.saturating_sub(image.bytes);
            is_needed
        });
        Ok(needed.collect())
    }

    /// Removes images that commands of this user pulled and nothing uses, what was not used for longest first,
    /// until as much of the engine's disk is free as should be.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when the engine refuses.
    pub async fn make_room(&self) -> Result<Vec<Evictable>, SandboxError> {
        let room = self.engine.store().await?.room;
        self.evict(&mut || room.missing().is_ok_and(|missing| 0 < missing)).await
    }

    /// Removes the same images in the same order, as long as `is_full` says so.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when the engine refuses.
    pub async fn evict(
        &self,
        is_full: &mut (dyn FnMut() -> bool + Send),
    ) -> Result<Vec<Evictable>, SandboxError> {
        self.engine.store().await?.evict(is_full, &|_| ()).await.map_err(|error| unavailable(&error))
    }

    async fn require_protection(&self) -> Result<(), SandboxError> {
        let missing = self.probe().await?.missing;
        if missing.is_empty() || self.isolation == Isolation::AcceptWeaker {
            return Ok(());
        }
        Err(SandboxError::WeakIsolation {
            backend: NAME,
            lacks: missing.iter().map(|lack| lack.what.as_str()).collect::<Vec<_>>().join("; "),
            hint: format!("{}, or pass `--accept-weaker-isolation`", missing[0].remedy),
        })
    }

    /// How to make containers for `start`: the same recipe as long as a sandbox of it lives.
    async fn recipe(&self, start: &Start<'_>) -> Result<Arc<Recipe>, SandboxError> {
        let tree = start.tree.map(fs_err::canonicalize).transpose();
        let tree = tree.map_err(|source| SandboxError::Host {
            doing: "find",
            path: start.tree.map(PathBuf::from).unwrap_or_default(),
            source,
        })?;
        let key = serde_json::json!([start.spec, tree]).to_string();
        if let Some(recipe) = self.recipes.lock().await.get(&key).and_then(Weak::upgrade) {
            return Ok(recipe);
        }
        let image = self.engine.image(start.spec, &|line| tracing::info!(line)).await?;
        let prepared = self.engine.prepared(start.spec, &image, tree.is_none()).await?;
        let memory_mib = start.spec.limits.memory_mib;
        let in_memory = !prepared.had_user && !self.engine.is_podman().await?;
        let storage = match &tree {
            Some(tree) if in_memory && fits_in_memory(tree, memory_mib)? => Storage::Memory,
            _ => Storage::Disk,
        };
        let argv = self.engine.program().await?.argv();
        let mut recipes = self.recipes.lock().await;
        if let Some(recipe) = recipes.get(&key).and_then(Weak::upgrade) {
            return Ok(recipe);
        }
        recipes.retain(|_, recipe| recipe.strong_count() > 0);
        let recipe = Arc::new(Recipe {
            docker: self.docker().clone(),
            engine: self.engine.clone(),
            image,
            spec: start.spec.clone(),
            prepared,
            argv,
            tree,
            storage,
            warm: Warm::default(),
            turns: self.turns.clone(),
        });
        recipes.insert(key, Arc::downgrade(&recipe));
        Ok(recipe)
    }

    /// Images made ready for sandboxes by other versions of this program.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when the engine does not answer.
    pub async fn stale(&self) -> Result<Vec<Stale>, SandboxError> {
        let program = self.engine.program().await?.key();
        let program = program.map_err(|source| SandboxError::Host {
            doing: "inspect",
            path: self.engine.settings.exe.clone().unwrap_or_default(),
            source,
        })?;
        prepare::stale(self.docker(), &program).await.map_err(|error| unavailable(&error))
    }

    /// Removes what [`DockerBackend::stale`] listed; `false` when it is in use.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when the engine refuses.
    pub async fn remove_stale(&self, stale: &Stale) -> Result<bool, SandboxError> {
        let removed = prepare::remove(self.docker(), stale).await.map_err(|error| unavailable(&error))?;
        usr::clear(self.docker()).await.map_err(|error| unavailable(&error))?;
        Ok(removed)
    }

    /// Removes volumes whose image is gone, unless they are in use.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when the engine refuses.
    pub async fn clear_volumes(&self) -> Result<(), SandboxError> {
        usr::clear(self.docker()).await.map_err(|error| unavailable(&error))
    }

    /// Removes what killed processes left, and images that other versions of this program made long ago.
    async fn sweep(self) {
        owner::sweep(self.docker().clone()).await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let is_older = |stale: &Stale, age| stale.created < now.saturating_sub(age).as_secs() as i64;
        for stale in self.stale().await.unwrap_or_default() {
            // What is in use, or cannot be removed, stays for the next time.
            if stale.names.is_empty() || is_older(&stale, KEEP_STALE) {
                self.remove_stale(&stale).await.ok();
            } else if is_older(&stale, KEEP_STALE_VOLUME) {
                usr::remove_of(self.docker(), &stale.id).await.ok();
            }
        }
        self.clear_volumes().await.ok();
        if let Ok(store) = self.engine.store().await {
            store.make_room(&|line| tracing::info!(line)).await;
        }
    }

    /// What every start begins with.
    async fn begin(&self, start: &Start<'_>) -> Result<Arc<Recipe>, SandboxError> {
        self.require_protection().await?;
        self.swept.call_once(|| {
            // One of its own, so that it keeps nothing from ending or from being removed.
            let sweeper = self.clone().with(self.engine.settings.clone());
            drop(tokio::spawn(sweeper.sweep()));
        });
        self.recipe(start).await
    }
}

/// How many containers an engine starts at a time; it gains nothing from more.
fn starts_at_a_time() -> usize {
    const LEAST: usize = 4;
    std::thread::available_parallelism().map_or(LEAST, |cores| cores.get().max(LEAST))
}

/// Whether a repository leaves a sandbox memory to work with.
fn fits_in_memory(tree: &std::path::Path, memory_mib: u64) -> Result<bool, SandboxError> {
    let host = |source| SandboxError::Host { doing: "list", path: tree.to_owned(), source };
    let (mut left, mut pending) = ((memory_mib << 20) / MEMORY_SHARE, vec![tree.to_owned()]);
    while let Some(directory) = pending.pop() {
        for item in fs_err::read_dir(&directory).map_err(host)? {
            let metadata = item.and_then(|item| Ok((item.path(), item.metadata()?))).map_err(host)?;
            match left.checked_sub(metadata.1.len().next_multiple_of(4096)) {
                Some(rest) => left = rest,
                None => return Ok(false),
            }
            if metadata.1.is_dir() {
                pending.push(metadata.0);
            }
        }
    }
    Ok(true)
}

#[async_trait]
impl Backend for DockerBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn probe(&self) -> Result<Protection, SandboxError> {
        let (info, is_podman) = (self.engine.info().await?, self.engine.is_podman().await?);
        let mut protection = Protection {
            backend: NAME.to_owned(),
            enforced: [
                "own processes, mounts, users' names and IPC (container)",
                "no network but what the sandbox's file lists (network namespace)",
                "an unprivileged user, no capabilities, no new privileges",
                "risky system calls refused (a filter of our own beside the engine's)",
                if is_podman {
                    "a bound on written bytes (by looking at the container's layer every two seconds)"
                } else {
                    "a read-only system; files in sized file systems in memory (or, where the image holds the \
                     repository, in the container's layer, by looking every two seconds)"
                },
                "the end of all processes with the manager (the line to the container's first process)",
            ]
            .map(str::to_owned)
            .to_vec(),
            missing: Vec::new(),
        };
        let seccomp = info.security_options.iter().flatten().any(|option| option.contains("seccomp"));
        let remedy = "enable the controller in the kernel of the Docker host (see `docker info`)";
        for (present, what, remedy) in [
            (seccomp, "system call filter (seccomp)", "run a Docker daemon built with seccomp"),
            (info.memory_limit.unwrap_or(false), "memory limit (cgroup)", remedy),
            (info.pids_limit.unwrap_or(false), "process limit (cgroup)", remedy),
            (info.cpu_cfs_quota.unwrap_or(false), "processor limit (cgroup)", remedy),
        ] {
            if present {
                protection.enforced.push(what.to_owned());
            } else {
                protection.missing.push(Lack { what: what.to_owned(), remedy: remedy.to_owned() });
            }
        }
        Ok(protection)
    }

    async fn warm(&self, start: &Start<'_>, count: usize) -> Result<(), SandboxError> {
        let recipe = self.begin(start).await?;
        let mut warmed = self.warmed.lock().await;
        if !warmed.iter().any(|known| Arc::ptr_eq(known, &recipe)) {
            warmed.push(recipe.clone());
        }
        drop(warmed);
        recipe.warm.fill(&recipe, count).await
    }

    async fn made_of(&self, start: &Start<'_>) -> Result<String, SandboxError> {
        let recipe = self.begin(start).await?;
        Ok(format!("{NAME} {} {:?}", recipe.prepared.image, recipe.storage))
    }

    async fn capacity(&self) -> Result<Capacity, SandboxError> {
        let info = self.engine.info().await?;
        let memory_mib = u64::try_from(info.mem_total.unwrap_or_default()).unwrap_or_default() >> 20;
        let cores = info.ncpu.and_then(|cores| usize::try_from(cores).ok()).unwrap_or(1);
        let disk = info.docker_root_dir.as_ref().map(PathBuf::from);
        Ok(Capacity::of_engine(memory_mib, cores, disk))
    }

    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        let recipe = self.begin(start).await?;
        let running = recipe.warm.take(&recipe).await?;
        Ok(Box::new(Container::new(running, recipe)))
    }
}

/// The failure of an engine that is away or broke down, which says nothing about what it was asked for.
fn breakdown(error: &Error, id: &str, doing: &str) -> Option<SandboxError> {
    match error {
        Error::DockerResponseServerError { status_code, .. } if *status_code < 500 => None,
        Error::DockerResponseServerError { .. } => {
            Some(files::lost(id, doing)(anyhow::anyhow!(error.to_string())))
        }
        error => Some(unavailable(error)),
    }
}

fn unavailable(reason: &(impl std::fmt::Display + ?Sized)) -> SandboxError {
    SandboxError::Unavailable {
        backend: NAME,
        reason: reason.to_string(),
        hint: "start a Docker daemon or set DOCKER_HOST, or choose `--sandbox namespaces`".to_owned(),
    }
}

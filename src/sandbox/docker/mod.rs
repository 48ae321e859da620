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
mod files;
pub mod images;
mod line;
mod owner;
mod prepare;
mod program;
mod pulls;
mod recipe;
mod running;
mod users;
mod warm;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Once, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::SystemInfo;
use tokio::sync::{Mutex, OnceCell, Semaphore};

use super::spec::SandboxSpec;
use super::{Backend, Sandbox, SandboxError, Start};
use crate::isolation::{Isolation, Lack, Protection};
use container::Container;
use prepare::{Preparation, Prepared};
use program::Program;
use recipe::{Recipe, Storage};
use warm::Warm;

pub use owner::{LOOKS, Leftover, leftovers, remove};
pub use prepare::Stale;

/// The backend's name.
const NAME: &str = "docker";

/// How long a daemon may take to say hello.
const HELLO: Duration = Duration::from_secs(5);

/// How long an image that another version of this program made is kept for it.
const KEEP_STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A repository larger than this part of the sandbox's memory is kept on disk.
const MEMORY_SHARE: u64 = 2;

/// Makes sandboxes from Docker containers.
#[derive(Clone)]
pub struct DockerBackend {
    docker: Docker,
    isolation: Isolation,
    exe: Option<PathBuf>,
    info: Arc<OnceCell<SystemInfo>>,
    program: Arc<OnceCell<Program>>,
    /// Images that were made ready, by what they were made of.
    prepared: Arc<Mutex<HashMap<String, Arc<OnceCell<Prepared>>>>>,
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
        Ok(Self {
            docker,
            isolation,
            exe: None,
            info: Arc::default(),
            program: Arc::default(),
            prepared: Arc::default(),
            recipes: Arc::default(),
            turns: Arc::new(Semaphore::new(starts_at_a_time())),
            warmed: Arc::default(),
            swept: Arc::new(Once::new()),
        })
    }

    /// Runs `exe` inside containers, a program that calls
    /// [`init_if_asked`](super::inside::init_if_asked) before anything else; without this the one that
    /// runs here.
    #[must_use]
    pub fn with_exe(mut self, exe: PathBuf) -> Self {
        self.exe = Some(exe);
        self
    }

    /// The engine's API, for images and leftovers.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    async fn info(&self) -> Result<&SystemInfo, SandboxError> {
        self.info
            .get_or_try_init(|| async { self.docker.info().await.map_err(|error| unavailable(&error)) })
            .await
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

    /// The program that serves in every container.
    async fn program(&self) -> Result<&Program, SandboxError> {
        self.program
            .get_or_try_init(|| async {
                let exe = match &self.exe {
                    Some(exe) => exe.clone(),
                    None => "/proc/self/exe".into(),
                };
                let exe = fs_err::canonicalize(&exe).unwrap_or(exe);
                let found = tokio::task::spawn_blocking({
                    let exe = exe.clone();
                    move || Program::of(&exe)
                });
                let found = found.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
                found.map_err(|source| SandboxError::Host { doing: "read", path: exe, source })
            })
            .await
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
        let prepared = self.prepared(start.spec, tree.is_none()).await?;
        let memory_mib = start.spec.limits.memory_mib;
        let storage = match &tree {
            Some(tree) if !prepared.had_user && fits_in_memory(tree, memory_mib)? => Storage::Memory,
            _ => Storage::Disk,
        };
        let argv = self.program().await?.argv();
        let mut recipes = self.recipes.lock().await;
        if let Some(recipe) = recipes.get(&key).and_then(Weak::upgrade) {
            return Ok(recipe);
        }
        recipes.retain(|_, recipe| recipe.strong_count() > 0);
        let recipe = Arc::new(Recipe {
            docker: self.docker.clone(),
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

    /// The image of `spec`, made ready once however many ask for it at a time.
    async fn prepared(&self, spec: &SandboxSpec, holds_tree: bool) -> Result<Prepared, SandboxError> {
        let image = images::find(&self.docker, spec).await?;
        let key = serde_json::json!([image, spec.user, spec.workdir, holds_tree]).to_string();
        let cell = self.prepared.lock().await.entry(key).or_default().clone();
        let program = self.program().await?;
        let preparation = Preparation { docker: &self.docker, spec, program, image: &image, holds_tree };
        cell.get_or_try_init(|| preparation.run()).await.cloned()
    }

    /// Images made ready for sandboxes by other versions of this program.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when the engine does not answer.
    pub async fn stale(&self) -> Result<Vec<Stale>, SandboxError> {
        let program = self.program().await?.key();
        let program = program.map_err(|source| SandboxError::Host {
            doing: "inspect",
            path: self.exe.clone().unwrap_or_default(),
            source,
        })?;
        prepare::stale(&self.docker, &program).await.map_err(|error| unavailable(&error))
    }

    /// Removes what [`DockerBackend::stale`] listed; `false` when it is in use.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] when the engine refuses.
    pub async fn remove_stale(&self, stale: &Stale) -> Result<bool, SandboxError> {
        prepare::remove(&self.docker, stale).await.map_err(|error| unavailable(&error))
    }

    /// Removes what killed processes left, and images that other versions of this program made long ago.
    async fn sweep(self) {
        owner::sweep(self.docker.clone()).await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let too_old = now.saturating_sub(KEEP_STALE).as_secs() as i64;
        for stale in self.stale().await.unwrap_or_default() {
            if stale.names.is_empty() || stale.created < too_old {
                // What is in use, or cannot be removed, stays for the next time.
                self.remove_stale(&stale).await.ok();
            }
        }
    }

    /// What every start begins with.
    async fn begin(&self, start: &Start<'_>) -> Result<Arc<Recipe>, SandboxError> {
        self.require_protection().await?;
        self.swept.call_once(|| drop(tokio::spawn(self.clone().sweep())));
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
        let info = self.info().await?;
        let mut protection = Protection {
            backend: NAME.to_owned(),
            enforced: [
                "own processes, mounts, users' names and IPC (container)",
                "no network (network namespace)",
                "an unprivileged user, no capabilities, no new privileges",
                "risky system calls refused (a filter of our own beside the engine's)",
                "a read-only system; files in sized file systems in memory (or, where the image holds the \
                 repository, in the container's layer, by looking every two seconds)",
                "the end of all processes with the manager (the container's standard input)",
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

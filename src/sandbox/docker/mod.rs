//! Sandboxes in Docker containers, or Podman's through its Docker-compatible socket.
//!
//! Guarantees no network, no capabilities, an unprivileged user, bounds on memory, processes and
//! processor, and labels by which a later process finds what a killed one left. A command costs three
//! requests: create, start, inspect. What a sandbox writes is bounded for each file by the kernel, and
//! in all by looking every two seconds, because Docker has no quota on most storage drivers.

mod container;
mod files;
pub mod images;
mod owner;
mod pulls;
mod users;

use std::collections::HashMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, ResourcesUlimits, SystemInfo};
use tokio::sync::{Mutex, OnceCell};

use super::spec::SandboxSpec;
use super::{Backend, Sandbox, SandboxError, Start};
use crate::isolation::{Isolation, Lack, Limits, Network, Protection};
use container::{Base, Container};
use users::User;

pub use owner::{Leftover, leftovers, remove};

/// The backend's name.
const NAME: &str = "docker";

/// How long a daemon may take to say hello.
const HELLO: Duration = Duration::from_secs(5);

/// PID 1: reaps what is orphaned, and kills everything else of the sandbox when told to, without a
/// fork, so that it works when the process limit is reached.
const INIT: &str = "trap 'kill -KILL -1' USR1; while :; do sleep infinity & wait $!; done";

/// Makes sandboxes from Docker containers.
#[derive(Debug, Clone)]
pub struct DockerBackend {
    docker: Docker,
    isolation: Isolation,
    info: Arc<OnceCell<SystemInfo>>,
    images: Arc<Mutex<HashMap<String, ImageFacts>>>,
    /// What killed processes left is removed once, when the first sandbox starts.
    swept: Arc<Once>,
}

/// What is asked of an image once.
#[derive(Debug, Clone)]
struct ImageFacts {
    user: User,
    /// The work directory of the image, where it holds the repository.
    tree: Option<Arc<super::tree::Tree>>,
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
            info: Arc::default(),
            images: Arc::default(),
            swept: Arc::new(Once::new()),
        })
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

    /// What the image `image` holds, from a container `id` made of it that has not run yet.
    async fn facts(&self, image: &str, id: &str, start: &Start<'_>) -> Result<ImageFacts, SandboxError> {
        let key = format!("{image} {} {} {}", start.spec.user, start.spec.workdir, start.tree.is_none());
        let mut known = self.images.lock().await;
        if let Some(facts) = known.get(&key) {
            return Ok(facts.clone());
        }
        let passwd = files::download_file(&self.docker, id, "/etc/passwd").await?.unwrap_or_default();
        let group = files::download_file(&self.docker, id, "/etc/group").await?.unwrap_or_default();
        let tree = match start.tree {
            Some(_) => None,
            None => Some(Arc::new(files::download_tree(&self.docker, id, &start.spec.workdir).await?)),
        };
        let facts = ImageFacts { user: User::choose(&start.spec.user, passwd, group), tree };
        known.insert(key, facts.clone());
        Ok(facts)
    }

    async fn fill(&self, image: &str, id: &str, start: &Start<'_>) -> Result<Container, SandboxError> {
        let facts = self.facts(image, id, start).await?;
        let archive = files::archive(start, &facts.user).await?;
        files::upload(&self.docker, id, archive).await?;
        self.docker.start_container(id, None).await.map_err(|error| not_started(start.spec, &error))?;
        let base = match (start.tree, facts.tree) {
            (Some(tree), _) => Base::Host(tree.to_owned()),
            (None, tree) => Base::Image(tree.unwrap_or_default()),
        };
        let container =
            Container::new(self.docker.clone(), id.to_owned(), start.spec.clone(), facts.user, base);
        if start.tree.is_none() {
            container.own_workdir().await?;
        }
        Ok(container)
    }
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
                "bytes written (resource limit of each file; in all by looking every two seconds)",
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

    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        self.require_protection().await?;
        self.swept.call_once(|| drop(tokio::spawn(owner::sweep(self.docker.clone()))));
        let image = images::find(&self.docker, start.spec).await?;
        let id = create(&self.docker, &image, start.spec).await?;
        match self.fill(&image, &id, start).await {
            Ok(container) => Ok(Box::new(container)),
            Err(error) => {
                // The first failure is the one to report; what is left here is found by its labels.
                drop(owner::remove_container(&self.docker, &id).await);
                Err(error)
            }
        }
    }
}

/// Creates a container of `image` with the bounds of `spec`, and gives its id.
async fn create(docker: &Docker, image: &str, spec: &SandboxSpec) -> Result<String, SandboxError> {
    let privileged_pid_1 = spec.user != "root" && spec.user != "0";
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        hostname: Some("sandbox".to_owned()),
        user: Some("0:0".to_owned()),
        entrypoint: Some(vec!["bash".to_owned()]),
        cmd: Some(vec!["-c".to_owned(), INIT.to_owned()]),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: Some("/".to_owned()),
        labels: Some(owner::labels(&spec.name)),
        host_config: Some(HostConfig {
            // PID 1 ends the agent's processes and gives it the work directory. An unprivileged process
            // cannot gain a capability of the bounding set back.
            cap_add: privileged_pid_1.then(|| vec!["KILL".to_owned(), "CHOWN".to_owned()]),
            ..bounds(spec)
        }),
        ..ContainerCreateBody::default()
    };
    let created = docker.create_container(None, body).await.map_err(|error| not_started(spec, &error))?;
    Ok(created.id)
}

fn bounds(spec: &SandboxSpec) -> HostConfig {
    let Limits { memory_mib, cpus, pids, disk_mib, .. } = spec.limits;
    let bytes = |mib: u64| i64::try_from(mib << 20).unwrap_or(i64::MAX);
    let ulimit = |name: &str, value| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(value),
        hard: Some(value),
    };
    HostConfig {
        network_mode: Some(match spec.network {
            Network::None => "none".to_owned(),
            Network::Host => "host".to_owned(),
        }),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        memory: Some(bytes(memory_mib)),
        memory_swap: Some(bytes(memory_mib)),
        // PID 1 and its sleep are not the agent's.
        pids_limit: Some(i64::try_from(pids + 2).unwrap_or(i64::MAX)),
        nano_cpus: Some((cpus * 1e9) as i64),
        ulimits: Some(vec![ulimit("fsize", bytes(disk_mib)), ulimit("core", 0)]),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        oom_score_adj: Some(500),
        ..HostConfig::default()
    }
}

fn unavailable(reason: &(impl std::fmt::Display + ?Sized)) -> SandboxError {
    SandboxError::Unavailable {
        backend: NAME,
        reason: reason.to_string(),
        hint: "start a Docker daemon or set DOCKER_HOST, or choose `--sandbox namespaces`".to_owned(),
    }
}

fn not_started(spec: &SandboxSpec, error: &bollard::errors::Error) -> SandboxError {
    SandboxError::Image {
        image: spec.name.clone(),
        reason: format!("no container could be started from it: {error}"),
        hint: "make sure that the image holds bash and coreutils, and that `docker run` works on this host"
            .to_owned(),
    }
}

//! Which backend runs a sandbox: what the user named, else the best that works here.
//!
//! Guarantees that less protection than asked for is a refusal with a hint, and that the choice is
//! explained in one line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};

#[cfg(feature = "docker")]
use super::Patient;
#[cfg(feature = "docker")]
use super::docker::DockerBackend;
use super::landlock::{self, Landlock};
use super::namespaces::{Namespaces, rootless};
use super::rootfs::{self, Shelf};
use super::spec::SandboxSpec;
use super::{Backend, SandboxError, Say};
use crate::isolation::{Isolation, Protection};

/// The backends that a user can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendKind {
    /// Docker when a daemon answers and the image can be had in seconds, else namespaces.
    #[default]
    Auto,
    /// Containers.
    Docker,
    /// Linux namespaces.
    Namespaces,
    /// Landlock and seccomp alone; needs [`Isolation::AcceptWeaker`].
    Landlock,
}

impl BackendKind {
    const NAMES: [(&str, Self); 4] = [
        ("auto", Self::Auto),
        ("docker", Self::Docker),
        ("namespaces", Self::Namespaces),
        ("landlock", Self::Landlock),
    ];
}

impl FromStr for BackendKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind).ok_or_else(|| "use auto, docker, namespaces or landlock".to_owned())
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, kind)| kind == self).map_or("auto", |(name, _)| name);
        f.write_str(name)
    }
}

/// What the user chose, once for a command: its backends share what they know of the engine, so that a name
/// means the same image in all of them.
#[derive(Clone)]
pub struct Choice {
    kind: BackendKind,
    isolation: Isolation,
    /// The program that namespaces and landlock sandboxes start from: the `apprentice` binary.
    exe: PathBuf,
    #[cfg(feature = "docker")]
    docker: Arc<tokio::sync::OnceCell<DockerBackend>>,
}

/// How many kinds of sandboxes are looked for at once: as many pulls as a registry and a disk gain from.
pub const AT_A_TIME: usize = 4;

/// A backend that works here.
#[derive(Clone)]
pub struct Selection {
    /// The backend.
    pub backend: Arc<dyn Backend>,
    /// What was chosen and why, for the user.
    pub line: String,
    /// What its sandboxes are made of, for the record: a digest, or a statement where there is none.
    pub made_of: String,
    /// What stands between its sandboxes and the host.
    pub protection: Protection,
}

impl Choice {
    /// A choice for this process, which is the `apprentice` binary.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when the system does not say which program runs.
    pub fn new(kind: BackendKind, isolation: Isolation) -> Result<Self, SandboxError> {
        let exe = std::env::current_exe().map_err(|source| SandboxError::Host {
            doing: "find this program in",
            path: "/proc/self/exe".into(),
            source,
        })?;
        Ok(Self::of(kind, isolation, exe))
    }

    /// A choice for another process, whose sandboxes start from the `apprentice` binary `exe`.
    pub fn of(kind: BackendKind, isolation: Isolation, exe: PathBuf) -> Self {
        Self {
            kind,
            isolation,
            exe,
            #[cfg(feature = "docker")]
            docker: Arc::default(),
        }
    }

    /// The backend for sandboxes of `spec`.
    ///
    /// # Errors
    /// [`SandboxError`] with a hint when nothing that was asked for works here.
    pub async fn backend(&self, spec: &SandboxSpec) -> Result<Selection, SandboxError> {
        self.look(spec, &|_| ()).await
    }

    /// The backends for sandboxes of each of `specs`, telling `say` which images are pulled: all of them are here
    /// when this ends.
    ///
    /// # Errors
    /// As [`Choice::backend`], for the first of `specs` for which nothing works.
    pub async fn backends(
        &self,
        specs: &[Arc<SandboxSpec>],
        say: Say<'_>,
    ) -> Result<Vec<Selection>, SandboxError> {
        // Boxed, because the compiler does not see that each future lives long enough.
        let looks = specs.iter().map(|spec| self.look(spec, say).boxed());
        // All are waited for, so that a pull which others go on with is not given up with the first that fails.
        let looked: Vec<_> = futures_util::stream::iter(looks).buffered(AT_A_TIME).collect().await;
        looked.into_iter().collect()
    }

    async fn look(&self, spec: &SandboxSpec, say: Say<'_>) -> Result<Selection, SandboxError> {
        match self.kind {
            BackendKind::Docker => self.docker(spec, say).await,
            BackendKind::Namespaces => self.namespaces(spec).await,
            BackendKind::Landlock => self.landlock(spec).await,
            BackendKind::Auto => self.best(spec, say).await,
        }
    }

    async fn best(&self, spec: &SandboxSpec, say: Say<'_>) -> Result<Selection, SandboxError> {
        let no_docker = match self.docker(spec, say).await {
            Ok(selection) => return Ok(selection),
            Err(error) => error,
        };
        let no_namespaces = match self.namespaces(spec).await {
            Ok(selection) => {
                return Ok(Selection { line: format!("{} ({no_docker})", selection.line), ..selection });
            }
            Err(error) => error,
        };
        if self.isolation == Isolation::AcceptWeaker
            && let Ok(selection) = self.landlock(spec).await
        {
            let line = format!("{} ({no_docker}; {no_namespaces})", selection.line);
            return Ok(Selection { line, ..selection });
        }
        let hints = [&no_docker, &no_namespaces].map(|error| error.hint().unwrap_or_default().to_owned());
        Err(SandboxError::Unavailable {
            backend: "docker and namespaces",
            reason: format!("{no_docker}; {no_namespaces}"),
            hint: format!("{}; or else {}; or pass `--accept-weaker-isolation`", hints[0], hints[1]),
        })
    }

    #[cfg(not(feature = "docker"))]
    async fn docker(&self, _spec: &SandboxSpec, _say: Say<'_>) -> Result<Selection, SandboxError> {
        Err(SandboxError::Unavailable {
            backend: "docker",
            reason: "this program was built without it".to_owned(),
            hint: "build it with `--features docker`".to_owned(),
        })
    }

    #[cfg(feature = "docker")]
    async fn docker(&self, spec: &SandboxSpec, say: Say<'_>) -> Result<Selection, SandboxError> {
        let connect =
            || async { Ok(DockerBackend::connect(self.isolation).await?.with_exe(self.exe.clone())) };
        let backend = self.docker.get_or_try_init(connect).await?.clone();
        let image = backend.image(spec, say).await?;
        let protection = backend.probe().await?.with(&spec.network);
        self.require(&protection, "docker")?;
        let shown = format!("image {}", image.described());
        let made_of = Made { shown, fingerprint: image.fingerprint().to_owned() };
        Ok(selection(Patient::new(backend), protection, spec, made_of))
    }

    async fn namespaces(&self, spec: &SandboxSpec) -> Result<Selection, SandboxError> {
        let mut backend = Namespaces::new(self.exe.clone(), self.isolation);
        let made_of = match Shelf::of_user().and_then(|shelf| shelf.find(spec)) {
            Some(root) => {
                let fingerprint = rootfs::fingerprint(spec, &root);
                backend = backend.with_rootfs(&spec.name, root);
                Made { shown: format!("root file system {}", spec.digest()), fingerprint }
            }
            None if spec.host => host_programs(),
            None => return Err(rootless(spec)),
        };
        let protection = backend.probe().await?.with(&spec.network);
        self.require(&protection, "namespaces")?;
        Ok(selection(backend, protection, spec, made_of))
    }

    async fn landlock(&self, spec: &SandboxSpec) -> Result<Selection, SandboxError> {
        require_host(spec)?;
        landlock::refuse_allow_list(spec)?;
        let backend = Landlock::new(self.exe.clone(), self.isolation, std::env::temp_dir());
        let protection = backend.probe().await?;
        self.require(&protection, "landlock")?;
        Ok(selection(backend, protection, spec, host_programs()))
    }

    fn require(&self, protection: &Protection, backend: &'static str) -> Result<(), SandboxError> {
        if self.isolation == Isolation::AcceptWeaker || protection.missing.is_empty() {
            return Ok(());
        }
        let lacks: Vec<&str> = protection.missing.iter().map(|lack| lack.what.as_str()).collect();
        Err(SandboxError::WeakIsolation {
            backend,
            lacks: lacks.join("; "),
            hint: format!("{}, or pass `--accept-weaker-isolation`", protection.missing[0].remedy),
        })
    }
}

/// Landlock cannot give a sandbox another root.
fn require_host(spec: &SandboxSpec) -> Result<(), SandboxError> {
    if spec.host {
        return Ok(());
    }
    Err(SandboxError::Image {
        image: spec.name.clone(),
        reason: "landlock sandboxes use the host's programs, which this sandbox does not allow".to_owned(),
        hint: "start a Docker daemon, or say `host: true` in its sandbox.yaml".to_owned(),
    })
}

/// What sandboxes are made of.
struct Made {
    /// For the user.
    shown: String,
    /// For the record.
    fingerprint: String,
}

/// This host's programs, which have no digest: what it calls itself.
fn host_programs() -> Made {
    let release = fs_err::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map_or("an unknown system", |name| name.trim_matches('"'));
    Made {
        shown: "with this host's programs, read-only".to_owned(),
        fingerprint: format!(
            "the host's programs ({name}, {}), which have no digest",
            std::env::consts::ARCH
        ),
    }
}

fn selection(
    backend: impl Backend + 'static,
    protection: Protection,
    spec: &SandboxSpec,
    made_of: Made,
) -> Selection {
    let mut line = format!("sandboxes: {}, {}", protection.backend, made_of.shown);
    if !protection.missing.is_empty() {
        let lacks: Vec<&str> = protection.missing.iter().map(|lack| lack.what.as_str()).collect();
        line = format!("{line}; not enforced: {}", lacks.join("; "));
    }
    if let Some(list) = spec.network.allowed() {
        line = format!("{line}; its commands may reach {list}");
    }
    Selection { backend: Arc::new(backend), line, made_of: made_of.fingerprint, protection }
}

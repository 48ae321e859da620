//! Which backend runs a sandbox: what the user named, else the best that works here.
//!
//! Guarantees that less protection than asked for is a refusal with a hint, and that the choice is
//! explained in one line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

#[cfg(feature = "docker")]
use super::Patient;
use super::landlock::{self, Landlock};
use super::namespaces::{Namespaces, rootless};
use super::rootfs::Shelf;
use super::spec::SandboxSpec;
use super::{Backend, SandboxError};
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

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The backend's kind.
    pub kind: BackendKind,
    /// Whether less protection is accepted.
    pub isolation: Isolation,
    /// The program that namespaces and landlock sandboxes start from: the `apprentice` binary.
    pub exe: PathBuf,
}

/// A backend that works here.
#[derive(Clone)]
pub struct Selection {
    /// The backend.
    pub backend: Arc<dyn Backend>,
    /// What was chosen and why, for the user.
    pub line: String,
    /// What stands between its sandboxes and this host.
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
        Ok(Self { kind, isolation, exe })
    }

    /// The backend for sandboxes of `spec`.
    ///
    /// # Errors
    /// [`SandboxError`] with a hint when nothing that was asked for works here.
    pub async fn backend(&self, spec: &SandboxSpec) -> Result<Selection, SandboxError> {
        match self.kind {
            BackendKind::Docker => self.docker(spec).await,
            BackendKind::Namespaces => self.namespaces(spec).await,
            BackendKind::Landlock => self.landlock(spec).await,
            BackendKind::Auto => self.best(spec).await,
        }
    }

    async fn best(&self, spec: &SandboxSpec) -> Result<Selection, SandboxError> {
        let no_docker = match self.docker(spec).await {
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
    async fn docker(&self, _spec: &SandboxSpec) -> Result<Selection, SandboxError> {
        Err(SandboxError::Unavailable {
            backend: "docker",
            reason: "this program was built without it".to_owned(),
            hint: "build it with `--features docker`".to_owned(),
        })
    }

    #[cfg(feature = "docker")]
    async fn docker(&self, spec: &SandboxSpec) -> Result<Selection, SandboxError> {
        let backend = super::docker::DockerBackend::connect(self.isolation).await?.with_exe(self.exe.clone());
        let image = super::docker::images::find(backend.docker(), spec).await?;
        let protection = backend.probe().await?.with(&spec.network);
        self.require(&protection, "docker")?;
        Ok(selection(Patient::new(backend), protection, spec, &format!("image {image}")))
    }

    async fn namespaces(&self, spec: &SandboxSpec) -> Result<Selection, SandboxError> {
        let mut backend = Namespaces::new(self.exe.clone(), self.isolation);
        let what = match Shelf::of_user().and_then(|shelf| shelf.find(spec)) {
            Some(root) => {
                backend = backend.with_rootfs(&spec.name, root);
                format!("root file system {}", spec.digest())
            }
            None if spec.host => "with this host's programs, read-only".to_owned(),
            None => return Err(rootless(spec)),
        };
        let protection = backend.probe().await?.with(&spec.network);
        self.require(&protection, "namespaces")?;
        Ok(selection(backend, protection, spec, &what))
    }

    async fn landlock(&self, spec: &SandboxSpec) -> Result<Selection, SandboxError> {
        require_host(spec)?;
        landlock::refuse_allow_list(spec)?;
        let backend = Landlock::new(self.exe.clone(), self.isolation, std::env::temp_dir());
        let protection = backend.probe().await?;
        self.require(&protection, "landlock")?;
        Ok(selection(backend, protection, spec, "with this host's programs, read-only"))
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

fn selection(
    backend: impl Backend + 'static,
    protection: Protection,
    spec: &SandboxSpec,
    what: &str,
) -> Selection {
    let mut line = format!("sandboxes: {}, {what}", protection.backend);
    if !protection.missing.is_empty() {
        let lacks: Vec<&str> = protection.missing.iter().map(|lack| lack.what.as_str()).collect();
        line = format!("{line}; not enforced: {}", lacks.join("; "));
    }
    if let Some(list) = spec.network.allowed() {
        line = format!("{line}; its commands may reach {list}");
    }
    Selection { backend: Arc::new(backend), line, protection }
}

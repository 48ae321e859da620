//! Sandboxes in Linux namespaces: no daemon, no image, milliseconds to start.
//!
//! Guarantees, on hosts that let user namespaces be made: the host's programs, or a root file system
//! made for the sandbox, are visible read-only and nothing else of the host is; no network; no privilege; every private file in memory under one
//! bound; one kill ends every process. What this host cannot enforce is reported, and refused unless
//! weaker isolation was accepted. Does not isolate from bugs of the kernel.

pub(in crate::sandbox) mod capsule;
pub(in crate::sandbox) mod cgroup;
pub(in crate::sandbox) mod changes;
pub(in crate::sandbox) mod identity;
pub(in crate::sandbox) mod launch;
pub(in crate::sandbox) mod layer;
pub(in crate::sandbox) mod line;
pub(in crate::sandbox) mod machine;
pub(in crate::sandbox) mod probe;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::spec::SandboxSpec;
use super::{Backend, Sandbox, SandboxError, Start, rootfs};
use crate::isolation::{Isolation, Protection};
use crate::sandbox::inside::protocol::Lower;
use capsule::Capsule;
use machine::Blueprint;

/// The backend's name.
const NAME: &str = "namespaces";

/// The user and group that own all of a tree; none when they differ.
type Owner = Option<(u32, u32)>;

/// A root file system, held against its removal.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    _held: Option<fs_err::File>,
}

/// Makes sandboxes in namespaces.
#[derive(Debug)]
pub struct Namespaces {
    exe: PathBuf,
    accept: Isolation,
    roots: BTreeMap<String, Root>,
    owners: Mutex<BTreeMap<PathBuf, (machine::Identity, Owner)>>,
    protection: OnceCell<Protection>,
}

impl Namespaces {
    /// A backend whose children are `exe`, a program that calls [`init_if_asked`](super::inside::init_if_asked) before anything else.
    pub fn new(exe: PathBuf, accept: Isolation) -> Self {
        Self {
            exe,
            accept,
            roots: BTreeMap::new(),
            owners: Mutex::new(BTreeMap::new()),
            protection: OnceCell::new(),
        }
    }

    /// Uses the directory `root` as the root file system of the sandboxes called `name`.
    #[must_use]
    pub fn with_rootfs(mut self, name: &str, root: PathBuf) -> Self {
        let held = rootfs::hold(&root);
        self.roots.insert(name.to_owned(), Root { path: root, _held: held });
        self
    }

    /// What a sandbox of this specification is made of.
    fn blueprint(&self, start: &Start<'_>) -> Result<Blueprint, SandboxError> {
        let spec = start.spec;
        let rootfs = self.roots.get(&spec.name).map(|root| root.path.clone());
        if rootfs.is_none() && !spec.host {
            return Err(rootless(spec));
        }
        let inside = rootfs.as_ref().map(|root| root.join(spec.workdir.trim_start_matches('/')));
        let tree = start.tree.map(Path::to_owned).or(inside.filter(|path| path.is_dir()));
        let lower = tree.as_deref().map(|tree| self.lower(tree)).transpose()?;
        Ok(Blueprint { exe: self.exe.clone(), spec: spec.clone(), rootfs, lower, accept: self.accept })
    }

    fn lower(&self, tree: &Path) -> Result<Lower, SandboxError> {
        let host = |source| SandboxError::Host { doing: "inspect", path: tree.to_owned(), source };
        let path = fs_err::canonicalize(tree).map_err(host)?;
        let identity = machine::Identity::of(&path).map_err(host)?;
        let known = self
            .owners
            .lock()
            .expect("invariant: nothing panics while it holds this lock")
            .get(&path)
            .copied();
        let owner = match known {
            Some((known, owner)) if known == identity => owner,
            _ => {
                let owner = machine::single_owner(&path).map_err(host)?;
                let mut owners =
                    self.owners.lock().expect("invariant: nothing panics while it holds this lock");
                owners.insert(path.clone(), (identity, owner));
                owner
            }
        };
        Ok(Lower { path, owner })
    }
}

#[async_trait]
impl Backend for Namespaces {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn probe(&self) -> Result<Protection, SandboxError> {
        let measured = self.protection.get_or_try_init(|| async {
            let exe = self.exe.clone();
            blocking(move || probe::measure(&exe)).await
        });
        measured.await.cloned()
    }

    async fn made_of(&self, start: &Start<'_>) -> Result<String, SandboxError> {
        let root = match self.roots.get(&start.spec.name) {
            Some(root) => contents(start.spec, &root.path),
            None => host_programs(),
        };
        Ok(format!("{NAME} {root} {:?}", machine::host_id()))
    }

    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        let blueprint = Arc::new(self.blueprint(start)?);
        let machine = blocking(move || machine::Machine::start(&blueprint, None)).await?;
        Ok(Box::new(Capsule::new(machine)?))
    }
}

/// Changes when another root file system is made in place of this one.
fn contents(spec: &SandboxSpec, root: &Path) -> String {
    match rootfs::digest(root) {
        Some(digest) => digest,
        None => format!("{} {:?}", rootfs::fingerprint(spec, root), machine::Identity::of(root).ok()),
    }
}

/// Changes with the programs of this host, as far as a program that is installed changes the directory it is
/// installed to, or the list of packages.
fn host_programs() -> String {
    let places = ["/usr/bin", "/usr/lib", "/usr/local/bin", "/usr/local/lib", "/opt", "/var/lib/dpkg/status"];
    let seen = places.map(|place| machine::Identity::of(Path::new(place)).ok());
    format!("{seen:?}")
}

/// Says that a sandbox has nothing to run programs from.
pub(in crate::sandbox) fn rootless(spec: &SandboxSpec) -> SandboxError {
    SandboxError::Image {
        image: spec.name.clone(),
        reason: "it has no root file system for namespaces here, and does not allow the host's own programs"
            .to_owned(),
        hint: format!(
            "make one with `apprentice sandbox build {} --sandbox namespaces`, or say `host: true` in its sandbox.yaml",
            spec.name
        ),
    }
}

/// Runs what waits for a child off the asynchronous threads.
pub(in crate::sandbox) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

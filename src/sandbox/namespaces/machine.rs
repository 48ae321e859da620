//! One sandbox in namespaces as the manager holds it: its child, its store, its groups.
//!
//! Guarantees that starting refuses what is weaker than accepted, and that stopping leaves no process,
//! mount, group or directory. Blocks.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use rustix::fs::CWD;

use super::NAME;
use super::capsule::Body;
use super::cgroup::{Cgroups, Resource};
use super::launch::Process;
use super::layer::{self, Copying};
use super::line::{Line, lost};
use super::{changes, identity, probe};
use crate::isolation::{Isolation, Limits, Network};
use crate::sandbox::SandboxError;
use crate::sandbox::inside::kernel;
use crate::sandbox::inside::mounts::{self, UPPER};
use crate::sandbox::inside::plain::DEFAULT_PATH;
use crate::sandbox::inside::protocol::{
    Bounds, Confinement, Held, Layout, Lower, Machine as Inside, Plan, Shelf, Started,
};
use crate::sandbox::proxy::{self, Gate, Ledger, Tunnel};
use crate::sandbox::session::SessionDir;
use crate::sandbox::spec::{self, SandboxSpec};
use crate::sandbox::tree::Compared;

/// The host's user that sandboxes started by root run as: above all that Linux distributions and
/// systemd give out (0x70000000 and up is reserved for nobody).
pub(in crate::sandbox) const HOST_ID: u32 = 0x7061_7072;
const SESSION: &str = "/run/session";

/// What sandboxes of one kind are made of.
#[derive(Debug)]
pub(in crate::sandbox) struct Blueprint {
    pub(in crate::sandbox) exe: PathBuf,
    pub(in crate::sandbox) spec: SandboxSpec,
    pub(in crate::sandbox) rootfs: Option<PathBuf>,
    pub(in crate::sandbox) lower: Option<Lower>,
    pub(in crate::sandbox) accept: Isolation,
}

/// One running sandbox.
#[derive(Debug)]
pub(in crate::sandbox) struct Machine {
    line: Line,
    blueprint: Arc<Blueprint>,
    store: Arc<OwnedFd>,
    layout: Layout,
    /// Where listed hosts may be reached.
    tunnel: Option<Tunnel>,
}

impl Machine {
    /// Starts a sandbox, from the files of a parent's store when there is one.
    pub(in crate::sandbox) fn start(
        blueprint: &Arc<Blueprint>,
        parent: Option<&OwnedFd>,
    ) -> Result<Self, SandboxError> {
        let id = identity::new_id("ns");
        let cgroups = Cgroups::make(&id, &blueprint.spec.limits);
        refuse_weaker(blueprint, &cgroups)?;
        let session = SessionDir::new(SESSION);
        let plan = plan(blueprint, &cgroups, &session, parent.is_some());
        let lost = |source: io::Error| lost(&id, "starting", source);
        let relay = blueprint.spec.network.allowed().map(|_| UnixStream::pair()).transpose().map_err(lost)?;
        let files =
            parent.map(AsFd::as_fd).into_iter().chain(relay.as_ref().map(|(_, theirs)| theirs.as_fd()));
        let files: Vec<_> = files.collect();
        let (process, started) = Process::start(&blueprint.exe, &plan, &files).map_err(lost)?;
        let layout = match started {
            Started::Ready(layout) => layout,
            Started::Failed { doing, errno, reason } => {
                return Err(probe::unavailable(NAME, &doing, errno, &reason));
            }
        };
        let store = Arc::new(process.descriptor().map_err(lost)?);
        let tunnel = match (relay, blueprint.spec.network.allowed()) {
            (Some((ours, _)), Some(list)) => {
                Some(Tunnel::over(ours, Gate::new(&blueprint.spec.name, list)).map_err(lost)?)
            }
            _ => None,
        };
        let line = Line { id, process, cgroups, session };
        let machine = Self { line, blueprint: blueprint.clone(), store, layout, tunnel };
        if layout == Layout::Copy && parent.is_none() {
            machine.copy_tree()?;
        }
        Ok(machine)
    }

    /// Fills the work directory where no overlay can be mounted.
    fn copy_tree(&self) -> Result<(), SandboxError> {
        let Some(lower) = &self.blueprint.lower else { return Ok(()) };
        let copy = || -> io::Result<()> {
            let tree = kernel::open_directory(CWD, &lower.path)?;
            layer::copy(tree.as_fd(), self.upper()?.as_fd(), &Copying { without: &[], owner: host_id() })
        };
        copy().map_err(|source| SandboxError::Host { doing: "copy", path: lower.path.clone(), source })
    }

    pub(in crate::sandbox) fn cgroups(&self) -> &Cgroups {
        &self.line.cgroups
    }

    fn upper(&self) -> io::Result<OwnedFd> {
        kernel::open_directory(self.store.as_fd(), UPPER)
    }
}

impl Body for Machine {
    fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    fn ledger(&self) -> Option<Ledger> {
        self.tunnel.as_ref().map(|tunnel| tunnel.ledger().clone())
    }

    fn is_whole(&self) -> Result<(), SandboxError> {
        match self.tunnel.as_ref().is_some_and(Tunnel::is_over) {
            // What its commands were refused is not theirs to answer for.
            true => Err(lost(&self.line.id, "its proxy ended", io::Error::other("its relay is gone"))),
            false => Ok(()),
        }
    }

    fn compare(&self) -> Result<Compared, SandboxError> {
        let compare = || -> io::Result<Compared> {
            let upper = self.upper()?;
            let tree = self.blueprint.lower.as_ref().map(|lower| kernel::open_directory(CWD, &lower.path));
            match (tree.transpose()?, self.layout) {
                (Some(tree), Layout::Overlay) => changes::of_overlay(tree.as_fd(), upper.as_fd()),
                (tree, _) => changes::of_copy(tree.as_ref().map(AsFd::as_fd), upper.as_fd()),
            }
        };
        compare().map_err(|source| lost(&self.line.id, "comparing its files", source))
    }

    fn roots(&self) -> Option<Vec<PathBuf>> {
        let spec = &self.blueprint.spec;
        let own = [PathBuf::from(&spec.workdir), home(&user(&spec.user))];
        Some(own.into_iter().chain(mounts::shared().map(PathBuf::from)).collect())
    }

    fn fork(&mut self) -> Result<Self, SandboxError> {
        Self::start(&self.blueprint, Some(&self.store))
    }

    fn stop(&mut self) -> Result<(), SandboxError> {
        drop(self.tunnel.take());
        self.line.stop()
    }
}

fn refuse_weaker(blueprint: &Blueprint, cgroups: &Cgroups) -> Result<(), SandboxError> {
    let missing = probe::missing(cgroups);
    if missing.is_empty() || blueprint.accept == Isolation::AcceptWeaker {
        return Ok(());
    }
    let join = |of: fn(&crate::isolation::Lack) -> &String| {
        missing.iter().map(|lack| of(lack).as_str()).collect::<Vec<_>>().join("; ")
    };
    Err(SandboxError::WeakIsolation {
        backend: NAME,
        lacks: join(|lack| &lack.what),
        hint: format!("{}, or accept it with `--accept-weaker-isolation`", join(|lack| &lack.remedy)),
    })
}

/// The user on the host that a sandbox's processes have; the manager's own when it is not root.
pub(in crate::sandbox) fn host_id() -> Option<u32> {
    rustix::process::geteuid().is_root().then_some(HOST_ID)
}

fn plan(blueprint: &Blueprint, cgroups: &Cgroups, session: &SessionDir, forked: bool) -> Plan {
    let spec = &blueprint.spec;
    let (user, uid) = user(&spec.user);
    let home = home(&(user.clone(), uid));
    let env = env(spec, &user, &home);
    let inside = Inside {
        rootfs: blueprint.rootfs.clone(),
        lower: blueprint.lower.clone().map(writable_lower),
        user,
        uid,
        home,
        network: spec.network.clone(),
        forked,
    };
    let limits = &spec.limits;
    let held = if cgroups.hold(Resource::Memory) { Held::ByCgroup } else { Held::ByWatching };
    Plan {
        confinement: Confinement::Namespaces(inside),
        host_id: host_id(),
        cgroups: cgroups.doors(),
        processors: if cgroups.hold(Resource::Cpu) { Vec::new() } else { probe::processors(limits.cpus) },
        bounds: Bounds {
            memory: limits.memory_mib << 20,
            memory_held: held,
            pids: limits.pids,
            disk: limits.disk_mib << 20,
            quiet: limits.quiet_timeout(),
        },
        env,
        workdir: PathBuf::from(&spec.workdir),
        files: vec![(PathBuf::from(session.prelude_path()), session.prelude())],
        roots: Vec::new(),
        shelf: Shelf::of(limits, session),
    }
}

/// A plain user can write over its own files only; root's are translated.
fn writable_lower(lower: Lower) -> Lower {
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let owner = lower.owner.filter(|owner| host_id().is_some() || *owner == own);
    Lower { owner, ..lower }
}

fn home((user, uid): &(String, u32)) -> PathBuf {
    if *uid == 0 { PathBuf::from("/root") } else { Path::new("/home").join(user) }
}

/// The name and number that a specification's user has inside.
fn user(name: &str) -> (String, u32) {
    match name.parse() {
        Ok(0) => ("root".to_owned(), 0),
        Ok(number) => ("agent".to_owned(), number),
        Err(_) if name == "root" => (name.to_owned(), 0),
        Err(_) => (name.to_owned(), 1000),
    }
}

pub(in crate::sandbox) fn env(spec: &SandboxSpec, user: &str, home: &Path) -> Vec<(String, String)> {
    let home = home.to_string_lossy().into_owned();
    let basic = [
        ("PATH", DEFAULT_PATH),
        ("HOME", &home),
        ("USER", user),
        ("LOGNAME", user),
        ("SHELL", "/bin/bash"),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
    ];
    let mut env: Vec<(String, String)> =
        basic.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    env.extend(proxy::variables(&spec.network));
    env.extend(spec.env.iter().map(|(key, value)| (key.clone(), value.clone())));
    env
}

/// A directory at a moment: another one of the same path has another identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Identity {
    device: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Identity {
    pub(in crate::sandbox) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// The user and group that own all of a tree; `None` when they differ.
pub(in crate::sandbox) fn single_owner(tree: &Path) -> io::Result<Option<(u32, u32)>> {
    let owner_of = |metadata: &std::fs::Metadata| (metadata.uid(), metadata.gid());
    let owner = owner_of(&fs::metadata(tree)?);
    let mut pending = vec![tree.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let metadata = fs::symlink_metadata(entry.path())?;
            if owner_of(&metadata) != owner {
                return Ok(None);
            }
            if metadata.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Ok(Some(owner))
}

/// The smallest sandbox, to see what works.
pub(in crate::sandbox) fn probe_spec() -> SandboxSpec {
    SandboxSpec {
        format: spec::FORMAT.to_owned(),
        name: "probe".to_owned(),
        image: None,
        dockerfile: None,
        bootstrap: None,
        host: true,
        workdir: "/testbed".to_owned(),
        user: "agent".to_owned(),
        network: Network::None,
        env: std::collections::BTreeMap::new(),
        limits: Limits::default(),
        file: None,
    }
}

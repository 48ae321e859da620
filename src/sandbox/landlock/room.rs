//! One Landlock sandbox as the manager holds it: its child and its directories on the host.
//!
//! Guarantees that stopping leaves no process and no directory. Blocks.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use rustix::fs::CWD;

use crate::sandbox::SandboxError;
use crate::sandbox::inside::protocol::{Bounds, Confinement, Held, Plan, Rules, Shelf, Started};
use crate::sandbox::inside::{kernel, mounts};
use crate::sandbox::namespaces::capsule::Body;
use crate::sandbox::namespaces::cgroup::{Cgroups, Resource};
use crate::sandbox::namespaces::launch::Process;
use crate::sandbox::namespaces::layer::{self, Copying};
use crate::sandbox::namespaces::line::{Line, lost};
use crate::sandbox::namespaces::machine::{env, host_id};
use crate::sandbox::namespaces::{changes, identity, probe};
use crate::sandbox::session::SessionDir;
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::tree::Compared;

/// What of the host's `/proc`, `/sys` and `/etc` programs need beside what every sandbox shows.
const READABLE: &[&str] = &[
    "/etc/group",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system/cpu",
];
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
const WORK: &str = "work";
const HOME: &str = "home";
const TEMPORARY: &str = "tmp";
const SESSION: &str = "session";

/// What sandboxes of one kind are made of.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) exe: PathBuf,
    pub(super) scratch: PathBuf,
    pub(super) spec: SandboxSpec,
    pub(super) tree: Option<PathBuf>,
}

/// A directory that is removed when it is let go.
#[derive(Debug)]
struct Floor(PathBuf);

impl Drop for Floor {
    fn drop(&mut self) {
        // The next manager sweeps what cannot be removed now.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// One running sandbox. Its line comes first, so that its processes end before its directory goes.
#[derive(Debug)]
pub(super) struct Room {
    line: Line,
    floor: Floor,
    pattern: Arc<Pattern>,
}

impl Room {
    /// Starts a sandbox with a copy of its tree.
    pub(super) fn start(pattern: &Arc<Pattern>) -> Result<Self, SandboxError> {
        let id = identity::new_id("landlock");
        let floor = furnish(pattern, &id, pattern.tree.as_deref())?;
        Self::open(pattern, id, floor)
    }

    fn open(pattern: &Arc<Pattern>, id: String, floor: Floor) -> Result<Self, SandboxError> {
        let cgroups = Cgroups::make(&id, &pattern.spec.limits);
        let session = SessionDir::new(floor.0.join(SESSION).to_string_lossy().into_owned());
        let plan = plan(pattern, &cgroups, &session, &floor.0);
        let started = Process::start(&pattern.exe, &plan, &[]);
        let (process, started) = started.map_err(|source| lost(&id, "starting", source))?;
        if let Started::Failed { doing, errno, reason } = started {
            return Err(probe::unavailable(super::NAME, &doing, errno, &reason));
        }
        Ok(Self { line: Line { id, process, cgroups, session }, floor, pattern: pattern.clone() })
    }

    /// Makes the session of a copied floor its own: it names directories of the floor it came from.
    fn move_session(from: &Path, to: &Path) -> io::Result<()> {
        let state = to.join(SESSION).join("state");
        if !fs::symlink_metadata(&state).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(());
        }
        match fs::read_to_string(&state) {
            Ok(text) => fs::write(&state, text.replace(&*from.to_string_lossy(), &to.to_string_lossy())),
            // No command has ended yet, or the agent wrote something else there.
            Err(_) => Ok(()),
        }
    }
}

impl Body for Room {
    fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    fn compare(&self) -> Result<Compared, SandboxError> {
        let compare = || -> io::Result<Compared> {
            let work = kernel::open_directory(CWD, self.floor.0.join(WORK))?;
            let tree =
                self.pattern.tree.as_ref().map(|tree| kernel::open_directory(CWD, tree)).transpose()?;
            changes::of_copy(tree.as_ref().map(AsFd::as_fd), work.as_fd())
        };
        compare().map_err(|source| lost(&self.line.id, "comparing its files", source))
    }

    fn roots(&self) -> Option<Vec<PathBuf>> {
        None
    }

    fn fork(&mut self) -> Result<Self, SandboxError> {
        let id = identity::new_id("landlock");
        let floor = furnish(&self.pattern, &id, None)?;
        let copy = || -> io::Result<()> {
            for name in [WORK, HOME, TEMPORARY, SESSION] {
                fill(&floor.0.join(name), &self.floor.0.join(name))?;
            }
            Self::move_session(&self.floor.0, &floor.0)
        };
        copy().map_err(|source| lost(&self.line.id, "copying its files", source))?;
        Self::open(&self.pattern, id, floor)
    }

    fn stop(&mut self) -> Result<(), SandboxError> {
        self.line.stop()?;
        let removed = fs::remove_dir_all(&self.floor.0);
        removed.map_err(|source| SandboxError::Host { doing: "remove", path: self.floor.0.clone(), source })
    }
}

/// Makes the directories of a sandbox, with a copy of `tree` as its work directory.
fn furnish(pattern: &Pattern, id: &str, tree: Option<&Path>) -> Result<Floor, SandboxError> {
    let host = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| SandboxError::Host { doing, path, source }
    };
    let path = pattern.scratch.join(format!("apprentice-{id}"));
    fs::create_dir_all(&path).map_err(host("make", &path))?;
    let path = fs::canonicalize(&path).map_err(host("find", &path))?;
    let floor = Floor(path);
    for name in [WORK, HOME, TEMPORARY, SESSION] {
        let directory = floor.0.join(name);
        make_own(&directory).map_err(host("make", &directory))?;
    }
    if let Some(tree) = tree {
        fill(&floor.0.join(WORK), tree).map_err(host("copy", tree))?;
    }
    Ok(floor)
}

fn make_own(directory: &Path) -> io::Result<()> {
    fs::create_dir(directory)?;
    fs::set_permissions(directory, PermissionsExt::from_mode(0o755))?;
    match host_id() {
        Some(id) => chown(directory, Some(id), Some(id)),
        None => Ok(()),
    }
}

fn fill(to: &Path, from: &Path) -> io::Result<()> {
    let (from, to) = (kernel::open_directory(CWD, from)?, kernel::open_directory(CWD, to)?);
    layer::copy(from.as_fd(), to.as_fd(), &Copying { without: &[], owner: host_id() })
}

fn plan(pattern: &Pattern, cgroups: &Cgroups, session: &SessionDir, floor: &Path) -> Plan {
    let limits = &pattern.spec.limits;
    let mut env = env(&pattern.spec, &pattern.spec.user, &floor.join(HOME));
    env.push(("TMPDIR".to_owned(), floor.join(TEMPORARY).to_string_lossy().into_owned()));
    let mut readable = mounts::host_paths(&pattern.spec.network);
    readable.extend(READABLE.iter().map(PathBuf::from));
    let mut writable: Vec<PathBuf> = DEVICES.iter().map(PathBuf::from).collect();
    writable.extend([WORK, HOME, TEMPORARY, SESSION].map(|name| floor.join(name)));
    let held = if cgroups.hold(Resource::Memory) { Held::ByCgroup } else { Held::ByWatching };
    Plan {
        confinement: Confinement::Landlock(Rules { readable, writable }),
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
        workdir: floor.join(WORK),
        files: vec![(PathBuf::from(session.prelude_path()), session.prelude())],
        roots: Vec::new(),
        shelf: Shelf::of(limits, session),
    }
}

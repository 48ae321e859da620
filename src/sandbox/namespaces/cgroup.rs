//! Bounds on all processes of a sandbox together: memory, number, processor time.
//!
//! Works with control groups of version 1 and 2. Guarantees that a group it made is removed with its
//! sandbox, or swept by the next manager when this one was killed. A host where groups cannot be made
//! gives `None` for what is not held.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use fs_err as fs;

use crate::isolation::Limits;

/// Of processor time bounds, in microseconds.
const PERIOD: u64 = 100_000;
/// The two processes of ours that a group holds beside the commands'.
const OWN_PROCESSES: u64 = 2;
const PREFIX: &str = "apprentice-";

/// A resource that a group can bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Resource {
    /// Memory.
    Memory,
    /// Processes and threads.
    Pids,
    /// Processor time.
    Cpu,
}

const ALL: [Resource; 3] = [Resource::Memory, Resource::Pids, Resource::Cpu];

impl Resource {
    fn controller(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A directory below which groups can be made.
#[derive(Debug, Clone)]
struct Parent {
    version: Version,
    directory: PathBuf,
    resources: Vec<Resource>,
}

/// The groups of one sandbox.
#[derive(Debug)]
pub(in crate::sandbox) struct Cgroups {
    groups: Vec<(Parent, PathBuf)>,
}

impl Cgroups {
    /// Makes groups for a sandbox wherever this host lets us.
    pub(in crate::sandbox) fn make(id: &str, limits: &Limits) -> Self {
        let mut groups = Vec::new();
        for parent in parents() {
            let directory = parent.directory.join(format!("{PREFIX}{id}"));
            if fs::create_dir(&directory).is_err() {
                continue;
            }
            let held = |resource: &Resource| bound(parent.version, &directory, *resource, limits).is_ok();
            let resources: Vec<Resource> = parent.resources.iter().copied().filter(held).collect();
            groups.push((Parent { resources, ..parent.clone() }, directory));
        }
        Self { groups }
    }

    /// Whether a group holds this resource.
    pub(in crate::sandbox) fn hold(&self, resource: Resource) -> bool {
        self.groups.iter().any(|(parent, _)| parent.resources.contains(&resource))
    }

    /// The files that a process joins through.
    pub(in crate::sandbox) fn doors(&self) -> Vec<PathBuf> {
        self.groups.iter().map(|(_, directory)| directory.join("cgroup.procs")).collect()
    }

    /// How many processes the memory bound has killed.
    pub(in crate::sandbox) fn memory_kills(&self) -> u64 {
        let of_group = |(parent, directory): &(Parent, PathBuf)| -> Option<u64> {
            if !parent.resources.contains(&Resource::Memory) {
                return None;
            }
            let file = match parent.version {
                Version::One => "memory.oom_control",
                Version::Two => "memory.events",
            };
            let text = fs::read_to_string(directory.join(file)).ok()?;
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
        };
        self.groups.iter().filter_map(of_group).sum()
    }

    /// Removes the groups; their processes must be gone.
    pub(in crate::sandbox) fn remove(&mut self) -> io::Result<()> {
        for (_, directory) in self.groups.drain(..) {
            remove_group(&directory)?;
        }
        Ok(())
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // The next manager sweeps what cannot be removed now.
        self.remove().ok();
    }
}

/// The kernel lets go of a group a moment after its last process.
fn remove_group(directory: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..200 {
        result = fs::remove_dir(directory);
        match &result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
            Ok(()) => break,
        }
    }
    result
}

fn bound(version: Version, group: &Path, resource: Resource, limits: &Limits) -> io::Result<()> {
    let memory = (limits.memory_mib << 20).to_string();
    let quota = ((limits.cpus * PERIOD as f64) as u64).max(1000);
    let write = |name: &str, value: &str| fs::write(group.join(name), value);
    match (resource, version) {
        (Resource::Pids, _) => write("pids.max", &(limits.pids + OWN_PROCESSES).to_string()),
        (Resource::Memory, Version::One) => {
            write("memory.limit_in_bytes", &memory)?;
            // Without this file the kernel does not count swap; without swap it does not matter.
            write("memory.memsw.limit_in_bytes", &memory).or_else(ignore_missing)
        }
        (Resource::Memory, Version::Two) => {
            write("memory.max", &memory)?;
            write("memory.swap.max", "0").or_else(ignore_missing)
        }
        (Resource::Cpu, Version::One) => {
            write("cpu.cfs_period_us", &PERIOD.to_string())?;
            write("cpu.cfs_quota_us", &quota.to_string())
        }
        (Resource::Cpu, Version::Two) => write("cpu.max", &format!("{quota} {PERIOD}")),
    }
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        // The files of a group cannot be made, so writing to one that is not there is refused.
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Ok(()),
        _ => Err(error),
    }
}

/// Where groups can be made on this host; looked for once, and swept then.
fn parents() -> &'static [Parent] {
    static PARENTS: OnceLock<Vec<Parent>> = OnceLock::new();
    PARENTS.get_or_init(|| {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let found = find_parents(&own, &mounts);
        for parent in &found {
            sweep(&parent.directory);
        }
        found
    })
}

fn find_parents(own: &str, mounts: &str) -> Vec<Parent> {
    let mut parents: Vec<Parent> = Vec::new();
    for resource in ALL {
        let version_1 = own_path(own, resource.controller())
            .and_then(|path| directory_of(mounts, "cgroup", Some(resource.controller()), path));
        match version_1 {
            Some((directory, _)) => {
                parents.push(Parent { version: Version::One, directory, resources: vec![resource] });
            }
            None => add_version_2(&mut parents, own, mounts, resource),
        }
    }
    merge_shared(parents)
}

/// Controllers that share a hierarchy share a group.
fn merge_shared(parents: Vec<Parent>) -> Vec<Parent> {
    let mut merged: Vec<Parent> = Vec::new();
    for parent in parents {
        let resolved = fs::canonicalize(&parent.directory).unwrap_or(parent.directory);
        match merged.iter_mut().find(|other| other.directory == resolved) {
            Some(other) => other.resources.extend(parent.resources),
            None => merged.push(Parent { directory: resolved, ..parent }),
        }
    }
    merged
}

fn add_version_2(parents: &mut Vec<Parent>, own: &str, mounts: &str, resource: Resource) {
    let Some(path) = own_path(own, "") else { return };
    let Some((directory, top)) = directory_of(mounts, "cgroup2", None, path) else { return };
    // A group with processes cannot have children with controllers, so an ancestor is the parent.
    let enabled = directory.ancestors().take_while(|ancestor| ancestor.starts_with(&top)).find(|ancestor| {
        let enabled = fs::read_to_string(ancestor.join("cgroup.subtree_control")).unwrap_or_default();
        enabled.split_whitespace().any(|name| name == resource.controller())
            && rustix::fs::access(*ancestor, rustix::fs::Access::WRITE_OK).is_ok()
    });
    if let Some(directory) = enabled {
        parents.push(Parent {
            version: Version::Two,
            directory: directory.to_owned(),
            resources: vec![resource],
        });
    }
}

/// This process's group in the hierarchy of `controller` (empty for version 2).
fn own_path<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

/// The directory of the group `path` in a mounted hierarchy, and the hierarchy's own.
fn directory_of(
    mounts: &str,
    kind: &str,
    controller: Option<&str>,
    path: &str,
) -> Option<(PathBuf, PathBuf)> {
    mounts.lines().find_map(|line| {
        let (place, file_system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        let mut file_system = file_system.split(' ');
        let (found, options) = (file_system.next()?, file_system.nth(1)?);
        let has = |controller: &str| options.split(',').any(|option| option == controller);
        if found != kind || !controller.is_none_or(has) {
            return None;
        }
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        Some((Path::new(point).join(below), PathBuf::from(point)))
    })
}

/// Removes the groups of managers that were killed, and what still runs in them.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(manager) = name.strip_prefix(PREFIX).and_then(super::identity::manager_of) else { continue };
        if !manager.lives() {
            kill_group(&entry.path());
            remove_group(&entry.path()).ok();
        }
    }
}

fn kill_group(group: &Path) {
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| line.parse().ok()) {
        crate::sandbox::inside::process::signal(pid, libc::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
29 22 0:26 /docker/abc /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
30 22 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
31 22 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
    const OWN: &str = "4:memory:/docker/abc/job\n3:cpu,cpuacct:/user\n0::/user.slice/a.scope\n";

    #[test]
    fn own_group_is_found_below_the_mounted_part_of_its_hierarchy() {
        let path = own_path(OWN, "memory").unwrap();
        let found = directory_of(MOUNTS, "cgroup", Some("memory"), path).unwrap().0;
        assert_eq!(found, Path::new("/sys/fs/cgroup/memory/job"));
    }

    #[test]
    fn controllers_mounted_together_are_found_by_either_name() {
        let path = own_path(OWN, "cpuacct").unwrap();
        let found = directory_of(MOUNTS, "cgroup", Some("cpu"), path).unwrap().0;
        assert_eq!(found, Path::new("/sys/fs/cgroup/cpu,cpuacct/user"));
        assert_eq!(own_path(OWN, "pids"), None);
    }

    #[test]
    fn version_2_has_no_controller_names() {
        assert_eq!(own_path(OWN, ""), Some("/user.slice/a.scope"));
    }
}

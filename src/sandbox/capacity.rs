//! What a machine has to give to sandboxes: memory, processors, free disk.
//!
//! Reads the kernel's own figures at the moment of asking. Guarantees that the bound of this process's control
//! groups counts for what runs below them. What cannot be read does not bound.

use std::path::{Path, PathBuf};

/// What the machine that runs sandboxes has.
#[derive(Debug, Clone, PartialEq)]
pub struct Capacity {
    /// All its memory, in MiB; a sandbox that may use more can never fit.
    pub memory_mib: u64,
    /// The memory that is free for sandboxes now, in MiB.
    pub free_memory_mib: u64,
    /// Its processors.
    pub cores: usize,
    /// The directory whose disk sandboxes write to; absent where they write to memory, or to a disk that cannot
    /// be seen from here.
    pub disk: Option<PathBuf>,
    /// What is free on that disk, in MiB.
    pub free_disk_mib: u64,
}

impl Capacity {
    /// A machine that bounds nothing.
    pub fn boundless() -> Self {
        Self {
            memory_mib: u64::MAX,
            free_memory_mib: u64::MAX,
            cores: usize::MAX,
            disk: None,
            free_disk_mib: u64::MAX,
        }
    }

    /// What this process has for sandboxes that are its own children and write to memory.
    pub fn of_process() -> Self {
        let (total, free) = memory(&read("/proc/meminfo"));
        let (group_total, group_free) = group_memory();
        let cores = std::thread::available_parallelism().map_or(usize::MAX, std::num::NonZero::get);
        Self {
            memory_mib: total.min(group_total),
            free_memory_mib: free.min(group_free),
            cores,
            ..Self::boundless()
        }
    }

    /// What an engine has that tells of `memory_mib` and `cores` and keeps its files in `disk`. If it runs on this
    /// machine, what is free here is known too; of another machine all counts as free.
    pub fn of_engine(memory_mib: u64, cores: usize, disk: Option<PathBuf>) -> Self {
        let (total, free) = memory(&read("/proc/meminfo"));
        let is_here = memory_mib == total;
        let disk = disk.filter(|disk| is_here && disk.is_dir());
        Self {
            memory_mib,
            free_memory_mib: if is_here { free } else { memory_mib },
            cores,
            free_disk_mib: disk.as_deref().map_or(u64::MAX, free_disk),
            disk,
        }
    }
}

fn read(path: &str) -> String {
    fs_err::read_to_string(path).unwrap_or_default()
}

/// MiB in all and available, of the text of `/proc/meminfo`.
fn memory(text: &str) -> (u64, u64) {
    let of = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib >> 10)
    };
    (of("MemTotal").unwrap_or(u64::MAX), of("MemAvailable").unwrap_or(u64::MAX))
}

/// The memory files of a control group.
struct GroupFiles {
    /// Where the groups are mounted.
    root: &'static str,
    /// What the line of `/proc/self/cgroup` that names the group has before the name.
    controllers: fn(&str) -> bool,
    most: &'static str,
    used: &'static str,
    /// What `memory.stat` calls the bytes that are given back when memory is short.
    cached: &'static str,
}

/// Version 2, and version 1 where the memory controller is there.
const GROUPS: [GroupFiles; 2] = [
    GroupFiles {
        root: "/sys/fs/cgroup",
        controllers: str::is_empty,
        most: "memory.max",
        used: "memory.current",
        cached: "inactive_file ",
    },
    GroupFiles {
        root: "/sys/fs/cgroup/memory",
        controllers: |names| names.split(',').any(|name| name == "memory"),
        most: "memory.limit_in_bytes",
        used: "memory.usage_in_bytes",
        cached: "total_inactive_file ",
    },
];

/// MiB in all and left, of the narrowest control group that holds this process.
fn group_memory() -> (u64, u64) {
    let own = read("/proc/self/cgroup");
    let mut narrowest = (u64::MAX, u64::MAX);
    for files in &GROUPS {
        let Some(path) = group(&own, files) else { continue };
        let root = Path::new(files.root);
        for group in root.join(path).ancestors().take_while(|group| group.starts_with(root)) {
            let text = |name: &str| read(&group.join(name).to_string_lossy());
            let bytes = |name| text(name).trim().parse::<u64>().ok();
            let Some(most) = bytes(files.most) else { continue };
            let stat = text("memory.stat");
            let cached = stat.lines().find_map(|line| line.strip_prefix(files.cached)?.trim().parse().ok());
            let used = bytes(files.used).unwrap_or_default().saturating_sub(cached.unwrap_or_default());
            narrowest = (narrowest.0.min(most >> 20), narrowest.1.min(most.saturating_sub(used) >> 20));
        }
    }
    narrowest
}

/// The group of this process, of the text of `/proc/self/cgroup`.
fn group<'a>(own: &'a str, files: &GroupFiles) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        (files.controllers)(controllers).then(|| path.trim_start_matches('/'))
    })
}

fn free_disk(directory: &Path) -> u64 {
    match rustix::fs::statvfs(directory) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize) >> 20,
        Err(_) => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_mebibytes_and_bounds_nothing_where_it_cannot() {
        let text = "MemTotal:        2097152 kB\nMemFree:  1 kB\nMemAvailable:    1048576 kB\n";
        assert_eq!(memory(text), (2048, 1024));
        assert_eq!(memory("nothing"), (u64::MAX, u64::MAX));
    }

    #[test]
    fn the_group_of_either_version_is_found() {
        let own = "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/c\n";
        assert_eq!(GROUPS.each_ref().map(|files| group(own, files)), [Some("c"), Some("a/b")]);
        assert_eq!(group("0::/", &GROUPS[1]), None);
    }

    #[test]
    fn this_host_has_something_to_give() {
        let here = Capacity::of_process();
        assert!(0 < here.free_memory_mib && here.free_memory_mib <= here.memory_mib, "{here:?}");
        assert!(0 < free_disk(Path::new("/")) && free_disk(Path::new("/")) < u64::MAX);
    }

    #[test]
    fn all_of_another_machine_counts_as_free() {
        let engine = Capacity::of_engine(3, 64, Some("/".into()));
        assert_eq!((engine.free_memory_mib, engine.cores, engine.disk), (3, 64, None));
    }
}

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

/// MiB in all and left, of the narrowest control group (version 2) that holds this process.
fn group_memory() -> (u64, u64) {
    let own = read("/proc/self/cgroup");
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").trim_start_matches('/');
    let bytes = |path: PathBuf| read(&path.to_string_lossy()).trim().parse::<u64>().ok();
    let mut narrowest = (u64::MAX, u64::MAX);
    for group in Path::new("/sys/fs/cgroup")
        .join(path)
        .ancestors()
        .take_while(|group| group.starts_with("/sys/fs/cgroup"))
    {
        let Some(max) = bytes(group.join("memory.max")) else { continue };
        let used = bytes(group.join("memory.current")).unwrap_or_default();
        // What the kernel only caches for the group goes when it is needed.
        let cached = file_cache(&read(&group.join("memory.stat").to_string_lossy()));
        let left = max.saturating_sub(used.saturating_sub(cached));
        narrowest = (narrowest.0.min(max >> 20), narrowest.1.min(left >> 20));
    }
    narrowest
}

/// Bytes of `memory.stat` that are given back when memory is short.
fn file_cache(text: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok()).unwrap_or_default()
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

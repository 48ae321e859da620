//! Names of sandboxes, which say whose they are.
//!
//! Guarantees that two sandboxes of one host never share a name, and that from a name one can tell
//! whether the manager that made it still runs, even when its number was given to another process.

use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;

/// The process that made a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Manager {
    pid: u32,
    /// Clock ticks from boot to its start.
    started: u64,
}

impl Manager {
    /// This process.
    pub(in crate::sandbox) fn this() -> Self {
        let pid = std::process::id();
        Self { pid, started: started(pid).unwrap_or(0) }
    }

    /// Whether it still runs.
    pub(in crate::sandbox) fn lives(self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// A new name: `ns-PID-START-NUMBER`.
pub(in crate::sandbox) fn new_id(kind: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Manager { pid, started } = Manager::this();
    format!("{kind}-{pid}-{started}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Who made the sandbox of this name.
pub(in crate::sandbox) fn manager_of(id: &str) -> Option<Manager> {
    let mut parts = id.split('-').skip(1);
    Some(Manager { pid: parts.next()?.parse().ok()?, started: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_this_process() {
        let id = new_id("ns");
        assert_eq!(manager_of(&id), Some(Manager::this()));
        assert_ne!(id, new_id("ns"));
        assert!(Manager::this().lives());
    }

    #[test]
    fn a_manager_that_started_at_another_time_is_dead() {
        let Manager { pid, started } = Manager::this();
        assert!(!Manager { pid, started: started + 1 }.lives());
        assert_eq!(manager_of("not a name"), None);
    }
}

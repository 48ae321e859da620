//! What this host enforces for sandboxes in namespaces, measured by starting one.
//!
//! Guarantees that every line says what was seen to work or not; a host that refuses namespaces gets
//! the setting that does it and what to change.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fs_err as fs;

use super::NAME;
use super::capsule::Body;
use super::cgroup::{Cgroups, Resource};
use super::machine::{self, Blueprint, Machine};
use crate::isolation::{Isolation, Lack, Protection};
use crate::sandbox::SandboxError;

/// Starts a sandbox, looks, and stops it.
pub(in crate::sandbox) fn measure(exe: &Path) -> Result<Protection, SandboxError> {
    let spec = machine::probe_spec();
    let blueprint =
        Blueprint { exe: exe.to_owned(), spec, rootfs: None, lower: None, accept: Isolation::AcceptWeaker };
    let mut machine = Machine::start(&Arc::new(blueprint), None)?;
    let (enforced, missing) = (enforced(machine.cgroups()), missing(machine.cgroups()));
    machine.stop()?;
    Ok(Protection { backend: NAME.to_owned(), enforced, missing })
}

fn enforced(cgroups: &Cgroups) -> Vec<String> {
    let user = match machine::host_id() {
        Some(id) => format!("the unprivileged user {id}"),
        None => "the user who started it".to_owned(),
    };
    let by = |resource, otherwise| if cgroups.hold(resource) { "control group" } else { otherwise };
    vec![
        "no network but its own loopback and what the sandbox's file lists (network namespace)".to_owned(),
        "host files hidden, its programs read-only (mount namespace)".to_owned(),
        "host processes hidden, its own end together (pid namespace)".to_owned(),
        format!("no privileges: {user}, no capabilities, no new privileges (user namespace)"),
        "risky system calls refused (seccomp)".to_owned(),
        format!("memory ({})", by(Resource::Memory, "resource limit of each process, and looking")),
        format!("processes ({})", by(Resource::Pids, "resource limit")),
        format!("processors ({})", by(Resource::Cpu, "affinity, whole processors")),
        "bytes written (sized file system in memory)".to_owned(),
    ]
}

/// What a sandbox with these groups lacks.
pub(in crate::sandbox) fn missing(cgroups: &Cgroups) -> Vec<Lack> {
    if cgroups.hold(Resource::Memory) {
        return Vec::new();
    }
    vec![Lack {
        what: "a bound on the memory of all processes at every moment (it is looked at ten times a second)"
            .to_owned(),
        remedy: "run as root on a host whose control groups are writable".to_owned(),
    }]
}

/// Some of the processors this process may use, others for each sandbox; empty for all of them.
pub(in crate::sandbox) fn processors(cpus: f64) -> Vec<usize> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    let usable: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    let count = (cpus.ceil() as usize).max(1);
    if usable.len() <= count {
        return Vec::new();
    }
    let first = NEXT.fetch_add(count, Ordering::Relaxed);
    (0..count).map(|offset| usable[(first + offset) % usable.len()]).collect()
}

/// Why the child could not become a sandbox, and what to do about it.
pub(in crate::sandbox) fn unavailable(
    backend: &'static str,
    doing: &str,
    errno: i32,
    reason: &str,
) -> SandboxError {
    let hint = match (doing, errno) {
        ("make namespaces" | "map the user into its namespace", _) => namespaces_hint(errno),
        ("build the root file system", libc::EPERM) => {
            "inside Docker, add `--security-opt systempaths=unconfined` (its masks forbid a new /proc), \
             or use `--sandbox landlock --accept-weaker-isolation`"
                .to_owned()
        }
        _ => "run `apprentice doctor` and report this with its output".to_owned(),
    };
    SandboxError::Unavailable { backend, reason: format!("could not {doing}: {reason}"), hint }
}

/// Which setting refuses user namespaces here.
fn namespaces_hint(errno: i32) -> String {
    let is = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let setting = if is("/proc/sys/user/max_user_namespaces", "0") || errno == libc::ENOSPC {
        "allow them with `sysctl user.max_user_namespaces=15000`"
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "allow them with `sysctl kernel.unprivileged_userns_clone=1`"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "allow them with `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    } else {
        "inside Docker, add `--security-opt seccomp=unconfined --security-opt systempaths=unconfined`"
    };
    format!("{setting}, or use `--sandbox landlock --accept-weaker-isolation`")
}

//! What a sandboxed process gives up: resources, capabilities and system calls.
//!
//! Guarantees that nothing here can be taken back. Runs in the child only; what a cgroup bounds is set
//! by the manager.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use super::kernel::checked;
use super::protocol::{Bounds, Held};

/// Open files of one process.
const OPEN_FILES: u64 = 4096;
/// Address space is cheap where nothing is behind it (Go and Java reserve gigabytes), so its bound is a
/// multiple of the memory's.
const ADDRESS_SPACE_FACTOR: u64 = 16;

/// System calls that change what a process sees or is, and have no use in building and testing software.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_sched_setaffinity,
    libc::SYS_setns,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

const NEW_NAMESPACES: [i32; 8] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWTIME,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// Typing on a terminal in the user's place, and what the console's own calls paste there.
const REFUSED_TERMINAL_CALLS: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

const REFUSED_FAMILIES: [i32; 4] = [libc::AF_ALG, libc::AF_NETLINK, libc::AF_PACKET, libc::AF_VSOCK];
const INTERNET_FAMILIES: [i32; 2] = [libc::AF_INET, libc::AF_INET6];

/// Whether a process may open sockets of the internet families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Internet {
    /// Its network namespace decides what they reach.
    Namespaced,
    /// There is no network namespace.
    Refused,
}

/// Bounds this process and all that it starts.
pub(in crate::sandbox) fn bound_resources(bounds: &Bounds, other_processes: u64) -> io::Result<()> {
    set_limit(libc::RLIMIT_CORE, 0)?;
    set_limit(libc::RLIMIT_NOFILE, OPEN_FILES)?;
    set_limit(libc::RLIMIT_FSIZE, bounds.disk)?;
    // Set after the user namespace exists: inside, the kernel counts its processes alone.
    set_limit(libc::RLIMIT_NPROC, bounds.pids.saturating_add(other_processes))?;
    if bounds.memory_held == Held::ByWatching {
        set_limit(libc::RLIMIT_DATA, bounds.memory)?;
        set_limit(libc::RLIMIT_AS, bounds.memory.saturating_mul(ADDRESS_SPACE_FACTOR))?;
    }
    Ok(())
}

fn set_limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure outlives both calls.
    unsafe {
        checked(libc::c_long::from(libc::getrlimit(resource, &raw mut limit)))?;
        // A lower bound that holds already cannot be raised and need not be.
        let value = value.min(limit.rlim_max);
        limit = libc::rlimit { rlim_cur: value, rlim_max: value };
        checked(libc::c_long::from(libc::setrlimit(resource, &raw const limit)))?;
    }
    Ok(())
}

/// Gives up every capability, for good.
pub(in crate::sandbox) fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let sets = [0u32; 6];
    // SAFETY: plain system calls; the header and the two sets of three words have the kernel's layout.
    unsafe {
        for capability in 0..64 {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 {
                break;
            }
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        let set = libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), sets.as_ptr());
        checked(set)?;
    }
    Ok(())
}

/// Makes this process invisible to its children's debuggers and deaf to set-user-id programs.
pub(in crate::sandbox) fn forgo_privileges() -> io::Result<()> {
    // SAFETY: plain system calls.
    unsafe {
        checked(libc::c_long::from(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))?;
        checked(libc::c_long::from(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)))?;
    }
    Ok(())
}

/// Refuses system calls from here on, for this process and all that it starts.
pub(in crate::sandbox) fn refuse_system_calls(internet: Internet) -> io::Result<()> {
    apply(refusals(internet)?, libc::EPERM)?;
    // "Not implemented" lets the C library fall back to `clone`, whose flags a filter can read.
    apply(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn refusals(internet: Internet) -> io::Result<Rules> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let flags: Result<_, io::Error> = NEW_NAMESPACES
        .iter()
        .map(|flag| {
            let flag = u64::from(*flag as u32);
            when(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)
        })
        .collect();
    rules.insert(libc::SYS_clone, flags?);
    let refused = match internet {
        Internet::Namespaced => REFUSED_FAMILIES.to_vec(),
        Internet::Refused => [&REFUSED_FAMILIES[..], &INTERNET_FAMILIES].concat(),
    };
    let families: Result<_, io::Error> = refused
        .iter()
        .map(|family| when(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *family as u64))
        .collect();
    rules.insert(libc::SYS_socket, families?);
    let typing: Result<_, io::Error> = REFUSED_TERMINAL_CALLS
        .iter()
        .map(|call| when(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *call))
        .collect();
    rules.insert(libc::SYS_ioctl, typing?);
    #[cfg(target_arch = "x86_64")]
    refuse_second_numbering(&mut rules);
    Ok(rules)
}

/// Refuses the same calls under their x32 numbers, which some kernels still accept.
#[cfg(target_arch = "x86_64")]
fn refuse_second_numbering(rules: &mut Rules) {
    const X32: i64 = 0x4000_0000;
    for (call, conditions) in rules.clone() {
        rules.insert(call | X32, conditions);
    }
}

fn when(
    argument: u8,
    length: SeccompCmpArgLen,
    compare: SeccompCmpOp,
    value: u64,
) -> io::Result<SeccompRule> {
    let condition = SeccompCondition::new(argument, length, compare, value).map_err(io::Error::other)?;
    SeccompRule::new(vec![condition]).map_err(io::Error::other)
}

fn apply(rules: Rules, errno: i32) -> io::Result<()> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let refuse = SeccompAction::Errno(errno as u32);
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}

/// How many processes the memory bound of the container that this process is in has killed.
pub(in crate::sandbox) fn memory_kills_here() -> u64 {
    const COUNTERS: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];
    let count = |file: &&str| {
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    };
    COUNTERS.iter().find_map(count).unwrap_or(0)
}

/// Keeps this process and its children on the given processors.
pub(in crate::sandbox) fn pin(processors: &[usize]) -> io::Result<()> {
    if processors.is_empty() {
        return Ok(());
    }
    // SAFETY: the set is plain data, its size is passed, and numbers beyond it are left out.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for processor in processors.iter().filter(|processor| **processor < libc::CPU_SETSIZE as usize) {
            libc::CPU_SET(*processor, &mut set);
        }
        checked(libc::c_long::from(libc::sched_setaffinity(0, size_of_val(&set), &raw const set))).map(drop)
    }
}

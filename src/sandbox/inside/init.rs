//! The child side: how a re-executed process becomes a sandbox.
//!
//! Guarantees that the host's root is given up before anything else is, and that a step that fails
//! ends the process and is told to the manager. Runs before any thread exists.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitCode;

use fs_err as fs;

use super::delta::Picture;
use super::limits::{self, Internet};
use super::mounts::{self, Sources};
use super::protocol::{Channel, Confinement, Layout, Machine, Plan, Rules, Started, User};
use super::relay::Relay;
use super::serve::{Keeper, Server};
use super::spill::Spills;
use super::{kernel, process};
use crate::isolation::Network;

/// A step that failed.
struct Failure {
    doing: String,
    error: io::Error,
}

type Done<T> = Result<T, Failure>;

trait While<T> {
    fn while_doing(self, doing: impl fmt::Display) -> Done<T>;
}

impl<T> While<T> for io::Result<T> {
    fn while_doing(self, doing: impl fmt::Display) -> Done<T> {
        self.map_err(|error| Failure { doing: doing.to_string(), error })
    }
}

/// Becomes a sandbox and serves until the manager hangs up.
pub(in crate::sandbox) fn run() -> ExitCode {
    let Ok(mut channel) = take_channel() else { return ExitCode::from(2) };
    let Ok((plan, _)) = channel.receive::<Plan>() else { return ExitCode::from(2) };
    match become_sandbox(&mut channel, plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { doing, error }) => {
            let failed = Started::Failed { doing, errno: number(&error), reason: error.to_string() };
            // The manager may be gone, which is an answer too.
            channel.send(&failed, &[]).ok();
            ExitCode::FAILURE
        }
    }
}

/// `fs_err` wraps errors and keeps their number out of sight.
fn number(error: &io::Error) -> i32 {
    let inner = error.get_ref().and_then(|inner| std::error::Error::source(inner));
    let wrapped = inner.and_then(|inner| inner.downcast_ref::<io::Error>());
    error.raw_os_error().or_else(|| wrapped?.raw_os_error()).unwrap_or(0)
}

/// The manager's line comes as a socket in place of standard input, or, from an engine, as both standard
/// streams; commands must not inherit it.
pub(in crate::sandbox) fn take_channel() -> io::Result<Channel> {
    let is_socket = {
        let mode = rustix::fs::fstat(io::stdin())?.st_mode;
        rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::Socket
    };
    let input = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    let output = match is_socket {
        true => rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?,
        false => rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?,
    };
    let null = fs::File::options().read(true).write(true).open("/dev/null")?;
    for standard in 0..=2 {
        // SAFETY: replaces a standard stream in place; nothing of this process has buffered for it.
        kernel::checked(libc::c_long::from(unsafe { libc::dup2(null.as_raw_fd(), standard) }))?;
    }
    Ok(Channel::new(input, output))
}

fn become_sandbox(channel: &mut Channel, plan: Plan) -> Done<()> {
    // SAFETY: plain system call. It fails only for a process that leads a group already.
    unsafe {
        libc::setsid();
    }
    process::heed_signals();
    let me = std::process::id().to_string();
    for procs in &plan.cgroups {
        fs::write(procs, &me).while_doing("join a cgroup")?;
    }
    limits::pin(&plan.processors).while_doing("keep to some processors")?;
    match plan.confinement.clone() {
        Confinement::Namespaces(machine) => enter_namespaces(channel, plan, &machine),
        Confinement::Landlock(rules) => stay(channel, plan, rules),
        Confinement::Container(user) => keep_container(channel, plan, user),
    }
}

fn enter_namespaces(channel: &mut Channel, plan: Plan, machine: &Machine) -> Done<()> {
    let parent = if machine.forked {
        Some(channel.receive_descriptor().while_doing("receive the parent's store")?)
    } else {
        None
    };
    let line = machine.network.allowed().map(|_| channel.receive_descriptor()).transpose();
    let line = line.while_doing("receive the relay's line")?;
    let mut machine = machine.clone();
    let sources = open_and_separate(&plan, &mut machine)?;
    let machine = &machine;
    let relay = line.map(listen).transpose()?;
    match kernel::fork().while_doing("start the first process")? {
        None => {
            drop(relay);
            let served = first_process(channel, plan, machine, &sources, parent.as_ref());
            if let Err(Failure { doing, error }) = served {
                let failed = Started::Failed { doing, errno: number(&error), reason: error.to_string() };
                channel.send(&failed, &[]).ok();
            }
            kernel::leave(0)
        }
        Some(first) => {
            if let Some(relay) = relay {
                kernel::leave(i32::from(relay.serve_beside(first).is_err()));
            }
            close_all();
            process::wait(first).map(drop).while_doing("wait for the first process")
        }
    }
}

/// Listens for the clients of the proxy. The process that waits for the first one serves them: it is in the
/// sandbox's network and outside of its pid namespace, where commands do not see it.
fn listen(line: OwnedFd) -> Done<Relay> {
    loopback_up().while_doing("start the loopback")?;
    let output = line.try_clone().while_doing("keep the relay's line")?;
    Relay::listen(Channel::new(line, output)).while_doing("listen for the proxy")
}

/// Opens what the sandbox shows of the host, and leaves the host's namespaces.
fn open_and_separate(plan: &Plan, machine: &mut Machine) -> Done<Sources> {
    let opening = "open the host's directories";
    // A root that may not mount, as in a container, is no more than a plain user here.
    let administers = kernel::may_administer();
    if let (Some(id), true) = (plan.host_id, administers) {
        // The user that it becomes may not reach the host's paths, so they are opened first.
        let sources = Sources::open(machine, Some(id)).while_doing(opening)?;
        become_user(id, id).while_doing("give up root")?;
        show_own_files();
        separate(machine)?;
        return Ok(sources);
    }
    if let Some(id) = plan.host_id {
        become_user(id, id).while_doing("give up root")?;
        show_own_files();
        // Nobody here can translate the owner of the tree, so it is copied.
        if let Some(lower) = &mut machine.lower {
            lower.owner = None;
        }
    }
    // A plain user may clone mounts only in a namespace of its own.
    separate(machine)?;
    Sources::open(machine, None).while_doing(opening)
}

/// Lets go of the socket and everything else: only the first process may hold them.
fn close_all() {
    // SAFETY: nothing of this process is used any more but waiting.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32);
    }
}

/// Becomes another user, whose privileges are all that is left. No process of that user can trace this one at
/// any moment: its memory may be that of the process that it was forked from, and who has opened it keeps it.
pub(in crate::sandbox) fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    const SAME: u32 = u32::MAX;
    // SAFETY: plain system calls of a process with one thread.
    unsafe {
        kernel::checked(libc::c_long::from(libc::setgroups(0, std::ptr::null())))?;
        kernel::checked(libc::c_long::from(libc::setresgid(gid, gid, gid)))?;
        // A host may say that who changes its effective user can be traced (`fs.suid_dumpable`), so that is
        // changed and taken back while the other two are still root; then it does not change any more.
        kernel::checked(libc::c_long::from(libc::setresuid(SAME, uid, SAME)))?;
        kernel::checked(libc::c_long::from(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0)))?;
        kernel::checked(libc::c_long::from(libc::setresuid(uid, uid, uid)))?;
    }
    Ok(())
}

/// Shows `/proc/self`, which changing user hides, to this process again: it has yet to write its maps there.
/// Only for a process whose memory is its own and that no agent's process can see.
fn show_own_files() {
    // SAFETY: a plain system call that cannot fail with these arguments.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
    }
}

fn separate(machine: &Machine) -> Done<()> {
    // SAFETY: plain system calls that cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let mut spaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWCGROUP;
    if machine.network != Network::Host {
        spaces |= libc::CLONE_NEWNET;
    }
    kernel::unshare(spaces).while_doing("make namespaces")?;
    let mapping = "map the user into its namespace";
    fs::write("/proc/self/setgroups", "deny").while_doing(mapping)?;
    fs::write("/proc/self/uid_map", format!("{} {user} 1", machine.uid)).while_doing(mapping)?;
    fs::write("/proc/self/gid_map", format!("{} {group} 1", machine.uid)).while_doing(mapping)
}

fn first_process(
    channel: &mut Channel,
    plan: Plan,
    machine: &Machine,
    sources: &Sources,
    parent: Option<&OwnedFd>,
) -> Done<()> {
    // SAFETY: plain system call: the sandbox ends when the process that waits for it does.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
    }
    // SAFETY: plain system call.
    unsafe {
        libc::umask(0o022);
    }
    let built = mounts::enter(&plan, machine, sources, parent).while_doing("build the root file system")?;
    host_name().while_doing("name the host")?;
    if machine.network == Network::None {
        loopback_up().while_doing("start the loopback")?;
    }
    write_files(&plan).while_doing("write the first files")?;
    limits::bound_resources(&plan.bounds, 0).while_doing("set resource limits")?;
    limits::drop_capabilities().while_doing("drop capabilities")?;
    limits::forgo_privileges().while_doing("forgo privileges")?;
    limits::refuse_system_calls(Internet::Namespaced).while_doing("filter system calls")?;
    let server = server(channel, plan, Keeper::PidNamespace)?;
    answer(channel, built.layout, Some(&built.store))?;
    drop(built);
    server.serve().while_doing("serve")
}

/// A sandbox without namespaces: this process is only the parent of all.
fn stay(channel: &mut Channel, plan: Plan, rules: Rules) -> Done<()> {
    if let Some(id) = plan.host_id {
        become_user(id, id).while_doing("give up root")?;
    }
    // SAFETY: plain system calls.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        libc::umask(0o022);
    }
    write_files(&plan).while_doing("write the first files")?;
    limits::forgo_privileges().while_doing("forgo privileges")?;
    let server = server(channel, plan, Keeper::Subreaper(rules))?;
    answer(channel, Layout::Directories, None)?;
    server.serve().while_doing("serve")
}

/// In a container of an engine this process is the first already; commands run as another user.
fn keep_container(channel: &mut Channel, plan: Plan, user: User) -> Done<()> {
    // SAFETY: plain system call.
    unsafe {
        libc::umask(0o022);
    }
    limits::forgo_privileges().while_doing("forgo privileges")?;
    limits::refuse_system_calls(Internet::Namespaced).while_doing("filter system calls")?;
    let server = server(channel, plan, Keeper::Container(user))?;
    answer(channel, Layout::Directories, None)?;
    server.serve().while_doing("serve")
}

fn server(channel: &Channel, plan: Plan, keeper: Keeper) -> Done<Server> {
    let owner = keeper.other_user();
    Ok(Server {
        spills: plan.shelf.map(|shelf| Spills::new(shelf, owner)),
        channel: channel.try_clone().while_doing("keep the manager's line")?,
        keeper,
        bounds: plan.bounds,
        env: plan.env,
        workdir: plan.workdir,
        roots: plan.roots,
        start: Picture::default(),
        signals: kernel::child_signals().while_doing("listen for ended processes")?,
        lingering: Vec::new(),
    })
}

fn answer(channel: &mut Channel, layout: Layout, store: Option<&OwnedFd>) -> Done<()> {
    channel.send(&Started::Ready(layout), &[]).while_doing("answer")?;
    match store {
        Some(store) => channel.send_descriptor(store.as_fd()).while_doing("hand over the store"),
        None => Ok(()),
    }
}

fn write_files(plan: &Plan) -> io::Result<()> {
    for (path, contents) in &plan.files {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        // Where a fork starts from, the agent may have put a link of that name.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        io::Write::write_all(&mut file, contents.as_bytes())?;
    }
    Ok(())
}

fn host_name() -> io::Result<()> {
    const NAME: &str = "sandbox";
    // SAFETY: the name and its length belong together.
    let set = unsafe { libc::sethostname(NAME.as_ptr().cast(), NAME.len()) };
    kernel::checked(libc::c_long::from(set)).map(drop)
}

fn loopback_up() -> io::Result<()> {
    // SAFETY: the request is plain data with a terminated name, and outlives the call.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        kernel::checked(libc::c_long::from(socket))?;
        let socket = OwnedFd::from_raw_fd(socket);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let set = libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request);
        kernel::checked(libc::c_long::from(set)).map(drop)
    }
}

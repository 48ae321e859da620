//! The few system calls that a sandbox is built from, as safe functions.
//!
//! Guarantees nothing beyond the calls; what they are for is said where they are used.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::protocol::User;

/// Attributes that are added to a mount.
pub(in crate::sandbox) const NO_PRIVILEGE: u64 =
    (MountAttrFlags::MOUNT_ATTR_NOSUID.bits() | MountAttrFlags::MOUNT_ATTR_NODEV.bits()) as u64;
/// The same, and read-only.
pub(in crate::sandbox) const READ_ONLY: u64 = NO_PRIVILEGE | MountAttrFlags::MOUNT_ATTR_RDONLY.bits() as u64;

/// Clones what is mounted at `path`, with all below it, attached nowhere yet.
pub(in crate::sandbox) fn clone_mount(path: &Path) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    Ok(open_tree(CWD, path, flags)?)
}

/// Makes a file system without devices that is attached nowhere yet.
pub(in crate::sandbox) fn make_mount(kind: &str, options: &[(&str, &str)]) -> io::Result<OwnedFd> {
    make(kind, options, MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)
}

/// Makes a place for terminals, whose only devices are those that are made in it.
pub(in crate::sandbox) fn make_terminals() -> io::Result<OwnedFd> {
    let options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "620")];
    make("devpts", &options, MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC)
}

fn make(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(context.as_fd(), *key)?;
        } else {
            fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
    }
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Attaches a mount at `target`.
pub(in crate::sandbox) fn attach(mount: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    Ok(move_mount(mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Adds attributes to a mount and all below it.
pub(in crate::sandbox) fn restrict(mount: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let attributes = MountAttributes { set: attributes, clear: 0, propagation: 0, user_namespace: 0 };
    set_attributes(mount, libc::AT_RECURSIVE, &attributes)
}

/// Makes one mount read-only, not those below it.
pub(in crate::sandbox) fn seal(mount: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = MountAttributes { set: READ_ONLY, clear: 0, propagation: 0, user_namespace: 0 };
    set_attributes(mount, 0, &attributes)
}

/// Shows the files of a mount as owned by other users, as `user_namespace` maps them.
pub(in crate::sandbox) fn translate_owners(
    mount: BorrowedFd<'_>,
    user_namespace: BorrowedFd<'_>,
) -> io::Result<()> {
    let attributes = MountAttributes {
        set: u64::from(MountAttrFlags::MOUNT_ATTR_IDMAP.bits()),
        clear: 0,
        propagation: 0,
        user_namespace: user_namespace.as_raw_fd() as u64,
    };
    set_attributes(mount, 0, &attributes)
}

fn set_attributes(mount: BorrowedFd<'_>, flags: i32, attributes: &MountAttributes) -> io::Result<()> {
    // SAFETY: the path is a terminated string, the structure has the layout and size that are passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    checked(result).map(drop)
}

/// Makes a user namespace in which the number `from` is the host's number `to`, for users and groups.
pub(in crate::sandbox) fn owner_namespace(from: (u32, u32), to: u32) -> io::Result<OwnedFd> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let Some(child) = fork()? else {
        let unshared = unshare(libc::CLONE_NEWUSER).is_ok();
        // The parent reads the byte, opens the namespace and kills this process.
        if unshared && rustix::io::write(&writer, b"x").is_ok() {
            loop {
                std::thread::park();
            }
        }
        leave(1);
    };
    drop(writer);
    let opened = map_and_open(&reader, child, from, to);
    // SAFETY: plain system calls on our own child.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    opened
}

fn map_and_open(reader: &OwnedFd, child: i32, from: (u32, u32), to: u32) -> io::Result<OwnedFd> {
    if rustix::io::read(reader, &mut [0u8; 1])? != 1 {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    std::fs::write(format!("/proc/{child}/uid_map"), format!("{} {to} 1", from.0))?;
    std::fs::write(format!("/proc/{child}/gid_map"), format!("{} {to} 1", from.1))?;
    Ok(std::fs::File::open(format!("/proc/{child}/ns/user"))?.into())
}

/// Forks; `None` in the child. Only for processes with a single thread.
pub(in crate::sandbox) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: the re-executed process has one thread, so the child may use all of the runtime.
    let pid = checked(libc::c_long::from(unsafe { libc::fork() }))?;
    Ok((pid != 0).then_some(pid as i32))
}

/// Starts a process that shares this one's memory, which waits until the other has become a program or
/// ended: no page is copied. `become_program` makes system calls only, allocates nothing that it would
/// have to free, and does not change what belongs to the memory (whether it can be dumped).
pub(in crate::sandbox) fn fork_to_become(become_program: &mut dyn FnMut()) -> io::Result<i32> {
    const STACK_BYTES: usize = 96 * 1024;
    extern "C" fn begin(become_program: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the pointer is to the reference below, whose owner waits.
        let become_program = unsafe { &mut *become_program.cast::<&mut dyn FnMut()>() };
        become_program();
        126
    }
    let mut stack = Vec::<u128>::with_capacity(STACK_BYTES / size_of::<u128>());
    let mut argument = become_program;
    // SAFETY: the stack is large enough, aligned, grows downwards from its end, and outlives the other
    // process's use of it, as does the argument: this process goes on when that has a memory of its own.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity()).cast();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        libc::clone(begin, top, flags, (&raw mut argument).cast())
    };
    checked(libc::c_long::from(pid)).map(|pid| pid as i32)
}

/// Does `work` with the file rights of `user`, where that is another one than this process's: what it makes is
/// theirs, and what they may not do fails.
pub(in crate::sandbox) fn as_user<T>(
    user: Option<User>,
    work: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let Some(User { uid, gid, .. }) = user else { return work() };
    // SAFETY: plain system calls of a process with one thread. They say who it was, never whether they worked,
    // so the second call asks.
    unsafe {
        let (own_uid, own_gid) = (libc::geteuid(), libc::getegid());
        libc::setfsgid(gid);
        libc::setfsuid(uid);
        let is_theirs = libc::setfsuid(u32::MAX) == uid as libc::c_int;
        let done = if is_theirs { work() } else { Err(io::Error::from_raw_os_error(libc::EPERM)) };
        libc::setfsuid(own_uid);
        libc::setfsgid(own_gid);
        done
    }
}

/// Whether this process may mount on the host.
pub(in crate::sandbox) fn may_administer() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Leaves the namespaces in `flags` for new ones.
pub(in crate::sandbox) fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: a plain system call.
    checked(libc::c_long::from(unsafe { libc::unshare(flags) })).map(drop)
}

/// Ends this forked process at once.
pub(in crate::sandbox) fn leave(code: i32) -> ! {
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(code) }
}

/// Opens `path` below `directory` as if `directory` were the root, through no magic link of `/proc`,
/// and without waiting for the other end of a pipe.
pub(in crate::sandbox) fn open_inside(
    directory: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    resolve: ResolveFlags,
) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o666) } else { Mode::empty() };
    Ok(rustix::fs::openat2(directory, path, flags, mode, resolve | ResolveFlags::NO_MAGICLINKS)?)
}

/// Opens a directory itself, not what a link of that name points to.
pub(in crate::sandbox) fn open_directory(
    parent: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// A path as the kernel takes it.
pub(in crate::sandbox) fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// A descriptor that tells of ended children, whose signal is then blocked.
pub(in crate::sandbox) fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset; the descriptor is new and owned by nobody else.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        let descriptor = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        checked(libc::c_long::from(descriptor))?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// Turns a result of -1 into the error that it stands for.
pub(in crate::sandbox) fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

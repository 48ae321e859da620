//! Processes as the inner process of a sandbox starts, finds, kills and collects them.
//!
//! Guarantees that a command starts with its output on a fresh pipe, nothing on its input, default
//! signals, and no other open file. Runs in the child only, which has one thread.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use fs_err as fs;
use rustix::pipe::{PipeFlags, pipe_with};

use super::kernel::{self, c_path, checked};
use super::plain::Plain;
use super::protocol::Run;
use super::watch;
use crate::trajectory::Exit;

/// A command with all that it needs to start.
pub(in crate::sandbox) struct Program<'a> {
    pub(in crate::sandbox) run: &'a Run,
    pub(in crate::sandbox) env: &'a [(String, String)],
    pub(in crate::sandbox) workdir: &'a Path,
    /// What to start instead, if it can be.
    pub(in crate::sandbox) plain: Option<&'a Plain>,
}

/// Starts a program; gives its number and its output.
pub(in crate::sandbox) fn start(
    program: &Program<'_>,
    confine: impl FnOnce() -> io::Result<()>,
) -> io::Result<(i32, OwnedFd)> {
    let arguments = strings(program.run.argv.iter().cloned())?;
    let mut env: BTreeMap<&String, &String> = program.env.iter().map(|(key, value)| (key, value)).collect();
    env.extend(program.run.env.iter().map(|(key, value)| (key, value)));
    let env = strings(env.iter().map(|(key, value)| format!("{key}={value}")))?;
    let workdir = c_path(program.workdir)?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let Some(pid) = kernel::fork()? else {
        let error = become_program(
            &Image { arguments, env, workdir, output: &writer, plain: program.plain },
            confine,
        );
        let text = format!("bash: {error}\n");
        // Only the standard descriptors are left. Nothing can be done about a failure to say it.
        io::Write::write_all(&mut io::stderr(), text.as_bytes()).ok();
        kernel::leave(126);
    };
    drop(writer);
    watch::never_wait(&reader)?;
    Ok((pid, reader))
}

fn strings(texts: impl Iterator<Item = String>) -> io::Result<Vec<CString>> {
    Ok(texts.map(CString::new).collect::<Result<_, _>>()?)
}

struct Image<'a> {
    arguments: Vec<CString>,
    env: Vec<CString>,
    workdir: CString,
    output: &'a OwnedFd,
    plain: Option<&'a Plain>,
}

/// Replaces this forked process by the program; returns only when that fails.
fn become_program(image: &Image<'_>, confine: impl FnOnce() -> io::Result<()>) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, env) = (pointers(&image.arguments), pointers(&image.env));
    if let Err(error) = prepare(image).and_then(|()| confine()) {
        return error;
    }
    if let Some(plain) = image.plain {
        become_plain(plain, pointers);
    }
    if let Err(error) = enter(&image.workdir) {
        return error;
    }
    // SAFETY: both arrays are terminated by null and point to terminated strings that outlive the call.
    unsafe {
        libc::execvpe(arguments[0], arguments.as_ptr(), env.as_ptr());
    }
    io::Error::last_os_error()
}

/// Replaces this forked process by a program that needs no shell; returns when bash must try.
fn become_plain(plain: &Plain, pointers: impl Fn(&[CString]) -> Vec<*const libc::c_char>) {
    let (arguments, env) = (pointers(&plain.arguments), pointers(&plain.env));
    // SAFETY: all strings are terminated, both arrays by null, and they outlive the calls.
    unsafe {
        if libc::chdir(plain.directory.as_ptr()) != 0 {
            return;
        }
        for file in &plain.files {
            libc::execve(file.as_ptr(), arguments.as_ptr(), env.as_ptr());
            // Anything but a missing file is for bash to judge and to tell.
            if *libc::__errno_location() != libc::ENOENT {
                return;
            }
        }
    }
}

fn prepare(image: &Image<'_>) -> io::Result<()> {
    // SAFETY: plain system calls of a forked process with one thread; strings outlive them.
    unsafe {
        libc::setsid();
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::umask(0o022);
        checked(libc::c_long::from(libc::dup2(image.output.as_raw_fd(), 1)))?;
        checked(libc::c_long::from(libc::dup2(image.output.as_raw_fd(), 2)))?;
        let input = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        checked(libc::c_long::from(input))?;
        checked(libc::c_long::from(libc::dup2(input, 0)))?;
        // Closed before the next step: who may trace this process may take its descriptors, and the
        // manager's line is among them.
        checked(libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32))?;
        // The next line's file belongs to the global root while this process cannot be dumped.
        libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
        prefer_to_kill();
    }
    Ok(())
}

/// Enters the work directory, or the root when the agent has removed it.
fn enter(workdir: &CString) -> io::Result<()> {
    // SAFETY: plain system calls; the strings are terminated and outlive them.
    unsafe {
        if libc::chdir(workdir.as_ptr()) == 0 {
            return Ok(());
        }
        checked(libc::c_long::from(libc::chdir(c"/".as_ptr()))).map(drop)
    }
}

/// Lets the kernel, when memory runs out, kill a command before the process that reports it.
fn prefer_to_kill() {
    fs::write("/proc/self/oom_score_adj", "1000").ok();
}

/// Signals one process, or all that this one may signal (-1).
pub(in crate::sandbox) fn signal(pid: i32, signal: i32) {
    // SAFETY: a plain system call. A process that is already gone needs no signal.
    unsafe {
        libc::kill(pid, signal);
    }
}

/// Signals each of these processes.
pub(in crate::sandbox) fn signal_all(pids: &BTreeSet<i32>, number: i32) {
    for pid in pids {
        signal(*pid, number);
    }
}

/// Collects every child that has ended.
pub(in crate::sandbox) fn reap(mut ended: impl FnMut(i32, i32)) {
    loop {
        let mut status = 0;
        // SAFETY: the status outlives the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid <= 0 {
            return;
        }
        ended(pid, status);
    }
}

/// Waits for one child; gives its status.
pub(in crate::sandbox) fn wait(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: the status outlives the call.
        match checked(libc::c_long::from(unsafe { libc::waitpid(pid, &raw mut status, 0) })) {
            Ok(_) => return Ok(status),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads a wait status.
pub(in crate::sandbox) fn exit_of(status: i32) -> Exit {
    if libc::WIFEXITED(status) {
        Exit::Code(libc::WEXITSTATUS(status))
    } else {
        Exit::Signal(libc::WTERMSIG(status))
    }
}

/// Every process that `/proc` shows.
pub(in crate::sandbox) fn all() -> io::Result<BTreeSet<i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Every process that descends from this one.
pub(in crate::sandbox) fn descendants() -> io::Result<BTreeSet<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in all()? {
        if let Some(parent) = parent_of(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut pending = vec![std::process::id() as i32];
    while let Some(parent) = pending.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            found.insert(child);
            pending.push(child);
        }
    }
    Ok(found)
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// Bytes of memory that the processes use, pages that several share counted once for each.
pub(in crate::sandbox) fn memory_of(pids: &BTreeSet<i32>) -> u64 {
    let used = |pid: &i32| -> Option<u64> {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        let mut pages = statm.split_whitespace().skip(1);
        let (resident, shared): (u64, u64) = (pages.next()?.parse().ok()?, pages.next()?.parse().ok()?);
        Some(resident.saturating_sub(shared) * page_size())
    };
    pids.iter().filter_map(used).sum()
}

fn page_size() -> u64 {
    // SAFETY: a plain call that cannot fail for this name.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

/// How many processes and threads this process's user has on the host.
pub(in crate::sandbox) fn of_this_user() -> io::Result<u64> {
    let user = rustix::process::getuid().as_raw();
    let tasks = |pid: i32| -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        let directory = format!("/proc/{pid}/task");
        let owned = fs::metadata(&directory).ok()?.uid() == user;
        owned.then(|| fs::read_dir(&directory).map_or(1, |tasks| tasks.count() as u64))
    };
    Ok(all()?.into_iter().filter_map(tasks).sum())
}

//! Processes as the inner process of a sandbox starts, finds, kills and collects them.
//!
//! Guarantees that a command starts with the standard streams that it was given, default signals, and no
//! other open file. Runs in the child only, which has one thread.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use super::kernel::{self, c_path, checked};
use super::plain::{self, Plain};
use super::protocol::Run;
use crate::trajectory::Exit;
use fs_err as fs;

/// A command with all that it needs to start.
pub(in crate::sandbox) struct Program<'a> {
    pub(in crate::sandbox) run: &'a Run,
    pub(in crate::sandbox) env: &'a [(String, String)],
    pub(in crate::sandbox) workdir: &'a Path,
    /// Where it is looked for.
    pub(in crate::sandbox) path: &'a str,
    /// What to start instead, if it can be.
    pub(in crate::sandbox) plain: Option<&'a Plain>,
}

/// How a process comes to be a program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Memory {
    /// It shares this one's memory until then, which is fast.
    Shared,
    /// It has a copy, because confining it needs memory.
    Copied,
}

/// What a program's standard streams are.
#[derive(Debug)]
pub(in crate::sandbox) enum Standard {
    /// Nothing to read, and one pipe for both outputs.
    Pipe(OwnedFd),
    /// Nothing to read, and a pipe for each output.
    Pipes([OwnedFd; 2]),
    /// A terminal, which becomes its controlling one.
    Terminal(OwnedFd),
}

impl Standard {
    fn output(&self) -> &OwnedFd {
        match self {
            Self::Pipe(both) | Self::Pipes([both, _]) | Self::Terminal(both) => both,
        }
    }

    /// Lets any user of the sandbox open it again by its name.
    pub(in crate::sandbox) fn share(&self) -> io::Result<()> {
        const ALL: rustix::fs::Mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::fchmod(self.output(), ALL)?;
        match self {
            Self::Pipes([_, error]) => Ok(rustix::fs::fchmod(error, ALL)?),
            Self::Pipe(_) | Self::Terminal(_) => Ok(()),
        }
    }

    fn error(&self) -> &OwnedFd {
        match self {
            Self::Pipe(both) | Self::Pipes([_, both]) | Self::Terminal(both) => both,
        }
    }
}

/// Starts a program; gives its number.
pub(in crate::sandbox) fn start(
    program: &Program<'_>,
    memory: Memory,
    standard: &Standard,
    confine: impl Fn() -> io::Result<()>,
) -> io::Result<i32> {
    let mut env: BTreeMap<&String, &String> = program.env.iter().map(|(key, value)| (key, value)).collect();
    env.extend(program.run.env.iter().map(|(key, value)| (key, value)));
    let arguments = strings(program.run.argv.iter().cloned())?;
    let env = strings(env.iter().map(|(key, value)| format!("{key}={value}")))?;
    let image = Image {
        files: strings(plain::candidates(&program.run.argv[0], program.path).into_iter())?,
        arguments: Pointers::to(&arguments),
        env: Pointers::to(&env),
        workdir: c_path(program.workdir)?,
        standard,
        plain: program.plain.map(|plain| (plain, Pointers::to(&plain.arguments), Pointers::to(&plain.env))),
    };
    let mut become_it = || {
        let error = become_program(&image, &confine);
        let text = format!("bash: {error}\n");
        // Only the standard descriptors are left. Nothing can be done about a failure to say it.
        io::Write::write_all(&mut io::stderr(), text.as_bytes()).ok();
        kernel::leave(126)
    };
    let pid = match memory {
        Memory::Shared => kernel::fork_to_become(&mut become_it)?,
        Memory::Copied => {
            let Some(pid) = kernel::fork()? else {
                become_it();
                kernel::leave(126)
            };
            pid
        }
    };
    prefer_to_kill(pid);
    Ok(pid)
}

fn strings(texts: impl Iterator<Item = String>) -> io::Result<Vec<CString>> {
    Ok(texts.map(CString::new).collect::<Result<_, _>>()?)
}

/// Terminated strings as the kernel takes them.
struct Pointers<'a> {
    pointers: Vec<*const libc::c_char>,
    _strings: &'a [CString],
}

impl<'a> Pointers<'a> {
    fn to(strings: &'a [CString]) -> Self {
        let pointers = strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        Self { pointers, _strings: strings }
    }
}

struct Image<'a> {
    files: Vec<CString>,
    arguments: Pointers<'a>,
    env: Pointers<'a>,
    workdir: CString,
    standard: &'a Standard,
    plain: Option<(&'a Plain, Pointers<'a>, Pointers<'a>)>,
}

/// Replaces this new process by the program; returns only when that fails.
fn become_program(image: &Image<'_>, confine: impl Fn() -> io::Result<()>) -> io::Error {
    if let Err(error) = prepare(image).and_then(|()| confine()) {
        return error;
    }
    if let Some((plain, arguments, env)) = &image.plain {
        // SAFETY: a plain system call with a terminated string.
        let entered = unsafe { libc::chdir(plain.directory.as_ptr()) } == 0;
        if entered {
            // What it is not, bash will judge and tell.
            execute(&plain.files, arguments, env);
        }
    }
    match enter(&image.workdir) {
        Ok(()) => execute(&image.files, &image.arguments, &image.env),
        Err(error) => error,
    }
}

/// Executes the first of `files` that is there; returns why that fails.
fn execute(files: &[CString], arguments: &Pointers<'_>, env: &Pointers<'_>) -> io::Error {
    let mut error = io::Error::from_raw_os_error(libc::ENOENT);
    for file in files {
        // SAFETY: all strings are terminated, both arrays by null, and they outlive the call.
        unsafe {
            libc::execve(file.as_ptr(), arguments.pointers.as_ptr(), env.pointers.as_ptr());
        }
        error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ENOENT) {
            break;
        }
    }
    error
}

fn prepare(image: &Image<'_>) -> io::Result<()> {
    // SAFETY: plain system calls of a new process with one thread; strings outlive them.
    unsafe {
        libc::setsid();
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::umask(0o022);
        checked(libc::c_long::from(libc::dup2(image.standard.output().as_raw_fd(), 1)))?;
        checked(libc::c_long::from(libc::dup2(image.standard.error().as_raw_fd(), 2)))?;
        let input = match image.standard {
            Standard::Terminal(terminal) => terminal.as_raw_fd(),
            _ => libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC),
        };
        checked(libc::c_long::from(input))?;
        checked(libc::c_long::from(libc::dup2(input, 0)))?;
        if matches!(image.standard, Standard::Terminal(_)) {
            checked(libc::c_long::from(libc::ioctl(0, libc::TIOCSCTTY, 0)))?;
        }
        // Closed before it becomes another user: who may trace this process may take its descriptors, and
        // the manager's line is among them.
        checked(libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32)).map(drop)
    }
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
fn prefer_to_kill(pid: i32) {
    // It may have ended already.
    std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000").ok();
}

/// Ends the ignoring of signals that was inherited: a program under `nohup`, or in the background of a script, has
/// some ignored, and commands would have them ignored too. SIGPIPE is ignored by this program itself.
pub(in crate::sandbox) fn heed_signals() {
    const LAST: i32 = 31;
    for signal in (1..=LAST).filter(|signal| *signal != libc::SIGPIPE) {
        // SAFETY: the structures are plain data and outlive the calls; nothing handles signals yet.
        unsafe {
            let mut now: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &raw mut now) == 0
                && now.sa_sigaction == libc::SIG_IGN
            {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
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

/// Whether there are other processes in the pid namespace that this process is the first of.
pub(in crate::sandbox) fn has_others() -> bool {
    // Whatever lives there descends from this process's children: orphans become its children. Signal 0 to
    // all would ask the same of every process of the host.
    // SAFETY: a plain system call; null asks for no information, and nothing is collected.
    unsafe {
        libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) == 0
    }
}

/// What the processes were started with, a few dozen at most; one that has ended says nothing.
pub(in crate::sandbox) fn command_lines(pids: &BTreeSet<i32>) -> Vec<String> {
    const MOST: usize = 32;
    const LETTERS: usize = 200;
    let line = |pid: &i32| {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ");
        (!words.is_empty()).then(|| words.chars().take(LETTERS).collect())
    };
    pids.iter().filter_map(line).take(MOST).collect()
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

pub(in crate::sandbox) fn page_size() -> u64 {
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

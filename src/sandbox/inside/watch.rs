//! Waiting inside a sandbox: for a command's end, its output, its deadline, or the manager's next word.
//!
//! Guarantees that ended processes are collected at once and that the manager's end is noticed at once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::process;
use super::protocol::{Ran, Request};
use super::serve::Server;
use crate::sandbox::output::BoundedOutput;
use crate::trajectory::Exit;

/// How often memory is looked at where no cgroup holds it.
const LOOK: Duration = Duration::from_millis(100);
/// How long to wait for the rest of the output of a command that left processes behind.
const LAST_WORDS: Duration = Duration::from_millis(50);
const CHUNK: usize = 16 * 1024;

/// Waits until the manager says something, discarding what earlier commands' processes print.
pub(in crate::sandbox) fn wait_for_request(server: &mut Server) -> io::Result<()> {
    loop {
        let mut waits = vec![
            PollFd::new(server.channel.input(), PollFlags::IN),
            PollFd::new(&server.signals, PollFlags::IN),
        ];
        waits.extend(server.lingering.iter().map(|output| PollFd::new(output, PollFlags::IN)));
        wait(&mut waits, None)?;
        let ready: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
        if ready[1] {
            collect(server, |_, _| ());
        }
        let mut outputs = ready[2..].iter();
        server.lingering.retain(|output| !*outputs.next().unwrap_or(&false) || !discard(output));
        if ready[0] {
            return Ok(());
        }
    }
}

/// Reads and forgets; whether it was the end.
fn discard(output: &OwnedFd) -> bool {
    let mut buffer = [0; CHUNK];
    matches!(rustix::io::read(output, &mut buffer), Ok(0))
}

fn collect(server: &Server, ended: impl FnMut(i32, i32)) {
    // The count of signals says nothing: several children may have ended for one.
    let mut information = [0u8; 128];
    while rustix::io::read(&server.signals, &mut information).is_ok_and(|read| read > 0) {}
    process::reap(ended);
}

fn wait(waits: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout
        .map(|timeout| Timespec { tv_sec: timeout.as_secs() as _, tv_nsec: timeout.subsec_nanos().into() });
    match poll(waits, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Why watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Ended {
    /// The command's own process did.
    Exited,
    /// The deadline passed.
    TimedOut,
    /// All processes together took too much memory.
    OutOfMemory,
    /// The manager asked for its end.
    Aborted,
}

/// A running command.
pub(in crate::sandbox) struct Watched {
    pid: i32,
    output: Option<OwnedFd>,
    deadline: Instant,
    capture: BoundedOutput,
    status: Option<i32>,
    is_aborted: bool,
    quiet: Option<Duration>,
    printed: Instant,
}

impl Watched {
    /// A command that may run until `deadline` and print nothing for as long as `quiet`; `bound` bytes of
    /// its output are kept.
    pub(in crate::sandbox) fn new(
        (pid, output): (i32, OwnedFd),
        deadline: Instant,
        quiet: Option<Duration>,
        bound: usize,
    ) -> Self {
        Self {
            pid,
            output: Some(output),
            deadline,
            capture: BoundedOutput::new(bound),
            status: None,
            is_aborted: false,
            quiet,
            printed: Instant::now(),
        }
    }

    /// Waits until the command ended or must be ended.
    pub(in crate::sandbox) fn until_end(&mut self, server: &mut Server) -> io::Result<Ended> {
        let mut looked = Instant::now();
        loop {
            let now = Instant::now();
            let until = self.quiet.map_or(self.deadline, |quiet| self.deadline.min(self.printed + quiet));
            if until <= now {
                return Ok(Ended::TimedOut);
            }
            self.step(server, (until - now).min(LOOK))?;
            if self.is_aborted {
                return Ok(Ended::Aborted);
            }
            if self.status.is_some() {
                self.last_words(server)?;
                return Ok(Ended::Exited);
            }
            if LOOK <= looked.elapsed() {
                looked = Instant::now();
                if server.exceeds_memory() {
                    return Ok(Ended::OutOfMemory);
                }
            }
        }
    }

    fn step(&mut self, server: &mut Server, timeout: Duration) -> io::Result<()> {
        let mut waits = vec![
            PollFd::new(server.channel.input(), PollFlags::IN),
            PollFd::new(&server.signals, PollFlags::IN),
        ];
        waits.extend(self.output.iter().map(|output| PollFd::new(output, PollFlags::IN)));
        wait(&mut waits, Some(timeout))?;
        let ready: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
        if ready[0] {
            // The end of the line is an error here; nothing but an end can be asked for meanwhile.
            match server.channel.receive::<Request>()?.0 {
                Request::Abort => self.is_aborted = true,
                _ => return Err(io::Error::other("a request came while a command ran")),
            }
        }
        if ready.get(2).is_some_and(|ready| *ready) {
            self.take();
        }
        if ready[1] {
            collect(server, |pid, status| {
                if pid == self.pid {
                    self.status = Some(status);
                }
            });
        }
        Ok(())
    }

    /// Takes one piece of output; whether there was one.
    fn take(&mut self) -> bool {
        let Some(output) = &self.output else { return false };
        let mut buffer = [0; CHUNK];
        match rustix::io::read(output, &mut buffer) {
            Ok(0) => {
                self.output = None;
                false
            }
            Ok(read) => {
                self.capture.push(&buffer[..read]);
                self.printed = Instant::now();
                true
            }
            Err(_) => false,
        }
    }

    /// Takes what was printed before the end, and a little more while somebody still holds the pipe.
    fn last_words(&mut self, server: &mut Server) -> io::Result<()> {
        let until = self.deadline.min(Instant::now() + LAST_WORDS);
        while self.output.is_some() {
            let now = Instant::now();
            if until <= now {
                break;
            }
            self.step(server, until - now)?;
        }
        Ok(())
    }

    /// Gives the result, the output, and the pipe when processes still hold it.
    pub(in crate::sandbox) fn finish(
        mut self,
        ended: Ended,
        start: Instant,
    ) -> io::Result<(Ran, String, Option<OwnedFd>)> {
        // A pipe holds no more than this; what is printed meanwhile is not waited for.
        for _ in 0..(1 << 20) / CHUNK {
            if !self.take() {
                break;
            }
        }
        let exit = match (ended, self.status) {
            (Ended::TimedOut, _) => Exit::TimedOut,
            (Ended::OutOfMemory, _) => Exit::OutOfMemory,
            (Ended::Aborted, _) => Exit::Signal(libc::SIGKILL),
            (Ended::Exited, Some(status)) => process::exit_of(status),
            (Ended::Exited, None) => return Err(io::Error::other("a command ended without a status")),
        };
        let (output, omitted_bytes) = self.capture.finish();
        let ran = Ran {
            exit,
            omitted_bytes,
            elapsed_seconds: start.elapsed().as_secs_f64(),
            background: Vec::new(),
        };
        Ok((ran, output, self.output))
    }
}

/// Makes reading return at once when there is nothing.
pub(in crate::sandbox) fn never_wait(output: &OwnedFd) -> io::Result<()> {
    let descriptor = output.as_fd();
    let flags = rustix::fs::fcntl_getfl(descriptor)?;
    Ok(rustix::fs::fcntl_setfl(descriptor, flags | rustix::fs::OFlags::NONBLOCK)?)
}

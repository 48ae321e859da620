//! Waiting inside a sandbox: for a command's end, its output, its deadline, or the manager's next word.
//!
//! Guarantees that ended processes are collected at once and that the manager's end is noticed at once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use super::apart::Apart;
use super::process::{self, Standard};
use super::protocol::{Ran, Request};
use super::report::Report;
use super::serve::Server;
use super::spill::{Spill, Spills};
use crate::sandbox::Streams;
use crate::sandbox::output::{BoundedOutput, Voices};
use crate::trajectory::{Exit, Stream};

/// How often memory is looked at where no cgroup holds it.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// How long to wait for the rest of the output of a command that left processes behind.
const LAST_WORDS: Duration = Duration::from_millis(50);
pub(super) const CHUNK: usize = 16 * 1024;

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
pub(super) fn discard(output: &OwnedFd) -> bool {
    let mut buffer = [0; CHUNK];
    matches!(rustix::io::read(output, &mut buffer), Ok(0))
}

pub(super) fn collect(server: &Server, ended: impl FnMut(i32, i32)) {
    // The count of signals says nothing: several children may have ended for one.
    let mut information = [0u8; 128];
    while rustix::io::read(&server.signals, &mut information).is_ok_and(|read| read > 0) {}
    process::reap(ended);
}

pub(super) fn wait(waits: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<()> {
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

/// What a command prints to, as it is read.
pub(in crate::sandbox) enum Output {
    /// One pipe for both streams; absent when everybody has closed it.
    Together(Option<OwnedFd>),
    /// A pipe for each.
    Apart(Apart),
}

impl Output {
    /// Makes the pipes; gives the writing ends too.
    pub(in crate::sandbox) fn open(streams: Streams) -> io::Result<(Standard, Self)> {
        match streams {
            Streams::Together => {
                let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
                never_wait(&reader)?;
                Ok((Standard::Pipe(writer), Self::Together(Some(reader))))
            }
            Streams::Apart => {
                let (writers, apart) = Apart::open()?;
                Ok((Standard::Pipes(writers), Self::Apart(apart)))
            }
        }
    }

    fn is_open(&self) -> bool {
        match self {
            Self::Together(pipe) => pipe.is_some(),
            Self::Apart(apart) => apart.is_open(),
        }
    }
}

/// A running command.
pub(in crate::sandbox) struct Watched {
    pid: i32,
    output: Output,
    deadline: Instant,
    capture: Capture,
    report: Option<Report>,
    status: Option<i32>,
    is_aborted: bool,
    quiet: Option<Duration>,
    printed: Instant,
}

impl Watched {
    /// A command that may run until `deadline` and print nothing for as long as `quiet`; `bound` bytes of
    /// its output are kept.
    pub(in crate::sandbox) fn new(
        (pid, output): (i32, Output),
        deadline: Instant,
        quiet: Option<Duration>,
        bound: usize,
    ) -> Self {
        let capture = Capture::new(bound, &output);
        Self {
            pid,
            output,
            deadline,
            capture,
            report: None,
            status: None,
            is_aborted: false,
            quiet,
            printed: Instant::now(),
        }
    }

    /// Keeps its whole output there when it exceeds the bound.
    pub(in crate::sandbox) fn keep_whole(&mut self, spills: Option<Spills>) {
        self.capture.spills = spills;
    }

    /// Hears what it writes to its report.
    pub(in crate::sandbox) fn hear_report(&mut self, report: Option<Report>) {
        self.report = report;
    }

    /// What was written to the report, and how much more.
    pub(in crate::sandbox) fn end_report(&mut self) -> Option<(Vec<u8>, u64)> {
        self.report.take().map(Report::finish)
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
        let mut timeout = timeout;
        match &self.output {
            Output::Together(pipe) => waits.extend(pipe.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN))),
            Output::Apart(apart) => {
                waits.extend(apart.waits());
                timeout = apart.patience().map_or(timeout, |patience| patience.min(timeout));
            }
        }
        waits.extend(self.report.iter().flat_map(Report::waits));
        let n_own = waits.len();
        // Whoever prints in the background must not be held up by a command that runs long.
        waits.extend(server.lingering.iter().map(|output| PollFd::new(output, PollFlags::IN)));
        wait(&mut waits, Some(timeout))?;
        let ready: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
        let mut outputs = ready[n_own..].iter();
        server.lingering.retain(|output| !*outputs.next().unwrap_or(&false) || !discard(output));
        if ready[0] {
            // The end of the line is an error here; nothing but an end can be asked for meanwhile.
            match server.channel.receive::<Request>()?.0 {
                Request::Abort => self.is_aborted = true,
                // The terminal that they meant is gone.
                Request::Typed | Request::Resized(_) => {}
                _ => return Err(io::Error::other("a request came while a command ran")),
            }
        }
        // What is waited for without an event is looked at all the same.
        if ready[2..n_own].contains(&true) || matches!(self.output, Output::Apart(_)) {
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
        let told = self.report.as_mut().is_some_and(Report::take);
        let took = match &mut self.output {
            Output::Together(pipe) => take_from(pipe, &mut self.capture),
            Output::Apart(apart) => apart.take(|stream, bytes| self.capture.push(stream, bytes)),
        };
        if took || told {
            self.printed = Instant::now();
        }
        took
    }

    /// Takes what was printed before the end, and a little more while somebody still holds the pipe.
    fn last_words(&mut self, server: &mut Server) -> io::Result<()> {
        let until = self.deadline.min(Instant::now() + LAST_WORDS);
        while self.output.is_open() {
            let now = Instant::now();
            if until <= now {
                break;
            }
            self.step(server, until - now)?;
        }
        Ok(())
    }

    /// Gives the result, the output, and the pipes that processes still hold.
    pub(in crate::sandbox) fn finish(
        mut self,
        ended: Ended,
        start: Instant,
    ) -> io::Result<(Ran, Capture, Vec<OwnedFd>)> {
        // A pipe holds no more than this; what is printed meanwhile is not waited for.
        const ROUNDS: usize = (1 << 20) / CHUNK;
        let lingering: Vec<OwnedFd> = match self.output {
            Output::Together(mut pipe) => {
                for _ in 0..ROUNDS {
                    if !take_from(&mut pipe, &mut self.capture) {
                        break;
                    }
                }
                pipe.into_iter().collect()
            }
            Output::Apart(apart) => {
                let pipes = apart.finish(ROUNDS, |stream, bytes| self.capture.push(stream, bytes));
                pipes.into_iter().flatten().collect()
            }
        };
        let exit = match (ended, self.status) {
            (Ended::TimedOut, _) => Exit::TimedOut,
            (Ended::OutOfMemory, _) => Exit::OutOfMemory,
            (Ended::Aborted, _) => Exit::Signal(libc::SIGKILL),
            (Ended::Exited, Some(status)) => process::exit_of(status),
            (Ended::Exited, None) => return Err(io::Error::other("a command ended without a status")),
        };
        let ran = Ran {
            exit,
            omitted_bytes: 0,
            elapsed_seconds: start.elapsed().as_secs_f64(),
            background: Vec::new(),
            parts: None,
            whereabouts: None,
            report: None,
        };
        Ok((ran, self.capture, lingering))
    }
}

/// Takes one piece of what was printed, and lets go of a pipe that everybody else has closed; whether there was
/// one.
fn take_from(pipe: &mut Option<OwnedFd>, capture: &mut Capture) -> bool {
    let Some(output) = pipe else { return false };
    let mut buffer = [0; CHUNK];
    match rustix::io::read(output, &mut buffer) {
        Ok(0) => {
            *pipe = None;
            false
        }
        Ok(read) => {
            // Whose it is, nobody asked.
            capture.push(Stream::Stdout, &buffer[..read]);
            true
        }
        Err(_) => false,
    }
}

/// What is kept of what a command prints.
pub(in crate::sandbox) struct Capture {
    output: BoundedOutput,
    voices: Option<Voices>,
    spills: Option<Spills>,
    spill: Option<Spill>,
}

impl Capture {
    fn new(bound: usize, output: &Output) -> Self {
        let voices = matches!(output, Output::Apart(_)).then(|| Voices::new(bound));
        Self { output: BoundedOutput::new(bound), voices, spills: None, spill: None }
    }

    /// Takes the next bytes.
    pub(in crate::sandbox) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        if let Some(voices) = &mut self.voices {
            voices.push(stream, bytes.len());
        }
        if let Some(spills) = &mut self.spills {
            if self.output.is_about_to_omit(bytes.len()) {
                self.spill = spills.begin();
                for part in self.output.kept() {
                    self.spill.iter_mut().for_each(|spill| spills.write(spill, part));
                }
            }
            self.spill.iter_mut().for_each(|spill| spills.write(spill, bytes));
        }
        self.output.push(bytes);
    }

    /// Says in `ran` what it is, and gives it; gives `spills` back.
    pub(in crate::sandbox) fn finish(mut self, ran: &mut Ran, spills: &mut Option<Spills>) -> Vec<u8> {
        if let (Some(spills), Some(spill)) = (&mut self.spills, self.spill.take()) {
            ran.whereabouts = Some(spills.end(spill));
        }
        *spills = self.spills.take();
        if let Some(voices) = self.voices {
            let kept = self.output.kept().concat();
            ran.omitted_bytes = self.output.seen() - kept.len() as u64;
            ran.parts = Some(voices.finish());
            return kept;
        }
        let (output, omitted_bytes) = self.output.finish_with(ran.whereabouts.as_deref());
        ran.omitted_bytes = omitted_bytes;
        output.into_bytes()
    }
}

/// Makes reading return at once when there is nothing.
pub(in crate::sandbox) fn never_wait(output: &OwnedFd) -> io::Result<()> {
    let descriptor = output.as_fd();
    let flags = rustix::fs::fcntl_getfl(descriptor)?;
    Ok(rustix::fs::fcntl_setfl(descriptor, flags | rustix::fs::OFlags::NONBLOCK)?)
}

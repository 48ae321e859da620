//! The process inside a sandbox that runs commands and touches files for the manager.
//!
//! Guarantees that a command's result is what its own process gave (own pipe, own wait), that a
//! deadline ends every process, and that the end of the manager is the end of all. It trusts the
//! manager and nobody else; commands can neither signal, trace nor reach it.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::files;
use super::kernel;
use super::process::{self, Program};
use super::protocol::{Bounds, Channel, Held, Ran, Request, Rules, Run, Survivors};
use super::watch::{self, Ended, Watched};
use crate::sandbox::landlock::rules;
use crate::trajectory::Exit;

/// Killing everything is repeated until nothing is left, this long.
const KILLING: Duration = Duration::from_secs(10);

/// A sandbox as its inner process knows it.
pub(in crate::sandbox) struct Server {
    pub(in crate::sandbox) channel: Channel,
    pub(in crate::sandbox) keeper: Keeper,
    pub(in crate::sandbox) bounds: Bounds,
    pub(in crate::sandbox) env: Vec<(String, String)>,
    pub(in crate::sandbox) workdir: PathBuf,
    /// Tells of ended children.
    pub(in crate::sandbox) signals: OwnedFd,
    /// Outputs of commands that ended while processes of theirs still run.
    pub(in crate::sandbox) lingering: Vec<OwnedFd>,
}

/// Who keeps the processes of a sandbox together.
pub(in crate::sandbox) enum Keeper {
    /// A pid namespace, of which this process is the first.
    PidNamespace,
    /// This process as the parent of all orphans; commands are confined by Landlock.
    Subreaper(Rules),
}

impl Keeper {
    /// Confines a forked process further, before it becomes a command.
    pub(in crate::sandbox) fn confine(&self, bounds: &Bounds) -> io::Result<()> {
        match self {
            Self::PidNamespace => Ok(()),
            Self::Subreaper(allowed) => rules::confine(allowed, bounds),
        }
    }

    /// All processes of the sandbox but this one.
    pub(in crate::sandbox) fn processes(&self) -> io::Result<BTreeSet<i32>> {
        match self {
            Self::PidNamespace => {
                let mut all = process::all()?;
                all.remove(&1);
                Ok(all)
            }
            Self::Subreaper(_) => process::descendants(),
        }
    }

    /// Kills every process but those in `spared`, and sees to it that they are gone.
    fn kill(&self, spared: &BTreeSet<i32>) -> io::Result<()> {
        let start = Instant::now();
        let mut stopped = BTreeSet::new();
        while start.elapsed() < KILLING {
            let targets: BTreeSet<i32> = self.processes()?.difference(spared).copied().collect();
            if targets.is_empty() {
                return Ok(());
            }
            if spared.is_empty() && matches!(self, Self::PidNamespace) {
                // All at once: no process can fork away from this signal.
                process::signal(-1, libc::SIGKILL);
            } else if targets.is_subset(&stopped) {
                process::signal_all(&targets, libc::SIGKILL);
            } else {
                // What is stopped does not fork while the others are looked for.
                process::signal_all(&targets, libc::SIGSTOP);
                stopped = targets;
                continue;
            }
            process::reap(|_, _| ());
            std::thread::sleep(Duration::from_micros(200));
        }
        Err(io::Error::other("processes of the sandbox survive SIGKILL"))
    }
}

impl Server {
    /// Serves until the manager hangs up, and then leaves no process behind.
    pub(in crate::sandbox) fn serve(mut self) -> io::Result<()> {
        let served = self.answer_requests();
        match self.keeper {
            // The kernel kills all when this process, the first, ends.
            Keeper::PidNamespace => served,
            Keeper::Subreaper(_) => self.keeper.kill(&BTreeSet::new()).and(served),
        }
    }

    fn answer_requests(&mut self) -> io::Result<()> {
        loop {
            watch::wait_for_request(self)?;
            let (request, payload) = match self.channel.receive::<Request>() {
                Ok(message) => message,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            };
            match request {
                Request::Exec(run) => self.exec(&run)?,
                Request::Read(path) => self.touch(|server| files::read(server, &path))?,
                Request::Write(path) => self.touch(|server| files::write(server, &path, &payload))?,
            }
        }
    }

    /// Touches files as a command could: where Landlock confines only commands, in a process like theirs.
    fn touch(&mut self, work: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if matches!(self.keeper, Keeper::PidNamespace) {
            return work(self);
        }
        let Some(child) = kernel::fork()? else {
            let done = self.keeper.confine(&self.bounds).and_then(|()| work(self));
            kernel::leave(i32::from(done.is_err()));
        };
        process::wait(child).map(drop)
    }

    fn exec(&mut self, run: &Run) -> io::Result<()> {
        let start = Instant::now();
        let before = match run.survivors {
            Survivors::Keep => BTreeSet::new(),
            Survivors::Kill => self.keeper.processes()?,
        };
        let program = Program { run, env: &self.env, workdir: &self.workdir };
        let (pid, output) = match process::start(&program, || self.keeper.confine(&self.bounds)) {
            Ok(started) => started,
            // No process is free: processes that the agent left behind hold them all.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let ran = Ran { exit: Exit::Code(254), omitted_bytes: 0, elapsed_seconds: 0.0 };
                return self.channel.send(&ran, b"bash: fork: Resource temporarily unavailable\n");
            }
            Err(error) => return Err(error),
        };
        let deadline = start + Duration::from_millis(run.timeout_ms);
        let mut watched = Watched::new(pid, output, deadline, run.output_bytes);
        let ended = watched.until_end(self)?;
        match (ended, run.survivors) {
            (Ended::Exited, Survivors::Keep) => {}
            (Ended::Exited, Survivors::Kill) => self.keeper.kill(&before)?,
            (Ended::TimedOut | Ended::OutOfMemory, _) => self.keeper.kill(&BTreeSet::new())?,
        }
        let (ran, output, lingering) = watched.finish(ended, start)?;
        self.lingering.extend(lingering);
        self.channel.send(&ran, output.as_bytes())
    }

    /// Whether the processes together use more memory than they may, where no cgroup says so.
    pub(in crate::sandbox) fn exceeds_memory(&self) -> bool {
        self.bounds.memory_held == Held::ByWatching
            && self.keeper.processes().is_ok_and(|all| self.bounds.memory < process::memory_of(&all))
    }
}

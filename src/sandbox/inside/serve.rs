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

use super::delta::{self, Picture};
use super::plain::{self, Beginning, Plain};
use super::process::{self, Memory, Program};
use super::protocol::{
    Assembled, Beside, Bounds, Channel, Differences, Fill, Held, Pieces, Request, Rules, Run, Scope,
    Survivors, User, Wrote,
};
use super::report::Report;
use super::spill::Spills;
use super::watch::{self, Ended, Output, Watched};
use super::{files, init, kernel, limits, meeting, relay};
use crate::sandbox::landlock::rules;
use crate::sandbox::session::SessionDir;
use crate::sandbox::tree;
use crate::trajectory::{Exit, Stream};

/// Killing everything is repeated until nothing is left, this long.
const KILLING: Duration = Duration::from_secs(10);

/// A sandbox as its inner process knows it.
pub(in crate::sandbox) struct Server {
    pub(in crate::sandbox) channel: Channel,
    pub(in crate::sandbox) keeper: Keeper,
    pub(in crate::sandbox) bounds: Bounds,
    pub(in crate::sandbox) env: Vec<(String, String)>,
    pub(in crate::sandbox) workdir: PathBuf,
    /// Directories that hold all that commands can write, where the manager cannot see them.
    pub(in crate::sandbox) roots: Vec<PathBuf>,
    /// How they looked at the start.
    pub(in crate::sandbox) start: Picture,
    /// Tells of ended children.
    pub(in crate::sandbox) signals: OwnedFd,
    /// Outputs of commands that ended while processes of theirs still run.
    pub(in crate::sandbox) lingering: Vec<OwnedFd>,
    /// Where whole outputs are kept; a command that runs has it.
    pub(in crate::sandbox) spills: Option<Spills>,
}

/// Who keeps the processes of a sandbox together.
pub(in crate::sandbox) enum Keeper {
    /// A pid namespace, of which this process is the first.
    PidNamespace,
    /// A container, of which this process is the first, and which other processes of it run as this user.
    Container(User),
    /// This process as the parent of all orphans; commands are confined by Landlock.
    Subreaper(Rules),
}

impl Keeper {
    /// Confines a forked process further, before it becomes a command.
    pub(in crate::sandbox) fn confine(&self, bounds: &Bounds) -> io::Result<()> {
        match self {
            Self::PidNamespace => Ok(()),
            // Nobody becomes root again, which has no capability left either.
            Self::Container(User { uid: 0, .. }) => limits::drop_capabilities(),
            Self::Container(user) => init::become_user(user.uid, user.gid),
            Self::Subreaper(allowed) => rules::confine(allowed, bounds),
        }
    }

    /// The user of its commands, when that is another one than this process's.
    pub(in crate::sandbox) fn other_user(&self) -> Option<User> {
        match self {
            Self::Container(user) if user.uid != 0 => Some(*user),
            Self::PidNamespace | Self::Container(_) | Self::Subreaper(_) => None,
        }
    }

    /// How its commands' processes are made.
    pub(super) fn memory(&self) -> Memory {
        match self {
            Self::PidNamespace | Self::Container(_) => Memory::Shared,
            Self::Subreaper(_) => Memory::Copied,
        }
    }

    /// Whether this process is the first of its pid namespace.
    fn is_first(&self) -> bool {
        !matches!(self, Self::Subreaper(_))
    }

    /// All processes of the sandbox but this one.
    pub(in crate::sandbox) fn processes(&self) -> io::Result<BTreeSet<i32>> {
        match self {
            Self::PidNamespace | Self::Container(_) => {
                let mut all = process::all()?;
                all.remove(&1);
                if self.is_beside_relay() {
                    all.retain(|pid| !relay::is_relay(*pid));
                }
                Ok(all)
            }
            Self::Subreaper(_) => process::descendants(),
        }
    }

    /// Whether there may be processes beside this one: cheap to ask, unlike which.
    fn has_processes(&self) -> bool {
        match self {
            Self::PidNamespace | Self::Container(_) => process::has_others(),
            Self::Subreaper(_) => true,
        }
    }

    /// Whether a process of ours is not to be counted or killed.
    fn is_beside_relay(&self) -> bool {
        matches!(self, Self::Container(User { relay: Beside::Relay, .. }))
    }

    fn kill_at_once(&self) -> io::Result<()> {
        if let Self::Container(User { uid, relay: Beside::Relay, .. }) = self {
            return relay::kill_all_but_relay(*uid);
        }
        process::signal(-1, libc::SIGKILL);
        Ok(())
    }

    /// Kills every process but those in `spared`, and sees to it that they are gone.
    pub(super) fn kill(&self, spared: &BTreeSet<i32>) -> io::Result<()> {
        let start = Instant::now();
        let mut stopped = BTreeSet::new();
        while start.elapsed() < KILLING {
            let targets: BTreeSet<i32> = self.processes()?.difference(spared).copied().collect();
            if targets.is_empty() {
                return Ok(());
            }
            if spared.is_empty() && self.is_first() {
                // All at once: no process can fork away from this signal.
                self.kill_at_once()?;
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
            Keeper::PidNamespace | Keeper::Container(_) => served,
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
                Request::Fill(fill) => self.fill(fill, &payload)?,
                Request::Remember(roots) => self.remember(roots)?,
                Request::Delta(scope) => self.delta(scope)?,
                Request::Interact(interact) => self.interact(&interact)?,
                // The command that they meant has ended by itself.
                Request::Abort | Request::Typed | Request::Resized(_) => {}
                Request::Meet(greeting) => meeting::offer(&mut self.channel, &greeting)?,
            }
        }
    }

    /// Touches files as a command could: where only commands are confined, in a process like theirs.
    fn touch(&mut self, work: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if matches!(self.keeper, Keeper::PidNamespace) {
            return work(self);
        }
        let Some(child) = self.with_room(kernel::fork)? else {
            let done = self.keeper.confine(&self.bounds).and_then(|()| work(self));
            kernel::leave(i32::from(done.is_err()));
        };
        process::wait(child).map(drop)
    }

    /// Starts a process; when none is free, because earlier commands left too many, ends those first.
    pub(super) fn with_room<T>(&self, start: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match start() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.keeper.kill(&BTreeSet::new())?;
                start()
            }
            started => started,
        }
    }

    /// Takes over files, as a command would have made them.
    fn fill(&mut self, fill: Fill, gone: &[u8]) -> io::Result<()> {
        self.touch(|server| {
            let mut archive = Assembled::from(&mut server.channel);
            let wrote: Wrote = delta::unpack(gone, &mut archive).map_err(|error| error.to_string());
            archive.finish()?;
            server.channel.send(&wrote, &[])
        })?;
        if fill == Fill::Start {
            self.start = Picture::take(&self.roots)?;
        }
        Ok(())
    }

    /// Makes how everything below `roots` looks now the start.
    fn remember(&mut self, roots: Vec<PathBuf>) -> io::Result<()> {
        self.start = Picture::take(&roots)?;
        self.roots = roots;
        let done: Wrote = Ok(());
        self.channel.send(&done, &[])
    }

    /// Says what differs from the start.
    fn delta(&mut self, scope: Scope) -> io::Result<()> {
        let now = Picture::take(&self.roots)?;
        let mut delta = match scope {
            Scope::Everything => self.start.to(&now, |_| true),
            Scope::Repository => self.start.to(&now, |path| {
                // A repository below the top is told of, and what it holds is not.
                path.strip_prefix(&self.workdir).is_ok_and(|path| {
                    let path = path.to_string_lossy();
                    !tree::is_git(&path) || tree::is_nested_repository(&path)
                })
            }),
        };
        let bytes = match scope {
            Scope::Everything => self.bounds.disk,
            Scope::Repository => tree::CHANGED_BYTES,
        };
        let left_out = delta.keep_within(bytes);
        self.channel.send(&Differences { left_out }, &delta.gone())?;
        let mut pieces = Pieces::to(&mut self.channel);
        delta.pack(&mut pieces)?;
        pieces.finish()
    }

    fn exec(&mut self, run: &Run) -> io::Result<()> {
        let start = Instant::now();
        let before = match run.survivors {
            Survivors::Kill if self.keeper.has_processes() => self.keeper.processes()?,
            Survivors::Keep | Survivors::Kill => BTreeSet::new(),
        };
        // A session that has begun brings all variables itself.
        let has_begun = run.session.as_ref().is_some_and(SessionDir::has_begun);
        let env = if has_begun { &[] } else { &self.env[..] };
        let beginning = Beginning { env: &self.env, workdir: &self.workdir };
        // Where its report is, only bash tells a program whose session brings all variables.
        let may_be_plain = run.report.is_none();
        let plain = may_be_plain.then(|| Plain::of(&run.argv, run.session.as_ref(), &beginning)).flatten();
        let report = run.report.as_ref().map(|to| Report::open(to, self.keeper.other_user()));
        let program = Program {
            run,
            env,
            workdir: &self.workdir,
            path: plain::path_of(&self.env),
            plain: plain.as_ref(),
        };
        let kills = self.memory_kills();
        let (standard, output) = Output::open(run.streams)?;
        if self.keeper.other_user().is_some() {
            // `echo x > /dev/stderr` opens the pipe anew.
            standard.share()?;
        }
        let pid = self.with_room(|| {
            process::start(&program, self.keeper.memory(), &standard, || self.keeper.confine(&self.bounds))
        })?;
        drop(standard);
        let deadline = start + Duration::from_millis(run.timeout_ms);
        let mut watched = Watched::new((pid, output), deadline, self.bounds.quiet, run.output_bytes);
        watched.keep_whole(self.spills.take());
        watched.hear_report(report);
        let ended = watched.until_end(self)?;
        match (ended, run.survivors) {
            (Ended::Exited, Survivors::Kill) if self.keeper.has_processes() => self.keeper.kill(&before)?,
            (Ended::Exited, Survivors::Keep | Survivors::Kill) => {}
            (Ended::TimedOut | Ended::OutOfMemory | Ended::Aborted, _) => {
                self.keeper.kill(&BTreeSet::new())?;
            }
        }
        let report = watched.end_report();
        let (mut ran, mut capture, lingering) = watched.finish(ended, start)?;
        self.lingering.extend(lingering);
        if matches!(ran.exit, Exit::Signal(libc::SIGKILL) | Exit::Code(137)) && kills < self.memory_kills() {
            ran.exit = Exit::OutOfMemory;
        }
        if let (Ended::Exited, Some(plain), Some(_)) = (ended, &plain, &run.session)
            && let Some((said, exit)) = plain.farewell(pid, ran.exit)
        {
            capture.push(Stream::Stderr, said.as_bytes());
            ran.exit = exit;
        }
        if let (Ended::Exited, Some(session)) = (ended, &run.session) {
            session.carry_on();
            if self.keeper.has_processes() {
                ran.background = process::command_lines(&self.keeper.processes()?);
            }
        }
        let mut output = capture.finish(&mut ran, &mut self.spills);
        if let Some((kept, omitted)) = report {
            ran.report = Some((kept.len(), omitted));
            output.extend_from_slice(&kept);
        }
        self.channel.send(&ran, &output)
    }

    /// How many processes the memory bound of this container has killed; 0 where only the manager can know.
    fn memory_kills(&self) -> u64 {
        match self.keeper {
            Keeper::Container(_) => limits::memory_kills_here(),
            Keeper::PidNamespace | Keeper::Subreaper(_) => 0,
        }
    }

    /// Whether the processes together use more memory than they may, where no cgroup says so.
    pub(in crate::sandbox) fn exceeds_memory(&self) -> bool {
        self.bounds.memory_held == Held::ByWatching
            && self.keeper.processes().is_ok_and(|all| self.bounds.memory < process::memory_of(&all))
    }
}

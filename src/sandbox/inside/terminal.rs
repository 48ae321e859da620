//! A program on a terminal of its own, for a user who talks to it through the manager.
//!
//! Guarantees that the terminal is a new one that nobody outside holds, that the program's session controls it
//! and no other, and that what is typed waits, within a bound, for a program that does not read. Runs in the
//! child, in place of a command.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::kernel::{self, checked};
use super::plain;
use super::process::{self, Program, Standard};
use super::protocol::{Held, Interact, Request, Run, Screen, Survivors};
use super::serve::Server;
use super::watch::{self, CHUNK, LOOK};
use crate::sandbox::Streams;
use crate::sandbox::terminal::Size;
use crate::trajectory::Exit;

/// What is typed ahead is heard only up to this.
const AHEAD_BYTES: usize = 64 * 1024;

impl Server {
    /// Runs a program on a terminal, and tells what it shows and how it ends.
    pub(super) fn interact(&mut self, interact: &Interact) -> io::Result<()> {
        let (ours, theirs) = match kernel::as_user(self.keeper.other_user(), open) {
            Ok(ends) => ends,
            // The agent may have used up all that there are.
            Err(error) => {
                let text = format!("no terminal can be made: {error}\r\n");
                self.channel.send(&Screen::Shown, text.as_bytes())?;
                return self.channel.send(&Screen::Ended(Exit::Code(126)), &[]);
            }
        };
        resize(&ours, interact.size)?;
        watch::never_wait(&ours)?;
        let run = Run {
            argv: interact.argv.clone(),
            env: interact.env.clone(),
            timeout_ms: 0,
            output_bytes: 0,
            survivors: Survivors::Keep,
            session: None,
            streams: Streams::Together,
            report: None,
        };
        let program = Program {
            run: &run,
            env: &self.env,
            workdir: &self.workdir,
            path: plain::path_of(&self.env),
            plain: None,
        };
        let standard = Standard::Terminal(theirs);
        let pid = self.with_room(|| {
            process::start(&program, self.keeper.memory(), &standard, || self.keeper.confine(&self.bounds))
        })?;
        drop(standard);
        let mut talk = Talk { pid, terminal: Some(ours), ahead: Vec::new(), status: None, end: None };
        let exit = talk.until_end(self)?;
        self.channel.send(&Screen::Ended(exit), &[])
    }
}

/// Makes a terminal: its master, and the end that programs have.
fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    const FLAGS: i32 = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    let unlock: libc::c_int = 0;
    // SAFETY: plain system calls with a terminated string and a number that outlives them; the descriptors are
    // new and owned by nobody else.
    unsafe {
        let master = checked(libc::c_long::from(libc::open(c"/dev/ptmx".as_ptr(), FLAGS)))?;
        let master = OwnedFd::from_raw_fd(master as i32);
        checked(libc::c_long::from(libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock)))?;
        // By its number, not by a path that leads elsewhere.
        let program = checked(libc::c_long::from(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, FLAGS)))?;
        Ok((master, OwnedFd::from_raw_fd(program as i32)))
    }
}

fn resize(terminal: &OwnedFd, Size { rows, columns }: Size) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the structure outlives the call.
    let set = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    checked(libc::c_long::from(set)).map(drop)
}

/// A program and its terminal.
struct Talk {
    pid: i32,
    /// Absent when no process has it open any more.
    terminal: Option<OwnedFd>,
    /// What was typed and is not taken yet.
    ahead: Vec<u8>,
    status: Option<i32>,
    /// Why it must end, when it does not end by itself.
    end: Option<Exit>,
}

impl Talk {
    fn until_end(&mut self, server: &mut Server) -> io::Result<Exit> {
        let mut looked = Instant::now();
        while self.status.is_none() && self.end.is_none() {
            self.step(server)?;
            if LOOK <= looked.elapsed() {
                looked = Instant::now();
                if server.exceeds_memory() {
                    self.end = Some(Exit::OutOfMemory);
                }
            }
        }
        if self.end.is_some() {
            server.keeper.kill(&std::collections::BTreeSet::new())?;
        }
        // What it showed before its end; who still holds the terminal is not waited for.
        for _ in 0..AHEAD_BYTES / CHUNK {
            if !self.show(server)? {
                break;
            }
        }
        match (self.end, self.status) {
            (Some(exit), _) => Ok(exit),
            (None, Some(status)) => Ok(process::exit_of(status)),
            (None, None) => Err(io::Error::other("a program ended without a status")),
        }
    }

    fn step(&mut self, server: &mut Server) -> io::Result<()> {
        let hears = if self.ahead.len() < AHEAD_BYTES { PollFlags::IN } else { PollFlags::empty() };
        let talks = if self.ahead.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut waits =
            vec![PollFd::new(server.channel.input(), hears), PollFd::new(&server.signals, PollFlags::IN)];
        waits.extend(self.terminal.iter().map(|terminal| PollFd::new(terminal, talks)));
        let n_own = waits.len();
        waits.extend(server.lingering.iter().map(|output| PollFd::new(output, PollFlags::IN)));
        let looks = server.bounds.memory_held == Held::ByWatching;
        watch::wait(&mut waits, looks.then_some(LOOK))?;
        let ready: Vec<PollFlags> = waits.iter().map(PollFd::revents).collect();
        let mut outputs = ready[n_own..].iter();
        server
            .lingering
            .retain(|output| outputs.next().is_none_or(PollFlags::is_empty) || !watch::discard(output));
        if !ready[0].is_empty() {
            self.hear(server)?;
        }
        if ready[2..n_own]
            .iter()
            .any(|ready| ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR))
        {
            self.show(server)?;
        }
        self.type_ahead();
        if !ready[1].is_empty() {
            watch::collect(server, |pid, status| {
                if pid == self.pid {
                    self.status = Some(status);
                }
            });
        }
        Ok(())
    }

    /// Hears one message of the manager.
    fn hear(&mut self, server: &mut Server) -> io::Result<()> {
        match server.channel.receive::<Request>()? {
            (Request::Typed, bytes) => self.ahead.extend(bytes),
            (Request::Resized(size), _) => {
                self.terminal.iter().try_for_each(|terminal| resize(terminal, size))?;
            }
            (Request::Abort, _) => self.end = Some(Exit::Signal(libc::SIGKILL)),
            _ => return Err(io::Error::other("a request came while a user talks to a program")),
        }
        Ok(())
    }

    /// Tells one piece of what the program shows; whether there was one.
    fn show(&mut self, server: &mut Server) -> io::Result<bool> {
        let Some(terminal) = &self.terminal else { return Ok(false) };
        let mut buffer = [0; CHUNK];
        match rustix::io::read(terminal, &mut buffer) {
            Ok(n_read @ 1..) => {
                server.channel.send(&Screen::Shown, &buffer[..n_read])?;
                Ok(true)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(false),
            // Nobody has it open any more; what is typed is for nobody.
            Ok(_) | Err(_) => {
                self.terminal = None;
                self.ahead.clear();
                Ok(false)
            }
        }
    }

    /// Hands over what was typed, as much as the terminal takes.
    fn type_ahead(&mut self) {
        if let (Some(terminal), false) = (&self.terminal, self.ahead.is_empty())
            && let Ok(n_written) = rustix::io::write(terminal, &self.ahead)
        {
            self.ahead.drain(..n_written);
        }
    }
}

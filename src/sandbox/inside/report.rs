//! What a command writes beside its output: a named pipe beside the session, read while the command runs.
//!
//! A name, because build tools close every descriptor that they do not know; a pipe, because nothing that was read
//! from it can be taken back. Guarantees that only the pipe that was made here is read, that the first bytes are kept
//! and the others counted, and that whatever the agent does to its name only ends the report. It can be
//! written to, and read from, by all that runs as the agent's user. Runs in the child.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};

use super::kernel;
use super::protocol::{ReportTo, User};
use super::watch::CHUNK;

/// A report that is being written.
#[derive(Debug)]
pub(super) struct Report {
    /// Absent where the agent was in the way.
    pipe: Option<Pipe>,
    bound: usize,
    kept: Vec<u8>,
    omitted: u64,
    owner: Option<User>,
}

/// A pipe and its name. It is open for writing here, too, so it never ends.
#[derive(Debug)]
struct Pipe {
    end: OwnedFd,
    directory: OwnedFd,
    name: String,
}

impl Report {
    /// Makes the pipe, as a command of `owner` would.
    pub(super) fn open(to: &ReportTo, owner: Option<User>) -> Self {
        let pipe = kernel::as_user(owner, || make(&to.path)).ok();
        Self { pipe, bound: to.bytes, kept: Vec::new(), omitted: 0, owner }
    }

    /// What to wait for before taking again.
    pub(super) fn waits(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.pipe.iter().map(|pipe| PollFd::new(&pipe.end, PollFlags::IN))
    }

    /// Takes a piece of what was written; whether there was one.
    pub(super) fn take(&mut self) -> bool {
        let Some(Pipe { end, .. }) = &self.pipe else { return false };
        let mut buffer = [0; CHUNK];
        let Ok(n_read @ 1..) = rustix::io::read(end, &mut buffer) else { return false };
        let n_kept = n_read.min(self.bound - self.kept.len());
        self.kept.extend_from_slice(&buffer[..n_kept]);
        self.omitted += (n_read - n_kept) as u64;
        true
    }

    /// Takes what is left and removes the pipe; gives what was kept, and how much more there was.
    pub(super) fn finish(mut self) -> (Vec<u8>, u64) {
        // A pipe holds no more than this; what is written meanwhile is not waited for.
        const ROUNDS: usize = (1 << 20) / CHUNK;
        (0..ROUNDS).take_while(|_| self.take()).for_each(drop);
        if let Some(Pipe { directory, name, .. }) = &self.pipe {
            // The agent may have removed it already.
            kernel::as_user(self.owner, || Ok(rustix::fs::unlinkat(directory, name, AtFlags::empty())?)).ok();
        }
        (self.kept, self.omitted)
    }
}

fn make(path: &str) -> io::Result<Pipe> {
    let (directory, name) = path.rsplit_once('/').ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let directory = rustix::fs::openat2(CWD, directory, flags, Mode::empty(), resolve)?;
    // What an earlier command left under the name must not be taken for it.
    rustix::fs::unlinkat(&directory, name, AtFlags::empty()).ok();
    rustix::fs::mknodat(&directory, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let end = rustix::fs::openat(&directory, name, flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&end)?.st_mode) != FileType::Fifo {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Pipe { end, directory, name: name.to_owned() })
}

//! The manager's side of one child: starting it, asking it, ending it.
//!
//! Guarantees that a child that is dropped is killed and collected. Blocks; callers run it off the
//! asynchronous threads.

use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::de::DeserializeOwned;

use crate::sandbox::inside::protocol::{Assembled, Channel, INIT_ARGUMENT, Pieces, Plan, Request, Started};

/// A start takes milliseconds, and on a crowded machine seconds.
const START: Duration = Duration::from_secs(60);
/// How long a child may take to end by itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// A running child.
#[derive(Debug)]
pub(in crate::sandbox) struct Process {
    child: Child,
    /// Its process, never another one that got its number.
    handle: OwnedFd,
    stream: UnixStream,
    channel: Channel,
}

/// Ends a child from any thread: whoever serves on the other end of a closed line ends all.
#[derive(Debug)]
pub(in crate::sandbox) struct HangUp(UnixStream);

impl HangUp {
    pub(in crate::sandbox) fn hang_up(&self) {
        // An error says that the line is closed already.
        self.0.shutdown(std::net::Shutdown::Both).ok();
    }
}

impl Process {
    /// Starts `exe` as a child that follows `plan` and is handed the open `files` that the plan announces;
    /// gives its first answer too.
    pub(in crate::sandbox) fn start(
        exe: &Path,
        plan: &Plan,
        files: &[BorrowedFd<'_>],
    ) -> io::Result<(Self, Started)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(exe);
        command.arg(INIT_ARGUMENT).env_clear().current_dir("/");
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let handle = match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error.into());
            }
        };
        let channel = Channel::over(&ours)?;
        let mut process = Self { child, handle, stream: ours, channel };
        process.patience(START)?;
        process.channel.send(plan, &[])?;
        for file in files {
            process.channel.send_descriptor(*file)?;
        }
        let (started, _) = process.channel.receive()?;
        Ok((process, started))
    }

    pub(in crate::sandbox) fn hang_up_handle(&self) -> io::Result<HangUp> {
        self.stream.try_clone().map(HangUp)
    }

    pub(in crate::sandbox) fn hang_up(&self) {
        self.stream.shutdown(std::net::Shutdown::Both).ok();
    }

    /// Receives an open file that was announced.
    pub(in crate::sandbox) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.channel.receive_descriptor()
    }

    /// Receives what was announced to come in pieces.
    pub(in crate::sandbox) fn pieces(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Assembled::from(&mut self.channel).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Gives `take` each of the pieces that were announced.
    pub(in crate::sandbox) fn each_piece(&mut self, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let ((), piece) = self.channel.receive()?;
            if piece.is_empty() {
                return Ok(());
            }
            take(&piece);
        }
    }

    /// Asks with something that follows in pieces, and waits for the answer.
    pub(in crate::sandbox) fn tell<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        payload: &[u8],
        mut rest: impl Read,
        patience: Duration,
    ) -> io::Result<T> {
        self.patience(patience)?;
        self.channel.send(request, payload)?;
        let mut pieces = Pieces::to(&mut self.channel);
        io::copy(&mut rest, &mut pieces)?;
        pieces.finish()?;
        Ok(self.channel.receive()?.0)
    }

    /// Asks and waits for the answer.
    pub(in crate::sandbox) fn ask<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        payload: &[u8],
        patience: Duration,
    ) -> io::Result<(T, Vec<u8>)> {
        self.patience(patience)?;
        self.channel.send(request, payload)?;
        self.channel.receive()
    }

    /// Asks for what takes as long as it likes; gives a second handle to speak with meanwhile.
    pub(in crate::sandbox) fn begin(&mut self, request: &Request) -> io::Result<Channel> {
        self.stream.set_read_timeout(None)?;
        self.stream.set_write_timeout(None)?;
        self.channel.send(request, &[])?;
        self.channel.try_clone()
    }

    /// Waits for the next message.
    pub(in crate::sandbox) fn hear<T: DeserializeOwned>(&mut self) -> io::Result<(T, Vec<u8>)> {
        self.channel.receive()
    }

    fn patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.set_write_timeout(Some(patience))
    }

    /// Hangs up and waits until the child, and with it all of the sandbox, is gone.
    pub(in crate::sandbox) fn stop(&mut self) -> io::Result<()> {
        self.hang_up();
        if !ends_within(&self.handle, FAREWELL)? {
            // It may end at this moment, which is what is wanted.
            pidfd_send_signal(&self.handle, Signal::KILL).ok();
        }
        self.child.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell; the next manager sweeps what remains.
        self.stop().ok();
    }
}

fn ends_within(handle: &OwnedFd, patience: Duration) -> io::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready == 1),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

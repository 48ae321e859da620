//! Two pipes, one for each stream of a command, whose writes are told in the order in which they ended.
//!
//! Two pipes do not say which was written first, so both are made to: a pipe is one page in packet mode, and so
//! holds one write, and the next one to it waits until that is read; inotify says of each write to either that
//! it ended. Then whatever is in a pipe was written once since it was last read, and the events are its order.
//! Guarantees that order for descriptors that a command was given and for copies of them. A write larger than
//! a page is read before it ended, when no event came for a moment; where a stream is opened anew by its name,
//! that is not in packet mode, and the kernel joins the next small write to it, which then counts for both; without inotify the order is that of arrival. Nothing is lost in either case.
//! Runs in the child; costs nothing to commands whose streams are together.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::{process, watch};
use crate::trajectory::Stream;

/// How long a full page without an event is taken for a write that has not ended only for want of room.
const FULL: Duration = Duration::from_micros(100);
/// How long anything smaller waits for its event, which comes right after it unless it was lost.
const SMALL: Duration = Duration::from_millis(2);
const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// The reading ends.
pub(super) struct Apart {
    pipes: [Option<OwnedFd>; 2],
    events: Option<Events>,
    /// Since when something of each stream is there of which no event told.
    unannounced: [Option<Instant>; 2],
}

/// What says that a pipe was written to.
struct Events {
    source: OwnedFd,
    watches: [i32; 2],
}

impl Apart {
    /// Makes both pipes; gives the writing ends for stdout and stderr too.
    pub(super) fn open() -> io::Result<([OwnedFd; 2], Self)> {
        let [(out, out_writer), (err, err_writer)] = [pipe()?, pipe()?];
        let events = Events::of([&out, &err]).ok();
        let pipes = [Some(out), Some(err)];
        Ok(([out_writer, err_writer], Self { pipes, events, unannounced: [None; 2] }))
    }

    /// Whether more may come.
    pub(super) fn is_open(&self) -> bool {
        self.pipes.iter().any(Option::is_some)
    }

    /// What to wait for before taking again.
    pub(super) fn waits(&self) -> impl Iterator<Item = PollFd<'_>> {
        let is_waiting = self.is_waiting();
        let of_pipes = if is_waiting { PollFlags::empty() } else { PollFlags::IN };
        let events = self.events.iter().map(|events| PollFd::new(&events.source, PollFlags::IN));
        events.chain(self.pipes.iter().flatten().map(move |pipe| PollFd::new(pipe, of_pipes)))
    }

    /// How long to wait at most.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.is_waiting().then_some(FULL)
    }

    fn is_waiting(&self) -> bool {
        self.unannounced.iter().any(Option::is_some)
    }

    /// Takes what is there, at most one write of each stream, in order; whether there was anything.
    pub(super) fn take(&mut self, mut heard: impl FnMut(Stream, &[u8])) -> bool {
        let written = self.events.as_mut().map_or_else(Vec::new, Events::written);
        if written.is_empty() {
            return self.take_unannounced(heard);
        }
        self.unannounced = [None; 2];
        let took = written.into_iter().map(|stream| self.read(stream, &mut heard));
        // Every one must be read.
        took.fold(false, |any, took| any | took)
    }

    /// Takes a write that no event told of, when it has waited long enough. Only one, and only when it was there
    /// the last time, too: whatever was written before it has told so meanwhile.
    fn take_unannounced(&mut self, mut heard: impl FnMut(Stream, &[u8])) -> bool {
        for stream in STREAMS {
            let Some((n_bytes, is_over)) = self.look(stream) else {
                self.unannounced[stream as usize] = None;
                continue;
            };
            let wait = match n_bytes {
                _ if is_over => Duration::ZERO,
                n_bytes if n_bytes < process::page_size() => SMALL,
                _ => FULL,
            };
            let since = self.unannounced[stream as usize];
            if self.events.is_none() || since.is_some_and(|since| wait <= since.elapsed()) {
                self.unannounced = [None; 2];
                return self.read(stream, &mut heard);
            }
            self.unannounced[stream as usize] = since.or_else(|| Some(Instant::now()));
        }
        false
    }

    /// How many bytes a stream has ready, and whether its last writer is gone; `None` when there is neither.
    fn look(&self, stream: Stream) -> Option<(u64, bool)> {
        let pipe = self.pipes[stream as usize].as_ref()?;
        let mut look = [PollFd::new(pipe, PollFlags::IN)];
        // Nothing to see is what an error means, too.
        poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).ok();
        let seen = look[0].revents();
        let n_bytes = rustix::io::ioctl_fionread(pipe).unwrap_or(0);
        (!seen.is_empty()).then(|| (n_bytes, seen.contains(PollFlags::HUP)))
    }

    /// Takes all that is there and hears no more of it; gives the pipes that somebody still holds.
    pub(super) fn finish(
        mut self,
        rounds: usize,
        mut heard: impl FnMut(Stream, &[u8]),
    ) -> [Option<OwnedFd>; 2] {
        let mut idle = 0;
        for _ in 0..rounds {
            // What is there without an event is taken in the second look.
            idle = if self.take(&mut heard) { 0 } else { idle + 1 };
            if idle == 2 || !self.is_open() {
                break;
            }
            self.unannounced = self.unannounced.map(|since| since?.checked_sub(SMALL));
        }
        self.pipes
    }

    /// Reads one write of a stream; whether there was one.
    fn read(&mut self, stream: Stream, heard: &mut impl FnMut(Stream, &[u8])) -> bool {
        let Some(pipe) = &self.pipes[stream as usize] else { return false };
        let mut buffer = [0; watch::CHUNK];
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => {
                self.pipes[stream as usize] = None;
                false
            }
            Ok(n_read) => {
                heard(stream, &buffer[..n_read]);
                true
            }
            Err(_) => false,
        }
    }
}

/// A pipe that holds one write.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::DIRECT)?;
    fcntl_setpipe_size(&reader, process::page_size() as usize)?;
    watch::never_wait(&reader)?;
    Ok((reader, writer))
}

impl Events {
    fn of(pipes: [&OwnedFd; 2]) -> io::Result<Self> {
        let source = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let watch = |pipe: &OwnedFd| {
            let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
            inotify::add_watch(&source, path, WatchFlags::MODIFY)
        };
        let watches = [watch(pipes[0])?, watch(pipes[1])?];
        Ok(Self { source, watches })
    }

    /// The streams that were written to, in the order of their last writes.
    fn written(&mut self) -> Vec<Stream> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 2048];
        let mut reader = Reader::new(&self.source, &mut buffer);
        let mut written = Vec::with_capacity(STREAMS.len());
        while let Ok(event) = reader.next() {
            if let Some(at) = self.watches.iter().position(|watch| *watch == event.wd()) {
                written.retain(|stream| *stream != STREAMS[at]);
                written.push(STREAMS[at]);
            }
        }
        written
    }
}

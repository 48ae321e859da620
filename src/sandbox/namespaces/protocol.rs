//! What the manager and the process inside a sandbox say to each other, over one socket pair.
//!
//! Guarantees whole messages: a length, a JSON head, a payload of bytes; open files travel beside them.
//! Commands never see this socket, so what arrives here cannot be forged by an agent.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::isolation::Network;
use crate::trajectory::Exit;

/// The private first argument of a re-executed child.
pub(in crate::sandbox) const INIT_ARGUMENT: &str = "@sandbox-init";

/// No message is larger; a length beyond it means that the two sides lost step.
const MESSAGE_BYTES: u64 = 1 << 31;

/// One end of the socket pair.
#[derive(Debug)]
pub(in crate::sandbox) struct Channel(UnixStream);

impl Channel {
    pub(in crate::sandbox) fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    pub(in crate::sandbox) fn stream(&self) -> &UnixStream {
        &self.0
    }

    /// Sends one message.
    pub(in crate::sandbox) fn send<T: Serialize>(&mut self, head: &T, payload: &[u8]) -> io::Result<()> {
        let head = serde_json::to_vec(head)?;
        let mut message = Vec::with_capacity(16 + head.len());
        message.extend_from_slice(&(head.len() as u64).to_le_bytes());
        message.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        message.extend_from_slice(&head);
        self.0.write_all(&message)?;
        self.0.write_all(payload)
    }

    /// Receives one message; the end of the stream is an error of kind `UnexpectedEof`.
    pub(in crate::sandbox) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<(T, Vec<u8>)> {
        let head = self.length()?;
        let payload = self.length()?;
        let head: T = serde_json::from_slice(&self.bytes(head)?)?;
        Ok((head, self.bytes(payload)?))
    }

    fn length(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        let length = u64::from_le_bytes(bytes);
        if length > MESSAGE_BYTES {
            return Err(io::Error::other("a message of impossible length"));
        }
        Ok(length)
    }

    fn bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Sends an open file; the other side must expect it at this place of the stream.
    pub(in crate::sandbox) fn send_descriptor(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let descriptors = [descriptor];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(self.0.as_fd(), &[IoSlice::new(b"F")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Receives an open file.
    pub(in crate::sandbox) fn receive_descriptor(&self) -> io::Result<OwnedFd> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffers = [IoSliceMut::new(&mut byte)];
        recvmsg(self.0.as_fd(), &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut descriptors) = message
                && let Some(descriptor) = descriptors.next()
            {
                return Ok(descriptor);
            }
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no open file came"))
    }
}

/// All that a child needs to become a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Plan {
    /// How it is confined.
    pub confinement: Confinement,
    /// The host's user and group that its processes have; absent to keep the manager's.
    pub host_id: Option<u32>,
    /// `cgroup.procs` files to join.
    pub cgroups: Vec<PathBuf>,
    /// Processors it may use; all when empty.
    pub processors: Vec<usize>,
    /// Its bounds.
    pub bounds: Bounds,
    /// Variables of every command.
    pub env: Vec<(String, String)>,
    /// Where commands start, as seen from inside.
    pub workdir: PathBuf,
    /// Files to write first, as seen from inside.
    pub files: Vec<(PathBuf, String)>,
}

/// What stands between the commands and the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) enum Confinement {
    /// Namespaces of their own.
    Namespaces(Machine),
    /// Landlock rules on the host's own file system.
    Landlock(Rules),
}

/// The root file system of a sandbox in namespaces.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Machine {
    /// A directory to use as root instead of the host's system directories.
    pub rootfs: Option<PathBuf>,
    /// The tree below the work directory.
    pub lower: Option<Lower>,
    /// The user inside.
    pub user: String,
    /// That user's number inside.
    pub uid: u32,
    /// Its private directory.
    pub home: PathBuf,
    /// What it may reach.
    pub network: Network,
    /// Whether the store of a parent sandbox follows, to start from.
    pub forked: bool,
}

/// A read-only tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Lower {
    /// Where it is on the host.
    pub path: PathBuf,
    /// Who owns all of it; absent when owners differ, so that only a copy can be written.
    pub owner: Option<(u32, u32)>,
}

/// What Landlock allows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Rules {
    /// Directories and files that may be read and run.
    pub readable: Vec<PathBuf>,
    /// Directories and files that may be changed.
    pub writable: Vec<PathBuf>,
}

/// Bounds that the kernel enforces a process at a time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::sandbox) struct Bounds {
    /// Bytes of memory.
    pub memory: u64,
    /// Whether a cgroup holds the memory of all processes; else the child must watch it.
    pub memory_held: Held,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes on the private file system.
    pub disk: u64,
}

/// Who holds a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Held {
    /// A cgroup.
    ByCgroup,
    /// The process inside, by looking.
    ByWatching,
}

/// The first answer of a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Started {
    /// It runs; its store follows when it has one.
    Ready(Layout),
    /// It cannot: what was tried and why.
    Failed {
        /// What was tried.
        doing: String,
        /// The error's number, 0 when there is none.
        errno: i32,
        /// The error.
        reason: String,
    },
}

/// How the work directory is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Layout {
    /// An overlay: the store's `upper` holds what differs.
    Overlay,
    /// The store's `upper` is the work directory; the manager copies the tree into it.
    Copy,
    /// No store: ordinary directories of the host.
    Directories,
}

/// What the manager asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) enum Request {
    /// Run a program.
    Exec(Run),
    /// Open a file; the payload of the answer is empty, the open file follows a `Found::File`.
    Read(String),
    /// Write the payload.
    Write(String),
}

/// A program to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Run {
    /// It and its arguments.
    pub argv: Vec<String>,
    /// Variables beside the sandbox's own.
    pub env: Vec<(String, String)>,
    /// Milliseconds until it is killed.
    pub timeout_ms: u64,
    /// Bytes of output to keep.
    pub output_bytes: usize,
    /// What to do with processes that outlive it.
    pub survivors: Survivors,
}

/// What to do with processes that outlive their command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Survivors {
    /// They go on.
    Keep,
    /// They are killed.
    Kill,
}

/// How a program ended; its output is the payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::sandbox) struct Ran {
    /// How.
    pub exit: Exit,
    /// Bytes left out of the middle.
    pub omitted_bytes: u64,
    /// Wall time.
    pub elapsed_seconds: f64,
}

/// What opening a path gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Found {
    /// A regular file, which follows.
    File,
    /// A directory.
    Directory,
    /// Nothing.
    Missing,
    /// Something that may not be read.
    Refused(String),
}

/// What writing a path gave: nothing, or why not.
pub(in crate::sandbox) type Wrote = Result<(), String>;

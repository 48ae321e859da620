//! What the manager and the process inside a sandbox say to each other, over one line.
//!
//! Guarantees whole messages: a length, a JSON head, a payload of bytes. What is too large for memory
//! follows its message in pieces. Commands never see this line, so what arrives here cannot be forged by
//! an agent.

use std::fs::File;
use std::io::{self, BufWriter, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(in crate::sandbox) use super::command::{Ran, ReportTo, Run, Survivors};
use crate::isolation::{Limits, Network};
use crate::sandbox::session::SessionDir;
use crate::sandbox::terminal::{Keys, Size, Terminal};
use crate::trajectory::Exit;

/// The private first argument of a re-executed child.
pub(in crate::sandbox) const INIT_ARGUMENT: &str = "@sandbox-init";

/// No message is larger; a length beyond it means that the two sides lost step.
const MESSAGE_BYTES: u64 = 1 << 31;

/// What is sent in pieces is cut into pieces of this size.
const PIECE_BYTES: usize = 1 << 18;

/// The two lengths that every message starts with.
pub(in crate::sandbox) const PREFIX_BYTES: usize = 16;

/// The bytes that come before a payload of `payload_bytes`: lengths and head.
pub(in crate::sandbox) fn envelope<T: Serialize>(head: &T, payload_bytes: usize) -> io::Result<Vec<u8>> {
    let head = serde_json::to_vec(head)?;
    let mut message = Vec::with_capacity(PREFIX_BYTES + head.len());
    message.extend_from_slice(&(head.len() as u64).to_le_bytes());
    message.extend_from_slice(&(payload_bytes as u64).to_le_bytes());
    message.extend_from_slice(&head);
    Ok(message)
}

/// The lengths of head and payload.
pub(in crate::sandbox) fn lengths(prefix: [u8; PREFIX_BYTES]) -> io::Result<(usize, usize)> {
    let (head, payload) = prefix.split_at(PREFIX_BYTES / 2);
    let length = |bytes: &[u8]| {
        let length = u64::from_le_bytes(bytes.try_into().expect("invariant: half of the prefix"));
        if length > MESSAGE_BYTES {
            return Err(io::Error::other("a message of impossible length"));
        }
        Ok(length as usize)
    };
    Ok((length(head)?, length(payload)?))
}

/// One end of the line.
#[derive(Debug)]
pub(in crate::sandbox) struct Channel {
    input: File,
    output: File,
}

impl Channel {
    /// An end that hears on `input` and speaks on `output`.
    pub(in crate::sandbox) fn new(input: OwnedFd, output: OwnedFd) -> Self {
        Self { input: input.into(), output: output.into() }
    }

    /// An end of a socket pair.
    pub(in crate::sandbox) fn over(stream: &UnixStream) -> io::Result<Self> {
        let input = OwnedFd::from(stream.try_clone()?);
        Ok(Self::new(input, stream.try_clone()?.into()))
    }

    /// Another handle of the same end.
    pub(in crate::sandbox) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { input: self.input.try_clone()?, output: self.output.try_clone()? })
    }

    /// What to wait for before a message can be received.
    pub(in crate::sandbox) fn input(&self) -> &File {
        &self.input
    }

    /// What messages are sent through.
    pub(in crate::sandbox) fn output(&self) -> &File {
        &self.output
    }

    /// Sends one message.
    pub(in crate::sandbox) fn send<T: Serialize>(&mut self, head: &T, payload: &[u8]) -> io::Result<()> {
        let mut message = envelope(head, payload.len())?;
        if payload.len() <= PIECE_BYTES {
            // One write is one wake-up of the other side.
            message.extend_from_slice(payload);
            return self.output.write_all(&message);
        }
        self.output.write_all(&message)?;
        self.output.write_all(payload)
    }

    /// Receives one message; the end of the line is an error of kind `UnexpectedEof`.
    pub(in crate::sandbox) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<(T, Vec<u8>)> {
        let mut prefix = [0; PREFIX_BYTES];
        self.input.read_exact(&mut prefix)?;
        let (head, payload) = lengths(prefix)?;
        let mut bytes = vec![0; head + payload];
        self.input.read_exact(&mut bytes)?;
        let payload = bytes.split_off(head);
        Ok((serde_json::from_slice(&bytes)?, payload))
    }

    /// Sends an open file; the other side must expect it at this place of the stream.
    pub(in crate::sandbox) fn send_descriptor(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let descriptors = [descriptor];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(self.output.as_fd(), &[IoSlice::new(b"F")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Receives an open file.
    pub(in crate::sandbox) fn receive_descriptor(&self) -> io::Result<OwnedFd> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffers = [IoSliceMut::new(&mut byte)];
        recvmsg(self.input.as_fd(), &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?;
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

/// Sends what is written to it in pieces; an empty one ends them.
pub(in crate::sandbox) struct Pieces<'a>(BufWriter<Piece<'a>>);

impl<'a> Pieces<'a> {
    pub(in crate::sandbox) fn to(channel: &'a mut Channel) -> Self {
        Self(BufWriter::with_capacity(PIECE_BYTES, Piece(channel)))
    }

    /// Sends what is left, and the end.
    pub(in crate::sandbox) fn finish(self) -> io::Result<()> {
        let Piece(channel) = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        channel.send(&(), &[])
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Sends each write as a piece.
struct Piece<'a>(&'a mut Channel);

impl Write for Piece<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.0.send(&(), bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what the other side sends in pieces, up to its end.
pub(in crate::sandbox) struct Assembled<'a> {
    channel: &'a mut Channel,
    piece: io::Cursor<Vec<u8>>,
    is_over: bool,
}

impl<'a> Assembled<'a> {
    pub(in crate::sandbox) fn from(channel: &'a mut Channel) -> Self {
        Self { channel, piece: io::Cursor::default(), is_over: false }
    }

    /// Skips what nobody wants, so that the next message can be received.
    pub(in crate::sandbox) fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self, &mut io::sink()).map(drop)
    }
}

impl Read for Assembled<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n_read = self.piece.read(buffer)?;
            if n_read > 0 || buffer.is_empty() || self.is_over {
                return Ok(n_read);
            }
            let ((), piece) = self.channel.receive()?;
            self.is_over = piece.is_empty();
            self.piece = io::Cursor::new(piece);
        }
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
    /// Directories that hold all that commands can write, where the manager cannot see them from outside.
    pub roots: Vec<PathBuf>,
    /// Where whole outputs that exceed their bound are kept; nowhere when absent.
    pub shelf: Option<Shelf>,
}

/// A place for whole outputs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Shelf {
    /// A directory that the agent's user may write, as seen from inside.
    pub directory: String,
    /// All of them together.
    pub bytes: u64,
}

impl Shelf {
    /// The shelf beside `session` that `limits` ask for.
    pub(in crate::sandbox) fn of(limits: &Limits, session: &SessionDir) -> Option<Self> {
        let bytes = limits.spill_mib << 20;
        (bytes > 0).then(|| Self { directory: session.path().to_owned(), bytes })
    }
}

/// What stands between the commands and the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) enum Confinement {
    /// Namespaces of their own.
    Namespaces(Machine),
    /// Landlock rules on the host's own file system.
    Landlock(Rules),
    /// A container that an engine made; only the user is changed.
    Container(User),
}

/// Whom the commands in a container run as.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::sandbox) struct User {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Whether a relay runs beside them, which is no command's process.
    pub relay: Beside,
}

/// Whether something of ours runs beside the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Beside {
    /// Nothing.
    Nothing,
    /// A relay.
    Relay,
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
    /// How long a command may print nothing.
    pub quiet: Option<Duration>,
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
    /// Read a file; its bytes follow a `Found::File` in pieces.
    Read(String),
    /// Write the payload.
    Write(String),
    /// Remove the paths in the payload, each ended by a NUL, then unpack the tar archive that follows in pieces.
    Fill(Fill),
    /// Look below these directories now: what differs later differs from this.
    Remember(Vec<PathBuf>),
    /// Say what differs from the start: the paths that are gone as the payload, each ended by a NUL; then, in
    /// pieces, a tar archive of what is new or changed.
    Delta(Scope),
    /// End the command that runs. It has no answer of its own.
    Abort,
    /// Run a program on a terminal of its own. This is the one exchange in which both sides speak at any time: the
    /// manager may send `Typed`, `Resized` and `Abort`, and the process inside sends [`Screen`]s, the last of which
    /// says that the program ended. Each side goes on hearing while it speaks, or both could wait for each other.
    Interact(Interact),
    /// The payload was typed on the terminal. It has no answer, and means nothing when the program has ended.
    Typed,
    /// The terminal has another size now; likewise.
    Resized(Size),
    /// Make a socket that the manager may fetch, with these bytes waiting in it. A [`Met`] follows.
    Meet(String),
}

impl Request {
    /// What a user does, and its payload.
    pub(in crate::sandbox) fn of(key: Keys) -> (Self, Vec<u8>) {
        match key {
            Keys::Typed(bytes) => (Self::Typed, bytes),
            Keys::Resized(size) => (Self::Resized(size), Vec::new()),
            Keys::HungUp => (Self::Abort, Vec::new()),
        }
    }
}

/// A program that talks to a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Interact {
    /// It and its arguments.
    pub argv: Vec<String>,
    /// Variables beside the sandbox's own.
    pub env: Vec<(String, String)>,
    /// The terminal's size.
    pub size: Size,
}

impl Interact {
    /// A shell on the terminal that the user describes.
    pub(in crate::sandbox) fn shell(terminal: &Terminal) -> Self {
        let env = [("TERM", terminal.kind.as_str()), ("PS1", "\\w\\$ ")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { argv: vec!["bash".to_owned()], env, size: terminal.size }
    }
}

/// What comes from a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Screen {
    /// The payload is to be shown.
    Shown,
    /// The program ended; nothing follows.
    Ended(Exit),
}

/// Where the socket is that the manager may fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct Meeting {
    /// Its number among the open files of the process that serves.
    pub descriptor: i32,
}

/// Whether the manager fetched it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Met {
    /// It is the line from now on.
    Yes,
    /// The line stays as it is.
    No,
}

/// What an archive is for the sandbox that unpacks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Fill {
    /// Its start: what differs later differs from this.
    Start,
    /// What another sandbox of the same start has changed.
    Fork,
}

/// Where differences are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Scope {
    /// In the work directory, but for `.git`.
    Repository,
    /// Wherever commands can write.
    Everything,
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

/// What comes before the archive of differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct Differences {
    /// Files that would take it beyond its bound.
    pub left_out: Vec<String>,
}

/// What writing a path or unpacking an archive gave: nothing, or why not.
pub(in crate::sandbox) type Wrote = Result<(), String>;

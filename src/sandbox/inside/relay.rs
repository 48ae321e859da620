//! The way out of a sandbox that may reach listed hosts: a process of ours that listens on the sandbox's own
//! loopback and carries the bytes of each connection over a line of its own to the manager.
//!
//! It decides nothing and reads nothing of what it carries: the manager does ([`crate::sandbox::proxy`]).
//! Guarantees that no side is sent more than it can hold, so that a peer which does not read stops its own
//! connection only; that there are no more connections than [`CONNECTIONS`]; and that commands can neither
//! signal nor trace it. One thread, apart from the process that runs commands, whose line it never touches.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

use super::protocol::Channel;
use super::{init, kernel, limits, process};

/// The private first argument of a relay that an engine starts beside a container's first process.
pub(in crate::sandbox) const RELAY_ARGUMENT: &str = "@sandbox-relay";
/// Who a relay is in a container: neither root nor anybody that an image knows (Debian reserves the number),
/// and within the 65,536 numbers that engines without root have.
pub(in crate::sandbox) const RELAY_ID: u32 = 65_080;
/// Where it listens: above the ports that programs are given when they name none.
pub(in crate::sandbox) const PORT: u16 = 61_080;
/// Connections at a time; those beyond wait until one ends.
pub(in crate::sandbox) const CONNECTIONS: usize = 64;
/// Bytes of one connection and one direction that are on their way.
pub(in crate::sandbox) const WINDOW: usize = 256 * 1024;
/// Bytes of one message at most.
pub(in crate::sandbox) const CHUNK: usize = 32 * 1024;

/// Which connection a message is about, and what it says.
pub(in crate::sandbox) type Head = (u32, Word);

/// What the two sides tell each other of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Word {
    /// The relay listens; of no connection.
    Listening,
    /// A client connected.
    Open,
    /// The payload was sent to the other side.
    Data,
    /// The other side took so many bytes, and can hold as many more.
    Taken(usize),
    /// Nothing more will be sent in this direction.
    End,
    /// The connection is over once what was sent is taken.
    Close,
    /// The connection broke.
    Broken,
}

/// The relay of one sandbox.
pub(in crate::sandbox) struct Relay {
    line: Channel,
    listener: TcpListener,
    connections: BTreeMap<u32, Connection>,
    n_accepted: u32,
}

/// Serves beside the first process of a container until the manager hangs up.
pub(in crate::sandbox) fn run_in_container() -> ExitCode {
    let serve = || -> io::Result<()> {
        let line = init::take_channel()?;
        confine()?;
        let mut relay = Relay::listen(line)?;
        relay.line.send(&(0, Word::Listening), &[])?;
        relay.serve(None)
    };
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Gives up all that carrying bytes does not need.
fn confine() -> io::Result<()> {
    limits::drop_capabilities()?;
    limits::forgo_privileges()?;
    limits::refuse_system_calls(limits::Internet::Namespaced)
}

impl Relay {
    /// Listens in this network namespace, whose loopback is up.
    pub(in crate::sandbox) fn listen(line: Channel) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))?;
        listener.set_nonblocking(true)?;
        Ok(Self { line, listener, connections: BTreeMap::new(), n_accepted: 0 })
    }

    /// Serves beside the pid namespace whose first process is `first`, until that ends. When it cannot serve any
    /// more it does not wait: its end is the end of all, and no command goes on without a way out.
    pub(in crate::sandbox) fn serve_beside(self, first: i32) -> io::Result<()> {
        self.keep_own_files();
        let pid = rustix::process::Pid::from_raw(first).ok_or(ErrorKind::InvalidInput)?;
        let ended = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        confine()?;
        self.serve(Some(&ended))?;
        process::wait(first).map(drop)
    }

    /// Closes every other open file, the manager's other line among them.
    fn keep_own_files(&self) {
        let mut kept =
            [self.listener.as_raw_fd(), self.line.input().as_raw_fd(), self.line.output().as_raw_fd()];
        kept.sort_unstable();
        let mut first = 3;
        for kept in kept.map(|kept| kept as u32).into_iter().chain([u32::MAX]) {
            if first < kept {
                // SAFETY: nothing else of this process is used any more.
                unsafe {
                    libc::syscall(libc::SYS_close_range, first, kept - 1, 0u32);
                }
            }
            first = kept.saturating_add(1);
        }
    }

    fn serve(mut self, ended: Option<&OwnedFd>) -> io::Result<()> {
        loop {
            let ready = self.wait(ended)?;
            if ready.has_ended {
                return Ok(());
            }
            if ready.line {
                match self.hear() {
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                    heard => heard?,
                }
            }
            if ready.listener {
                self.accept()?;
            }
            for id in ready.connections {
                self.advance(id)?;
            }
        }
    }

    fn wait(&self, ended: Option<&OwnedFd>) -> io::Result<Ready> {
        let room = self.connections.len() < CONNECTIONS;
        let accepting = if room { PollFlags::IN } else { PollFlags::empty() };
        let mut waits =
            vec![PollFd::new(self.line.input(), PollFlags::IN), PollFd::new(&self.listener, accepting)];
        // What waits for the other side is not looked at: its client's end would be told again and again.
        let waiting = self.connections.iter().filter(|(_, connection)| !connection.wants().is_empty());
        let ids: Vec<u32> = waiting.clone().map(|(id, _)| *id).collect();
        waits.extend(waiting.map(|(_, connection)| PollFd::new(&connection.stream, connection.wants())));
        waits.extend(ended.map(|ended| PollFd::new(ended, PollFlags::IN)));
        match poll(&mut waits, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
        let of_connections = &is_ready[2..2 + ids.len()];
        Ok(Ready {
            line: is_ready[0],
            listener: is_ready[1],
            connections: ids
                .iter()
                .zip(of_connections)
                .filter_map(|(id, ready)| ready.then_some(*id))
                .collect(),
            has_ended: is_ready.get(2 + ids.len()).copied().unwrap_or(false),
        })
    }

    fn accept(&mut self) -> io::Result<()> {
        // A client that is gone already, or an interruption: there is nothing to carry.
        let Ok((stream, _)) = self.listener.accept() else { return Ok(()) };
        stream.set_nonblocking(true)?;
        // Small messages of a handshake must not wait for each other.
        stream.set_nodelay(true).ok();
        self.n_accepted = self.n_accepted.wrapping_add(1);
        self.connections.insert(self.n_accepted, Connection::new(stream));
        self.line.send(&(self.n_accepted, Word::Open), &[])
    }

    /// Takes one message of the manager.
    fn hear(&mut self) -> io::Result<()> {
        let ((id, word), bytes) = self.line.receive::<Head>()?;
        // A connection that has ended here may still be spoken of.
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        match word {
            Word::Data => connection.pending.extend(bytes),
            Word::Taken(bytes) => connection.credit += bytes,
            Word::End => connection.is_answered = true,
            Word::Close => {
                connection.is_answered = true;
                connection.has_asked = true;
            }
            Word::Broken => return self.cut(id),
            Word::Listening | Word::Open => return Err(io::Error::other("the manager opens no connections")),
        }
        self.advance(id)
    }

    /// Moves what can be moved of a connection, and forgets it when it is over.
    fn advance(&mut self, id: u32) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let Ok((n_taken, asked)) = connection.deliver().and_then(|taken| Ok((taken, connection.collect()?)))
        else {
            self.line.send(&(id, Word::Broken), &[])?;
            return self.cut(id);
        };
        let is_over = connection.is_over();
        if n_taken > 0 {
            self.line.send(&(id, Word::Taken(n_taken)), &[])?;
        }
        match asked {
            Asked::Nothing => {}
            Asked::Bytes(bytes) => self.line.send(&(id, Word::Data), &bytes)?,
            Asked::End => self.line.send(&(id, Word::End), &[])?,
        }
        if is_over {
            self.connections.remove(&id);
        }
        Ok(())
    }

    /// Ends a connection so that its client sees that it broke.
    fn cut(&mut self, id: u32) -> io::Result<()> {
        if let Some(connection) = self.connections.remove(&id) {
            let now = Some(Duration::ZERO);
            rustix::net::sockopt::set_socket_linger(connection.stream.as_fd(), now)?;
        }
        Ok(())
    }
}

/// What can be gone on with.
struct Ready {
    line: bool,
    listener: bool,
    connections: Vec<u32>,
    has_ended: bool,
}

/// What a client said.
enum Asked {
    Nothing,
    Bytes(Vec<u8>),
    End,
}

/// One client.
struct Connection {
    stream: TcpStream,
    /// Bytes that the manager can still hold.
    credit: usize,
    /// Bytes that the client has not taken yet.
    pending: VecDeque<u8>,
    /// Nothing more is expected of the client.
    has_asked: bool,
    /// Nothing more will come for the client.
    is_answered: bool,
    is_shut: bool,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            credit: WINDOW,
            pending: VecDeque::new(),
            has_asked: false,
            is_answered: false,
            is_shut: false,
        }
    }

    fn wants(&self) -> PollFlags {
        let mut wants = PollFlags::empty();
        wants.set(PollFlags::IN, !self.has_asked && self.credit > 0);
        wants.set(PollFlags::OUT, !self.pending.is_empty());
        wants
    }

    fn is_over(&self) -> bool {
        self.has_asked && self.is_answered && self.pending.is_empty()
    }

    /// Gives the client what it can take; says how much that was.
    fn deliver(&mut self) -> io::Result<usize> {
        let mut n_taken = 0;
        while !self.pending.is_empty() {
            match self.stream.write(self.pending.as_slices().0) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    self.pending.drain(..taken);
                    n_taken += taken;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(n_taken),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.is_answered && !self.is_shut {
            self.is_shut = true;
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(n_taken)
    }

    /// Takes one piece of what the client says.
    fn collect(&mut self) -> io::Result<Asked> {
        if !self.wants().contains(PollFlags::IN) {
            return Ok(Asked::Nothing);
        }
        let mut bytes = vec![0; CHUNK.min(self.credit)];
        match self.stream.read(&mut bytes) {
            Ok(0) => {
                self.has_asked = true;
                Ok(Asked::End)
            }
            Ok(read) => {
                bytes.truncate(read);
                self.credit -= read;
                Ok(Asked::Bytes(bytes))
            }
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => {
                Ok(Asked::Nothing)
            }
            Err(error) => Err(error),
        }
    }
}

/// Kills every process of a container but this one and the relay, all at once; `user` runs the commands.
pub(in crate::sandbox) fn kill_all_but_relay(user: u32) -> io::Result<()> {
    // A root that lacks the capability signals its own processes only.
    if user == 0 {
        process::signal(-1, libc::SIGKILL);
        return Ok(());
    }
    // As that user this process signals that user's processes only. Nobody can signal or trace it meanwhile:
    // its real and saved users stay root.
    // SAFETY: plain system calls of a process with one thread.
    unsafe {
        kernel::checked(libc::c_long::from(libc::seteuid(user)))?;
        process::signal(-1, libc::SIGKILL);
        kernel::checked(libc::c_long::from(libc::seteuid(0)))?;
        // Changing user may have made it traceable.
        kernel::checked(libc::c_long::from(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0))).map(drop)
    }
}

/// Whether a process is the relay.
pub(in crate::sandbox) fn is_relay(pid: i32) -> bool {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    users.is_some_and(|users| users.split_whitespace().next() == Some(&*RELAY_ID.to_string()))
}

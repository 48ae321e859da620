//! The line to the process that serves inside a container: its standard streams, which the engine
//! carries, and then, where it can be had, a socket of our own.
//!
//! Guarantees whole messages, and that waiting for one may be given up and taken up again. One message
//! there and one back is all that a command costs; the engine is not asked.

use std::io;
use std::pin::Pin;

use bollard::container::{AttachContainerResults, LogOutput};
use futures_util::{FutureExt, Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

use super::container::SIGXFSZ;
use crate::sandbox::inside::protocol::{Interact, PREFIX_BYTES, Request, Screen, envelope, lengths};
use crate::sandbox::terminal::{Keys, Terminal};
use crate::trajectory::Exit;

/// What is typed ahead is taken up to this.
const AHEAD_BYTES: usize = 64 * 1024;
/// What a process that fails says is kept up to this.
const COMPLAINT_BYTES: usize = 4096;

/// What is read at once, if it is there: a short answer as a whole.
const GULP_BYTES: usize = 4096;

/// Where answers come from.
enum Output {
    /// The engine.
    Engine(Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>),
    /// The process itself.
    Direct(OwnedReadHalf),
}

/// The manager's end of the line.
pub(super) struct Line {
    ear: Ear,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// Its hearing half.
struct Ear {
    output: Output,
    heard: Vec<u8>,
    complaint: String,
}

/// What listening once gave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Something,
    /// Nothing more will come.
    End,
}

impl Line {
    pub(super) fn new(attached: AttachContainerResults) -> Self {
        let AttachContainerResults { output, input } = attached;
        Self {
            ear: Ear { output: Output::Engine(output), heard: Vec::new(), complaint: String::new() },
            input,
        }
    }

    /// Goes on over `socket`; whatever was asked before has been answered.
    pub(super) fn change_to(&mut self, socket: UnixStream) {
        let (output, input) = socket.into_split();
        self.ear.output = Output::Direct(output);
        self.input = Box::pin(input);
    }

    /// Whether the other end is there, as far as is known without asking it.
    pub(super) fn is_open(&mut self) -> bool {
        self.ear.is_open()
    }

    /// Sends one message.
    pub(super) async fn send<T: Serialize>(&mut self, head: &T, payload: &[u8]) -> io::Result<()> {
        let mut message = envelope(head, payload.len())?;
        message.extend_from_slice(payload);
        self.input.write_all(&message).await?;
        self.input.flush().await
    }

    /// Receives one message. Whoever stops waiting loses nothing of it.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<(T, Vec<u8>)> {
        self.ear.receive().await
    }

    /// Lets a user talk to a program until it ends, or ends it when `full` says that its disk is. What is typed is
    /// sent while what is shown is heard, so that neither side waits for the other for ever.
    pub(super) async fn interact(
        &mut self,
        terminal: Terminal,
        full: impl Future<Output = io::Result<()>>,
    ) -> io::Result<Exit> {
        let (mut full, mut is_full) = (std::pin::pin!(full), false);
        self.send(&Request::Interact(Interact::shell(&terminal)), &[]).await?;
        let Terminal { mut keys, screen, .. } = terminal;
        let (mut unsent, mut is_over) = (Vec::new(), false);
        loop {
            tokio::select! {
                heard = self.ear.receive::<Screen>() => match heard? {
                    // Whoever does not look any more may still hang up.
                    (Screen::Shown, bytes) => drop(screen.send(bytes).await),
                    (Screen::Ended(exit), _) => {
                        // What was begun is said to its end, or the next message would be taken for the rest of it.
                        self.input.write_all(&unsent).await?;
                        self.input.flush().await?;
                        return Ok(if is_full { Exit::Signal(SIGXFSZ) } else { exit });
                    }
                },
                found = &mut full, if !is_full => {
                    found?;
                    (is_full, is_over) = (true, true);
                    unsent.extend(envelope(&Request::Abort, 0)?);
                }
                n_sent = self.input.write(&unsent), if !unsent.is_empty() => {
                    unsent.drain(..n_sent?);
                    self.input.flush().await?;
                }
                key = keys.recv(), if !is_over && unsent.len() < AHEAD_BYTES => {
                    let key = key.unwrap_or(Keys::HungUp);
                    is_over = key == Keys::HungUp;
                    let (request, typed) = Request::of(key);
                    unsent.extend(envelope(&request, typed.len())?);
                    unsent.extend(typed);
                }
            }
        }
    }

    /// Receives what comes in pieces, in all at most `bytes`.
    pub(super) async fn receive_pieces(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        loop {
            let ((), piece) = self.receive().await?;
            if piece.is_empty() {
                return Ok(whole);
            }
            if bytes - whole.len() < piece.len() {
                return Err(io::Error::other(format!("more than {bytes} bytes came")));
            }
            whole.extend_from_slice(&piece);
        }
    }

    /// Sends an archive in pieces as they come.
    pub(super) async fn send_pieces(
        &mut self,
        mut pieces: tokio::sync::mpsc::Receiver<Vec<u8>>,
    ) -> io::Result<()> {
        while let Some(piece) = pieces.recv().await {
            if !piece.is_empty() {
                self.send(&(), &piece).await?;
            }
        }
        self.send(&(), &[]).await
    }
}

impl Ear {
    fn is_open(&mut self) -> bool {
        loop {
            // Nobody asked, so what is heard is a complaint, or belongs to what is asked next.
            match self.listen(0).now_or_never() {
                None => return true,
                Some(Ok(Heard::Something)) => {}
                Some(Ok(Heard::End) | Err(_)) => return false,
            }
        }
    }

    async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<(T, Vec<u8>)> {
        self.hear(PREFIX_BYTES).await?;
        let prefix = self.heard[..PREFIX_BYTES].try_into().expect("invariant: as many bytes were heard");
        let (head, payload) = lengths(prefix)?;
        let whole = PREFIX_BYTES + head + payload;
        self.hear(whole).await?;
        let rest = self.heard.split_off(whole);
        let mut message = std::mem::replace(&mut self.heard, rest);
        let payload = message.split_off(PREFIX_BYTES + head);
        Ok((serde_json::from_slice(&message[PREFIX_BYTES..])?, payload))
    }

    fn take(&mut self, chunk: LogOutput) {
        match chunk {
            LogOutput::StdErr { message } => {
                let text = String::from_utf8_lossy(&message);
                let left = COMPLAINT_BYTES.saturating_sub(self.complaint.len());
                self.complaint.extend(text.chars().take(left));
            }
            chunk => self.heard.extend_from_slice(chunk.as_ref()),
        }
    }

    /// Waits until `bytes` have been heard.
    async fn hear(&mut self, bytes: usize) -> io::Result<()> {
        while self.heard.len() < bytes {
            if self.listen(bytes - self.heard.len()).await? == Heard::End {
                return Err(self.gone());
            }
        }
        Ok(())
    }

    /// Hears what comes next, of which at least `bytes` are waited for later.
    async fn listen(&mut self, bytes: usize) -> io::Result<Heard> {
        match &mut self.output {
            Output::Engine(stream) => {
                let Some(chunk) = stream.next().await else { return Ok(Heard::End) };
                self.take(chunk.map_err(io::Error::other)?);
                Ok(Heard::Something)
            }
            Output::Direct(socket) => {
                self.heard.reserve(bytes.max(GULP_BYTES));
                let n_read = socket.read_buf(&mut self.heard).await?;
                Ok(if n_read == 0 { Heard::End } else { Heard::Something })
            }
        }
    }

    fn gone(&self) -> io::Error {
        match self.complaint.trim() {
            "" => io::Error::new(io::ErrorKind::UnexpectedEof, "its first process is gone"),
            complaint => io::Error::other(format!("its first process is gone: {complaint}")),
        }
    }
}

//! The line to the process that serves inside a container: its standard streams, which the engine
//! carries, and then, where it can be had, a socket of our own.
//!
//! Guarantees whole messages, and that waiting for one may be given up and taken up again. One message
//! there and one back is all that a command costs; the engine is not asked.

use std::io;
use std::pin::Pin;

use bollard::container::{AttachContainerResults, LogOutput};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

use crate::sandbox::inside::protocol::{PREFIX_BYTES, envelope, lengths};

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
    output: Output,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    heard: Vec<u8>,
    complaint: String,
}

impl Line {
    pub(super) fn new(attached: AttachContainerResults) -> Self {
        let AttachContainerResults { output, input } = attached;
        Self { output: Output::Engine(output), input, heard: Vec::new(), complaint: String::new() }
    }

    /// Goes on over `socket`; whatever was asked before has been answered.
    pub(super) fn change_to(&mut self, socket: UnixStream) {
        let (output, input) = socket.into_split();
        self.output = Output::Direct(output);
        self.input = Box::pin(input);
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

    /// Waits until `bytes` have been heard.
    async fn hear(&mut self, bytes: usize) -> io::Result<()> {
        while self.heard.len() < bytes {
            let stream = match &mut self.output {
                Output::Engine(stream) => stream,
                Output::Direct(socket) => {
                    self.heard.reserve((bytes - self.heard.len()).max(GULP_BYTES));
                    match socket.read_buf(&mut self.heard).await? {
                        0 => return Err(self.gone()),
                        _ => continue,
                    }
                }
            };
            match stream.next().await {
                Some(Ok(LogOutput::StdErr { message })) => {
                    let text = String::from_utf8_lossy(&message);
                    let left = COMPLAINT_BYTES.saturating_sub(self.complaint.len());
                    self.complaint.extend(text.chars().take(left));
                }
                Some(Ok(chunk)) => self.heard.extend_from_slice(chunk.as_ref()),
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Err(self.gone()),
            }
        }
        Ok(())
    }

    fn gone(&self) -> io::Error {
        match self.complaint.trim() {
            "" => io::Error::new(io::ErrorKind::UnexpectedEof, "its first process is gone"),
            complaint => io::Error::other(format!("its first process is gone: {complaint}")),
        }
    }
}

//! The relay of a container that may reach listed hosts: another process in it, with a stream of its own
//! through the engine.
//!
//! Guarantees that it listens before the first command, that it is no user that commands could be, and that
//! it ends with the container or with its stream. Costs one request to the engine when a container starts,
//! and nothing where there is no list.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::anyhow;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use super::recipe::{Recipe, START};
use super::running::Running;
use crate::sandbox::SandboxError;
use crate::sandbox::inside::INIT_ARGUMENT;
use crate::sandbox::inside::relay::{RELAY_ARGUMENT, RELAY_ID, Word};
use crate::sandbox::proxy::{Gate, Tunnel, hear};

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// Starts the relay of a container, where its sandbox may reach listed hosts.
pub(super) async fn open(recipe: &Recipe, running: &Running) -> Result<Option<Tunnel>, SandboxError> {
    let Some(list) = recipe.spec.network.allowed() else { return Ok(None) };
    if recipe.prepared.user.uid == u64::from(RELAY_ID) {
        let reason = anyhow!("its user has the number {RELAY_ID}, which is the relay's");
        return Err(running.lost("starting its relay")(reason));
    }
    let gate = Gate::new(&recipe.spec.name, list);
    let started = async {
        let (output, input) = attach(recipe, running.id()).await?;
        let mut heard = Heard { output, piece: Vec::new(), n_read: 0 };
        match hear(&mut heard).await? {
            ((_, Word::Listening), _) => Ok(Tunnel::start(heard, input, gate)),
            _ => Err(anyhow!("its first word was another one")),
        }
    };
    let started =
        tokio::time::timeout(START, started).await.unwrap_or_else(|_| Err(anyhow!("no answer came")));
    started.map(Some).map_err(running.lost("starting its relay"))
}

async fn attach(
    recipe: &Recipe,
    id: &str,
) -> anyhow::Result<(Output, Pin<Box<dyn tokio::io::AsyncWrite + Send>>)> {
    let argument =
        |word: &String| if word == INIT_ARGUMENT { RELAY_ARGUMENT.to_owned() } else { word.clone() };
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(recipe.argv.iter().map(argument).collect()),
        user: Some(format!("{RELAY_ID}:{RELAY_ID}")),
        working_dir: Some("/".to_owned()),
        ..CreateExecOptions::default()
    };
    let exec = recipe.docker.create_exec(id, options).await?.id;
    match recipe.docker.start_exec(&exec, None::<StartExecOptions>).await? {
        StartExecResults::Attached { output, input } => Ok((output, input)),
        StartExecResults::Detached => Err(anyhow!("the engine kept its streams")),
    }
}

/// What the engine carries of a process's standard output, as bytes.
struct Heard {
    output: Output,
    piece: Vec<u8>,
    n_read: usize,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.n_read == self.piece.len() {
            match ready!(self.output.as_mut().poll_next(context)) {
                Some(Ok(LogOutput::StdErr { message })) => {
                    tracing::debug!(message = %String::from_utf8_lossy(&message), "a relay complains");
                }
                Some(Ok(piece)) => (self.piece, self.n_read) = (piece.into_bytes().to_vec(), 0),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let left = &self.piece[self.n_read..];
        let bytes = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..bytes]);
        self.n_read += bytes;
        Poll::Ready(Ok(()))
    }
}

//! `apprentice sandbox shell`: a shell in a new sandbox, on the user's terminal or over the lines of stdin.
//!
//! Guarantees that the terminal is as before however it ends: by itself, by a panic, by a signal. Only SIGKILL
//! leaves it raw, which `stty sane` mends.

use std::future::Future;
use std::io::{BufRead, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::mpsc;

use super::failure::{Answer, Failure};
use super::output::Output;
use super::sandbox::{BackendArgs, answer, failure, start};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::terminal::{Keys, Size, Terminal};
use crate::sandbox::{Exec, Sandbox};
use crate::trajectory::Exit;

/// A terminal whose user says nothing of it.
const KIND: &str = "xterm";
const TYPED_BYTES: usize = 4096;

#[derive(Debug, clap::Args)]
pub(super) struct Shell {
    /// The sandbox's name, such as `shell` or `python`
    name: String,
    /// Copy this directory into the work directory
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendArgs,
}

pub(super) async fn shell(args: Shell, output: Output) -> Result<Answer, Failure> {
    let spec = args.backend.spec(&args.name)?;
    let (_, mut sandbox) = start(&args.backend, &spec, args.tree.as_deref(), output).await?;
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let result = if is_terminal && !output.is_json() {
        on_terminal(&mut *sandbox, output).await
    } else {
        over_lines(&mut *sandbox, &spec, output).await
    };
    let stopped = sandbox.stop().await.map_err(failure);
    let answer = result?;
    stopped.map(|()| answer)
}

/// Runs each line by itself, in one session.
async fn over_lines(
    sandbox: &mut dyn Sandbox,
    spec: &SandboxSpec,
    output: Output,
) -> Result<Answer, Failure> {
    let mut last = Answer::Yes;
    loop {
        if output.is_interactive() {
            prompt();
        }
        // Reading a line blocks; nothing else is going on meanwhile.
        let Some(line) = std::io::stdin().lock().lines().next() else { return Ok(last) };
        let line = line.map_err(Failure::host)?;
        let exec = Exec::new(&line, spec.limits.command_timeout(), spec.limits.output_bytes);
        let observation = sandbox.exec(&exec).await.map_err(failure)?;
        output.data(observation.output.as_bytes()).map_err(Failure::host)?;
        last = answer(&observation, output);
    }
}

fn prompt() {
    let mut stderr = std::io::stderr().lock();
    // A closed stderr leaves nobody to ask.
    drop(stderr.write_all(b"$ ").and_then(|()| stderr.flush()));
}

/// Joins the user's terminal and one in the sandbox until the shell there ends.
async fn on_terminal(sandbox: &mut dyn Sandbox, output: Output) -> Result<Answer, Failure> {
    let (keys, heard) = mpsc::channel(16);
    let (screen, mut shown) = mpsc::channel::<Vec<u8>>(16);
    let kind = std::env::var("TERM").unwrap_or_else(|_| KIND.to_owned());
    let mut signals = Signals::listen().map_err(Failure::host)?;
    let raw = Raw::enter().map_err(Failure::host)?;
    let typing = Typing::start(keys.clone()).map_err(Failure::host)?;
    let showing = tokio::task::spawn_blocking(move || {
        // Who cannot see it can still type `exit`.
        while let Some(bytes) = shown.blocking_recv() {
            output.show(&bytes).ok();
        }
    });
    let terminal = Terminal { kind, size: size(), keys: heard, screen };
    let (ended, signal) = signals.forward(sandbox.interact(terminal), &keys, &raw).await;
    drop(typing);
    // The last that was shown comes before what we say.
    showing.await.map_err(Failure::host)?;
    drop(raw);
    if let Some(signal) = signal {
        return Err(Failure::interrupted(anyhow::anyhow!("ended by signal {signal}")));
    }
    Ok(match ended.map_err(failure)? {
        Exit::Code(code) => Answer::Code(code as u8),
        // As a shell tells it.
        Exit::Signal(signal) => Answer::Code(128u8.wrapping_add(signal as u8)),
        Exit::TimedOut => Answer::No,
        Exit::OutOfMemory => {
            output.say("the shell was killed at its memory limit");
            Answer::No
        }
    })
}

/// The size of the user's terminal, or what most have when it does not say.
fn size() -> Size {
    // SAFETY: the structure is plain data and outlives the call.
    let size = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(0, libc::TIOCGWINSZ, &raw mut size) == 0 && size.ws_col > 0).then_some(size)
    };
    size.map_or(Size { rows: 24, columns: 80 }, |size| Size { rows: size.ws_row, columns: size.ws_col })
}

/// The user's terminal, which hands on each key as it is; restored when this is let go.
struct Raw {
    before: libc::termios,
}

impl Raw {
    fn enter() -> std::io::Result<Self> {
        // SAFETY: the structure is plain data and outlives the call.
        let before = unsafe {
            let mut before: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(0, &raw mut before) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            before
        };
        let raw = Self { before };
        raw.set();
        Ok(raw)
    }

    fn set(&self) {
        let mut raw = self.before;
        // SAFETY: the structure outlives both calls. A terminal that is gone needs no setting.
        unsafe {
            libc::cfmakeraw(&raw mut raw);
            libc::tcsetattr(0, libc::TCSADRAIN, &raw const raw);
        }
    }

    fn restore(&self) {
        // SAFETY: the structure outlives the call. What is typed ahead is for the user's own shell.
        unsafe {
            libc::tcsetattr(0, libc::TCSADRAIN, &raw const self.before);
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.restore();
    }
}

/// The signals of whoever holds the terminal or ends programs.
struct Signals {
    resized: unix::Signal,
    stopped: unix::Signal,
    ended: [(i32, unix::Signal); 4],
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let ending = |number| unix::signal(SignalKind::from_raw(number)).map(|signal| (number, signal));
        Ok(Self {
            resized: unix::signal(SignalKind::window_change())?,
            stopped: unix::signal(SignalKind::from_raw(libc::SIGTSTP))?,
            ended: [
                ending(libc::SIGTERM)?,
                ending(libc::SIGHUP)?,
                ending(libc::SIGINT)?,
                ending(libc::SIGQUIT)?,
            ],
        })
    }

    /// Awaits `shell`, and hands on what signals mean to it; gives the one that ended it, too.
    async fn forward<T>(
        &mut self,
        shell: impl Future<Output = T>,
        keys: &mpsc::Sender<Keys>,
        raw: &Raw,
    ) -> (T, Option<i32>) {
        let mut shell = std::pin::pin!(shell);
        let [term, hup, int, quit] = &mut self.ended;
        let mut ended = None;
        loop {
            let number = tokio::select! {
                done = &mut shell => return (done, ended),
                _ = self.resized.recv() => {
                    tell(keys, Keys::Resized(size()));
                    continue;
                }
                _ = self.stopped.recv() => {
                    raw.restore();
                    // Whoever stops us stops all; the default action is taken by a signal that cannot be heard.
                    kill_process(getpid(), Signal::STOP).ok();
                    raw.set();
                    tell(keys, Keys::Resized(size()));
                    continue;
                }
                _ = term.1.recv() => term.0,
                _ = hup.1.recv() => hup.0,
                _ = int.1.recv() => int.0,
                _ = quit.1.recv() => quit.0,
            };
            if ended.replace(number).is_some() {
                // A second one does not wait for the sandbox; what is left of it ends with this process.
                raw.restore();
                kill_process(getpid(), Signal::KILL).ok();
            }
            tell(keys, Keys::HungUp);
        }
    }
}

/// Hands over without waiting: the shell is not awaited meanwhile.
fn tell(keys: &mpsc::Sender<Keys>, key: Keys) {
    let keys = keys.clone();
    tokio::spawn(async move { keys.send(key).await.ok() });
}

/// Reads what the user types, on a thread of its own, until this is let go.
struct Typing {
    stop: Option<std::io::PipeWriter>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Typing {
    fn start(keys: mpsc::Sender<Keys>) -> std::io::Result<Self> {
        let (stopped, stop) = std::io::pipe()?;
        let thread = std::thread::spawn(move || {
            while let Some(bytes) = typed(&stopped) {
                // The end of the terminal is the user's leaving.
                let key = if bytes.is_empty() { Keys::HungUp } else { Keys::Typed(bytes) };
                let is_over = key == Keys::HungUp;
                if keys.blocking_send(key).is_err() || is_over {
                    return;
                }
            }
        });
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

/// What is typed next, nothing at its end; `None` when nobody wants it any more.
fn typed(stopped: &std::io::PipeReader) -> Option<Vec<u8>> {
    let stdin = std::io::stdin();
    loop {
        let mut waits = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut waits, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return None,
            Ok(_) if !waits[1].revents().is_empty() => return None,
            Ok(_) => {}
        }
        let mut buffer = vec![0; TYPED_BYTES];
        // Not through `Stdin`, whose buffer would keep what is for the user's own shell.
        match rustix::io::read(stdin.as_fd(), &mut buffer) {
            Ok(n_read) => {
                buffer.truncate(n_read);
                return Some(buffer);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Some(Vec::new()),
        }
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic was told when it happened.
            drop(thread.join());
        }
    }
}

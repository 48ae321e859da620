//! Fetches a socket from the process that serves in a container, to talk past the engine.
//!
//! The engine's streams pass through two of its processes and four pipes for each message. The kernel lets a
//! manager that could debug that process take a copy of its open files (`pidfd_getfd`): root, and the user of
//! a rootless engine. Guarantees that nothing is taken from any other process: the engine names its number,
//! the kernel says that it belongs to the container, and it greets with the words that we sent it. Where any of
//! this fails (an engine on another machine, a user who may only ask the engine), the engine's streams stay.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use bollard::Docker;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::recipe::START;
use super::running::Running;
use crate::sandbox::SandboxError;
use crate::sandbox::inside::protocol::{Meeting, Met, Request};

/// Makes a socket the line of `running`, if it can be had.
pub(super) async fn meet(docker: &Docker, running: &Running) -> Result<(), SandboxError> {
    let Some(process) = first_process(docker, running.id()).await else { return Ok(()) };
    let id = running.id().to_owned();
    let fetching = running.with("being met", START, |line| {
        Box::pin(async move {
            line.send(&Request::Meet(id.clone()), &[]).await?;
            let meeting = line.receive::<Meeting>().await?.0;
            match fetch(&process, meeting.descriptor, &id) {
                Ok(socket) => {
                    line.send(&Met::Yes, &[]).await?;
                    line.change_to(tokio::net::UnixStream::from_std(socket)?);
                }
                Err(reason) => {
                    tracing::debug!(%reason, sandbox = %id, "commands go through the engine's streams");
                    line.send(&Met::No, &[]).await?;
                }
            }
            Ok(())
        })
    });
    fetching.await
}

/// The process that serves in the container `id`, where it is a process of this machine that may be asked for files.
async fn first_process(docker: &Docker, id: &str) -> Option<OwnedFd> {
    let state = docker.inspect_container(id, None).await.ok()?.state?;
    let pid = i32::try_from(state.pid?).ok().and_then(Pid::from_raw)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Its groups are read after it is held: the number may have been another one's before.
    let groups = fs_err::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).ok()?;
    groups.contains(id).then_some(process)
}

fn fetch(process: &OwnedFd, descriptor: i32, greeting: &str) -> io::Result<UnixStream> {
    let mut socket = UnixStream::from(pidfd_getfd(process, descriptor, PidfdGetfdFlags::empty())?);
    socket.set_nonblocking(true)?;
    let mut heard = vec![0; greeting.len()];
    // It was written before the number was told.
    socket.read_exact(&mut heard)?;
    if heard != greeting.as_bytes() {
        return Err(io::Error::other("another process answered"));
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_socket_without_our_greeting_is_not_taken() {
        let this = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap();
        for (said, is_taken) in [("ours!", true), ("other", false), ("", false)] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(said.as_bytes()).unwrap();
            assert_eq!(fetch(&this, theirs.as_raw_fd(), "ours!").is_ok(), is_taken, "{said}");
        }
    }
}

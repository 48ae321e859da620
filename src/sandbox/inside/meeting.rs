//! A line of our own in place of the streams that an engine carries.
//!
//! The process that serves makes a pair of sockets and the manager fetches one end of it, so that a message
//! is one write and one read, and no process of the engine wakes for it. Guarantees that nothing is reachable
//! for commands (no path, no name, no open file of theirs), and that the old line stays where the manager may
//! not fetch anything.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::protocol::{Channel, Meeting, Met};

/// Offers one end to the manager; `greeting` tells it that the end is this process's.
pub(super) fn offer(channel: &mut Channel, greeting: &str) -> io::Result<()> {
    let (mut ours, theirs) = UnixStream::pair()?;
    ours.write_all(greeting.as_bytes())?;
    channel.send(&Meeting { descriptor: theirs.as_raw_fd() }, &[])?;
    if channel.receive::<Met>()?.0 == Met::Yes {
        *channel = Channel::over(&ours)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;

    use super::*;

    /// Both ends of a line; the far one offers a socket and then says which line it is on.
    fn offered() -> (Channel, thread::JoinHandle<()>) {
        let (near, far) = UnixStream::pair().unwrap();
        let mut far = Channel::over(&far).unwrap();
        let serving = thread::spawn(move || {
            offer(&mut far, "hello").unwrap();
            far.send(&"after", &[]).unwrap();
        });
        (Channel::over(&near).unwrap(), serving)
    }

    #[test]
    fn a_line_that_was_not_fetched_stays() {
        let (mut near, serving) = offered();
        near.receive::<Meeting>().unwrap();
        near.send(&Met::No, &[]).unwrap();
        assert_eq!(near.receive::<String>().unwrap().0, "after");
        serving.join().unwrap();
    }

    #[test]
    fn a_fetched_socket_greets_and_is_the_line_from_then_on() {
        let (mut near, serving) = offered();
        let Meeting { descriptor } = near.receive().unwrap().0;
        // It is this process that serves here.
        let this =
            rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
        let flags = rustix::process::PidfdGetfdFlags::empty();
        let mut socket =
            UnixStream::from(rustix::process::pidfd_getfd(this.unwrap(), descriptor, flags).unwrap());
        let mut greeting = [0; 5];
        socket.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"hello");
        near.send(&Met::Yes, &[]).unwrap();
        assert_eq!(Channel::over(&socket).unwrap().receive::<String>().unwrap().0, "after");
        serving.join().unwrap();
    }
}

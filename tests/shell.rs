//! `apprentice sandbox shell` and `sandbox run` as a user has them: on a real terminal, and in a pipeline.
//!
//! Each backend that works here is talked to; others are printed as `skipped: …`, and fail when
//! `APPRENTICE_REQUIRE` names them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BACKENDS: [&str; 3] = ["namespaces", "docker", "landlock"];

fn apprentice(backend: &str, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
    command.args(["--quiet", "sandbox", verb, "shell", "--accept-weaker-isolation", "--sandbox", backend]);
    command
}

/// Whether a backend works here.
fn works(backend: &str) -> bool {
    let tried = apprentice(backend, "run").args(["--", "true"]).output().unwrap();
    if tried.status.success() {
        return true;
    }
    let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
    let reason = String::from_utf8_lossy(&tried.stderr).into_owned();
    assert!(!required.split(',').any(|name| name == backend), "{backend} is required: {reason}");
    println!("skipped: {backend}: {reason}");
    false
}

/// A terminal with a program on it.
struct Terminal {
    master: std::fs::File,
    slave: OwnedFd,
    child: Child,
    seen: String,
}

impl Terminal {
    fn with(mut command: Command) -> Self {
        let (mut master, mut slave) = (0, 0);
        let mut size = libc::winsize { ws_row: 33, ws_col: 111, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the numbers and the size outlive the call; the descriptors are new.
        let (master, slave) = unsafe {
            let none = std::ptr::null_mut();
            assert_eq!(libc::openpty(&raw mut master, &raw mut slave, none, none.cast(), &raw mut size), 0);
            (std::fs::File::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
        };
        let end = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: plain system calls of a new process.
        let child = unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
            command.spawn().unwrap()
        };
        Self { master, slave, child, seen: String::new() }
    }

    fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until `text` is shown, and forgets all before.
    fn sees(&mut self, text: &str) {
        let begin = Instant::now();
        while !self.seen.contains(text) {
            let mut wait = [libc::pollfd { fd: self.master.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
            // SAFETY: the structure outlives the call.
            unsafe { libc::poll(wait.as_mut_ptr(), 1, 1000) };
            assert!(begin.elapsed() < Duration::from_secs(90), "{text:?} is not in {:?}", self.seen);
            if wait[0].revents != 0 {
                let mut buffer = [0; 4096];
                let n_read = self.master.read(&mut buffer).unwrap();
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..n_read]));
            }
        }
        let at = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..at);
    }

    fn resize(&self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the structure outlives the call.
        unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    }

    /// Its flags, which say whether it is raw.
    fn flags(&self) -> [u32; 4] {
        // SAFETY: the structure is plain data and outlives the call.
        unsafe {
            let mut set: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(self.slave.as_raw_fd(), &raw mut set), 0);
            [set.c_iflag, set.c_oflag, set.c_cflag, set.c_lflag]
        }
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn a_shell_on_a_terminal_behaves_like_one_and_leaves_it_as_it_was() {
    for backend in BACKENDS.into_iter().filter(|backend| works(backend)) {
        let mut terminal = Terminal::with(apprentice(backend, "shell"));
        let before = terminal.flags();
        terminal.types("tty >/dev/null && echo tt$((1 + 1)); stty size\r");
        terminal.sees("tt2\r\n33 111");
        assert_ne!(terminal.flags(), before, "{backend}: keys are handed on as they are");
        terminal.resize(44, 122);
        terminal.types("until [ \"$(stty size)\" = '44 122' ]; do sleep 0.01; done; echo resi$((2))ed\r");
        terminal.sees("resi2ed");
        // Cat shows what it reads once it runs: a shell can miss an interrupt that comes while it starts a
        // program.
        terminal.types("echo wai$((3))s | cat - /dev/tty\r");
        terminal.sees("wai3s");
        terminal.types("\u{3}");
        // What is typed before the shell prompts again may go to the program that was interrupted.
        terminal.sees("$ ");
        terminal.types("echo code $(($? + 1000)); exit 7\r");
        terminal.sees("code 1130");
        assert_eq!(terminal.code(), Some(7), "{backend}");
        assert_eq!(terminal.flags(), before, "{backend}");
    }
}

#[test]
fn a_signal_ends_the_shell_and_restores_the_terminal() {
    for backend in BACKENDS.into_iter().filter(|backend| works(backend)) {
        let mut terminal = Terminal::with(apprentice(backend, "shell"));
        let before = terminal.flags();
        terminal.types("echo rea$((1))y; sleep 100\r");
        terminal.sees("rea1y");
        assert_ne!(terminal.flags(), before);
        // SAFETY: a plain system call on our own child.
        unsafe { libc::kill(terminal.child.id() as i32, libc::SIGTERM) };
        assert_eq!(terminal.code(), Some(130), "{backend}");
        assert_eq!(terminal.flags(), before, "{backend}");
    }
}

#[test]
fn what_the_caller_ignores_commands_do_not() {
    for backend in BACKENDS.into_iter().filter(|backend| works(backend)) {
        let mut command = apprentice(backend, "run");
        command.args(["--", "sh", "-c", "echo begun; kill -INT $$; echo survived"]);
        // SAFETY: a plain system call of a new process.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_IGN);
                Ok(())
            });
        }
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "begun\n", "{backend}");
    }
}

#[test]
fn without_a_terminal_each_line_is_a_command() {
    for backend in BACKENDS.into_iter().filter(|backend| works(backend)) {
        let mut shell = apprentice(backend, "shell");
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(b"export A=1; [ -t 0 ] || echo none\necho $A\nfalse\n")
            .unwrap();
        let Output { status, stdout, .. } = shell.wait_with_output().unwrap();
        assert_eq!((status.code(), String::from_utf8(stdout).unwrap().as_str()), (Some(1), "none\n1\n"));
    }
}

#[test]
fn a_command_in_a_pipeline_prints_on_the_streams_that_it_printed_on() {
    for backend in BACKENDS.into_iter().filter(|backend| works(backend)) {
        let script = "printf 'a\\377'; echo b >&2; echo c";
        let Output { status, stdout, stderr } =
            apprentice(backend, "run").args(["--", script]).output().unwrap();
        assert!(status.success());
        assert_eq!((stdout.as_slice(), stderr.as_slice()), (&b"a\xffc\n"[..], &b"b\n"[..]), "{backend}");
        let told = apprentice(backend, "run").args(["--json", "--", script]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(told["output"], "a\u{fffd}b\nc\n");
        assert_eq!((&told["stdout"], &told["stderr"]), (&"a\u{fffd}c\n".into(), &"b\n".into()));
        assert_eq!(told["pieces"][1], serde_json::json!({"stream": "stderr", "start": 4, "end": 6}));
    }
}

//! The claims about a shell on a terminal of its own, and about commands that have none.

use std::time::{Duration, Instant};

use apprentice::sandbox::Sandbox;
use apprentice::sandbox::terminal::{Keys, Size, Terminal};
use apprentice::trajectory::Exit;
use tokio::sync::mpsc;

use crate::ground::{Ground, output, run};

const SIZE: Size = Size { rows: 30, columns: 100 };
const PATIENCE: Duration = Duration::from_secs(60);

/// A user at a terminal.
struct User {
    keys: mpsc::Sender<Keys>,
    screen: mpsc::Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl User {
    fn at_a_terminal() -> (Self, Terminal) {
        let (keys, heard) = mpsc::channel(16);
        let (shown, screen) = mpsc::channel(16);
        let terminal = Terminal { kind: "xterm".to_owned(), size: SIZE, keys: heard, screen: shown };
        (Self { keys, screen, seen: Vec::new() }, terminal)
    }

    async fn types(&self, text: &str) {
        self.keys.send(Keys::Typed(text.as_bytes().to_vec())).await.unwrap();
    }

    /// Waits until the screen shows `text`, and forgets all before.
    async fn sees(&mut self, text: &str) {
        let find = |seen: &[u8]| seen.windows(text.len()).position(|window| window == text.as_bytes());
        let begin = Instant::now();
        loop {
            if let Some(at) = find(&self.seen) {
                self.seen.drain(..at + text.len());
                return;
            }
            let shown = tokio::time::timeout(PATIENCE, self.screen.recv()).await;
            let Ok(Some(shown)) = shown else {
                panic!(
                    "{text:?} is not in {:?} after {:?}",
                    String::from_utf8_lossy(&self.seen),
                    begin.elapsed()
                );
            };
            self.seen.extend(shown);
        }
    }
}

/// Lets a user talk to a shell; gives how it ended.
async fn talk(sandbox: &mut Box<dyn Sandbox>, talk: impl AsyncFnOnce(&mut User)) -> Exit {
    let (mut user, terminal) = User::at_a_terminal();
    let talking = async {
        talk(&mut user).await;
        // Whoever still looks keeps the shell from waiting for somebody to look.
        while user.screen.recv().await.is_some() {}
    };
    let (exit, ()) = tokio::join!(sandbox.interact(terminal), talking);
    exit.unwrap()
}

pub(crate) async fn a_shell_on_a_terminal_is_interactive(ground: &Ground) {
    let mut sandbox = ground.start(&[("here", b"")]).await;
    let exit = talk(&mut sandbox, async |user| {
        user.types("[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo tt$((1 + 1)) $TERM $FROM_SPEC; ls\r").await;
        user.sees("tt2 xterm spec\r\nhere\r\n").await;
        user.types("python=$(stty size </dev/tty); echo \"<$python>\"\r").await;
        user.sees("<30 100>").await;
        user.keys.send(Keys::Resized(Size { rows: 41, columns: 121 })).await.unwrap();
        user.types("until [ \"$(stty size)\" = '41 121' ]; do sleep 0.01; done; echo resi$((2))ed\r").await;
        user.sees("resi2ed").await;
        // An interrupt ends the program in front, not the shell. Cat shows what it reads once it runs: a
        // shell can miss an interrupt that comes while it starts a program.
        user.types("PS1='next''> '; echo wai$((3))s | cat - /dev/tty\r").await;
        user.sees("wai3s").await;
        user.types("\u{3}").await;
        // What is typed before the shell prompts again may go to the program that was interrupted.
        user.sees("next> ").await;
        user.types("echo code $(($? + 1000))\r").await;
        user.sees("code 1130").await;
        user.types("exit 7\r").await;
    });
    assert_eq!(exit.await, Exit::Code(7));
    assert_eq!(output(&mut sandbox, "echo on").await, "on\n");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn who_hangs_up_ends_the_shell_and_what_it_left(ground: &Ground) {
    let mut sandbox = ground.start(&[]).await;
    let exit = talk(&mut sandbox, async |user| {
        user.types("(trap '' HUP TERM; while :; do echo >> beats; sleep 0.02; done) &\r").await;
        user.types("until [ -s beats ]; do sleep 0.01; done; trap '' HUP; echo beat$((1))\r").await;
        user.sees("beat1").await;
        user.keys.send(Keys::HungUp).await.unwrap();
    });
    assert_eq!(exit.await, Exit::Signal(9));
    let beats = output(&mut sandbox, "wc -l < beats").await;
    assert_eq!(output(&mut sandbox, "sleep 0.3; wc -l < beats").await, beats, "its processes are dead");
    sandbox.stop().await.unwrap();
}

pub(crate) async fn a_flood_on_a_terminal_and_typing_do_not_block_each_other(ground: &Ground) {
    const LINES: usize = 20_000;
    let mut sandbox = ground.start(&[]).await;
    let exit = talk(&mut sandbox, async |user| {
        user.types("stty raw -echo; echo rea$((1))y; exec cat\r").await;
        user.sees("rea1y").await;
        let keys = user.keys.clone();
        let pasting = tokio::spawn(async move {
            for line in 0..LINES {
                keys.send(Keys::Typed(format!("line {line:05}\n").into_bytes())).await.unwrap();
            }
        });
        user.sees(&format!("line {:05}\n", LINES - 1)).await;
        pasting.await.unwrap();
        user.keys.send(Keys::HungUp).await.unwrap();
    });
    assert_eq!(exit.await, Exit::Signal(9));
    sandbox.stop().await.unwrap();
}

pub(crate) async fn programs_that_want_a_user_end_at_once(ground: &Ground) {
    let mut sandbox = ground.start(&[("text", b"text\n")]).await;
    let begin = Instant::now();
    for (program, script) in [
        ("bash", "read -r x; echo \"<$x>\"; read -rp 'Sure? ' x < /dev/tty; echo on"),
        ("bash", "bash -i <<< 'echo on'; select x in a b; do :; done; echo on"),
        ("python3", "python3; python3 -c 'input()'; echo on"),
        // Vim is none of them: it then waits for keys on its stderr, as outside, until its deadline.
        ("ex", "ex text; echo on"),
        ("less", "less text; echo on"),
        ("top", "top; echo on"),
        ("git", "cd $(mktemp -d) && git init -q . && git commit --allow-empty; git add -p; echo on"),
    ] {
        // What the sandbox does not have cannot wait.
        let seen =
            run(&mut sandbox, &format!("command -v {program} >/dev/null || {{ echo on; exit; }}; {script}"))
                .await;
        println!("{program}: {:?} in {:.2} s", seen.exit, seen.elapsed_seconds);
        assert!(seen.output.ends_with("on\n"), "{script}: {seen:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(25), "{:?}", begin.elapsed());
    sandbox.stop().await.unwrap();
}

/// Where nothing but our looking bounds what is written.
pub(crate) async fn a_shell_on_a_terminal_that_fills_the_disk_is_ended(mut ground: Ground) {
    ground.spec.limits.disk_mib = 16;
    let mut sandbox = ground.start(&[]).await;
    let exit = talk(&mut sandbox, async |user| {
        // No file alone is too large.
        user.types("for i in 1 2 3; do head -c 12000000 /dev/zero > f$i; done; sleep 600\r").await;
    });
    assert_eq!(exit.await, Exit::Signal(libc::SIGXFSZ));
    assert_eq!(run(&mut sandbox, "echo on").await.output, "on\n");
    sandbox.stop().await.unwrap();
}

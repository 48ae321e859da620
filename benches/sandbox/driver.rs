//! The process that drives one peer: `peers.py`, asked by lines of JSON.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// No answer takes longer: the slowest, 32 sandboxes at once, takes about a minute.
const PATIENCE: Duration = Duration::from_secs(400);

/// A running driver.
pub(crate) struct Driver {
    child: Child,
    questions: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Driver {
    /// Starts the driver with `arguments`; what the peer says goes to `log`.
    pub(crate) fn start(python: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/sandbox/peers.py");
        let log = fs_err::OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .env("MSWEA_SILENT_STARTUP", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.into_file())
            .spawn()
            .context("starting peers.py")?;
        let stdout = child.stdout.take().context("the driver's answers are not piped")?;
        let questions = child.stdin.take();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            // Ends when the driver ends, or when nobody listens any more.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, questions, answers })
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask(&mut self, question: &Value) -> Result<Value> {
        let questions = self.questions.as_mut().context("the driver was given up")?;
        writeln!(questions, "{question}").context("the driver has ended")?;
        let Ok(line) = self.answers.recv_timeout(PATIENCE) else {
            self.questions = None;
            self.child.kill()?;
            bail!("the driver ended, or did not answer within {} s", PATIENCE.as_secs());
        };
        let answer: Value = serde_json::from_str(&line)?;
        match answer["error"].as_str() {
            Some(error) => bail!("{error}"),
            None => Ok(answer),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The end of its input lets it stop what is open.
        self.questions = None;
        if let Err(error) = self.child.wait() {
            println!("skipped: waiting for a driver: {error}");
        }
    }
}

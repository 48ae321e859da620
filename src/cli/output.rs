//! The only place that prints: results on stdout, everything else on stderr.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::failure::Failure;

/// Where a command's words go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// An output with the user's choices.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether results are JSON.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Whether progress may be drawn.
    pub fn is_interactive(self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    /// Prints a result: `value` as one line of JSON under `--json`, else `human`.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn result(self, value: &impl Serialize, human: &str) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string(value)? } else { human.trim_end().to_owned() };
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}")?;
        Ok(())
    }

    /// Prints data as it is, such as a patch or JSON lines.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn data(self, bytes: &[u8]) -> anyhow::Result<()> {
        std::io::stdout().lock().write_all(bytes)?;
        Ok(())
    }

    /// Shows at once what a program writes to its terminal.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn show(self, bytes: &[u8]) -> anyhow::Result<()> {
        self.data(bytes)?;
        std::io::stdout().flush()?;
        Ok(())
    }

    /// Whether stdout and stderr are the same file or terminal, so that only one order of both can be read there.
    pub fn is_one_place(self) -> bool {
        match (rustix::fs::fstat(std::io::stdout()), rustix::fs::fstat(std::io::stderr())) {
            (Ok(out), Ok(err)) => (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino),
            _ => false,
        }
    }

    /// Prints what a program printed on each stream on the same stream.
    ///
    /// # Errors
    /// When either cannot be written.
    pub fn both(self, stdout: &[u8], stderr: &[u8]) -> anyhow::Result<()> {
        self.data(stdout)?;
        std::io::stderr().lock().write_all(stderr)?;
        Ok(())
    }

    /// Says one line to the user, on stderr, unless `--quiet`.
    pub fn say(self, line: &str) {
        if !self.quiet {
            write_stderr(&format!("{line}\n"));
        }
    }

    /// Prints a failure: its causes on stderr, or as JSON on stdout under `--json`.
    pub fn failure(self, failure: &Failure) {
        let causes: Vec<String> = failure.source.chain().map(ToString::to_string).collect();
        if self.json {
            let value = serde_json::json!({"error": causes.join(": "), "hint": failure.hint});
            let mut stdout = std::io::stdout().lock();
            // A closed stdout leaves nobody to tell; the exit code still speaks.
            drop(writeln!(stdout, "{value}"));
            return;
        }
        let mut lines = vec![format!("error: {}", causes[0])];
        lines.extend(causes[1..].iter().map(|cause| format!("  caused by: {cause}")));
        lines.extend(failure.hint.iter().map(|hint| format!("hint: {hint}")));
        write_stderr(&(lines.join("\n") + "\n"));
    }
}

fn write_stderr(text: &str) {
    // A closed stderr leaves nobody to tell.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

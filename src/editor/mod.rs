//! Agents' editors, emulated: the calls in, the exact text that the original printed out.
//!
//! Guarantees the observations of SWE-agent's windowed editors, of its `str_replace_editor` and of OpenHands' byte
//! for byte, up to what a terminal adds (carriage returns); docs/editors.md lists the exceptions. Our own dialect has
//! none of their faults. Knows no sandbox: [`Files`] is all it asks of one. An agent's mistake is an [`Outcome`] with
//! the original's message, never an error.

mod call;
mod history;
mod lint;
mod open_hands;
mod ours;
mod python;
mod search;
mod search_replace;
mod shell;
mod shown;
mod str_replace;
mod tools;
mod window;
mod words;

use async_trait::async_trait;

use crate::trajectory::{Dialect, Edition, EditorCall, EditorSetup};

pub use call::{is_call, read_call};
pub use shown::{show, structure};
pub use words::split as split_words;

/// What an editor needs of the machine whose files it edits.
#[async_trait]
pub trait Files: Send {
    /// Why the machine itself failed.
    type Error: Send;

    /// Reads an absolute path.
    async fn read(&mut self, path: &str) -> Result<Found, Self::Error>;

    /// Writes a whole file at an absolute path, making its parent directories. Gives the reason
    /// when the machine does not let the agent.
    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<Option<String>, Self::Error>;

    /// Runs a script in the agent's current directory and gives what it printed.
    async fn run(&mut self, script: &str) -> Result<String, Self::Error>;
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A regular file with these bytes.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// Nothing.
    Missing,
    /// Something that may not be read.
    Refused(String),
}

/// What a call printed and how it exited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Everything printed, with its last line end.
    pub output: String,
    /// The exit code: 0 when the call did its work.
    pub code: i32,
}

impl Outcome {
    fn done(output: impl Into<String>) -> Self {
        Self { output: output.into(), code: 0 }
    }

    fn failed(output: impl Into<String>, code: i32) -> Self {
        Self { output: output.into(), code }
    }
}

/// What an editor remembers between calls; a fork of a sandbox takes a clone of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Release and window.
    pub setup: EditorSetup,
    /// The open file, an absolute path.
    pub file: Option<String>,
    /// The window: its middle line, from 1 (shell editions), or its first line, from 0 (programs).
    line: i64,
    /// The cursors, from 1.
    cursors: (i64, i64),
    /// Scroll calls in a row.
    scrolls: usize,
    /// What can be taken back.
    history: history::History,
}

impl State {
    /// An editor with no file open.
    pub fn new(setup: EditorSetup) -> Self {
        Self { setup, ..Self::default() }
    }

    /// Says that the agent did something else than calling the editor.
    pub fn interrupted(&mut self) {
        self.scrolls = 0;
    }
}

/// Does what `call` asks and gives what the original would have printed.
///
/// # Errors
/// Only when the machine fails.
pub async fn perform<F: Files>(
    files: &mut F,
    state: &mut State,
    call: &EditorCall,
) -> Result<Outcome, F::Error> {
    match call.dialect {
        Dialect::SearchReplace => return search_replace::perform(files, &call.text).await,
        Dialect::NamedFiles => return shown::named(files, &call.text).await,
        _ => {}
    }
    let parsed = match read_call(call) {
        Ok(parsed) => parsed,
        Err(message) => return Ok(Outcome::failed(format!("{message}\n"), 2)),
    };
    if !parsed.name.starts_with("scroll_") {
        state.interrupted();
    }
    match (call.dialect, parsed.name.as_str()) {
        (Dialect::SweAgentStrReplace, _) => str_replace::perform(files, &parsed).await,
        (Dialect::OpenHands, _) => open_hands::perform(files, state, &parsed).await,
        (Dialect::Ours, _) => ours::perform(files, state, &parsed).await,
        (_, "find_file") => search::find_file(files, &parsed.words).await,
        (_, "search_dir") => search::search_dir(files, &parsed.words).await,
        (_, "search_file") => search::search_file(files, state.file.as_deref(), &parsed.words).await,
        _ if state.setup.edition <= Edition::Shell => {
            shell::perform(files, state, call.dialect, &parsed).await
        }
        _ => tools::perform(files, state, call.dialect, &parsed).await,
    }
}

/// The absolute form of `path` in the agent's current directory, `.` and `..` resolved.
async fn absolute<F: Files>(files: &mut F, path: &str) -> Result<String, F::Error> {
    let base = if path.starts_with('/') { String::new() } else { directory(files).await? };
    Ok(normal(&base, path))
}

/// The agent's current directory.
async fn directory<F: Files>(files: &mut F) -> Result<String, F::Error> {
    Ok(files.run("pwd -P").await?.trim_end_matches('\n').to_owned())
}

fn normal(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `text` as one word of a shell command.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

//! Test output read into one status a test.
//!
//! Pure functions on text. Guarantees that a test which the output does not name has no status, that
//! several statuses of one test count as the worst, and that what a test prints after its runner's
//! own report cannot improve a status. Cannot tell a runner from code that perfectly imitates it.

pub mod compat;
pub mod pytest;
pub mod tap;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::task::Parser;

/// What became of one test, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It passed.
    Passed,
    /// It passed although it was expected to fail.
    XPassed,
    /// It failed as expected.
    XFailed,
    /// It did not run.
    Skipped,
    /// Its set-up, its tear-down or its file broke.
    Error,
    /// It failed.
    Failed,
}

impl Status {
    /// Whether the runner counts it as a success.
    pub fn is_pass(self) -> bool {
        matches!(self, Self::Passed | Self::XPassed | Self::XFailed)
    }
}

/// The status of every test that an output names.
pub type Statuses = BTreeMap<String, Status>;

/// Reads the output of a test command.
pub fn read(parser: &Parser, log: &str) -> Statuses {
    match parser {
        Parser::Pytest => pytest::read(log),
        Parser::Tap => tap::read(log),
        Parser::Compat(name) => compat::read(name, &compat::Context::default(), log)
            .map_or_else(|_| Statuses::new(), |map| compat::statuses(&map)),
    }
}

/// The status of the test `id`.
///
/// Published ids may be cut inside a parameter (more `[` than `]`): such an id stands for all
/// tests that start with it, and the worst of them counts.
pub fn status_of(statuses: &Statuses, id: &str) -> Option<Status> {
    if let Some(status) = statuses.get(id) {
        return Some(*status);
    }
    if id.matches('[').count() <= id.matches(']').count() {
        return None;
    }
    let starting = statuses.range(id.to_owned()..).take_while(|(name, _)| name.starts_with(id));
    starting.map(|(_, status)| *status).max()
}

/// Notes a status; of several, the worst stays.
fn note(statuses: &mut Statuses, id: &str, status: Status) {
    let entry = statuses.entry(id.to_owned()).or_insert(status);
    *entry = status.max(*entry);
}

/// A line without colours and control characters.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' && chars.peek() == Some(&'[') {
            // A control sequence ends at its first letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else if !char.is_control() || char == '\t' {
            text.push(char);
        }
    }
    text
}

#[cfg(test)]
pub(crate) fn fixture(path: &str) -> Option<String> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures");
    let root = std::env::var("APPRENTICE_FIXTURES").unwrap_or_else(|_| default.to_owned());
    if !std::path::Path::new(&root).exists() {
        println!("skipped: ../shared is not here");
        return None;
    }
    Some(fs_err::read_to_string(format!("{root}/{path}")).unwrap())
}

#[cfg(test)]
mod tests;

//! What everybody who is measured can be asked for. Plain types; one open sandbox each.

use std::path::Path;

use anyhow::Result;

/// Somebody who makes sandboxes. Seconds are measured on its side, around its own calls.
pub(crate) trait Contender {
    /// Makes a sandbox and runs `true` in it; gives the seconds. The sandbox stays open.
    fn start(&mut self) -> Result<f64>;
    /// Runs the work in the open sandbox `times` times; gives the seconds of each.
    fn run(&mut self, work: &Work, times: usize) -> Result<Vec<f64>>;
    /// Removes the open sandbox, if there is one.
    fn stop(&mut self) -> Result<()>;
    /// Starts `size` sandboxes at once, then runs the work `times` times in each, all at once.
    fn crowd(&mut self, size: usize, work: &Work, times: usize) -> Result<Crowd>;
    /// Opens a sandbox that holds the repository, and changes it.
    fn hold(&mut self, repository: &Path, changes: &str) -> Result<()>;
    /// Forks the open sandbox and runs a script in the child; gives the seconds. The child is removed.
    fn fork(&mut self, check: &str) -> Result<f64>;
}

/// A script that must succeed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) script: &'static str,
    /// Bytes that it prints; fewer is a failure.
    pub(crate) prints: usize,
}

/// What many sandboxes at once took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// Mean seconds from the common start to a sandbox's first answer.
    pub(crate) start_seconds: f64,
    /// Of all sandboxes together.
    pub(crate) commands_per_second: f64,
}

impl Crowd {
    pub(crate) fn new(starts: &[f64], seconds: f64, times: usize) -> Self {
        Self {
            start_seconds: starts.iter().sum::<f64>() / starts.len() as f64,
            commands_per_second: (starts.len() * times) as f64 / seconds,
        }
    }
}

/// Whether a command sees what the one before left in its shell. Like is compared with like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Session,
    Stateless,
}

/// On whose side a contender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Peer,
}

/// A contender with what the report says of it.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) side: Side,
    pub(crate) mode: Mode,
    /// Whether it takes part in the measure of forks; one of each kind of sandbox does.
    pub(crate) forks: bool,
    pub(crate) contender: Box<dyn Contender>,
}

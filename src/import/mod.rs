//! Importers: other projects' files become trajectories and tasks.
//!
//! A file holds JSON values, lines of them, an array of them, rows of Parquet, or YAML. Guarantees that a
//! record is either a trajectory or a [`Reject`] that names file, line, step and reason: nothing is dropped
//! silently. Runs nothing.

mod atif;
mod atif_own;
mod chat;
mod coder_forge;
mod cursor;
mod ends;
mod escapes;
mod family;
pub mod json;
mod lines;
mod markup;
mod mini_swe_agent;
mod names;
pub mod native;
mod nebius;
mod nemo_gym;
mod nemotron;
mod observed;
mod openhands;
mod openhands_events;
#[cfg(feature = "parquet")]
mod parquet;
mod problem;
mod r2e_gym;
mod read;
mod responses;
mod sera;
mod source;
mod steps;
pub mod swe_agent;
mod swe_gym;
mod swe_rebench;
mod swe_smith;
pub mod task;
mod tools;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::fsio;
use crate::trajectory::Trajectory;

pub use cursor::MOST_BYTES;
pub use json::Json;
pub use read::{Outcome, each, each_as, read_file};

/// A format of recorded trajectories.
///
/// ```
/// use apprentice::import::{Json, sniff};
/// let record = Json::parse(r#"{"format": "apprentice.trajectory/1"}"#).unwrap();
/// assert_eq!(sniff(&record).unwrap().name(), "native");
/// ```
pub trait TrajectoryFormat: Sync {
    /// Its name after `--from`.
    fn name(&self) -> &'static str;

    /// Whether `record` looks like this format; cheap, by keys and a few words.
    fn recognizes(&self, record: &Json) -> bool;

    /// Reads one record: a trajectory, or one for each attempt where a record keeps several.
    ///
    /// # Errors
    /// What is wrong and at which step.
    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError>;
}

/// Every format, in the order in which they are tried: those with marks of their own first, bare chats last
/// of agents' runs, worked solutions of mathematics after them.
pub static FORMATS: &[&dyn TrajectoryFormat] = &[
    &native::Native,
    &atif::Atif,
    &swe_agent::SweAgent,
    &nebius::Nebius,
    &swe_rebench::FORMAT,
    &openhands_events::OpenHandsEvents,
    &r2e_gym::R2eGym,
    &nemo_gym::NemoGym,
    &nemotron::Nemotron,
    &swe_gym::FORMAT,
    &coder_forge::FORMAT,
    &sera::FORMAT,
    &mini_swe_agent::MINI_CODER,
    &mini_swe_agent::KWAI_KLEAR,
    &mini_swe_agent::FORMAT,
    &swe_smith::FORMAT,
    &openhands::FORMAT,
    &task::math::SOLUTIONS[0],
    &task::math::SOLUTIONS[1],
    &task::math::SOLUTIONS[2],
    &task::math::SOLUTIONS[3],
    &task::math::SOLUTIONS[4],
    &task::math::SOLUTIONS[5],
    &task::math::SOLUTIONS[6],
];

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its file.
    pub file: PathBuf,
    /// Its line, from 1; absent when the whole file is the record.
    pub line: Option<u64>,
    /// The task to file it under, whatever the record says.
    pub task: Option<String>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The text is not JSON.
    #[error("not JSON: {reason}")]
    Json {
        /// The parser's words, with its column.
        reason: String,
        /// Whether the text just ends.
        truncated: bool,
    },
    /// No format knows it.
    #[error("no known trajectory format: {reason}")]
    Unknown {
        /// What was found instead.
        reason: String,
    },
    /// The record lacks something or holds something else than its format says.
    #[error("{reason}")]
    Record {
        /// What is wrong.
        reason: String,
    },
    /// The record is larger than what is read at once.
    #[error("the record is larger than {most_mib} MiB")]
    TooLarge {
        /// What is read of one record.
        most_mib: usize,
    },
    /// The record is one reply without commands.
    #[error("it is a single reply without a command: there is nothing to replay")]
    SingleReply,
    /// The record is a problem without a solution in steps (mathematics).
    #[error("{reason}")]
    NoSteps {
        /// What is there instead.
        reason: String,
    },
    /// A step lacks something or holds something else than its format says.
    #[error("step {step}: {reason}")]
    Step {
        /// Which step, from 1.
        step: usize,
        /// What is wrong.
        reason: String,
    },
}

impl RecordError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Json { truncated: true, .. } => "get the file again: its end is missing",
            Self::Json { .. } => "repair the JSON, or leave the record out with `--keep-going`",
            Self::Unknown { .. } => "name the format with `--from`",
            Self::TooLarge { .. } => "split the record, or leave it out with `--keep-going`",
            Self::SingleReply => "use a data set of agents that acted, or leave it out with `--keep-going`",
            Self::NoSteps { .. } => {
                "number the solution's steps, 1. 2. 3. …; such problems are left out and counted"
            }
            Self::Record { .. } | Self::Step { .. } => {
                "repair the record, or leave it out with `--keep-going`"
            }
        }
    }
}

/// A record that could not be read, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reject {
    /// Its file.
    pub file: PathBuf,
    /// Its line, from 1, and the line of the error in a file that is one record.
    pub line: u64,
    /// Where the record starts in the file, in bytes.
    pub byte: u64,
    /// The column of the error, from 1, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The step, from 1, where it is one step's fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// Whether it is a problem without a solution in steps, which is left out and counted as such.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_steps: bool,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: line {}", self.file.display(), self.line)?;
        if let Some(column) = self.column {
            write!(f, ": column {column}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for Reject {}

/// How to import.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// The format; found by looking when absent.
    pub format: Option<&'a dyn TrajectoryFormat>,
    /// The task to file every trajectory under.
    pub task: Option<&'a str>,
}

/// The format with this name.
pub fn format(name: &str) -> Option<&'static dyn TrajectoryFormat> {
    FORMATS.iter().copied().find(|format| format.name() == name)
}

/// The first format that recognizes `record`.
pub fn sniff(record: &Json) -> Option<&'static dyn TrajectoryFormat> {
    FORMATS.iter().copied().find(|format| format.recognizes(record))
}

/// What one file gave.
#[derive(Debug, Default)]
pub struct Imported {
    /// The readable records, in the file's order.
    pub trajectories: Vec<Trajectory>,
    /// The others.
    pub rejects: Vec<Reject>,
}

fn unknown(record: &Json) -> RecordError {
    let names: Vec<&str> = FORMATS.iter().map(|format| format.name()).collect();
    let found = match record {
        Json::Object(entries) => {
            let keys: Vec<String> = entries.iter().take(6).map(|(key, _)| format!("`{key}`")).collect();
            format!("an object with the keys {}", keys.join(", "))
        }
        Json::List(items) => format!("a list of {} items", items.len()),
        _ => "a plain value".to_owned(),
    };
    RecordError::Unknown { reason: format!("found {found}; known are {}", names.join(", ")) }
}

/// Endings of the files that are read below a directory.
const ENDINGS: &[&str] =
    &[".traj", ".jsonl", ".ndjson", ".jsonl.gz", ".json", ".json.gz", ".parquet", ".demo.yaml"];
/// What runs leave beside their trajectories.
const NO_TRAJECTORIES: &[&str] = &["preds.json", "rejects.jsonl"];

/// The files that `sources` name: files as they are, directories by what is below them with a
/// trajectory's ending, sorted.
///
/// # Errors
/// When a path cannot be read.
pub fn files(sources: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for source in sources {
        if fs_err::metadata(source)?.is_dir() {
            files.extend(fsio::files_below(source)?.into_iter().filter(|path| holds_trajectories(path)));
        } else {
            files.push(source.clone());
        }
    }
    Ok(files)
}

fn holds_trajectories(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ENDINGS.iter().any(|ending| name.ends_with(ending)) && !NO_TRAJECTORIES.contains(&&*name)
}

//! Importers: other projects' files become trajectories and tasks.
//!
//! A file holds one JSON value or one a line. Guarantees that a record is either a trajectory or a
//! [`Reject`] that names file, line, step and reason: nothing is dropped silently. Runs nothing.

pub mod atif_own;
pub mod native;
pub mod swe_agent;
pub mod swe_bench;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::fsio;
use crate::trajectory::Trajectory;

/// A format of recorded trajectories.
///
/// ```
/// use apprentice::import::{FORMATS, sniff};
/// let record = serde_json::json!({"format": "apprentice.trajectory/1"});
/// assert_eq!(sniff(&record).unwrap().name(), "native");
/// assert_eq!(FORMATS.len(), 2);
/// ```
pub trait TrajectoryFormat: Sync {
    /// Its name after `--from`.
    fn name(&self) -> &'static str;

    /// Whether `record` looks like this format; cheap, by keys only.
    fn recognizes(&self, record: &Value) -> bool;

    /// Reads one record.
    ///
    /// # Errors
    /// What is wrong and at which step.
    fn parse(&self, record: &Value, origin: &Origin) -> Result<Trajectory, RecordError>;
}

/// Every format, in the order in which they are tried.
pub const FORMATS: &[&dyn TrajectoryFormat] = &[&native::Native, &swe_agent::SweAgent];

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
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
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
pub fn sniff(record: &Value) -> Option<&'static dyn TrajectoryFormat> {
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

/// Reads every record of `path`: one JSON value, or one a line in a `.jsonl` file.
///
/// # Errors
/// When the file itself cannot be read; what is wrong with a record is a [`Reject`].
pub fn read_file(path: &Path, options: Options<'_>) -> anyhow::Result<Imported> {
    let mut imported = Imported::default();
    let task = options.task.map(str::to_owned);
    let mut take = |text: &str, number: u64, byte: u64, line: Option<u64>| {
        let origin = Origin { file: path.to_owned(), line, task: task.clone() };
        match read_record(text, &origin, options.format) {
            Ok(trajectory) => imported.trajectories.push(trajectory),
            Err(error) => imported.rejects.push(reject(path, number, byte, line, &error)),
        }
    };
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        for line in fsio::lines(path)? {
            let line = line?;
            if !line.text.trim().is_empty() {
                take(&line.text, line.number, line.byte, Some(line.number));
            }
        }
    } else {
        take(&fs_err::read_to_string(path)?, 1, 0, None);
    }
    Ok(imported)
}

fn read_record(
    text: &str,
    origin: &Origin,
    format: Option<&dyn TrajectoryFormat>,
) -> Result<Trajectory, Located> {
    let record: Value = serde_json::from_str(text).map_err(|error| Located {
        place: Some((error.line(), error.column())),
        error: RecordError::Json { reason: error.to_string(), truncated: error.is_eof() },
    })?;
    let format = match format {
        Some(format) => format,
        None => sniff(&record).ok_or_else(|| unknown(&record))?,
    };
    Ok(format.parse(&record, origin)?)
}

/// An error and its place in the record's text: line and column, from 1.
struct Located {
    place: Option<(usize, usize)>,
    error: RecordError,
}

impl From<RecordError> for Located {
    fn from(error: RecordError) -> Self {
        Self { place: None, error }
    }
}

fn unknown(record: &Value) -> RecordError {
    let names: Vec<&str> = FORMATS.iter().map(|format| format.name()).collect();
    let found = match record {
        Value::Object(object) => {
            let keys: Vec<String> = object.keys().take(6).map(|key| format!("`{key}`")).collect();
            format!("an object with the keys {}", keys.join(", "))
        }
        Value::Array(items) => format!("a list of {} items", items.len()),
        _ => "a plain value".to_owned(),
    };
    RecordError::Unknown { reason: format!("found {found}; known are {}", names.join(", ")) }
}

fn reject(path: &Path, number: u64, byte: u64, line: Option<u64>, located: &Located) -> Reject {
    let place = located.place.filter(|(line, _)| 0 < *line);
    let step = match located.error {
        RecordError::Step { step, .. } => Some(step),
        _ => None,
    };
    Reject {
        file: path.to_owned(),
        line: line.unwrap_or_else(|| place.map_or(number, |(line, _)| line as u64)),
        byte,
        column: place.map(|(_, column)| column),
        step,
        reason: located.error.to_string(),
        remedy: located.error.remedy().to_owned(),
    }
}

/// The files that `sources` name: files as they are, directories by what is below them with a
/// trajectory's extension, sorted.
///
/// # Errors
/// When a path cannot be read.
pub fn files(sources: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for source in sources {
        if fs_err::metadata(source)?.is_dir() {
            let is_record = |path: &PathBuf| {
                path.extension().is_some_and(|extension| extension == "traj" || extension == "jsonl")
            };
            files.extend(fsio::files_below(source)?.into_iter().filter(is_record));
        } else {
            files.push(source.clone());
        }
    }
    Ok(files)
}

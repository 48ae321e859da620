//! Rows of public data sets become tasks.
//!
//! One small file a data set, and the table [`FORMATS`] of them. A format is a pure function from a row to a task, or to
//! the reason why there is none. Guarantees that memory does not grow with the file, that every task is valid, and that
//! a row is either a task or a [`Refusal`] that says why: nothing is dropped. Runs nothing and fetches nothing.

mod commands;
mod eval_script;
pub mod math;
mod multi_swe_bench;
mod nemo_gym;
mod own;
mod r2e_gym;
mod read;
mod row;
mod swe_bench;
mod swe_bench_live;
mod swe_bench_pro;
mod swe_gym;
mod swe_rebench;
mod swe_rebench_v2;
mod swe_smith;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::fsio;
use crate::task::{FORMAT, Kind, Origin, Task};

pub use own::Own;
pub use read::{Outcome, each};
use row::Row;

/// A data set's form.
pub struct TaskFormat {
    /// Its name after `--from`.
    pub name: &'static str,
    /// Whether a row looks like this form, by its keys.
    recognizes: fn(&Row) -> bool,
    /// Reads a row: what the task is, or why it is none.
    task: fn(&Row) -> Result<Task, String>,
}

/// Every form, in the order in which they are tried: those with keys of their own first, the classic row last of code's,
/// mathematics after code.
pub static FORMATS: [&TaskFormat; 19] = [
    &nemo_gym::FORMAT,
    &r2e_gym::FORMAT,
    &multi_swe_bench::FORMAT,
    &swe_bench_pro::FORMAT,
    &swe_rebench_v2::FORMAT,
    &swe_rebench::FORMAT,
    &swe_bench_live::FORMAT,
    &swe_smith::FORMAT,
    &swe_gym::FORMAT,
    &swe_bench::FORMAT,
    &math::TASKS[0],
    &math::TASKS[1],
    &math::TASKS[2],
    &math::TASKS[3],
    &math::TASKS[4],
    &math::TASKS[5],
    &math::TASKS[6],
    &math::TASKS[7],
    &math::TASKS[8],
];

/// The form with this name.
pub fn format(name: &str) -> Option<&'static TaskFormat> {
    FORMATS.into_iter().find(|format| format.name == name)
}

/// How to import.
#[derive(Clone, Default)]
pub struct Options {
    /// The form; found by looking at each row when absent.
    pub format: Option<&'static TaskFormat>,
    /// Where the repository comes from, if not from the row's image.
    pub own: Option<Own>,
    /// Commands after those that the row's environment needs.
    pub setup: Vec<String>,
}

/// Where a row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its file.
    pub file: PathBuf,
    /// Its line, from 1; its row in Parquet.
    pub line: u64,
}

impl Place {
    /// A refusal of the row that stands here.
    pub fn refusal(self, id: &str, reason: &str) -> Refusal {
        Refusal { file: self.file, line: self.line, id: Some(id.to_owned()), reason: reason.to_owned() }
    }
}

/// A row that became no task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its file.
    pub file: PathBuf,
    /// Its line, from 1; its row in Parquet.
    pub line: u64,
    /// Its id, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.id {
            Some(id) => write!(f, "line {}: {id}: {}", self.line, self.reason),
            None => write!(f, "line {}: {}", self.line, self.reason),
        }
    }
}

impl std::error::Error for Refusal {}

/// Reads one row.
///
/// # Errors
/// Why it is no task.
pub fn task(row: &Map<String, Value>, options: &Options) -> Result<Task, String> {
    let row = &Row::new(row);
    let format = match options.format {
        Some(format) => format,
        None => sniff(row)?,
    };
    let mut task = (format.task)(row)?;
    task.origin.get_or_insert_with(|| origin(format.name, row, &task.id));
    if let Some(own) = &options.own {
        own.take(&mut task, row)?;
    }
    task.setup.extend(options.setup.iter().cloned());
    task.fault().map_or(Ok(task), Err)
}

fn sniff(row: &Row) -> Result<&'static TaskFormat, String> {
    if row.has("trajectory") || row.has("messages") {
        return Err("it is a trajectory, not a task; use `apprentice trajectory import`".to_owned());
    }
    FORMATS.into_iter().find(|format| (format.recognizes)(row)).ok_or_else(|| {
        let names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
        format!("no known data set has {}; known are {}", row.described(), names.join(", "))
    })
}

fn origin(dataset: &str, row: &Row, id: &str) -> Origin {
    let repo = row.repo().unwrap_or_else(|| id.to_owned());
    Origin { dataset: dataset.to_owned(), repo, row_hash: fsio::sha256_hex(row.canonical().as_bytes()) }
}

/// A code task with what nearly every data set says in the same words.
fn code(row: &Row, id: &str, problem: &str) -> Task {
    let owned = |key: &str| row.text(key).map(str::to_owned);
    Task {
        format: FORMAT.to_owned(),
        id: id.to_owned(),
        kind: Kind::Code,
        problem: problem.to_owned(),
        gold: owned("patch").filter(|patch| !patch.trim().is_empty()),
        language: owned("language").or_else(|| owned("repo_language")).map(|name| name.to_lowercase()),
        difficulty: owned("difficulty"),
        created_at: row.scalar("created_at"),
        license: owned("license_name").or_else(|| owned("license")),
        ..Task::default()
    }
}

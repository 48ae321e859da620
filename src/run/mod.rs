//! Run directories: everything that one invocation writes, and what it takes to resume it.
//!
//! Guarantees that a line is whole or absent, that the manifest is replaced atomically, that one
//! process at a time writes, and that a run resumes only with the recipe, seeds and data it began
//! with. Does not say what is trained or graded, and keeps clocks out of everything but `at`.

mod clock;
pub mod manifest;
pub mod tensorboard;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::event::{Event, EventSink, GroupSample};
use crate::fsio::{self, JsonLines};
pub use manifest::Manifest;
use tensorboard::TensorBoard;

/// Name and version in the first field of every line of `events.jsonl`.
pub const EVENT_FORMAT: &str = "apprentice.event/1";
/// Name and version in the first field of every line of `groups.jsonl`.
pub const GROUPS_FORMAT: &str = "apprentice.groups/1";
/// The file of groups in words.
pub const GROUPS: &str = "groups.jsonl";

const MANIFEST: &str = "manifest.json";
const LOCK: &str = ".lock";

/// Why a run directory cannot be made, opened or resumed.
#[derive(Debug, Error)]
pub enum RunError {
    /// The directory holds something already.
    #[error("`{path}` is not empty", path = path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
    },
    /// There is no run in the directory.
    #[error("`{path}` is not a run directory: it has no manifest.json", path = path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// Another process writes to it.
    #[error("another process is writing to `{path}`", path = path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the run cannot be read as what it should be.
    #[error("`{path}` line {line} is damaged", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A file of the run is of another kind or of a newer version.
    #[error("`{path}` is of format `{found}`, expected `{expected}`", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it says it is.
        found: String,
        /// What this program reads.
        expected: &'static str,
    },
    /// The run was begun with something else.
    #[error("`{path}` was begun with something else: {}", differences.join("; "), path = path.display())]
    Differs {
        /// The directory.
        path: PathBuf,
        /// What differs, one key a line.
        differences: Vec<String>,
    },
    /// The file system refused; the message names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    File(anyhow::Error),
}

impl RunError {
    /// What the user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "choose another `--out`, or continue the run there with `--resume`",
            Self::NotARun { .. } => "give the directory that a command wrote with `--out`",
            Self::InUse { .. } => "wait until it ends, or choose another `--out`",
            Self::Damaged { .. } => "remove that line, or start a new run",
            Self::Format { .. } => "use the version of apprentice that wrote it, or start a new run",
            Self::Differs { .. } => {
                "give the recipe, seeds and data that it was begun with, or start a new run"
            }
            Self::Io(_) | Self::File(_) => {
                "free space or correct permissions there, then continue with `--resume`"
            }
        }
    }
}

/// A run directory that this process may write to.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    manifest: Manifest,
    /// Held for its lock: dropping it lets the next process in.
    _lock: fs_err::File,
}

impl RunDir {
    /// Begins a run in `path`, which must be empty or absent.
    ///
    /// # Errors
    /// When something lies there already or the file system refuses.
    pub fn create(path: &Path, manifest: Manifest) -> Result<Self, RunError> {
        fs_err::create_dir_all(path)?;
        let lock = lock(path)?;
        if !is_empty(path)? {
            return Err(RunError::Taken { path: path.to_owned() });
        }
        manifest.save(&path.join(MANIFEST))?;
        Ok(Self { path: path.to_owned(), manifest, _lock: lock })
    }

    /// Continues the run in `path` if `manifest` asks for the same thing; the recorded manifest stays.
    ///
    /// # Errors
    /// When there is no run, or it was begun with another recipe, other seeds or other data.
    pub fn resume(path: &Path, manifest: &Manifest) -> Result<Self, RunError> {
        let recorded = read_manifest(path)?;
        let differences = recorded.differences(manifest);
        if !differences.is_empty() {
            return Err(RunError::Differs { path: path.to_owned(), differences });
        }
        Ok(Self { path: path.to_owned(), manifest: recorded, _lock: lock(path)? })
    }

    /// Opens the run in `path` to continue it as it was begun.
    ///
    /// # Errors
    /// When there is no run, or another process writes to it.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let manifest = read_manifest(path)?;
        Ok(Self { path: path.to_owned(), manifest, _lock: lock(path)? })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the run was begun.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Replaces the manifest, for what is known only later: digests of made data, the protection.
    ///
    /// # Errors
    /// When the file cannot be written; the old one then stays.
    pub fn update_manifest(&mut self, manifest: Manifest) -> Result<(), RunError> {
        manifest.save(&self.path.join(MANIFEST))?;
        self.manifest = manifest;
        Ok(())
    }

    /// The sink of `events.jsonl`, and of `groups.jsonl` once there is a sample, after what is there.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn events(&self) -> Result<EventFile, RunError> {
        Ok(EventFile { lines: self.lines("events.jsonl")?, samples: None, dir: self.path.clone() })
    }

    /// The sink of a TensorBoard file of this start, which goes on after `step` updates; for one stage of several in a
    /// directory of its name, which TensorBoard takes for a run of its own.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn tensorboard(&self, stage: Option<&str>, step: u64) -> Result<TensorBoard, RunError> {
        let dir = stage.map_or_else(|| self.path.clone(), |stage| self.path.join(stage));
        fs_err::create_dir_all(&dir).map_err(|error| RunError::File(error.into()))?;
        TensorBoard::create(&dir, step).map_err(RunError::File)
    }

    /// `trajectories.jsonl`, to append to.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn trajectories(&self) -> Result<JsonLines, RunError> {
        self.lines("trajectories.jsonl")
    }

    /// `predictions.jsonl`, to append to.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn predictions(&self) -> Result<JsonLines, RunError> {
        self.lines("predictions.jsonl")
    }

    /// Another file of JSON lines, to append to.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn lines(&self, name: &str) -> Result<JsonLines, RunError> {
        JsonLines::append_to(&self.path.join(name)).map_err(RunError::File)
    }

    /// Where checkpoints lie.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Where the checkpoint after update `step` lies.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("step-{step}"))
    }
}

/// A directory that this process alone writes to, until this is dropped.
#[derive(Debug)]
pub struct Hold {
    _lock: fs_err::File,
}

impl Hold {
    /// Takes hold of `path`, which is made: of a run's directory, or of one that holds other results.
    ///
    /// # Errors
    /// When another process writes to it or the file system refuses.
    pub fn of(path: &Path) -> Result<Self, RunError> {
        fs_err::create_dir_all(path)?;
        Ok(Self { _lock: lock(path)? })
    }
}

/// The first of `base`, `base-2`, `base-3` … that is absent or empty.
///
/// # Errors
/// When a directory cannot be read.
pub fn free_path(base: &Path) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let path = match number {
            1 => base.to_owned(),
            _ => PathBuf::from(format!("{}-{number}", base.display())),
        };
        if !path.exists() || is_empty(&path)? {
            return Ok(path);
        }
    }
    unreachable!("invariant: a file system has fewer directories than there are numbers")
}

/// Reads the manifest of the run in `path` without opening the run.
///
/// # Errors
/// When there is none or it cannot be read.
pub fn read_manifest(path: &Path) -> Result<Manifest, RunError> {
    let file = path.join(MANIFEST);
    if !file.exists() {
        return Err(RunError::NotARun { path: path.to_owned() });
    }
    Manifest::load(&file)
}

/// Reads the events of the run in `path`; a half-written last line is left out.
///
/// # Errors
/// When a whole line is not an event of this version.
pub fn read_events(path: &Path) -> Result<Vec<Event>, RunError> {
    read_lines(&path.join("events.jsonl"), EVENT_FORMAT)
}

/// The whole lines of a file of this format; none where there is no file.
fn read_lines<T: DeserializeOwned>(file: &Path, expected: &'static str) -> Result<Vec<T>, RunError> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(&fs_err::read(file)?).into_owned();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut values = Vec::new();
    for (line_idx, line) in whole.lines().enumerate() {
        let damaged = |source| RunError::Damaged { path: file.to_owned(), line: line_idx + 1, source };
        let record: serde_json::Value = serde_json::from_str(line).map_err(damaged)?;
        let found = record["format"].as_str().unwrap_or("none");
        if found != expected {
            let found = found.to_owned();
            return Err(RunError::Format { path: file.to_owned(), found, expected });
        }
        values.push(serde_json::from_value(record).map_err(damaged)?);
    }
    Ok(values)
}

/// Reads the samples of the run in `path`, none where it has no such file; of several of the same group the last one counts,
/// because a resumed run says it again.
///
/// # Errors
/// When a whole line is not a sample of this version.
pub fn read_samples(path: &Path) -> Result<Vec<GroupSample>, RunError> {
    let mut samples = BTreeMap::new();
    for (line_idx, sample) in read_lines(&path.join(GROUPS), GROUPS_FORMAT)?.into_iter().enumerate() {
        let sample: GroupSample = sample;
        let expert = sample.expert.as_ref().map(|expert| (expert.trajectory.clone(), expert.step));
        let place = (sample.phase.clone(), sample.step, sample.task.clone(), expert);
        samples.insert(place, (line_idx, sample));
    }
    let mut samples: Vec<(usize, GroupSample)> = samples.into_values().collect();
    samples.sort_by_key(|(line_idx, _)| *line_idx);
    Ok(samples.into_iter().map(|(_, sample)| sample).collect())
}

/// Appends events to `events.jsonl`, each with the time it came, and samples to a file beside it.
#[derive(Debug)]
pub struct EventFile {
    lines: JsonLines,
    /// Opened when there is a first one.
    samples: Option<JsonLines>,
    dir: PathBuf,
}

#[derive(serde::Serialize)]
struct EventLine<'a> {
    format: &'static str,
    at: String,
    #[serde(flatten)]
    event: &'a Event,
}

#[derive(serde::Serialize)]
struct SampleLine<'a> {
    format: &'static str,
    #[serde(flatten)]
    sample: &'a GroupSample,
}

impl EventSink for EventFile {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        let Event::GroupSampled(sample) = event else {
            return self.lines.push(&EventLine { format: EVENT_FORMAT, at: clock::now(), event });
        };
        let lines = match &mut self.samples {
            Some(lines) => lines,
            none => none.insert(JsonLines::append_to(&self.dir.join(GROUPS))?),
        };
        lines.push(&SampleLine { format: GROUPS_FORMAT, sample })
    }
}

fn is_empty(path: &Path) -> io::Result<bool> {
    for entry in fs_err::read_dir(path)? {
        let name = entry?.file_name();
        if name != LOCK && !fsio::is_temporary(&name) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn lock(path: &Path) -> Result<fs_err::File, RunError> {
    let file = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK))?;
    match file.file().try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(RunError::InUse { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(source.into()),
    }
}

#[cfg(test)]
mod tests;

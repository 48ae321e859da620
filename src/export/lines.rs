//! Our own trajectories, and lines of JSON as the other formats write them.
//!
//! Guarantees that a trajectory is read back equal.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ExportFormat, LessonSink, Options, Sink, TrajectorySink};
use crate::curate::lesson::Lesson;
use crate::fsio::whole::WholeFile;
use crate::trajectory::Trajectory;

/// The format `apprentice.trajectory/1`.
pub(super) struct Native;

impl ExportFormat for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn about(&self) -> &'static str {
        "our own JSON lines"
    }

    fn open(&self, out: &Path, _options: Options) -> anyhow::Result<Sink> {
        Ok(Sink::Trajectories(Box::new(Trajectories(WholeFile::create(out)?))))
    }
}

struct Trajectories(WholeFile);

impl TrajectorySink for Trajectories {
    fn push(&mut self, trajectory: &Trajectory) -> anyhow::Result<()> {
        self.0.push(trajectory)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec![self.0.finish()?])
    }
}

/// Lessons as lines of JSON, with what goes beside them.
pub(super) struct Lines {
    /// The lines.
    pub(super) file: WholeFile,
    /// A lesson's line.
    pub(super) row: fn(&Lesson<'_>) -> Value,
    /// Files to write at the end: path and text.
    pub(super) beside: Vec<(PathBuf, String)>,
}

impl LessonSink for Lines {
    fn push(&mut self, lesson: &Lesson<'_>) -> anyhow::Result<()> {
        self.file.push(&(self.row)(lesson))
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Vec<PathBuf>> {
        let mut written = vec![self.file.finish()?];
        for (path, text) in self.beside {
            crate::fsio::write_atomic(&path, text.as_bytes())?;
            written.push(path);
        }
        Ok(written)
    }
}

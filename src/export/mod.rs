//! Exporters: trajectories and examples become other projects' files.
//!
//! Guarantees that a file appears whole or not at all, and that each trainer's data comes with the step reward in the
//! form that the trainer calls. Which steps become examples is decided by `curate`; runs nothing.

mod atif;
mod lines;
mod openrlhf;
#[cfg(feature = "parquet")]
mod parquet;
mod plugin;
mod prime;
mod rows;
mod sft;
mod skyrl;
mod trl;
mod verl;

use std::path::{Path, PathBuf};

use crate::chat::Scaffold;
use crate::curate::lesson::Lesson;
use crate::reward::Scope;
use crate::task::Task;
use crate::trajectory::Trajectory;

/// A format that can be written.
pub trait ExportFormat: Sync {
    /// Its name after `--to`.
    fn name(&self) -> &'static str;

    /// What it writes, in a few words.
    fn about(&self) -> &'static str;

    /// Begins to write to `out`.
    ///
    /// # Errors
    /// When a file cannot be begun.
    fn open(&self, out: &Path, options: Options) -> anyhow::Result<Sink>;
}

/// Every format.
pub const FORMATS: &[&dyn ExportFormat] = &[
    &lines::Native,
    &atif::Atif,
    &sft::Sft,
    &trl::Trl,
    &verl::Verl,
    &skyrl::SkyRl,
    &prime::Prime,
    &openrlhf::OpenRlhf,
];

/// The format with this name.
pub fn format(name: &str) -> Option<&'static dyn ExportFormat> {
    FORMATS.iter().copied().find(|format| format.name() == name)
}

/// How to write, where a format leaves a choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Which text the step reward compares.
    pub scope: Scope,
    /// What becomes of thoughts in chats.
    pub thoughts: Thoughts,
    /// How rows are stored, where a trainer reads several ways.
    pub rows: Rows,
}

/// What becomes of thoughts in chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Thoughts {
    /// They stand in `<think>…</think>` before the action.
    #[default]
    Tags,
    /// They stand before the action as they are.
    Plain,
    /// They are left out.
    Off,
}

/// How rows are stored; Parquet where the build can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rows {
    /// Parquet.
    #[cfg_attr(feature = "parquet", default)]
    Parquet,
    /// JSON lines.
    #[cfg_attr(not(feature = "parquet"), default)]
    Jsonl,
}

/// Takes what a format is made of.
pub enum Sink {
    /// Whole records.
    Trajectories(Box<dyn TrajectorySink>),
    /// One conversation a trajectory.
    Chats(Box<dyn ChatSink>),
    /// One row an example.
    Lessons(Box<dyn LessonSink>),
}

/// Takes whole records.
pub trait TrajectorySink {
    /// Writes one.
    ///
    /// # Errors
    /// When it cannot be written.
    fn push(&mut self, trajectory: &Trajectory) -> anyhow::Result<()>;

    /// Ends the files and gives their paths.
    ///
    /// # Errors
    /// When they cannot be written.
    fn finish(self: Box<Self>) -> anyhow::Result<Vec<PathBuf>>;
}

/// A trajectory as a conversation.
#[derive(Debug, Clone, Copy)]
pub struct Chat<'a> {
    /// Its task.
    pub task: &'a Task,
    /// What was done.
    pub trajectory: &'a Trajectory,
    /// The steps that a student learns to say, as indices.
    pub targets: &'a [usize],
    /// What the student is told, and how much of an observation it sees; it sees all steps.
    pub scaffold: &'a Scaffold,
}

/// Takes trajectories as conversations.
pub trait ChatSink {
    /// Writes what is learned from one: its executed steps, those that are no targets marked as such.
    ///
    /// # Errors
    /// When it cannot be written.
    fn push(&mut self, chat: Chat<'_>) -> anyhow::Result<()>;

    /// Ends the files and gives their paths.
    ///
    /// # Errors
    /// When they cannot be written.
    fn finish(self: Box<Self>) -> anyhow::Result<Vec<PathBuf>>;
}

/// Takes examples.
pub trait LessonSink {
    /// Writes one.
    ///
    /// # Errors
    /// When it cannot be written.
    fn push(&mut self, lesson: &Lesson<'_>) -> anyhow::Result<()>;

    /// Ends the files and gives their paths.
    ///
    /// # Errors
    /// When they cannot be written.
    fn finish(self: Box<Self>) -> anyhow::Result<Vec<PathBuf>>;
}

//! Rows as verl and SkyRL read them: the same columns under a few other names.
//!
//! Guarantees that every row has the same columns, because Arrow fills what one lacks with nulls in all.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{LessonSink, Options, Rows, Sink, plugin};
use crate::curate::lesson::Lesson;
use crate::fsio;
use crate::fsio::whole::WholeFile;

/// What the two call their columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// A column of one word: its name, and the word where it is always the same; else what the lesson trains.
    pub(super) word: (&'static str, Option<&'static str>),
    /// The reward's column, and the name of its first field.
    pub(super) reward: (&'static str, &'static str),
    /// The trainer's function.
    pub(super) plugin: &'static str,
}

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Row<'a> {
    /// The lesson.
    pub(super) lesson: &'a Lesson<'a>,
    /// Its place in the file, from 0.
    pub(super) index: usize,
}

/// What a row says about its reward.
pub(super) const RULE: &str = "rule";
/// What a row says about its half of the data.
pub(super) const SPLIT: &str = "train";

impl Row<'_> {
    /// Where the row comes from: a name that metrics are grouped by.
    pub(super) fn data_source(&self) -> String {
        format!("apprentice/srl-{}", self.lesson.ability)
    }

    /// The word of the layout's own column.
    pub(super) fn word(&self, layout: Layout) -> &'static str {
        layout.word.1.unwrap_or(self.lesson.ability)
    }

    fn json(&self, layout: Layout) -> Value {
        json!({
            "data_source": self.data_source(),
            "prompt": self.lesson.messages,
            layout.word.0: self.word(layout),
            layout.reward.0: {layout.reward.1: RULE, "ground_truth": self.lesson.action},
            "extra_info": {
                "split": SPLIT,
                "index": self.index,
                "task": self.lesson.task,
                "trajectory": self.lesson.trajectory,
                "step": self.lesson.step,
            },
        })
    }
}

/// Begins the rows and the reward below `out`.
pub(super) fn open(out: &Path, layout: Layout, options: Options) -> anyhow::Result<Sink> {
    let reward = (out.join(plugin::FILE), plugin::source(options.scope, layout.plugin));
    Ok(Sink::Lessons(match options.rows {
        Rows::Jsonl => {
            let file = WholeFile::create(&out.join("train.jsonl"))?;
            Box::new(Table { store: Lines { file, layout }, reward, index: 0 })
        }
        Rows::Parquet => parquet(out, layout, reward)?,
    }))
}

#[cfg(feature = "parquet")]
fn parquet(out: &Path, layout: Layout, reward: (PathBuf, String)) -> anyhow::Result<Box<dyn LessonSink>> {
    let store = super::parquet::Parquet::create(&out.join("train.parquet"), layout)?;
    Ok(Box::new(Table { store, reward, index: 0 }))
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: &Path, _: Layout, _: (PathBuf, String)) -> anyhow::Result<Box<dyn LessonSink>> {
    anyhow::bail!("this build cannot write Parquet (it lacks the feature `parquet`)")
}

/// Where rows are stored.
pub(super) trait Store {
    /// Adds a row.
    fn push(&mut self, row: &Row<'_>) -> anyhow::Result<()>;

    /// Ends the file.
    fn finish(self) -> anyhow::Result<PathBuf>;
}

struct Table<S> {
    store: S,
    reward: (PathBuf, String),
    index: usize,
}

impl<S: Store> LessonSink for Table<S> {
    fn push(&mut self, lesson: &Lesson<'_>) -> anyhow::Result<()> {
        self.store.push(&Row { lesson, index: self.index })?;
        self.index += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Vec<PathBuf>> {
        let data = self.store.finish()?;
        let (path, text) = self.reward;
        fsio::write_atomic(&path, text.as_bytes())?;
        Ok(vec![data, path])
    }
}

struct Lines {
    file: WholeFile,
    layout: Layout,
}

impl Store for Lines {
    fn push(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        self.file.push(&row.json(self.layout))
    }

    fn finish(self) -> anyhow::Result<PathBuf> {
        self.file.finish()
    }
}

//! TensorBoard's event files: the numbers of a run's events as scalars that TensorBoard draws.
//!
//! One more rendering of the stream that `events.jsonl` holds: what stands here stands there. Each start of a run writes a
//! file of its own and says from which update, so that TensorBoard forgets what a killed start wrote beyond.
//! Written after TensorFlow's `event.proto` and `summary.proto`, of which four messages are needed.

mod proto;
mod record;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::clock;
use crate::event::{Event, EventSink};
use proto::Message;

/// Writes scalars.
#[derive(Debug)]
pub struct TensorBoard {
    file: fs_err::File,
}

impl TensorBoard {
    /// A new file in `dir` of a run that goes on after `step` updates.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(super) fn create(dir: &Path, step: u64) -> anyhow::Result<Self> {
        let file = new_file(dir)?;
        let mut sink = Self { file };
        sink.push(Message::default().text(event::FILE_VERSION, "brain.Event:2"))?;
        let start = Message::default().number(session_log::STATUS, session_log::START);
        sink.push(at(step).message(event::SESSION_LOG, &start))?;
        Ok(sink)
    }

    fn scalars(&mut self, group: &str, step: u64, metrics: &BTreeMap<String, f64>) -> anyhow::Result<()> {
        let mut summary = Message::default();
        for (name, &value) in metrics {
            let scalar = Message::default()
                .text(value::TAG, &format!("{group}/{name}"))
                .float(value::SIMPLE_VALUE, value as f32);
            summary = summary.message(summary::VALUE, &scalar);
        }
        self.push(at(step).message(event::SUMMARY, &summary))
    }

    fn push(&mut self, message: Message) -> anyhow::Result<()> {
        let timed = message.double(event::WALL_TIME, clock::seconds());
        let record = record::framed(timed.bytes());
        self.file
            .write_all(&record)
            .with_context(|| format!("could not write `{}`", self.file.path().display()))
    }
}

/// A message about an update.
fn at(step: u64) -> Message {
    Message::default().number(event::STEP, step)
}

/// TensorBoard reads files with `tfevents` in their names, in the order of these: the time comes first, then a number where
/// two starts fall into one second.
fn new_file(dir: &Path) -> anyhow::Result<fs_err::File> {
    let seconds = clock::seconds() as u64;
    for number in 0_u32.. {
        let path = dir.join(format!("events.out.tfevents.{seconds:010}.{number:03}.apprentice"));
        match fs_err::OpenOptions::new().create_new(true).append(true).open(path) {
            Err(taken) if taken.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return Ok(made?),
        }
    }
    unreachable!("invariant: a run starts less often in one second than there are numbers")
}

impl EventSink for TensorBoard {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        match event {
            Event::StepTrained { phase, step, metrics } => self.scalars(phase, *step, metrics),
            Event::StepTimed { phase, step, metrics } => {
                self.scalars(&format!("{phase}_time"), *step, metrics)
            }
            Event::Validated { phase, step, metrics, .. } => {
                self.scalars(&format!("{phase}_validation"), *step, metrics)
            }
            Event::StepSkipped { phase, step, dropped } => {
                let metrics = BTreeMap::from([("dropped".to_owned(), *dropped as f64)]);
                self.scalars(phase, *step, &metrics)
            }
            Event::PhaseStarted { .. }
            | Event::PhaseAdvanced { .. }
            | Event::PhaseEnded { .. }
            | Event::CheckpointSaved { .. }
            | Event::GroupSampled(_)
            | Event::EpisodeEnded { .. }
            | Event::EpisodesAdvanced { .. }
            | Event::TaskGraded { .. }
            | Event::MethodMeasured(_)
            | Event::Note { .. } => Ok(()),
        }
    }
}

/// Fields of `tensorflow.Event`.
mod event {
    pub(super) const WALL_TIME: u32 = 1;
    pub(super) const STEP: u32 = 2;
    pub(super) const FILE_VERSION: u32 = 3;
    pub(super) const SUMMARY: u32 = 5;
    pub(super) const SESSION_LOG: u32 = 7;
}

/// Fields of `tensorflow.Summary`.
mod summary {
    pub(super) const VALUE: u32 = 1;
}

/// Fields of `tensorflow.Summary.Value`.
mod value {
    pub(super) const TAG: u32 = 1;
    pub(super) const SIMPLE_VALUE: u32 = 2;
}

/// Fields of `tensorflow.SessionLog`.
mod session_log {
    pub(super) const STATUS: u32 = 1;
    /// A value of `SessionStatus`: events from this step on are forgotten.
    pub(super) const START: u64 = 1;
}

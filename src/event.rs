//! Events: everything a run reports.
//!
//! Terminal, `--json`, events.jsonl and the report are renderings of this one stream.

use serde::{Deserialize, Serialize};

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A phase of the run began.
    PhaseStarted {
        /// Its name, such as `replay` or `srl`.
        phase: String,
        /// How many units of work it has, where that is known.
        total: Option<u64>,
    },
    /// A unit of work of the phase is done.
    PhaseAdvanced {
        /// The phase.
        phase: String,
        /// Units done so far.
        done: u64,
    },
    /// A phase of the run ended.
    PhaseEnded {
        /// Its name.
        phase: String,
        /// Its wall time.
        seconds: f64,
    },
    /// An update of the weights.
    StepTrained {
        /// The phase, such as `sft` or `srl`.
        phase: String,
        /// Which update, from 0.
        step: u64,
        /// The numbers of this update by name.
        metrics: std::collections::BTreeMap<String, f64>,
    },
    /// An update that had nothing to learn from: every group was flat.
    StepSkipped {
        /// The phase.
        phase: String,
        /// Which update, from 0.
        step: u64,
        /// Groups that were dropped.
        dropped: u64,
    },
    /// A task was attempted and graded.
    TaskGraded {
        /// The phase.
        phase: String,
        /// The task.
        task: String,
        /// Which try, from 0.
        attempt: u64,
        /// The verdict, such as `resolved`.
        outcome: String,
    },
    /// Something a reader should know.
    Note {
        /// One sentence.
        text: String,
    },
}

/// Receives events.
pub trait EventSink {
    /// Takes one event.
    ///
    /// # Errors
    /// When the sink's file cannot be written.
    fn emit(&mut self, event: &Event) -> anyhow::Result<()>;
}

/// Keeps events in memory, for tests and for programs that embed this library.
impl EventSink for Vec<Event> {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        self.push(event.clone());
        Ok(())
    }
}

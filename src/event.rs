//! Events: everything a run reports.
//!
//! Terminal, `--json`, events.jsonl and the report are renderings of this one stream. An event is
//! plain data without a clock: a sink adds the time where it writes one.

use std::collections::BTreeMap;

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
        /// The numbers of this update by name: `loss`, `reward`, `kept`, `dropped`, `grad_norm` …
        #[serde(deserialize_with = "finite")]
        metrics: BTreeMap<String, f64>,
    },
    /// What an update cost on this machine. Depends on the clock, so whoever compares runs leaves it out.
    StepTimed {
        /// The phase.
        phase: String,
        /// Which update, from 0.
        step: u64,
        /// The numbers by name: `seconds`, `tokens_per_second`, `mfu`, `memory_mib` …
        #[serde(deserialize_with = "finite")]
        metrics: BTreeMap<String, f64>,
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
    /// A group that an update met, for people to read. Has a file of its own, because it is long.
    GroupSampled(GroupSample),
    /// The student answered held-out examples.
    Validated {
        /// The phase.
        phase: String,
        /// Updates done so far.
        step: u64,
        /// The numbers of its replies by name: `reward`, `malformed`, `reply_tokens` …
        #[serde(deserialize_with = "finite")]
        metrics: BTreeMap<String, f64>,
        /// Whether no earlier validation of the phase had as high a reward.
        best: bool,
    },
    /// The student was saved.
    CheckpointSaved {
        /// The phase.
        phase: String,
        /// Updates done so far.
        step: u64,
        /// Where, relative to the run directory.
        path: String,
    },
    /// An episode of a rollout ended. Episodes end in any order, so whoever compares runs sorts them.
    EpisodeEnded {
        /// The phase.
        phase: String,
        /// The task.
        task: String,
        /// Which try, from 0.
        attempt: u64,
        /// Actions taken.
        steps: u64,
        /// Why it ended, such as `submitted`.
        end: String,
    },
    /// How far a rollout is. Depends on the clock, so whoever compares runs leaves it out.
    EpisodesAdvanced {
        /// The phase.
        phase: String,
        /// Episodes that are over.
        done: u64,
        /// Episodes that have begun and are not over.
        live: u64,
        /// Of those that are over, how many lost their sandbox.
        lost: u64,
        /// Replies of the policy so far.
        steps: u64,
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
    /// A method was measured on held-out tasks: a row of the run's table.
    MethodMeasured(MethodRow),
    /// Something a reader should know.
    Note {
        /// One sentence.
        text: String,
    },
}

/// What a method reached: a row of the table that `quickstart` and `eval` print.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodRow {
    /// The method or policy, such as `base` or `srl`.
    pub method: String,
    /// Which held-out tasks, such as `new-numbers`, where a run measures on several kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Tasks attempted.
    pub tasks: u64,
    /// Tasks resolved.
    pub resolved: u64,
    /// Resolution rate in [0, 1].
    pub rate: f64,
    /// Lower end of its 95% interval.
    pub low: f64,
    /// Upper end of its 95% interval.
    pub high: f64,
    /// Mean step reward, where it was measured.
    pub reward: Option<f64>,
    /// Mean tokens of a reply, where it was measured.
    pub tokens_per_reply: Option<f64>,
}

impl MethodRow {
    /// What tables call it: the method, and what it was measured on where that is not the only kind.
    pub fn name(&self) -> String {
        match &self.set {
            None => self.method.clone(),
            Some(set) => format!("{}, {set}", self.method),
        }
    }

    /// The phase in which it was measured.
    pub fn phase(&self) -> String {
        match &self.set {
            None => format!("measure {}", self.method),
            Some(set) => format!("measure {} {set}", self.method),
        }
    }
}

/// A group of attempts in words: a line of `groups.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupSample {
    /// The phase, such as `srl`.
    pub phase: String,
    /// Which update, from 0.
    pub step: u64,
    /// The task that it is about.
    pub task: String,
    /// What the expert did there; absent where the student worked by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expert: Option<ExpertStep>,
    /// Whether the update learned from it.
    pub kept: bool,
    /// What was said, and what it earned.
    pub attempts: Vec<SampledAttempt>,
}

/// The step of an expert that students are asked to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpertStep {
    /// The trajectory's id.
    pub trajectory: String,
    /// Which of its steps, from 1.
    pub step: usize,
    /// Why, in the expert's words.
    pub thought: String,
    /// What it did.
    pub action: String,
}

/// What was said, and what it earned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampledAttempt {
    /// The reward.
    pub reward: f64,
    /// Its replies in order: one to an expert's step, several where the student worked by itself.
    pub replies: Vec<String>,
}

/// JSON writes a number that is not finite as null; a reader then finds no number.
fn finite<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let metrics = BTreeMap::<String, Option<f64>>::deserialize(reader)?;
    Ok(metrics.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect())
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

/// Hands every event to each of several sinks, in their order.
#[derive(Default)]
pub struct Tee<'a> {
    sinks: Vec<Box<dyn EventSink + 'a>>,
}

impl<'a> Tee<'a> {
    /// A sink without receivers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same sink with one more receiver, after the others.
    #[must_use]
    pub fn with(mut self, sink: impl EventSink + 'a) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }
}

impl EventSink for Tee<'_> {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        self.sinks.iter_mut().try_for_each(|sink| sink.emit(event))
    }
}

impl<S: EventSink + ?Sized> EventSink for &mut S {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        (**self).emit(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tee_hands_each_event_to_every_sink() {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let event = Event::Note { text: "a".to_owned() };
        Tee::new().with(&mut left).with(&mut right).emit(&event).unwrap();
        assert_eq!((left, right), (vec![event.clone()], vec![event]));
    }

    #[test]
    fn a_metric_that_is_not_finite_does_not_spoil_the_file() {
        let metrics = BTreeMap::from([("loss".to_owned(), f64::NAN), ("reward".to_owned(), 0.5)]);
        let event = Event::StepTrained { phase: "srl".to_owned(), step: 0, metrics };
        let line = serde_json::to_string(&event).unwrap();
        let Event::StepTrained { metrics, .. } = serde_json::from_str(&line).unwrap() else {
            panic!("{line}")
        };
        assert_eq!(metrics, BTreeMap::from([("reward".to_owned(), 0.5)]));
    }

    #[test]
    fn a_measured_method_is_one_flat_object() {
        let row = MethodRow {
            method: "srl".to_owned(),
            set: None,
            tasks: 4,
            resolved: 3,
            rate: 0.75,
            low: 0.3,
            high: 0.95,
            reward: Some(0.9),
            tokens_per_reply: None,
        };
        let line = serde_json::to_string(&Event::MethodMeasured(row)).unwrap();
        assert!(line.starts_with(r#"{"event":"method_measured","method":"srl","tasks":4"#), "{line}");
    }
}

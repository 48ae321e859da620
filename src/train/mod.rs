//! Trainers: what turns examples and rewards into weights.
//!
//! [`sft`], [`srl`] and [`grpo`] are the methods; all end in [`update`]. Guarantees that a training depends on its
//! configuration, data and seed only, and resumes from a checkpoint to the same weights. Imports no sandbox.

pub mod adamw;
pub mod batch;
pub mod checkpoint;
pub mod data;
pub mod flops;
pub mod gradients;
pub mod grpo;
pub mod loss;
pub mod pace;
pub mod plan;
pub mod profile;
pub mod reinforce;
mod samples;
pub mod schedule;
pub mod score;
pub mod sft;
pub mod srl;
mod tally;
pub mod update;
pub mod validation;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::chat::Scaffold;
use crate::event::{Event, EventSink};
use crate::model::config::QwenConfig;
use crate::model::{Device, Student};
use adamw::{AdamW, AdamWConfig};
use batch::Average;
use checkpoint::Progress;
use data::{Order, Prompter};
use pace::Pace;
use schedule::Schedule;
use update::{Objective, Tokens, UpdateOptions, Updated};
use validation::Validation;

/// The device that this build trains on: the first GPU with the feature `cuda`, else the CPU.
///
/// # Errors
/// When there is no GPU for a build that wants one.
pub fn device() -> Result<Device> {
    if cfg!(feature = "cuda") { Ok(Device::new_cuda(0)?) } else { Ok(Device::Cpu) }
}

/// What every method needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainConfig {
    /// Every random choice derives from it.
    pub seed: u64,
    /// When it ends.
    pub budget: Budget,
    /// What an update learns from.
    pub batch: BatchConfig,
    /// The optimizer.
    pub optimizer: AdamWConfig,
    /// The learning rate.
    pub schedule: Schedule,
    /// Longer gradients are scaled down to this norm.
    pub max_grad_norm: f64,
    /// What the student is told.
    pub scaffold: Scaffold,
    /// How long texts may be.
    pub limits: Limits,
    /// Updates between two checkpoints; 0 saves at the end only.
    pub save_every: u64,
}

/// When a training ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// After so many updates.
    Steps(u64),
    /// After every example was dealt so often.
    Epochs(f64),
    /// After so many units: one a token forward, two a token backward.
    Compute(u64),
}

impl Budget {
    /// The share that is used; at 1 the training is done.
    pub fn used(self, progress: &Progress, epoch: u64) -> f64 {
        match self {
            Self::Steps(steps) => progress.step as f64 / steps as f64,
            Self::Epochs(epochs) => progress.dealt as f64 / (epochs * epoch as f64),
            Self::Compute(units) => progress.units as f64 / units as f64,
        }
    }
}

/// What an update learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Examples (SFT) or groups (SRL, RLVR); more where whole trajectories are dealt.
    pub size: usize,
    /// The order in which examples are dealt.
    pub order: Order,
    /// Tokens that pass the model at once, after sharing. Changes memory and speed, not the gradient.
    pub micro_batch_tokens: usize,
    /// What the loss averages over.
    pub average: Average,
    /// Updates from the same batch (SRL, RLVR).
    pub passes: usize,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            size: 64,
            order: Order::Trajectories,
            micro_batch_tokens: 16_384,
            average: Average::Sequences,
            passes: 1,
        }
    }
}

/// How long texts may be, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Prompt and reply together.
    pub context: usize,
    /// The reply alone.
    pub reply: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { context: 8192, reply: 1024 }
    }
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its budget is used.
    Done,
    /// Its validation reward did not rise for as long as it was to wait.
    Stalled,
    /// It was told to stop, and can go on.
    Interrupted,
}

/// A training in progress: what it changes, and where its traces go.
pub struct Training<'a> {
    /// Whose weights change.
    pub student: &'a Student,
    /// The weights that it keeps near to, where the loss asks for that.
    pub reference: Option<&'a Student>,
    /// The optimizer's state.
    pub adamw: AdamW,
    /// How far it has come.
    pub progress: Progress,
    /// Who hears of it.
    pub events: &'a mut dyn EventSink,
    /// Where checkpoints go, if any.
    pub checkpoints: Option<&'a Path>,
    /// What it is measured on, if anything.
    pub validation: Option<Validation<'a>>,
    /// How fast it is; sees the clock.
    pub pace: Pace,
    /// Set from outside, it ends the training after the present update.
    pub stop: &'a AtomicBool,
}

impl<'a> Training<'a> {
    /// A training at its beginning, without checkpoints.
    ///
    /// # Errors
    /// When the device has no memory for the optimizer.
    pub fn new(
        phase: &str,
        config: &TrainConfig,
        student: &'a Student,
        events: &'a mut dyn EventSink,
        stop: &'a AtomicBool,
    ) -> Result<Self> {
        let adamw = AdamW::new(config.optimizer, student.vars())?;
        let progress = Progress::new(phase, config.seed);
        let pace = Pace::start(None);
        Ok(Self {
            student,
            reference: None,
            adamw,
            progress,
            events,
            checkpoints: None,
            validation: None,
            pace,
            stop,
        })
    }

    /// How the training ended, if it did; `epoch` is the number of examples.
    fn ended(&self, config: &TrainConfig, epoch: u64) -> Option<Outcome> {
        if 1.0 <= config.budget.used(&self.progress, epoch) {
            Some(Outcome::Done)
        } else if self.validation.as_ref().is_some_and(|v| v.is_over(&self.progress.validation)) {
            Some(Outcome::Stalled)
        } else {
            self.stop.load(Ordering::Relaxed).then_some(Outcome::Interrupted)
        }
    }

    /// Saves what the training came to, measured first if it goes no further.
    fn end(&mut self, outcome: Outcome) -> Result<Outcome> {
        if outcome != Outcome::Interrupted && self.progress.validation.at != Some(self.progress.step) {
            self.validate()?;
        }
        self.save()?;
        Ok(outcome)
    }

    /// Counts what passed the model.
    fn spend(&mut self, tokens: Tokens) {
        self.progress.units += tokens.units();
        self.pace.spend(tokens);
    }

    /// Records an update with its numbers.
    fn trained(&mut self, config: &TrainConfig, metrics: BTreeMap<String, f64>) -> Result<()> {
        self.timed()?;
        let (phase, step) = (self.progress.phase.clone(), self.progress.step);
        self.events.emit(&Event::StepTrained { phase, step, metrics })?;
        self.advance(config)
    }

    /// Records an update that had nothing to learn from.
    fn skipped(&mut self, config: &TrainConfig, dropped: u64) -> Result<()> {
        self.timed()?;
        let (phase, step) = (self.progress.phase.clone(), self.progress.step);
        self.events.emit(&Event::StepSkipped { phase, step, dropped })?;
        self.advance(config)
    }

    /// Records what an update cost; before the update itself, so that a terminal shows both together.
    fn timed(&mut self) -> Result<()> {
        let (phase, step) = (self.progress.phase.clone(), self.progress.step);
        let metrics = self.pace.metrics(self.student.config());
        self.events.emit(&Event::StepTimed { phase, step, metrics })
    }

    fn advance(&mut self, config: &TrainConfig) -> Result<()> {
        self.progress.step += 1;
        let step = self.progress.step;
        let is_due = self.validation.as_ref().is_some_and(|validation| validation.is_due(step));
        let is_best = is_due && self.validate()?;
        if is_best || 0 < config.save_every && step.is_multiple_of(config.save_every) {
            self.save()?;
        }
        self.pace.restart();
        Ok(())
    }

    /// Measures the student; says whether it is the best so far.
    fn validate(&mut self) -> Result<bool> {
        let Some(validation) = &self.validation else { return Ok(false) };
        let (phase, step) = (self.progress.phase.clone(), self.progress.step);
        let metrics = validation.measure(self.student)?;
        let best = self.progress.validation.take(step, metrics["reward"]);
        self.events.emit(&Event::Validated { phase, step, metrics, best })?;
        Ok(best)
    }

    fn save(&mut self) -> Result<()> {
        let Some(dir) = self.checkpoints else { return Ok(()) };
        let saved = checkpoint::save(dir, self.student, &self.adamw, &self.progress)?;
        if let Some(best) = self.progress.validation.best {
            checkpoint::point_to(dir, best)?;
        }
        // Relative to the run directory, whose checkpoints lie in `checkpoints`, or below it by stage.
        let parts: Vec<_> = saved.iter().collect();
        let first = parts.iter().rposition(|part| *part == "checkpoints").unwrap_or_default();
        let place: PathBuf = parts[first..].iter().collect();
        let (phase, step) = (self.progress.phase.clone(), self.progress.step);
        self.events.emit(&Event::CheckpointSaved { phase, step, path: place.display().to_string() })
    }
}

impl TrainConfig {
    fn update_options(&self, objective: Objective, progress: f64) -> UpdateOptions {
        UpdateOptions {
            objective,
            average: self.batch.average,
            micro_batch_tokens: self.batch.micro_batch_tokens,
            max_grad_norm: self.max_grad_norm,
            rate: self.schedule.at(progress),
        }
    }

    /// Makes prompts that leave room for a reply.
    pub fn prompter(&self, student: &Student) -> Prompter {
        self.prompter_of(student.config())
    }

    /// Makes prompts for a student of this shape.
    fn prompter_of(&self, shape: &QwenConfig) -> Prompter {
        let context = self.limits.context.min(shape.max_positions);
        Prompter { scaffold: self.scaffold.clone(), max_tokens: context.saturating_sub(self.limits.reply) }
    }
}

/// The numbers that every method reports of an update.
fn metrics(updated: &Updated, tokens: Tokens, rate: f64) -> BTreeMap<String, f64> {
    tally::named([
        ("loss", updated.loss),
        ("grad_norm", updated.grad_norm),
        ("lr", rate),
        ("tokens_forward", tokens.forward as f64),
        ("tokens_backward", tokens.backward as f64),
        ("tokens_without_sharing", tokens.without_sharing as f64),
        ("tokens_saved", 1.0 - tokens.forward as f64 / tokens.without_sharing as f64),
    ])
}

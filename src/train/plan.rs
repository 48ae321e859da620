//! The plan of a training: what it would learn from and what it would take, said before it begins.
//!
//! Reads configuration, tokenizer and data, no weights: whoever has too little memory learns it before any is taken.
//! Guarantees that the tokens of an update are those of the data's first batches, cut and shared as the trainers do it.

mod look;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::TrainConfig;
use super::data::{Cursor, DataSet};
use super::pace::resident_mib;
use crate::example::Example;
use crate::model::config::QwenConfig;
use crate::model::footprint::{self, Form};
use crate::model::tokenizer::ChatTokenizer;
use look::{Look, Seen};

/// Name and version in the first field of a plan's JSON.
pub const FORMAT: &str = "apprentice.plan/1";

/// Batches that are looked at.
const BATCHES: u64 = 3;

/// Which replies an update learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    /// The experts' own.
    Experts,
    /// So many sampled ones to each example.
    Sampled(usize),
}

/// What a training would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Always [`FORMAT`].
    pub format: &'static str,
    /// Parameters of the student.
    pub parameters: u64,
    /// Those that change.
    pub trainable: u64,
    /// Examples to learn from.
    pub examples: u64,
    /// Examples that are held out.
    pub held_out: u64,
    /// Of the first batches' examples, those that are left out because they do not fit.
    pub left_out: u64,
    /// Tokens that an update passes through the model, forward.
    pub update: Load,
    /// Tokens that sampling passes through it before; absent where nothing is sampled.
    pub sampling: Option<Load>,
    /// What it would hold.
    pub memory: Memory,
}

/// Tokens of an update, the mean of the first batches. Sampled replies are taken to be as long as the experts'.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Load {
    /// After sharing.
    pub tokens: u64,
    /// Without it.
    pub without_sharing: u64,
}

/// Bytes of memory, estimated for a training on a CPU. Sampled replies are taken to be as long as they may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Memory {
    /// What this process held when it planned: program, data, tokenizer.
    pub base: u64,
    /// The parameters.
    pub weights: u64,
    /// The optimizer's moments.
    pub optimizer: u64,
    /// The gradients, twice where several micro-batches add up.
    pub gradients: u64,
    /// What the largest micro-batch keeps between its passes forward and back.
    pub activations: u64,
    /// What sampling holds, for training or validation; not at the same time as gradients.
    pub sampling: u64,
    /// What writing a checkpoint holds; not at the same time either.
    pub saving: u64,
    /// The most that is held at once.
    pub peak: u64,
}

impl Plan {
    /// The plan of a training of a student of this shape.
    ///
    /// # Errors
    /// When there are no examples, or the tokenizer refuses one.
    pub fn new(
        config: &TrainConfig,
        replies: Replies,
        (data, held_out): (&DataSet<'_>, &DataSet<'_>),
        (shape, tokenizer, form): (&QwenConfig, &ChatTokenizer, &Form<'_>),
    ) -> Result<Self> {
        ensure!(!data.examples().is_empty(), "there is nothing to train on");
        let look = Look { config, prompter: config.prompter_of(shape), tokenizer };
        let (mut seen, mut batches) = (Seen::default(), 0);
        let mut cursor = Cursor::new(data, config.batch.order, config.seed, 0);
        while batches < BATCHES && cursor.dealt() < cursor.epoch() {
            let examples = cursor.deal(config.batch.size);
            match replies {
                Replies::Experts => look.at_experts(&examples, &mut seen)?,
                Replies::Sampled(group) => look.at_groups(&examples, group, &mut seen)?,
            }
            batches += 1;
        }
        let held: Vec<&Example<'_>> = held_out.examples().iter().collect();
        look.at_validation(&held, &mut seen)?;
        Ok(Self {
            format: FORMAT,
            parameters: footprint::parameters(shape),
            trainable: form.trained(shape),
            examples: data.examples().len() as u64,
            held_out: held.len() as u64,
            left_out: seen.left_out,
            update: seen.update.over(batches),
            sampling: matches!(replies, Replies::Sampled(_)).then(|| seen.sampling.over(batches)),
            memory: Memory::of(&seen, (shape, form), config.limits.reply),
        })
    }
}

impl Load {
    fn add(&mut self, tokens: usize, without_sharing: usize) {
        self.tokens += tokens as u64;
        self.without_sharing += without_sharing as u64;
    }

    fn over(self, batches: u64) -> Self {
        Self { tokens: self.tokens / batches, without_sharing: self.without_sharing / batches }
    }
}

impl Memory {
    fn of(seen: &Seen, (shape, form): (&QwenConfig, &Form<'_>), reply_tokens: usize) -> Self {
        let base = resident_mib().0.map_or(0, |mib| (mib * 1024.0 * 1024.0) as u64);
        let trained = size_of::<f32>() as u64 * form.trained(shape);
        let (weights, optimizer) = (form.weight_bytes(shape), form.optimizer_bytes(shape));
        // A file's bytes and their copies, both whole.
        let saving = 2 * trained;
        let gradients = if seen.has_several { 2 * trained } else { trained };
        let activations = footprint::update_bytes(shape, form, seen.rows, seen.predictions);
        let sampling = match seen.replies {
            0 => 0,
            replies => footprint::sampling_bytes(shape, seen.prompt_rows, replies, reply_tokens),
        };
        let peak = base + weights + optimizer + (gradients + activations).max(sampling).max(saving);
        Self { base, weights, optimizer, gradients, activations, sampling, saving, peak }
    }
}

//! Supervised fine-tuning: the student learns to say what the expert said.
//!
//! Guarantees the prompts of SRL, so that the two compare. With [`Target::Replies`] only the expert's replies count;
//! with [`Target::Conversations`] every token does, which is how a student without any pre-training learns to read.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::batch::Sequence;
use super::data::{Cursor, DataSet, NothingFits, Prompter, name};
use super::update::{Objective, update};
use super::{Outcome, TrainConfig, Training, metrics};
use crate::example::Example;
use crate::model::tokenizer::ChatTokenizer;

/// Which tokens the student learns to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The expert's replies.
    Replies,
    /// Everything that was said: rules, problem, replies and observations.
    Conversations,
}

/// Trains until the budget is used.
///
/// # Errors
/// When no example fits the context, an update fails, or a file cannot be written.
pub fn train(
    config: &TrainConfig,
    target: Target,
    data: &DataSet<'_>,
    training: &mut Training<'_>,
) -> Result<Outcome> {
    ensure!(!data.examples().is_empty(), "there is nothing to train on");
    let mut cursor = Cursor::new(data, config.batch.order, config.seed, training.progress.dealt);
    let prompter = config.prompter(training.student);
    let (mut fruitless, mut learned) = (0, 0 < training.progress.step);
    loop {
        if let Some(outcome) = training.ended(config, cursor.epoch()) {
            ensure!(learned || fruitless == 0, NothingFits(config.limits.context));
            return training.end(outcome);
        }
        let options = config
            .update_options(Objective::Imitation, config.budget.used(&training.progress, cursor.epoch()));
        let examples = cursor.deal(config.batch.size);
        training.progress.dealt = cursor.dealt();
        let sequences = sequences(config, &prompter, training.student.tokenizer(), &examples)?;
        let left_out = examples.len() - sequences.len();
        let sequences = match target {
            Target::Replies => sequences,
            Target::Conversations => conversations(sequences),
        };
        if sequences.is_empty() {
            fruitless += left_out as u64;
            ensure!(fruitless < cursor.epoch(), NothingFits(config.limits.context));
            training.skipped(config, left_out as u64)?;
            continue;
        }
        (fruitless, learned) = (0, true);
        let updated = update(training.student, &mut training.adamw, &sequences, &options)
            .with_context(|| format!("update {} failed", training.progress.step))?;
        training.spend(updated.tokens);
        let mut metrics = metrics(&updated, updated.tokens, options.rate);
        metrics.insert("examples".to_owned(), sequences.len() as f64);
        metrics.insert("left_out".to_owned(), left_out as f64);
        training.trained(config, metrics)?;
    }
}

/// Prompts with the expert's replies; those that do not fit or are nothing to imitate are left out whole.
pub(super) fn sequences(
    config: &TrainConfig,
    prompter: &Prompter,
    tokenizer: &ChatTokenizer,
    examples: &[&Example<'_>],
) -> Result<Vec<Sequence>> {
    let mut sequences = Vec::with_capacity(examples.len());
    for example in examples.iter().filter(|example| example.is_imitable()) {
        let Some(prompt) = prompter.prompt(tokenizer, example)? else { continue };
        let reply = tokenizer.encode_reply(&config.scaffold.reply(example.expert))?;
        if config.limits.reply < reply.len() {
            continue;
        }
        sequences.push(Sequence::imitated(name(example), prompt.tokens, reply));
    }
    Ok(sequences)
}

/// Whole conversations: of sequences that each begin the next one, the last, with all but its first token to be predicted.
fn conversations(sequences: Vec<Sequence>) -> Vec<Sequence> {
    let mut whole: Vec<(Arc<str>, Vec<u32>)> = Vec::new();
    for sequence in sequences {
        for answer in sequence.answers {
            let tokens = [&*answer.prompt, &*answer.reply].concat();
            if whole.last().is_some_and(|(_, last)| tokens.starts_with(last)) {
                whole.pop();
            }
            whole.push((Arc::clone(&sequence.example), tokens));
        }
    }
    let imitated = |(example, tokens): (Arc<str>, Vec<u32>)| {
        Sequence::imitated(example, tokens[..1].into(), tokens[1..].to_vec())
    };
    whole.into_iter().map(imitated).collect()
}

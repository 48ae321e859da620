//! Supervised reinforcement learning (arXiv 2510.25992): a group of replies to each expert step, each rewarded by
//! the step's judge, one clipped policy-gradient update.
//!
//! Differs from the paper where a comment says so. Guarantees that only groups with spread reach the loss and that
//! dropped ones are counted. Needs no sandbox: the judge may bring one.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::batch::Sequence;
use super::data::{Cursor, DataSet, NothingFits, Prompter, name};
use super::loss::Clip;
use super::tally::Tally;
use super::update::{Objective, Tokens, attended, update};
use super::{Outcome, TrainConfig, Training, metrics};
use crate::example::Example;
use crate::group::{Attempt, Group};
use crate::model::tree::Packed;
use crate::model::{Prompt, SampleOptions, Student};
use crate::policy::Sample;
use crate::reward::StepReward;
use crate::seed;

/// What SRL needs to know beyond [`TrainConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SrlConfig {
    /// Replies to each example.
    pub group_size: usize,
    /// Temperature of sampling, and of the log-probabilities.
    pub temperature: f64,
    /// Bounds of the ratio.
    pub clip: Clip,
    /// A group is kept iff its standard deviation exceeds this.
    pub min_spread: f64,
    /// How often an unfilled batch is refilled with further examples.
    pub refills: u64,
}

impl Default for SrlConfig {
    fn default() -> Self {
        Self { group_size: 8, temperature: 1.0, clip: Clip::default(), min_spread: 0.01, refills: 4 }
    }
}

/// Trains until the budget is used.
///
/// # Errors
/// When no example fits the context, the judge or an update fails, or a file cannot be written.
pub fn train(
    config: &TrainConfig,
    srl: &SrlConfig,
    data: &DataSet<'_>,
    judge: &dyn StepReward,
    training: &mut Training<'_>,
) -> Result<Outcome> {
    ensure!(!data.examples().is_empty(), "there is nothing to train on");
    let mut cursor = Cursor::new(data, config.batch.order, config.seed, training.progress.dealt);
    let sampler = Sampler { config, srl, judge, prompter: config.prompter(training.student) };
    let objective = Objective::Clipped { clip: srl.clip, temperature: srl.temperature };
    loop {
        if let Some(outcome) = training.ended(config, cursor.epoch()) {
            return training.end(outcome);
        }
        let options =
            config.update_options(objective, config.budget.used(&training.progress, cursor.epoch()));
        let step = training.progress.step;
        let harvest = sampler.fill(step, training.student, &mut cursor)?;
        training.progress.dealt = cursor.dealt();
        training.spend(harvest.tally.tokens);
        if harvest.groups.is_empty() {
            training.skipped(config, harvest.tally.dropped())?;
            continue;
        }
        let sequences: Vec<Sequence> = harvest.groups.iter().flat_map(sequences).collect();
        let updated = update(training.student, &mut training.adamw, &sequences, &options)
            .with_context(|| format!("update {step} failed"))?;
        training.spend(updated.tokens);
        let mut tokens = harvest.tally.tokens;
        tokens += updated.tokens;
        let mut metrics = metrics(&updated, tokens, options.rate);
        metrics.extend(harvest.tally.group_metrics());
        metrics.extend(updated.ratio_metrics());
        training.trained(config, metrics)?;
    }
}

/// Draws groups and has them judged.
struct Sampler<'a> {
    config: &'a TrainConfig,
    srl: &'a SrlConfig,
    judge: &'a dyn StepReward,
    prompter: Prompter,
}

/// What a batch learns from, and what was seen on the way to it.
#[derive(Debug, Default)]
struct Harvest {
    /// Groups with spread, each with its example's name.
    groups: Vec<(Arc<str>, Group)>,
    tally: Tally,
}

impl Sampler<'_> {
    /// Draws groups until the batch is full or the refills are used.
    fn fill(&self, step: u64, student: &Student, cursor: &mut Cursor<'_, '_>) -> Result<Harvest> {
        let mut harvest = Harvest::default();
        for round in 0..=self.srl.refills {
            let missing = self.config.batch.size.saturating_sub(harvest.groups.len());
            if missing == 0 {
                break;
            }
            let examples = cursor.deal(missing);
            let seed = seed::derive(self.config.seed, "round", &[step, round]);
            harvest.tally.rounds += 1;
            self.draw(seed, student, &examples, &mut harvest)?;
        }
        ensure!(0 < harvest.tally.attempts(), NothingFits(self.config.limits.context));
        Ok(harvest)
    }

    fn draw(
        &self,
        seed: u64,
        student: &Student,
        examples: &[&Example<'_>],
        harvest: &mut Harvest,
    ) -> Result<()> {
        let (mut prompts, mut answered) = (Vec::new(), Vec::new());
        for (example_idx, example) in examples.iter().enumerate() {
            let Some(fitted) = self.prompter.prompt(student.tokenizer(), example)? else {
                harvest.tally.too_long += 1;
                continue;
            };
            harvest.tally.lost_steps += fitted.lost as u64;
            let seed = seed::derive(seed, "example", &[example_idx as u64]);
            prompts.push(Prompt { tokens: fitted.tokens, n: self.srl.group_size, seed });
            answered.push(*example);
        }
        for (prompts, examples) in
            std::iter::zip(prompts.chunks(Prompt::AT_ONCE), answered.chunks(Prompt::AT_ONCE))
        {
            let replies = student.generate(prompts, &self.sample_options())?;
            harvest.tally.tokens += sampling_tokens(prompts, &replies);
            for (example, replies) in std::iter::zip(examples, replies) {
                self.judge(example, replies, harvest)?;
            }
        }
        Ok(())
    }

    fn sample_options(&self) -> SampleOptions {
        // Any top-p below 1 would sample from a distribution that the loss does not know.
        SampleOptions {
            temperature: self.srl.temperature,
            top_p: 1.0,
            max_new_tokens: self.config.limits.reply,
        }
    }

    fn judge(&self, example: &Example<'_>, replies: Vec<Sample>, harvest: &mut Harvest) -> Result<()> {
        let name = name(example);
        let context = || format!("could not reward the replies to example {name}");
        let rewards = self.judge.rewards(example, &replies).with_context(context)?;
        ensure!(rewards.len() == replies.len(), "invariant: one reward a reply, in order");
        let attempt = |(sample, reward)| Attempt { sample, reward };
        let group =
            Group::new(std::iter::zip(replies, rewards).map(attempt).collect()).with_context(context)?;
        // Equal rewards give zero advantages: such a group costs a backward pass and teaches nothing.
        let kept = group.is_informative(self.srl.min_spread);
        harvest.tally.count_group(&group, Some(example.index), kept);
        harvest.groups.extend(kept.then_some((name, group)));
        Ok(())
    }
}

/// The tokens of sampling: prompts share their beginnings, and a reply's last token is not read again.
fn sampling_tokens(prompts: &[Prompt], replies: &[Vec<Sample>]) -> Tokens {
    let packed = Packed::new(prompts.iter().map(|prompt| &*prompt.tokens));
    let shared = packed.tokens().len() as u64;
    let mut tokens = Tokens { forward: shared, pairs: attended(&packed), ..Tokens::default() };
    for reply in replies.iter().flatten() {
        let (prompt, read) = (reply.prompt.len() as u64, reply.tokens.len().saturating_sub(1) as u64);
        tokens.forward += read;
        tokens.without_sharing += prompt + read;
        // The i-th of them attends to the prompt, to those before it, and to itself.
        tokens.pairs += read * prompt + read * (read + 1) / 2;
        tokens.predictions += reply.tokens.len() as u64;
    }
    tokens
}

/// A group's replies with their advantages.
fn sequences((example, group): &(Arc<str>, Group)) -> Vec<Sequence> {
    let sequence = |(attempt, advantage): (&Attempt, f64)| Sequence {
        example: Arc::clone(example),
        prompt: Arc::clone(&attempt.sample.prompt),
        reply: attempt.sample.tokens.clone(),
        old_logprobs: attempt.sample.logprobs.clone(),
        advantage,
    };
    std::iter::zip(group.attempts(), group.advantages()).map(sequence).collect()
}

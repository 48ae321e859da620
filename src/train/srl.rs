//! Supervised reinforcement learning (arXiv 2510.25992): a group of replies to each expert step, each rewarded by
//! the step's judge, one clipped policy-gradient update.
//!
//! Differs from the paper where a comment says so. Guarantees that only groups with spread reach the loss and that
//! dropped ones are counted. Needs no sandbox: the judge may bring one.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::batch::Sequence;
use super::data::{Cursor, DataSet, NothingFits, Prompter, name};
use super::loss::Clip;
use super::update::{Objective, Tokens, Updated, update};
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
        training.progress.units += harvest.tally.tokens.units();
        if harvest.groups.is_empty() {
            training.skipped(config, harvest.tally.dropped)?;
            continue;
        }
        let sequences: Vec<Sequence> = harvest.groups.iter().flat_map(sequences).collect();
        let updated = update(training.student, &mut training.adamw, &sequences, &options)
            .with_context(|| format!("update {step} failed"))?;
        training.progress.units += updated.tokens.units();
        training.trained(config, harvest.metrics(&updated, options.rate))?;
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

/// Sums over all attempts, those of dropped groups included: leaving these out would flatter.
#[derive(Debug, Default)]
struct Tally {
    groups: u64,
    dropped: u64,
    too_long: u64,
    lost_steps: u64,
    attempts: u64,
    malformed: u64,
    truncated: u64,
    reply_tokens: u64,
    reward: f64,
    spread: f64,
    tokens: Tokens,
}

/// Prompts that are answered together; more would hold more keys and values at once.
const PROMPTS_AT_ONCE: usize = 64;

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
            self.draw(seed, student, &examples, &mut harvest)?;
        }
        let attempts = harvest.tally.attempts;
        ensure!(0 < attempts, NothingFits(self.config.limits.context));
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
            std::iter::zip(prompts.chunks(PROMPTS_AT_ONCE), answered.chunks(PROMPTS_AT_ONCE))
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
            ..SampleOptions::default()
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
        harvest.tally.count(&group);
        // Equal rewards give zero advantages: such a group costs a backward pass and teaches nothing.
        if group.is_informative(self.srl.min_spread) {
            harvest.groups.push((name, group));
        } else {
            harvest.tally.dropped += 1;
        }
        Ok(())
    }
}

/// The tokens of sampling: prompts share their beginnings, and a reply's last token is not read again.
fn sampling_tokens(prompts: &[Prompt], replies: &[Vec<Sample>]) -> Tokens {
    let shared = Packed::new(prompts.iter().map(|prompt| &*prompt.tokens)).tokens().len() as u64;
    let mut tokens = Tokens { forward: shared, backward: 0, without_sharing: 0 };
    for reply in replies.iter().flatten() {
        let read = reply.tokens.len().saturating_sub(1) as u64;
        tokens.forward += read;
        tokens.without_sharing += reply.prompt.len() as u64 + read;
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

impl Tally {
    fn count(&mut self, group: &Group) {
        self.groups += 1;
        self.spread += group.spread();
        for attempt in group.attempts() {
            self.attempts += 1;
            self.reward += attempt.reward.value;
            self.malformed += u64::from(!attempt.reward.well_formed);
            self.truncated += u64::from(!attempt.sample.finished);
            self.reply_tokens += attempt.sample.tokens.len() as u64;
        }
    }
}

impl Harvest {
    fn metrics(&self, updated: &Updated, rate: f64) -> BTreeMap<String, f64> {
        let tally = &self.tally;
        let mut tokens = tally.tokens;
        tokens += updated.tokens;
        let (attempts, groups) = (tally.attempts as f64, tally.groups as f64);
        let numbers = [
            ("reward", tally.reward / attempts),
            ("reward_std", tally.spread / groups),
            ("kept", self.groups.len() as f64),
            ("dropped", tally.dropped as f64),
            ("too_long", tally.too_long as f64),
            ("lost_steps", tally.lost_steps as f64),
            ("malformed", tally.malformed as f64 / attempts),
            ("truncated", tally.truncated as f64 / attempts),
            ("reply_tokens", tally.reply_tokens as f64 / attempts),
            ("clip_fraction", updated.clip_fraction),
            ("sampler_gap", updated.sampler_gap),
        ];
        let mut metrics = metrics(updated, tokens, rate);
        metrics.extend(numbers.into_iter().map(|(name, value)| (name.to_owned(), value)));
        metrics
    }
}

//! Reinforcement: groups of attempts, their advantages, updates. The loop that [`srl`](super::srl) and
//! [`grpo`](super::grpo) share; each brings its own source of groups.
//!
//! Guarantees that only groups with spread reach the loss, that dropped ones are counted, and that every pass over a
//! batch has the same normalisers. Does not know what an attempt is rewarded for.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::batch::Sequence;
use super::loss::{Kl, Loss, Truncated};
use super::samples::{About, Samples};
use super::score::Scorer;
use super::tally::Tally;
use super::update::{Objective, Tokens, UpdateOptions, Updated, update};
use super::{Outcome, TrainConfig, Training, metrics};
use crate::event::Event;
use crate::group::{Attempt, Group, Scale};
use crate::model::{SampleOptions, Student};
use crate::seed;

/// How groups are sampled and which are learned from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Groups {
    /// Attempts at each example.
    pub group_size: usize,
    /// Temperature of sampling, and of the log-probabilities.
    pub temperature: f64,
    /// What the distance from the mean reward is divided by.
    pub scale: Scale,
    /// A group is kept iff its standard deviation exceeds this.
    pub min_spread: f64,
    /// How often an unfilled batch is refilled with further examples.
    pub refills: u64,
}

impl Default for Groups {
    fn default() -> Self {
        Self { group_size: 8, temperature: 1.0, scale: Scale::default(), min_spread: 0.01, refills: 4 }
    }
}

impl Groups {
    /// How attempts are drawn, each reply with at most `reply` tokens.
    pub(super) fn sampling(&self, reply: usize) -> SampleOptions {
        // Any top-p below 1 would sample from a distribution that the loss does not know.
        SampleOptions {
            temperature: self.temperature,
            top_p: 1.0,
            max_new_tokens: reply,
            ..SampleOptions::default()
        }
    }
}

/// What a method from rewards needs to know beyond [`TrainConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reinforcement {
    /// The groups.
    pub groups: Groups,
    /// What an update minimises.
    pub loss: Loss,
}

/// Where groups come from.
pub(super) trait Source {
    /// Attempts `count` further examples and hands their groups to `harvest`.
    fn draw(&mut self, count: usize, seed: u64, student: &Student, harvest: &mut Harvest) -> Result<()>;

    /// Examples dealt so far, over all epochs.
    fn dealt(&self) -> u64;

    /// Examples of one epoch.
    fn epoch(&self) -> u64;

    /// Why not one attempt was made.
    fn fruitless(&self) -> anyhow::Error;

    /// What judging attempts cost since this was last asked, by name.
    fn cost(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }
}

/// Trains until the budget is used.
pub(super) fn train(
    config: &TrainConfig,
    method: &Reinforcement,
    source: &mut dyn Source,
    training: &mut Training<'_>,
) -> Result<Outcome> {
    ensure!(
        method.loss.kl == Kl::None || training.reference.is_some(),
        "invariant: a loss that keeps near the first weights has them"
    );
    let objective = Objective::Policy { loss: method.loss, temperature: method.groups.temperature };
    loop {
        if let Some(outcome) = training.ended(config, source.epoch()) {
            return training.end(outcome);
        }
        let options =
            config.update_options(objective, config.budget.used(&training.progress, source.epoch()));
        let step = training.progress.step;
        let phase = training.progress.phase.clone();
        let mut harvest = fill(config, method, source, (&phase, step, training.student))?;
        for group in harvest.samples.groups() {
            training.events.emit(&Event::GroupSampled(group))?;
        }
        training.progress.dealt = source.dealt();
        training.pace.judged(source.cost());
        let mut sequences = harvest.sequences(method);
        let mut tokens = harvest.tally.tokens;
        if sequences.is_empty() {
            training.spend(tokens);
            training.skipped(config, harvest.tally.dropped())?;
            continue;
        }
        let scorer = Scorer {
            student: training.student,
            reference: training.reference,
            temperature: method.groups.temperature,
            micro_batch_tokens: config.batch.micro_batch_tokens,
        };
        tokens += scorer.fill(&method.loss, &mut sequences)?;
        let updated = passes(training, &sequences, &options, config.batch.passes)
            .with_context(|| format!("update {step} failed"))?;
        tokens += updated.tokens;
        training.spend(tokens);
        training.trained(config, harvest.metrics(&updated, tokens, options.rate))?;
    }
}

/// Draws groups until the batch is full or the refills are used.
fn fill(
    config: &TrainConfig,
    method: &Reinforcement,
    source: &mut dyn Source,
    (phase, step, student): (&str, u64, &Student),
) -> Result<Harvest> {
    let mut harvest = Harvest::new(method.groups.min_spread, Samples::of(phase, step));
    for round in 0..=method.groups.refills {
        let missing = config.batch.size.saturating_sub(harvest.groups.len());
        if missing == 0 {
            break;
        }
        let seed = seed::derive(config.seed, "round", &[step, round]);
        harvest.tally.rounds += 1;
        source.draw(missing, seed, student, &mut harvest)?;
    }
    if harvest.tally.attempts() == 0 { Err(source.fruitless()) } else { Ok(harvest) }
}

/// Updates `passes` times on the same sequences, whose old log-probabilities stay. What is told is of the first pass,
/// before any weight changed, but for the clipping, which only later passes have.
fn passes(
    training: &mut Training<'_>,
    sequences: &[Sequence],
    options: &UpdateOptions,
    passes: usize,
) -> Result<Updated> {
    let mut told = update(training.student, &mut training.adamw, sequences, options)?;
    for _ in 1..passes {
        let updated = update(training.student, &mut training.adamw, sequences, options)?;
        told.tokens += updated.tokens;
        (told.clip_low, told.clip_high) = (updated.clip_low, updated.clip_high);
    }
    Ok(told)
}

/// What a batch learns from, and what was seen on the way to it.
#[derive(Debug)]
pub(super) struct Harvest {
    min_spread: f64,
    /// Groups with spread, each with its example's name.
    groups: Vec<(Arc<str>, Group)>,
    pub(super) tally: Tally,
    samples: Samples,
}

impl Harvest {
    fn new(min_spread: f64, samples: Samples) -> Self {
        Self { min_spread, groups: Vec::new(), tally: Tally::default(), samples }
    }

    /// Keeps a group that teaches something, and counts any.
    pub(super) fn take(&mut self, about: About<'_>, group: Group) {
        // Equal rewards give zero advantages: such a group costs a backward pass and teaches nothing.
        let is_kept = group.is_informative(self.min_spread);
        self.tally.count_group(&group, about.position(), is_kept);
        self.samples.take(about, &group, is_kept);
        self.groups.extend(is_kept.then(|| (about.name(), group)));
    }

    /// The attempts that are learned from, with their advantages.
    fn sequences(&self, method: &Reinforcement) -> Vec<Sequence> {
        let is_learned = |attempt: &Attempt| match method.loss.truncated {
            Truncated::Keep => !attempt.replies.is_empty(),
            Truncated::Mask => !attempt.replies.is_empty() && !attempt.is_truncated(),
        };
        let of_group = |(example, group): &(Arc<str>, Group)| -> Vec<Sequence> {
            std::iter::zip(group.attempts(), group.advantages(method.groups.scale))
                .filter(|(attempt, _)| is_learned(attempt))
                .map(|(attempt, advantage)| {
                    Sequence::sampled(Arc::clone(example), &attempt.replies, advantage)
                })
                .collect()
        };
        self.groups.iter().flat_map(of_group).collect()
    }

    fn metrics(&self, updated: &Updated, tokens: Tokens, rate: f64) -> BTreeMap<String, f64> {
        let mut metrics = metrics(updated, tokens, rate);
        metrics.extend(self.tally.group_metrics());
        metrics.extend(updated.ratio_metrics());
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Reward;
    use crate::policy::Sample;

    fn sample(finished: bool) -> Sample {
        Sample {
            prompt: Arc::from([1, 2]),
            tokens: vec![3, 4],
            logprobs: vec![-1.0, -2.0],
            finished,
            ..Sample::from_text("")
        }
    }

    fn harvest(rewards: &[f64], finished: &[bool]) -> Harvest {
        let attempt = |(&value, &finished): (&f64, &bool)| Attempt {
            replies: vec![sample(true), sample(finished)],
            reward: Reward::new(value),
        };
        let mut harvest = Harvest::new(0.01, Samples::of("srl", 0));
        let attempts = std::iter::zip(rewards, finished).map(attempt).collect();
        harvest.take(About::Task("t"), Group::new(attempts).unwrap());
        harvest
    }

    #[test]
    fn masked_attempts_count_in_the_mean_and_are_not_learned_from() {
        let harvest = harvest(&[1.0, 0.0, 0.0, 1.0], &[true, true, false, true]);
        let advantages = |truncated| -> Vec<f64> {
            let loss = Loss { truncated, ..Loss::default() };
            let sequences = harvest.sequences(&Reinforcement { loss, ..Reinforcement::default() });
            sequences.iter().map(|sequence| sequence.advantage).collect()
        };
        assert_eq!(advantages(Truncated::Keep), [1.0, -1.0, -1.0, 1.0]);
        assert_eq!(advantages(Truncated::Mask), [1.0, -1.0, 1.0]);
    }

    #[test]
    fn an_attempts_replies_are_one_sequence() {
        let sequences = harvest(&[1.0, 0.0], &[true, true]).sequences(&Reinforcement::default());
        assert_eq!(sequences.len(), 2);
        assert_eq!((sequences[0].answers.len(), sequences[0].reply_len()), (2, 4));
        assert_eq!(sequences[0].answers[1].old_logprobs, [-1.0, -2.0]);
    }

    #[test]
    fn flat_groups_are_dropped_and_counted() {
        let flat = harvest(&[1.0, 1.0], &[true, true]);
        assert_eq!((flat.groups.len(), flat.tally.dropped(), flat.tally.attempts()), (0, 1, 2));
    }
}

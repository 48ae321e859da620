//! Validation: how well the student does on steps that it never learns from, and whether it still gets better.
//!
//! Guarantees that every validation of a training draws the same replies from equal weights: the same examples, the same
//! seeds, so that what differs is the student. What it found belongs to the checkpoint's progress. Its tokens are no part
//! of the training's budget.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::TrainConfig;
use super::data::{DataSet, NothingFits, name};
use super::tally::Tally;
use crate::example::Example;
use crate::model::{Prompt, SampleOptions, Student};
use crate::reward::StepReward;
use crate::seed;

/// What is validated, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationConfig {
    /// Where the held-out trajectories come from.
    pub data: HeldOut,
    /// Updates between two validations; 0 holds nothing out.
    pub every: u64,
    /// Examples that are answered; 0 answers all.
    pub examples: usize,
    /// Replies to each.
    pub samples: usize,
    /// Temperature of sampling; 0 takes the most probable token.
    pub temperature: f64,
    /// The training ends after so many validations in a row without a better reward; 0 never ends it.
    pub patience: u64,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        let data = HeldOut::Share(0.05);
        Self { data, every: 0, examples: 64, samples: 1, temperature: 1.0, patience: 0 }
    }
}

/// Where held-out trajectories come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldOut {
    /// This share of the training data's tasks, each with all of its trajectories.
    Share(f64),
    /// A file of trajectories of its own.
    File(PathBuf),
}

/// The tasks that are held out: a share of them, at least one and never all. None where there are fewer than two.
pub fn held_out<'t>(tasks: &BTreeSet<&'t str>, share: f64, seed: u64) -> BTreeSet<&'t str> {
    let mut order: Vec<&str> = tasks.iter().copied().collect();
    order.shuffle(&mut seed::rng(seed, "held out", &[]));
    let count = (share * order.len() as f64).round() as usize;
    order.into_iter().take(count.max(1).min(tasks.len().saturating_sub(1))).collect()
}

/// What validations found so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Findings {
    /// After how many updates the last one was.
    pub at: Option<u64>,
    /// The best.
    pub best: Option<Best>,
    /// How many came after the best.
    pub stale: u64,
}

/// A checkpoint that no other one of its training beats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Updates done before it.
    pub step: u64,
    /// Its mean reward.
    pub reward: f64,
}

impl Findings {
    /// Takes the reward after `step` updates; says whether it is the best. Of equals the first is.
    pub(super) fn take(&mut self, step: u64, reward: f64) -> bool {
        self.at = Some(step);
        let is_best = self.best.is_none_or(|best| best.reward < reward);
        if is_best {
            (self.best, self.stale) = (Some(Best { step, reward }), 0);
        } else {
            self.stale += 1;
        }
        is_best
    }
}

/// Examples that wait to be answered again and again.
pub struct Validation<'a> {
    config: ValidationConfig,
    examples: Vec<Example<'a>>,
    prompts: Vec<Prompt>,
    max_new_tokens: usize,
    judge: &'a dyn StepReward,
}

impl<'a> Validation<'a> {
    /// A validation of `student` on some of `data`, the same ones for each seed.
    ///
    /// # Errors
    /// When no example fits the context, or the tokenizer refuses one.
    pub fn new(
        config: &ValidationConfig,
        train: &TrainConfig,
        data: &DataSet<'a>,
        student: &Student,
        judge: &'a dyn StepReward,
    ) -> Result<Self> {
        let mut chosen: Vec<&Example<'a>> = data.examples().iter().collect();
        if 0 < config.examples {
            chosen.shuffle(&mut seed::rng(train.seed, "validation", &[]));
            chosen.truncate(config.examples);
        }
        let prompter = train.prompter(student);
        let (mut examples, mut prompts) = (Vec::new(), Vec::new());
        for (idx, example) in chosen.into_iter().enumerate() {
            let Some(fitted) = prompter.prompt(student.tokenizer(), example)? else { continue };
            let seed = seed::derive(train.seed, "validation", &[idx as u64]);
            prompts.push(Prompt { tokens: fitted.tokens, n: config.samples, seed });
            examples.push(*example);
        }
        ensure!(!prompts.is_empty(), NothingFits(train.limits.context));
        let max_new_tokens = train.limits.reply;
        Ok(Self { config: config.clone(), examples, prompts, max_new_tokens, judge })
    }

    /// Whether there is one after `step` updates.
    pub(super) fn is_due(&self, step: u64) -> bool {
        0 < self.config.every && step.is_multiple_of(self.config.every)
    }

    /// Whether there was no better reward for as long as the configuration waits.
    pub(super) fn is_over(&self, findings: &Findings) -> bool {
        0 < self.config.patience && self.config.patience <= findings.stale
    }

    /// The numbers of the student as it is.
    ///
    /// # Errors
    /// When the judge or the device fails.
    pub fn measure(&self, student: &Student) -> Result<BTreeMap<String, f64>> {
        let options = SampleOptions {
            temperature: self.config.temperature,
            top_p: 1.0,
            max_new_tokens: self.max_new_tokens,
            ..SampleOptions::default()
        };
        let mut tally = Tally::default();
        let parts = self.prompts.chunks(Prompt::AT_ONCE).zip(self.examples.chunks(Prompt::AT_ONCE));
        for (prompts, examples) in parts {
            let replies = student.generate(prompts, &options)?;
            for (example, replies) in examples.iter().zip(replies) {
                let rewards = self.judge.rewards(example, &replies);
                let rewards =
                    rewards.with_context(|| format!("could not reward the replies to {}", name(example)))?;
                for (reply, reward) in replies.iter().zip(rewards) {
                    tally.count(std::slice::from_ref(reply), reward, Some(example.index));
                }
            }
        }
        // What it cost belongs to no update.
        drop(self.judge.cost());
        Ok(tally.attempt_metrics())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_tasks_are_held_out_and_some_are_left() {
        let names: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
        let tasks: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(held_out(&tasks, 0.25, 7).len(), 10);
        assert_eq!(held_out(&tasks, 0.25, 7), held_out(&tasks, 0.25, 7));
        assert_ne!(held_out(&tasks, 0.25, 7), held_out(&tasks, 0.25, 8));
        assert_eq!((held_out(&tasks, 1e-9, 7).len(), held_out(&tasks, 0.999, 7).len()), (1, 39));
        assert!(held_out(&BTreeSet::from(["alone"]), 0.5, 7).is_empty());
    }

    #[test]
    fn the_best_is_the_first_of_equals_and_what_follows_is_counted() {
        let mut findings = Findings::default();
        let said: Vec<bool> = [(10, 0.2), (20, 0.5), (30, 0.5), (40, 0.4)]
            .into_iter()
            .map(|(s, r)| findings.take(s, r))
            .collect();
        assert_eq!(said, [true, true, false, false]);
        let best = Some(Best { step: 20, reward: 0.5 });
        assert_eq!(findings, Findings { at: Some(40), best, stale: 2 });
    }
}

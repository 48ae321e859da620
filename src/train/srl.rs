//! Supervised reinforcement learning (arXiv 2510.25992): a group of replies to each expert step, each rewarded by
//! the step's judge, one policy-gradient update.
//!
//! Differs from the paper where a comment says so. The loop is [`reinforce`]'s. Needs no sandbox: the
//! judge may bring one.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::data::{Cursor, DataSet, NothingFits, Prompter, name};
use super::reinforce::{self, Harvest, Reinforcement, Source};
use super::samples::About;
use super::{Outcome, TrainConfig, Training};
use crate::example::Example;
use crate::group::{Attempt, Group};
use crate::model::{Prompt, Student};
use crate::policy::Sample;
use crate::reward::StepReward;
use crate::seed;

/// Trains until the budget is used.
///
/// # Errors
/// When no example fits the context, the judge or an update fails, or a file cannot be written.
pub fn train(
    config: &TrainConfig,
    method: &Reinforcement,
    data: &DataSet<'_>,
    judge: &dyn StepReward,
    training: &mut Training<'_>,
) -> Result<Outcome> {
    ensure!(!data.examples().is_empty(), "there is nothing to train on");
    let cursor = Cursor::new(data, config.batch.order, config.seed, training.progress.dealt);
    let prompter = config.prompter(training.student);
    reinforce::train(config, method, &mut Steps { config, method, judge, prompter, cursor }, training)
}

/// Groups of replies to an expert's steps.
struct Steps<'a, 'd> {
    config: &'a TrainConfig,
    method: &'a Reinforcement,
    judge: &'a dyn StepReward,
    prompter: Prompter,
    cursor: Cursor<'a, 'd>,
}

impl Source for Steps<'_, '_> {
    fn draw(&mut self, count: usize, seed: u64, student: &Student, harvest: &mut Harvest) -> Result<()> {
        let (mut prompts, mut answered) = (Vec::new(), Vec::new());
        for (example_idx, example) in self.cursor.deal(count).into_iter().enumerate() {
            let Some(fitted) = self.prompter.prompt(student.tokenizer(), example)? else {
                harvest.tally.too_long += 1;
                continue;
            };
            harvest.tally.lost_steps += fitted.lost as u64;
            let seed = seed::derive(seed, "example", &[example_idx as u64]);
            prompts.push(Prompt { tokens: fitted.tokens, n: self.method.groups.group_size, seed });
            answered.push(example);
        }
        let sampling = self.method.groups.sampling(self.config.limits.reply);
        for (prompts, examples) in
            std::iter::zip(prompts.chunks(Prompt::AT_ONCE), answered.chunks(Prompt::AT_ONCE))
        {
            let replies = student.generate(prompts, &sampling)?;
            harvest.tally.count_sampling(replies.iter().flatten());
            for (example, replies) in std::iter::zip(examples, replies) {
                self.judge(example, replies, harvest)?;
            }
        }
        Ok(())
    }

    fn dealt(&self) -> u64 {
        self.cursor.dealt()
    }

    fn epoch(&self) -> u64 {
        self.cursor.epoch()
    }

    fn fruitless(&self) -> anyhow::Error {
        NothingFits(self.config.limits.context).into()
    }

    fn cost(&self) -> BTreeMap<String, f64> {
        self.judge.cost()
    }
}

impl Steps<'_, '_> {
    fn judge(&self, example: &Example<'_>, replies: Vec<Sample>, harvest: &mut Harvest) -> Result<()> {
        let name = name(example);
        let context = || format!("could not reward the replies to example {name}");
        let rewards = self.judge.rewards(example, &replies).with_context(context)?;
        ensure!(rewards.len() == replies.len(), "invariant: one reward a reply, in order");
        let attempt = |(reply, reward)| Attempt { replies: vec![reply], reward };
        let group =
            Group::new(std::iter::zip(replies, rewards).map(attempt).collect()).with_context(context)?;
        harvest.take(About::Step(example), group);
        Ok(())
    }
}

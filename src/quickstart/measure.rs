//! What is measured alike in every domain: the student's next step on held-out tasks, and the row of the table.

use anyhow::Context as _;

use crate::chat::{self, Scaffold};
use crate::event::MethodRow;
use crate::model::{Prompt, SampleOptions, Student};
use crate::reward::{StepReward as _, TextReward};
use crate::seed;
use crate::stats;
use crate::task::Task;
use crate::train::data::DataSet;
use crate::trajectory::Trajectory;

/// The student's next steps after expert prefixes.
#[derive(Debug, Clone, Copy)]
pub(super) struct NextSteps {
    /// Mean reward.
    reward: f64,
    /// Mean length of a reply.
    tokens: f64,
}

/// Tasks that were tried, and those of them that were resolved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) resolved: usize,
    pub(super) tasks: usize,
}

/// The row of a method, measured on one kind of held-out tasks.
pub(super) fn row((method, set): (&str, Option<&str>), counted: Counted, next: NextSteps) -> MethodRow {
    let rate = stats::wilson(counted.resolved, counted.tasks);
    MethodRow {
        method: method.to_owned(),
        set: set.map(str::to_owned),
        tasks: counted.tasks as u64,
        resolved: counted.resolved as u64,
        rate: rate.rate,
        low: rate.low,
        high: rate.high,
        reward: Some(next.reward),
        tokens_per_reply: Some(next.tokens),
    }
}

/// The mean reward and length of the student's next step after each expert prefix of some tasks.
pub(super) fn next_steps<'a>(
    student: &Student,
    held_out: impl Iterator<Item = (&'a Task, &'a Trajectory)>,
    (scaffold, seed): (&Scaffold, u64),
    options: &SampleOptions,
) -> anyhow::Result<NextSteps> {
    let examples = DataSet::new(held_out);
    let mut prompts = Vec::with_capacity(examples.examples().len());
    for (idx, example) in examples.examples().iter().enumerate() {
        let messages = chat::conversation(scaffold, example.task, example.history);
        let tokens = student.tokenizer().encode_prompt(&messages)?.into();
        let seed = seed::derive(seed, "next step", &[idx as u64]);
        prompts.push(Prompt { tokens, n: 1, seed });
    }
    let replies = student.generate(&prompts, options)?;
    let (mut reward, mut tokens) = (0.0, 0);
    for (example, replies) in examples.examples().iter().zip(&replies) {
        let rewards = TextReward::default().rewards(example, replies)?;
        reward += rewards.first().context("a prompt was left unanswered")?.value;
        tokens += replies[0].tokens.len();
    }
    let n = replies.len() as f64;
    Ok(NextSteps { reward: reward / n, tokens: tokens as f64 / n })
}

//! Measuring a student on held-out tasks: episodes in sandboxes, and the reward of its next step.

use anyhow::Context as _;

use super::data::{Data, Workshop};
use super::plan::Plan;
use crate::event::{Event, EventSink, MethodRow};
use crate::model::policy::StudentPolicy;
use crate::model::{Prompt, SampleOptions, Student};
use crate::reward::{StepReward as _, TextReward};
use crate::stats;
use crate::train::data::DataSet;

/// Measures a student and reports the row.
pub(super) async fn measure(
    name: &str,
    student: &Student,
    (plan, data, seed): (&Plan, &Data, u64),
    workshop: &Workshop<'_>,
    events: &mut dyn EventSink,
) -> anyhow::Result<MethodRow> {
    let options = SampleOptions {
        temperature: plan.measure.temperature,
        top_p: 1.0,
        max_new_tokens: plan.measure.reply_tokens,
        ..SampleOptions::default()
    };
    let (reward, tokens_per_reply) = next_steps(student, (plan, data, seed), &options)?;
    let mut policy = StudentPolicy { student: student.clone(), options, name: name.to_owned() };
    let graded =
        workshop.roll_out(&format!("measure {name}"), &mut policy, &data.held_out.tasks, events).await?;
    let valid: Vec<_> = graded.iter().filter(|done| done.verdict.outcome.is_valid()).collect();
    if valid.len() < graded.len() {
        let text = format!(
            "{} episodes of {name} were lost to the host and are not counted",
            graded.len() - valid.len()
        );
        events.emit(&Event::Note { text })?;
    }
    let resolved = valid.iter().filter(|done| done.verdict.is_resolved()).count();
    let rate = stats::wilson(resolved, valid.len());
    let row = MethodRow {
        method: name.to_owned(),
        tasks: valid.len() as u64,
        resolved: resolved as u64,
        rate: rate.rate,
        low: rate.low,
        high: rate.high,
        reward: Some(reward),
        tokens_per_reply: Some(tokens_per_reply),
    };
    events.emit(&Event::MethodMeasured(row.clone()))?;
    Ok(row)
}

/// The mean reward and length of the student's next step after each expert prefix of the held-out tasks.
fn next_steps(
    student: &Student,
    (plan, data, seed): (&Plan, &Data, u64),
    options: &SampleOptions,
) -> anyhow::Result<(f64, f64)> {
    let examples = DataSet::new(data.held_out.pairs());
    let scaffold = plan.scaffold();
    let mut prompts = Vec::with_capacity(examples.examples().len());
    for (idx, example) in examples.examples().iter().enumerate() {
        let messages = crate::chat::conversation(&scaffold, example.task, example.history);
        let tokens = student.tokenizer().encode_prompt(&messages)?.into();
        let seed = crate::seed::derive(seed, "next step", &[idx as u64]);
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
    Ok((reward / n, tokens as f64 / n))
}

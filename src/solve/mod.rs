//! Solving: a policy answers problems of mathematics, each in one reply or in steps, and a judge says which answers are right.
//!
//! Guarantees that replies are judged in their order, that a problem no reply came to is wrong and not left out, and that
//! votes depend on no order but that of the replies. Needs no sandbox.

mod strict;
mod tries;
mod vote;

use serde::Serialize;

use crate::chat;
use crate::policy::{Draw, Policy, Sample, SampleRequest};
use crate::rate::{Cost, Facts, Replies, Sheet, Trial};
use crate::seed;
use crate::solution::Thinking;
use crate::task::Task;
use crate::trajectory::{Action, End, FORMAT, Source, Step, Trajectory};

pub use strict::Strict;
pub use tries::{Manner, Try, tries};

/// Says whether a reply's answer is right.
pub trait Judge {
    /// Judges a whole reply by the task's right answer.
    fn judge(&self, task: &Task, reply: &str) -> Judged;

    /// Whether two answers are the same, as far as can be told; votes for one are votes for the other.
    fn is_same(&self, one: &str, other: &str) -> bool;
}

/// What a judge says of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Judged {
    /// Whether the answer is right; absent where the judge cannot tell.
    pub is_right: Option<bool>,
    /// The answer that it found; absent where the reply gives none.
    pub answer: Option<String>,
}

/// How problems are put.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Replies that are drawn of each, beside the most probable one.
    pub samples: usize,
    /// How.
    pub draw: Draw,
    /// The run's seed.
    pub seed: u64,
}

/// One reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Its words; empty where the policy gave none.
    pub text: String,
    /// Whether a length limit cut it.
    pub is_cut: bool,
    /// Tokens read and made; absent for a policy without any.
    pub tokens: Option<(u64, u64)>,
    /// What the judge says.
    pub judged: Judged,
}

/// A problem with all its replies.
#[derive(Debug, Clone, PartialEq)]
pub struct Solved {
    /// The task's id.
    pub task: String,
    /// What groups it with others.
    pub facts: Facts,
    /// The most probable reply.
    pub greedy: Reply,
    /// Those that were drawn.
    pub replies: Vec<Reply>,
    /// Whether the answer that most of these give is right.
    pub majority: bool,
}

/// Replies that are asked for at once; more would hold more keys and values.
const REPLIES_AT_ONCE: usize = 256;

/// Puts every task to a policy, in their order; `done` hears of each.
///
/// # Errors
/// When the policy or `done` fails; never for what a reply says.
pub fn solve(
    policy: &mut dyn Policy,
    tasks: &[&Task],
    judge: &dyn Judge,
    options: &Options,
    mut done: impl FnMut(&Solved) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Solved>> {
    let mut solved = Vec::with_capacity(tasks.len());
    for tasks in tasks.chunks((REPLIES_AT_ONCE / options.samples.max(1)).max(1)) {
        policy.draw_like(Draw { temperature: 0.0, ..options.draw });
        let greedy = ask(policy, tasks, (1, options.seed), judge)?;
        policy.draw_like(options.draw);
        let drawn = ask(policy, tasks, (options.samples, options.seed), judge)?;
        for ((task, mut greedy), replies) in tasks.iter().zip(greedy).zip(drawn) {
            let one = Solved {
                task: task.id.clone(),
                facts: Facts::of(task),
                greedy: greedy.remove(0),
                majority: vote::is_right(&replies, judge),
                replies,
            };
            done(&one)?;
            solved.push(one);
        }
    }
    Ok(solved)
}

/// `n` judged replies to each task.
fn ask(
    policy: &mut dyn Policy,
    tasks: &[&Task],
    (n, seed): (usize, u64),
    judge: &dyn Judge,
) -> anyhow::Result<Vec<Vec<Reply>>> {
    let request = |task: &&Task| SampleRequest {
        messages: chat::solving(task),
        task: task.id.clone(),
        attempt: 0,
        step: 0,
        n,
        seed: seed::derive(seed, &format!("solve {}", task.id), &[n as u64]),
    };
    let requests: Vec<SampleRequest> = tasks.iter().map(request).collect();
    let answered = policy.sample(&requests)?;
    anyhow::ensure!(answered.len() == requests.len(), "policy `{}` left requests unanswered", policy.name());
    let judged = |(task, samples): (&&Task, Vec<Sample>)| {
        let mut replies: Vec<Reply> =
            samples.into_iter().map(|sample| Reply::of(sample, task, judge)).collect();
        // A problem that does not fit the student is one that it does not solve.
        replies.resize(n, Reply::none());
        replies
    };
    Ok(tasks.iter().zip(answered).map(judged).collect())
}

impl Reply {
    fn of(sample: Sample, task: &Task, judge: &dyn Judge) -> Self {
        let tokens =
            (!sample.tokens.is_empty()).then_some((sample.prompt.len() as u64, sample.tokens.len() as u64));
        let judged = judge.judge(task, &sample.text);
        Self { text: sample.text, is_cut: !sample.finished, tokens, judged }
    }

    fn none() -> Self {
        let judged = Judged { is_right: Some(false), answer: None };
        Self { text: String::new(), is_cut: false, tokens: None, judged }
    }

    fn is_right(&self) -> bool {
        self.judged.is_right == Some(true)
    }
}

impl Solved {
    /// All its replies with their names, the most probable one last.
    pub fn named(&self) -> impl Iterator<Item = (String, &Reply)> {
        let drawn = self.replies.iter().enumerate();
        let greedy = std::iter::once((format!("{}.greedy", self.task), &self.greedy));
        drawn.map(|(attempt, reply)| (format!("{}.{attempt}", self.task), reply)).chain(greedy)
    }

    /// The replies as trajectories of one step.
    pub fn trajectories(&self, policy: &str) -> Vec<Trajectory> {
        let source =
            Source { format: "solve".to_owned(), model: Some(policy.to_owned()), ..Source::default() };
        let trajectory = |(id, reply): (String, &Reply)| Trajectory {
            format: FORMAT.to_owned(),
            id,
            task: self.task.clone(),
            source: source.clone(),
            problem: None,
            steps: vec![Step::new("", Action::Answer { text: reply.text.clone() })],
            end: if reply.is_cut { End::ContextLimit } else { End::Submitted },
            patch: None,
            answer: reply.judged.answer.clone(),
            resolved: reply.judged.is_right,
        };
        self.named().map(trajectory).collect()
    }

    /// For the rates of benchmarks.
    pub fn sheet(&self) -> Sheet {
        Sheet {
            benchmark: self.facts.repository.clone().unwrap_or_else(|| "problems".to_owned()),
            greedy: Some(self.greedy.is_right()),
            right: self.replies.iter().map(Reply::is_right).collect(),
            majority: self.majority,
        }
    }

    /// Its drawn replies as tries.
    pub fn trials(&self) -> impl Iterator<Item = Trial> {
        self.replies.iter().map(|reply| Trial {
            task: self.task.clone(),
            facts: self.facts.clone(),
            resolved: reply.judged.is_right,
            cost: Cost {
                prompt_tokens: reply.tokens.map(|(read, _)| read),
                reply_tokens: reply.tokens.map(|(_, made)| made),
                ..Cost::default()
            },
        })
    }
}

/// How the drawn replies look.
pub fn replies(solved: &[Solved]) -> Option<Replies> {
    let seen =
        solved.iter().flat_map(|one| &one.replies).map(|reply| (Thinking::of(&reply.text), reply.is_cut));
    Replies::of(&seen.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;

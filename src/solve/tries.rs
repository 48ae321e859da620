//! Tries: a policy solves each problem several times, every try by itself, in one reply or step after step.
//!
//! Guarantees that tries come back task by task in their order, and that a try depends on its task, its number and the seed
//! only. A reply that cannot be read ends its try; a try in steps that does not come to a box has no answer.

use super::{Judge, Judged, REPLIES_AT_ONCE};
use crate::chat::{self, Scaffold, parse_reply};
use crate::policy::{Policy, Sample, SampleRequest};
use crate::seed;
use crate::solution::last_box;
use crate::task::Task;
use crate::trajectory::{Action, End, FORMAT, Source, Step, Trajectory};

/// How a problem is solved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// In one reply to the question that evaluations put.
    Whole,
    /// Step after step, each a reply to what SRL shows, until one has an answer in a box.
    Steps {
        /// What the student is told, and how much of its solution it sees.
        scaffold: Scaffold,
        /// Steps at most.
        limit: usize,
    },
}

/// One solution of one problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    /// What was said; the steps, where it was solved in steps.
    pub steps: Vec<Step>,
    /// Why it ended.
    pub end: End,
    /// Replies that were asked for and came.
    pub replies: usize,
    /// Their tokens.
    pub tokens: usize,
    /// What the judge says.
    pub judged: Judged,
}

/// Lets a policy try each of `tasks` `n` times.
///
/// # Errors
/// When the policy fails; never for what it says.
pub fn tries(
    policy: &mut dyn Policy,
    tasks: &[&Task],
    (n, seed): (usize, u64),
    manner: &Manner,
    judge: &dyn Judge,
) -> anyhow::Result<Vec<Vec<Try>>> {
    let mut all = Vec::with_capacity(tasks.len());
    for tasks in tasks.chunks((REPLIES_AT_ONCE / n.max(1)).max(1)) {
        let mut open: Vec<Open<'_>> = tasks.iter().flat_map(|task| Open::of(task, n, seed)).collect();
        while ask(policy, &mut open, manner)? {}
        let judged: Vec<Try> = open.into_iter().map(|one| one.judged(manner, judge)).collect();
        all.extend(judged.chunks(n.max(1)).map(<[Try]>::to_vec));
    }
    Ok(all)
}

/// Asks for one reply to each try that goes on; says whether there was any.
fn ask(policy: &mut dyn Policy, tries: &mut [Open<'_>], manner: &Manner) -> anyhow::Result<bool> {
    let mut open: Vec<&mut Open<'_>> = tries.iter_mut().filter(|one| one.end.is_none()).collect();
    if open.is_empty() {
        return Ok(false);
    }
    let requests: Vec<SampleRequest> = open.iter().map(|one| one.request(manner)).collect();
    let answered = policy.sample(&requests)?;
    anyhow::ensure!(answered.len() == requests.len(), "policy `{}` left requests unanswered", policy.name());
    for (one, samples) in open.iter_mut().zip(answered) {
        one.hear(samples.first(), manner);
    }
    Ok(true)
}

/// A try in progress.
struct Open<'a> {
    task: &'a Task,
    number: usize,
    seed: u64,
    steps: Vec<Step>,
    replies: usize,
    tokens: usize,
    end: Option<End>,
}

impl<'a> Open<'a> {
    /// The `n` tries at a task before their first reply.
    fn of(task: &'a Task, n: usize, seed: u64) -> impl Iterator<Item = Self> {
        let new =
            move |number| Self { task, number, seed, steps: Vec::new(), replies: 0, tokens: 0, end: None };
        (0..n).map(new)
    }

    fn request(&self, manner: &Manner) -> SampleRequest {
        let messages = match manner {
            Manner::Whole => chat::solving(self.task),
            Manner::Steps { scaffold, .. } => chat::conversation(scaffold, self.task, &self.steps),
        };
        let step = self.replies;
        SampleRequest {
            messages,
            task: self.task.id.clone(),
            attempt: self.number,
            step,
            n: 1,
            seed: seed::derive(
                self.seed,
                &format!("try {}", self.task.id),
                &[self.number as u64, step as u64],
            ),
        }
    }

    fn hear(&mut self, sample: Option<&Sample>, manner: &Manner) {
        // A policy that gives nothing has no room for more.
        let Some(sample) = sample else {
            self.end = Some(End::ContextLimit);
            return;
        };
        self.replies += 1;
        self.tokens += sample.tokens.len();
        self.end = match manner {
            Manner::Whole => Some(self.hear_all(sample)),
            Manner::Steps { limit, .. } => self.hear_step(sample, *limit),
        };
    }

    fn hear_all(&mut self, sample: &Sample) -> End {
        self.steps.push(Step::new("", Action::Answer { text: sample.text.clone() }));
        if sample.finished { End::Submitted } else { End::Malformed }
    }

    fn hear_step(&mut self, sample: &Sample, limit: usize) -> Option<End> {
        let reply = match parse_reply(&sample.text) {
            Ok(reply) if sample.finished => reply,
            _ => return Some(End::Malformed),
        };
        self.steps.push(Step::new(reply.thought, Action::Answer { text: reply.action.to_owned() }));
        if last_box(reply.action).is_some() {
            return Some(End::Submitted);
        }
        (limit <= self.steps.len()).then_some(End::StepLimit)
    }

    fn judged(self, manner: &Manner, judge: &dyn Judge) -> Try {
        let Self { task, steps, replies, tokens, end, .. } = self;
        let judged = match (manner, end) {
            // The judge would take the last number of a step for an answer that nobody gave.
            (Manner::Steps { .. }, end) if end != Some(End::Submitted) => {
                Judged { is_right: Some(false), answer: None }
            }
            _ => judge.judge(task, &solution(&steps)),
        };
        Try { steps, end: end.unwrap_or(End::Unknown), replies, tokens, judged }
    }
}

/// What was said, as one text.
fn solution(steps: &[Step]) -> String {
    steps.iter().map(|step| step.action.text()).collect::<Vec<_>>().join("\n\n")
}

impl Try {
    /// Whether the answer is right, as far as can be told.
    pub fn is_right(&self) -> bool {
        self.judged.is_right == Some(true)
    }

    /// The try as a trajectory.
    pub fn trajectory(self, (task, number): (&Task, usize), policy: &str) -> Trajectory {
        Trajectory {
            format: FORMAT.to_owned(),
            id: format!("{}.{number}", task.id),
            task: task.id.clone(),
            source: Source {
                format: "solve".to_owned(),
                model: Some(policy.to_owned()),
                ..Source::default()
            },
            problem: None,
            steps: self.steps,
            end: self.end,
            patch: None,
            answer: self.judged.answer,
            resolved: self.judged.is_right,
        }
    }
}

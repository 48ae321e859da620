//! Policies: whoever chooses the next action from what was said so far.
//!
//! Synchronous and batched: a rollout asks for all live episodes at once. Guarantees that replies
//! come back in the order of the requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::chat::{self, Message};
use crate::trajectory::Trajectory;

/// Answers conversations.
pub trait Policy {
    /// Its name in reports, such as `checkpoint:runs/a/checkpoints/step-40`.
    fn name(&self) -> String;

    /// Gives `request.n` replies to each request.
    ///
    /// # Errors
    /// When the policy itself fails (device, endpoint); never for what it says.
    fn sample(&mut self, requests: &[SampleRequest]) -> anyhow::Result<Vec<Vec<Sample>>>;

    /// What asking has cost so far, for policies that cost anything.
    fn account(&self) -> Option<String> {
        None
    }

    /// Draws its replies like this from now on; one that draws nothing stays as it is.
    fn draw_like(&mut self, _draw: Draw) {}
}

/// How replies are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// 0 takes the most probable reply, token by token.
    pub temperature: f64,
    /// A reply is cut after so many tokens; where absent, after as many as the policy would take.
    pub reply_tokens: Option<usize>,
}

/// A conversation that waits for replies.
#[derive(Debug, Clone)]
pub struct SampleRequest {
    /// What was said so far; the reply is the assistant's next message.
    pub messages: Vec<Message>,
    /// The id of the task, for policies that look replies up instead of making them.
    pub task: String,
    /// Which try at the task this is, from 0.
    pub attempt: usize,
    /// Steps taken before this reply.
    pub step: usize,
    /// Replies wanted.
    pub n: usize,
    /// Seed of this request; sample `i` uses `seed::derive(seed, "sample", &[i])`.
    pub seed: u64,
}

/// One reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The prompt's tokens; empty for policies without tokens.
    pub prompt: Arc<[u32]>,
    /// The reply's tokens, its end token included; empty for policies without tokens.
    pub tokens: Vec<u32>,
    /// Natural-log probability of each token under the sampling distribution (temperature applied, no top-p).
    pub logprobs: Vec<f32>,
    /// The entropies of the distributions that its tokens were drawn from, in nats, summed; 0 for policies without tokens.
    pub entropy: f64,
    /// The reply's text, without end token.
    pub text: String,
    /// False when the length limit cut it.
    pub finished: bool,
}

impl Sample {
    /// A reply that has words only.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self {
            prompt: Arc::from([]),
            tokens: Vec::new(),
            logprobs: Vec::new(),
            entropy: 0.0,
            text: text.into(),
            finished: true,
        }
    }
}

/// Replies written down beforehand: an expert's trajectory, or a script for tests.
#[derive(Debug, Clone, Default)]
pub struct Scripted {
    name: String,
    replies: BTreeMap<String, Vec<String>>,
}

impl Scripted {
    /// A policy that says `replies[task][step]`, and nothing once they are used up.
    pub fn new(name: impl Into<String>, replies: BTreeMap<String, Vec<String>>) -> Self {
        Self { name: name.into(), replies }
    }

    /// A policy that does what the experts did; of several trajectories of a task, the first counts.
    pub fn expert<'a>(
        name: impl Into<String>,
        trajectories: impl IntoIterator<Item = &'a Trajectory>,
    ) -> Self {
        let mut replies = BTreeMap::new();
        for trajectory in trajectories {
            let steps = trajectory.steps.iter().filter(|step| step.executed);
            replies.entry(trajectory.task.clone()).or_insert_with(|| steps.map(chat::render_reply).collect());
        }
        Self::new(name, replies)
    }

    /// Whether it has anything to say on a task.
    pub fn knows(&self, task: &str) -> bool {
        self.replies.contains_key(task)
    }
}

impl Policy for Scripted {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn sample(&mut self, requests: &[SampleRequest]) -> anyhow::Result<Vec<Vec<Sample>>> {
        let reply = |request: &SampleRequest| {
            let reply = self.replies.get(&request.task).and_then(|replies| replies.get(request.step));
            reply.map_or_else(Vec::new, |text| vec![Sample::from_text(text.clone()); request.n])
        };
        Ok(requests.iter().map(reply).collect())
    }
}

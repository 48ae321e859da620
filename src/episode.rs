//! One episode as a state machine without IO: ask → reply → run → observe → trajectory.
//!
//! Guarantees that every reply is either a step or the episode's end, and that nothing a policy
//! says is an error. Does not run anything: `rollout` drives it.

use std::sync::Arc;

use crate::chat::{self, Message, Scaffold, Shows, Tool};
use crate::task::Task;
use crate::trajectory::{Action, Dialect, End, Exit, FORMAT, Observation, Source, Step, Trajectory};

/// One run of a policy on a task.
#[derive(Debug, Clone)]
pub struct Episode {
    task: Arc<Task>,
    scaffold: Arc<Scaffold>,
    budget: Budget,
    steps: Vec<Step>,
    /// What its commands took.
    seconds: f64,
    /// What its replies had.
    tokens: u64,
    turn: Turn,
}

/// What an episode may use up. It ends with the step that goes beyond.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Actions.
    pub steps: usize,
    /// Wall seconds of its commands together. The policy's own time does not count: how many episodes wait beside this one
    /// must not decide when it ends.
    pub seconds: Option<f64>,
    /// Tokens of its replies together, of a policy that has any.
    pub tokens: Option<u64>,
}

impl Budget {
    /// So many actions, of whatever length.
    pub const fn of_steps(steps: usize) -> Self {
        Self { steps, seconds: None, tokens: None }
    }

    /// The less of both.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        let least = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::min);
        Self {
            steps: self.steps.min(other.steps),
            seconds: least(self.seconds, other.seconds),
            tokens: self.tokens.into_iter().chain(other.tokens).min(),
        }
    }
}

/// What must happen next.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// The policy answers [`Episode::conversation`].
    Ask,
    /// The sandbox runs this action.
    Run(Action),
    /// Nothing: it is over.
    Done(End),
}

impl Episode {
    /// An episode that has not begun.
    pub fn new(task: Arc<Task>, scaffold: Arc<Scaffold>, budget: Budget) -> Self {
        Self { task, scaffold, budget, steps: Vec::new(), seconds: 0.0, tokens: 0, turn: Turn::Ask }
    }

    /// The same episode, whose student is shown `shown` beside the problem.
    #[must_use]
    pub fn opened(mut self, shown: &str) -> Self {
        let problem = self.scaffold.opened(&self.task.problem, shown);
        self.task = Arc::new(Task { problem, ..(*self.task).clone() });
        self
    }

    /// What must happen next.
    pub fn turn(&self) -> &Turn {
        &self.turn
    }

    /// Steps taken so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What the policy is asked.
    pub fn conversation(&self) -> Vec<Message> {
        chat::conversation(&self.scaffold, &self.task, &self.steps)
    }

    /// The policy answered. A reply that cannot be read ends the episode.
    pub fn reply(&mut self, text: &str) {
        let read = chat::parse_reply(text).ok();
        let acting = read.and_then(|reply| Some((self.scaffold.action(reply.action)?, reply)));
        let Some((action, reply)) = acting else {
            self.end(End::Malformed);
            return;
        };
        self.turn = Turn::Run(action.clone());
        let thought = reply.thought.to_owned();
        self.steps.push(Step::new(thought, action));
    }

    /// Counts the tokens of the last reply.
    pub fn count(&mut self, tokens: u64) {
        self.tokens += tokens;
    }

    /// The sandbox answered.
    pub fn observe(&mut self, observation: Observation) {
        self.seconds += observation.elapsed_seconds;
        let is_done = observation.exit.is_some_and(Exit::is_success);
        let step = self.steps.last_mut().expect("invariant: an observation follows a step");
        step.observation = Some(observation);
        let is_submitted = match &step.action {
            Action::Submit => true,
            // Who cannot say that the work is done has done it with an edit that applies.
            Action::Editor(call) => {
                call.dialect == Dialect::SearchReplace && is_done && !self.scaffold.has(Tool::Submit)
            }
            _ => false,
        };
        let is_over = if is_submitted { Some(End::Submitted) } else { self.used_up() };
        self.turn = is_over.map_or(Turn::Ask, Turn::Done);
    }

    /// The part of the budget that is used up.
    fn used_up(&self) -> Option<End> {
        let Budget { steps, seconds, tokens } = self.budget;
        if steps <= self.steps.len() {
            Some(End::StepLimit)
        } else if seconds.is_some_and(|most| most < self.seconds) {
            Some(End::TimeLimit)
        } else if tokens.is_some_and(|most| most < self.tokens) {
            Some(End::TokenLimit)
        } else {
            None
        }
    }

    /// Ends it for a reason that is not the agent's own decision.
    pub fn end(&mut self, end: End) {
        self.turn = Turn::Done(end);
    }

    /// The record of what was done.
    pub fn finish(self, id: String, policy: &str, patch: Option<String>) -> Trajectory {
        let end = match self.turn {
            Turn::Done(end) => end,
            Turn::Ask | Turn::Run(_) => End::Unknown,
        };
        // A problem that says more than the task does is part of the record: whoever learns from it must read the same.
        let is_opened = self.scaffold.shows() != Shows::Nothing;
        Trajectory {
            format: FORMAT.to_owned(),
            id,
            problem: is_opened.then(|| self.task.problem.clone()),
            task: self.task.id.clone(),
            source: Source {
                format: "rollout".to_owned(),
                model: Some(policy.to_owned()),
                ..Source::default()
            },
            steps: self.steps,
            end,
            patch,
            answer: None,
            resolved: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(budget: Budget) -> Episode {
        let task = Task {
            format: crate::task::FORMAT.to_owned(),
            id: "t".to_owned(),
            kind: crate::task::Kind::Code,
            problem: "max is wrong".to_owned(),
            ..Task::default()
        };
        Episode::new(Arc::new(task), Arc::default(), budget)
    }

    #[test]
    fn a_submission_ends_the_episode() {
        let mut episode = episode(Budget::of_steps(8));
        episode.reply("<think>look</think>\nls");
        assert_eq!(episode.turn(), &Turn::Run(Action::bash("ls")));
        episode.observe(Observation::new("src\n", 0));
        assert_eq!(episode.turn(), &Turn::Ask);
        episode.reply("<think>done</think>\nsubmit");
        episode.observe(Observation::new("", 0));
        assert_eq!(episode.turn(), &Turn::Done(End::Submitted));
    }

    #[test]
    fn a_reply_that_cannot_be_read_ends_the_episode_without_a_step() {
        let mut episode = episode(Budget::of_steps(8));
        episode.reply("ls");
        assert_eq!(episode.turn(), &Turn::Done(End::Malformed));
        assert!(episode.steps().is_empty());
    }

    #[test]
    fn what_the_budget_does_not_bear_ends_the_episode() {
        let ends = |budget: Budget, seconds: f64, tokens: u64| {
            let mut episode = episode(budget);
            episode.reply("<think>look</think>\nls");
            episode.count(tokens);
            episode.observe(Observation { elapsed_seconds: seconds, ..Observation::new("src\n", 0) });
            episode.turn().clone()
        };
        let (few, many) = (Budget::of_steps(1), Budget::of_steps(8));
        let bounded = Budget { seconds: Some(2.0), tokens: Some(10), ..many };
        for (budget, seconds, tokens, turn) in [
            (few, 0.0, 0, Turn::Done(End::StepLimit)),
            (many, 100.0, 100, Turn::Ask),
            (bounded, 2.0, 10, Turn::Ask),
            (bounded, 2.5, 10, Turn::Done(End::TimeLimit)),
            (bounded, 2.0, 11, Turn::Done(End::TokenLimit)),
            (bounded.within(few), 0.0, 0, Turn::Done(End::StepLimit)),
            (many.within(bounded), 0.0, 11, Turn::Done(End::TokenLimit)),
        ] {
            assert_eq!(ends(budget, seconds, tokens), turn, "{budget:?} {seconds} {tokens}");
        }
    }
}

//! One episode as a state machine without IO: ask → reply → run → observe → trajectory.
//!
//! Guarantees that every reply is either a step or the episode's end, and that nothing a policy
//! says is an error. Does not run anything: `rollout` drives it.

use crate::chat::{self, Message, Scaffold};
use crate::task::Task;
use crate::trajectory::{Action, End, FORMAT, Observation, Source, Step, Trajectory};

/// One run of a policy on a task.
#[derive(Debug, Clone)]
pub struct Episode<'a> {
    task: &'a Task,
    scaffold: &'a Scaffold,
    max_steps: usize,
    steps: Vec<Step>,
    turn: Turn,
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

impl<'a> Episode<'a> {
    /// An episode that has not begun.
    pub fn new(task: &'a Task, scaffold: &'a Scaffold, max_steps: usize) -> Self {
        Self { task, scaffold, max_steps, steps: Vec::new(), turn: Turn::Ask }
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
        chat::conversation(self.scaffold, self.task, &self.steps)
    }

    /// The policy answered. A reply that cannot be read ends the episode.
    pub fn reply(&mut self, text: &str) {
        let Ok(reply) = chat::parse_reply(text) else {
            self.end(End::Malformed);
            return;
        };
        let action = chat::parse_action(reply.action);
        self.turn = Turn::Run(action.clone());
        let thought = reply.thought.to_owned();
        self.steps.push(Step::new(thought, action));
    }

    /// The sandbox answered.
    pub fn observe(&mut self, observation: Observation) {
        let step = self.steps.last_mut().expect("invariant: an observation follows a step");
        let submitted = step.action == Action::Submit;
        step.observation = Some(observation);
        self.turn = match submitted {
            true => Turn::Done(End::Submitted),
            false if self.steps.len() == self.max_steps => Turn::Done(End::StepLimit),
            false => Turn::Ask,
        };
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
        Trajectory {
            format: FORMAT.to_owned(),
            id,
            task: self.task.id.clone(),
            source: Source {
                format: "rollout".to_owned(),
                model: Some(policy.to_owned()),
                ..Source::default()
            },
            problem: None,
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

    fn task() -> Task {
        Task {
            format: crate::task::FORMAT.to_owned(),
            id: "t".to_owned(),
            kind: crate::task::Kind::Code,
            problem: "max is wrong".to_owned(),
            ..Task::default()
        }
    }

    #[test]
    fn a_submission_ends_the_episode() {
        let (task, scaffold) = (task(), Scaffold::default());
        let mut episode = Episode::new(&task, &scaffold, 8);
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
        let (task, scaffold) = (task(), Scaffold::default());
        let mut episode = Episode::new(&task, &scaffold, 8);
        episode.reply("ls");
        assert_eq!(episode.turn(), &Turn::Done(End::Malformed));
        assert!(episode.steps().is_empty());
    }

    #[test]
    fn the_step_limit_ends_the_episode() {
        let (task, scaffold) = (task(), Scaffold::default());
        let mut episode = Episode::new(&task, &scaffold, 1);
        episode.reply("<think>look</think>\nls");
        episode.observe(Observation::new("src\n", 0));
        assert_eq!(episode.turn(), &Turn::Done(End::StepLimit));
    }
}

//! Examples: what the student would have seen before an expert's step, and what the expert did.
//!
//! A view over a trajectory, never stored: the trajectory is the storage.

use crate::chat::{parse_reply, render_reply};
use crate::task::Task;
use crate::trajectory::{Action, Step, Trajectory};

/// One training instance: history → expert action.
#[derive(Debug, Clone, Copy)]
pub struct Example<'a> {
    /// The problem.
    pub task: &'a Task,
    /// The trajectory's id.
    pub trajectory: &'a str,
    /// Which step is to be taken, from 0.
    pub index: usize,
    /// The expert's steps before it.
    pub history: &'a [Step],
    /// The expert's step.
    pub expert: &'a Step,
}

impl<'a> Example<'a> {
    /// The action that the reward compares with.
    pub fn action(&self) -> &'a Action {
        &self.expert.action
    }

    /// Whether the expert's own reply is well-formed and says what the expert did.
    pub fn is_learnable(&self) -> bool {
        let reply = render_reply(self.expert);
        parse_reply(&reply).is_ok_and(|reply| reply.action == self.action().text().trim())
    }

    /// Whether a student may learn to say what the expert said: a further action of the same reply has no thought of its
    /// own, and the least one that stands in for it is nothing to imitate. What to do is.
    pub fn is_imitable(&self) -> bool {
        self.is_learnable() && !(self.expert.continues && self.expert.thought.trim().is_empty())
    }
}

/// The examples of one trajectory, one for each executed step (targets 1..N).
pub fn examples<'a>(task: &'a Task, trajectory: &'a Trajectory) -> Vec<Example<'a>> {
    let at = |index: usize| Example {
        task,
        trajectory: &trajectory.id,
        index,
        history: &trajectory.steps[..index],
        expert: &trajectory.steps[index],
    };
    (0..trajectory.steps.len()).filter(|&index| trajectory.steps[index].executed).map(at).collect()
}

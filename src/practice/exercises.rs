//! Exercises: the student solves whole problems of mathematics, and each try earns what the judge says of its answer.
//!
//! A right answer earns 1, a wrong one and none at all 0. An answer that the judge cannot tell about earns nothing, not even
//! 0: that is a limit of ours, and says nothing of the student. Needs no sandbox.

use anyhow::Result;

use crate::group::Reward;
use crate::policy::Policy;
use crate::solve::{self, Judge, Manner, Try};
use crate::task::Task;
use crate::train::grpo::Practice;
use crate::trajectory::End;

/// Problems to practise on.
pub struct Exercises<'a> {
    /// The problems.
    pub tasks: Vec<&'a Task>,
    /// How they are solved.
    pub manner: Manner,
    /// Who says which answers are right.
    pub judge: &'a dyn Judge,
}

impl Practice for Exercises<'_> {
    fn tasks(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.id.clone()).collect()
    }

    fn rewards(
        &mut self,
        policy: &mut dyn Policy,
        tasks: &[usize],
        n: usize,
        seed: u64,
    ) -> Result<Vec<Vec<Option<Reward>>>> {
        let tasks: Vec<&Task> = tasks.iter().map(|&task| self.tasks[task]).collect();
        let tries = solve::tries(policy, &tasks, (n, seed), &self.manner, self.judge)?;
        Ok(tries.iter().map(|tries| tries.iter().map(reward).collect()).collect())
    }
}

fn reward(one: &Try) -> Option<Reward> {
    let value = if one.judged.is_right? { 1.0 } else { 0.0 };
    Some(Reward { value, well_formed: one.end != End::Malformed })
}

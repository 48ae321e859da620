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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Sample, SampleRequest};
    use crate::solve::Judged;
    use crate::task::{self, Kind};

    /// Says its try's number.
    struct Counter;

    impl Policy for Counter {
        fn name(&self) -> String {
            "counter".to_owned()
        }

        fn sample(&mut self, requests: &[SampleRequest]) -> Result<Vec<Vec<Sample>>> {
            let reply = |request: &SampleRequest| {
                let text = format!("\\boxed{{{}}}", request.attempt);
                vec![Sample { finished: request.attempt != 3, ..Sample::from_text(text) }]
            };
            Ok(requests.iter().map(reply).collect())
        }
    }

    /// Cannot tell about a 2.
    struct Unsure;

    impl Judge for Unsure {
        fn judge(&self, task: &Task, reply: &str) -> Judged {
            let is_right = (!reply.contains('2')).then(|| reply.contains(task.answer.as_deref().unwrap()));
            Judged { is_right, answer: None }
        }

        fn is_same(&self, one: &str, other: &str) -> bool {
            one == other
        }
    }

    #[test]
    fn a_right_answer_earns_one_and_one_that_the_judge_cannot_tell_about_nothing_at_all() {
        let problem = |id: &str, answer: &str| Task {
            format: task::FORMAT.to_owned(),
            id: id.to_owned(),
            kind: Kind::Math,
            problem: "How many?".to_owned(),
            answer: Some(answer.to_owned()),
            ..Task::default()
        };
        let (one, two) = (problem("one", "1"), problem("two", "3"));
        let mut practice = Exercises { tasks: vec![&one, &two], manner: Manner::Whole, judge: &Unsure };
        assert_eq!(practice.tasks(), ["one", "two"]);
        let rewards = practice.rewards(&mut Counter, &[1, 0], 4, 0).unwrap();
        let reward = |value, well_formed| Some(Reward { value, well_formed });
        let (right, wrong) = (reward(1.0, true), reward(0.0, true));
        // The fourth reply was cut at the length limit: it counts as malformed, and its verdict stands.
        assert_eq!(
            rewards,
            [[wrong, wrong, None, reward(1.0, false)], [wrong, right, None, reward(0.0, false)]]
        );
    }
}

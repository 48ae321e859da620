//! Problems and their worked solutions, made by the embedded generator.
//!
//! The same for every seed of a run, so that the held-out problems of one are not trained on in another.

use std::collections::BTreeSet;

use super::plan::TaskPlan;
use crate::synth::math::{self, Problem, Problems};
use crate::task::Task;
use crate::trajectory::{Action, Step, Trajectory};

const DATA_SEED: u64 = 0;

/// Of the templates that are trained on, those that a rehearsal holds out: one that adds to a known way of working, one
/// that shortens it.
const REHEARSED: [&str; 3] = ["fraction-product", "remainder-product", "rate-distance"];

/// The problems of a plan.
pub(super) fn problems(plan: &TaskPlan) -> anyhow::Result<Problems> {
    let (train, new_numbers, new_templates) = (plan.train, plan.new_numbers, plan.new_templates);
    if !plan.rehearse {
        return math::problems(&math::Options { seed: DATA_SEED, train, new_numbers, new_templates });
    }
    // Twice as many as are wanted hold enough of the templates that stay, as well as of those that are held out.
    let count = 2 * (train + new_numbers + new_templates);
    let made =
        math::problems(&math::Options { seed: DATA_SEED, train: count, new_numbers: 0, new_templates: 0 })?;
    let is_rehearsed = |problem: &Problem| REHEARSED.contains(&problem.template);
    let (mut rehearsed, mut rest): (Vec<_>, Vec<_>) = made.train.into_iter().partition(is_rehearsed);
    let mut numbers = rest.split_off(rest.len().min(train));
    numbers.truncate(new_numbers);
    rehearsed.truncate(new_templates);
    Ok(Problems { train: rest, new_numbers: numbers, new_templates: rehearsed })
}

/// Problems of one kind with their experts.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) tasks: Vec<Task>,
    pub(super) experts: Vec<Trajectory>,
}

impl Side {
    pub(super) fn new(name: &str, problems: &[Problem]) -> Self {
        let tasks = problems.iter().map(|problem| problem.task(name)).collect();
        let experts = problems.iter().map(|problem| to_the_end(problem.expert())).collect();
        Self { tasks, experts }
    }

    /// Each expert with its task.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Task, &Trajectory)> {
        self.tasks.iter().zip(&self.experts)
    }
}

/// The expert with its final answer as a step of its own: a student that writes step after step has to learn where to end.
fn to_the_end(mut expert: Trajectory) -> Trajectory {
    let answer = expert.answer.take().map(|text| Step::new("", Action::Answer { text }));
    expert.steps.extend(answer);
    expert
}

/// How many templates some problems are of.
pub(super) fn templates(problems: &[Problem]) -> usize {
    problems.iter().map(|problem| problem.template).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solution::last_box;

    fn plan(rehearse: bool) -> TaskPlan {
        TaskPlan { train: 60, new_numbers: 20, new_templates: 21, rehearse }
    }

    #[test]
    fn a_rehearsal_touches_no_held_out_problem_and_holds_out_templates_of_its_own() {
        let [played, rehearsed] = [false, true].map(|rehearse| problems(&plan(rehearse)).unwrap());
        let texts = |problems: &[Problem]| -> BTreeSet<String> {
            problems.iter().map(|problem| problem.text.clone()).collect()
        };
        let held_out = |made: &Problems| &texts(&made.new_numbers) | &texts(&made.new_templates);
        for (_, some) in rehearsed.named() {
            assert!(texts(some).is_disjoint(&held_out(&played)));
        }
        let counts = rehearsed.named().map(|(_, some)| (some.len(), templates(some)));
        assert_eq!(counts, [(60, 10), (20, 10), (21, 3)]);
        assert!(rehearsed.train.iter().all(|problem| !REHEARSED.contains(&problem.template)));
        assert!(texts(&rehearsed.train).is_disjoint(&held_out(&rehearsed)));
    }

    #[test]
    fn experts_end_with_their_answer_in_a_box() {
        let made = problems(&plan(false)).unwrap();
        let side = Side::new("train", &made.train);
        for (task, expert) in side.pairs() {
            let boxed: Vec<Option<String>> =
                expert.steps.iter().map(|step| last_box(&step.action.text()).map(str::to_owned)).collect();
            let (last, before) = boxed.split_last().unwrap();
            assert_eq!(last, &task.answer);
            assert!(before.iter().all(Option::is_none), "{expert:?}");
        }
    }
}

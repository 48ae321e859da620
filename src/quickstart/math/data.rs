//! Problems and their worked solutions, made by the embedded generator.
//!
//! The same for every seed of a run, so that the held-out problems of one are not trained on in another.

use std::collections::BTreeSet;

use anyhow::bail;

use super::plan::TaskPlan;
use crate::synth::math::{self, Problem, Problems};
use crate::task::Task;
use crate::trajectory::{Action, Step, Trajectory};

const DATA_SEED: u64 = 0;

/// Problems to train on that are made at once; no template has fewer than it gives then.
const AT_ONCE: usize = 1300;

/// How often that is done at most.
const ROUNDS: u64 = 40;

/// Of the templates that are trained on, those that a rehearsal holds out.
const REHEARSED: [&str; 3] = ["fraction-product", "remainder-product", "rate-distance"];

/// The problems of a plan.
pub(super) fn problems(plan: &TaskPlan) -> anyhow::Result<Problems> {
    let (new_numbers, new_templates) = (plan.new_numbers, plan.new_templates);
    let made = math::problems(&math::Options { seed: DATA_SEED, train: 0, new_numbers, new_templates })?;
    let held_out = made.new_numbers.iter().chain(&made.new_templates);
    let mut taken: BTreeSet<String> = held_out.map(|problem| problem.text.clone()).collect();
    if !plan.rehearse {
        return Ok(Problems { train: others(plan.train, &mut taken)?, ..made });
    }
    // Enough that those to train on and those to rehearse on are all among them.
    let all = others(2 * (plan.train + new_numbers) + 5 * new_templates, &mut taken)?;
    let is_rehearsed = |problem: &Problem| REHEARSED.contains(&problem.template);
    let (mut rehearsed, mut rest): (Vec<_>, Vec<_>) = all.into_iter().partition(is_rehearsed);
    let train = rest.split_off(new_numbers).into_iter().take(plan.train).collect();
    rehearsed.truncate(new_templates);
    Ok(Problems { train, new_numbers: rest, new_templates: rehearsed })
}

/// Problems to train on that are not `taken`. A template with few numbers to draw is used up sooner than the others.
fn others(count: usize, taken: &mut BTreeSet<String>) -> anyhow::Result<Vec<Problem>> {
    let mut problems = Vec::with_capacity(count);
    for round in 1..=ROUNDS {
        let options =
            math::Options { seed: DATA_SEED + round, train: AT_ONCE, new_numbers: 0, new_templates: 0 };
        for problem in math::problems(&options)?.train {
            if problems.len() == count {
                return Ok(problems);
            }
            if taken.insert(problem.text.clone()) {
                problems.push(problem);
            }
        }
    }
    bail!("the templates have fewer than {count} problems that differ; lower `tasks.train`")
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

    #[test]
    fn problems_to_train_on_differ_and_there_is_an_end_to_them() {
        let made = problems(&TaskPlan { train: 6000, ..plan(false) }).unwrap();
        let texts: BTreeSet<&String> =
            made.named().into_iter().flat_map(|(_, some)| some).map(|problem| &problem.text).collect();
        assert_eq!(texts.len(), 6000 + 20 + 21);
        assert_eq!(templates(&made.train), 13);
        let error = problems(&TaskPlan { train: 1_000_000, ..plan(false) }).unwrap_err().to_string();
        assert!(error.contains("lower `tasks.train`"), "{error}");
    }

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

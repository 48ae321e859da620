//! Problems put to scripted policies.

use super::*;
use crate::task::{self, Kind, Origin};

/// Says one list of replies a task, and remembers how it was to draw.
#[derive(Default)]
struct Told {
    replies: Vec<(&'static str, Vec<&'static str>)>,
    draws: Vec<Draw>,
    asked: Vec<(String, usize)>,
}

impl Policy for Told {
    fn name(&self) -> String {
        "told".to_owned()
    }

    fn sample(&mut self, requests: &[SampleRequest]) -> anyhow::Result<Vec<Vec<Sample>>> {
        self.asked.extend(requests.iter().map(|request| (request.task.clone(), request.n)));
        let said = |request: &SampleRequest| {
            let (_, replies) = self.replies.iter().find(|(task, _)| *task == request.task)?;
            Some(replies.iter().take(request.n).map(|text| Sample::from_text(*text)).collect())
        };
        Ok(requests.iter().map(|request| said(request).unwrap_or_default()).collect())
    }

    fn draw_like(&mut self, draw: Draw) {
        self.draws.push(draw);
    }
}

fn problem(id: &str, benchmark: &str, answer: &str) -> Task {
    let origin =
        Origin { dataset: "problems".to_owned(), repo: benchmark.to_owned(), row_hash: String::new() };
    Task {
        format: task::FORMAT.to_owned(),
        id: id.to_owned(),
        kind: Kind::Math,
        problem: "How many?\n".to_owned(),
        answer: Some(answer.to_owned()),
        origin: Some(origin),
        ..Task::default()
    }
}

const OPTIONS: Options =
    Options { samples: 4, draw: Draw { temperature: 1.0, reply_tokens: Some(64) }, seed: 1 };

#[test]
fn every_problem_is_put_once_without_and_once_with_chance() {
    let (one, two) = (problem("a", "aime24", "5"), problem("b", "amc23", "7.0"));
    let five = "<think>2 + 3</think> \\boxed{5}";
    let replies =
        vec![("a", vec![five, "\\boxed{4}", five, "no idea"]), ("b", vec!["\\boxed{7}", "\\boxed{7}"])];
    let mut policy = Told { replies, ..Told::default() };
    let mut heard = Vec::new();
    let solved = solve(&mut policy, &[&one, &two], &Strict, &OPTIONS, |solved| {
        heard.push(solved.task.clone());
        Ok(())
    })
    .unwrap();
    assert_eq!(heard, ["a", "b"]);
    assert_eq!(policy.draws, [Draw { temperature: 0.0, ..OPTIONS.draw }, OPTIONS.draw]);
    let asked: Vec<(&str, usize)> = policy.asked.iter().map(|(task, n)| (task.as_str(), *n)).collect();
    assert_eq!(asked, [("a", 1), ("b", 1), ("a", 4), ("b", 4)]);
    let right: Vec<Vec<bool>> = solved.iter().map(|solved| solved.sheet().right).collect();
    assert_eq!(right, [[true, false, true, false], [true, true, false, false]], "two of b were never given");
    assert_eq!(solved[0].sheet().benchmark, "aime24");
    assert!(solved.iter().all(|solved| solved.majority && solved.sheet().greedy == Some(true)));
    let trajectories = solved[0].trajectories("told");
    assert_eq!(
        trajectories.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(),
        ["a.0", "a.1", "a.2", "a.3", "a.greedy"]
    );
    assert_eq!((trajectories[1].resolved, trajectories[1].answer.as_deref()), (Some(false), Some("4")));
    assert_eq!(solved[0].trials().filter(|trial| trial.resolved == Some(true)).count(), 2);
    assert_eq!(super::replies(&solved).unwrap().replies, 8);
}

#[test]
fn the_majority_counts_equal_answers_together_and_the_first_of_equals() {
    let task = problem("a", "b", "1/2");
    let vote = |replies: &[&str]| {
        let reply = |text: &&str| Reply::of(Sample::from_text(*text), &task, &Strict);
        vote::is_right(&replies.iter().map(reply).collect::<Vec<_>>(), &Strict)
    };
    assert!(vote(&["\\boxed{1}", "\\boxed{0.5}", "\\boxed{\\frac{1}{2}}"]));
    assert!(!vote(&["\\boxed{1}", "\\boxed{0.5}", "none", "none"]), "of equals, the first");
    assert!(vote(&["\\boxed{0.5}", "\\boxed{1}"]));
    assert!(!vote(&["none"]) && !vote(&[]));
}

#[test]
fn the_question_is_the_papers() {
    let messages = chat::solving(&problem("a", "b", "1"));
    assert!(
        messages[0]
            .content
            .starts_with("Please reason step by step, and put your final answer within \\boxed{}.")
    );
    assert_eq!(messages[1].content, "How many?");
}

/// Says what a script has for (task, try, step), and nothing where it has nothing; remembers what it was shown.
#[derive(Default)]
struct Stepper {
    script: Vec<((&'static str, usize, usize), &'static str)>,
    shown: Vec<String>,
}

impl Policy for Stepper {
    fn name(&self) -> String {
        "stepper".to_owned()
    }

    fn sample(&mut self, requests: &[SampleRequest]) -> anyhow::Result<Vec<Vec<Sample>>> {
        let mut reply = |request: &SampleRequest| {
            self.shown.push(request.messages[1].content.clone());
            let place = (request.task.as_str(), request.attempt, request.step);
            let said = self.script.iter().find(|(known, _)| *known == place);
            said.map(|(_, text)| Sample::from_text(*text)).into_iter().collect()
        };
        Ok(requests.iter().map(&mut reply).collect())
    }
}

fn in_steps(limit: usize) -> Manner {
    Manner::Steps { scaffold: chat::Scaffold::default(), limit }
}

#[test]
fn a_problem_is_solved_step_after_step_until_a_step_has_a_box() {
    let task = problem("a", "b", "5");
    let script = vec![
        (("a", 0, 0), "<think>t</think> 1. 2 + 3 = 5"),
        (("a", 0, 1), "<think>t</think> \\boxed{5}"),
        (("a", 1, 0), "<think>t</think> 1. 2 + 3 = 6"),
        (("a", 1, 1), "<think>t</think> \\boxed{6}"),
        (("a", 2, 0), "<think>t</think> 1. 2 + 3 = 5"),
        (("a", 2, 1), "\\boxed{5}, said without a thought"),
        (("a", 3, 0), "<think>t</think> one"),
        (("a", 3, 1), "<think>t</think> two"),
        (("a", 3, 2), "<think>t</think> three"),
        (("a", 4, 0), "<think>t</think> and then no room"),
    ];
    let mut policy = Stepper { script, ..Stepper::default() };
    let made = tries(&mut policy, &[&task], (5, 0), &in_steps(3), &Strict).unwrap().remove(0);
    let told: Vec<_> =
        made.iter().map(|one| (one.end, one.steps.len(), one.replies, one.is_right())).collect();
    let ends = [End::Submitted, End::Submitted, End::Malformed, End::StepLimit, End::ContextLimit];
    assert_eq!(
        told,
        [
            (ends[0], 2, 2, true),
            (ends[1], 2, 2, false),
            (ends[2], 1, 2, false),
            (ends[3], 3, 3, false),
            (ends[4], 1, 1, false)
        ]
    );
    assert_eq!(policy.shown[5], "How many?\n\nSolution so far:\n\n1. 2 + 3 = 5");
    let kept = made.into_iter().next().unwrap().trajectory((&task, 0), "stepper");
    assert_eq!((kept.id.as_str(), kept.resolved, kept.answer.as_deref()), ("a.0", Some(true), Some("5")));
}

#[test]
fn a_whole_solution_is_one_reply_to_the_question_of_evaluations() {
    let (one, two) = (problem("a", "b", "5"), problem("b", "b", "7"));
    let script = vec![(("a", 0, 0), "2 + 3: \\boxed{5}"), (("b", 1, 0), "<think>7</think> \\boxed{8}")];
    let mut policy = Stepper { script, ..Stepper::default() };
    let made = tries(&mut policy, &[&one, &two], (2, 0), &Manner::Whole, &Strict).unwrap();
    let told = |one: &Try| (one.end, one.is_right());
    let told: Vec<Vec<_>> = made.iter().map(|tries| tries.iter().map(told).collect()).collect();
    let (said, nothing) = (End::Submitted, End::ContextLimit);
    assert_eq!(told, [[(said, true), (nothing, false)], [(nothing, false), (said, false)]]);
    assert_eq!(policy.shown, ["How many?"; 4]);
}

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

//! The judge of rewards and rates: `answer`'s strict verdict, by the rules that the task's benchmark asks for.

use super::{Judge, Judged};
use crate::answer::{Profile, Verdict, judge, strict};
use crate::task::Task;

/// Judges mathematics, not letters: docs/answers.md.
#[derive(Debug, Clone, Copy)]
pub struct Strict;

impl Judge for Strict {
    fn judge(&self, task: &Task, reply: &str) -> Judged {
        let judged = judge(task.answer.as_deref().unwrap_or_default(), reply, profile(task));
        let is_right = match judged.verdict {
            Verdict::Equal => Some(true),
            Verdict::NotEqual | Verdict::NoAnswer => Some(false),
            Verdict::Undecided => None,
        };
        Judged { is_right, answer: judged.extracted }
    }

    fn is_same(&self, one: &str, other: &str) -> bool {
        strict::answers(one, other, Profile::Exact).0 == Verdict::Equal
    }
}

/// Golds of Minerva Math are measured quantities, whose last digits nobody can know.
fn profile(task: &Task) -> Profile {
    let benchmark = task.origin.as_ref().map(|origin| &*origin.repo);
    if benchmark == Some("minerva") { Profile::Minerva } else { Profile::Exact }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_last_box_that_is_said_and_not_thought() {
        let task = Task { answer: Some("5".to_owned()), ..Task::default() };
        let found = |reply: &str| Strict.judge(&task, reply);
        let judged = |is_right, answer: Option<&str>| Judged { is_right, answer: answer.map(str::to_owned) };
        assert_eq!(found("\\boxed{4}, no: \\boxed{10/2}"), judged(Some(true), Some("10/2")));
        assert_eq!(found("<think>\\boxed{5}</think> \\boxed{4}"), judged(Some(false), Some("4")));
        assert_eq!(found("\\boxed{4} <think>\\boxed{5}").is_right, Some(false));
    }

    #[test]
    fn only_measured_quantities_have_slack() {
        let of = |repo: &str| {
            let origin = crate::task::Origin {
                dataset: repo.to_owned(),
                repo: repo.to_owned(),
                row_hash: String::new(),
            };
            Task { answer: Some("1.60e3".to_owned()), origin: Some(origin), ..Task::default() }
        };
        let judged = |repo: &str| Strict.judge(&of(repo), "\\boxed{1603}").is_right;
        assert_eq!((judged("minerva"), judged("aime")), (Some(true), Some(false)));
    }
}

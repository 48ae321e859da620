//! Teachers that were told what to say.

use std::collections::BTreeMap;

use super::*;
use crate::policy::Scripted;
use crate::solve::Strict;

const GOOD: &str = "<think>hm</think>SOLUTION:\n1. **Add** $2+2=4$.\n2. **Halve** $4/2=2$, so $\\boxed{2}$.";

fn prose(id: &str) -> Prose {
    let text = |text: &str| text.to_owned();
    Prose { id: text(id), problem: text("Half of 2 + 2?"), solution: text("It is 2."), answer: text("2.0") }
}

fn teacher(replies: &[(&str, &[&str])]) -> Scripted {
    let owned = |replies: &[&str]| replies.iter().map(|&text| text.to_owned()).collect();
    let replies: BTreeMap<_, _> =
        replies.iter().map(|(task, replies)| ((*task).to_owned(), owned(replies))).collect();
    Scripted::new("teacher", replies)
}

const OPTIONS: Options = Options { tries: 3, seed: 0 };

fn rewritten(teacher: &mut Scripted, prose: &[Prose], path: &std::path::Path) -> Vec<Rewriting> {
    rewrite(teacher, prose, &Strict, &OPTIONS, &mut Cache::open(path).unwrap()).unwrap()
}

#[test]
fn what_does_not_fit_is_asked_again_and_its_last_reason_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut teacher = teacher(&[
        ("a", &["It is 2.", GOOD]),
        ("b", &["SOLUTION:\n1. **Guess** \\boxed{2}", "x", "SOLUTION:\n1. **A** x\n2. **B** \\boxed{3}"]),
    ]);
    let found =
        rewritten(&mut teacher, &[prose("a"), prose("b"), prose("c")], &dir.path().join("cache.jsonl"));
    assert_eq!(found[0].as_deref(), Ok("1. **Add** $2+2=4$.\n2. **Halve** $4/2=2$, so $\\boxed{2}$."));
    assert_eq!(found[1], Err("the answer became `3`, and was `2.0`".to_owned()));
    assert_eq!(found[2], Err("the teacher gave no whole reply".to_owned()));
}

#[test]
fn replies_without_the_form_or_the_answer_say_what_is_wrong() {
    let cases = [
        ("1. **A** x\n2. **B** \\boxed{2}", "the reply has no `SOLUTION:`"),
        ("SOLUTION:\nIt is \\boxed{2}.", "the solution has 0 numbered steps, fewer than two"),
        ("SOLUTION:\nStep 1: x\nStep 2: \\boxed{2}", "the reply does not begin with `1. **TITLE**`"),
        ("SOLUTION:\nWell.\n1. **A** x\n2. **B** \\boxed{2}", "the reply does not begin with `1. **TITLE**`"),
        ("SOLUTION:\n1. **A**\n2. **B** \\boxed{2}", "step 1 says nothing but its title"),
        ("SOLUTION:\n1. **A** x\n2. **B** y", "the reply has no `\\boxed` answer"),
        ("<think>SOLUTION:\n1. **A** x\n2. **B** \\boxed{2}", "the reply has no `SOLUTION:`"),
    ];
    for (reply, reason) in cases {
        assert_eq!(checked(&prose("a"), Some(reply), &Strict), Err(reason.to_owned()), "{reply}");
    }
}

#[test]
fn what_a_teacher_said_is_not_asked_again_by_a_later_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.jsonl");
    let problems = [prose("a")];
    let first = rewritten(&mut teacher(&[("a", &["no", GOOD])]), &problems, &path);
    // This one says nothing, so all that it seems to say is remembered.
    assert_eq!(rewritten(&mut teacher(&[]), &problems, &path), first);
    let other = Prose { problem: "Another?".to_owned(), ..prose("a") };
    assert!(rewritten(&mut teacher(&[]), &[other], &path)[0].is_err());
    assert_eq!(fs_err::read_to_string(&path).unwrap().lines().count(), 2);
}

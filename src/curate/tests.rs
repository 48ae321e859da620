//! What the rules keep and drop.

use super::*;
use crate::trajectory::{Action, End, FORMAT, Observation, Source, Step};

fn task() -> Task {
    let yaml = "format: apprentice.task/1\nid: a\nkind: math\nproblem: p\nanswer: '1'\n";
    Task::parse(yaml, "t").unwrap()
}

fn trajectory(steps: &[(&str, &str)]) -> Trajectory {
    let step = |(command, seen): &(&str, &str)| {
        let action = if *command == "submit" { Action::Submit } else { Action::bash(*command) };
        Step::new("So.", action).seeing(Observation::recorded(*seen))
    };
    Trajectory {
        format: FORMAT.into(),
        id: "t".into(),
        task: "a".into(),
        source: Source::default(),
        problem: None,
        steps: steps.iter().map(step).collect(),
        end: End::Submitted,
        patch: None,
        answer: None,
        resolved: None,
    }
}

const WORK: &[(&str, &str)] = &[
    ("ls", "a.py"),
    ("pytest", "1 failed in 0.31s"),
    ("true", ""),
    ("pytest", "1 failed in 0.17s"),
    ("sed -i s/1/2/ a.py", ""),
    ("pytest", "1 failed in 0.17s"),
    ("sed -i s/2/3/ a.py", ""),
    ("pytest", "1 passed in 0.1s"),
    ("submit", ""),
];

/// The numbers of the examples that are left.
fn kept(trajectory: &Trajectory, replayed: Option<&Replayed>, filters: &[Filter]) -> Vec<usize> {
    let rules = Rules { filters: filters.iter().copied().collect(), ..Rules::default() };
    let task = task();
    let curated = curate(&task, trajectory, replayed, &rules);
    curated.examples(&task).into_iter().map(|(number, _)| number).collect()
}

#[test]
fn nothing_is_dropped_unless_asked_and_everything_is_counted() {
    let trajectory = trajectory(WORK);
    assert_eq!(kept(&trajectory, None, &[]), (1..=9).collect::<Vec<_>>());
    let tally = curate(&task(), &trajectory, None, &Rules::default()).tally;
    let counted: Vec<usize> = tally.concerned.into_values().collect();
    // Unresolved and not replayed: all; no leak; two idle; one after the last edit.
    assert_eq!((counted, tally.targets, tally.kept), (vec![9, 9, 0, 2, 1], 9, 9));
}

#[test]
fn targets_are_chosen_at_both_ends() {
    let trajectory = trajectory(WORK);
    let count = |targets| curate(&task(), &trajectory, None, &Rules { targets, ..Rules::default() });
    assert_eq!(count(Targets::AllButLast).targets, (0..8).collect::<Vec<_>>());
    assert_eq!(count(Targets::AllButFirst).targets, (1..9).collect::<Vec<_>>());
}

#[test]
fn idle_and_wasted_steps_leave_the_history_too() {
    let trajectory = trajectory(WORK);
    assert_eq!(kept(&trajectory, None, &[Filter::Idle, Filter::Wasted]), [1, 2, 5, 6, 7, 9]);
    let rules = Rules { filters: [Filter::Idle, Filter::Wasted].into(), ..Rules::default() };
    let task = task();
    let curated = curate(&task, &trajectory, None, &rules);
    let (number, last) = curated.examples(&task).pop().unwrap();
    assert_eq!((number, last.index, last.history.len()), (9, 5, 5));
    assert_eq!(last.action(), &Action::Submit);
}

#[test]
fn going_back_is_not_idle_and_going_nowhere_is() {
    let moves = trajectory(&[
        ("cd /a", ""),
        ("cd /b", ""),
        ("cd /a", ""),
        ("cd /a", ""),
        ("cd /a && ls", "x"),
        ("submit", ""),
    ]);
    assert_eq!(kept(&moves, None, &[Filter::Idle]), [1, 2, 3, 5, 6]);
    let again = trajectory(&[
        ("cd /a && ls", "x"),
        ("ls", "x"),
        ("cd src", ""),
        ("cd /a && ls", "x"),
        ("cd /a && ls", "x"),
    ]);
    assert_eq!(kept(&again, None, &[Filter::Idle]), [1, 2, 3, 4]);
}

#[test]
fn what_a_foreign_tool_did_may_have_been_an_edit() {
    let mut steps = trajectory(&[
        ("sed -i s/1/2/ a", ""),
        ("ls", "a"),
        ("python3 - <<E\n1\nE", ""),
        ("ls", "a"),
        ("submit", ""),
    ]);
    steps.steps[2].executed = false;
    steps.steps[2].foreign = true;
    assert_eq!(kept(&steps, None, &[Filter::Idle]), [1, 2, 4, 5]);
    assert_eq!(kept(&steps, None, &[Filter::Wasted]), [1, 2, 5]);
}

#[test]
fn no_example_sees_a_divergence() {
    let trajectory = trajectory(WORK);
    let replayed = |first_divergence| Replayed { first_divergence, grade: None };
    assert_eq!(kept(&trajectory, Some(&replayed(Some(3))), &[Filter::Diverged]), [1, 2, 3]);
    assert_eq!(kept(&trajectory, Some(&replayed(None)), &[Filter::Diverged]).len(), 9);
    assert_eq!(kept(&trajectory, None, &[Filter::Diverged]), Vec::<usize>::new());
}

#[test]
fn a_grade_outweighs_the_label() {
    let graded = |grade: &str| Replayed { first_divergence: None, grade: Some(grade.into()) };
    let labelled = |resolved| Trajectory { resolved, ..trajectory(WORK) };
    let count = |trajectory: &Trajectory, replayed: Option<&Replayed>| {
        kept(trajectory, replayed, &[Filter::Unresolved]).len()
    };
    assert_eq!(count(&labelled(Some(true)), None), 9);
    assert_eq!(count(&labelled(Some(true)), Some(&graded("unresolved"))), 0);
    assert_eq!(count(&labelled(None), Some(&graded("resolved"))), 9);
    assert_eq!(count(&labelled(None), None), 0);
}

#[test]
fn nothing_is_learned_from_a_leak_on() {
    let trajectory =
        trajectory(&[("ls", "a"), ("git log --all", "x"), ("sed -i s/1/2/ a", ""), ("submit", "")]);
    assert_eq!(kept(&trajectory, None, &[Filter::Leaking]), [1]);
    let tally = curate(&task(), &trajectory, None, &Rules::default()).tally;
    assert_eq!(tally.leaks, [(Leak::FutureCommits, 1)].into());
}

#[test]
fn a_step_that_was_not_executed_is_no_target() {
    let mut trajectory = trajectory(WORK);
    trajectory.steps[0].executed = false;
    assert_eq!(kept(&trajectory, None, &[]), (2..=9).collect::<Vec<_>>());
}

#[test]
fn a_further_action_without_a_thought_is_no_reply_to_learn_and_an_action_that_is() {
    let mut trajectory = trajectory(WORK);
    for index in [1, 2, 4] {
        trajectory.steps[index].continues = true;
    }
    trajectory.steps[1].thought.clear();
    trajectory.steps[4].thought.clear();
    // A reply of its own without a thought is the expert's way.
    trajectory.steps[5].thought.clear();
    let numbers = |learning| {
        let rules = Rules { learning, ..Rules::default() };
        let task = task();
        let curated = curate(&task, &trajectory, None, &rules);
        let numbers: Vec<usize> = curated.examples(&task).into_iter().map(|(number, _)| number).collect();
        (numbers, curated.tally.thoughtless, curated.tally.unreadable)
    };
    assert_eq!(numbers(Learning::Action), ((1..=9).collect(), 2, 0));
    assert_eq!(numbers(Learning::Reply), (vec![1, 3, 4, 6, 7, 8, 9], 2, 0));
}

#[test]
fn titles_are_read_where_a_step_has_one() {
    for (step, title) in [
        ("2. **Coprime Pairs**:\n   Each prime.", Some("2. Coprime Pairs")),
        ("We proceed.\n\n1. **Define variables.** Let $x$.", Some("1. Define variables")),
        ("**Step 3: Halve**\nSo.", Some("3. Halve")),
        ("## Step 4: Sum\nSo.", Some("4. Sum")),
        ("sed -n '1,5p' a.py", None),
        ("1. Without a title", None),
    ] {
        assert_eq!(hint::title(step).as_deref(), title, "{step}");
    }
}

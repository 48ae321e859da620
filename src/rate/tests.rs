//! Rates of a handful of tries, counted by hand.

use super::*;

fn trial(task: &str, resolved: Option<bool>) -> Trial {
    Trial { task: task.to_owned(), facts: Facts::default(), resolved, cost: Cost::default() }
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9
}

#[test]
fn what_the_host_could_not_judge_is_in_one_denominator_and_not_in_the_other() {
    let trials = [trial("a", Some(true)), trial("b", Some(false)), trial("c", None)];
    let counts = Counts::of(&trials);
    assert_eq!((counts.resolved, counts.valid, counts.invalid), (1, 2, 1));
    assert_eq!(counts.rate, stats::wilson(1, 2));
    assert_eq!(Rates::of(&trials).with_invalid, stats::wilson(1, 3));
}

#[test]
fn pass_at_k_is_the_mean_over_tasks_that_have_enough_tries() {
    let tries = |task: &str, outcomes: &[Option<bool>]| -> Vec<Trial> {
        outcomes.iter().map(|resolved| trial(task, *resolved)).collect()
    };
    let (yes, no) = (Some(true), Some(false));
    let trials =
        [tries("a", &[yes, no, no, no]), tries("b", &[yes, yes, no, None]), tries("c", &[None])].concat();
    let rates = Rates::of(&trials);
    // a: 1 − C(3, k) / C(4, k); b, of three judged tries: 1 − C(1, k) / C(3, k).
    let expected = [(1, 2, f64::midpoint(0.25, 2.0 / 3.0)), (2, 2, 0.75), (4, 1, 1.0)];
    let found: Vec<(usize, usize)> = rates.pass_at.iter().map(|at| (at.k, at.mean.n)).collect();
    assert_eq!(found, expected.map(|(k, tasks, _)| (k, tasks)));
    for (at, (_, _, mean)) in rates.pass_at.iter().zip(expected) {
        assert!(close(at.mean.mean, mean), "{at:?}");
        assert!(at.mean.low.is_none_or(|low| 0.0 <= low) && at.mean.high.is_none_or(|high| high <= 1.0));
    }
    assert!(Rates::of(&[trial("c", None)]).pass_at.is_empty());
}

#[test]
fn each_try_is_a_seed_and_their_rates_have_a_mean() {
    let (yes, no) = (Some(true), Some(false));
    let trials =
        [trial("a", yes), trial("a", yes), trial("a", no), trial("b", no), trial("b", yes), trial("b", None)];
    let seeds = Rates::of(&trials).seeds.unwrap();
    assert_eq!(seeds.rates, [0.5, 1.0, 0.0]);
    assert_eq!(
        (seeds.mean.n, seeds.mean.mean, seeds.mean.low, seeds.mean.high),
        (3, 0.5, Some(0.0), Some(1.0))
    );
    assert!(Rates::of(&trials[..1]).seeds.is_none());
}

#[test]
fn groups_are_counted_by_what_tasks_say_of_themselves() {
    let of = |repository: Option<&str>, resolved| Trial {
        facts: Facts { repository: repository.map(str::to_owned), difficulty: Some("easy".to_owned()) },
        ..trial("t", resolved)
    };
    let trials = [of(Some("x/y"), Some(true)), of(Some("x/y"), None), of(None, Some(false))];
    let rates = Rates::of(&trials);
    assert_eq!(rates.repositories.keys().collect::<Vec<_>>(), ["x/y"]);
    assert_eq!((rates.repositories["x/y"].valid, rates.repositories["x/y"].invalid), (1, 1));
    assert_eq!((rates.difficulties["easy"].resolved, rates.difficulties["easy"].valid), (1, 2));
}

#[test]
fn costs_are_shared_among_all_tries_and_among_resolved_ones() {
    let of = |tokens: Option<u64>, resolved| Trial {
        cost: Cost { reply_tokens: tokens, ..Cost::default() },
        ..trial("t", resolved)
    };
    let trials =
        [of(Some(10), Some(true)), of(Some(30), Some(false)), of(None, Some(true)), of(Some(20), None)];
    let tokens = Costs::of(&trials).reply_tokens.unwrap();
    assert_eq!((tokens.total, tokens.per_try, tokens.per_resolved), (60.0, 20.0, Some(60.0)));
    assert!(Costs::of(&trials[2..3]).is_unknown());
}

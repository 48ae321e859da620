//! What runs amount to, in small: one test that must start to pass and two that must keep passing.

use super::*;

/// A run whose tests gave these statuses: `a` must start to pass, `b` and `c` must keep passing.
fn seen(check: Check, a: &str, b: &str, c: &str) -> Seen {
    let status = |word: &str| match word {
        "pass" => Some(Status::Passed),
        "skip" => Some(Status::Skipped),
        "fail" => Some(Status::Failed),
        _ => None,
    };
    let is_good = a == "pass" && ![b, c].contains(&"fail") && ![b, c].contains(&"none");
    let outcome = if is_good { Outcome::Resolved } else { Outcome::Unresolved };
    let mut verdict = Verdict::new("t", outcome, if is_good { "" } else { "`x` failed" });
    verdict.fail_to_pass.insert("a".to_owned(), status(a));
    verdict.pass_to_pass.insert("b".to_owned(), status(b));
    verdict.pass_to_pass.insert("c".to_owned(), status(c));
    verdict.exit = Some(Exit::Code(0));
    Seen { check, order: None, verdict }
}

fn ordered(order: Order, a: &str, b: &str, c: &str) -> Seen {
    let mut seen = seen(Check::Order, a, b, c);
    seen.order = Some(order);
    seen.verdict.log = format!("…\napprentice: the order of the tests was: {order}\n");
    seen
}

fn late(check: Check) -> Seen {
    let mut late = seen(check, "none", "none", "none");
    (late.verdict.outcome, late.verdict.exit) = (Outcome::TimedOut, Some(Exit::TimedOut));
    late
}

fn of_runs(runs: &[Seen]) -> Decision {
    decide(runs, &Statement::default())
}

fn faults(decision: &Decision) -> Vec<&str> {
    decision.faults.iter().map(|fault| fault.what.as_str()).collect()
}

fn quarantined(decision: &Decision) -> Vec<(&str, Why)> {
    decision.quarantined.iter().map(|test| (test.id.as_str(), test.why)).collect()
}

fn gold() -> Seen {
    seen(Check::Gold, "pass", "pass", "skip")
}

fn noop() -> Seen {
    seen(Check::Noop, "fail", "pass", "skip")
}

#[test]
fn a_fair_task_has_no_fault() {
    let runs = [gold(), gold(), noop(), ordered(Order::Reversed, "pass", "pass", "skip")];
    assert_eq!(of_runs(&runs), Decision::default());
}

#[test]
fn a_test_that_differs_between_runs_is_quarantined_and_its_failure_is_no_fault() {
    let runs = [gold(), seen(Check::Gold, "pass", "fail", "skip"), gold(), noop()];
    let decision = of_runs(&runs);
    assert_eq!((faults(&decision), quarantined(&decision)), (vec![], vec![("b", Why::Flaky)]));
    // The same at the start: it passes and fails there.
    let decision = of_runs(&[gold(), noop(), seen(Check::Noop, "fail", "fail", "skip")]);
    assert_eq!((faults(&decision), quarantined(&decision)), (vec![], vec![("b", Why::Flaky)]));
}

#[test]
fn a_test_that_another_order_changes_is_quarantined() {
    let runs = [gold(), gold(), noop(), ordered(Order::Reversed, "pass", "fail", "skip")];
    assert_eq!(quarantined(&of_runs(&runs)), [("b", Why::Order)]);
    // An order that did not come about is no evidence.
    let mut unmarked = ordered(Order::Seed(1), "pass", "fail", "skip");
    unmarked.verdict.log.clear();
    let decision = of_runs(&[gold(), noop(), unmarked]);
    assert!(
        decision.quarantined.is_empty() && decision.remarks[0].what.contains("did not load"),
        "{decision:?}"
    );
}

#[test]
fn a_task_that_only_flaky_tests_tell_is_faulty() {
    let decision = of_runs(&[gold(), seen(Check::Gold, "fail", "pass", "skip"), noop()]);
    assert_eq!(faults(&decision), ["every test of `fail_to_pass` is quarantined, so nothing tells a repair"]);
}

#[test]
fn a_gold_patch_that_always_fails_is_a_fault_and_not_flaky() {
    let decision = of_runs(&[
        seen(Check::Gold, "pass", "fail", "skip"),
        seen(Check::Gold, "pass", "fail", "skip"),
        noop(),
    ]);
    assert_eq!(
        (faults(&decision), quarantined(&decision)),
        (vec!["the gold patch: unresolved: `x` failed"], vec![])
    );
    // One run that overran its deadline says nothing of a test, and something of the patch.
    let decision = of_runs(&[gold(), late(Check::Gold), noop()]);
    assert_eq!(
        (faults(&decision), quarantined(&decision)),
        (vec!["the gold patch in 1 of 2 runs: timed_out: `x` failed"], vec![])
    );
}

#[test]
fn a_start_that_passes_or_breaks_what_it_should_not_is_a_fault() {
    let noop_as = |a, b| of_runs(&[gold(), seen(Check::Noop, a, b, "skip")]);
    assert_eq!(faults(&noop_as("pass", "pass")), ["doing nothing resolves it"]);
    let both = noop_as("pass", "fail");
    let told = [
        "without a repair, `a` of `fail_to_pass` passes",
        "without a repair, `b` of `pass_to_pass` does not pass",
    ];
    assert_eq!(faults(&both), told);
    let endless = of_runs(&[gold(), late(Check::Noop)]);
    assert!(endless.faults.is_empty() && endless.remarks[0].what.contains("overrun"), "{endless:?}");
}

#[test]
fn only_a_surprising_start_is_looked_at_again() {
    assert!(!is_surprising(&noop().verdict) && !is_surprising(&late(Check::Noop).verdict));
    assert!(is_surprising(&seen(Check::Noop, "pass", "pass", "skip").verdict));
    assert!(is_surprising(&seen(Check::Noop, "fail", "fail", "skip").verdict));
}

#[test]
fn tests_that_resolve_by_themselves_and_problems_that_hold_the_patch_are_faults() {
    let decision = of_runs(&[gold(), noop(), seen(Check::TestsOnly, "pass", "pass", "pass")]);
    assert_eq!(faults(&decision), ["the tests' patch alone resolves it"]);
    let told = |overlap| Statement { overlap, lines: vec!["x".to_owned()], ..Statement::default() };
    let given = decide(&[gold(), noop()], &told(0.5));
    assert_eq!(faults(&given), ["the problem holds the patch: 50 % of the gold patch's telling lines"]);
    let partly = decide(&[gold(), noop()], &told(0.25));
    assert!(partly.faults.is_empty() && partly.remarks.iter().any(|remark| remark.what.contains("25 %")));
}

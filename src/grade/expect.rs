//! Whether the results of a test run are what a task expects.
//!
//! A pure function, one branch a rule of [`Expect`]. Guarantees that a test without a result never counts as one that
//! passed, but where the rule says so. Where published graders differ from these rules, the rule says how.

use std::collections::BTreeMap;

use crate::task::{Ending, Expect, Tests};
use crate::testlog::{Results, Status, Statuses};
use crate::trajectory::Exit;

/// What the results say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// What became of the tests that must start to pass.
    pub(super) fail_to_pass: BTreeMap<String, Option<Status>>,
    /// What became of the tests that must keep passing; of an exact expectation, all tests that it names.
    pub(super) pass_to_pass: BTreeMap<String, Option<Status>>,
    /// Why it is not resolved; empty where it is.
    pub(super) reason: String,
    /// Whether some, not all, tests that must start to pass do so, and all others keep passing.
    pub(super) is_partial: bool,
}

/// Judges the results of a run by the rule of `tests`.
pub(super) fn decide(tests: &Tests, results: &Results, exit: Option<Exit>) -> Decision {
    let of = |ids: &[String]| -> BTreeMap<String, Option<Status>> {
        ids.iter().map(|id| (id.clone(), results.status(id))).collect()
    };
    let (fail_to_pass, pass_to_pass) = (of(&tests.fail_to_pass), of(&tests.pass_to_pass));
    let statuses = results.statuses();
    match &tests.expect {
        Expect::ExitZero => Decision { fail_to_pass, pass_to_pass, reason: nonzero(exit), is_partial: false },
        // What does not say all says nothing.
        _ if results.fault.is_some() => {
            let reason = results.fault.as_ref().map(ToString::to_string).unwrap_or_default();
            Decision { fail_to_pass, pass_to_pass, reason, is_partial: false }
        }
        Expect::Lists => {
            let wrong = unlisted(&fail_to_pass, &pass_to_pass);
            let reason = nothing_named(statuses, &wrong).unwrap_or_else(|| reason_of(&wrong));
            let is_kept = wrong.iter().all(|(id, _)| fail_to_pass.contains_key(*id));
            let is_partial = is_kept && !wrong.is_empty() && wrong.len() < fail_to_pass.len();
            Decision { fail_to_pass, pass_to_pass, reason, is_partial }
        }
        Expect::FailOnly => {
            let all = fail_to_pass.iter().chain(&pass_to_pass);
            let wrong: Vec<_> = all.filter(|(_, status)| status.is_some_and(is_failure)).collect();
            let reason = if wrong.is_empty() { crash(exit) } else { reason_of(&wrong) };
            Decision { fail_to_pass, pass_to_pass, reason, is_partial: false }
        }
        Expect::Exact(endings) => exact(endings, results),
    }
}

type Found<'a> = Vec<(&'a String, &'a Option<Status>)>;

/// The tests that break the rule of the lists.
fn unlisted<'a>(
    fail_to_pass: &'a BTreeMap<String, Option<Status>>,
    pass_to_pass: &'a BTreeMap<String, Option<Status>>,
) -> Found<'a> {
    // A test that passed before and is skipped now was skipped for the gold patch too (SWE-bench #598).
    let keeps = |status: &Status| status.is_pass() || *status == Status::Skipped;
    let failing = fail_to_pass.iter().filter(|(_, status)| !status.is_some_and(Status::is_pass));
    let broken = pass_to_pass.iter().filter(|(_, status)| !status.as_ref().is_some_and(keeps));
    failing.chain(broken).collect()
}

fn nothing_named(statuses: &Statuses, wrong: &Found) -> Option<String> {
    (statuses.is_empty() && !wrong.is_empty()).then(|| "the output of the tests names no test".to_owned())
}

fn is_failure(status: Status) -> bool {
    matches!(status, Status::Failed | Status::Error)
}

/// A runner that names failures only says nothing when it is killed; only its end tells that from success. An
/// ordinary code may be that of a failure outside of the lists.
fn crash(exit: Option<Exit>) -> String {
    match exit {
        Some(Exit::Code(0..=125)) => String::new(),
        _ => nonzero(exit),
    }
}

fn nonzero(exit: Option<Exit>) -> String {
    match exit {
        Some(Exit::Code(0)) => String::new(),
        Some(Exit::Code(code)) => format!("the test command ended with code {code}"),
        Some(Exit::Signal(signal)) => format!("the test command was ended by signal {signal}"),
        Some(Exit::TimedOut) => "the tests overran their deadline".to_owned(),
        Some(Exit::OutOfMemory) => "the tests ran out of memory".to_owned(),
        None => "the test command did not end".to_owned(),
    }
}

/// R2E-Gym compares two maps for equality and stops with a `KeyError` where they have as many keys but not the same.
/// Here a test that is missing is named, and one that nobody expected counts only when it fails.
fn exact(endings: &BTreeMap<String, Ending>, results: &Results) -> Decision {
    let (statuses, found) = (results.statuses(), |id: &String| results.status(id));
    let wrong = endings.iter().find(|(id, ending)| !found(id).is_some_and(|status| is(status, **ending)));
    let unexpected = statuses.iter().find(|(id, status)| is_failure(**status) && !endings.contains_key(*id));
    let reason = match (wrong, unexpected) {
        _ if statuses.is_empty() => "the output of the tests names no test".to_owned(),
        (Some((id, ending)), _) => format!("`{id}` {}, {} expected", word(found(id)), expected(*ending)),
        (None, Some((id, status))) => format!("`{id}` {}, which nobody expected", word(Some(*status))),
        (None, None) => String::new(),
    };
    let pass_to_pass = endings.keys().map(|id| (id.clone(), found(id))).collect();
    Decision { fail_to_pass: BTreeMap::new(), pass_to_pass, reason, is_partial: false }
}

fn is(status: Status, ending: Ending) -> bool {
    match ending {
        Ending::Passed => status.is_pass(),
        Ending::Failed => status == Status::Failed,
        Ending::Error => status == Status::Error,
        Ending::Skipped => status == Status::Skipped,
    }
}

fn expected(ending: Ending) -> &'static str {
    match ending {
        Ending::Passed => "a pass was",
        Ending::Failed => "a failure was",
        Ending::Error => "an error was",
        Ending::Skipped => "a skip was",
    }
}

fn word(status: Option<Status>) -> &'static str {
    match status {
        None => "did not run",
        Some(Status::Skipped) => "was skipped",
        Some(Status::Error) => "had an error",
        Some(Status::Failed) => "failed",
        Some(_) => "passed",
    }
}

fn reason_of(wrong: &Found) -> String {
    let Some((id, status)) = wrong.first() else { return String::new() };
    let more = if wrong.len() > 1 { format!(" and {} more", wrong.len() - 1) } else { String::new() };
    format!("`{id}` {}{more}", word(**status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testlog::{self, Spelling};

    fn results(pairs: &[(&str, Status)]) -> Results {
        let statuses = pairs.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect();
        Results::of(statuses, Spelling::Plain)
    }

    fn tests(expect: Expect) -> Tests {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Tests { expect, fail_to_pass: ids(&["f"]), pass_to_pass: ids(&["p"]), ..Tests::default() }
    }

    fn reason(expect: Expect, found: &[(&str, Status)], code: i32) -> String {
        decide(&tests(expect), &results(found), Some(Exit::Code(code))).reason
    }

    fn endings(pairs: &[(&str, Ending)]) -> Expect {
        Expect::Exact(pairs.iter().map(|(id, ending)| ((*id).to_owned(), *ending)).collect())
    }

    use Status::{Error, Failed, Passed, Skipped, XFailed};

    #[test]
    fn lists_want_every_test_to_pass_and_a_missing_one_does_not() {
        let said = |found: &[(&str, Status)]| reason(Expect::Lists, found, 0);
        assert_eq!(said(&[("f", Passed), ("p", Passed)]), "");
        assert_eq!(said(&[("f", XFailed), ("p", Skipped)]), "");
        assert_eq!(said(&[("f", Skipped), ("p", Passed)]), "`f` was skipped");
        assert_eq!(said(&[("f", Passed)]), "`p` did not run");
        assert_eq!(said(&[("f", Failed), ("p", Error)]), "`f` failed and 1 more");
        assert_eq!(said(&[]), "the output of the tests names no test");
    }

    /// SWE-rebench V2 wants the tests that passed to be exactly those of its lists, so that one more test that
    /// passes, such as the student's own, loses the task.
    #[test]
    fn lists_do_not_mind_other_tests() {
        let said = |other| reason(Expect::Lists, &[("f", Passed), ("p", Passed), ("own", other)], 1);
        assert_eq!((said(Passed), said(Failed)), (String::new(), String::new()));
    }

    #[test]
    fn fail_only_minds_failures_of_the_lists_and_a_run_that_was_killed() {
        let said = |found: &[(&str, Status)], code| reason(Expect::FailOnly, found, code);
        assert_eq!(said(&[], 0), "");
        assert_eq!(said(&[("other", Failed)], 1), "");
        assert_eq!(said(&[("p", Failed)], 1), "`p` failed");
        assert_eq!(said(&[], 127), "the test command ended with code 127");
        let killed = decide(&tests(Expect::FailOnly), &results(&[]), Some(Exit::Signal(9)));
        assert_eq!(killed.reason, "the test command was ended by signal 9");
    }

    #[test]
    fn exit_zero_minds_the_code_only() {
        assert_eq!(reason(Expect::ExitZero, &[("f", Failed)], 0), "");
        assert_eq!(
            reason(Expect::ExitZero, &[("f", Passed), ("p", Passed)], 3),
            "the test command ended with code 3"
        );
    }

    #[test]
    fn results_that_do_not_say_all_are_no_pass() {
        for expect in [Expect::Lists, Expect::FailOnly, endings(&[("a", Ending::Failed)])] {
            let broken = Results::faulty(testlog::Fault::BreaksOff);
            let decision = decide(&tests(expect), &broken, Some(Exit::Code(0)));
            assert_eq!(decision.reason, "the report of the tests breaks off");
        }
    }

    #[test]
    fn an_exact_map_wants_each_ending_the_expected_failures_too() {
        let map = || endings(&[("a", Ending::Passed), ("b", Ending::Failed)]);
        let said = |found: &[(&str, Status)]| reason(map(), found, 1);
        assert_eq!(said(&[("a", Passed), ("b", Failed)]), "");
        assert_eq!(said(&[("a", Passed), ("b", Passed)]), "`b` passed, a failure was expected");
        assert_eq!(said(&[("a", Error), ("b", Failed)]), "`a` had an error, a pass was expected");
        assert_eq!(said(&[]), "the output of the tests names no test");
    }

    /// R2E-Gym raises `KeyError` for two maps of one length with different keys, and gives 0 for one key more.
    #[test]
    fn an_exact_map_of_other_tests_is_an_answer_and_more_passes_are_no_fault() {
        let map = || endings(&[("a", Ending::Passed), ("b", Ending::Failed)]);
        let said = |found: &[(&str, Status)]| reason(map(), found, 1);
        assert_eq!(said(&[("a", Passed), ("c", Failed)]), "`b` did not run, a failure was expected");
        assert_eq!(said(&[("a", Passed), ("b", Failed), ("c", Passed)]), "");
        assert_eq!(said(&[("a", Passed), ("b", Failed), ("c", Failed)]), "`c` failed, which nobody expected");
        let decision = decide(&tests(map()), &results(&[("a", Passed), ("c", Failed)]), Some(Exit::Code(1)));
        assert_eq!(decision.pass_to_pass.len(), 2);
        assert_eq!(decision.pass_to_pass["b"], None);
    }
}

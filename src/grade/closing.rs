//! Whether a test run came to its own end, and whether what it printed agrees with how it ended.
//!
//! Pure functions on the log, the statuses read from it and the exit of the test command, which comes from the
//! sandbox and never from the log. A doubt never makes a verdict better. The rules are those of docs/grading.md.
//! The exit of a compound command may be that of another program than the runner: then it proves nothing, and what
//! would be a contradiction is a doubt only.

use std::sync::LazyLock;

use regex::Regex;

use super::Outcome;
use super::guard::Runner;
use crate::swe_bench;
use crate::task::{Expect, Tests};
use crate::testlog::{Status, Statuses};
use crate::trajectory::Exit;

/// Why a test run is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    /// [`Outcome::Tampered`] for a contradiction, else [`Outcome::Unresolved`].
    pub(super) outcome: Outcome,
    pub(super) reason: String,
}

/// The outcome and reason of a run, given what is doubtful about it.
pub(super) fn judged(outcome: Outcome, reason: String, doubt: Option<Doubt>) -> (Outcome, String) {
    let is_worse = |doubt: &Doubt| match outcome {
        Outcome::Resolved | Outcome::Partial => true,
        Outcome::Unresolved => doubt.outcome == Outcome::Tampered,
        _ => false,
    };
    match doubt.filter(is_worse) {
        Some(doubt) => (doubt.outcome, doubt.reason),
        None => (outcome, reason),
    }
}

/// What is doubtful about a test run.
pub(super) fn doubt(tests: &Tests, exit: Option<Exit>, (log, statuses): (&str, &Statuses)) -> Option<Doubt> {
    let run = Run { command: &tests.command, exit, log: &COLOUR.replace_all(log, ""), statuses };
    run.broken_off().or_else(|| match Runner::of(tests) {
        // A report or the exit decides, and not the log.
        _ if tests.report.is_some() || tests.expect == Expect::ExitZero => None,
        _ if tests.expect == Expect::FailOnly => run.silent(),
        Runner::Pytest => run.pytest(),
        Runner::Tap => run.tap(),
        Runner::Naming => run.fails_without_a_failure(),
        Runner::Unknown => None,
    })
}

#[expect(clippy::unnecessary_wraps, reason = "every rule gives a doubt or none")]
fn unresolved(reason: impl Into<String>) -> Option<Doubt> {
    Some(Doubt { outcome: Outcome::Unresolved, reason: reason.into() })
}

static COLOUR: LazyLock<Regex> = LazyLock::new(|| regex(r"\x1b\[[0-9;?]*[A-Za-z]"));
/// `=== 1 failed, 2 passed in 0.74s ===`, and with `-q` the same without the rules.
static TOTALS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?m)^(?:=+ )?(\d+ [a-z]+(?: [a-z]+)?(?:, \d+ [a-z]+(?: [a-z]+)?)*) in [\d.:]+ ?s(?:econds)?(?: \([\d:]+\))?(?: =+)?\r?$",
    )
});
/// `3 passed`, one of the totals.
static TOTAL: LazyLock<Regex> = LazyLock::new(|| regex(r"(\d+) ([a-z]+)"));
/// A gate of pytest-cov, which fails a run whose tests all passed.
static GATE: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?m)^(?:FAIL Required test coverage of |ERROR: Coverage failure: total of )\S+")
});
/// A result of TAP at the outermost level.
static TAP_RESULT: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^(?:not )?ok\b(?: +(\d+))?"));
static TAP_PLAN: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^1\.\.(\d+)\b"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: the pattern is valid")
}

struct Run<'a> {
    command: &'a str,
    exit: Option<Exit>,
    /// Without colours.
    log: &'a str,
    statuses: &'a Statuses,
}

impl Run<'_> {
    /// Whether the exit is that of the runner, and not of what follows it in the command.
    fn is_plain(&self) -> bool {
        let command = self.command.trim().replace("&&", " ");
        !command.contains([';', '|', '&', '\n', '`']) && !command.contains("$(")
    }

    /// A contradiction where the exit is the runner's, else no more than a doubt.
    #[expect(clippy::unnecessary_wraps, reason = "every rule gives a doubt or none")]
    fn contradiction(&self, reason: String) -> Option<Doubt> {
        let outcome = if self.is_plain() { Outcome::Tampered } else { Outcome::Unresolved };
        Some(Doubt { outcome, reason })
    }

    fn names_a_failure(&self) -> bool {
        self.statuses.values().any(|status| matches!(status, Status::Failed | Status::Error))
    }

    fn broken_off(&self) -> Option<Doubt> {
        match self.exit? {
            Exit::Signal(signal) => unresolved(format!("signal {signal} ended the tests")),
            Exit::Code(code @ 129..=192) => unresolved(format!("signal {} ended the tests", code - 128)),
            Exit::OutOfMemory => unresolved("the tests ran out of memory"),
            Exit::Code(_) | Exit::TimedOut => None,
        }
    }

    /// Where only failures are named, silence is success only after a sign that tests ran.
    fn silent(&self) -> Option<Doubt> {
        let shows = !self.statuses.is_empty() || swe_bench::log::shows_a_suite(self.log);
        if shows { None } else { unresolved("nothing in the output says that a test ran") }
    }

    fn fails_without_a_failure(&self) -> Option<Doubt> {
        let Some(Exit::Code(code @ 1..)) = self.exit else { return None };
        if !self.is_plain() || self.names_a_failure() {
            return None;
        }
        unresolved(format!("the tests ended with exit code {code}, and name no failure"))
    }

    fn pytest(&self) -> Option<Doubt> {
        let exit = self.exit?;
        let Some(totals) = Totals::of(self.log) else {
            let reason = "the log lacks the last line of pytest: the run was cut short";
            return match exit {
                Exit::Code(0) => self.contradiction(format!("{reason}, and yet ended with exit code 0")),
                _ => unresolved(reason),
            };
        };
        let n_named = self.statuses.values().filter(|status| **status == Status::Passed).count();
        if n_named > totals.passed {
            let counted = totals.passed;
            return self
                .contradiction(format!("the log names {n_named} tests that passed, and counts {counted}"));
        }
        if !self.is_plain() {
            return None;
        }
        let fails = totals.failed > 0 || self.names_a_failure();
        match exit {
            Exit::Code(0) if fails => {
                self.contradiction("a test failed, and yet pytest ended with exit code 0".to_owned())
            }
            Exit::Code(1) if totals.failed == 0 && !GATE.is_match(self.log) => {
                unresolved("pytest ended with exit code 1, and counts no failure")
            }
            Exit::Code(2) => unresolved("pytest was interrupted (exit code 2)"),
            Exit::Code(3) => unresolved("pytest had an internal error (exit code 3)"),
            Exit::Code(code @ 4..) => {
                unresolved(format!("pytest could not run the tests (exit code {code})"))
            }
            _ => None,
        }
    }

    fn tap(&self) -> Option<Doubt> {
        let plans: Vec<usize> =
            TAP_PLAN.captures_iter(self.log).filter_map(|plan| plan[1].parse().ok()).collect();
        let results = || TAP_RESULT.captures_iter(self.log);
        let (n_planned, n_named) = (plans.iter().sum::<usize>(), results().count());
        if !plans.is_empty() && n_named < n_planned {
            return unresolved(format!("the tests ended after {n_named} of {n_planned}"));
        }
        if !plans.is_empty() && n_named > n_planned {
            return self.contradiction(format!("the log names {n_named} tests, and its plan {n_planned}"));
        }
        self.fails_without_a_failure()
    }
}

/// What pytest counted, over all its runs in a log.
struct Totals {
    passed: usize,
    /// Errors among them.
    failed: usize,
}

impl Totals {
    fn of(log: &str) -> Option<Self> {
        let mut lines = TOTALS.captures_iter(log).peekable();
        lines.peek()?;
        let mut totals = Self { passed: 0, failed: 0 };
        for line in lines {
            for total in TOTAL.captures_iter(&line[1]) {
                let count = total[1].parse().unwrap_or(0);
                match &total[2] {
                    "passed" => totals.passed += count,
                    "failed" | "error" | "errors" => totals.failed += count,
                    _ => {}
                }
            }
        }
        Some(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Parser;
    use crate::testlog;

    const PASS: &str = "=== test session starts ===\ncollected 2 items\n\n=== short test summary info ===\n\
                        PASSED t/test_a.py::a\nPASSED t/test_a.py::b\n";

    fn doubt_of(parser: Parser, command: &str, exit: Exit, log: &str) -> Option<(Outcome, String)> {
        let tests = Tests { command: command.to_owned(), parser, ..Tests::default() };
        let statuses = testlog::read(&tests.parser, &testlog::Context::default(), log).unwrap();
        doubt(&tests, Some(exit), (log, &statuses)).map(|doubt| (doubt.outcome, doubt.reason))
    }

    #[test]
    fn a_run_of_pytest_is_believed_only_where_its_end_its_counts_and_its_exit_agree() {
        let whole = format!("{PASS}=== 2 passed in 0.01s ===\n");
        let failing =
            format!("{PASS}FAILED t/test_a.py::c - assert 0\n=== 1 failed, 2 passed in 0.01s ===\n");
        let gate = format!(
            "{PASS}FAIL Required test coverage of 90% not reached. Total coverage: 12%\n=== 2 passed in 0.01s ===\n"
        );
        let forged = format!("{PASS}PASSED t/test_a.py::c\n=== 2 passed in 0.01s ===\n");
        let (no, tampered) = (Some(Outcome::Unresolved), Some(Outcome::Tampered));
        let cases: [(&str, Exit, &str, Option<Outcome>); 15] = [
            ("pytest -rA", Exit::Code(0), &whole, None),
            ("cd t && pytest -rA", Exit::Code(0), &whole.replace('\n', "\r\n"), None),
            ("pytest -rA", Exit::Code(0), &format!("\u{1b}[32m{whole}\u{1b}[0m"), None),
            ("pytest -rA", Exit::Code(1), &failing, None),
            ("pytest -rA; git checkout t", Exit::Code(0), &failing, None),
            ("pytest -rA", Exit::Code(1), &gate, None),
            ("pytest -rA", Exit::Code(1), &whole, no),
            ("pytest -rA", Exit::Code(2), &whole, no),
            ("pytest -rA", Exit::Code(137), &whole, no),
            ("pytest -rA", Exit::Signal(9), &whole, no),
            ("pytest -rA", Exit::Code(1), PASS, no),
            ("pytest -rA; true", Exit::Code(0), PASS, no),
            ("pytest -rA", Exit::Code(0), PASS, tampered),
            ("pytest -rA", Exit::Code(0), &failing, tampered),
            ("pytest -rA", Exit::Code(0), &forged, tampered),
        ];
        for (command, exit, log, expected) in cases {
            let found = doubt_of(Parser::Pytest, command, exit, log);
            assert_eq!(
                found.as_ref().map(|(outcome, _)| *outcome),
                expected,
                "{command} {exit:?}\n{log}\n{found:?}"
            );
        }
    }

    #[test]
    fn a_run_of_tap_keeps_to_its_plan_and_fails_where_it_says_so() {
        let (no, tampered) = (Some(Outcome::Unresolved), Some(Outcome::Tampered));
        let cases = [
            (Exit::Code(0), "1..2\nok 1 - a\nok 2 - b\n", None),
            (Exit::Code(0), "ok 1 - a\nok 2 - b\n1..2\n", None),
            (Exit::Code(0), "ok 1 - a\n    ok 1 - inner\n", None),
            (Exit::Code(1), "ok 1 - a\nnot ok 2 - b\n", None),
            (Exit::Code(0), "1..2\nok 1 - a\n", no),
            (Exit::Code(3), "ok 1 - a\n", no),
            (Exit::Code(0), "1..2\nok 1 - a\nok 2 - b\nok 1 - a\n", tampered),
        ];
        for (exit, log, expected) in cases {
            let found = doubt_of(Parser::Tap, "sh tests/run.sh", exit, log);
            assert_eq!(found.as_ref().map(|(outcome, _)| *outcome), expected, "{exit:?}\n{log}\n{found:?}");
        }
    }

    #[test]
    fn where_only_failures_are_named_silence_needs_a_sign_that_tests_ran() {
        let doubt_of = |log| {
            let parser = Parser::Compat("swebench.parse_log_marked".to_owned());
            let tests = Tests { parser, expect: Expect::FailOnly, ..Tests::default() };
            doubt(&tests, Some(Exit::Code(0)), (log, &Statuses::new())).map(|doubt| doubt.outcome)
        };
        assert_eq!(doubt_of("0 specs, 0 failures\n"), Some(Outcome::Unresolved));
        assert_eq!(doubt_of("12 specs, 0 failures\n"), None);
    }

    #[test]
    fn a_doubt_never_makes_a_verdict_better() {
        let doubt = |outcome| Some(Doubt { outcome, reason: "doubt".to_owned() });
        let of = |outcome, doubt| judged(outcome, String::new(), doubt).0;
        assert_eq!(of(Outcome::Resolved, doubt(Outcome::Unresolved)), Outcome::Unresolved);
        assert_eq!(of(Outcome::Unresolved, doubt(Outcome::Tampered)), Outcome::Tampered);
        assert_eq!(of(Outcome::TimedOut, doubt(Outcome::Tampered)), Outcome::TimedOut);
        assert_eq!(of(Outcome::Resolved, None), Outcome::Resolved);
    }
}

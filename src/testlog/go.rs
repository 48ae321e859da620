//! `go test -v`: results of tests, below the package that they are of.
//!
//! An id is `PACKAGE::TEST`, `ex/okpkg::TestTwo/x`. Go names the package behind its tests; results behind which
//! none stands, as in a run that was killed, have the test's name alone. A test that began and has no result
//! when its package failed is an error, as is a package that did not build, under its own name.

use std::collections::BTreeSet;

use super::{Status, Statuses, note, plain};

/// Reads the output of one or more runs of `go test -v`.
pub(super) fn read(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    let mut tests = Pending::default();
    for line in log.lines() {
        let line = if line.contains(char::is_control) { &*plain(line) } else { line };
        if let Some((test, status)) = result(line) {
            tests.running.remove(test);
            tests.ended.push((test.to_owned(), status));
        } else if let Some(test) = line.strip_prefix("=== RUN   ") {
            tests.running.insert(test.trim_end().to_owned());
        } else if let Some((package, verdict)) = package(line) {
            tests.settle(package, verdict, &mut statuses);
        }
    }
    for (test, status) in tests.ended {
        note(&mut statuses, &test, status);
    }
    statuses
}

/// Tests of a package that is not known yet.
#[derive(Default)]
struct Pending {
    running: BTreeSet<String>,
    ended: Vec<(String, Status)>,
}

impl Pending {
    fn settle(&mut self, package: &str, verdict: Verdict, statuses: &mut Statuses) {
        for (test, status) in self.ended.drain(..) {
            note(statuses, &format!("{package}::{test}"), status);
        }
        let broken = std::mem::take(&mut self.running);
        match verdict {
            Verdict::Broken => note(statuses, package, Status::Error),
            Verdict::Failed => {
                for test in broken {
                    note(statuses, &format!("{package}::{test}"), Status::Error);
                }
            }
            Verdict::Passed => {}
        }
    }
}

/// What Go says of a package.
#[derive(Clone, Copy)]
enum Verdict {
    Passed,
    Failed,
    /// It has no tests that could run.
    Broken,
}

/// `    --- PASS: TestSub/ok (0.00s)`.
fn result(line: &str) -> Option<(&str, Status)> {
    let rest = line.trim_start_matches(' ').strip_prefix("--- ")?;
    let words = [("PASS: ", Status::Passed), ("FAIL: ", Status::Failed), ("SKIP: ", Status::Skipped)];
    let (rest, status) =
        words.into_iter().find_map(|(word, status)| Some((rest.strip_prefix(word)?, status)))?;
    let (test, time) = rest.trim_end().rsplit_once(" (")?;
    time.ends_with("s)").then_some((test, status))
}

/// `ok  \tex/okpkg\t0.004s`, `FAIL\tex/broken [build failed]`.
fn package(line: &str) -> Option<(&str, Verdict)> {
    let (word, rest) = line.split_once('\t')?;
    let name = rest.split(['\t', ' ']).next().filter(|name| !name.is_empty())?;
    let verdict = match word.trim_end() {
        "ok" => Verdict::Passed,
        "FAIL" if rest.contains(" [") => Verdict::Broken,
        "FAIL" => Verdict::Failed,
        _ => return None,
    };
    Some((name, verdict))
}

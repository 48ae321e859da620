//! Runners that several packages read alike, outside JavaScript: rules, and the few that keep a state.
//!
//! Guarantees the references' ids: no package, module or file is added to a name.

use std::collections::VecDeque;

use super::lines::{Rule, WORDS, is, word};
use super::python::{Pattern, strip};
use super::{FAILED, Map, PASSED, SKIPPED};

pub(super) static REDIS: [Rule; 2] = [
    is(FAILED, r"^\[err\]:\s(.+?)(?:\s\((\d+\s*m?s)\))?$", 1).tidy(without_file),
    word(r"^\[(ok|err|skip|ignore)\]:\s(.+?)(?:\s\((\d+\s*m?s)\))?$", [2, 1], WORDS),
];
pub(super) static JQ: [Rule; 1] = [word(r"^\s*(PASS|FAIL):\s(.+)$", [2, 1], WORDS)];
pub(super) static MICROPYTHON: [Rule; 1] = [word(r"^(pass|FAIL|skip)\s+(.+)$", [2, 1], WORDS)];
pub(super) static GOOGLETEST: [Rule; 1] = [word(r"^.*\[\s*(OK|FAILED)\s*\]\s(.*)\s\(.*\)$", [2, 1], WORDS)];
pub(super) static ANT: [Rule; 1] = [word(r"^\s*\[junit\]\s+\[(PASS|FAIL|ERR)\]\s+(.*)$", [2, 1], WORDS)];
pub(super) static MINITEST: [Rule; 1] = [word(r"^(.+)\. .*=.*(\.|F|E).*$", [1, 2], WORDS)];
pub(super) static CUCUMBER: [Rule; 1] = [word(r"^(.*) \.+(\.|F)", [1, 2], WORDS)];
pub(super) static RUBY_UNIT: [Rule; 1] = [word(r"^\s*(?:test: )?(.+):\s+(\.|E\b|F\b|O\b)", [1, 2], WORDS)];
pub(super) static RSPEC: [Rule; 1] = [word(r"^(.+) - (passed|failed)", [1, 2], WORDS)];
pub(super) static CARGO: [Rule; 1] =
    [word(r"^test\s+(\S+)\s+\.\.\.\s+(\w+)$", [1, 2], &[("ok", PASSED), ("FAILED", FAILED)])];
pub(super) static TAP: [Rule; 1] = [word(r"^(ok|not ok) (\d+) (.+)$", [3, 1], WORDS)];

fn without_file(name: &str) -> String {
    static FILE: Pattern = Pattern::new(r"\s+in\s+\S+$");
    FILE.regex().replace(name, "").into_owned()
}

/// Go's tests, `--- PASS: TestA/b (0.01s)`. By hand, because logs of Go are the longest there are: only what follows
/// three dashes is looked at.
pub(super) fn gotest(log: &str, map: &mut Map) {
    let mut seen = 0;
    for at in memchr::memmem::find_iter(log.as_bytes(), b"--- ") {
        if at < seen {
            continue;
        }
        let start = memchr::memrchr(b'\n', &log.as_bytes()[seen..at]).map_or(seen, |end| seen + end + 1);
        seen = memchr::memchr(b'\n', &log.as_bytes()[at..]).map_or(log.len(), |end| at + end);
        if !strip(&log[start..at]).is_empty() {
            continue;
        }
        if let Some((id, status)) = go_line(strip(&log[at..seen])) {
            map.insert(id.to_owned(), status.into());
        }
    }
}

fn go_line(line: &str) -> Option<(&str, &'static str)> {
    let rest = line.strip_prefix("--- ")?;
    let words = [("PASS: ", PASSED), ("FAIL: ", FAILED), ("SKIP: ", SKIPPED)];
    let (rest, status) =
        words.into_iter().find_map(|(word, status)| Some((rest.strip_prefix(word)?, status)))?;
    let rest = rest.strip_suffix(')')?;
    // The name ends at the last bracket that holds something.
    let mut end = rest.len();
    while let Some(at) = rest[..end].rfind('(') {
        if at + 1 < rest.len() && 1 < at && rest[..at].ends_with(' ') {
            return Some((&rest[..at - 1], status));
        }
        end = at;
    }
    None
}

static MAVEN_TEST: Pattern = Pattern::new(r"^.*-Dtest=(\S+).*$");
static MAVEN_BUILD: Pattern = Pattern::new(r"^.*BUILD (SUCCESS|FAILURE)$");

/// Hands over each test that a command names and each build that succeeded or not.
fn maven(log: &str, mut found: impl FnMut(Maven<'_>)) {
    for line in log.split('\n').map(strip) {
        if let Some(test) = MAVEN_TEST.regex().captures(line).and_then(|found| found.get(1)) {
            found(Maven::Test(test.as_str()));
        }
        if let Some(build) = MAVEN_BUILD.regex().captures(line) {
            found(Maven::Build(if &build[1] == "SUCCESS" { PASSED } else { FAILED }));
        }
    }
}

enum Maven<'a> {
    Test(&'a str),
    Build(&'static str),
}

/// One run of Maven a test: builds belong to tests in order, wherever each stands.
pub(super) fn maven_in_order(log: &str, map: &mut Map) {
    let (mut tests, mut builds) = (VecDeque::new(), Vec::new());
    maven(log, |found| match found {
        Maven::Test(test) => tests.push_back(test.to_owned()),
        Maven::Build(status) => match tests.pop_front() {
            Some(test) => _ = map.insert(test, status.into()),
            None => builds.push(status),
        },
    });
    map.extend(tests.into_iter().zip(builds).map(|(test, status)| (test, status.into())));
}

/// One run of Maven a test: a build belongs to the test named last.
pub(super) fn maven_by_last(log: &str, map: &mut Map) {
    let mut test = "---NO TEST NAME FOUND YET---".to_owned();
    maven(log, |found| match found {
        Maven::Test(name) => name.clone_into(&mut test),
        Maven::Build(status) => _ = map.insert(test.clone(), status.into()),
    });
}

/// Gradle's tests, whose status may stand on a later line than their name.
pub(super) fn gradle(log: &str, map: &mut Map) {
    static FULL: Pattern = Pattern::new(r"^([^>].+)\s+(PASSED|FAILED)$");
    static NAME: Pattern = Pattern::new(r"^([^>]\S*\s+>\s+\S+)$");
    let mut pending = None;
    for line in log.split('\n').map(strip) {
        let status = [PASSED, FAILED].into_iter().find(|status| line.ends_with(status));
        if let Some(full) = status.and_then(|_| FULL.regex().captures(line)) {
            let status = if &full[2] == PASSED { PASSED } else { FAILED };
            map.insert(full[1].to_owned(), status.into());
            pending = None;
        } else if NAME.regex().is_match(line) {
            pending = Some(line);
        } else if let Some(status) = status.filter(|status| *status == line)
            && let Some(name) = pending.take()
        {
            map.insert(name.to_owned(), status.into());
        }
    }
}

/// PHPUnit's `--testdox`.
pub(super) fn phpunit(log: &str, map: &mut Map) {
    testdox(log, str::to_owned, map);
}

/// PHPUnit's `--testdox`, without the time behind a test.
pub(super) fn phpunit_untimed(log: &str, map: &mut Map) {
    static TIME: Pattern = Pattern::new(r"(?i)\s*\[\s*\d+(?:\.\d+)?\s*(?:ms|s)\s*\]\s*$");
    testdox(log, |name| strip(&TIME.regex().replace(name, "")).to_owned(), map);
}

fn testdox(log: &str, tidy: fn(&str) -> String, map: &mut Map) {
    static SUITE: Pattern = Pattern::new(r"^(\w.+) \(.+\)$");
    static TEST: Pattern = Pattern::new(r"^\s*([✔✘↩])\s*(.*)$");
    // A test before any suite is named by what the reference prints for nothing.
    let mut suite = "None".to_owned();
    for line in log.split('\n') {
        if let Some(found) = SUITE.regex().captures(line) {
            found[1].clone_into(&mut suite);
        } else if let Some(found) = TEST.regex().captures(line) {
            let status = match &found[1] {
                "✔" => PASSED,
                "✘" => FAILED,
                _ => SKIPPED,
            };
            map.insert(format!("{suite} > {}", tidy(&found[2])), status.into());
        }
    }
}

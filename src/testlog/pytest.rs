//! pytest's output, made with `-rA` or `-v`.
//!
//! Only lines of the summary (`short test summary info`) and progress lines of `-v` count: a line
//! that a test prints is neither. So a run that was killed passes only what it showed to have passed,
//! and a log without pytest's own sections passes nothing.

use std::sync::LazyLock;

use regex::Regex;

use super::{Status, Statuses, note, plain};

/// `tests/test_a.py::test_b[1] PASSED [ 33%]`, also `XFAIL (why)` and without the percentage.
static PROGRESS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(\S.*?::.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS|xfail|xpass)(?: \(.*\))?\s*(?:\[ *\d+%\])?$",
    )
});
/// `[gw0] [ 33%] PASSED tests/test_a.py::test_b`, from pytest-xdist.
static WORKER: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^\[gw\d+\] \[ *\d+%\] (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS|xfail|xpass) (.+?)\s*$")
});
/// `=== short test summary info ===`, and any other section.
static SECTION: LazyLock<Regex> = LazyLock::new(|| regex(r"^={2,} (.+?) ={2,}$"));
/// `=== 1 failed, 2 passed in 0.74s ===`, and with `-q` the same without the rules.
static TOTALS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:=+ )?(?:\d+ [a-z ]+(?:, )?)+ in [\d.:]+ ?s(?:econds)?(?: \([\d:]+\))?(?: =+)?$|^(?:=+ )?no tests ran",
    )
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: the pattern is valid")
}

/// Reads the output of one or more pytest runs.
pub fn read(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    let mut part = Part::Progress;
    for line in log.lines().map(plain) {
        match next(part, &line) {
            Some(next) => part = next,
            None if part == Part::Progress => progress(&line, &mut statuses),
            None if part == Part::Summary => summary(&line, &mut statuses),
            None => {}
        }
    }
    statuses
}

/// Where in the output a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Tests run.
    Progress,
    /// Tracebacks and captured output: the tests' own words.
    Reports,
    /// One line a test, by pytest.
    Summary,
}

/// The part that starts with this line, if one does.
fn next(part: Part, line: &str) -> Option<Part> {
    let section = SECTION.captures(line).map(|found| found.get(1).map_or("", |name| name.as_str()));
    match (part, section) {
        (_, Some("short test summary info")) => Some(Part::Summary),
        (_, Some("test session starts")) => Some(Part::Progress),
        (Part::Summary, _) if TOTALS.is_match(line) => Some(Part::Reports),
        (
            Part::Progress,
            Some("ERRORS" | "FAILURES" | "PASSES" | "XPASSES" | "XFAILURES" | "warnings summary"),
        ) => Some(Part::Reports),
        _ => None,
    }
}

fn progress(line: &str, statuses: &mut Statuses) {
    let found = PROGRESS.captures(line).map(|found| (found, 1, 2));
    let found = found.or_else(|| WORKER.captures(line).map(|found| (found, 2, 1)));
    if let Some((found, id, status)) = found
        && let Some(status) = status_word(&found[status].to_ascii_uppercase())
    {
        note(statuses, &found[id], status);
    }
}

/// Reads a line such as `FAILED tests/test_a.py::test_b - assert 0`.
fn summary(line: &str, statuses: &mut Statuses) {
    if let Some((_, id)) =
        line.split_once("SUBFAIL ").filter(|(head, _)| head.is_empty() || head.ends_with(") "))
    {
        note(statuses, without_reason(id), Status::Failed);
        return;
    }
    let Some((word, rest)) = line.split_once(' ') else { return };
    let Some(status) = status_word(word) else { return };
    let id = match status {
        Status::Passed => rest.trim_end(),
        // `SKIPPED [1] file.py:9: why` names no test.
        Status::Skipped if rest.starts_with('[') => return,
        _ => without_reason(rest),
    };
    if !id.is_empty() {
        note(statuses, id, status);
    }
}

fn status_word(word: &str) -> Option<Status> {
    Some(match word {
        "PASSED" => Status::Passed,
        "FAILED" => Status::Failed,
        "ERROR" => Status::Error,
        "SKIPPED" => Status::Skipped,
        "XFAIL" => Status::XFailed,
        "XPASS" => Status::XPassed,
        _ => return None,
    })
}

/// Cuts ` - why` off an id, whose parameters may hold ` - ` too.
fn without_reason(text: &str) -> &str {
    let text = text.trim_end();
    let first = text.find(" - ").unwrap_or(text.len());
    let bracket = text[..first].find('[').filter(|at| text[..*at].contains("::"));
    let Some(bracket) = bracket else {
        // pytest before 7 writes the reason of an unexpected pass after a bare space.
        let name = text[..first].rfind("::").map_or(0, |at| at + 2);
        let space = text[name..first].find(' ').map_or(first, |at| name + at);
        return &text[..if name == 0 { first } else { space }];
    };
    let end = text[bracket..].find("] - ").map_or(text.len(), |at| bracket + at + 1);
    &text[..end]
}

//! Parsers of `swesmith` that name tests by counting them where the log only tells how many there were.
//!
//! Guarantees the invented ids of the reference, up to [`MOST`] of a kind: a log is the student's text and
//! may claim any number.

use super::super::lines::{Cut, Lines, Rule, is, search};
use super::super::python::{Pattern, before, split_lines, strip};
use super::super::{FAILED, Map, PASSED, SKIPPED};

/// How many tests of a kind are named at most.
const MOST: u64 = 100_000;

/// Names `count` tests, such as `test_0`.
fn name(map: &mut Map, prefix: &str, first: u64, count: u64, status: &'static str) {
    let count = count.min(MOST);
    map.extend((first..first + count).map(|index| (format!("{prefix}{index}"), status.into())));
}

/// The number of a group, none where the pattern or the group is not there.
fn number(pattern: &Pattern, group: usize, text: &str) -> Option<u64> {
    let found = pattern.regex().captures(text)?;
    found.get(group).map(|digits| digits.as_str().parse().unwrap_or(MOST))
}

/// AirSim's wrapper around its tests.
pub(super) fn airsim(log: &str, map: &mut Map) {
    static TESTS: [Rule; 2] =
        [is(PASSED, r"\[\s+PASSED\s+\]\s+([\w.]+)", 1), is(FAILED, r"\[\s+FAILED\s+\]\s+([\w.]+)", 1)];
    static RUNNING: Pattern = Pattern::new(r"Running (\d+) test");
    search(&TESTS, log, map);
    if map.is_empty() && RUNNING.regex().is_match(log) {
        map.insert("AirLibUnitTests.Main".to_owned(), PASSED.into());
    }
}

/// CppUnit's totals.
pub(super) fn cppunit(log: &str, map: &mut Map) {
    static PASSES: Pattern = Pattern::new(r"OK \((\d+)\)");
    static FAILURES: Pattern = Pattern::new(r"(?s)FAILURES!!!.*?Tests run: (\d+),\s+Failures: (\d+)");
    if let Some(count) = number(&PASSES, 1, log) {
        name(map, "test_", 0, count, PASSED);
    }
    if let (Some(all), Some(failed)) = (number(&FAILURES, 1, log), number(&FAILURES, 2, log)) {
        name(map, "test_", 0, all.saturating_sub(failed), PASSED);
        name(map, "test_fail_", 0, failed, FAILED);
    }
}

/// Google Test.
pub(super) fn gtest(log: &str, map: &mut Map) {
    static TESTS: [(Pattern, &str); 3] = [
        (Pattern::new(r"^\[\s*(?:OK|PASSED)\s*\]\s+([\w:/.]+)"), PASSED),
        (Pattern::new(r"^\[\s*FAILED\s*\]\s+([\w:/.]+)(?:\s+\(|$)"), FAILED),
        (Pattern::new(r"^\[\s*(?:SKIPPED|DISABLED)\s*\]\s+([\w:/.]+)"), SKIPPED),
    ];
    static ALL: Pattern = Pattern::new(r"\[\s*=+\s*\]\s*(\d+)\s+tests?\s+from");
    static PASSES: Pattern = Pattern::new(r"\[\s*PASSED\s*\]\s*(\d+)\s+tests?");
    static FAILURES: Pattern = Pattern::new(r"\[\s*FAILED\s*\]\s*(\d+)\s+tests?");
    static TOTAL: Pattern = Pattern::new(r"\d+\s+tests?[\.,]");
    for line in log.split('\n').map(strip).filter(|line| line.starts_with('[')) {
        let found = TESTS
            .iter()
            .find_map(|(pattern, status)| Some((pattern.regex().captures(line)?.get(1)?.as_str(), *status)));
        let Some((test, status)) = found else { continue };
        if !test.chars().all(|char| char.is_ascii_digit()) && !TOTAL.regex().is_match(line) {
            map.insert(test.to_owned(), status.into());
        }
    }
    if map.is_empty() && ALL.regex().is_match(log) {
        name(map, "test_passed_", 1, number(&PASSES, 1, log).unwrap_or(0), PASSED);
        name(map, "test_failed_", 1, number(&FAILURES, 1, log).unwrap_or(0), FAILED);
    }
}

/// CTest.
pub(super) fn ctest(log: &str, map: &mut Map) {
    static TEST: Pattern =
        Pattern::new(r"(?i)\s*\d+/\d+\s+Test\s+#\d+:\s+([\w\-/.]+)\s+\.+\s+(Passed|Failed)");
    static SECTION: Pattern =
        Pattern::new(r"The following tests FAILED:\n((?:\s+\d+\s+-\s+[\w\-/.]+.*\n?)+)");
    static FAILURE: Pattern = Pattern::new(r"\d+\s+-\s+([\w\-/.]+)");
    static TOTALS: Pattern =
        Pattern::new(r"(?i)(\d+)%\s+tests\s+passed,\s+(\d+)\s+tests\s+failed\s+out\s+of\s+(\d+)");
    for found in TEST.regex().captures_iter(log) {
        let is_passed = found[2].eq_ignore_ascii_case("passed");
        map.insert(found[1].to_owned(), if is_passed { PASSED } else { FAILED }.into());
    }
    if let Some(section) = SECTION.regex().captures(log).and_then(|found| found.get(1)) {
        let failures = split_lines(section.as_str()).filter_map(|line| FAILURE.regex().captures(line));
        map.extend(failures.map(|found| (found[1].to_owned(), FAILED.into())));
    }
    if let (true, Some(failed), Some(all)) =
        (map.is_empty(), number(&TOTALS, 2, log), number(&TOTALS, 3, log))
    {
        name(map, "synthetic_pass_", 0, all.saturating_sub(failed), PASSED);
        name(map, "synthetic_fail_", 0, failed, FAILED);
    }
}

/// Catch2: its XML, its text, its totals.
pub(super) fn catch(log: &str, map: &mut Map) {
    static XML: Pattern =
        Pattern::new(r#"(?s)<TestCase\s+name="([^"]+)"[^>]*>.*?<OverallResult\s+success="(true|false)""#);
    static TEXT: Pattern = Pattern::new(r"(?mi)^([^.:\[\]]+?)\s*\.\.\.\s*(PASSED|FAILED)");
    static TOTALS: Pattern =
        Pattern::new(r"(?i)test cases:\s*(\d+)\s*\|\s*(\d+)\s*passed\s*\|\s*(\d+)\s*failed");
    static ALL_PASSED: Pattern = Pattern::new(r"(?i)All tests passed\s*\(.*?(\d+)\s+test cases?\)");
    for pattern in [&XML, &TEXT] {
        for found in pattern.regex().captures_iter(log) {
            let is_passed = ["true", "passed"].contains(&found[2].to_ascii_lowercase().as_str());
            let test = if found[2].len() < 6 { &found[1] } else { strip(&found[1]) };
            if !test.is_empty() {
                map.insert(test.to_owned(), if is_passed { PASSED } else { FAILED }.into());
            }
        }
        if !map.is_empty() {
            return;
        }
    }
    if let (Some(passed), Some(failed)) = (number(&TOTALS, 2, log), number(&TOTALS, 3, log)) {
        name(map, "test_passed_", 1, passed, PASSED);
        name(map, "test_failed_", 1, failed, FAILED);
    } else if let Some(passed) = number(&ALL_PASSED, 1, log) {
        name(map, "test_passed_", 1, passed, PASSED);
    }
}

/// Boost.Test.
pub(super) fn boost(log: &str, map: &mut Map) {
    static TESTS: [Rule; 2] = [
        is(FAILED, r#"(?i)error(?:\s+in)?\s+"([^"]+)""#, 1),
        is(PASSED, r#"Entering test (?:case|suite) "([^"]+)""#, 1).keeps(),
    ];
    static PASSES: Pattern = Pattern::new(r"(?i)(\d+)\s+test cases?\s+(?:out of \d+ )?passed");
    static FAILURES: Pattern = Pattern::new(r"\*\*\* (\d+) failure(?:s)? detected");
    search(&TESTS, log, map);
    if !map.is_empty() {
        return;
    }
    if log.contains("*** No errors detected") {
        match number(&PASSES, 1, log) {
            Some(count) => name(map, "test_passed_", 1, count, PASSED),
            None => _ = map.insert("boost_test_suite".to_owned(), PASSED.into()),
        }
    } else if let Some(count) = number(&FAILURES, 1, log) {
        name(map, "test_failed_", 1, count, FAILED);
    }
}

/// Karma: the most that any line counts of each kind.
pub(super) fn karma(log: &str, map: &mut Map) {
    static KINDS: [(Pattern, &str, &str); 3] = [
        (Pattern::new(r"Executed\s+(\d+)\s+of\s+\d+\s+SUCCESS"), "karma_unit_test_", PASSED),
        (Pattern::new(r"Executed\s+\d+\s+of\s+\d+\s+\((\d+)\s+FAILED\)"), "karma_unit_test_failed_", FAILED),
        (
            Pattern::new(r"Executed\s+\d+\s+of\s+\d+\s+\((\d+)\s+skipped\)"),
            "karma_unit_test_skipped_",
            SKIPPED,
        ),
    ];
    for (pattern, prefix, status) in &KINDS {
        let counts = log.split('\n').filter(|line| line.contains("Executed"));
        let most = counts.filter_map(|line| number(pattern, 1, line)).max();
        name(map, prefix, 1, most.unwrap_or(0), status);
    }
}

/// Jasmine's first line of totals.
pub(super) fn jasmine(log: &str, map: &mut Map) {
    static TOTALS: Pattern =
        Pattern::new(r"(\d+)\s+specs?,\s+(\d+)\s+failures?(?:,\s+(\d+)\s+pending\s+specs?)?");
    let Some(line) = log.split('\n').find(|line| TOTALS.regex().is_match(line)) else {
        return;
    };
    let [all, failed, pending] = [1, 2, 3].map(|group| number(&TOTALS, group, line).unwrap_or(0));
    name(map, "jasmine_spec_", 1, all.saturating_sub(failed).saturating_sub(pending), PASSED);
    name(map, "jasmine_spec_failed_", 1, failed, FAILED);
    name(map, "jasmine_spec_pending_", 1, pending, SKIPPED);
}

/// Mocha, and its totals where no test is named.
pub(super) fn mocha(log: &str, map: &mut Map) {
    static PASSES: Pattern = Pattern::new(r"(\d+)\s+passing");
    static FAILURES: Pattern = Pattern::new(r"(\d+)\s+failing");
    Lines::new(Cut::Stripped, &super::MOCHA).read(log, map);
    if map.is_empty() {
        name(map, "test_", 0, number(&PASSES, 1, log).unwrap_or(0), PASSED);
        name(map, "test_failed_", 0, number(&FAILURES, 1, log).unwrap_or(0), FAILED);
    }
}

/// Turborepo's tasks, and its totals where no task is named.
pub(super) fn turbo(log: &str, map: &mut Map) {
    static TASK: Pattern = Pattern::new(r"^\s*(\S+?:test\S*)\s*:");
    static TOTALS: Pattern = Pattern::new(r"Tasks:\s+(\d+)\s+successful,\s+(\d+)\s+total");
    for line in log.split('\n').filter(|line| line.contains(':')) {
        if let Some(found) = TASK.regex().captures(line) {
            map.entry(found[1].to_owned()).or_insert(PASSED.into());
        }
        let task = strip(before(line, ":"));
        if line.contains("ERROR") && task.to_lowercase().contains("test") {
            map.insert(task.to_owned(), FAILED.into());
        }
    }
    if let (true, Some(passed), Some(all)) =
        (map.is_empty(), number(&TOTALS, 1, log), number(&TOTALS, 2, log))
    {
        name(map, "turbo_task_", 0, passed, PASSED);
        name(map, "turbo_task_failed_", 0, all.saturating_sub(passed), FAILED);
    }
}

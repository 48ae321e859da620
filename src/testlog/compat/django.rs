//! The test runner of Django, and of SymPy and seaborn: Python's own runners other than plain pytest.
//!
//! Guarantees the ids that the references record, which for Django are a test's docstring where it has one.

use super::lines::{Rule, is, search};
use super::python::{after, before, before_last, strip, words};
use super::{ERROR, FAILED, Fault, Map, PASSED, SKIPPED};

/// Reads the log of Django's runner.
pub(super) fn read(log: &str, map: &mut Map) -> Result<(), Fault> {
    let mut last = None;
    for line in log.split('\n') {
        read_line(strip(line), &mut last, map)?;
    }
    interrupted(log, map);
    Ok(())
}

fn read_line<'a>(line: &'a str, last: &mut Option<&'a str>, map: &mut Map) -> Result<(), Fault> {
    const VERSION: &str = "--version is equivalent to version";
    let mut line = line;
    if line.contains(VERSION) {
        map.insert(VERSION.to_owned(), PASSED.into());
    }
    if line.contains(" ... ") {
        *last = Some(before(line, " ... "));
    }
    if let Some(end) = [" ... ok", " ... OK", " ...  OK"].into_iter().find(|end| line.ends_with(end)) {
        // One repository's migrations print on the line of the test that runs them.
        if line.starts_with("Applying sites.0002_alter_domain_unique...test_no_migrations") {
            line = strip(after(line, "..."));
        }
        map.insert(before_last(line, end).to_owned(), PASSED.into());
    }
    if line.contains(" ... skipped") {
        map.insert(before(line, " ... skipped").to_owned(), SKIPPED.into());
    }
    for (end, start, status) in [(" ... FAIL", "FAIL:", FAILED), (" ... ERROR", "ERROR:", ERROR)] {
        if line.ends_with(end) {
            map.insert(before(line, end).to_owned(), status.into());
        }
        if line.starts_with(start) {
            let id = words(line).nth(1).ok_or_else(Fault::index)?;
            map.insert(id.to_owned(), status.into());
        }
    }
    // What a test prints may part its name from the `ok`.
    if let Some(id) = last.filter(|_| line.starts_with("ok")) {
        map.insert(id.to_owned(), PASSED.into());
    }
    Ok(())
}

/// Passes tests whose line a known message of Django interrupts.
fn interrupted(log: &str, map: &mut Map) {
    static MESSAGES: [(&str, [Rule; 1]); 3] = [
        (
            "Testing against Django installed in",
            [is(
                PASSED,
                r"(?m)^(.*?)\s\.\.\.\sTesting against Django installed in ((?s:.*?)) silenced\)\.\nok$",
                1,
            )],
        ),
        (
            "Internal Server Error: /",
            [is(PASSED, r"(?m)^(.*?)\s\.\.\.\sInternal Server Error: /(.*)/\nok$", 1)],
        ),
        (
            "System check identified no issues (0 silenced)\nok",
            [is(PASSED, r"(?m)^(.*?)\s\.\.\.\sSystem check identified no issues \(0 silenced\)\nok$", 1)],
        ),
    ];
    for (message, rule) in &MESSAGES {
        if log.contains(message) {
            search(rule, log, map);
        }
    }
}

static SYMPY_FAILURES: [Rule; 1] = [is(FAILED, r"(_*) ((.*)\.py:(.*)) (_*)", 2)];

/// Reads the log of SymPy's runner.
pub(super) fn read_sympy(log: &str, map: &mut Map) {
    sympy(log, |line| line, map);
}

/// Reads the log of SymPy's runner, whose last test of a file has the file's `[OK]` behind it.
pub(super) fn read_sympy_files(log: &str, map: &mut Map) {
    sympy(
        log,
        |line| match line.ends_with("[FAIL]") || line.ends_with("[OK]") {
            true => strip(before_last(line, "[")),
            false => line,
        },
        map,
    );
}

fn sympy(log: &str, tidy: fn(&str) -> &str, map: &mut Map) {
    search(&SYMPY_FAILURES, log, map);
    for line in log.split('\n').map(strip).filter(|line| line.starts_with("test_")) {
        let line = tidy(line);
        let ends = [(" E", ERROR), (" F", FAILED), (" ok", PASSED)];
        let status = ends.into_iter().find(|(end, _)| line.ends_with(end));
        if let (Some((_, status)), Some(id)) = (status, words(line).next()) {
            map.insert(id.to_owned(), status.into());
        }
    }
}

/// Reads pytest's log as seaborn's parser does.
pub(super) fn read_seaborn(log: &str, map: &mut Map) -> Result<(), Fault> {
    seaborn(log, || Ok(()), map)
}

/// Reads pytest's log as seaborn's older parser does, which stops at a status without an id.
pub(super) fn read_seaborn_strictly(log: &str, map: &mut Map) -> Result<(), Fault> {
    seaborn(log, || Err(Fault::index()), map)
}

fn seaborn(log: &str, short: fn() -> Result<(), Fault>, map: &mut Map) -> Result<(), Fault> {
    for line in log.split('\n') {
        let is_failed = line.starts_with(FAILED);
        let is_within = !is_failed && line.contains(" PASSED ");
        if !is_failed && !is_within && !line.starts_with(PASSED) {
            continue;
        }
        let mut found = words(line);
        let (Some(first), Some(second)) = (found.next(), found.next()) else {
            short()?;
            continue;
        };
        if is_within && second == PASSED {
            map.insert(first.to_owned(), PASSED.into());
        } else if !is_within {
            map.insert(second.to_owned(), if is_failed { FAILED } else { PASSED }.into());
        }
    }
    Ok(())
}

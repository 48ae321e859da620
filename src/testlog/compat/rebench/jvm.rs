//! Maven, Leiningen and ScalaTest as SWE-rebench-V2 reads them.

use std::collections::BTreeSet;

use super::super::lines::Cut;
use super::super::python::{Pattern, after_last, before, strip, words};
use super::super::{ERROR, FAILED, Map, PASSED, SKIPPED, markup, runners};

static COUNTS: Pattern =
    Pattern::new(r"Tests run:\s*(\d+),\s*Failures:\s*(\d+),\s*Errors:\s*(\d+),\s*Skipped:\s*(\d+)");

/// Whether a number is not zero.
fn is_some(number: &str) -> bool {
    number.chars().any(|digit| digit != '0')
}

/// Maven: classes by their counts, methods by their errors, then reports and single runs.
pub(super) fn maven(log: &str, map: &mut Map) {
    static FAILURE: Pattern =
        Pattern::new(r"^\[ERROR\]\s+([A-Za-z0-9_$.]+)\.([A-Za-z0-9_$.]+?)(?::(\d+))?\b");
    static RUNNING: Pattern = Pattern::new(r"^(?:\[INFO\]\s+)?Running\s+([A-Za-z0-9_$.]+)$");
    let (mut seen, mut running) = (BTreeSet::new(), None);
    Cut::SplitStripped.each(log, |line| {
        if let Some(found) = RUNNING.regex().captures(line) {
            running = Some(found[1].to_owned());
            seen.insert(found[1].to_owned());
        } else if let Some(found) = FAILURE.regex().captures(line) {
            let is_error = line.contains("Exception") && !line.contains("AssertionError");
            let status = if is_error { ERROR } else { FAILED };
            map.insert(format!("{}.{}", &found[1], &found[2]), status.into());
            map.entry(found[1].to_owned()).or_insert(FAILED.into());
        } else if let Some(found) = COUNTS.regex().captures(line) {
            let class = line
                .contains(" in ")
                .then(|| strip(after_last(line, " in ")).trim_end_matches(['.', ':', ';']).to_owned());
            let class = class.or(running.take()).filter(|class| !class.is_empty());
            if let Some(class) = class {
                map.entry(class).or_insert(class_status([&found[2], &found[3], &found[4]]).into());
            }
            running = None;
        }
    });
    for read in [markup::testcases, runners::maven_by_last] {
        let mut more = Map::default();
        read(log, &mut more);
        for (id, status) in more {
            map.entry(id).or_insert(status);
        }
    }
    if map.is_empty() {
        map.extend(seen.into_iter().map(|class| (class, PASSED.into())));
    }
}

fn class_status([failures, errors, skipped]: [&str; 3]) -> &'static str {
    match (is_some(failures) || is_some(errors), is_some(skipped)) {
        (true, _) => FAILED,
        (false, true) => SKIPPED,
        (false, false) => PASSED,
    }
}

/// Surefire's `Running` lines and the counts that follow each.
pub(super) fn surefire(log: &str, map: &mut Map) {
    static RUNNING: Pattern = Pattern::new(r"^Running\s+(.+)$");
    static CLASS_COUNTS: Pattern =
        Pattern::new(r"^Tests run:\s+(\d+),\s+Failures:\s+(\d+),\s+Errors:\s+(\d+),\s+Skipped:\s+(\d+)");
    let mut running = None;
    Cut::SplitStripped.each(log, |line| {
        if let Some(found) = RUNNING.regex().captures(line) {
            running = Some(found[1].to_owned());
        } else if let Some(found) = CLASS_COUNTS.regex().captures(line)
            && let Some(class) = running.take()
        {
            map.insert(class, class_status([&found[2], &found[3], &found[4]]).into());
        }
    });
}

/// Maven's summary of modules, and the counts of all tests as `__suite__`.
pub(super) fn maven_modules(log: &str, map: &mut Map) {
    static MODULE: Pattern =
        Pattern::new(r"^\[INFO\]\s+(.+?)\s+\.\.+\s+(SUCCESS|FAILURE|SKIPPED)(?:\s|\[|$)");
    Cut::SplitStripped.each(log, |line| {
        if let Some(found) = MODULE.regex().captures(line) {
            let status = match &found[2] {
                "SUCCESS" => PASSED,
                "FAILURE" => FAILED,
                _ => SKIPPED,
            };
            map.insert(found[1].to_owned(), status.into());
        } else if let Some(found) = COUNTS.regex().captures(line) {
            let status = if is_some(&found[2]) {
                FAILED
            } else if is_some(&found[3]) {
                ERROR
            } else if found[4].trim_start_matches('0') == found[1].trim_start_matches('0') {
                SKIPPED
            } else {
                PASSED
            };
            map.entry("__suite__".to_owned()).or_insert(status.into());
        }
    });
}

/// Leiningen: one status a namespace.
pub(super) fn leiningen(log: &str, map: &mut Map) {
    static TEST: Pattern = Pattern::new(r"^lein test (.+)$");
    let mut namespace: Option<String> = None;
    Cut::SplitStripped.each(log, |line| {
        if let Some(found) = TEST.regex().captures(line) {
            let mut named: Vec<String> = words(&found[1]).map(str::to_owned).collect();
            if named.first().is_some_and(|first| first == ":only") {
                let target = named[1..].join(" ");
                named = vec![strip(before(&target, "/")).to_owned()];
            }
            // Nothing behind `:only` ends the namespace.
            namespace = named.last().filter(|name| !name.is_empty()).cloned();
            for name in named.into_iter().filter(|name| !name.is_empty()) {
                map.entry(name).or_insert(PASSED.into());
            }
            return;
        }
        let status = [("FAIL in", FAILED), ("ERROR in", ERROR)];
        let status = status.into_iter().find(|(start, _)| line.starts_with(start));
        if let (Some((_, status)), Some(namespace)) = (status, &namespace) {
            map.insert(namespace.clone(), status.into());
        }
    });
}

/// ScalaTest under sbt: `suite: test`.
pub(super) fn scala_suites(log: &str, map: &mut Map) {
    static TEST: Pattern = Pattern::new(r"^\[info\]\s+-\s+(.*?)(?:\s+\*{3}\s+([A-Z]+)\s+\*{3})?$");
    static SUITE: Pattern = Pattern::new(r"^\[info\]\s+([^\-].*)$");
    static TIME: Pattern = Pattern::new(r"\s*\(\d+\s+\w+\)$");
    let mut suite: Option<String> = None;
    Cut::SplitStripped.each(log, |line| {
        if !line.starts_with("[info] -") {
            let found = SUITE.regex().captures(line);
            let found = found.map(|found| strip(&found[1]).to_owned());
            suite = found.filter(|name| is_suite(name)).or(suite.take());
            return;
        }
        let Some(found) = TEST.regex().captures(line) else { return };
        let test = TIME.regex().replace(strip(&found[1]), "").into_owned();
        let id = suite.as_ref().map_or_else(|| test.clone(), |suite| format!("{suite}: {test}"));
        match found.get(2).map(|word| word.as_str()) {
            Some(word) => _ = map.insert(id, scala_status(word).into()),
            None => _ = map.entry(id).or_insert(PASSED.into()),
        }
    });
}

fn is_suite(name: &str) -> bool {
    const NOISE: [&str; 10] = [
        "Run completed",
        "Total number",
        "Suites:",
        "Tests:",
        "All tests",
        "compiling",
        "done compiling",
        "loading",
        "welcome to",
        "set current",
    ];
    !name.is_empty() && !NOISE.iter().any(|noise| name.contains(noise))
}

/// A status by its word; an unknown word is its own status.
fn scala_status(word: &str) -> String {
    match word {
        "ABORTED" => ERROR,
        "IGNORED" | "CANCELED" | "CANCELLED" | "PENDING" => SKIPPED,
        word => word,
    }
    .to_owned()
}

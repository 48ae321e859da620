//! Ruby, JavaScript, R and Dart as SWE-rebench-V2 reads them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::lines::Cut;
use super::super::python::{Pattern, after, rstrip, split_lines, strip, words};
use super::super::{ERROR, FAILED, Fault, Map, PASSED, SKIPPED};
use super::lines::without_duration;

/// Rake's tests below the names of their classes: the worse of two statuses stays.
pub(super) fn ruby(log: &str, map: &mut Map) {
    static SUITE: Pattern = Pattern::new(r"^[A-Z][A-Za-z0-9_]*$");
    static TEST: Pattern = Pattern::new(
        r"^\s*(test[^A-Z\n]+?)\s+(PASS|PASS(?:ED)?|FAIL|FAILURE|ERROR|SKIP|SKIPPED)\b(?:\s*\([0-9.]+s\))?$",
    );
    let rank = |status: &str| [FAILED, ERROR].iter().position(|one| *one == status);
    let mut suite: Option<String> = None;
    Cut::SplitRstripped.each(log, |line| {
        if line.starts_with("Finished in ") {
        } else if SUITE.regex().is_match(line) {
            suite = Some(line.to_owned());
        } else if let Some(found) = TEST.regex().captures(line) {
            let test = strip(&found[1]);
            let id = suite.as_ref().map_or_else(|| test.to_owned(), |suite| format!("{suite}::{test}"));
            let status = match &found[2] {
                "PASS" | "PASSED" => PASSED,
                "FAIL" | "FAILURE" => FAILED,
                "ERROR" => ERROR,
                _ => SKIPPED,
            };
            if map.get(&id).is_none_or(|known| rank(known) < rank(status)) {
                map.insert(id, status.into());
            }
        }
    });
}

/// TAP whose suites open and close with braces.
pub(super) fn nested_tap(log: &str, map: &mut Map) {
    static LINE: Pattern = Pattern::new(r"^(not ok|ok)\s+\d+\s+-\s+(.*?)(?:\s+#.*)?$");
    static COMMENT: Pattern = Pattern::new(r"\s+#");
    let mut suites: Vec<String> = Vec::new();
    Cut::SplitStripped.each(log, |line| {
        if line.chars().all(|char| char == '}') {
            suites.truncate(suites.len().saturating_sub(line.len()));
            return;
        }
        let is_suite = line.ends_with('{');
        let line = if is_suite { rstrip(&line[..line.len() - 1]) } else { line };
        let Some(found) = LINE.regex().captures(line) else { return };
        let name = COMMENT.regex().split(&found[2]).next().unwrap_or("");
        let name = without_duration(strip(name));
        if name.is_empty() {
            return;
        }
        let names = suites.iter().map(String::as_str).chain([name.as_str()]);
        let id = names.collect::<Vec<_>>().join(" :: ");
        let said = found[2].to_lowercase();
        match &found[1] {
            _ if said.contains("# skip") || said.contains("# todo") => _ = map.insert(id, SKIPPED.into()),
            "ok" => _ = map.entry(id).or_insert(PASSED.into()),
            _ => _ = map.insert(id, FAILED.into()),
        }
        if is_suite {
            suites.push(name);
        }
    });
}

/// Runners of JavaScript by the symbol that a line starts with.
pub(super) fn symbols(log: &str, map: &mut Map) {
    const SKIPS: [&str; 5] = ["(skipped)", "[skip]", "[skipped]", "[pending]", "[todo]"];
    Cut::SplitStripped.each(log, |line| {
        let mut chars = line.chars();
        let status = match chars.next() {
            Some('✔' | '✓') => PASSED,
            Some('✘' | '✖' | '×') => FAILED,
            Some('○' | '◌' | '◦' | '⚪') => SKIPPED,
            _ => {
                let said = line.to_lowercase();
                if SKIPS.iter().any(|mark| said.contains(mark)) {
                    let name = SKIPS.iter().fold(line.to_owned(), |name, mark| name.replace(mark, ""));
                    let name = without_duration(strip(&name));
                    map.extend((!name.is_empty()).then(|| (name, SKIPPED.into())));
                }
                return;
            }
        };
        let name = without_duration(without_tag(strip(chars.as_str())));
        match status {
            _ if name.is_empty() => {}
            PASSED => _ = map.entry(name).or_insert(PASSED.into()),
            status => _ = map.insert(name, status.into()),
        }
    });
}

/// A name without `[package]:` before it.
fn without_tag(name: &str) -> &str {
    let is_tagged = name.starts_with('[') && name.contains("]:");
    let name = if is_tagged { strip(after(name, "]:")) } else { name };
    name.strip_prefix(':').map_or(name, strip)
}

/// `R CMD check`: one status a check, which may stand on a later line.
pub(super) fn r_check(log: &str, map: &mut Map) -> Result<(), Fault> {
    static FULL: Pattern = Pattern::new(r"^\* checking (.+?) \.\.\. ([A-Z]+)$");
    static OPEN: Pattern = Pattern::new(r"^\* checking (.+?) \.\.\.$");
    let mut pending: Option<String> = None;
    for line in split_lines(log).map(strip).filter(|line| !line.is_empty()) {
        if let Some(check) = &pending {
            let word = words(line.trim_matches(['.', ':', '!'])).next().ok_or_else(Fault::index)?;
            if let Some(status) = check_status(&word.to_uppercase()) {
                map.insert(check.clone(), status.into());
                pending = None;
            }
        } else if let Some(found) = FULL.regex().captures(line) {
            map.insert(found[1].to_owned(), check_status(&found[2]).unwrap_or(PASSED).into());
        } else if let Some(found) = OPEN.regex().captures(line) {
            pending = Some(found[1].to_owned());
        }
    }
    if let Some(check) = pending {
        map.entry(check).or_insert(PASSED.into());
    }
    Ok(())
}

fn check_status(word: &str) -> Option<&'static str> {
    Some(match word {
        "OK" | "NOTE" | "NOTES" => PASSED,
        "WARNING" | "WARNINGS" | "FAIL" | "FAILED" => FAILED,
        "ERROR" | "ERRORS" => ERROR,
        "SKIPPED" => SKIPPED,
        _ => return None,
    })
}

/// Dart's JSON protocol: names when tests start, results when they are done.
pub(super) fn dart_events(log: &str, map: &mut Map) {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut event = |event: &Value| match event["type"].as_str() {
        Some("testStart") => {
            let test = &event["test"];
            let name = test["name"].as_str().filter(|name| !name.is_empty());
            let name = name.filter(|name| !name.starts_with("loading "));
            if let (false, Some(name)) = (test["id"].is_null(), name) {
                names.insert(test["id"].to_string(), name.to_owned());
            }
        }
        Some("testDone") => {
            let status = match event["result"].as_str() {
                Some("success") => PASSED,
                Some("failure") => FAILED,
                Some("error") => ERROR,
                _ if is_true(&event["skipped"]) => SKIPPED,
                _ => return,
            };
            let name = names.get(&event["testID"].to_string());
            if let Some(name) = name.filter(|_| !is_true(&event["hidden"])) {
                map.insert(name.clone(), status.into());
            }
        }
        _ => {}
    };
    Cut::SplitStripped.each(log, |line| match serde_json::from_str(line) {
        Ok(Value::Array(events)) => events.iter().for_each(&mut event),
        Ok(one) => event(&one),
        Err(_) => {}
    });
}

/// Whether Python takes a value for true, as far as the protocol has such values.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_true) => *is_true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

/// Dart's compact reporter: a test that is named twice passed.
pub(super) fn dart_counters(log: &str, map: &mut Map) {
    static LINE: Pattern = Pattern::new(r"^\[[\w_]+\]:\s+\d{2}:\d{2}\s+\+(\d+):\s+(/[^:]+\.dart):\s+(.+)$");
    Cut::SplitStripped.each(log, |line| {
        let is_loading = line.to_lowercase().contains("loading");
        if let Some(found) = LINE.regex().captures(line).filter(|_| !is_loading) {
            let id = format!("{}: {}", &found[2], &found[3]);
            let status = if map.contains_key(&id) { PASSED } else { ERROR };
            map.insert(id, status.into());
        }
    });
}

/// Flutter's compact reporter: `[E]` marks a failure.
pub(super) fn flutter(log: &str, map: &mut Map) {
    static LOADING: Pattern = Pattern::new(r"^\d+:\d+\s+\+\d+\s+-\d+:\s+loading\s+(/[^:]+\.dart)\s+\[E\]$");
    static TEST: Pattern =
        Pattern::new(r"^\d+:\d+\s+\+\d+(?:\s+-\d+)?:\s+(/[^:]+\.dart):\s+(.+?)(?:\s+\[E\])?$");
    Cut::SplitStripped.each(log, |line| {
        if let Some(found) = LOADING.regex().captures(line) {
            map.insert(found[1].to_owned(), ERROR.into());
        } else if let Some(found) = TEST.regex().captures(line) {
            let id = format!("{}: {}", &found[1], strip(&found[2]));
            match line.contains("[E]") {
                true => _ = map.insert(id, FAILED.into()),
                // The reference looks for failures before the first colon, where only hours are.
                false => _ = map.entry(id).or_insert(PASSED.into()),
            }
        }
    });
}

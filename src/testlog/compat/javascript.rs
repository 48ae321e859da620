//! Runners of JavaScript.
//!
//! Guarantees the references' ids, of which many join suites and tests without escaping either.

use std::collections::BTreeSet;

use super::lines::{Rule, WORDS, is, on_one_line, stripped, word};
use super::markup::titles;
use super::python::{Pattern, after, after_last, before, indent, rstrip, strip, without_escapes};
use super::suites::Suites;
use super::{FAILED, Fault, Map, PASSED};

pub(super) static JEST: [Rule; 1] =
    [word(r"^\s*(✓|✕|○)\s(.+?)(?:\s\((\d+\s*m?s)\))?$", [2, 1], WORDS).tidy(stripped)];
/// As `JEST`, with the white space around a name left.
pub(super) static JEST_AS_IS: [Rule; 1] = [word(r"^\s*(✓|✕|○)\s(.+?)(?:\s\((\d+\s*m?s)\))?$", [2, 1], WORDS)];
pub(super) static JEST_JSON: [Rule; 1] = [word(r"^\[(PASSED|FAILED)\]\s(.+)$", [2, 1], WORDS)];
pub(super) static VITEST: [Rule; 1] =
    [word(r"^\s*(✓|×|↓)\s(.+?)(?:\s(\d+\s*m?s?|\[skipped\]))?$", [2, 1], WORDS)];
pub(super) static MARKED: [Rule; 1] = [is(FAILED, r"^\d+\)\s(.*)", 1).tidy(stripped)];
/// Jest's lines for files, with a time in one of three shapes.
pub(super) static CARBON: [Rule; 4] = [
    word(r"^(PASS|FAIL)\s(.*)\s\([\d\.]+ms\)", [2, 1], WORDS),
    word(r"^(PASS|FAIL)\s(.*)\s\([\d\.]+\ss\)", [2, 1], WORDS),
    word(r"^(PASS|FAIL)\s(.*)\s\([\d\.]+s\)", [2, 1], WORDS),
    word(r"^(PASS|FAIL)\s(.*)", [2, 1], WORDS),
];
pub(super) static EMOTION: [Rule; 2] =
    [is(FAILED, r"(?m)^FAIL\s(.*)", 1).tidy(stripped), is(PASSED, r"(?m)^PASS\s(.*)", 1).tidy(stripped)];
pub(super) static GROMMET: [Rule; 2] = [
    is(FAILED, r"(?m)^FAIL\s(.*)", 1).tidy(without_time),
    is(PASSED, r"(?m)^PASS\s(.*)", 1).tidy(without_time),
];
pub(super) static ESLINT: [Rule; 1] =
    [is(FAILED, r"(\s{2}\d+\))((?s:.)*?)\s+(?:(.*)Error)", 2).tidy(on_one_line)];
pub(super) static BPMN: [Rule; 4] = [
    is(FAILED, r"2KPhantomJS\s[\d\.]+\s\(Linux\s[\d\.]+\)\s(.*)FAILED\n", 1),
    is(FAILED, r"2KPhantomJS\s[\d\.]+\s\(Linux\sx86_64\)\s(.*)FAILED\n", 1),
    is(FAILED, r"Chrome\sHeadless\s(.*)\s\(Linux\sx86_64\)\s(.*)FAILED\n", 2),
    is(FAILED, r"HeadlessChrome\s[\d\.]+\s\(Linux\s[\d\.]+\)\s(.*)FAILED\n", 1),
];
pub(super) static OPENLAYERS: [Rule; 4] = [
    is(FAILED, r"Chrome\sHeadless\s[\d\.]+\s\(Linux\s\S+\)\s(.*)\sFAILED\n", 1).tidy(on_one_line),
    is(FAILED, r"Chrome\s[\d\.]+\s\(Linux\s\S+\)\s(.*)FAILED\n", 1).tidy(on_one_line),
    is(FAILED, r"(?m)^\s{2}\d+\)((?s:.)*?)Error:", 1).tidy(on_one_line),
    is(FAILED, r"(?m)^case\s(.*):\smismatch", 1).tidy(on_one_line),
];
static CHART: [Rule; 1] = [is(FAILED, r"(?m)Chrome\s[\d\.]+[\s&&[^\r\n]]\(.+?\)[\s&&[^\r\n]](.*)FAILED$", 1)];

/// Chart.js under Karma: failures only.
pub(super) fn chart(log: &str, map: &mut Map) {
    super::lines::search(&CHART, &without_escapes(log), map);
}

fn without_time(name: &str) -> String {
    static TIME: Pattern = Pattern::new(r"\s\([\d\.]+\s?(?:ms|s)\)$");
    TIME.regex().replace(strip(name), "").into_owned()
}

/// Mocha's spec reporter as highlight.js prints it: the suite is the last indented line.
pub(super) fn highlight(log: &str, map: &mut Map) {
    static SUMMARY: Pattern = Pattern::new(r"\n[ \t]*\d+ passing");
    static TIME: Pattern = Pattern::new(r"\(\d+ms\)");
    static NUMBER: Pattern = Pattern::new(r"^\d+\)");
    let end = SUMMARY.regex().find(log).map_or(log.len(), |found| found.start());
    let mut suite = None;
    for line in log[..end].split('\n') {
        let test = strip(line);
        let mark = ["✓", "✔"].into_iter().find(|mark| test.starts_with(mark)).map(|mark| (mark, PASSED));
        if let Some((mark, status)) = mark.or_else(|| NUMBER.regex().is_match(test).then_some((")", FAILED)))
        {
            let name = TIME.regex().replace_all(after(line, mark), "").into_owned();
            let names = suite.into_iter().chain([strip(&name)]);
            map.insert(names.collect::<Vec<_>>().join("."), status.into());
        } else if line.starts_with("  ") {
            suite = Some(test);
        }
    }
}

/// Plotly's Karma reporter: `- suite :` and `* test : ok`.
pub(super) fn plotly(log: &str, map: &mut Map) {
    static SUITE: Pattern = Pattern::new(r"^(\s+)-\s+(.*?)\s+:");
    static TEST: Pattern = Pattern::new(r"^(\s+)\*\s+(.*?)\s+:\s*(.*)");
    let (mut suites, mut depth) = (Vec::<String>::new(), 0);
    for line in log.split('\n') {
        let suite = SUITE.regex().captures(line);
        let is_suite = suite.is_some();
        let Some(found) = suite.or_else(|| TEST.regex().captures(line)) else { continue };
        let spaces = found[1].chars().count();
        // The depth stays that of the last suite, so a line that is no deeper ends them all.
        if spaces <= depth {
            suites.clear();
        }
        if is_suite {
            suites.push(found[2].to_owned());
            depth = spaces;
            continue;
        }
        let said = found[3].to_lowercase();
        let is_passed = said.contains("ok") && !said.contains("failed");
        let names = suites.iter().map(String::as_str).chain([&found[2]]);
        let id = names.collect::<Vec<_>>().join(".");
        map.insert(id, if is_passed { PASSED } else { FAILED }.into());
    }
}

/// Karma as Alibaba's `next` runs it: `✓` and `✗` below suites by indentation.
pub(super) fn next_karma(log: &str, map: &mut Map) {
    static ASSERTION: Pattern = Pattern::new(r"AssertionError:\s+#((?s:.)*?)\n\n");
    let log = without_escapes(log);
    let log = ASSERTION.regex().replace_all(&log, "");
    let mut suites = Suites::default();
    for run in log.split(" xvfb-run ").skip(1) {
        let lines = after_last(run, "Starting browser Chrome").split('\n');
        for line in lines.take_while(|line| !line.starts_with("TOTAL")) {
            if ["ERROR", "LOG", "WARN", "Check", "in"].iter().any(|word| strip(line).starts_with(word)) {
                continue;
            }
            let mark = [("✗", FAILED), ("✓", PASSED)].into_iter().find(|(mark, _)| line.contains(mark));
            if let Some((mark, status)) = mark {
                let test = after(line, mark).trim_start_matches(super::python::is_space);
                map.insert(suites.with(" - ", test), status.into());
            } else if 0 < indent(line) {
                suites.enter(line);
            }
        }
    }
}

/// Cypress as Alibaba's `next` runs it: one suite a file.
pub(super) fn next_cypress(log: &str, map: &mut Map) {
    static SUITE: Pattern = Pattern::new(r"Running:(.*)\)\n{3}\s{2}(.*)\n");
    static TESTS: [(Pattern, &str); 2] =
        [(Pattern::new(r"(?m)^\s{4}\d+\)\s(.*)"), FAILED), (Pattern::new(r"(?m)^\s{4}✓\s(.*)\("), PASSED)];
    let suites: Vec<_> = SUITE.regex().captures_iter(log).collect();
    for (index, suite) in suites.iter().enumerate() {
        let start = suite.get_match().end();
        let end = suites.get(index + 1).map_or(log.len(), |next| next.get_match().start());
        for (pattern, status) in &TESTS {
            for found in pattern.regex().captures_iter(&log[start..end]) {
                map.insert(format!("{}: {}", &suite[2], strip(&found[1])), (*status).into());
            }
        }
    }
}

/// Cypress with Mocha's JSON reporter.
pub(super) fn cypress(log: &str, map: &mut Map) {
    let parts: Vec<&str> = log.split("../..").collect();
    for part in &parts[..parts.len() - 1] {
        let lists = [("  \"passes\": [", "  }", PASSED), ("  \"failures\": [", "  ],", FAILED)];
        titles(part, &lists, map);
    }
}

/// Lighthouse with Mocha's JSON reporter.
pub(super) fn lighthouse_json(log: &str, map: &mut Map) {
    for part in log.split("./node_modules/.bin/mocha --reporter json").skip(1) {
        titles(part, &[("\"passes\": [", "]", PASSED), ("\"failures\": [", "],", FAILED)], map);
    }
}

/// Lighthouse with Mocha's spec reporter.
pub(super) fn lighthouse_mocha(log: &str, map: &mut Map) {
    static START: Pattern = Pattern::new(r"running\s\d+\stest\sfiles");
    static END: Pattern = Pattern::new(r"\d+\spassing");
    static TEST: [(Pattern, &str); 4] = [
        (Pattern::new(r"^✔\s(.*)\s\(\d+m+s\)"), PASSED),
        (Pattern::new(r"^✔\s(.*)"), PASSED),
        (Pattern::new(r"^\d+\)\s(.*)\s\(\d+m+s\)"), FAILED),
        (Pattern::new(r"^\d+\)\s(.*)"), FAILED),
    ];
    for run in START.regex().split(log).skip(1) {
        let mut suites = Suites::default();
        for line in strip(END.regex().split(run).next().unwrap_or("")).split('\n') {
            let found = TEST.iter().find_map(|(pattern, status)| {
                let found = pattern.regex().captures(strip(line))?;
                Some((found.get(1)?.as_str(), *status))
            });
            if let Some((test, status)) = found {
                map.insert(suites.with(" - ", test), status.into());
            } else if 0 < indent(line) {
                suites.enter(line);
            }
        }
    }
}

/// Jest's verbose output as wp-calypso runs it.
pub(super) fn calypso(log: &str, map: &mut Map) -> Result<(), Fault> {
    calypso_with(
        log,
        |_, _| Fault::raises("AttributeError", "'NoneType' object has no attribute 'group'"),
        map,
    )
}

/// As `calypso`, with the later package's words for a line that does not fit.
pub(super) fn calypso_checked(log: &str, map: &mut Map) -> Result<(), Fault> {
    calypso_with(
        log,
        |pattern, line| Fault::raises("ValueError", format!("Pattern {pattern} doesn't match line: {line}")),
        map,
    )
}

fn calypso_with(log: &str, fault: fn(&str, &str) -> Fault, map: &mut Map) -> Result<(), Fault> {
    static TIME: Pattern = Pattern::new(r"\(\d+ms\)");
    static TIMED: Pattern = Pattern::new(r"^\s+[✓✕]\s(.*)\(\d+ms\)$");
    static BARE: Pattern = Pattern::new(r"^\s+[✓✕]\s(.*)");
    let mut suites = Suites::default();
    for run in log.split(" ./node_modules/.bin/jest ").skip(1) {
        let is_end = |line: &str| line.starts_with("Test Suites") || line.starts_with("  ● ");
        for line in run.split('\n').take_while(|line| !is_end(line)) {
            let mark =
                [("✓", PASSED), ("✕", FAILED)].into_iter().find(|(mark, _)| strip(line).starts_with(mark));
            let Some((mark, status)) = mark else {
                if 0 < indent(line) {
                    suites.enter(line);
                }
                continue;
            };
            let (pattern, ending) =
                if TIME.regex().is_match(line) { (&TIMED, r"\(\d+ms\)$") } else { (&BARE, "") };
            let found = pattern.regex().captures(line);
            let found = found.ok_or_else(|| fault(&format!(r"^\s+{mark}\s(.*){ending}"), line))?;
            let id = format!("{} - {}", suites.joined(" - "), &found[1]);
            map.insert(strip(&id).to_owned(), status.into());
        }
    }
    Ok(())
}

/// Preact under Karma, from the browser's start to the summary.
pub(super) fn karma(log: &str, map: &mut Map) -> Result<(), Fault> {
    static LINE: Pattern = Pattern::new(r"^(\s*)?([✔✖])?\s(.*)$");
    let (mut depth, mut suites, mut is_started) = (None, Vec::<String>::new(), false);
    for line in log.split('\n').take_while(|line| !line.starts_with("SUMMARY:")) {
        if line.contains("Starting browser") {
            is_started = true;
            continue;
        }
        let Some(found) = LINE.regex().captures(line).filter(|_| is_started) else { continue };
        let indent = found.get(1).map_or(0, |found| found.as_str().chars().count());
        let Some(mark) = found.get(2) else {
            if 0 < indent && depth.is_none_or(|depth| depth < indent) {
                depth = Some(indent);
                suites.push(found[3].to_owned());
            } else if 0 < indent && depth.is_some_and(|depth| indent < depth) {
                depth = Some(indent);
                suites.pop().ok_or_else(|| Fault::raises("IndexError", "pop from empty list"))?;
            }
            continue;
        };
        let names = suites.iter().map(String::as_str).chain([&found[3]]);
        let status = if mark.as_str() == "✔" { PASSED } else { FAILED };
        map.insert(names.collect::<Vec<_>>().join(" > "), status.into());
    }
    Ok(())
}

/// quarto's own runner (Deno), with temporary paths numbered.
pub(super) fn quarto(log: &str, map: &mut Map) {
    static TEST: Pattern = Pattern::new(r"\[(smoke|unit)\]");
    static PATHS: [Pattern; 2] = [Pattern::new(r"/tmp/(\w+)\.qmd"), Pattern::new(r"/tmp/(\w+)/")];
    let mut paths: Vec<String> = Vec::new();
    let is_end = |line: &str| line.contains("ERRORS") || line.contains("failures:");
    for line in log.split('\n').take_while(|line| !is_end(line)).filter(|line| TEST.regex().is_match(line)) {
        let mut line = line.to_owned();
        for pattern in &PATHS {
            let Some(path) = pattern.regex().find(&line).map(|found| found.as_str().to_owned()) else {
                continue;
            };
            let number = paths.iter().position(|known| *known == path).unwrap_or_else(|| {
                paths.push(path);
                paths.len() - 1
            });
            line = pattern.regex().replace_all(&line, format!("/tmp/{number}")).into_owned();
        }
        let is_totals = ["passed", "failed", "steps"].iter().all(|word| line.contains(word));
        if line.starts_with("test result:") || is_totals || line.contains("34mINFO") {
            continue;
        }
        let id = strip(before(&line, "...")).to_owned();
        let status =
            [("32mok", PASSED), ("31mFAILED", FAILED)].into_iter().find(|(mark, _)| line.contains(mark));
        match status {
            Some((_, status)) => _ = map.insert(id, status.into()),
            None => _ = map.entry(id).or_insert(FAILED.into()),
        }
    }
}

/// p5.js under Mocha: failures only, outside of JSON and XML that the tests print.
pub(super) fn p5(log: &str, map: &mut Map) {
    static NUMBER: Pattern = Pattern::new(r"(?m)^\s*(\d+)\)");
    let log = without_xml(without_json(&without_escapes(log)));
    let mut at = 0;
    while let Some(found) = NUMBER.regex().find_at(&log, at) {
        let rest = &log[found.end()..];
        let colon = rest.char_indices().take(1001).find(|(_, char)| *char == ':');
        let Some((colon, _)) = colon else {
            at = found.end();
            continue;
        };
        at = found.end() + colon + 1;
        let names: Vec<&str> = rest[..colon].split('\n').collect();
        let depths = [0].into_iter().chain(names.iter().map(|name| indent(name)));
        if depths.collect::<Vec<_>>().is_sorted_by(|above, below| above < below) {
            let names: Vec<&str> = names.into_iter().map(strip).collect();
            map.insert(names.join(":"), FAILED.into());
        }
    }
}

/// Drops lines from one that ends with an opening bracket to one that is the closing bracket.
fn without_json(log: &str) -> String {
    let (mut in_object, mut in_list) = (false, false);
    let is_kept = |line: &&str| {
        let line = rstrip(line);
        if line.ends_with('{') {
            in_object = true;
        } else if line.ends_with('[') {
            in_list = true;
        } else if line == "}" && in_object {
            in_object = false;
        } else if line == "]" && in_list {
            in_list = false;
        } else {
            let is_whole = |open, close| line.starts_with(open) && line.ends_with(close);
            return !(in_object || in_list || is_whole('{', '}') || is_whole('[', ']'));
        }
        false
    };
    log.split('\n').filter(is_kept).collect::<Vec<_>>().join("\n")
}

/// Drops elements without attributes, from the outside in; tags of the same name within stay behind.
fn without_xml(mut log: String) -> String {
    static OPEN: Pattern = Pattern::new(r"<(\w+)>");
    while let Some((start, end, tag)) = first_element(&log, &OPEN) {
        let inner = log[start..end].matches(&tag).count() - 1;
        log.replace_range(start..end, &tag.repeat(inner));
    }
    log
}

/// Where the first element that has an end tag starts and ends, and its start tag.
fn first_element(log: &str, open: &Pattern) -> Option<(usize, usize, String)> {
    // A tag that does not end behind one place ends behind no later one.
    let mut endless = BTreeSet::new();
    open.regex().captures_iter(log).find_map(|found| {
        let open = found.get_match();
        if endless.contains(open.as_str()) {
            return None;
        }
        let close = format!("</{}>", &found[1]);
        let Some(end) = log[open.end()..].find(&close) else {
            endless.insert(open.as_str());
            return None;
        };
        Some((open.start(), open.end() + end + close.len(), open.as_str().to_owned()))
    })
}

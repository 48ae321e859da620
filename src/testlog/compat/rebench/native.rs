//! C++, Haskell, Julia and OCaml as SWE-rebench-V2 reads them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::lines::{Cut, Lines, Rule, is, on_one_line, stripped};
use super::super::python::{Pattern, after_last, indent, split_lines, strip, without_escapes, words};
use super::super::{ERROR, FAILED, Map, PASSED, SKIPPED};

/// A runner whose lines end as pytest's: ids are what follows the last `::`.
pub(super) fn cpp(log: &str, map: &mut Map) {
    static TESTS: [Rule; 4] = [
        is(PASSED, r"^(.*?)\s+PASSED", 1).tidy(last_part).keeps(),
        is(FAILED, r"^(.*?)\s+FAILED", 1).tidy(last_part),
        is(SKIPPED, r"^(.*?)\s+SKIPPED", 1).tidy(last_part),
        is(ERROR, r"^(.*?)\s+ERROR", 1).tidy(last_part),
    ];
    static FAILURES: [Rule; 1] =
        [is(FAILED, r"^___________________________ (.*?) ___________________________$", 1)];
    const SECTION: &str = "=================================== FAILURES ===================================";
    let (mut rules, tests) = (None, Lines::new(Cut::Bare, &TESTS));
    Cut::SplitStripped.each(log, |line| {
        if line.starts_with(SECTION) {
            rules = Some(Lines::new(Cut::Bare, &FAILURES));
        } else {
            rules.as_ref().unwrap_or(&tests).line(line, map);
        }
    });
}

fn last_part(name: &str) -> String {
    after_last(name, "::").to_owned()
}

/// Lines that hold a word for a status, with or without dots before it, and Botan's groups.
pub(super) fn cpp_by_words(log: &str, map: &mut Map) {
    static GROUP: Pattern =
        Pattern::new(r"(?i)^(.*?)\s+ran\s+(\d+)\s+tests\s+in\s+[\d.]+\s+(?:msec|sec)\s+(.+)$");
    static GROUP_FAILED: Pattern = Pattern::new(r"(?i)\bfailed\b");
    static DOTS: Pattern = Pattern::new(r"^(?:\[[0-9]+/[0-9]+\]\s*)?(.*?)\s*\.\.\.\s*(\w+)$");
    static STATUSES: [(Pattern, &str); 3] = [
        (Pattern::new(r"(?i)\bSKIPPED\b"), SKIPPED),
        (Pattern::new(r"(?i)\bFAILED\b|\bFAIL\b|\bFailure\b"), FAILED),
        (Pattern::new(r"(?i)\bOK\b|\bPASSED\b"), PASSED),
    ];
    Cut::SplitStripped.each(log, |line| {
        if let Some(found) = GROUP.regex().captures(line) {
            let said = strip(&found[3]);
            let id = format!("{} ran {} tests {said}", strip(&found[1]), &found[2]);
            let is_failed = GROUP_FAILED.regex().is_match(said);
            map.insert(id, if is_failed { FAILED } else { PASSED }.into());
            return;
        }
        let status = STATUSES.iter().find(|(pattern, _)| pattern.regex().is_match(line));
        let status = status.map(|(_, status)| *status);
        match DOTS.regex().captures(line) {
            Some(found) => {
                _ = map.insert(strip(&found[1]).to_owned(), status.unwrap_or(ERROR).into());
            }
            None => map.extend(status.map(|status| (line.to_owned(), status.into()))),
        }
    });
}

/// CTest's lines.
pub(super) fn ctest(log: &str, map: &mut Map) {
    static TEST: Pattern =
        Pattern::new(r"(?i)^\s*\d+/\d+\s+Test\s+#\d+:\s+(.+?)\s+\.+\s+(Passed|Failed|Skipped|Timeout)\b");
    for found in split_lines(log).filter_map(|line| TEST.regex().captures(line)) {
        let status = match found[2].to_ascii_uppercase().as_str() {
            "PASSED" => PASSED,
            "FAILED" | "TIMEOUT" => FAILED,
            _ => SKIPPED,
        };
        map.insert(strip(&found[1]).to_owned(), status.into());
    }
}

/// hspec's tree: a line with nothing deeper below it is a test, its ancestors are its suites.
pub(super) fn hspec(log: &str, map: &mut Map) {
    let lines: Vec<&str> = split_lines(log).collect();
    let failures = lines.iter().position(|line| strip(line) == "Failures:");
    let end = failures.unwrap_or(lines.len());
    // The tree may begin behind the failures where a log holds two runs.
    let tree = lines.get(tree_start(&lines)..end).unwrap_or_default();
    let tree: Vec<&str> = tree.iter().copied().filter(|line| is_significant(line)).collect();
    let mut stack: Vec<&str> = Vec::new();
    for (index, line) in tree.iter().enumerate() {
        let (name, status) = hspec_line(strip(line));
        let depth = spaces(line);
        stack.resize(depth / 2, "");
        stack.push(name);
        if tree.get(index + 1).is_none_or(|next| spaces(next) <= depth) {
            let names: Vec<&str> = stack.iter().copied().filter(|name| !name.is_empty()).collect();
            map.insert(names.join("."), status.into());
        }
    }
    let failures = failures.map_or(&[][..], |at| &lines[at + 1..]);
    map.extend(failed_names(failures).map(|id| (id, FAILED.into())));
}

fn is_significant(line: &str) -> bool {
    !matches!(strip(line), "" | "Golden and Actual output didn't change")
}

fn spaces(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn hspec_line(line: &str) -> (&str, &'static str) {
    static MARKS: [(Pattern, &str); 2] = [
        (Pattern::new(r"^(.*?)\s+FAILED\s*\[\d+\]$"), FAILED),
        (Pattern::new(r"(?i)^(.*?)\s+(?:PENDING|SKIPPED)\b.*$"), SKIPPED),
    ];
    let found = MARKS.iter().find_map(|(pattern, status)| {
        let name = pattern.regex().captures(line)?.get(1)?;
        Some((strip(name.as_str()), *status))
    });
    found.unwrap_or((line, PASSED))
}

/// Where the tree begins: behind the runner's mark, or at the first line that looks like a module.
fn tree_start(lines: &[&str]) -> usize {
    const NOISE: [&str; 14] = [
        "Downloading",
        "Building",
        "Installing",
        "Completed",
        "Starting",
        "Preprocessing",
        "Configuring",
        "Linking",
        "Resolving dependencies",
        "Build profile",
        "In order, the following will be built",
        "Error:",
        "Test suite ",
        "Running ",
    ];
    let is_mark = |line: &&str| line.starts_with("Test suite ") && line.contains(": RUNNING...");
    let is_module = |line: &&str| {
        !line.is_empty()
            && !line.starts_with(' ')
            && line.contains('.')
            && !NOISE.iter().any(|noise| line.contains(noise))
    };
    let mark = lines.iter().position(is_mark).map(|at| at + 1);
    mark.or_else(|| lines.iter().position(is_module)).unwrap_or(0)
}

/// `1) Module, suite, test` of the section of failures.
fn failed_names<'a>(lines: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    static HEADER: Pattern = Pattern::new(r"^\s*\d+\)\s+(.*)$");
    const ENDS: [&str; 4] = ["To rerun use:", "Randomized with seed", "Finished in ", "Test suite "];
    let lines = lines.iter().map(|line| strip(line));
    let lines = lines.take_while(|line| !ENDS.iter().any(|end| line.starts_with(end)));
    lines
        .filter_map(|line| HEADER.regex().captures(line))
        .map(|found| strip(&found[1]).split(',').map(strip).collect::<Vec<_>>().join("."))
}

/// Julia's table of test sets, whose empty columns leave fewer numbers.
pub(super) fn julia(log: &str, map: &mut Map) {
    static LINE: Pattern = Pattern::new(r"^(\s*)(.+?)\s+\|(.+)$");
    let (mut is_table, mut has_fail, mut has_error) = (false, false, false);
    for line in split_lines(log) {
        if line.contains("Test Summary:") {
            is_table = true;
            if line.contains("| Pass") {
                let header = line.split('|').nth(1).unwrap_or(line);
                (has_fail, has_error) = (header.contains("Fail"), header.contains("Error"));
            }
            continue;
        }
        let Some(found) = LINE.regex().captures(line).filter(|_| is_table) else { continue };
        let numbers: Vec<u64> = words(&found[3]).filter_map(|word| word.parse().ok()).collect();
        let status = match numbers.as_slice() {
            [] | [_] => continue,
            // Ten spaces are an empty first column: the number is no count of passes.
            [first, total] if 10 <= indent(&found[3]) || first != total => ERROR,
            [_, _] | [_, 0, _] => PASSED,
            [_, _, _] if has_fail && !has_error => FAILED,
            [_, _, _] => ERROR,
            [_, 0, 0, ..] => PASSED,
            [_, _, 0, ..] => FAILED,
            _ => ERROR,
        };
        map.insert(strip(&found[2]).to_owned(), status.into());
    }
}

/// Alcotest and QCheck: `[OK] suite 3 name`.
pub(super) fn alcotest(log: &str, map: &mut Map) {
    static LINE: Pattern = Pattern::new(r"^\s*\[([A-Z]+)\]\s+(.*?)\s+(\d+)\s+(.+)$");
    Cut::SplitRstripped.each(log, |line| {
        let Some(found) = LINE.regex().captures(line) else { return };
        let parts = [2, 3, 4].map(|group| strip(&found[group]).to_owned());
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        match &found[1] {
            "OK" | "PASS" => _ = map.entry(parts.join(" ")).or_insert(PASSED.into()),
            "FAIL" | "FAILED" => _ = map.insert(parts.join(" "), FAILED.into()),
            "SKIP" | "SKIPPED" | "TODO" => _ = map.insert(parts.join(" "), SKIPPED.into()),
            _ => _ = map.insert(parts.join(" "), ERROR.into()),
        }
    });
}

/// dune's log: what each run printed decides the status of its binary.
pub(super) fn dune(log: &str, map: &mut Map) {
    static RUNNING: Pattern = Pattern::new(r"^Running\[(\d+)\]:\s+\((.+)\)$");
    static OUTPUT: Pattern = Pattern::new(r"^Output\[(\d+)]:");
    const FAILS: [&str; 5] = ["FAIL", "ERROR", "EXCEPTION", "CRASH", "FATAL"];
    let mut runs: BTreeMap<u64, String> = BTreeMap::new();
    let (mut active, mut seen) = (None::<String>, BTreeSet::new());
    let number = |text: &str| text.parse().unwrap_or(u64::MAX);
    Cut::SplitStripped.each(log, |line| {
        if let Some(found) = RUNNING.regex().captures(line) {
            let name = binary(&found[2]);
            let id = number(&found[1]);
            runs.insert(id, if name.is_empty() { format!("run_{id}") } else { name });
            active = None;
        } else if let Some(found) = OUTPUT.regex().captures(line) {
            active = runs.get(&number(&found[1])).cloned();
        } else if let Some(test) = &active {
            seen.insert(test.clone());
            let said = line.to_uppercase();
            if FAILS.iter().any(|word| said.contains(word)) {
                worsen(map, test, FAILED);
            } else if said.contains("SKIP") {
                worsen(map, test, SKIPPED);
            } else if said == "OK" {
                worsen(map, test, PASSED);
            }
        }
    });
    for test in seen {
        map.entry(test).or_insert(PASSED.into());
    }
}

/// The name of the program that a command of dune runs.
fn binary(command: &str) -> String {
    let mut command = strip(after_last(command, "&&"));
    if let Some(rest) = command.strip_prefix("exec ") {
        command = strip(rest);
    }
    let command = command.strip_prefix("./").unwrap_or(command);
    after_last(words(command).next().unwrap_or(""), "/").to_owned()
}

/// Notes a status unless a worse one is noted.
fn worsen(map: &mut Map, id: &str, status: &'static str) {
    let rank = |status: &str| [PASSED, SKIPPED, FAILED, ERROR].iter().position(|one| *one == status);
    if map.get(id).is_none_or(|known| rank(known) <= rank(status)) {
        map.insert(id.to_owned(), status.into());
    }
}

/// Inline tests of OCaml: `[OK] name`.
pub(super) fn ocaml_inline(log: &str, map: &mut Map) {
    static LINE: Pattern = Pattern::new(r"^\[([A-Za-z][A-Za-z0-9_-]*)\]\s+(.+)$");
    Cut::SplitStripped.each(log, |line| {
        let Some(found) = LINE.regex().captures(line) else { return };
        let status = match found[1].to_ascii_uppercase().as_str() {
            "OK" | "PASS" | "PASSED" | "SUCCESS" => PASSED,
            "SKIP" | "SKIPPED" | "TODO" | "PENDING" | "DISABLED" => SKIPPED,
            "FAIL" | "FAILED" | "ERROR" | "EXCEPTION" | "CRASH" | "FATAL" | "KO" | "PANIC" => FAILED,
            _ => return,
        };
        let id = on_one_line(&found[2]);
        if !id.is_empty() {
            worsen(map, &id, status);
        }
    });
}

/// ocamlbuild: a status word, then a name that ends at two spaces.
pub(super) fn ocamlbuild(log: &str, map: &mut Map) {
    static COLOUR: Pattern = Pattern::new(r"\x1B\[[0-9;]*m");
    static LINE: Pattern = Pattern::new(r"^(PASSED|FAILED|SKIPPED|ERROR)\s+(.*)$");
    static GAP: Pattern = Pattern::new(r"\s{2,}");
    for line in split_lines(log) {
        let line = without_escapes(&COLOUR.regex().replace_all(line, " "));
        let Some(found) = LINE.regex().captures(strip(&line)) else { continue };
        let name = stripped(GAP.regex().split(strip(&found[2])).next().unwrap_or(""));
        let status = [PASSED, FAILED, SKIPPED, ERROR].into_iter().find(|one| *one == &found[1]);
        if let Some(status) = status.filter(|_| !name.is_empty()) {
            worsen(map, &name, status);
        }
    }
}

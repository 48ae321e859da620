//! Parsers of SWE-rebench-V2 that are rules for lines, some behind a step that cleans the line.

use super::super::lines::{Cut, Lines, Rule, WORDS, ignored, is, stripped, word};
use super::super::python::{Pattern, before, rstrip, split_lines, strip};
use super::super::words::without_colours;
use super::super::{ERROR, FAILED, Map, PASSED, SKIPPED};

pub(super) static GRADLE: [Rule; 1] =
    [word(r"^([^>].+?)\s+(PASSED|FAILED)(?:\s+\(\d+(?:\.\d+)?s\))?$", [1, 2], WORDS)];
pub(super) static REACT_PDF: [Rule; 1] =
    [word(r"^(PASS|FAIL)\s(.*?)(?:\s\([\d.]+\s*(?:ms|s)\))?$", [2, 1], WORDS)
        .tidy(|name| rstrip(name).to_owned())];
pub(super) static ELIXIR: [Rule; 4] = [
    is(SKIPPED, r"^\*\s+test\s+(.*?)\s+\(skipped\)\s+\[L#\d+\]$", 1),
    is(FAILED, r"^\d+\)\s+test\s+(.*?)\s+\([^)]+\)$", 1),
    is(PASSED, r"^\*\s+test\s+(.*?)\s+\([0-9]+(?:\.[0-9]+)?ms\)\s+\[L#\d+\]$", 1).keeps(),
    is(PASSED, r"^\*\s+test\s+(.*?)\s+\[L#\d+\]$", 1).keeps(),
];
pub(super) static RUBY: [Rule; 1] = [word(
    r"^(.+?#.+?)\s+=\s+[\d.]+\s+s\s+=\s+([.FES])$",
    [1, 2],
    &[(".", PASSED), ("F", FAILED), ("E", FAILED), ("S", SKIPPED)],
)];
pub(super) static CPP: [Rule; 3] = [
    is(PASSED, r"^Test\s+(.*?)\s+passed$", 1).keeps(),
    is(FAILED, r"^Test\s+(.*?)\s+failed$", 1),
    is(SKIPPED, r"^Test\s+(.*?)\s+skipped$", 1),
];
pub(super) static PHP: [Rule; 9] = [
    ignored(r"^\s*(?:___|---|Tests:|Duration:)"),
    is(FAILED, r"(?i)^\s*FAIL(?:ED)?\s+(\S.+)$", 1).tidy(without_seconds),
    is(FAILED, r"(?i)^\s*(?:⨯|x)\s+(.+?)\s{2,}\d+\.?\d*s\b.*$", 1).tidy(without_seconds).named(),
    is(FAILED, r"(?i)^\s*(?:⨯|x)\s+(.+?)\s*$", 1).tidy(without_seconds).named(),
    is(SKIPPED, r"^\s*-\s+(.+?)\s{2,}\d+\.?\d*s\b.*$", 1).tidy(without_seconds).named(),
    is(SKIPPED, r"^\s*-\s+(.+?)\s*$", 1).tidy(without_seconds).named(),
    is(PASSED, r"^\s*(?:✓|✔)\s+(.+?)\s{2,}\d+\.?\d*s\b.*$", 1).tidy(without_seconds).named().keeps(),
    is(PASSED, r"^\s*(?:✓|✔)\s+(.+?)\s*$", 1).tidy(without_seconds).named().keeps(),
    is(SKIPPED, r"(?i)^(.*(?:\(skipped\)|\bSKIPPED\b).*)$", 1).tidy(without_mark).named().keeps(),
];
pub(super) static JS: [Rule; 4] = [
    is(SKIPPED, r"^\s*-\s+(.*?)$", 1).tidy(without_duration).named(),
    is(FAILED, r"^\s*\d+\)\s+(.*?):$", 1).tidy(without_duration).named(),
    is(FAILED, r"^\s*\[W\]\s*\d+\)\s+(.*?)$", 1).tidy(without_duration).named(),
    is(PASSED, r"^\s*✔\s+(.*?)$", 1).tidy(without_duration).named().keeps(),
];
pub(super) static JS_2: [Rule; 3] = [
    is(SKIPPED, r"^\s*-\s+(.*?)$", 1).tidy(without_duration).named(),
    is(FAILED, r"^\s*\d+\)\s+(.*?)$", 1).tidy(without_duration).named(),
    is(PASSED, r"^\s*✔\s+(.*?)$", 1).tidy(without_duration).named().keeps(),
];
pub(super) static NPX: [Rule; 2] = [
    is(PASSED, r"^\s*✔\s+(.+?)(?:\s+\(\d+(?:ms)?\))?$", 1).tidy(stripped),
    is(FAILED, r"^\s*\d+\)\s+(.+)$", 1).tidy(without_module),
];
pub(super) static SCALA: [Rule; 4] = [
    is(FAILED, r"^\[info\]\s+-\s+(.*?)\s+\*\*\*\s+FAILED\s+\*\*\*\s+\([^)]+\)$", 1),
    is(SKIPPED, r"^\[info\]\s+-\s+(.*?)\s+!!!\s+CANCELED\s+!!!\s+\([^)]+\)$", 1),
    is(SKIPPED, r"^\[info\]\s+-\s+(.*?)\s+!!!\s+IGNORED\s+!!!", 1),
    is(PASSED, r"^\[info\]\s+-\s+(.*?)\s+\([^)]+\)$", 1).keeps(),
];
pub(super) static SWIFT: [Rule; 1] =
    [word(r"^Test Case '([^']+)'\s+(passed|failed)\s+\([0-9.]+\s+seconds\)$", [1, 2], WORDS)];
pub(super) static CSHARP: [Rule; 4] = [
    is(FAILED, r"^\[xUnit\.net\s+[\d:\.]+\]\s+(.+?)\s+\[FAIL\]$", 1),
    is(FAILED, r"^\s+Failed\s+(.+?)\s+\[.+?\]$", 1),
    is(SKIPPED, r"^\s+Skipped\s+(.+?)(?:\s+\[.+?\])?$", 1),
    is(PASSED, r"^\s+Passed\s+(.+?)\s+\[.+?\]$", 1).keeps(),
];

/// A name without the seconds behind it.
fn without_seconds(name: &str) -> String {
    static FAR: Pattern = Pattern::new(r"\s{2,}\d+(?:\.\d+)?s\s*$");
    static NEAR: Pattern = Pattern::new(r"\s+\d+(?:\.\d+)?s\s*$");
    let name = FAR.regex().replace(rstrip(name), "");
    strip(&NEAR.regex().replace(&name, "")).to_owned()
}

fn without_mark(line: &str) -> String {
    static MARK: Pattern = Pattern::new(r"^\s*(?:✓|✔|⨯|x|-)\s+");
    without_seconds(&MARK.regex().replace(line, ""))
}

/// A name without a duration such as `(53ms)` behind it.
pub(super) fn without_duration(name: &str) -> String {
    static DURATION: Pattern = Pattern::new(r"(?i)\s*(?:\(\s*)?\d+(?:\.\d+)?\s*(?:ms|s)\s*(?:\))?\s*$");
    strip(&DURATION.regex().replace(name, "")).to_owned()
}

fn without_module(name: &str) -> String {
    static MODULE: Pattern = Pattern::new(r"\s+\([^)]+\)$");
    MODULE.regex().replace(strip(name), "").into_owned()
}

/// pytest's lines in three orders, of workers, of progress and of the summary.
pub(super) fn nebo(log: &str, map: &mut Map) {
    static RULES: [Rule; 3] = [
        word(r"^\[gw\d+\]\s+\[[^\]]*\]\s+(FAILED|PASSED|SKIPPED|ERROR)\s+(.*)$", [2, 1], WORDS)
            .tidy(before_in),
        word(
            r"^([^\s].*?)\s+(FAILED|PASSED|SKIPPED|ERROR)\s+\[[^\]]*\]\s+in\s+\d+(?:\.\d+)?s$",
            [1, 2],
            WORDS,
        )
        .tidy(stripped),
        word(r"^(FAILED|PASSED|SKIPPED|ERROR)\s+(.*)$", [2, 1], WORDS).tidy(before_in),
    ];
    let lines = Lines::new(Cut::Bare, &RULES);
    split_lines(log).for_each(|line| lines.line(strip(&without_colours(line)), map));
}

fn before_in(name: &str) -> String {
    strip(before(name, " in ")).to_owned()
}

static COLOUR: Pattern = Pattern::new(r"\x1b\[[0-9;]*m");

/// Neovim's plenary.
pub(super) fn neovim(log: &str, map: &mut Map) {
    static RULES: [Rule; 3] = [
        is(FAILED, r"^(?:Fail|Failed)\s*\|\|\s*(.+?)\s*$", 1).tidy(stripped),
        is(SKIPPED, r"(?i)^(?:Skip|Skipped)\s*\|\|\s*(.+?)\s*$", 1).tidy(stripped).keeps(),
        is(PASSED, r"^Success\s*\|\|\s*(.+?)\s*$", 1).tidy(stripped).keeps(),
    ];
    uncoloured(&RULES, log, map);
}

/// tasty, hspec and HUnit.
pub(super) fn haskell(log: &str, map: &mut Map) {
    static RULES: [Rule; 9] = [
        ignored(r"Test suite |Linking |Building |Running  "),
        word(
            r"^\s*(.+?)\s*:\s*(OK|PASS|FAIL|ERROR|SKIP|PENDING)(?:\b|\s|$)",
            [1, 2],
            &[
                ("OK", PASSED),
                ("PASS", PASSED),
                ("FAIL", FAILED),
                ("ERROR", ERROR),
                ("SKIP", SKIPPED),
                ("PENDING", SKIPPED),
            ],
        )
        .tidy(stripped),
        is(PASSED, r"^\s+(.+?)\s+\[(?:✓|✔)\]\s*$", 1).tidy(stripped).keeps(),
        is(FAILED, r"^\s+(.+?)\s+\[(?:✗|✘)\]\s*$", 1).tidy(stripped),
        is(PASSED, r"^\s*(?:✓|✔)\s+(.+?)(?:\s+\(.*?\))?\s*$", 1).tidy(stripped).keeps(),
        is(FAILED, r"^\s*(?:✗|✘)\s+(.+?)\s*$", 1).tidy(stripped),
        is(FAILED, r"^\s*\d+\)\s+(.+?)\s*$", 1).tidy(stripped),
        is(FAILED, r"^###\s+Failure\s+in:\s+(.+)$", 1).tidy(stripped),
        is(ERROR, r"^###\s+Error\s+in:\s+(.+)$", 1).tidy(stripped),
    ];
    uncoloured(&RULES, log, map);
}

fn uncoloured(rules: &'static [Rule], log: &str, map: &mut Map) {
    let lines = Lines::new(Cut::Bare, rules);
    for line in split_lines(log) {
        lines.line(rstrip(&COLOUR.regex().replace_all(line, "")), map);
    }
}

/// munit's lines, whose colours may have lost their escape character.
pub(super) fn scala_colours(log: &str, map: &mut Map) {
    static COLOURS: Pattern = Pattern::new(r"\x1b\[[0-9;]*m|\[(?:[0-9]{1,2}m)");
    static COLOURED: [Rule; 2] = [
        is(FAILED, r"^\s*x\s+\[0m\[31m(.*?)\[0m\s+\[90m[\d.]+[mμn]?s\[0m\s*$", 1),
        is(PASSED, r"^\s*\+\s+\[0m\[32m(.*?)\[0m\s+\[90m[\d.]+[mμn]?s\[0m\s*$", 1),
    ];
    static CLEAN: [Rule; 2] = [
        is(FAILED, r"^\s*x\s+(.*?)\s+[\d.]+[mμn]?s\s*$", 1),
        is(PASSED, r"^\s*\+\s+(.*?)\s+[\d.]+[mμn]?s\s*$", 1),
    ];
    Cut::SplitStripped.each(log, |line| {
        let clean = COLOURS.regex().replace_all(line, "");
        let pairs = COLOURED.iter().zip(&CLEAN);
        for (coloured, bare) in pairs {
            if coloured.apply(line, map) || bare.apply(&clean, map) {
                break;
            }
        }
    });
}

/// R's testthat: its files, then the tests of the section that lists failures.
pub(super) fn testthat(log: &str, map: &mut Map) {
    static FILES: [Rule; 2] = [
        is(PASSED, r"^✔\s+\|[^|]+\|\s+(.+)$", 1).tidy(without_time),
        is(FAILED, r"^✖\s+\|[^|]+\|\s+(.+)$", 1).tidy(without_time),
    ];
    static TESTS: [Rule; 2] = [
        is(FAILED, r"^Failure\s+\([^)]+\):\s+(.+)$", 1).tidy(without_time),
        is(ERROR, r"^Error\s+\([^)]+\):\s+(.+)$", 1).tidy(without_time),
    ];
    Lines::new(Cut::SplitStripped, &FILES).read(log, map);
    let is_start =
        |line: &str| line.starts_with("── Failed tests ──") || line.starts_with("== Failed tests ==");
    let is_end = |line: &str| line.starts_with("[ FAIL") || line.starts_with("══ Results ══");
    let section = split_lines(log).map(strip).skip_while(|line| !is_start(line));
    let tests = Lines::new(Cut::Bare, &TESTS);
    section.take_while(|line| !is_end(line)).for_each(|line| tests.line(line, map));
}

fn without_time(name: &str) -> String {
    static TIME: Pattern = Pattern::new(r"\s*\[\s*\d+(?:\.\d+)?\s*[a-zA-Z]+\]$");
    strip(&TIME.regex().replace(strip(name), "")).to_owned()
}

//! Words that product code may not hold: those by which a runner reports, and those that reach into it.
//!
//! A patch may hold them where the file held them before, or where the task's own solution does: a runner's own
//! repository is full of them. Documents may say what they like.

use std::sync::LazyLock;

use regex::Regex;

use super::{Files, Flag, Runner};
use crate::patch::{FilePatch, LineKind, Patch};
use crate::task::{Task, Tests};

/// A rule on added lines.
struct Rule {
    runner: Runner,
    /// Endings of the files that it looks at; none for every file that is no document.
    endings: &'static [&'static str],
    pattern: LazyLock<Regex>,
    /// What a line that fits does.
    does: &'static str,
}

const FORGES: &str = "prints what only the test runner may print";
const REACHES: &str = "reaches into the test runner";

static RULES: [Rule; 4] = [
    Rule {
        runner: Runner::Pytest,
        endings: &[],
        pattern: LazyLock::new(|| {
            regex(
                r"short test summary info|test session starts|\b(PASSED|FAILED|ERROR|XFAIL|XPASS)\s+\S*(::|\{)|\S::\S+ (PASSED|XPASS)\b|=+ \S* ?passed",
            )
        }),
        does: FORGES,
    },
    Rule {
        runner: Runner::Pytest,
        endings: &["py"],
        pattern: LazyLock::new(|| {
            regex(
                r#"\b_pytest\b|\bimport\s+pytest\b|\bfrom\s+pytest\b|\bpluggy\b|["']pytest["'.]|\bpytest_[a-z_]+\s*[(=]|\bunittest\.(case|result|runner|loader|suite|TestCase|TestResult)\b|\bfrom\s+unittest\s+import\s+(case|result|TestCase|TestResult)\b|\bPYTEST_[A-Z_]+"#,
            )
        }),
        does: REACHES,
    },
    Rule {
        runner: Runner::Tap,
        endings: &[],
        pattern: LazyLock::new(|| {
            regex(r#"(^|["'`\s;])(not )?ok(\s+-\s|\s+["']?[0-9$%{#])|["'`\s]1\.\.[0-9$%{]|Bail out!"#)
        }),
        does: FORGES,
    },
    Rule {
        runner: Runner::Tap,
        endings: &["sh", "bash", ""],
        pattern: LazyLock::new(|| {
            regex(
                r"(^|[\s;{])(function\s+)?(\[|test|echo|printf|exit|source|\.)\s*\(\)|\balias\s|\btrap\b.*\b(EXIT|DEBUG|0)\b",
            )
        }),
        does: REACHES,
    },
];

/// Endings of documents, in which nothing runs.
const DOCUMENTS: [&str; 6] = ["md", "rst", "txt", "adoc", "html", "po"];

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: the pattern is valid")
}

/// What the patch does in product code that it may not, in words; `flags` are the files that are put back.
pub(in crate::grade) fn breach(
    task: &Task,
    tests: &Tests,
    patch: &Patch,
    (files, flags): (Files<'_>, &[Flag]),
) -> Option<String> {
    let runner = Runner::of(tests);
    let gold = task.gold.as_deref().and_then(|gold| Patch::parse(gold).ok()).unwrap_or_default();
    let gold = |rule: &Rule| gold.files.iter().any(|file| line(file, rule).is_some());
    let product = patch.files.iter().filter(|file| !flags.iter().any(|flag| flag.path == file.path()));
    product.filter(|file| file.new.is_some()).find_map(|file| {
        let (path, ending) = (file.path(), ending(file.path()));
        let looks = |rule: &&Rule| {
            rule.runner == runner
                && if rule.endings.is_empty() {
                    !DOCUMENTS.contains(&ending)
                } else {
                    rule.endings.contains(&ending)
                }
        };
        let was = file.old.as_ref().and_then(|old| files.before.get(old));
        let was = was.map(|file| String::from_utf8_lossy(&file.bytes)).unwrap_or_default();
        RULES.iter().filter(looks).find_map(|rule| {
            let line = line(file, rule)?;
            let is_usual = was.lines().any(|line| rule.pattern.is_match(line)) || gold(rule);
            (!is_usual).then(|| format!("`{path}` {}: `{}`", rule.does, line.trim()))
        })
    })
}

/// The first added line that a rule is about.
fn line<'a>(file: &'a FilePatch, rule: &Rule) -> Option<&'a str> {
    let lines = file.hunks.iter().flat_map(|hunk| &hunk.lines);
    let mut added = lines.filter(|line| line.kind == LineKind::Added).map(|line| line.text.as_str());
    added.find(|text| rule.pattern.is_match(text))
}

fn ending(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

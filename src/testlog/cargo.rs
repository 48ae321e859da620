//! `cargo test`: the lines of libtest, below the program that printed them.
//!
//! An id is `PROGRAM::TEST`: `fx::tests::adds` of a library, `fx(bin)::tests::adds` of a program, `it::adds` of
//! `tests/it.rs`, `fx::src/lib.rs - add (line 2)` of documentation. Only lines between `running N tests` and
//! `test result:` count, and the names of failures below it; what is told apart by neither cargo nor libtest, such as
//! an output that was not captured and ends on the line of a status, is not read.

use std::sync::LazyLock;

use regex::Regex;

use super::{Status, Statuses, note, plain};

/// `Running unittests src/lib.rs (target/debug/deps/fx-4a99a53287a4b62f)`, before 1.60 without a source, and with
/// `--verbose` the command line.
static RUNNING: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^\s+Running (?:unittests )?(?:(\S+) \()?`?(?:\S*[/\\])?([^/\\\s]+?)-[0-9a-f]{16}(?:\.exe)?(?:[\s)`].*)?$",
    )
});
static DOCUMENTATION: LazyLock<Regex> = LazyLock::new(|| regex(r"^\s+Doc-tests (\S+)$"));
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^test (.+?)(?: - (?:should panic|compile fail|compile))? \.\.\. (ok|FAILED|ignored)(?:, .*)?(?: <[\d.]+s>)?$",
    )
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: the pattern is valid")
}

/// Reads the output of one or more runs of `cargo test`.
pub(super) fn read(log: &str) -> Statuses {
    let mut statuses = Statuses::new();
    let (mut program, mut part) = (String::new(), Part::Cargo);
    for line in log.lines().map(plain) {
        match part {
            Part::Cargo | Part::Reports | Part::Failures if is_start(&line) => part = Part::Tests,
            Part::Cargo => {
                if let Some(found) = program_of(&line) {
                    program = found;
                }
            }
            Part::Tests if line == "failures:" => part = Part::Reports,
            Part::Reports if line == "failures:" => part = Part::Failures,
            Part::Failures if line.starts_with("    ") => {
                // A quiet run names the tests that failed here only. What a test prints can begin this list early,
                // and names tests as failed at worst.
                note(&mut statuses, &id(&program, name_of(line.trim())), Status::Failed);
            }
            Part::Tests | Part::Reports | Part::Failures if line.starts_with("test result: ") => {
                part = Part::Cargo;
            }
            Part::Tests => {
                if let Some(found) = LINE.captures(&line) {
                    note(&mut statuses, &id(&program, &found[1]), status(&found[2]));
                }
            }
            Part::Reports | Part::Failures => {}
        }
    }
    statuses
}

/// Where in the output a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Cargo builds, and names the next program.
    Cargo,
    /// A program runs its tests.
    Tests,
    /// It shows what those that failed printed.
    Reports,
    /// It names those that failed.
    Failures,
}

fn is_start(line: &str) -> bool {
    let number = line.strip_prefix("running ").and_then(|rest| rest.strip_suffix(" tests"));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) || line == "running 1 test"
}

/// The program whose tests come next.
fn program_of(line: &str) -> Option<String> {
    if let Some(found) = DOCUMENTATION.captures(line) {
        return Some(found[1].to_owned());
    }
    let found = RUNNING.captures(line)?;
    let source = found.get(1).map_or("", |source| source.as_str());
    let is_program = source.ends_with("src/main.rs") || source.contains("src/bin/");
    Some(format!("{}{}", &found[2], if is_program { "(bin)" } else { "" }))
}

fn id(program: &str, test: &str) -> String {
    if program.is_empty() { test.to_owned() } else { format!("{program}::{test}") }
}

/// A name without what libtest says of the test behind it.
pub(super) fn name_of(name: &str) -> &str {
    let remarks = [" - should panic", " - compile fail", " - compile"];
    remarks.into_iter().find_map(|remark| name.strip_suffix(remark)).unwrap_or(name)
}

fn status(word: &str) -> Status {
    match word {
        "ok" => Status::Passed,
        "ignored" => Status::Skipped,
        _ => Status::Failed,
    }
}

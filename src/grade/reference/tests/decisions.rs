//! Our decision on the logs and patches that the reference harnesses were given, and the tables of
//! docs/grading-compat.md, which name every difference.
//!
//! A fixture is the log of a whole script; ours has the output and the exit of the test command alone. So what stands
//! between the last pair of the script's own markers is what the command printed, and the last exit code is its exit.
//! The fixtures shorten pytest's output to its lines about tests; what pytest prints around them is put back, except in
//! forgeries: what a student prints stands outside of pytest's own sections.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::grade::reported::Run;
use crate::grade::{Outcome, verdict};
use crate::patch::{File, Level, Mode, Patch, PatchError, apply};
use crate::swe_bench::{END, EXIT_CODE, START};
use crate::task::Task;
use crate::testlog::compat::{self, Context};
use crate::testlog::fixture;
use crate::trajectory::{Exit, Observation};

/// The forgeries and poisoned runs by name; [`UNTELLABLE`] is not among them.
const FORGED: [&str; 13] = [
    "empty-expectations",
    "fail-only-crash-after-start",
    "fail-only-forged-evidence",
    "forge-end-marker",
    "forge-exit-line-first",
    "forge-in-test-stdout",
    "forge-passed-lines-exit1",
    "forge-passed-plus-decoy-failure",
    "forge-whole-block-before",
    "gotest-same-name-two-packages",
    "markers-reversed",
    "maven-forged",
    "pass-then-teardown-error-v2",
];
/// A test file that prints lines of results and leaves at once.
const UNTELLABLE: &str = "forge-os-exit-0";

fn load(file: &str) -> Option<Value> {
    fixture(&format!("grading/{file}")).map(|text| serde_json::from_str(&text).unwrap())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// What becomes of a case with us: an outcome's name, or why there is no run to judge.
fn ours(case: &Value) -> String {
    // What a student prints has nothing around it.
    let frame = if text(case, "tag") == "spoof" { Frame::AsItStands } else { Frame::PutBack };
    ours_with(case, frame)
}

/// Whether what pytest prints around its lines is there.
#[derive(Clone, Copy)]
enum Frame {
    AsItStands,
    PutBack,
}

fn ours_with(case: &Value, frame: Frame) -> String {
    let log = text(case, "log");
    if log.starts_with(">>>>> Patch Apply Failed") {
        return Outcome::PatchDoesNotApply.name().to_owned();
    }
    if text(case, "model_patch").is_empty() {
        return Outcome::EmptyPatch.name().to_owned();
    }
    let Some((before, printed, after)) = between_the_last_markers(log) else { return "no run".to_owned() };
    if before.contains("\n>>>>> Reset Failed") {
        return Outcome::Infrastructure.name().to_owned();
    }
    let (command, results) = printed.split_once('\n').unwrap_or((printed, ""));
    let command = command.trim_start_matches("+ ");
    let (parser, output) = read_by_us(case, (command, results), frame);
    let Ok(task) = task(case, command, parser) else { return "refused".to_owned() };
    let mut observation = Observation::new(output, 0);
    observation.exit = Some(exit(after));
    let run = Run { observation, file: None };
    verdict(&task, task.tests.as_ref().unwrap(), run).unwrap().outcome.name().to_owned()
}

fn between_the_last_markers(log: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = log.rsplit_once(&format!("+ : '{START}'\n"))?;
    let (printed, after) = rest.rsplit_once(&format!("+ : '{END}'\n"))?;
    Some((
        before,
        printed.rsplit_once("+ SWEBENCH_TEST_EXIT_CODE=").map_or(printed, |(results, _)| results),
        after,
    ))
}

/// As the sandbox tells it.
fn exit(after: &str) -> Exit {
    if after.contains("Timeout error: ") {
        return Exit::TimedOut;
    }
    let code = after.rsplit_once(&format!("\n{EXIT_CODE}: ")).map_or("0", |(_, code)| code);
    let code: i32 = code.lines().next().unwrap_or_default().trim().parse().unwrap();
    // A process has eight bits.
    Exit::Code(code & 0xff)
}

/// The reader of a case and the output that it reads. What is not pytest's is read by the parser of its row, and told
/// on as TAP.
fn read_by_us(case: &Value, (command, results): (&str, &str), frame: Frame) -> (&'static str, String) {
    let parser = text(case, "log_parser");
    if parser.starts_with("parse_log_pytest") {
        return match frame {
            Frame::AsItStands => ("pytest", results.to_owned()),
            Frame::PutBack => ("pytest", framed(results)),
        };
    }
    let map = compat::read(parser, &Context::default(), &format!("+ {command}\n{results}")).unwrap();
    let line = |(id, status): (&String, &std::borrow::Cow<'_, str>)| match status.as_ref() {
        "FAILED" | "ERROR" => format!("not ok - {id}\n"),
        "SKIPPED" => format!("ok - {id} # SKIP\n"),
        _ => format!("ok - {id}\n"),
    };
    ("tap", map.iter().map(line).collect())
}

/// What pytest prints around its lines about tests: the heading of its summary, and its totals.
fn framed(results: &str) -> String {
    let words = [
        ("FAILED", "failed"),
        ("PASSED", "passed"),
        ("SKIPPED", "skipped"),
        ("XFAIL", "xfailed"),
        ("XPASS", "xpassed"),
        ("ERROR", "error"),
    ];
    let is_of = |line: &str, word: &str| line.trim_start_matches("\u{1b}[32m").starts_with(word);
    let totals: Vec<String> = words
        .iter()
        .map(|(word, total)| (results.lines().filter(|line| is_of(line, word)).count(), total))
        .filter(|(count, _)| *count > 0)
        .map(|(count, total)| format!("{count} {total}"))
        .collect();
    if totals.is_empty() {
        return results.to_owned();
    }
    let heading = "=== short test summary info ===\n";
    let heading = if results.contains(heading) { "" } else { heading };
    format!("{heading}{results}=== {} in 0.01s ===\n", totals.join(", "))
}

/// A task's tests, unless no task may have such.
fn task(case: &Value, command: &str, parser: &str) -> Result<Task, String> {
    let tests = json!({
        "command": command,
        "parser": parser,
        "fail_to_pass": case["FAIL_TO_PASS"],
        "pass_to_pass": case["PASS_TO_PASS"],
    });
    let head =
        "format: apprentice.task/1\nid: t\nkind: code\nproblem: p\nsandbox: shell\nrepo: {path: repo}\n";
    Task::parse(&format!("{head}tests: {tests}\n"), "t").map_err(|error| error.to_string())
}

/// The rows of a table, by the words in its first heading: first column to the others.
fn table(heading: &str) -> BTreeMap<String, Vec<String>> {
    let docs =
        fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/grading-compat.md")).unwrap();
    let lines = docs.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |"))).skip(2);
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let rows = lines.take_while(|line| line.starts_with('|')).map(cells);
    rows.map(|mut row| (row.remove(0), row)).collect()
}

#[test]
fn every_difference_from_the_reference_is_a_row_of_the_table() {
    let Some(fixtures) = load("grading_fixtures.json") else { return };
    let mut differences = BTreeMap::new();
    for case in fixtures["cases"].as_array().unwrap() {
        // The harness does not run an empty patch, whatever its log says.
        let is_run = !text(case, "model_patch").is_empty();
        let theirs = case["v5_0_2"]["report"]["resolved"] == true && is_run;
        let ours = ours(case) == "resolved";
        if theirs != ours {
            let words = [theirs, ours].map(|yes| if yes { "resolved" } else { "not resolved" }.to_owned());
            differences.insert(text(case, "name").to_owned(), Vec::from(words));
        }
    }
    let mut rows = table("log");
    for row in rows.values_mut() {
        assert!(row.pop().is_some_and(|reason| reason.len() > 10), "a row without a reason: {row:?}");
    }
    assert_eq!(rows, differences);
}

#[test]
fn no_log_that_must_not_resolve_does_and_no_forgery_either() {
    let Some(fixtures) = load("grading_fixtures.json") else { return };
    let cases = fixtures["cases"].as_array().unwrap();
    for case in cases.iter().filter(|case| case["should_be_resolved"] == false) {
        assert_ne!(ours(case), "resolved", "{}", case["name"]);
    }
    let by_name: BTreeMap<&str, &Value> = cases.iter().map(|case| (text(case, "name"), case)).collect();
    for name in FORGED {
        assert_ne!(ours(by_name[name]), "resolved", "{name}");
    }
    let spoofs = cases.iter().filter(|case| text(case, "tag") == "spoof").map(|case| text(case, "name"));
    let unnamed: BTreeSet<&str> = spoofs.filter(|name| !FORGED.contains(name)).collect();
    assert_eq!(unnamed, [UNTELLABLE].into());
    // Letter for letter the log of an honest run: no reader of logs can tell it.
    assert_eq!(text(by_name[UNTELLABLE], "log"), text(by_name["all-pass"], "log"));
}

#[test]
fn two_forgeries_that_imitate_the_sections_of_pytest_too_deceive_a_reader_of_logs() {
    let Some(fixtures) = load("grading_fixtures.json") else { return };
    let spoofs = fixtures["cases"].as_array().unwrap().iter().filter(|case| text(case, "tag") == "spoof");
    let deceiving: BTreeSet<&str> = spoofs
        .filter(|case| ours_with(case, Frame::PutBack) == "resolved")
        .map(|case| text(case, "name"))
        .collect();
    assert_eq!(deceiving, ["forge-passed-plus-decoy-failure", UNTELLABLE].into());
}

#[test]
fn every_patch_that_only_one_of_us_applies_is_a_row_of_the_table() {
    let Some(fixtures) = load("patch_fixtures.json") else { return };
    let file = |text: &Value| File { bytes: text.as_str().unwrap().as_bytes().to_vec(), mode: Mode::File };
    let base: BTreeMap<String, File> = fixtures["base_tree"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, text)| (path.clone(), file(text)))
        .collect();
    let mut differences = BTreeMap::new();
    for case in fixtures["cases"].as_array().unwrap().iter().filter(|case| case["pre_applied"] == false) {
        let ours = match Patch::parse(text(case, "patch")).map(|patch| apply(&patch, &base)) {
            _ if text(case, "patch").trim().is_empty() => "empty",
            Ok(Ok(applied)) if applied.level == Level::Exact => "applies",
            Ok(Ok(_)) => "applies nearby",
            Ok(Err(_)) => "does not fit",
            Err(PatchError::Escapes { .. }) => "refused",
            Err(_) => "unreadable",
        };
        let theirs = case["v5"]["applied_by"].as_str();
        if theirs.is_some() != ours.starts_with("applies") {
            let row = vec![theirs.unwrap_or("no command").to_owned(), ours.to_owned()];
            differences.insert(text(case, "name").to_owned(), row);
        }
    }
    let mut rows = table("patch");
    for row in rows.values_mut() {
        assert!(row.pop().is_some_and(|reason| reason.len() > 10), "a row without a reason: {row:?}");
    }
    assert_eq!(rows, differences);
}

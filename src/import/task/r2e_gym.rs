//! R2E-Gym: commits whose tests were written for them. <https://github.com/R2E-Gym/R2E-Gym>
//!
//! A run must end as recorded, failures included. The tests lie in the image, `/r2e_tests`, where the agent would find
//! them: the set-up removes them, and the row's own copy comes back with the tests' patch. The solution is written anew
//! from the parsed commit: its Python files that are no tests.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::TaskFormat;
use super::row::Row;
use super::swe_bench::{in_image, readable};
use crate::patch::{FilePatch, Hunk, Line, LineKind, Mode, Patch};
use crate::task::{Ending, Expect, Limits, Parser, Task, Tests};

pub(super) static FORMAT: TaskFormat = TaskFormat { name: "r2e-gym", recognizes, task };

/// Wall seconds of the tests, as in the harness.
const TEST_SECONDS: f64 = 300.0;
const TESTS: &str = "r2e_tests";
/// As upstream prepares the image, but that the tests go instead of being moved.
const SETUP: [&str; 2] = [
    "rm -rf /r2e_tests /root/r2e_tests r2e_tests\n\
     find . -path ./.venv -prune -o -name __pycache__ -prune -exec rm -rf {} +",
    "export PATH=/testbed/.venv/bin:$PATH VIRTUAL_ENV=/testbed/.venv",
];

fn recognizes(row: &Row) -> bool {
    row.has("expected_output_json") || (row.has("parsed_commit_content") && row.has("repo_name"))
}

fn task(row: &Row) -> Result<Task, String> {
    let (repo, commit) = (row.need("repo_name")?, row.need("commit_hash")?);
    let id = row.id().unwrap_or_else(|| format!("{repo}-{commit}"));
    let mut task = in_image(row, &id, &problem(row)?, row.need("docker_image")?);
    let parsed = row.need("parsed_commit_content")?;
    let parsed: Commit =
        serde_json::from_str(parsed).map_err(|error| format!("parsed_commit_content: {error}"))?;
    task.gold = Some(parsed.patch()?).filter(|patch| !patch.is_empty());
    task.language = Some("python".to_owned());
    task.setup = SETUP.map(str::to_owned).to_vec();
    task.limits = Some(Limits { test_seconds: Some(TEST_SECONDS), ..Limits::default() });
    task.tests = Some(Tests {
        command: "bash run_tests.sh".to_owned(),
        parser: Parser::from("r2egym.parse_log_pytest".to_owned()),
        patch: Some(tests(row)?),
        restore: vec![TESTS.to_owned(), "run_tests.sh".to_owned()],
        expect: Expect::Exact(endings(row)?),
        ..Tests::default()
    });
    readable(&task)?;
    Ok(task)
}

/// The statement without the marks around it.
fn problem(row: &Row) -> Result<String, String> {
    let text = row.need("problem_statement")?;
    let inner = text.split_once("[ISSUE]").map_or(text, |(_, rest)| rest);
    Ok(inner.split_once("[/ISSUE]").map_or(inner, |(inner, _)| inner).trim().to_owned())
}

/// How each test must end. What follows ` - ` in the id of one that fails is its reason.
fn endings(row: &Row) -> Result<BTreeMap<String, Ending>, String> {
    let map = row.object("expected_output_json")?;
    let ending = |(id, status): (&String, &Value)| {
        let ending = match status.as_str() {
            Some("PASSED" | "XFAIL" | "XPASS") => Ending::Passed,
            Some("FAILED") => Ending::Failed,
            Some("ERROR") => Ending::Error,
            Some("SKIPPED") => Ending::Skipped,
            _ => return Err(format!("expected_output_json: `{status}` is no status")),
        };
        let id = plain(id);
        let id = if ending == Ending::Passed { &*id } else { id.split(" - ").next().unwrap_or(&id) };
        Ok((id.to_owned(), ending))
    };
    map.iter().map(ending).collect()
}

/// An id without colours, which pytest wrote into some.
fn plain(id: &str) -> String {
    let mut parts = id.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[derive(Deserialize)]
struct Execution {
    #[serde(default)]
    test_file_codes: Vec<String>,
    #[serde(default)]
    test_file_names: Vec<String>,
}

/// The patch that brings the tests.
fn tests(row: &Row) -> Result<String, String> {
    let text = row.need("execution_result_content")?;
    let execution: Execution =
        serde_json::from_str(text).map_err(|error| format!("execution_result_content: {error}"))?;
    let (names, codes) = (execution.test_file_names, execution.test_file_codes);
    if names.is_empty() || names.len() != codes.len() {
        return Err(format!(
            "execution_result_content: {} names of test files for {} texts",
            names.len(),
            codes.len()
        ));
    }
    let files = names.iter().zip(&codes).map(|(name, code)| new_file(&format!("{TESTS}/{name}"), code));
    Ok(Patch { files: files.collect() }.to_string())
}

fn new_file(path: &str, text: &str) -> FilePatch {
    let line = |text: &str| Line { kind: LineKind::Added, text: text.to_owned() };
    let lines: Vec<Line> = text.split_inclusive('\n').map(line).collect();
    let hunk = Hunk { old_start: 0, new_start: 1, lines };
    FilePatch {
        new: Some(path.to_owned()),
        new_mode: Some(Mode::File),
        hunks: if text.is_empty() { Vec::new() } else { vec![hunk] },
        ..FilePatch::default()
    }
}

/// A commit as upstream's parser writes it.
#[derive(Deserialize)]
struct Commit {
    file_diffs: Vec<FileDiff>,
}

#[derive(Deserialize)]
struct FileDiff {
    header: Header,
    #[serde(default)]
    index_line: Option<IndexLine>,
    #[serde(default)]
    is_binary_file: bool,
    #[serde(default)]
    minus_file: Option<File>,
    #[serde(default)]
    plus_file: Option<File>,
    #[serde(default)]
    hunks: Vec<UniHunk>,
}

#[derive(Deserialize)]
struct Header {
    file: File,
    #[serde(default)]
    misc_line: Option<String>,
}

#[derive(Deserialize)]
struct File {
    path: String,
}

#[derive(Deserialize)]
struct IndexLine {
    old_commit_hash: String,
    new_commit_hash: String,
    #[serde(default)]
    mode: String,
}

#[derive(Deserialize)]
struct UniHunk {
    descriptor: Descriptor,
    line_group: LineGroup,
}

#[derive(Deserialize)]
struct Descriptor {
    old_range: Range,
    new_range: Range,
    #[serde(default)]
    section: String,
}

#[derive(Deserialize)]
struct Range {
    start: usize,
    #[serde(default)]
    length: Option<usize>,
}

#[derive(Deserialize)]
struct LineGroup {
    all_lines: Vec<CommitLine>,
}

#[derive(Deserialize)]
struct CommitLine {
    content: String,
    r#type: String,
}

impl Commit {
    /// The patch of its Python files that are no tests.
    fn patch(&self) -> Result<String, String> {
        let is_wanted = |file: &&FileDiff| {
            let path = &file.header.file.path;
            is_python(path) && !is_test(path) && !file.is_binary_file
        };
        let texts: Result<Vec<String>, String> =
            self.file_diffs.iter().filter(is_wanted).map(FileDiff::patch).collect();
        Ok(texts?.concat())
    }
}

fn is_python(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "py")
}

/// As upstream tells tests from sources.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.ends_with("_test.py")
        || name.starts_with("test_")
        || path.split('/').any(|part| matches!(part, "tests" | "Tests" | "test" | "Test"))
}

impl FileDiff {
    /// As git would have written it.
    fn patch(&self) -> Result<String, String> {
        let path = &self.header.file.path;
        let mut text = format!("diff --git a/{path} b/{path}\n");
        if let Some(line) = &self.header.misc_line {
            text.push_str(&format!("{line}\n"));
        }
        if let Some(IndexLine { old_commit_hash: old, new_commit_hash: new, mode }) = &self.index_line {
            let mode = if mode.is_empty() { String::new() } else { format!(" {mode}") };
            text.push_str(&format!("index {old}..{new}{mode}\n"));
        }
        if let (Some(minus), Some(plus)) = (&self.minus_file, &self.plus_file) {
            text.push_str(&format!("--- {}\n+++ {}\n", minus.path, plus.path));
        }
        for UniHunk { descriptor, line_group } in &self.hunks {
            let section = descriptor.section.trim_end();
            let space = if section.is_empty() { "" } else { " " };
            let (old, new) = (descriptor.old_range.text(), descriptor.new_range.text());
            text.push_str(&format!("@@ -{old} +{new} @@{space}{section}\n"));
            for line in &line_group.all_lines {
                let mark = match &*line.r#type {
                    "context" => " ",
                    "added" => "+",
                    "deleted" => "-",
                    "note" => "\\ ",
                    other => return Err(format!("parsed_commit_content: `{other}` is no kind of line")),
                };
                text.push_str(&format!("{mark}{}\n", line.content));
            }
        }
        Ok(text)
    }
}

impl Range {
    fn text(&self) -> String {
        self.length.map_or_else(|| self.start.to_string(), |length| format!("{},{length}", self.start))
    }
}

//! Multi-SWE-bench and Multi-SWE-RL: issues of seven languages. <https://github.com/multi-swe-bench/multi-swe-bench>
//!
//! The images hold `/home/run.sh`, which runs the tests; upstream's `fix-run.sh` only applies the two patches first,
//! which the grader does itself. Upstream reads each repository's log with a class of its own. Those of Go and Rust
//! read what every `go test -v` and `cargo test` prints, so only these two are taken.

use serde_json::Value;

use super::row::Row;
use super::swe_bench::{in_image, readable};
use super::{TaskFormat, row};
use crate::task::{Limits, Parser, Task, Tests};

pub(super) static FORMAT: TaskFormat = TaskFormat { name: "multi-swe-bench", recognizes, task };

/// Wall seconds of the tests; upstream bounds nothing.
const TEST_SECONDS: f64 = 3600.0;

fn recognizes(row: &Row) -> bool {
    row.has("fix_patch") && row.has("org")
}

fn task(row: &Row) -> Result<Task, String> {
    let (org, repo) = (row.need("org")?, row.need("repo")?);
    let number = row.scalar("number").ok_or("missing field `number`")?;
    let id = row.id().unwrap_or_else(|| format!("{org}__{repo}-{number}"));
    let (language, parser) = runner(row)?;
    let image = format!("mswebench/{org}_m_{repo}:pr-{number}").to_lowercase();
    let mut task = in_image(row, &id, &problem(row)?, &image);
    task.gold = Some(row.need("fix_patch")?.to_owned());
    task.language = Some(language.to_owned());
    task.sandbox = Some(super::swe_bench::sandbox(language));
    if let Some(sandbox) = &mut task.sandbox {
        sandbox.workdir = Some(format!("/home/{repo}"));
    }
    task.limits = Some(Limits { test_seconds: Some(TEST_SECONDS), ..Limits::default() });
    let names = |key: &str| -> Result<Vec<String>, String> {
        if !row.has(key) {
            return Ok(Vec::new());
        }
        // A table has a column for each test of any row, and null where a row lacks it.
        let tests = row.object(key)?.into_iter().filter(|(_, runs)| !runs.is_null());
        Ok(tests.map(|(name, _)| name).collect())
    };
    // Failing, skipped or absent before, they all have to pass.
    let fail_to_pass = [names("f2p_tests")?, names("s2p_tests")?, names("n2p_tests")?].concat();
    if fail_to_pass.is_empty() {
        return Err("f2p_tests, s2p_tests and n2p_tests are empty: nothing would tell a repair".to_owned());
    }
    contradicts(row, &fail_to_pass)?;
    task.tests = Some(Tests {
        command: "bash /home/run.sh".to_owned(),
        parser: Parser::from(parser.to_owned()),
        patch: Some(row.need("test_patch")?.to_owned()),
        pass_to_pass: names("p2p_tests")?,
        fail_to_pass,
        ..Tests::default()
    });
    readable(&task)?;
    Ok(task)
}

/// Language and parser, by the language that the row names, else by the files of its solution.
fn runner(row: &Row) -> Result<(&'static str, &'static str), String> {
    let patch = row.text("fix_patch").unwrap_or_default();
    let touches = |ending: &str| {
        patch.lines().filter_map(|line| line.strip_prefix("diff --git ")).any(|line| line.ends_with(ending))
    };
    let named = row.text("lang").or_else(|| row.text("language")).unwrap_or_default().to_lowercase();
    match &*named {
        "go" | "golang" => Ok(("go", "swebench.parse_log_gotest")),
        "rust" => Ok(("rust", "swebench.parse_log_cargo")),
        "" if touches(".go") => Ok(("go", "swebench.parse_log_gotest")),
        "" if touches(".rs") => Ok(("rust", "swebench.parse_log_cargo")),
        _ => Err(
            "its log is read by a Python class of the harness, made for this repository; only those of Go and \
             Rust read an ordinary log"
                .to_owned(),
        ),
    }
}

/// The issues that it resolves, else the pull request itself.
fn problem(row: &Row) -> Result<String, String> {
    let told = |of: &Value| {
        let text = |key: &str| of[key].as_str().unwrap_or_default().trim().to_owned();
        format!("{}\n\n{}", text("title"), text("body")).trim().to_owned()
    };
    let issues: Vec<String> = row.objects("resolved_issues")?.iter().map(told).collect();
    let issues = issues.join("\n\n");
    if !issues.trim().is_empty() {
        return Ok(issues);
    }
    let title = row.need("title")?;
    Ok(format!("{title}\n\n{}", row.text("body").unwrap_or_default()).trim().to_owned())
}

/// A test that the recorded run has among both those that pass and those that fail tells nothing.
fn contradicts(row: &Row, tests: &[String]) -> Result<(), String> {
    if !row.has("fix_patch_result") {
        return Ok(());
    }
    let result = row.object("fix_patch_result")?;
    let result = row::Row::new(&result);
    let failed = result.list("failed_tests").map_err(|fault| format!("fix_patch_result: {fault}"))?;
    match tests.iter().find(|id| failed.contains(id)) {
        Some(id) => Err(format!("fix_patch_result: `{id}` must pass and is among its failed tests")),
        None => Ok(()),
    }
}

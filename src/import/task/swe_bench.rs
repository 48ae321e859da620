//! SWE-bench: full, Lite, Verified, Multilingual and Multimodal, in the classic row and in the one of release 5, which
//! brings its image, script and parser along. <https://github.com/SWE-bench/SWE-bench>

use super::commands::{self, Wanted};
use super::eval_script::Script;
use super::row::Row;
use super::{TaskFormat, code};
use crate::patch::Patch;
use crate::task::{Expect, Limits, Parser, Repo, SandboxChoice, Task, Tests};

pub(super) static FORMAT: TaskFormat = TaskFormat { name: "swe-bench", recognizes, task };

/// Wall seconds of the tests, as in the harness.
const TEST_SECONDS: f64 = 1800.0;
/// Memory of imported sandboxes: upstream sets none, and its suites need more than our kinds give.
pub(super) const MEMORY_MIB: u64 = 4096;
/// What every command of the student and of the grader begins with in images of the SWE-bench family.
pub(super) const ENVIRONMENT: &str = "source /opt/miniconda3/bin/activate testbed";

fn recognizes(row: &Row) -> bool {
    row.has("instance_id") && row.has("FAIL_TO_PASS") && row.has("repo")
}

fn task(row: &Row) -> Result<Task, String> {
    let id = row.need("instance_id")?;
    let image = image(row, || format!("swebench/sweb.eval.x86_64.{}:latest", mangled(id, "_1776_")));
    let (script, parser) = match row.text("eval_script") {
        Some(text) => {
            let script = Script::parse(text, row.text("base_commit").unwrap_or_default())?;
            (script, parser(row)?)
        }
        None => commands::swe_bench(&Wanted {
            repo: row.need("repo")?,
            version: &row.scalar("version").unwrap_or_default(),
            test_patch: row.need("test_patch")?,
        })?,
    };
    if has_assets(row) {
        return Err("image_assets: its tests need files of which the row has the addresses only".to_owned());
    }
    let expect = match row.text("eval_type") {
        None | Some("pass_and_fail") => Expect::Lists,
        Some("fail_only") => Expect::FailOnly,
        Some(other) => return Err(format!("eval_type: `{other}` is not known")),
    };
    let mut task = classic(row, &image, &script, parser)?;
    if !script.before.iter().any(|line| line.contains("conda activate")) {
        task.setup.clear();
        task.sandbox = Some(sandbox(task.language.as_deref().unwrap_or("unknown")));
    }
    if let Some(tests) = &mut task.tests {
        tests.expect = expect;
    }
    Ok(task)
}

fn parser(row: &Row) -> Result<String, String> {
    let name = row.need("log_parser")?;
    known_parser("swebench", name)
}

/// The full name of a parser that a row names.
pub(super) fn known_parser(package: &str, name: &str) -> Result<String, String> {
    let full = format!("{package}.{name}");
    if crate::testlog::compat::names().any(|known| known == full) {
        Ok(full)
    } else if name.contains('\n') || name.contains("def ") {
        Err("log_parser: it is Python source, which is not run on the host".to_owned())
    } else {
        Err(format!("log_parser: no parser of {package} is called `{name}`"))
    }
}

/// Multimodal rows may have images beside the problem, which it shows by address, and beside the tests.
fn has_assets(row: &Row) -> bool {
    let Ok(assets) = row.object("image_assets") else { return false };
    let tests = assets.get("test_patch").or_else(|| assets.get("tests"));
    tests.and_then(serde_json::Value::as_array).is_some_and(|list| !list.is_empty())
}

/// The image that a row names, else the one that its data set's rule gives.
pub(super) fn image(row: &Row, derived: impl FnOnce() -> String) -> String {
    let named = ["image", "docker_image", "image_name"].into_iter().find_map(|key| row.text(key));
    named.map_or_else(derived, str::to_owned)
}

/// An id as image names have it.
pub(super) fn mangled(id: &str, instead: &str) -> String {
    id.replace("__", instead).to_lowercase()
}

/// A task of the twelve classic fields, in an image of the SWE-bench family.
pub(super) fn classic(row: &Row, image: &str, script: &Script, parser: String) -> Result<Task, String> {
    let id = row.need("instance_id")?;
    let test_patch = script.patch.clone().or_else(|| row.text("test_patch").map(str::to_owned));
    let test_patch = test_patch.filter(|patch| !patch.trim().is_empty());
    let mut task = in_image(row, id, row.need("problem_statement")?, image);
    task.setup = vec![ENVIRONMENT.to_owned()];
    task.limits = Some(Limits { test_seconds: Some(TEST_SECONDS), ..Limits::default() });
    task.tests = Some(Tests {
        command: script.command(),
        parser: Parser::from(parser),
        patch: test_patch,
        version: row.scalar("version"),
        ..lists(row)?
    });
    readable(&task)?;
    Ok(task)
}

/// A task whose repository lies in an image, in `/testbed` and owned by root as upstream leaves it.
pub(super) fn in_image(row: &Row, id: &str, problem: &str, image: &str) -> Task {
    let mut task = code(row, id, problem);
    task.sandbox = Some(sandbox(task.language.as_deref().unwrap_or("python")));
    task.repo = Some(Repo { image: Some(image.to_owned()), ..Repo::default() });
    task
}

/// The kind of sandbox for a language, as root, with the memory that suites need.
pub(super) fn sandbox(language: &str) -> SandboxChoice {
    let like = match language.to_lowercase().as_str() {
        "python" | "py" => "python",
        "go" | "golang" => "go",
        "rust" | "rs" => "rust",
        "javascript" | "js" | "typescript" | "ts" => "node",
        "c" | "c++" | "cpp" => "c",
        _ => "shell",
    };
    SandboxChoice { user: Some("root".to_owned()), memory_mib: Some(MEMORY_MIB), ..like.into() }
}

/// The two lists of tests. One that is in both must start to pass.
pub(super) fn lists(row: &Row) -> Result<Tests, String> {
    let fail_to_pass = row.list("FAIL_TO_PASS")?;
    if fail_to_pass.is_empty() {
        return Err("FAIL_TO_PASS is empty: nothing would tell a repair".to_owned());
    }
    let mut pass_to_pass = row.list("PASS_TO_PASS")?;
    pass_to_pass.retain(|id| !fail_to_pass.contains(id));
    Ok(Tests { fail_to_pass, pass_to_pass, ..Tests::default() })
}

/// Refuses patches that the grader could not read.
pub(super) fn readable(task: &Task) -> Result<(), String> {
    let tests = task.tests.as_ref().and_then(|tests| tests.patch.as_deref());
    for (key, patch) in [("test_patch", tests), ("patch", task.gold.as_deref())] {
        let Some(patch) = patch.filter(|patch| !patch.trim().is_empty()) else { continue };
        Patch::parse(patch).map_err(|error| format!("{key}: {error}"))?;
    }
    Ok(())
}

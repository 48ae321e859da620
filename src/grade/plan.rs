//! Which files a graded tree differs in: the student's patch, the tests put back, the tests' patch.
//!
//! A pure function on files in memory, the same for repositories of the host and of an image.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, anyhow};

use crate::patch::{Edit, File, Level, Patch, Reject, apply};
use crate::task::{Parser, Task, Tests};

/// Files that decide what pytest collects and reports, wherever they lie.
const PYTEST_FILES: [&str; 8] = [
    "conftest.py",
    "pytest.ini",
    ".pytest.ini",
    "tox.ini",
    "setup.cfg",
    "pyproject.toml",
    "sitecustomize.py",
    "usercustomize.py",
];

/// What to change in the starting point.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) edits: Vec<Edit>,
    /// How the student's patch was made to fit; absent for an empty one.
    pub(super) level: Option<Level>,
    /// Paths of the student's patch that were put back.
    pub(super) restored: Vec<String>,
}

/// The files that [`plan`] needs to see.
pub(super) fn paths(tests: &Tests, patch: &Patch) -> anyhow::Result<Vec<String>> {
    let tests_patch = tests_patch(tests)?;
    let mut paths: Vec<String> =
        patch.paths().into_iter().chain(tests_patch.paths()).map(str::to_owned).collect();
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

fn tests_patch(tests: &Tests) -> anyhow::Result<Patch> {
    Patch::parse(tests.patch.as_deref().unwrap_or_default())
        .context("the task's `tests.patch` cannot be read")
}

/// Works out the graded files from those of the starting point.
///
/// # Errors
/// The outer error is the task's (its `tests.patch` does not fit); the inner one is the student's.
pub(super) fn plan(
    task: &Task,
    tests: &Tests,
    patch: &Patch,
    start: &BTreeMap<String, File>,
) -> anyhow::Result<Result<Plan, Reject>> {
    let tests_patch = tests_patch(tests)?;
    let applied = match apply(patch, start) {
        Ok(applied) => applied,
        Err(reject) => return Ok(Err(reject)),
    };
    let mut files = start.clone();
    set(&mut files, applied.edits);
    let restored = restored(task, tests, patch, &tests_patch);
    set(&mut files, restored.iter().map(|path| Edit { path: path.clone(), after: start.get(path).cloned() }));
    let added = apply(&tests_patch, &files)
        .map_err(|reject| anyhow!("the task's `tests.patch` does not apply: {reject}"))?;
    set(&mut files, added.edits);
    let level = (!patch.files.is_empty()).then_some(applied.level);
    Ok(Ok(Plan { edits: difference(start, &files), level, restored }))
}

fn set(files: &mut BTreeMap<String, File>, edits: impl IntoIterator<Item = Edit>) {
    for edit in edits {
        match edit.after {
            Some(file) => files.insert(edit.path, file),
            None => files.remove(&edit.path),
        };
    }
}

fn difference(before: &BTreeMap<String, File>, after: &BTreeMap<String, File>) -> Vec<Edit> {
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    changed.map(|path| Edit { path: path.clone(), after: after.get(path).cloned() }).collect()
}

/// The paths of the student's patch that belong to the tests.
fn restored(task: &Task, tests: &Tests, patch: &Patch, tests_patch: &Patch) -> Vec<String> {
    let gold = task.gold.as_deref().and_then(|gold| Patch::parse(gold).ok()).unwrap_or_default();
    let gold = gold.paths();
    let kept: Vec<&str> =
        tests_patch.paths().into_iter().chain(tests.restore.iter().map(String::as_str)).collect();
    let is_tests = |path: &str| {
        // The file itself, something below a restored directory, or something in a test's way.
        kept.iter()
            .map(|kept| kept.trim_end_matches('/'))
            .any(|kept| is_at_or_below(path, kept) || is_at_or_below(kept, path))
    };
    let is_runners = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        matches!(tests.parser, Parser::Pytest | Parser::Compat(_))
            && (PYTEST_FILES.contains(&name)
                || Path::new(name).extension().is_some_and(|extension| extension == "pth"))
            && !gold.contains(&path)
    };
    patch.paths().into_iter().filter(|path| is_tests(path) || is_runners(path)).map(str::to_owned).collect()
}

fn is_at_or_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

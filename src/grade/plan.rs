//! Which files a graded tree differs in: the student's patch, the tests put back, the tests' patch.
//!
//! A pure function on files in memory, the same for repositories of the host and of an image.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};

use super::guard::{self, Done, Files, Flag};
use super::{Outcome, Verdict};
use crate::patch::{Edit, File, Level, Patch, apply};
use crate::task::{Task, Tests};

/// What to change in the starting point.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) edits: Vec<Edit>,
    /// How the student's patch was made to fit; absent for an empty one.
    pub(super) level: Option<Level>,
    /// Paths of the student's patch that belong to the grader.
    pub(super) flags: Vec<Flag>,
}

impl Plan {
    /// The paths that were put back.
    pub(super) fn restored(&self) -> Vec<String> {
        let back = self.flags.iter().filter(|flag| flag.done != Done::Kept);
        back.map(|flag| flag.path.clone()).collect()
    }
}

/// Why nothing is run: the student's patch is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    outcome: Outcome,
    reason: String,
    flags: Vec<Flag>,
}

impl Refusal {
    pub(super) fn verdict(self, id: &str) -> Verdict {
        Verdict { flags: self.flags, ..Verdict::new(id, self.outcome, self.reason) }
    }
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
) -> anyhow::Result<Result<Plan, Refusal>> {
    let tests_patch = tests_patch(tests)?;
    let applied = match apply(patch, start) {
        Ok(applied) => applied,
        Err(reject) => {
            let outcome = guard::outcome_of_reject(&reject, patch);
            return Ok(Err(Refusal { outcome, reason: reject.to_string(), flags: Vec::new() }));
        }
    };
    let mut files = start.clone();
    set(&mut files, applied.edits);
    if !patch.files.is_empty() && files == *start {
        let reason = "the patch changes nothing".to_owned();
        return Ok(Err(Refusal { outcome: Outcome::EmptyPatch, reason, flags: Vec::new() }));
    }
    let seen = Files { before: start, after: &files };
    let flags = guard::flags(task, tests, patch, seen);
    if let Some(reason) = guard::breach(task, tests, patch, (seen, &flags)) {
        return Ok(Err(Refusal { outcome: Outcome::Tampered, reason, flags }));
    }
    let back = flags.iter().filter(|flag| flag.done != Done::Kept);
    set(&mut files, back.map(|flag| Edit { path: flag.path.clone(), after: start.get(&flag.path).cloned() }));
    let added = apply(&tests_patch, &files)
        .map_err(|reject| anyhow!("the task's `tests.patch` does not apply: {reject}"))?;
    set(&mut files, added.edits);
    let level = (!patch.files.is_empty()).then_some(applied.level);
    Ok(Ok(Plan { edits: difference(start, &files), level, flags }))
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

//! A student's patch: what the student changed in a sandbox, against the base commit.
//!
//! Made by the host from the files that it read itself, so commits, index, attributes and configuration of the
//! agent's `.git` play no part: the work directory counts. Guarantees that the patch, applied by us to the base,
//! gives byte for byte what the sandbox has of every path that it tells of; where it does not, the error is ours and names
//! the path. What is left out is listed with its reason. What the set-up changed is not the student's. Does not
//! judge a patch: `grade` does.

mod rules;
mod sorted;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

pub use rules::Rules;

use crate::patch::{self, Applied, Change, File, LeftOut, Level, Patch, apply};
use crate::sandbox::SandboxError;
use crate::sandbox::tree::Compared;
use crate::workspace;
use sorted::Sorted;

/// Bytes of a file, before or after, that a patch tells of.
pub const FILE_BYTES: usize = 16 << 20;

/// Bytes that a patch tells of together.
pub const PATCH_BYTES: usize = 64 << 20;

/// Bytes of a path that a patch names: an absolute path of Linux has 4096.
pub const PATH_LENGTH: usize = 4000;

/// Whether files that the base ignores are the student's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ignored {
    /// They are left out and counted.
    #[default]
    LeftOut,
    /// They are in the patch.
    Kept,
}

/// What a student started from.
#[derive(Debug, Default)]
pub struct Baseline {
    /// What becomes of ignored files.
    pub ignored: Ignored,
    /// What the base ignores.
    pub rules: Rules,
    /// The files of the base commit; absent where it holds whatever the sandbox started with.
    pub tracked: Option<BTreeSet<String>>,
    /// What the set-up did before the student came.
    pub set_up: SetUp,
    /// The base as a directory of the host, where there is one.
    pub tree: Option<PathBuf>,
}

/// What a set-up changed.
#[derive(Debug, Clone, Default)]
pub struct SetUp {
    /// A digest of what each path holds; nothing where it is gone.
    prints: BTreeMap<String, Option<[u8; 32]>>,
    /// Paths that are not told of: they are not the student's either.
    left_out: BTreeSet<String>,
}

impl SetUp {
    /// What differs in a sandbox in which no student's command has run.
    pub fn of(compared: &Compared) -> Self {
        let prints =
            compared.changes.iter().map(|change| (change.path.clone(), print(change.after.as_ref())));
        let left_out = compared.left_out.iter().map(|left_out| left_out.path.clone());
        Self { prints: prints.collect(), left_out: left_out.collect() }
    }

    /// Whether a path is as the set-up left it.
    fn made(&self, change: &Change) -> bool {
        self.left_out.contains(&change.path)
            || self.prints.get(&change.path).is_some_and(|made| *made == print(change.after.as_ref()))
    }
}

fn print(file: Option<&File>) -> Option<[u8; 32]> {
    let file = file?;
    Some(Sha256::new().chain_update(file.mode.octal()).chain_update(&file.bytes).finalize().into())
}

/// A student's patch, and what it does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extracted {
    /// In git's format; empty where nothing differs.
    pub patch: String,
    /// What differs beside it, sorted.
    pub left_out: Vec<LeftOut>,
}

/// Takes the student's patch from what differs in a sandbox.
///
/// # Errors
/// [`SandboxError::Patch`] when the patch does not give the sandbox's files again.
pub fn extract(compared: Compared, baseline: &Baseline) -> Result<Extracted, SandboxError> {
    let sorted = Sorted::of(compared, baseline);
    let patch = patch::between(&sorted.told).map_err(|error| SandboxError::Patch {
        path: sorted.told.first().map(|change| change.path.clone()).unwrap_or_default(),
        reason: error.message().to_owned(),
    })?;
    check(&patch, &sorted.told, baseline).map_err(|(path, reason)| SandboxError::Patch { path, reason })?;
    Ok(Extracted { patch, left_out: sorted.left_out })
}

/// What a student's patch would tell of, by path.
pub fn told(compared: Compared, baseline: &Baseline) -> Vec<Change> {
    Sorted::of(compared, baseline).told
}

/// Applies a patch to the base and compares with what the sandbox has: the first path that differs, and how.
fn check(text: &str, told: &[Change], baseline: &Baseline) -> Result<(), (String, String)> {
    let first = || told.first().map(|change| change.path.clone()).unwrap_or_default();
    let patch = Patch::parse(text).map_err(|error| (first(), error.to_string()))?;
    let base: BTreeMap<String, File> = match &baseline.tree {
        Some(tree) => {
            workspace::files_of(tree, patch.paths()).map_err(|error| (first(), format!("{error:#}")))?
        }
        None => {
            told.iter().filter_map(|change| Some((change.path.clone(), change.before.clone()?))).collect()
        }
    };
    let Applied { edits, level } = apply(&patch, &base).map_err(|reject| (first(), reject.to_string()))?;
    if level != Level::Exact {
        return Err((first(), "its lines are found elsewhere".to_owned()));
    }
    let mut made: BTreeMap<String, Option<File>> =
        edits.into_iter().map(|edit| (edit.path, edit.after)).collect();
    for change in told {
        match made.remove(&change.path) {
            Some(after) if after == change.after => {}
            Some(after) => {
                return Err((change.path.clone(), format!("it gives {}", described(after.as_ref()))));
            }
            None => return Err((change.path.clone(), "it does not tell of it".to_owned())),
        }
    }
    match made.pop_first() {
        Some((path, _)) => Err((path, "it changes what did not change".to_owned())),
        None => Ok(()),
    }
}

fn described(file: Option<&File>) -> String {
    file.map_or("nothing".to_owned(), |file| {
        format!("{} bytes of mode {}", file.bytes.len(), file.mode.octal())
    })
}

/// Takes the student's patch away from the threads that wait for sandboxes.
///
/// # Errors
/// As [`extract`].
pub async fn extract_aside(compared: Compared, baseline: Arc<Baseline>) -> Result<Extracted, SandboxError> {
    let extracting = tokio::task::spawn_blocking(move || extract(compared, &baseline)).await;
    extracting.expect("invariant: extraction does not panic")
}

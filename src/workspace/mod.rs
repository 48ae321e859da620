//! A task's repository at its starting point, as a directory of the host.
//!
//! Guarantees one commit without any later history, the same bytes on every machine, and that a
//! directory in the cache is complete: it is built beside its place and renamed. Two that prepare the
//! same task at once both succeed. Nobody writes to a prepared tree.

mod commit;
mod files;
mod history;
mod source;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use sha2::{Digest, Sha256};

pub use files::{PatchFailure, files_of};
pub use history::Inventory;
pub use source::reversed_archive_patch;

use crate::patch::Patch;
use crate::task::{LoadedTask, Repo};

/// Changes whenever the same task would give another tree.
const RECIPE: &str = "apprentice.tree/1";

/// A prepared repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Its directory, with a `.git` of one commit; absent where the repository lies in an image.
    pub tree: Option<PathBuf>,
    /// A text that changes whenever its files do.
    pub identity: String,
}

/// Builds a task's repository below `cache`, or finds it there.
///
/// # Errors
/// When the source cannot be had, or `repo.patch` does not apply.
pub fn prepare(loaded: &LoadedTask, cache: &Path) -> anyhow::Result<Workspace> {
    let id = &loaded.task.id;
    let repo = loaded.task.repo.as_ref().ok_or_else(|| anyhow!("task `{id}` has no repository"))?;
    if let Some(image) = &repo.image {
        return Ok(Workspace { tree: None, identity: format!("image {image}") });
    }
    let key =
        key(repo, loaded, cache).with_context(|| format!("could not find the repository of task `{id}`"))?;
    let trees = cache.join("trees");
    let tree = trees.join(&key);
    if !tree.is_dir() {
        fs_err::create_dir_all(&trees)?;
        let building = tempfile::Builder::new().prefix("building-").tempdir_in(&trees)?;
        let fresh = building.path().join("tree");
        build(repo, loaded, cache, &fresh)
            .with_context(|| format!("could not prepare the repository of task `{id}`"))?;
        place(&fresh, &tree)?;
    }
    Ok(Workspace { tree: Some(tree), identity: format!("tree {key}") })
}

/// Renames a finished tree to its place, unless another process was first.
fn place(fresh: &Path, tree: &Path) -> anyhow::Result<()> {
    match fs_err::rename(fresh, tree) {
        Err(_) if tree.is_dir() => Ok(()),
        result => Ok(result?),
    }
}

/// The digest of all that decides on the tree.
fn key(repo: &Repo, loaded: &LoadedTask, cache: &Path) -> anyhow::Result<String> {
    let mut digest = Sha256::new();
    for part in
        [RECIPE, &source::identity(repo, &loaded.dir, cache)?, repo.patch.as_deref().unwrap_or_default()]
    {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    Ok(format!("{:x}", digest.finalize()))
}

fn build(repo: &Repo, loaded: &LoadedTask, cache: &Path, tree: &Path) -> anyhow::Result<()> {
    fs_err::create_dir_all(tree)?;
    source::export(repo, &loaded.dir, cache, tree)?;
    if let Some(patch) = &repo.patch {
        let patch = Patch::parse(patch).context("`repo.patch` is no patch")?;
        files::patch_tree(tree, &patch)?
            .map_err(|failure| anyhow!("`repo.patch` does not apply: {failure}"))?;
    }
    commit::commit(tree)?;
    match Inventory::of(tree)?.leak() {
        None => Ok(()),
        Some(leak) => Err(anyhow!("the repository that was made holds more than its commit: {leak}")),
    }
}

#[cfg(test)]
mod tests;

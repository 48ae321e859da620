//! Binary changes, decoded by libgit2 in a repository that exists only in memory.

use std::path::Path;

use git2::{Diff, Error, Odb, Repository};

use super::FilePatch;

/// The bytes after a binary change.
pub(super) fn apply(change: &FilePatch, before: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    const NAME: &str = "file";
    if change.new.is_none() {
        return Ok(Vec::new());
    }
    let odb = Odb::new()?;
    odb.add_new_mempack_backend(1)?;
    let repo = Repository::from_odb(odb)?;
    let mut builder = repo.treebuilder(None)?;
    if let Some(bytes) = before {
        builder.insert(NAME, repo.blob(bytes)?, 0o100_644)?;
    }
    let tree = repo.find_tree(builder.write()?)?;
    let name = || Some(NAME.to_owned());
    let alone = FilePatch {
        old: before.and_then(|_| name()),
        new: name(),
        old_mode: None,
        new_mode: None,
        ..change.clone()
    };
    let diff = Diff::from_buffer(alone.to_string().as_bytes())?;
    let index = repo.apply_to_tree(&tree, &diff, None)?;
    let entry =
        index.get_path(Path::new(NAME), 0).ok_or_else(|| Error::from_str("the file was not written"))?;
    Ok(repo.find_blob(entry.id)?.content().to_vec())
}

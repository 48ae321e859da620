//! The files of a tree: read for a patch, written after it, copied.
//!
//! Guarantees that nothing is read or written through a symbolic link, whatever a patch says.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::patch::{Applied, Edit, File, Level, Mode, Patch, PatchError, Reject, apply};

/// Why a patch does not apply: its author's doing, never the host's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchFailure {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] PatchError),
    /// It does not fit the files.
    #[error(transparent)]
    Reject(#[from] Reject),
}

/// A tree that may be written to, gone when dropped.
#[derive(Debug)]
pub(super) struct Branch {
    dir: TempDir,
}

impl Branch {
    /// An empty tree below `beside`.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub(super) fn empty(beside: &Path) -> anyhow::Result<Self> {
        fs_err::create_dir_all(beside)?;
        let dir = tempfile::Builder::new().prefix("branch-").tempdir_in(beside)?;
        fs_err::create_dir(dir.path().join("tree"))?;
        Ok(Self { dir })
    }

    /// Where it lies.
    pub(super) fn tree(&self) -> std::path::PathBuf {
        self.dir.path().join("tree")
    }
}

/// What is left out of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Omit {
    /// Git's own files.
    Repository,
    /// Git's own files and Python's caches.
    Litter,
}

impl Omit {
    pub(super) fn leaves_out(self, name: &OsStr) -> bool {
        match self {
            Self::Repository => name == ".git",
            Self::Litter => name == ".git" || name == "__pycache__",
        }
    }
}

/// Copies a directory: files with their executable bit, links as links.
pub(super) fn copy_tree(from: &Path, to: &Path, omit: Omit) -> anyhow::Result<()> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if omit.leaves_out(&entry.file_name()) {
            continue;
        }
        if kind.is_dir() {
            copy_tree(&entry.path(), &target, omit)?;
        } else if kind.is_symlink() {
            symlink(fs_err::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            fs_err::copy(entry.path(), &target)?;
        }
        // Sockets, pipes and devices have no place in a repository.
    }
    Ok(())
}

/// Applies a patch to a directory, in full or not at all.
pub(super) fn patch_tree(root: &Path, patch: &Patch) -> anyhow::Result<Result<Level, PatchFailure>> {
    let files = files_of(root, patch.paths())?;
    match apply(patch, &files) {
        Ok(Applied { edits, level }) => {
            write_edits(root, &edits)?;
            Ok(Ok(level))
        }
        Err(reject) => Ok(Err(reject.into())),
    }
}

/// Reads those of `paths` that are files or links, and every link on the way to one of them.
///
/// # Errors
/// When a file is there but cannot be read.
pub fn files_of<'a>(
    root: &Path,
    paths: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<BTreeMap<String, File>> {
    let mut files = BTreeMap::new();
    for path in paths {
        let ancestors = path.match_indices('/').map(|(end, _)| &path[..end]);
        for name in ancestors.chain([path]) {
            let Some(file) = read(&root.join(name))? else { continue };
            let is_link = file.mode == Mode::Link;
            if is_link || name == path {
                files.insert(name.to_owned(), file);
            }
            if is_link {
                break;
            }
        }
    }
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Option<File>> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let meta = match fs_err::symlink_metadata(path) {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(None),
        meta => meta?,
    };
    if meta.is_symlink() {
        let target = fs_err::read_link(path)?.into_os_string();
        return Ok(Some(File { bytes: target.into_encoded_bytes(), mode: Mode::Link }));
    }
    if !meta.is_file() {
        return Ok(None);
    }
    let executable = meta.permissions().mode() & 0o100 != 0;
    let mode = if executable { Mode::Executable } else { Mode::File };
    Ok(Some(File { bytes: fs_err::read(path)?, mode }))
}

/// Makes a tree hold what `edits` say; directories that become empty go.
fn write_edits(root: &Path, edits: &[Edit]) -> anyhow::Result<()> {
    for edit in edits.iter().filter(|edit| edit.after.is_none()) {
        let path = root.join(&edit.path);
        if fs_err::symlink_metadata(&path).is_ok_and(|meta| !meta.is_dir()) {
            fs_err::remove_file(&path)?;
        }
        prune(root, &path);
    }
    for edit in edits {
        let Some(file) = &edit.after else { continue };
        let path = root.join(&edit.path);
        clear_way(root, &path)?;
        fs_err::create_dir_all(path.parent().unwrap_or(root))?;
        write(&path, file)?;
    }
    Ok(())
}

/// Removes a link or file that stands where a directory above `path` belongs.
fn clear_way(root: &Path, path: &Path) -> anyhow::Result<()> {
    for dir in path.ancestors().skip(1).take_while(|dir| *dir != root) {
        if fs_err::symlink_metadata(dir).is_ok_and(|meta| !meta.is_dir()) {
            fs_err::remove_file(dir)?;
        }
    }
    Ok(())
}

/// Removes the directories above a deleted file as far as they are empty.
fn prune(root: &Path, path: &Path) {
    for dir in path.ancestors().skip(1).take_while(|dir| *dir != root) {
        if fs_err::remove_dir(dir).is_err() {
            return;
        }
    }
}

fn write(path: &Path, file: &File) -> anyhow::Result<()> {
    // A new file in the old one's place: an existing link is replaced, not followed.
    match fs_err::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs_err::remove_dir_all(path)?,
        Ok(_) => fs_err::remove_file(path)?,
        Err(_) => {}
    }
    if file.mode == Mode::Link {
        symlink(OsStr::from_bytes(&file.bytes), path)?;
        return Ok(());
    }
    fs_err::write(path, &file.bytes)?;
    let mode = if file.mode == Mode::Executable { 0o755 } else { 0o644 };
    Ok(fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

//! The one commit of a prepared tree, made by libgit2.
//!
//! Guarantees the same object ids on every machine: no template, no hooks, no filters, no ignore
//! rules, no configuration of the user, a fixed author and date.

use std::path::Path;

use git2::{ErrorCode, FileMode, Odb, Oid, Repository, RepositoryInitOptions, Signature, Time, TreeBuilder};

use super::files::{Omit, copy_tree};

const AUTHOR: (&str, &str) = ("Apprentice", "apprentice@localhost");
const MESSAGE: &str = "Starting point\n";

/// Makes `tree` a repository whose only commit holds all of its files.
pub(super) fn commit(tree: &Path) -> anyhow::Result<()> {
    let mut options = RepositoryInitOptions::new();
    options.external_template(false).initial_head("main").no_reinit(true);
    let repo = Repository::init_opts(tree, &options)?;
    let root = write_tree(&repo, tree, Omit::Repository)?;
    let root = repo.find_tree(root)?;
    let author = Signature::new(AUTHOR.0, AUTHOR.1, &Time::new(0, 0))?;
    repo.commit(Some("HEAD"), &author, &author, MESSAGE, &root, &[])?;
    let mut index = repo.index()?;
    index.read_tree(&root)?;
    index.write()?;
    // The reflog carries the committer's name from the user's configuration.
    let reflog = repo.path().join("logs");
    if reflog.exists() {
        fs_err::remove_dir_all(reflog)?;
    }
    Ok(())
}

/// The id that git gives to the files of a directory, litter left out.
pub(super) fn tree_id(dir: &Path) -> anyhow::Result<String> {
    anyhow::ensure!(dir.is_dir(), "`{}` is not a directory", dir.display());
    let odb = Odb::new()?;
    odb.add_new_mempack_backend(1)?;
    Ok(write_tree(&Repository::from_odb(odb)?, dir, Omit::Litter)?.to_string())
}

fn write_tree(repo: &Repository, dir: &Path, omit: Omit) -> anyhow::Result<Oid> {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    let mut builder: TreeBuilder<'_> = repo.treebuilder(None)?;
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if omit.leaves_out(&name) {
            continue;
        }
        let (oid, mode) = if kind.is_dir() {
            let oid = write_tree(repo, &entry.path(), omit)?;
            if repo.find_tree(oid)?.is_empty() {
                continue;
            }
            (oid, FileMode::Tree)
        } else if kind.is_symlink() {
            (repo.blob(fs_err::read_link(entry.path())?.as_os_str().as_bytes())?, FileMode::Link)
        } else if !kind.is_file() {
            continue;
        } else {
            let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
            let mode = if executable { FileMode::BlobExecutable } else { FileMode::Blob };
            (repo.blob(&fs_err::read(entry.path())?)?, mode)
        };
        builder.insert(name.as_os_str(), oid, mode.into())?;
    }
    Ok(builder.write()?)
}

/// Writes the files of `commit` (or the head) of a local repository into `tree`.
pub(super) fn check_out(repo: &Path, commit: Option<&str>, tree: &Path) -> anyhow::Result<()> {
    let repo = Repository::open(repo)?;
    let found = find(&repo, commit)?;
    write_files(&repo, &repo.find_commit(found)?.tree()?, tree)
}

/// The full id of a commit, or of the head.
pub(super) fn find(repo: &Repository, commit: Option<&str>) -> Result<Oid, git2::Error> {
    Ok(repo.revparse_single(commit.unwrap_or("HEAD"))?.peel_to_commit()?.id())
}

/// Whether a local repository holds a commit.
pub(super) fn holds(repo: &Path, commit: Option<&str>) -> anyhow::Result<bool> {
    match find(&Repository::open(repo)?, commit) {
        Ok(_) => Ok(true),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn write_files(repo: &Repository, from: &git2::Tree<'_>, to: &Path) -> anyhow::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    fs_err::create_dir_all(to)?;
    for entry in from {
        let name = std::ffi::OsStr::from_bytes(entry.name_bytes());
        // A hand-made object may hold names that git itself would never write.
        anyhow::ensure!(
            !["", ".", "..", ".git"].iter().any(|bad| name == *bad),
            "the commit holds a file `{}`",
            name.display()
        );
        anyhow::ensure!(!entry.name_bytes().contains(&b'/'), "the commit holds a file `{}`", name.display());
        let path = to.join(name);
        match entry.filemode() {
            0o040_000 => write_files(repo, &repo.find_tree(entry.id())?, &path)?,
            0o120_000 => {
                symlink(std::ffi::OsStr::from_bytes(repo.find_blob(entry.id())?.content()), &path)?;
            }
            // A submodule's place stays empty, as after a plain clone.
            0o160_000 => fs_err::create_dir_all(&path)?,
            mode => {
                fs_err::write(&path, repo.find_blob(entry.id())?.content())?;
                let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
                fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
            }
        }
    }
    Ok(())
}

/// Copies a directory without git's own files.
pub(super) fn copy(from: &Path, tree: &Path) -> anyhow::Result<()> {
    copy_tree(from, tree, Omit::Litter)
}

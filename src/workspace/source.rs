//! Where repositories come from: a directory, a git repository, a bundle, an archive.
//!
//! Uses the host's `git` for what libgit2 cannot do (https, bundles) and its `tar` for archives;
//! hooks and configuration files of neither the user nor the source take part.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::commit;
use super::files::{Branch, patch_tree};
use crate::fsio;
use crate::patch::Patch;
use crate::task::Repo;

/// A text that changes whenever the source's files do.
pub(super) fn identity(repo: &Repo, dir: &Path, cache: &Path) -> anyhow::Result<String> {
    match (&repo.path, &repo.git, &repo.bundle, &repo.archive) {
        (Some(path), ..) => Ok(format!("path {}", commit::tree_id(&dir.join(path))?)),
        (_, Some(url), ..) => match &repo.base_commit {
            Some(commit) if is_full(commit) => Ok(format!("git {url} {commit}")),
            commit => {
                let clone = clone_of(url, dir, cache, commit.as_deref())?;
                let found = commit::find(&git2::Repository::open(clone)?, commit.as_deref())?;
                Ok(format!("git {url} {found}"))
            }
        },
        (_, _, Some(bundle), _) => {
            let digest = fsio::sha256_file(&dir.join(bundle))?;
            Ok(format!("bundle {digest} {}", repo.base_commit.as_deref().unwrap_or_default()))
        }
        (_, _, _, Some(archive)) => Ok(format!("archive {}", fsio::sha256_file(&dir.join(archive))?)),
        _ => bail!("it has no source"),
    }
}

fn is_full(commit: &str) -> bool {
    commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Writes the source's files at the base commit into `tree`, which is empty.
pub(super) fn export(repo: &Repo, dir: &Path, cache: &Path, tree: &Path) -> anyhow::Result<()> {
    let base = repo.base_commit.as_deref();
    match (&repo.path, &repo.git, &repo.bundle, &repo.archive) {
        (Some(path), ..) => commit::copy(&dir.join(path), tree),
        (_, Some(url), ..) => commit::check_out(&clone_of(url, dir, cache, base)?, base, tree),
        (_, _, Some(bundle), _) => {
            let clone = tempfile::tempdir_in(cache)?;
            let bundle = dir.join(bundle);
            clone_bare(&bundle.display().to_string(), clone.path())?;
            commit::check_out(clone.path(), base, tree)
        }
        (_, _, _, Some(archive)) => unpack(&dir.join(archive), tree),
        _ => bail!("it has no source"),
    }
}

/// A local repository that holds `commit` of `url`: the one that `url` names, or a clone in the cache.
fn clone_of(url: &str, dir: &Path, cache: &Path, commit: Option<&str>) -> anyhow::Result<PathBuf> {
    let local = dir.join(url);
    if local.exists() {
        ensure!(
            commit::holds(&local, commit)?,
            "`{}` does not hold the commit `{}`; fetch it there",
            local.display(),
            commit.unwrap_or("HEAD")
        );
        return Ok(local);
    }
    ensure!(url.contains("://") || url.contains(':'), "`{}` does not exist", local.display());
    let clones = cache.join("clones");
    fs_err::create_dir_all(&clones)?;
    let clone = clones.join(format!("{:x}", Sha256::digest(url)));
    if !clone.is_dir() {
        let fresh = tempfile::Builder::new().prefix("cloning-").tempdir_in(&clones)?;
        clone_bare(url, fresh.path())?;
        super::place(fresh.path(), &clone)?;
    }
    if !commit::holds(&clone, commit)? {
        let commit = commit.unwrap_or("HEAD");
        git(&["fetch", "--quiet", "--no-tags", url, commit], &clone)
            .with_context(|| format!("`{url}` does not hold the commit `{commit}`"))?;
    }
    Ok(clone)
}

fn clone_bare(url: &str, into: &Path) -> anyhow::Result<()> {
    let into = into.display().to_string();
    git(&["clone", "--quiet", "--bare", "--template=", "--", url, &into], Path::new("/"))
}

/// Runs the host's git without hooks, prompts or anyone's configuration but the network's.
fn git(args: &[&str], dir: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("git");
    command
        .args(["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"])
        .args(args)
        .current_dir(dir);
    command.env("GIT_TERMINAL_PROMPT", "0").env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    succeed(command)
}

/// Unpacks a tar archive without the directory at its top.
fn unpack(archive: &Path, tree: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("tar");
    command.args(["--extract", "--strip-components=1", "--no-same-owner", "--no-same-permissions"]);
    command.arg("--directory").arg(tree).arg("--file").arg(fs_err::canonicalize(archive)?);
    succeed(command)
}

fn succeed(mut command: Command) -> anyhow::Result<()> {
    let program = command.get_program().display().to_string();
    let output =
        command.output().map_err(|error| anyhow!("`{program}` did not start: {error}; install it"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{program}` failed: {}", words.trim());
    Ok(())
}

/// The patch that takes `gold` back from an archive or directory that already holds it, checked against it.
///
/// # Errors
/// When the source cannot be read or `gold` is not in it.
pub fn reversed_archive_patch(repo: &Repo, dir: &Path, cache: &Path, gold: &str) -> anyhow::Result<String> {
    let branch = Branch::empty(&cache.join("trees"))?;
    export(repo, dir, cache, &branch.tree())?;
    let reversed = Patch::parse(gold).context("the gold patch cannot be read")?.reversed();
    patch_tree(&branch.tree(), &reversed)?.map_err(|failure| {
        anyhow!("the source is not the repaired one, the gold patch cannot be taken back: {failure}")
    })?;
    Ok(reversed.to_string())
}

//! Tasks on disk: a directory a task, each repository once, and the experts' trajectories.

use std::path::Path;

use anyhow::Context as _;

use super::{Repository, SynthTask};
use crate::fsio;

/// The directory of the repositories' copies, beside the tasks' own.
const REPOSITORIES: &str = ".repositories";

/// Writes tasks, repositories and `trajectories.jsonl` into `out`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(out: &Path, repositories: &[Repository], tasks: &[SynthTask]) -> anyhow::Result<()> {
    for repository in repositories {
        copy(out, repository)?;
    }
    for task in tasks {
        let dir = out.join(&task.task.id);
        fs_err::create_dir_all(&dir)?;
        // A sync for each of hundreds of small files would take longer than all bugs took to try.
        fs_err::write(dir.join("task.yaml"), serde_yaml_ng::to_string(&task.task)?)?;
    }
    let experts: Vec<_> = tasks.iter().map(|task| &task.expert).collect();
    fsio::write_json_lines(&out.join("trajectories.jsonl"), &experts)
}

/// Copies a repository to where the tasks in `out` will find it.
pub(super) fn copy(out: &Path, repository: &Repository) -> anyhow::Result<()> {
    let target = out.join(REPOSITORIES).join(&repository.name);
    repository
        .write_to(&target)
        .with_context(|| format!("could not copy `{}` to `{}`", repository.name, target.display()))
}

/// The way from a task's directory to its repository's copy.
pub(super) fn repository_path(repository: &Repository) -> String {
    format!("../{REPOSITORIES}/{}", repository.name)
}

//! What decides on a verdict, as one digest: the key by which a grade is found again.

use std::path::Path;

use super::{Job, JobPrediction};
use crate::{fsio, workspace};

/// Changes whenever the same patch could be judged otherwise.
const GRADER: &str = "apprentice.grader/2";

/// A digest of the task, its repository at the starting point, the patch, the sandbox with what it is made of
/// (`made_of`: an image's or a root file system's digest), and this grader.
///
/// # Errors
/// When the repository cannot be had.
pub fn input(job: &Job, made_of: &str, cache: &Path) -> anyhow::Result<String> {
    let repository = workspace::prepare(&job.task, cache)?.identity;
    let prediction = match &job.prediction {
        JobPrediction::Patch(text) => ("patch", text.as_str()),
        JobPrediction::Gold => ("gold", ""),
        JobPrediction::Noop => ("noop", ""),
    };
    let sandbox = (job.backend.name(), &*job.spec, made_of);
    let parts = (GRADER, env!("CARGO_PKG_VERSION"), &job.task.task, repository, prediction, sandbox);
    Ok(fsio::sha256_hex(&serde_json::to_vec(&parts)?))
}

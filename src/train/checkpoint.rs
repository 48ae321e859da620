//! Checkpoints: a model directory with what its training needs to go on.
//!
//! `step-N/` is a model, or an adapter, that any tool loads; `step-N/trainer/` holds the optimizer and the progress, apart, because
//! some tools read every safetensors file beside the weights. Guarantees that a checkpoint is whole or absent.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::adamw::{AdamW, AdamWConfig};
use super::validation::{Best, Findings};
use crate::fsio;
use crate::model::Student;

/// Name and version in the first field of `trainer/progress.json`.
pub const FORMAT: &str = "apprentice.checkpoint/1";

/// How far a training has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Always [`FORMAT`].
    pub format: String,
    /// The phase, such as `sft` or `srl`.
    pub phase: String,
    /// Seed of the training.
    pub seed: u64,
    /// Updates made or skipped.
    pub step: u64,
    /// Examples dealt, over all epochs.
    pub dealt: u64,
    /// Compute spent: one unit a token forward, two a token backward.
    pub units: u64,
    /// What validations found.
    #[serde(default)]
    pub validation: Findings,
}

impl Progress {
    /// The beginning of a phase.
    pub fn new(phase: &str, seed: u64) -> Self {
        let (format, phase) = (FORMAT.to_owned(), phase.to_owned());
        Self { format, phase, seed, step: 0, dealt: 0, units: 0, validation: Findings::default() }
    }
}

/// Name and version in the first field of the file `best`.
pub const BEST_FORMAT: &str = "apprentice.best/1";

/// The file `best` beside checkpoints: which of them did best on held-out examples.
#[derive(Debug, Serialize, Deserialize)]
struct BestFile {
    format: String,
    /// The checkpoint's directory, beside the file.
    checkpoint: String,
    step: u64,
    reward: f64,
}

/// Says below `dir` which checkpoint is the best.
///
/// # Errors
/// When the disk refuses.
pub fn point_to(dir: &Path, best: Best) -> Result<()> {
    let (format, checkpoint) = (BEST_FORMAT.to_owned(), format!("step-{}", best.step));
    fsio::write_json(
        &dir.join("best"),
        &BestFile { format, checkpoint, step: best.step, reward: best.reward },
    )
}

/// The model directory that `path` names: itself, or the checkpoint that a file `best` points to.
///
/// # Errors
/// When the file cannot be read or is of another format.
pub fn pointed(path: &Path) -> Result<PathBuf> {
    if !path.is_file() {
        return Ok(path.to_owned());
    }
    let file: BestFile = fsio::read_json(path)?;
    ensure!(
        file.format == BEST_FORMAT,
        "`{}` has format `{}`, not `{BEST_FORMAT}`",
        path.display(),
        file.format
    );
    Ok(path.with_file_name(file.checkpoint))
}

/// Writes the checkpoint of this progress below `dir` and gives its path.
///
/// # Errors
/// When the disk refuses; an earlier checkpoint is then intact.
pub fn save(dir: &Path, student: &Student, adamw: &AdamW, progress: &Progress) -> Result<PathBuf> {
    let target = dir.join(format!("step-{}", progress.step));
    let partial = dir.join(format!(".step-{}.partial", progress.step));
    remove(&partial)?;
    fs_err::create_dir_all(partial.join("trainer"))?;
    student
        .save(&partial)
        .with_context(|| format!("could not save the student to `{}`", target.display()))?;
    adamw.save(&partial.join("trainer/optimizer.safetensors"))?;
    fsio::write_json(&partial.join("trainer/progress.json"), progress)?;
    for file in fsio::files_below(&partial)? {
        fs_err::File::open(file)?.sync_all()?;
    }
    remove(&target)?;
    fs_err::rename(&partial, &target)?;
    Ok(target)
}

fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        fs_err::remove_dir_all(path)?;
    }
    Ok(())
}

/// The progress of the checkpoint at `path`.
///
/// # Errors
/// When there is none, or it is of another format.
pub fn progress(path: &Path) -> Result<Progress> {
    let file = path.join("trainer/progress.json");
    let progress: Progress = fsio::read_json(&file)?;
    ensure!(
        progress.format == FORMAT,
        "`{}` has format `{}`, not `{FORMAT}`",
        file.display(),
        progress.format
    );
    Ok(progress)
}

/// The optimizer of the checkpoint at `path`, whose weights are in `student`.
///
/// # Errors
/// When the file is damaged or belongs to another model.
pub fn adamw(path: &Path, config: AdamWConfig, student: &Student) -> Result<AdamW> {
    AdamW::load(config, student.vars(), &path.join("trainer/optimizer.safetensors"))
}

/// The checkpoint below `dir` with the most steps.
///
/// # Errors
/// When the directory cannot be read.
pub fn latest(dir: &Path) -> Result<Option<PathBuf>> {
    if !dir.exists() {
        return Ok(None);
    }
    let mut found: Option<(u64, PathBuf)> = None;
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let step =
            name.to_str().and_then(|name| name.strip_prefix("step-")).and_then(|step| step.parse().ok());
        if let Some(step) = step
            && found.as_ref().is_none_or(|(latest, _)| *latest < step)
        {
            found = Some((step, entry.path()));
        }
    }
    Ok(found.map(|(_, path)| path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_checkpoint_is_found_through_its_file() {
        let dir = tempfile::tempdir().unwrap();
        point_to(dir.path(), Best { step: 9, reward: 0.1 }).unwrap();
        point_to(dir.path(), Best { step: 12, reward: 0.5 }).unwrap();
        assert_eq!(pointed(&dir.path().join("best")).unwrap(), dir.path().join("step-12"));
        assert_eq!(pointed(dir.path()).unwrap(), dir.path());
        fs_err::write(
            dir.path().join("best"),
            r#"{"format": "x", "checkpoint": "", "step": 1, "reward": 0}"#,
        )
        .unwrap();
        assert!(pointed(&dir.path().join("best")).unwrap_err().to_string().contains("format `x`"));
    }
}

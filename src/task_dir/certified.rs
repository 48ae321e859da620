//! `certificate.json` beside a task's file, and whether it still fits the task.
//!
//! Guarantees that a certificate of another task, or of this one before it was changed, is never taken for its own.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

use crate::certificate::{Certificate, FORMAT};
use crate::fsio;
use crate::task::{LoadedTask, Repo};

/// The certificate's file in a task's directory.
pub const FILE: &str = "certificate.json";

/// What a task's certificate is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// There is none.
    Absent,
    /// It is about this task as it is now.
    Fits(Box<Certificate>),
    /// The task was changed since.
    Stale,
}

/// Reads a task's certificate and compares its digest with the task's.
///
/// # Errors
/// When the file is no certificate of this version, or the task's repository cannot be read.
pub fn standing(loaded: &LoadedTask) -> anyhow::Result<Standing> {
    let path = loaded.dir.join(FILE);
    if !path.is_file() {
        return Ok(Standing::Absent);
    }
    let certificate: Certificate = fsio::read_json(&path).with_context(|| remedy(&path))?;
    ensure!(
        certificate.format == FORMAT,
        "`{}`: format: `{}` is not known; check the task again with `apprentice task check --again`",
        path.display(),
        certificate.format
    );
    let fits = certificate.task == loaded.task.id && certificate.task_digest == digest(loaded)?;
    Ok(if fits { Standing::Fits(Box::new(certificate)) } else { Standing::Stale })
}

fn remedy(path: &Path) -> String {
    format!(
        "`{}` is no certificate; check the task again with `apprentice task check --again`",
        path.display()
    )
}

/// Writes a task's certificate, in one step.
///
/// # Errors
/// When the file cannot be written.
pub fn save(loaded: &LoadedTask, certificate: &Certificate) -> anyhow::Result<PathBuf> {
    let path = loaded.dir.join(FILE);
    fsio::write_json(&path, certificate)?;
    Ok(path)
}

/// Removes a task's certificate, if there is one.
///
/// # Errors
/// When the file cannot be removed.
pub fn remove(loaded: &LoadedTask) -> anyhow::Result<()> {
    match fs_err::remove_file(loaded.dir.join(FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The digest of a task as it is graded: what its file says, whatever the layout, and the files of its own repository.
/// A git URL without a commit and the image of a tag may mean something else tomorrow; the digest cannot see that.
///
/// # Errors
/// When the repository's directory or file cannot be read, or would hold the certificate itself.
pub fn digest(loaded: &LoadedTask) -> anyhow::Result<String> {
    let mut digest = Sha256::new();
    let repo = loaded.task.repo.as_ref();
    for part in
        [loaded.task.to_yaml(), repo.map(|repo| files_of(repo, &loaded.dir)).transpose()?.unwrap_or_default()]
    {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    Ok(format!("sha256:{:x}", digest.finalize()))
}

fn files_of(repo: &Repo, dir: &Path) -> anyhow::Result<String> {
    if let Some(file) = repo.bundle.as_ref().or(repo.archive.as_ref()) {
        return fsio::sha256_file(&dir.join(file));
    }
    let Some(path) = &repo.path else { return Ok(String::new()) };
    let root = fs_err::canonicalize(dir.join(path))?;
    ensure!(
        !fs_err::canonicalize(dir)?.starts_with(&root),
        "the repository `{}` holds the task's own directory; move it to a directory of its own",
        root.display()
    );
    fsio::sha256_dir(&root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::{CheckedIn, Statement};
    use crate::task::Task;

    const TASK: &str = "format: apprentice.task/1\nid: demo\nkind: code\nproblem: Repair it.\nsandbox: shell\n\
                        repo: {path: repo}\ntests: {command: ./run, parser: tap, fail_to_pass: [adds]}\n";

    fn demo(dir: &Path) -> LoadedTask {
        fsio::write_atomic(&dir.join("repo/run"), b"echo ok 1 - adds\n").unwrap();
        LoadedTask { task: Task::parse(TASK, "demo").unwrap(), dir: dir.to_owned() }
    }

    fn certificate(loaded: &LoadedTask) -> Certificate {
        Certificate {
            format: FORMAT.to_owned(),
            task: loaded.task.id.clone(),
            task_digest: digest(loaded).unwrap(),
            sandbox: CheckedIn { name: String::new(), backend: String::new(), made_of: String::new() },
            version: String::new(),
            certified: true,
            faults: Vec::new(),
            remarks: Vec::new(),
            quarantined: Vec::new(),
            gold_seconds: 1.0,
            suggested_test_seconds: 10.0,
            statement: Statement::default(),
            runs: Vec::new(),
        }
    }

    #[test]
    fn a_certificate_fits_until_the_task_or_its_repository_changes() {
        let dir = tempfile::tempdir().unwrap();
        let mut loaded = demo(dir.path());
        assert_eq!(standing(&loaded).unwrap(), Standing::Absent);
        let certificate = certificate(&loaded);
        save(&loaded, &certificate).unwrap();
        assert_eq!(standing(&loaded).unwrap(), Standing::Fits(Box::new(certificate)));
        fs_err::write(dir.path().join("repo/run"), "echo ok 1 - adds # really\n").unwrap();
        assert_eq!(standing(&loaded).unwrap(), Standing::Stale);
        let loaded_again = demo(dir.path());
        assert!(matches!(standing(&loaded_again).unwrap(), Standing::Fits(_)));
        loaded.task.problem.push('!');
        assert_eq!(standing(&loaded).unwrap(), Standing::Stale);
        remove(&loaded).unwrap();
        remove(&loaded).unwrap();
        assert_eq!(standing(&loaded).unwrap(), Standing::Absent);
    }

    #[test]
    fn what_is_no_certificate_is_an_error_with_its_file_and_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let loaded = demo(dir.path());
        let later = Certificate { format: "apprentice.certificate/2".to_owned(), ..certificate(&loaded) };
        for text in ["{".to_owned(), serde_json::to_string(&later).unwrap()] {
            fs_err::write(dir.path().join(FILE), text).unwrap();
            let error = format!("{:#}", standing(&loaded).unwrap_err());
            assert!(error.contains(FILE) && error.contains("check the task again"), "{error}");
        }
    }

    #[test]
    fn a_repository_around_its_task_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut loaded = demo(dir.path());
        loaded.task.repo.as_mut().unwrap().path = Some(".".to_owned());
        let error = digest(&loaded).unwrap_err().to_string();
        assert!(error.ends_with("move it to a directory of its own"), "{error}");
    }
}

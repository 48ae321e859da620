//! Tasks on disk: `tasks/<id>/task.yaml`.
//!
//! Guarantees that an id is its directory's name, so that a task is found without reading the others.

pub mod certified;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

use crate::fsio;
use crate::task::{LoadedTask, Task};
use crate::testlog;

/// The task's file in its directory.
pub const FILE: &str = "task.yaml";

/// Reads the task of a directory, or of a `task.yaml`.
///
/// # Errors
/// When there is none, it is invalid, or its id is not the directory's name.
pub fn load(path: &Path) -> anyhow::Result<LoadedTask> {
    let file = if path.ends_with(FILE) { path.to_owned() } else { path.join(FILE) };
    let text = fs_err::read_to_string(&file)?;
    let task = Task::parse(&text, &file.display().to_string())?;
    if let Some(fault) = task.tests.as_ref().and_then(testlog::fault) {
        bail!("`{}`: {fault}", file.display());
    }
    let dir = fs_err::canonicalize(file.parent().context("a task file has a directory")?)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    ensure!(
        task.id == name,
        "`{}`: id: `{}` is not its directory's name `{name}`; rename one of them",
        file.display(),
        task.id
    );
    Ok(LoadedTask { task, dir })
}

/// Reads every task below `dir`, in the order of their ids; `dir` may also be one task's directory.
///
/// # Errors
/// When the directory cannot be read or one task is invalid.
pub fn load_all(dir: &Path) -> anyhow::Result<BTreeMap<String, LoadedTask>> {
    let mut tasks = BTreeMap::new();
    if dir.join(FILE).is_file() {
        let task = load(dir)?;
        tasks.insert(task.task.id.clone(), task);
        return Ok(tasks);
    }
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        if path.join(FILE).is_file() {
            let task = load(&path)?;
            tasks.insert(task.task.id.clone(), task);
        }
    }
    Ok(tasks)
}

/// Writes a task into its own directory below `dir`.
///
/// # Errors
/// When a file cannot be written.
pub fn save(task: &Task, dir: &Path) -> anyhow::Result<LoadedTask> {
    let own = dir.join(&task.id);
    fsio::write_atomic(&own.join(FILE), task.to_yaml().as_bytes())?;
    Ok(LoadedTask { task: task.clone(), dir: fs_err::canonicalize(own)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn math(id: &str) -> Task {
        let yaml = format!("format: apprentice.task/1\nid: {id}\nkind: math\nproblem: 2 + 2?\nanswer: '4'\n");
        Task::parse(&yaml, "t").unwrap()
    }

    #[test]
    fn tasks_are_loaded_in_the_order_of_their_ids() {
        let dir = tempfile::tempdir().unwrap();
        for id in ["b", "c", "a"] {
            save(&math(id), dir.path()).unwrap();
        }
        let tasks = load_all(dir.path()).unwrap();
        assert_eq!(tasks.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(load_all(&dir.path().join("b")).unwrap().len(), 1);
    }

    #[test]
    fn renamed_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        save(&math("a"), dir.path()).unwrap();
        fs_err::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        let error = load_all(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("id: `a` is not its directory's name `b`; rename one of them"), "{error}");
    }
}

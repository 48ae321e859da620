//! Names: a trajectory's id and its task's, where a record does not say them.
//!
//! Guarantees that the same file and line give the same names.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::Origin;

/// Endings that say what a file is and not what it is about.
const ENDINGS: &[&str] =
    &[".gz", ".traj.json", ".demo.yaml", ".traj", ".jsonl", ".ndjson", ".json", ".parquet", ".yaml", ".yml"];

/// The id of the record at `origin`: the file's name, and its line where it is not the only one.
pub(super) fn trajectory_id(origin: &Origin) -> String {
    let name = file_name(&origin.file);
    match origin.line {
        Some(line) => format!("{}:{line}", stem(&name)),
        None => stem(&name).to_owned(),
    }
}

/// The task that the file's name tells of: an id of SWE-bench's form, else the name.
pub(super) fn task_of_file(file: &Path, workdir: Option<&str>) -> String {
    static ID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"[A-Za-z0-9][\w.-]*?__[\w.-]*?-\d+").expect("invariant: the pattern is fixed")
    });
    static SHORT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^([A-Za-z0-9][\w-]*?)-(\d+)").expect("invariant: the pattern is fixed")
    });
    let name = file_name(file);
    if let Some(id) = ID.find(&name) {
        return id.as_str().to_owned();
    }
    let repository =
        workdir.map(|workdir| workdir.trim_start_matches('/')).filter(|name| name.contains("__"));
    if let (Some(repository), Some(short)) = (repository, SHORT.captures(&name))
        && repository.ends_with(&format!("__{}", &short[1]))
    {
        return format!("{repository}-{}", &short[2]);
    }
    stem(&name).to_owned()
}

fn file_name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stem(name: &str) -> &str {
    ENDINGS.iter().fold(name, |name, ending| name.strip_suffix(ending).unwrap_or(name))
}

//! The files that are read: recorded trajectories, one a line, again and again up to a size.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// Records, one line each.
pub(crate) struct Recordings {
    /// Every recorded file.
    pub(crate) all: Vec<String>,
    /// The rows of SWE-smith alone, of which every message is needed.
    pub(crate) rows: Vec<String>,
}

/// The recordings beside the repository; none where they are not.
pub(crate) fn recordings() -> Result<Option<Recordings>> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures"));
    let root =
        std::env::var_os("APPRENTICE_FIXTURES").map_or_else(beside, PathBuf::from).join("trajectories");
    if !root.is_dir() {
        return Ok(None);
    }
    let rows: Vec<String> =
        fs_err::read_to_string(root.join("swe-smith/xml.jsonl"))?.lines().map(str::to_owned).collect();
    let mut all = rows.clone();
    for file in apprentice::import::files(&[root])? {
        if !file.ends_with("xml.jsonl") {
            let value: serde_json::Value = serde_json::from_slice(&fs_err::read(file)?)?;
            all.push(value.to_string());
        }
    }
    Ok(Some(Recordings { all, rows }))
}

/// Writes `records` again and again until the file has `bytes`; a file that is there is taken.
pub(crate) fn write(directory: &Path, name: &str, records: &[String], bytes: u64) -> Result<PathBuf> {
    let file = directory.join(format!("import-{}.jsonl", name.replace(' ', "-")));
    if fs_err::metadata(&file).is_ok_and(|metadata| bytes <= metadata.len()) {
        return Ok(file);
    }
    let mut writer = std::io::BufWriter::new(fs_err::File::create(&file)?);
    let mut written = 0;
    for record in records.iter().cycle() {
        writeln!(writer, "{record}")?;
        written += record.len() as u64 + 1;
        if bytes <= written {
            break;
        }
    }
    writer.flush()?;
    Ok(file)
}

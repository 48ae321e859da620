//! Files that are written piece by piece and appear whole.
//!
//! Guarantees that the path holds the old file until [`WholeFile::finish`], and the new one after it. Keeps nothing in
//! memory but a buffer.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use tempfile::NamedTempFile;

/// A file in the making.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl WholeFile {
    /// Begins the file beside its place, making its parent directories.
    ///
    /// # Errors
    /// When the directory cannot be made or written to.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = super::temporary_beside(path)?;
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(1 << 16, file) })
    }

    /// Adds one value as one line of JSON.
    ///
    /// # Errors
    /// When the value has no JSON form or the file cannot be written.
    pub fn push(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let failed = |path: &Path| format!("could not write `{}`", path.display());
        serde_json::to_writer(&mut self.file, value).with_context(|| failed(&self.path))?;
        self.file.write_all(b"\n").with_context(|| failed(&self.path))
    }

    /// Puts the file into its place, and gives its path.
    ///
    /// # Errors
    /// When what is left cannot be written, or the file cannot be moved.
    pub fn finish(self) -> anyhow::Result<PathBuf> {
        let failed = || format!("could not write `{}`", self.path.display());
        let file =
            self.file.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(failed)?;
        file.as_file().sync_data().with_context(failed)?;
        file.persist(&self.path).with_context(failed)?;
        Ok(self.path)
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_file_stays_until_the_new_one_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/a.jsonl");
        let mut first = WholeFile::create(&path).unwrap();
        first.push(&1).unwrap();
        assert!(!path.exists());
        first.finish().unwrap();
        let mut second = WholeFile::create(&path).unwrap();
        second.push(&2).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "1\n");
        second.finish().unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "2\n");
        let unfinished = WholeFile::create(&path).unwrap();
        drop(unfinished);
        assert_eq!(crate::fsio::files_below(dir.path()).unwrap(), [path]);
    }
}

//! The program that runs inside every container: this one, with the libraries and the loader it was
//! linked to, so that it needs nothing of the image.
//!
//! Guarantees that programs which differ have different keys. Asks the loader which libraries it would
//! take, as `ldd` does.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType};

use super::files::{append, header};
use crate::sandbox::inside::INIT_ARGUMENT;

/// Where its files lie in a container.
const DIRECTORY: &str = "/usr/lib/apprentice";
/// Its own file there.
const NAME: &str = "inside";

/// A program and all that it needs to run.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Names in [`DIRECTORY`], and the files of this host.
    files: Vec<(String, PathBuf)>,
    loader: Option<String>,
}

impl Program {
    /// What `exe` needs on this host.
    pub(super) fn of(exe: &Path) -> io::Result<Self> {
        let mut loader = None;
        let mut files = vec![(NAME.to_owned(), exe.to_owned())];
        for line in libraries(exe)?.lines() {
            // `libc.so.6 => /lib/…/libc.so.6 (0x…)`, and the loader as `/lib64/ld-….so.2 (0x…)`.
            let (name, path) = match line.trim().split_once(" => ") {
                Some((name, path)) => (name.to_owned(), path),
                None if line.trim().starts_with('/') => {
                    let path = line.trim();
                    let file = path.split(" (").next().unwrap_or(path);
                    let name = file.rsplit('/').next().unwrap_or(file).to_owned();
                    loader = Some(name.clone());
                    (name, path)
                }
                None => continue,
            };
            let path = PathBuf::from(path.split(" (").next().unwrap_or(path));
            if !path.is_absolute() {
                return Err(io::Error::other(format!("the loader does not find `{name}`")));
            }
            files.push((name, path));
        }
        Ok(Self { files, loader })
    }

    /// Short words that no other program has: who made its files when, and how long they are.
    pub(super) fn key(&self) -> io::Result<String> {
        let mut digest = Sha256::new();
        for (name, path) in &self.files {
            let metadata = fs_err::metadata(path)?;
            let made = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
            digest.update(format!("{name} {made:?}\n"));
        }
        Ok(hex(&digest.finalize()))
    }

    /// How a container starts it.
    pub(super) fn argv(&self) -> Vec<String> {
        let file = |name: &str| format!("{DIRECTORY}/{name}");
        let mut argv = match &self.loader {
            Some(loader) => vec![file(loader), "--library-path".to_owned(), DIRECTORY.to_owned()],
            None => Vec::new(),
        };
        argv.extend([file(NAME), INIT_ARGUMENT.to_owned()]);
        argv
    }

    /// An archive that puts it in its place again, whatever commands of root have made of that: no link on the
    /// way there, and nothing that the loader would load before it.
    pub(super) fn pack_again(&self) -> io::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        // A directory replaces whatever else has its name.
        for directory in ["/etc", "/usr", "/usr/lib", DIRECTORY] {
            append(&mut builder, directory, &header(EntryType::Directory, 0o755), &[])?;
        }
        append(&mut builder, "/etc/ld.so.preload", &header(EntryType::Regular, 0o644), &[])?;
        for (inside, path) in self.files() {
            append(&mut builder, &inside, &header(EntryType::Regular, 0o755), &fs_err::read(path)?)?;
        }
        builder.into_inner()
    }

    /// Its files: paths inside, and the files of this host.
    pub(super) fn files(&self) -> impl Iterator<Item = (String, &Path)> {
        self.files.iter().map(|(name, path)| (format!("{DIRECTORY}/{name}"), path.as_path()))
    }
}

/// The first letters of a digest, which are enough to name things.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// What the loader says that it would load. A program without a loader runs, and ends at once: its line
/// is closed.
fn libraries(exe: &Path) -> io::Result<String> {
    let output = Command::new(exe)
        .arg(INIT_ARGUMENT)
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linked_program_brings_its_loader() {
        let program = Program::of(Path::new("/bin/sh")).unwrap();
        let names: Vec<&str> = program.files.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.iter().any(|name| name.starts_with("libc.")), "{names:?}");
        let argv = program.argv();
        assert_eq!(argv.last().map(String::as_str), Some(INIT_ARGUMENT));
        assert!(argv[0].starts_with(DIRECTORY) && argv[0].contains("/ld"), "{argv:?}");
        assert_ne!(program.key().unwrap(), Program::of(Path::new("/bin/cat")).unwrap().key().unwrap());
    }
}

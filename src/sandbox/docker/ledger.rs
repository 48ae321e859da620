//! What this user's commands pulled and when each image was last used: one small file an image, below the
//! user's cache directory.
//!
//! Guarantees that a process that is killed leaves nothing that is wrong: a file is named by the image's id and
//! made after the pull, its time is the last use, and a lock on it, which ends with its process, says who uses
//! the image now. A missing file means that an image is not ours to remove. Knows nothing of the engine.

use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::fsio;

/// Name and version in the first field of every line.
const FORMAT: &str = "apprentice.pulled/1";
/// How often, and how long apart, an image that is being removed is looked at.
const REMOVAL: (u32, Duration) = (3000, Duration::from_millis(20));

/// The files of one engine.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    directory: PathBuf,
}

/// An image that a command of ours pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: String,
    /// Under which names it was pulled, as the user wrote them.
    pub(super) names: Vec<String>,
    /// What registries call it, with the repository.
    pub(super) digests: Vec<String>,
    /// What it was called before a command of ours came.
    pub(super) theirs: Vec<String>,
    pub(super) last_used: SystemTime,
}

/// One pull of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pull {
    /// What the user calls it.
    #[serde(rename = "image")]
    pub(super) name: String,
    /// By which digest it was pulled, with the repository.
    pub(super) digest: String,
    /// What it was called before.
    #[serde(default)]
    pub(super) theirs: Vec<String>,
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    format: String,
    #[serde(flatten)]
    pull: Pull,
}

impl Ledger {
    /// The directory for all engines; `None` where neither `XDG_CACHE_HOME` nor `HOME` says where it lies.
    pub(super) fn directory_of_user() -> Option<PathBuf> {
        Some(fsio::cache_of_user()?.join("images"))
    }

    /// The files in `directory` about the engine that calls itself `engine`; `None` where it has no name.
    pub(super) fn at(directory: &Path, engine: &str) -> Option<Self> {
        // An engine's id is its own choice of words.
        let engine: String =
            engine.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        (!engine.is_empty()).then(|| Self { directory: directory.join(engine) })
    }

    /// Notes that the image `id` was pulled, and holds it. What an earlier pull of ours called it is not another's.
    pub(super) async fn note(&self, id: &str, mut pull: Pull) -> io::Result<Use> {
        fs::create_dir_all(&self.directory)?;
        let path = self.path(id);
        loop {
            drop(fs::OpenOptions::new().create(true).append(true).open(&path)?);
            // Whoever removes the image meanwhile removes the file too.
            if let Some(held) = hold(&path).await? {
                let known = pulls_in(&path);
                pull.theirs.retain(|name| {
                    !known.iter().any(|known| known.digest == *name && !known.theirs.contains(name))
                });
                let entry = Entry { format: FORMAT.to_owned(), pull };
                let mut lines = fsio::JsonLines::append_to(&path).map_err(io::Error::other)?;
                lines.push(&entry).map_err(io::Error::other)?;
                return Ok(held);
            }
        }
    }

    /// Holds the image `id` against removal, and makes it the one that was used last; `None` where it is not ours.
    pub(super) async fn hold(&self, id: &str) -> io::Result<Option<Use>> {
        hold(&self.path(id)).await
    }

    /// All that was pulled, what was not used for longest first.
    pub(super) fn records(&self) -> io::Result<Vec<Record>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut records = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(id) = name.strip_suffix(".jsonl") else { continue };
            let (mut names, mut digests, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
            for pull in pulls_in(&entry.path()) {
                names.push(pull.name);
                digests.push(pull.digest);
                theirs.extend(pull.theirs);
            }
            names.dedup();
            // One that another process removed just now is gone.
            let Ok(last_used) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
            records.push(Record { id: format!("sha256:{id}"), names, digests, theirs, last_used });
        }
        records.sort_by(|left, right| (left.last_used, &left.id).cmp(&(right.last_used, &right.id)));
        Ok(records)
    }

    /// The right to remove the image `id`; `None` while a process uses it, or when it is not ours.
    pub(super) fn alone(&self, id: &str) -> io::Result<Option<Alone>> {
        let path = self.path(id);
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        match file.file().try_lock() {
            Ok(()) if is_there(&file)? => Ok(Some(Alone { path, _file: file })),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The right to make room, which one process has at a time; `None` while another has it.
    pub(super) fn making_room(&self) -> io::Result<Option<fs::File>> {
        let directory = match fs::File::open(&self.directory) {
            // Nothing was pulled, so there is nothing to remove.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            directory => directory?,
        };
        match directory.file().try_lock() {
            Ok(()) => Ok(Some(directory)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{}.jsonl", id.trim_start_matches("sha256:")))
    }
}

/// An image that this process uses.
#[derive(Debug)]
pub(super) struct Use {
    file: fs::File,
}

impl Drop for Use {
    fn drop(&mut self) {
        // The time is a hint which image to remove first, no more.
        self.file.file().set_modified(SystemTime::now()).ok();
    }
}

/// An image that no process uses, and none can begin to use.
#[derive(Debug)]
pub(super) struct Alone {
    path: PathBuf,
    _file: fs::File,
}

impl Alone {
    /// Ends what is known of the image, which was removed.
    pub(super) fn forget(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// The pulls in a file. A line that was cut off in the middle tells nothing, and one of a later format is not ours
/// to read.
fn pulls_in(path: &Path) -> Vec<Pull> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
    entries.filter(|entry| entry.format == FORMAT).map(|entry| entry.pull).collect()
}

async fn hold(path: &Path) -> io::Result<Option<Use>> {
    for _ in 0..REMOVAL.0 {
        let file = match fs::OpenOptions::new().append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        match file.file().try_lock_shared() {
            Ok(()) if is_there(&file)? => {
                file.file().set_modified(SystemTime::now())?;
                return Ok(Some(Use { file }));
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => tokio::time::sleep(REMOVAL.1).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("`{}` stays locked", path.display())))
}

/// Whether the file still has its name: who removed it did so under the lock.
fn is_there(file: &fs::File) -> io::Result<bool> {
    Ok(0 < file.metadata()?.nlink())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let room = tempfile::tempdir().unwrap();
        let ledger = Ledger { directory: room.path().join("engine") };
        (room, ledger)
    }

    fn pull(name: &str, theirs: &[&str]) -> Pull {
        let theirs = theirs.iter().map(|name| (*name).to_owned()).collect();
        Pull { name: name.to_owned(), digest: "x@sha256:1".to_owned(), theirs }
    }

    #[tokio::test]
    async fn what_we_pulled_before_is_not_anothers() {
        let (_room, ledger) = ledger();
        for id in ["sha256:ours", "sha256:theirs"] {
            let before: &[&str] = if id == "sha256:theirs" { &["x@sha256:1"] } else { &[] };
            drop(ledger.note(id, pull("x:1", before)).await.unwrap());
            drop(ledger.note(id, pull("x:2", &["x@sha256:1", "y:1"])).await.unwrap());
        }
        let theirs: Vec<_> = ledger.records().unwrap().into_iter().map(|record| record.theirs).collect();
        assert_eq!(theirs, [vec!["y:1"], vec!["x@sha256:1", "x@sha256:1", "y:1"]]);
    }

    #[tokio::test]
    async fn what_was_used_last_is_last() {
        let (_room, ledger) = ledger();
        for id in ["sha256:a", "sha256:b", "sha256:c"] {
            ledger.note(id, pull("x:1", &[])).await.unwrap();
        }
        ledger.hold("sha256:a").await.unwrap().unwrap();
        let ids = ledger.records().unwrap().into_iter().map(|record| record.id);
        assert_eq!(ids.collect::<Vec<_>>(), ["sha256:b", "sha256:c", "sha256:a"]);
    }

    #[tokio::test]
    async fn what_is_used_cannot_be_removed_and_what_is_removed_cannot_be_used() {
        let (_room, ledger) = ledger();
        let first = ledger.note("sha256:a", pull("x:1", &[])).await.unwrap();
        let second = ledger.hold("sha256:a").await.unwrap().unwrap();
        drop(first);
        assert!(ledger.alone("sha256:a").unwrap().is_none());
        drop(second);
        let alone = ledger.alone("sha256:a").unwrap().unwrap();
        let waiting = ledger.hold("sha256:a");
        alone.forget().unwrap();
        assert!(waiting.await.unwrap().is_none());
        assert!(ledger.hold("sha256:a").await.unwrap().is_none() && ledger.records().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_line_that_was_cut_off_spoils_nothing() {
        let (_room, ledger) = ledger();
        drop(ledger.note("sha256:a", pull("x:1", &[])).await.unwrap());
        let path = ledger.path("sha256:a");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{\"form")).unwrap();
        assert_eq!(ledger.records().unwrap()[0].names, ["x:1"]);
        drop(ledger.note("sha256:a", pull("x:2", &[])).await.unwrap());
        assert_eq!(ledger.records().unwrap()[0].names, ["x:1", "x:2"]);
    }

    #[test]
    fn only_one_makes_room_at_a_time() {
        let (_room, ledger) = ledger();
        assert!(ledger.making_room().unwrap().is_none(), "there is nothing to remove");
        fs::create_dir_all(&ledger.directory).unwrap();
        let first = ledger.making_room().unwrap();
        assert!(first.is_some() && ledger.making_room().unwrap().is_none());
        drop(first);
        assert!(ledger.making_room().unwrap().is_some());
    }
}

//! Starts that are kept: what a task's set-up left in a sandbox, as a file that others take over.
//!
//! One directory for each start, named by a digest of all that it depends on. Guarantees that one that is
//! found is whole (it is made beside its place and renamed into it), that one process at a time makes it
//! while the others wait for it, and that none is removed while it is used. What killed processes left is
//! found and removed by [`Starts::stale`]. Does not know what a start depends on: `ready` does.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use serde::{Deserialize, Serialize};

pub(in crate::sandbox) use super::rootfs::host;
use super::rootfs::{alone, names};
use super::{Kept, SandboxError};

/// Name and version in the first field of every record.
const FORMAT: &str = "apprentice.start/1";
/// What is known of a start.
const RECORD: &str = "start.json";
/// What its set-up left; absent where that could not be kept.
const FILES: &str = "files";
/// What a directory is called while it is made.
const MAKING: &str = ".making-";
/// The directory of the locks of those who make one. They are few and stay, because a lock that is removed
/// can be held by two.
const LOCKS: &str = "locks";
/// Bytes of the length that a file of differences begins with.
const LENGTH: usize = 8;

/// Where starts are kept.
#[derive(Debug, Clone)]
pub struct Starts {
    directory: PathBuf,
}

/// A start that was found, held against its removal.
#[derive(Debug)]
pub struct Found {
    record: Record,
    files: PathBuf,
    _held: fs::File,
}

/// The right to make one start.
#[derive(Debug)]
pub struct Turn {
    making: tempfile::TempDir,
    place: PathBuf,
    _lock: fs::File,
}

/// A start that nothing has used for a while, or that a killed process left half made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// Its digest, or what it was called while it was made.
    pub id: String,
    /// The task that it was made for; empty for one that was half made.
    pub task: String,
    #[serde(skip)]
    path: PathBuf,
}

/// What is known of a start.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    format: String,
    /// The task that it was first made for.
    task: String,
    /// Why its files are not kept, so that the set-up is done in every sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_kept: Option<String>,
}

impl Starts {
    /// The starts below `cache`.
    pub fn below(cache: &Path) -> Self {
        Self { directory: cache.join("starts") }
    }

    /// The start of this digest, if it was made.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when the disk fails.
    pub fn find(&self, digest: &str) -> Result<Option<Found>, SandboxError> {
        let place = self.directory.join(digest);
        let look = || -> io::Result<Option<Found>> {
            let held = match fs::File::open(&place) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                held => held?,
            };
            // Whoever removes it holds the lock alone, and what it leaves is no start.
            held.file().lock_shared()?;
            let Some(record) = read_record(&place) else { return Ok(None) };
            // The time of its last use, for `stale`.
            fs::OpenOptions::new()
                .append(true)
                .open(place.join(RECORD))?
                .file()
                .set_modified(SystemTime::now())?;
            Ok(Some(Found { record, files: place.join(FILES), _held: held }))
        };
        look().map_err(host("read", &place))
    }

    /// Waits for the right to make the start of this digest. Another may have made it meanwhile.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when the disk fails.
    pub async fn turn(&self, digest: &str) -> Result<Turn, SandboxError> {
        let (starts, digest) = (self.clone(), digest.to_owned());
        let turn = tokio::task::spawn_blocking(move || starts.wait_for_turn(&digest)).await;
        let turn = turn.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        turn.map_err(host("make a start in", &self.directory))
    }

    fn wait_for_turn(&self, digest: &str) -> io::Result<Turn> {
        let lock = self.lock(digest)?;
        lock.file().lock()?;
        // Nobody else makes it now, so what is there was left by one that was killed.
        for left in
            names(&self.directory)?.iter().filter(|name| name.starts_with(&format!("{MAKING}{digest}-")))
        {
            fs::remove_dir_all(self.directory.join(left))?;
        }
        let making =
            tempfile::Builder::new().prefix(&format!("{MAKING}{digest}-")).tempdir_in(&self.directory)?;
        Ok(Turn { making, place: self.directory.join(digest), _lock: lock })
    }

    /// The lock of a digest, which it may share with others.
    fn lock(&self, digest: &str) -> io::Result<fs::File> {
        let locks = self.directory.join(LOCKS);
        fs::create_dir_all(&locks)?;
        let name: String = digest.chars().take(2).collect();
        fs::OpenOptions::new().create(true).append(true).open(locks.join(name))
    }

    /// Lists what was not used for `unused`, and what killed processes left half made.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when the directory cannot be read.
    pub fn stale(&self, unused: Duration) -> Result<Vec<Stale>, SandboxError> {
        let look = || -> io::Result<Vec<Stale>> {
            let mut stale = Vec::new();
            for id in names(&self.directory)?.into_iter().filter(|id| id != LOCKS) {
                let path = self.directory.join(&id);
                if let Some(digest) = id.strip_prefix(MAKING) {
                    if self.lock(digest)?.file().try_lock().is_ok() {
                        stale.push(Stale { id, task: String::new(), path });
                    }
                } else if let Some(record) = read_record(&path)
                    && age(&path.join(RECORD))? > unused
                {
                    stale.push(Stale { id, task: record.task, path });
                }
            }
            Ok(stale)
        };
        look().map_err(host("list", &self.directory))
    }

    /// Removes what [`Starts::stale`] listed; says `false` of one that is in use.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when it cannot be removed.
    pub fn remove(&self, stale: &Stale) -> Result<bool, SandboxError> {
        let remove = || -> io::Result<bool> {
            let Some(_alone) = alone(&stale.path)? else { return Ok(false) };
            // Without its record it is no start, so that one that is half removed is none.
            match fs::remove_file(stale.path.join(RECORD)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            fs::remove_dir_all(&stale.path)?;
            Ok(true)
        };
        remove().map_err(host("remove", &stale.path))
    }
}

impl Found {
    /// What the set-up left, or why that was not kept.
    pub fn files(&self) -> Result<&Path, &str> {
        match &self.record.not_kept {
            None => Ok(&self.files),
            Some(why) => Err(why),
        }
    }
}

impl Turn {
    /// The file for [`Sandbox::keep`](super::Sandbox::keep).
    pub fn files(&self) -> PathBuf {
        self.making.path().join(FILES)
    }

    /// Puts what was made in its place.
    ///
    /// # Errors
    /// [`SandboxError::Host`] when the disk fails.
    pub fn place(self, task: &str, kept: &Kept) -> Result<(), SandboxError> {
        let not_kept = match kept {
            Kept::Whole => None,
            Kept::Not(why) => Some(why.clone()),
        };
        let record = Record { format: FORMAT.to_owned(), task: task.to_owned(), not_kept };
        let place = || -> io::Result<()> {
            if record.not_kept.is_some() && self.files().exists() {
                fs::remove_file(self.files())?;
            }
            fs::write(self.making.path().join(RECORD), serde_json::to_string(&record)?)?;
            match fs::rename(self.making.path(), &self.place) {
                Ok(()) => Ok(()),
                // One that is half removed is in the way; it is no start.
                Err(_) if self.place.is_dir() && read_record(&self.place).is_none() => {
                    fs::remove_dir_all(&self.place)?;
                    fs::rename(self.making.path(), &self.place)
                }
                Err(error) => Err(error),
            }
        };
        place().map_err(host("keep a start in", &self.place))
    }
}

fn read_record(place: &Path) -> Option<Record> {
    let text = fs::read_to_string(place.join(RECORD)).ok()?;
    serde_json::from_str(&text).ok().filter(|record: &Record| record.format == FORMAT)
}

fn age(path: &Path) -> io::Result<Duration> {
    // A time in the future is one of a clock that was set back.
    Ok(SystemTime::now().duration_since(fs::metadata(path)?.modified()?).unwrap_or_default())
}

/// What a file of differences begins with: the paths that are gone.
pub(in crate::sandbox) fn head(gone: &[u8]) -> Vec<u8> {
    let mut head = (gone.len() as u64).to_le_bytes().to_vec();
    head.extend_from_slice(gone);
    head
}

/// Opens a file of differences: the paths that are gone, and the archive of what is new.
pub(in crate::sandbox) fn open(path: &Path) -> io::Result<(Vec<u8>, fs::File)> {
    let mut file = fs::File::open(path)?;
    let mut length = [0; LENGTH];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > file.metadata()?.len() {
        return Err(io::Error::other(format!("`{}` is cut off", path.display())));
    }
    let mut gone = vec![0; length as usize];
    file.read_exact(&mut gone)?;
    Ok((gone, file))
}

/// Whether files that were left out for want of room spoil what was kept.
pub(in crate::sandbox) fn whole_unless(left_out: &[String]) -> Kept {
    match left_out.first() {
        None => Kept::Whole,
        Some(path) => {
            Kept::Not(format!("its files are larger than `limits.disk_mib` allows, such as `{path}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789";

    fn starts() -> (tempfile::TempDir, Starts) {
        let dir = tempfile::tempdir().unwrap();
        let starts = Starts::below(dir.path());
        (dir, starts)
    }

    #[tokio::test]
    async fn a_start_is_found_only_when_it_is_whole() {
        let (_dir, starts) = starts();
        assert!(starts.find(DIGEST).unwrap().is_none());
        let turn = starts.turn(DIGEST).await.unwrap();
        fs::write(turn.files(), head(b"gone\0")).unwrap();
        assert!(starts.find(DIGEST).unwrap().is_none(), "it is not placed yet");
        turn.place("t", &Kept::Whole).unwrap();
        let found = starts.find(DIGEST).unwrap().unwrap();
        assert_eq!(open(found.files().unwrap()).unwrap().0, b"gone\0");
        assert_eq!(names(&starts.directory).unwrap(), [DIGEST, LOCKS]);
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_nothing_and_frees_the_turn() {
        let (_dir, starts) = starts();
        let turn = starts.turn(DIGEST).await.unwrap();
        fs::write(turn.files(), "half").unwrap();
        drop(turn);
        assert_eq!(names(&starts.directory).unwrap(), [LOCKS]);
        drop(starts.turn(DIGEST).await.unwrap());
    }

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_finds_what_it_made() {
        let (_dir, starts) = starts();
        let turn = starts.turn(DIGEST).await.unwrap();
        let second = tokio::spawn({
            let starts = starts.clone();
            async move {
                let _turn = starts.turn(DIGEST).await.unwrap();
                starts.find(DIGEST).unwrap().is_some()
            }
        });
        turn.place("t", &Kept::Not("it runs on".to_owned())).unwrap();
        assert!(second.await.unwrap());
        assert_eq!(starts.find(DIGEST).unwrap().unwrap().files(), Err("it runs on"));
    }

    #[tokio::test]
    async fn only_what_is_unused_and_held_by_nobody_is_removed() {
        let (_dir, starts) = starts();
        starts.turn(DIGEST).await.unwrap().place("t", &Kept::Not(String::new())).unwrap();
        assert_eq!(starts.stale(Duration::from_secs(3600)).unwrap(), []);
        let stale = starts.stale(Duration::ZERO).unwrap();
        assert_eq!((stale.len(), stale[0].task.as_str()), (1, "t"));
        let held = starts.find(DIGEST).unwrap();
        assert!(!starts.remove(&stale[0]).unwrap());
        drop(held);
        assert!(starts.remove(&stale[0]).unwrap());
        assert!(starts.find(DIGEST).unwrap().is_none());
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_stale_and_what_is_being_made_is_not() {
        let (_dir, starts) = starts();
        let turn = starts.turn(DIGEST).await.unwrap();
        assert_eq!(starts.stale(Duration::ZERO).unwrap(), []);
        drop(turn);
        fs::create_dir(starts.directory.join(format!("{MAKING}{DIGEST}-x"))).unwrap();
        let stale = starts.stale(Duration::ZERO).unwrap();
        assert!(starts.remove(&stale[0]).unwrap());
        assert_eq!(names(&starts.directory).unwrap(), [LOCKS]);
    }
}

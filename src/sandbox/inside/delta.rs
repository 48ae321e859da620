//! What differs in a sandbox from its start, packed for the manager, and unpacked in another sandbox.
//!
//! For sandboxes whose files the manager cannot see from outside. Guarantees that what a command cannot
//! hide (inode and time of change are the kernel's) is found, that links are never followed, and that
//! an archive is no larger than its bound whatever the files claim to be. Runs in the child.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use tar::{Builder, EntryType, Header};

/// How everything below some directories looks at a moment.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Picture {
    traces: BTreeMap<PathBuf, Trace>,
    /// Directories that root without privileges may not look into, because the agent closed them: what they
    /// hold counts as unchanged.
    closed: Vec<PathBuf>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trace {
    inode: u64,
    changed: (i64, i64),
    mode: u32,
    size: u64,
}

impl Trace {
    fn kind(self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Whether `self` may be anything else than `earlier` was. What a directory holds is told by its entries.
    fn differs_from(self, earlier: Self) -> bool {
        match (self.kind(), earlier.kind()) {
            (FileType::Directory, FileType::Directory) => self.mode != earlier.mode,
            _ => self != earlier,
        }
    }
}

impl Picture {
    /// Looks at everything below `roots`, but for what is mounted there and no root itself.
    pub(in crate::sandbox) fn take(roots: &[PathBuf]) -> io::Result<Self> {
        let (mut traces, mut closed) = (BTreeMap::new(), Vec::new());
        let mut pending: Vec<(PathBuf, Option<u64>)> =
            roots.iter().map(|root| (root.clone(), None)).collect();
        while let Some((directory, device)) = pending.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                // Removed meanwhile, or deeper than a path can say.
                Err(error) if is_elsewhere(&error) => continue,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    closed.push(directory);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let device = match device {
                Some(device) => device,
                // A root that was removed meanwhile has no entries either.
                None => std::fs::metadata(&directory).map_or(0, |metadata| metadata.dev()),
            };
            for entry in entries {
                let path = entry?.path();
                let metadata = match std::fs::symlink_metadata(&path) {
                    Ok(metadata) => metadata,
                    Err(error) if is_elsewhere(&error) => continue,
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        closed.push(path);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                let trace = Trace {
                    inode: metadata.ino(),
                    changed: (metadata.ctime(), metadata.ctime_nsec()),
                    mode: metadata.mode(),
                    size: metadata.len(),
                };
                // Of an overlay only directories tell the device by which it is known.
                let is_mount = metadata.is_dir() && metadata.dev() != device;
                if traces.insert(path.clone(), trace).is_none() && metadata.is_dir() && !is_mount {
                    pending.push((path, Some(device)));
                }
            }
        }
        Ok(Self { traces, closed })
    }

    /// What differs from `self` to `later`, of the paths that `counts` accepts.
    pub(in crate::sandbox) fn to(&self, later: &Self, counts: impl Fn(&Path) -> bool) -> Delta {
        let mut delta = Delta::default();
        let is_closed = |path: &Path| {
            later.closed.iter().any(|closed| path.starts_with(closed) && !later.traces.contains_key(path))
        };
        for (path, trace) in self.traces.iter().rev().filter(|(path, _)| counts(path) && !is_closed(path)) {
            let is_kept = later.traces.get(path).is_some_and(|now| now.kind() == trace.kind());
            if !is_kept {
                delta.gone.push(path.clone());
            }
        }
        for (path, trace) in later.traces.iter().filter(|(path, _)| counts(path)) {
            if self.traces.get(path).is_none_or(|earlier| trace.differs_from(*earlier)) {
                delta.new.push((path.clone(), *trace));
            }
        }
        delta
    }
}

fn is_elsewhere(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(libc::ENAMETOOLONG)
        || error.kind() == io::ErrorKind::InvalidFilename
}

/// What differs between two pictures.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Delta {
    /// What is no longer there, or is of another kind now; what lies deeper comes first.
    gone: Vec<PathBuf>,
    /// What is new or changed; a directory comes before what it holds.
    new: Vec<(PathBuf, Trace)>,
}

impl Delta {
    /// Leaves out files that would take the archive beyond `bytes`; gives their paths.
    pub(in crate::sandbox) fn keep_within(&mut self, bytes: u64) -> Vec<String> {
        let (mut left, mut left_out) = (bytes, Vec::new());
        self.new.retain(|(path, trace)| {
            let size = if trace.kind() == FileType::RegularFile { trace.size } else { 0 };
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => left_out.push(path.to_string_lossy().into_owned()),
            }
            left_out.last().is_none_or(|last| Path::new(last) != path)
        });
        left_out
    }

    /// The paths that are gone, each ended by a NUL.
    pub(in crate::sandbox) fn gone(&self) -> Vec<u8> {
        self.gone.iter().flat_map(|path| path.as_os_str().as_bytes().iter().copied().chain([0])).collect()
    }

    /// Writes what is new as a tar archive.
    pub(in crate::sandbox) fn pack(&self, to: impl Write) -> io::Result<()> {
        let mut builder = Builder::new(to);
        for (path, trace) in &self.new {
            match append(&mut builder, path, *trace) {
                Err(error) if is_elsewhere(&error) || error.kind() == io::ErrorKind::PermissionDenied => {}
                done => done?,
            }
        }
        builder.into_inner()?.flush()
    }
}

fn append(builder: &mut Builder<impl Write>, path: &Path, trace: Trace) -> io::Result<()> {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let mut header = Header::new_gnu();
    header.set_mode(trace.mode & 0o7777);
    header.set_mtime(fs::symlink_metadata(path)?.mtime().max(0) as u64);
    header.set_size(0);
    match trace.kind() {
        FileType::Directory => {
            header.set_entry_type(EntryType::Directory);
            builder.append_data(&mut header, inside, io::empty())
        }
        FileType::Symlink => {
            header.set_entry_type(EntryType::Symlink);
            builder.append_link(&mut header, inside, fs::read_link(path)?)
        }
        FileType::Fifo => {
            header.set_entry_type(EntryType::Fifo);
            builder.append_data(&mut header, inside, io::empty())
        }
        FileType::RegularFile => {
            // It may have turned into something else, or have another size, by now.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(file) = rustix::fs::openat(CWD, path, flags, Mode::empty()) else { return Ok(()) };
            if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
                return Ok(());
            }
            header.set_entry_type(EntryType::Regular);
            header.set_size(trace.size);
            let bytes = std::fs::File::from(file).chain(io::repeat(0)).take(trace.size);
            builder.append_data(&mut header, inside, bytes)
        }
        _ => Ok(()),
    }
}

/// Removes the paths in `gone`, each ended by a NUL, and unpacks `archive`, as the user of this process.
pub(in crate::sandbox) fn unpack(gone: &[u8], archive: impl Read) -> io::Result<()> {
    for path in gone.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        remove(&PathBuf::from(std::ffi::OsString::from_vec(path.to_vec())))?;
    }
    let mut archive = tar::Archive::new(archive);
    let mut directories = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = Path::new("/").join(entry.path()?);
        let mode = entry.header().mode()?;
        match entry.header().entry_type() {
            EntryType::Directory => {
                fs::create_dir_all(&path)?;
                directories.push((path, mode));
            }
            EntryType::Fifo => {
                rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(mode & 0o777), 0)?;
            }
            _ => {
                entry.set_preserve_permissions(true);
                entry.unpack(&path)?;
            }
        }
    }
    // Last, because files must be made in directories that nobody may write to afterwards.
    for (path, mode) in directories.iter().rev() {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode & 0o7777))?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if is_elsewhere(&error) => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn moved(base: &Path, delta: &Delta, to: &Path) -> Vec<u8> {
        // The archive names absolute paths; the test's other sandbox is another directory.
        let mut bytes = Vec::new();
        delta.pack(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut builder = Builder::new(Vec::new());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = Path::new("/").join(entry.path().unwrap());
            let path = to.join(path.strip_prefix(base).unwrap());
            let mut header = entry.header().clone();
            let inside = path.strip_prefix("/").unwrap().to_owned();
            let target = entry.link_name().unwrap().map(std::borrow::Cow::into_owned);
            if let Some(target) = target {
                builder.append_link(&mut header, inside, target).unwrap();
                continue;
            }
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            builder.append_data(&mut header, inside, contents.as_slice()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_second_place_becomes_like_the_first() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for base in [one.path(), two.path()] {
            fs::create_dir_all(base.join("dir/sub")).unwrap();
            for name in ["same", "edited", "gone", "dir/sub/deep", "becomes"] {
                fs::write(base.join(name), name).unwrap();
            }
        }
        let (one, two) = (one.path(), two.path());
        let roots = [one.to_owned()];
        let start = Picture::take(&roots).unwrap();
        assert!(start.to(&Picture::take(&roots).unwrap(), |_| true).new.is_empty());
        fs::write(one.join("edited"), "other").unwrap();
        fs::remove_file(one.join("gone")).unwrap();
        fs::remove_dir_all(one.join("dir/sub")).unwrap();
        fs::remove_file(one.join("becomes")).unwrap();
        fs::create_dir(one.join("becomes")).unwrap();
        fs::write(one.join("becomes/inner"), "x").unwrap();
        fs::set_permissions(one.join("becomes"), PermissionsExt::from_mode(0o555)).unwrap();
        std::os::unix::fs::symlink("/nowhere", one.join("link")).unwrap();
        let delta = start.to(&Picture::take(&roots).unwrap(), |_| true);
        assert_eq!(delta.new.len(), 4, "{delta:?}");
        let gone = String::from_utf8(delta.gone()).unwrap();
        let gone = gone.replace(one.to_str().unwrap(), two.to_str().unwrap());
        unpack(gone.as_bytes(), moved(one, &delta, two).as_slice()).unwrap();
        let listing = |base: &Path| -> Vec<(PathBuf, u32, u64)> {
            let picture = Picture::take(&[base.to_owned()]).unwrap();
            picture
                .traces
                .iter()
                .map(|(path, trace)| (path.strip_prefix(base).unwrap().to_owned(), trace.mode, trace.size))
                .filter(|(path, ..)| !path.ends_with("dir"))
                .collect()
        };
        assert_eq!(listing(one), listing(two));
        assert_eq!(fs::read_to_string(two.join("edited")).unwrap(), "other");
    }

    #[test]
    fn what_is_too_large_is_left_out_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let roots = [dir.path().to_owned()];
        let start = Picture::take(&roots).unwrap();
        fs::write(dir.path().join("small"), "x").unwrap();
        fs::File::create(dir.path().join("huge")).unwrap().set_len(1 << 40).unwrap();
        let mut delta = start.to(&Picture::take(&roots).unwrap(), |_| true);
        let left_out = delta.keep_within(1000);
        assert_eq!((left_out.len(), delta.new.len()), (1, 1));
        assert!(left_out[0].ends_with("/huge"));
    }
}

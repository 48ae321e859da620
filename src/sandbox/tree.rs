//! Differences between a sandbox's work directory and its start.
//!
//! The host compares bytes it read itself; the agent's `.git` is never asked, and links are never
//! followed. Guarantees that what is not told of is listed, with the reason. Does not know which paths a
//! repository ignores (`extract` does), nor empty directories, sockets, pipes and devices, which git cannot hold.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::patch::{Change, File, LeftOut, Mode, Why};
use crate::sandbox::SandboxError;

/// The name that is never looked at, at any depth.
const GIT_DIRECTORY: &str = ".git";

/// Bytes that differences may hold together: an agent makes any number of large files without content,
/// or of links to one file. What does not fit counts as unchanged, and is said.
pub const CHANGED_BYTES: u64 = 256 << 20;

/// How a work directory differs from its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// What differs, sorted by path.
    pub changes: Vec<Change>,
    /// What may differ and is not told: it counts as unchanged.
    pub left_out: Vec<LeftOut>,
}

/// What is left of [`CHANGED_BYTES`], and what found no room.
#[derive(Debug)]
pub struct Room {
    bytes: u64,
    left_out: Vec<LeftOut>,
}

impl Default for Room {
    fn default() -> Self {
        Self { bytes: CHANGED_BYTES, left_out: Vec::new() }
    }
}

impl Room {
    /// Whether a file of this size could be held at all.
    pub fn could_hold(bytes: u64) -> bool {
        bytes <= CHANGED_BYTES
    }

    /// Takes the room that the file at `path` needs; notes when there is not so much.
    pub fn take(&mut self, path: &str, file: File) -> Option<File> {
        let Some(left) = self.bytes.checked_sub(file.bytes.len() as u64) else {
            self.leave_out(path, Why::TooLarge);
            return None;
        };
        self.bytes = left;
        Some(file)
    }

    /// Notes that a path is not told of.
    pub fn leave_out(&mut self, path: impl Into<String>, why: Why) {
        self.left_out.push(LeftOut { path: path.into(), why });
    }

    /// What was not told of.
    pub fn left_out(self) -> Vec<LeftOut> {
        self.left_out
    }
}

/// All files and links below a directory, by path.
pub type Tree = BTreeMap<String, File>;

/// Whether `path` is `.git` or lies in one.
pub fn is_git(path: &str) -> bool {
    path.split('/').any(|part| part == GIT_DIRECTORY)
}

/// Whether `path` is a `.git` below the top, which a student may have made: the top one is the task's own.
pub fn is_nested_repository(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(above, name)| name == GIT_DIRECTORY && !is_git(above))
}

/// Reads everything below `dir`.
///
/// # Errors
/// [`SandboxError::Host`] when a file cannot be read.
pub fn read(dir: &Path) -> Result<Tree, SandboxError> {
    let mut tree = Tree::new();
    for path in paths(dir)? {
        if let Some(entry) = entry(&dir.join(&path))? {
            tree.insert(path, entry);
        }
    }
    Ok(tree)
}

/// Says what differs from `before` to `after`, sorted by path.
pub fn changes(before: &Tree, after: &Tree) -> Vec<Change> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| Change {
            path: path.clone(),
            before: before.get(path).cloned(),
            after: after.get(path).cloned(),
        })
        .collect()
}

/// Says what differs from the directory `before` to the directory `after`, holding one pair of files at
/// a time beside the result.
///
/// # Errors
/// [`SandboxError::Host`] when a file cannot be read.
pub fn compare(before: &Path, after: &Path) -> Result<Vec<Change>, SandboxError> {
    let paths: BTreeSet<String> = paths(before)?.into_iter().chain(paths(after)?).collect();
    let mut changes = Vec::new();
    for path in paths {
        let (old, new) = (entry(&before.join(&path))?, entry(&after.join(&path))?);
        if old != new {
            changes.push(Change { path, before: old, after: new });
        }
    }
    Ok(changes)
}

/// Lists the files and links below `dir`.
fn paths(dir: &Path) -> Result<Vec<String>, SandboxError> {
    let mut found = Vec::new();
    let mut pending = vec![String::new()];
    while let Some(parent) = pending.pop() {
        let path = dir.join(&parent);
        for item in fs_err::read_dir(&path).map_err(host("list", &path))? {
            let item = item.map_err(host("list", &path))?;
            // A sandbox says of such a name that it leaves it out.
            let Ok(name) = item.file_name().into_string() else { continue };
            if name == GIT_DIRECTORY {
                continue;
            }
            let child = if parent.is_empty() { name } else { format!("{parent}/{name}") };
            let kind = item.file_type().map_err(host("inspect", &item.path()))?;
            if kind.is_dir() {
                pending.push(child);
            } else {
                found.push(child);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads one path without following a link; `None` for what is not there or git cannot hold.
fn entry(path: &Path) -> Result<Option<File>, SandboxError> {
    let metadata = match fs_err::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(host("inspect", path)(error)),
    };
    if metadata.is_symlink() {
        let target = fs_err::read_link(path).map_err(host("read", path))?;
        return Ok(Some(File { bytes: target.as_os_str().as_bytes().to_vec(), mode: Mode::Link }));
    }
    if !metadata.is_file() {
        return Ok(None);
    }
    let bytes = fs_err::read(path).map_err(host("read", path))?;
    Ok(Some(File { bytes, mode: Mode::of_file(metadata.permissions().mode()) }))
}

fn host(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SandboxError {
    let path = path.to_owned();
    move |source| SandboxError::Host { doing, path, source }
}

/// Reads a tar stream whose entries lie below `root` (a directory name, or empty for the top).
///
/// # Errors
/// When the stream is not a whole tar archive.
#[cfg(feature = "docker")]
pub fn read_tar(stream: impl io::Read, root: &str) -> io::Result<Tree> {
    let mut tree = Tree::new();
    each_in_tar(stream, root, |path, item| {
        let file = match item {
            TarItem::File(file) => Some(file),
            TarItem::SameAs(target) => tree.get(&target).cloned(),
            TarItem::LeftOut(_) => None,
        };
        tree.extend(file.map(|file| (path, file)));
        Ok(())
    })?;
    Ok(tree)
}

/// What a sandbox tells of what it may have changed, beside an archive of what is new.
#[cfg(feature = "docker")]
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Paths that are gone, or `None` when the archive holds all that is there.
    pub gone: Option<BTreeSet<String>>,
    /// Paths that the archive leaves out.
    pub left_out: Vec<LeftOut>,
}

/// Says what differs from `before` to a sandbox, as [`compare_delta`] does.
///
/// # Errors
/// When the stream is not a whole tar archive.
#[cfg(feature = "docker")]
pub fn compare_tree_delta(
    before: &Tree,
    told: Told,
    stream: impl io::Read,
    root: &str,
) -> io::Result<Compared> {
    let gone = told.gone.unwrap_or_else(|| before.keys().cloned().collect());
    compare_with_tar((gone, told.left_out), |path| Ok(before.get(path).cloned()), stream, root)
}

/// Says what differs from the directory `before` to a sandbox that told what it may have changed, with a tar
/// stream of what is new, whose entries lie below `root`. Holds one file at a time beside the result.
///
/// # Errors
/// When the stream is not a tar archive or a file of `before` cannot be read.
#[cfg(feature = "docker")]
pub fn compare_delta(before: &Path, told: Told, stream: impl io::Read, root: &str) -> io::Result<Compared> {
    let old = |path: &str| entry(&before.join(path)).map_err(io::Error::other);
    let gone = match told.gone {
        Some(gone) => gone,
        None => paths(before).map_err(io::Error::other)?.into_iter().collect(),
    };
    compare_with_tar((gone, told.left_out), old, stream, root)
}

#[cfg(feature = "docker")]
fn compare_with_tar(
    (mut gone, left_out): (BTreeSet<String>, Vec<LeftOut>),
    old: impl Fn(&str) -> io::Result<Option<File>>,
    stream: impl io::Read,
    root: &str,
) -> io::Result<Compared> {
    let mut room = Room { left_out, ..Room::default() };
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    each_in_tar(stream, root, |path, item| {
        let new = match item {
            TarItem::File(file) => Some(file),
            TarItem::SameAs(target) => match changes.get(&target) {
                Some(change) => change.after.clone(),
                None => old(&target)?,
            },
            TarItem::LeftOut(why) => {
                room.leave_out(path, why);
                return Ok(());
            }
        };
        gone.remove(&path);
        let before = old(&path)?;
        if before == new {
            return Ok(());
        }
        let after = match new {
            None => None,
            Some(new) => match room.take(&path, new) {
                Some(new) => Some(new),
                None => return Ok(()),
            },
        };
        changes.insert(path.clone(), Change { path, before, after });
        Ok(())
    })?;
    let left_out = room.left_out();
    for path in gone {
        // What was left out counts as unchanged, also where another kind of file was there.
        if left_out.iter().any(|left_out| left_out.path == path) || is_git(&path) {
            continue;
        }
        if let Some(before) = old(&path)? {
            changes.insert(path.clone(), Change { path, before: Some(before), after: None });
        }
    }
    Ok(Compared { changes: changes.into_values().collect(), left_out })
}

/// What a tar archive holds at a path.
#[cfg(feature = "docker")]
enum TarItem {
    File(File),
    /// A hard link to an earlier path.
    SameAs(String),
    /// Nothing that is told of.
    LeftOut(Why),
}

#[cfg(feature = "docker")]
fn each_in_tar(
    stream: impl io::Read,
    root: &str,
    mut take: impl FnMut(String, TarItem) -> io::Result<()>,
) -> io::Result<()> {
    let is_cut = std::cell::Cell::new(false);
    let mut archive = tar::Archive::new(Whole { stream, is_cut: &is_cut });
    for item in archive.entries()? {
        let mut item = item?;
        let Some(path) = below(&item.path_bytes(), root).map(<[u8]>::to_vec) else { continue };
        let path = match String::from_utf8(path) {
            Ok(path) => path,
            Err(error) => {
                take(String::from_utf8_lossy(error.as_bytes()).into_owned(), TarItem::LeftOut(Why::Name))?;
                continue;
            }
        };
        if is_git(&path) {
            if is_nested_repository(&path) {
                take(path, TarItem::LeftOut(Why::Repository))?;
            }
            continue;
        }
        let header = item.header();
        match header.entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous if !Room::could_hold(item.size()) => {
                take(path, TarItem::LeftOut(Why::TooLarge))?;
            }
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                let mode = Mode::of_file(header.mode()?);
                let mut bytes = Vec::new();
                io::Read::read_to_end(&mut item, &mut bytes)?;
                take(path, TarItem::File(File { bytes, mode }))?;
            }
            tar::EntryType::Symlink => {
                let bytes = item.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
                take(path, TarItem::File(File { bytes, mode: Mode::Link }))?;
            }
            tar::EntryType::Link => {
                let target = item.link_name_bytes();
                let target = target.as_deref().and_then(|target| below(target, root));
                if let Some(target) = target {
                    take(path, TarItem::SameAs(String::from_utf8_lossy(target).into_owned()))?;
                }
            }
            _ => {}
        }
    }
    if is_cut.get() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive was cut off"));
    }
    Ok(())
}

/// Notices the end of a stream. An archive ends with a block of zeros, after which nobody reads on; one
/// that was cut off between two files would pass for a tree without the rest of its files.
#[cfg(feature = "docker")]
struct Whole<'a, R> {
    stream: R,
    is_cut: &'a std::cell::Cell<bool>,
}

#[cfg(feature = "docker")]
impl<R: io::Read> io::Read for Whole<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_read = self.stream.read(buffer)?;
        if n_read == 0 && !buffer.is_empty() {
            self.is_cut.set(true);
        }
        Ok(n_read)
    }
}

/// The path of a tar entry relative to `root`; `None` for `root` itself and what lies outside.
#[cfg(feature = "docker")]
fn below<'a>(path: &'a [u8], root: &str) -> Option<&'a [u8]> {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let path = if root.is_empty() { path } else { path.strip_prefix(root.as_bytes())?.strip_prefix(b"/")? };
    (!path.is_empty() && path != b".").then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a change has an entry or none")]
    fn file(text: &str) -> Option<File> {
        Some(File { bytes: text.as_bytes().to_vec(), mode: Mode::File })
    }

    fn change(path: &str, before: Option<File>, after: Option<File>) -> Change {
        Change { path: path.to_owned(), before, after }
    }

    fn write(path: &Path, entry: &File) {
        if entry.mode == Mode::Link {
            fs_err::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(&entry.bytes), path).unwrap();
            return;
        }
        fs_err::write(path, &entry.bytes).unwrap();
        let bits = if entry.mode == Mode::Executable { 0o755 } else { 0o644 };
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
    }

    #[test]
    fn what_does_not_fit_takes_no_room() {
        let mut room = Room { bytes: 3, left_out: Vec::new() };
        let entry = |text: &str| File { bytes: text.into(), mode: Mode::File };
        assert_eq!(room.take("a", entry("four")), None);
        assert_eq!(room.take("b", entry("two")), Some(entry("two")));
        assert_eq!(room.take("c", entry("x")), None);
        let left_out = |path: &str| LeftOut { path: path.to_owned(), why: Why::TooLarge };
        assert_eq!(room.left_out(), [left_out("a"), left_out("c")]);
    }

    #[test]
    fn compare_follows_no_link_and_skips_git() {
        let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&before, &after] {
            fs_err::create_dir_all(dir.path().join("sub/.git")).unwrap();
            fs_err::write(dir.path().join("sub/same"), "same").unwrap();
            fs_err::write(dir.path().join("sub/.git/HEAD"), dir.path().to_str().unwrap()).unwrap();
        }
        fs_err::os::unix::fs::symlink("/etc/passwd", after.path().join("leak")).unwrap();
        fs_err::os::unix::fs::symlink("/etc", after.path().join("leaks")).unwrap();
        fs_err::write(before.path().join("gone"), "x").unwrap();
        let changes = compare(before.path(), after.path()).unwrap();
        let link = |target: &str| Some(File { bytes: target.as_bytes().to_vec(), mode: Mode::Link });
        assert_eq!(
            changes,
            [
                change("gone", file("x"), None),
                change("leak", None, link("/etc/passwd")),
                change("leaks", None, link("/etc"))
            ]
        );
        assert_eq!(changes, super::changes(&read(before.path()).unwrap(), &read(after.path()).unwrap()));
    }

    #[test]
    #[cfg(feature = "docker")]
    fn a_tar_stream_reads_like_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("work");
        fs_err::create_dir_all(root.join("a/.git")).unwrap();
        fs_err::write(root.join("a/.git/x"), "no").unwrap();
        fs_err::write(root.join(std::ffi::OsStr::from_bytes(b"latin-\xe9")), "no").unwrap();
        fs_err::write(root.join(format!("a/{}", "long".repeat(40))), "long name").unwrap();
        write(&root.join("run"), &File { bytes: b"x".to_vec(), mode: Mode::Executable });
        fs_err::os::unix::fs::symlink("run", root.join("link")).unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        builder.follow_symlinks(false);
        builder.append_dir_all("work", &root).unwrap();
        let bytes = builder.into_inner().unwrap();
        assert_eq!(read_tar(bytes.as_slice(), "work").unwrap(), read(&root).unwrap());
        for n_blocks in 0..bytes.len() / 512 - 2 {
            assert!(read_tar(&bytes[..n_blocks * 512], "work").is_err(), "cut off after {n_blocks} blocks");
        }

        let before = tempfile::tempdir().unwrap();
        fs_err::write(before.path().join("run"), "x").unwrap();
        fs_err::write(before.path().join("gone"), "x").unwrap();
        let told = |gone: Option<&[&str]>| Told {
            gone: gone.map(|gone| gone.iter().map(|path| (*path).to_owned()).collect()),
            left_out: Vec::new(),
        };
        let compared = |told| compare_delta(before.path(), told, bytes.as_slice(), "work").unwrap();
        let all = compared(told(None));
        assert_eq!(all.changes, compare(before.path(), &root).unwrap());
        assert_eq!(all.changes.len(), 4);
        // The repository below the top and the name that is no text are not told of, and said.
        let left_out = [("a/.git", Why::Repository), ("latin-\u{fffd}", Why::Name)]
            .map(|(path, why)| LeftOut { path: path.to_owned(), why });
        assert_eq!(all.left_out.iter().cloned().collect::<BTreeSet<_>>(), BTreeSet::from(left_out));
        assert_eq!(compared(told(Some(&["gone", "never there"]))), all);
        assert_eq!(compared(told(Some(&[]))).changes.len(), 3);
        // What did not fit is unchanged, whatever was there before.
        let too_large = LeftOut { path: "gone".to_owned(), why: Why::TooLarge };
        let too_large = Told { left_out: vec![too_large], ..told(Some(&["gone"])) };
        assert_eq!(compared(too_large).changes.len(), 3);
    }
}

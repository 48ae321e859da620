//! Differences between a sandbox's work directory and its start, and the patch that says them.
//!
//! The host compares bytes it read itself; the agent's `.git` is never asked, and links are never
//! followed. Guarantees git's own text, binary files and modes included. Does not know which paths a
//! repository ignores, nor empty directories, sockets, pipes and devices, which git cannot hold.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::sandbox::SandboxError;

/// The name that is never looked at, at any depth.
const GIT_DIRECTORY: &str = ".git";

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Relative to the work directory, with `/`.
    pub path: String,
    /// What was there at the start.
    pub before: Option<Entry>,
    /// What is there now.
    pub after: Option<Entry>,
}

/// A file or link, as git sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Contents, or a link's target.
    pub bytes: Vec<u8>,
    /// What kind it is.
    pub mode: Mode,
}

/// The modes that git knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 100644.
    File,
    /// 100755.
    Executable,
    /// 120000.
    Link,
}

impl Mode {
    /// The mode of a regular file with the permission bits `bits`.
    pub fn of_file(bits: u32) -> Self {
        if bits & 0o100 == 0 { Self::File } else { Self::Executable }
    }

    fn filemode(self) -> git2::FileMode {
        match self {
            Self::File => git2::FileMode::Blob,
            Self::Executable => git2::FileMode::BlobExecutable,
            Self::Link => git2::FileMode::Link,
        }
    }
}

/// Bytes that differences may hold together: an agent makes any number of large files without content,
/// or of links to one file. What does not fit counts as unchanged, and is said.
pub const CHANGED_BYTES: u64 = 256 << 20;

/// What is left of [`CHANGED_BYTES`].
#[derive(Debug)]
pub struct Room(u64);

impl Default for Room {
    fn default() -> Self {
        Self(CHANGED_BYTES)
    }
}

impl Room {
    /// Whether a file of this size could be held at all.
    pub fn could_hold(bytes: u64) -> bool {
        bytes <= CHANGED_BYTES
    }

    /// Takes the room that the file at `path` needs; says when there is not so much.
    pub fn take(&mut self, path: &str, entry: Entry) -> Option<Entry> {
        let Some(left) = self.0.checked_sub(entry.bytes.len() as u64) else {
            tracing::warn!(path, "left out of the patch: more than {CHANGED_BYTES} bytes differ");
            return None;
        };
        self.0 = left;
        Some(entry)
    }
}

/// All files and links below a directory, by path.
pub type Tree = BTreeMap<String, Entry>;

/// Whether `path` is `.git` or lies in one.
pub fn is_git(path: &str) -> bool {
    path.split('/').any(|part| part == GIT_DIRECTORY)
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
            let name = item.file_name().to_string_lossy().into_owned();
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
fn entry(path: &Path) -> Result<Option<Entry>, SandboxError> {
    let metadata = match fs_err::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(host("inspect", path)(error)),
    };
    if metadata.is_symlink() {
        let target = fs_err::read_link(path).map_err(host("read", path))?;
        return Ok(Some(Entry { bytes: target.as_os_str().as_bytes().to_vec(), mode: Mode::Link }));
    }
    if !metadata.is_file() {
        return Ok(None);
    }
    let bytes = fs_err::read(path).map_err(host("read", path))?;
    Ok(Some(Entry { bytes, mode: Mode::of_file(metadata.permissions().mode()) }))
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
        let entry = match item {
            TarItem::Entry(entry) => entry,
            TarItem::SameAs(target) => match tree.get(&target) {
                Some(entry) => entry.clone(),
                None => return Ok(()),
            },
        };
        tree.insert(path, entry);
        Ok(())
    })?;
    Ok(tree)
}

/// Says what differs from `before` to a sandbox, as [`compare_delta`] does.
///
/// # Errors
/// When the stream is not a whole tar archive.
#[cfg(feature = "docker")]
pub fn compare_tree_delta(
    before: &Tree,
    gone: Option<BTreeSet<String>>,
    stream: impl io::Read,
    root: &str,
) -> io::Result<Vec<Change>> {
    let gone = gone.unwrap_or_else(|| before.keys().cloned().collect());
    compare_with_tar(gone, |path| Ok(before.get(path).cloned()), stream, root)
}

/// Says what differs from the directory `before` to a sandbox that told what it may have changed: paths
/// that are gone, or `None` when the archive holds all that is there; and a tar stream of what is new,
/// whose entries lie below `root`. Holds one file at a time beside the result.
///
/// # Errors
/// When the stream is not a tar archive or a file of `before` cannot be read.
#[cfg(feature = "docker")]
pub fn compare_delta(
    before: &Path,
    gone: Option<BTreeSet<String>>,
    stream: impl io::Read,
    root: &str,
) -> io::Result<Vec<Change>> {
    let old_entry = |path: &str| entry(&before.join(path)).map_err(io::Error::other);
    let gone = match gone {
        Some(gone) => gone,
        None => paths(before).map_err(io::Error::other)?.into_iter().collect(),
    };
    compare_with_tar(gone, old_entry, stream, root)
}

#[cfg(feature = "docker")]
fn compare_with_tar(
    mut gone: BTreeSet<String>,
    old_entry: impl Fn(&str) -> io::Result<Option<Entry>>,
    stream: impl io::Read,
    root: &str,
) -> io::Result<Vec<Change>> {
    let mut room = Room::default();
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    each_in_tar(stream, root, |path, item| {
        let new = match item {
            TarItem::Entry(entry) => Some(entry),
            TarItem::SameAs(target) => match changes.get(&target) {
                Some(change) => change.after.clone(),
                None => old_entry(&target)?,
            },
        };
        gone.remove(&path);
        let old = old_entry(&path)?;
        if old == new {
            return Ok(());
        }
        let after = match new {
            None => None,
            Some(new) => match room.take(&path, new) {
                Some(new) => Some(new),
                None => return Ok(()),
            },
        };
        changes.insert(path.clone(), Change { path, before: old, after });
        Ok(())
    })?;
    for path in gone {
        if let Some(old) = old_entry(&path)? {
            changes.insert(path.clone(), Change { path, before: Some(old), after: None });
        }
    }
    Ok(changes.into_values().collect())
}

/// What a tar archive holds at a path.
#[cfg(feature = "docker")]
enum TarItem {
    Entry(Entry),
    /// A hard link to an earlier path.
    SameAs(String),
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
        let Some(path) = below(&item.path_bytes(), root).filter(|path| !is_git(path)) else { continue };
        let header = item.header();
        match header.entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous if Room::could_hold(item.size()) => {
                let mode = Mode::of_file(header.mode()?);
                let mut bytes = Vec::new();
                io::Read::read_to_end(&mut item, &mut bytes)?;
                take(path, TarItem::Entry(Entry { bytes, mode }))?;
            }
            tar::EntryType::Symlink => {
                let bytes = item.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
                take(path, TarItem::Entry(Entry { bytes, mode: Mode::Link }))?;
            }
            tar::EntryType::Link => {
                let target = item.link_name_bytes().and_then(|target| below(&target, root));
                if let Some(target) = target {
                    take(path, TarItem::SameAs(target))?;
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
fn below(path: &[u8], root: &str) -> Option<String> {
    let path = String::from_utf8_lossy(path);
    let path = path.strip_prefix("./").unwrap_or(&path).trim_end_matches('/');
    let path = if root.is_empty() { path } else { path.strip_prefix(root)?.strip_prefix('/')? };
    (!path.is_empty() && path != ".").then(|| path.to_owned())
}

/// Writes `changes` as one patch in git's format, sorted by path.
///
/// # Errors
/// When libgit2 cannot diff the contents.
pub fn patch(changes: &[Change]) -> Result<String, SandboxError> {
    if changes.is_empty() {
        return Ok(String::new());
    }
    write_patch(changes).map_err(|error| SandboxError::Host {
        doing: "diff the contents of",
        path: changes[0].path.clone().into(),
        source: io::Error::other(error),
    })
}

fn write_patch(changes: &[Change]) -> Result<String, git2::Error> {
    // A repository in memory: nothing of the host's configuration or of the agent's `.git` takes part.
    let odb = git2::Odb::new()?;
    odb.add_new_mempack_backend(1)?;
    let repository = git2::Repository::from_odb(odb)?;
    let before = write_tree(
        &repository,
        changes.iter().filter_map(|change| Some((&change.path, change.before.as_ref()?))),
    )?;
    let after = write_tree(
        &repository,
        changes.iter().filter_map(|change| Some((&change.path, change.after.as_ref()?))),
    )?;
    let mut options = git2::DiffOptions::new();
    options.show_binary(true).indent_heuristic(true);
    let diff = repository.diff_tree_to_tree(Some(&before), Some(&after), Some(&mut options))?;
    let mut text = Vec::new();
    diff.print(git2::DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            text.push(line.origin() as u8);
        }
        text.extend_from_slice(line.content());
        true
    })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn write_tree<'repo, 'entry>(
    repository: &'repo git2::Repository,
    entries: impl Iterator<Item = (&'entry String, &'entry Entry)>,
) -> Result<git2::Tree<'repo>, git2::Error> {
    let empty = repository.find_tree(repository.treebuilder(None)?.write()?)?;
    let mut builder = git2::build::TreeUpdateBuilder::new();
    for (path, entry) in entries {
        builder.upsert(path.as_str(), repository.blob(&entry.bytes)?, entry.mode.filemode());
    }
    let tree = builder.create_updated(repository, &empty)?;
    repository.find_tree(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a change has an entry or none")]
    fn file(text: &str) -> Option<Entry> {
        Some(Entry { bytes: text.as_bytes().to_vec(), mode: Mode::File })
    }

    fn change(path: &str, before: Option<Entry>, after: Option<Entry>) -> Change {
        Change { path: path.to_owned(), before, after }
    }

    /// Applies `text` with git itself to a directory that holds the states before.
    fn applied(changes: &[Change], text: &str) -> Tree {
        let dir = tempfile::tempdir().unwrap();
        for change in changes {
            if let Some(entry) = &change.before {
                let path = dir.path().join(&change.path);
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                write(&path, entry);
            }
        }
        let patch = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(patch.path(), text).unwrap();
        let output = std::process::Command::new("git")
            .args(["apply", "--whitespace=nowarn"])
            .arg(patch.path())
            .current_dir(dir.path())
            .env("GIT_CEILING_DIRECTORIES", "/")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        read(dir.path()).unwrap()
    }

    fn write(path: &Path, entry: &Entry) {
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
        let mut room = Room(3);
        let entry = |text: &str| Entry { bytes: text.into(), mode: Mode::File };
        assert_eq!(room.take("a", entry("four")), None);
        assert_eq!(room.take("b", entry("two")), Some(entry("two")));
        assert_eq!(room.take("c", entry("x")), None);
    }

    #[test]
    fn a_patch_is_gits_own_text() {
        let text = patch(&[
            change("a.txt", file("one\ntwo\n"), file("one\n2\n")),
            change("dir/new.txt", None, file("hi\n")),
            change("old.txt", file("bye"), None),
        ])
        .unwrap();
        assert_eq!(
            text,
            "diff --git a/a.txt b/a.txt\nindex 814f4a4..99b356d 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n\
             diff --git a/dir/new.txt b/dir/new.txt\nnew file mode 100644\nindex 0000000..45b983b\n--- /dev/null\n+++ b/dir/new.txt\n@@ -0,0 +1 @@\n+hi\n\
             diff --git a/old.txt b/old.txt\ndeleted file mode 100644\nindex 0abaeaa..0000000\n--- a/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n\\ No newline at end of file\n"
        );
    }

    #[test]
    fn git_applies_every_kind_of_change() {
        let binary = |seed: u8| {
            Some(Entry {
                bytes: (0..=255).map(|byte: u8| byte.wrapping_mul(seed)).collect(),
                mode: Mode::File,
            })
        };
        let executable = Some(Entry { bytes: b"#!/bin/sh\n".to_vec(), mode: Mode::Executable });
        let link = |target: &str| Some(Entry { bytes: target.as_bytes().to_vec(), mode: Mode::Link });
        let changes = [
            change("bin/new", None, binary(3)),
            change("bin/old", binary(5), binary(7)),
            change("empty", None, file("")),
            change("ends", file("a\nb"), file("a\nb\nc")),
            change("link", link("a"), link("b")),
            change("mode", file("#!/bin/sh\n"), executable),
            change("name with space", None, file("x\n")),
            change("r\u{e9}sum\u{e9}", None, file("x\n")),
        ];
        let after = applied(&changes, &patch(&changes).unwrap());
        let expected: Tree =
            changes.iter().filter_map(|change| Some((change.path.clone(), change.after.clone()?))).collect();
        assert_eq!(after, expected);
    }

    #[test]
    fn a_file_may_become_a_directory() {
        let changes = [change("x", file("was a file\n"), None), change("x/y", None, file("is below\n"))];
        let after = applied(&changes, &patch(&changes).unwrap());
        assert_eq!(after.keys().collect::<Vec<_>>(), ["x/y"]);
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
        let link = |target: &str| Some(Entry { bytes: target.as_bytes().to_vec(), mode: Mode::Link });
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
        fs_err::write(root.join(format!("a/{}", "long".repeat(40))), "long name").unwrap();
        write(&root.join("run"), &Entry { bytes: b"x".to_vec(), mode: Mode::Executable });
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
        let compared = compare_delta(before.path(), None, bytes.as_slice(), "work").unwrap();
        assert_eq!(compared, compare(before.path(), &root).unwrap());
        assert_eq!(compared.len(), 4);
        let gone = Some(BTreeSet::from(["gone".to_owned(), "never there".to_owned()]));
        assert_eq!(compare_delta(before.path(), gone, bytes.as_slice(), "work").unwrap(), compared);
        let none = Some(BTreeSet::new());
        assert_eq!(compare_delta(before.path(), none, bytes.as_slice(), "work").unwrap().len(), 3);
    }
}

//! What differs below a work directory, read from its upper layer and the tree it started from.
//!
//! Guarantees that only files of the store and of the tree are read: every step is an open directory
//! and no link is followed, whatever a process of the sandbox does meanwhile.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType};

use super::layer;
use crate::patch::{Change, File, Mode, Why};
use crate::sandbox::inside::kernel;
use crate::sandbox::tree::{Compared, Room};

const GIT_DIRECTORY: &CStr = c".git";
/// Directories inside one another that are looked into: each holds two open files and a piece of this
/// thread's stack, and an agent nests them as deep as it likes.
const DEPTH: usize = 256;

/// Compares a tree with the upper layer of an overlay over it.
pub(in crate::sandbox) fn of_overlay(tree: BorrowedFd<'_>, upper: BorrowedFd<'_>) -> io::Result<Compared> {
    let mut changes = Changes::default();
    changes.layer(Some(tree), upper, "", Below::Merged)?;
    Ok(changes.finish())
}

/// Compares a tree with a changed copy of it.
pub(in crate::sandbox) fn of_copy(
    tree: Option<BorrowedFd<'_>>,
    copy: BorrowedFd<'_>,
) -> io::Result<Compared> {
    let mut changes = Changes::default();
    changes.layer(tree, copy, "", Below::Hidden)?;
    Ok(changes.finish())
}

/// What shows of a tree's directory that a directory of the layer lies over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    /// All that the layer does not name.
    Merged,
    /// Nothing.
    Hidden,
}

#[derive(Default)]
struct Changes {
    found: BTreeMap<String, (Option<File>, Option<File>)>,
    room: Room,
}

impl Changes {
    fn finish(self) -> Compared {
        let differing = self.found.into_iter().filter(|(_, (before, after))| before != after);
        let changes = differing.map(|(path, (before, after))| Change { path, before, after }).collect();
        Compared { changes, left_out: self.room.left_out() }
    }

    fn layer(
        &mut self,
        tree: Option<BorrowedFd<'_>>,
        layer: BorrowedFd<'_>,
        prefix: &str,
        below: Below,
    ) -> io::Result<()> {
        let names = layer::names(layer)?;
        if below == Below::Hidden
            && let Some(tree) = tree
        {
            for name in layer::names(tree)? {
                if names.binary_search(&name).is_err() {
                    self.removed(tree, &name, prefix)?;
                }
            }
        }
        for name in &names {
            if name.as_c_str() == GIT_DIRECTORY {
                self.repository(tree, layer, prefix)?;
            } else {
                self.entry(tree, layer, name, &Place { prefix, below })?;
            }
        }
        Ok(())
    }

    /// Notes a `.git` below the top that the tree does not have. A whiteout of one is nothing.
    fn repository(
        &mut self,
        tree: Option<BorrowedFd<'_>>,
        layer: BorrowedFd<'_>,
        prefix: &str,
    ) -> io::Result<()> {
        let is_old = tree.map(|tree| kind(tree, GIT_DIRECTORY)).transpose()?.flatten().is_some();
        let is_there =
            matches!(kind(layer, GIT_DIRECTORY)?, Some(FileType::Directory | FileType::RegularFile));
        if !prefix.is_empty() && !is_old && is_there {
            self.room.leave_out(format!("{prefix}/.git"), Why::Repository);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        tree: Option<BorrowedFd<'_>>,
        layer: BorrowedFd<'_>,
        name: &CString,
        place: &Place<'_>,
    ) -> io::Result<()> {
        let Some(path) = self.path(place, name) else { return Ok(()) };
        if kind(layer, name)? == Some(FileType::Directory) {
            let directory = kernel::open_directory(layer, name.as_c_str())?;
            let below = if layer::is_opaque(directory.as_fd()) { Below::Hidden } else { place.below };
            if let Some(tree) = tree {
                self.record_before(tree, name, &path)?;
            }
            let old = tree.map(|tree| existing_directory(tree, name)).transpose()?.flatten();
            if path.bytes().filter(|byte| *byte == b'/').count() >= DEPTH {
                self.room.leave_out(path, Why::TooDeep);
                return Ok(());
            }
            return self.layer(old.as_ref().map(AsFd::as_fd), directory.as_fd(), &path, below);
        }
        // A file, a link, or a whiteout: whatever the tree has of this name is gone.
        if let Some(tree) = tree {
            self.removed(tree, name, place.prefix)?;
        }
        match seen(layer, name)? {
            Seen::Nothing => {}
            Seen::File(after) => self.record_after(path, after),
            Seen::TooLarge => {
                self.found.remove(&path);
                self.room.leave_out(path, Why::TooLarge);
            }
        }
        Ok(())
    }

    fn record_after(&mut self, path: String, after: File) {
        let is_same = self.found.get(&path).is_some_and(|(before, _)| before.as_ref() == Some(&after));
        let after = if is_same { None } else { self.room.take(&path, after) };
        match after {
            Some(after) => self.found.entry(path).or_default().1 = Some(after),
            // Neither changed nor, for want of room, gone.
            None => drop(self.found.remove(&path)),
        }
    }

    /// The path of a name, which is noted where it is no text.
    fn path(&mut self, place: &Place<'_>, name: &CStr) -> Option<String> {
        let path = place.path(name);
        if name.to_str().is_err() {
            self.room.leave_out(path, Why::Name);
            return None;
        }
        Some(path)
    }

    /// Records what the tree has under a name, and all below it, as it was before.
    fn removed(&mut self, tree: BorrowedFd<'_>, name: &CString, prefix: &str) -> io::Result<()> {
        if name.as_c_str() == GIT_DIRECTORY {
            return Ok(());
        }
        let place = Place { prefix, below: Below::Hidden };
        let Some(path) = self.path(&place, name) else { return Ok(()) };
        match existing_directory(tree, name)? {
            Some(directory) => {
                for child in layer::names(directory.as_fd())? {
                    self.removed(directory.as_fd(), &child, &path)?;
                }
                Ok(())
            }
            None => self.record_before(tree, name, &path),
        }
    }

    fn record_before(&mut self, tree: BorrowedFd<'_>, name: &CStr, path: &str) -> io::Result<()> {
        if let Seen::File(before) = seen(tree, name)? {
            self.found.entry(path.to_owned()).or_default().0 = Some(before);
        }
        Ok(())
    }
}

struct Place<'a> {
    prefix: &'a str,
    below: Below,
}

impl Place<'_> {
    fn path(&self, name: &CStr) -> String {
        let name = name.to_string_lossy();
        if self.prefix.is_empty() { name.into_owned() } else { format!("{}/{name}", self.prefix) }
    }
}

fn kind(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<FileType>> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn existing_directory(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<OwnedFd>> {
    match kind(parent, name)? {
        Some(FileType::Directory) => kernel::open_directory(parent, name).map(Some),
        _ => Ok(None),
    }
}

/// What git could hold of a name.
enum Seen {
    File(File),
    /// A file that no patch could hold.
    TooLarge,
    Nothing,
}

/// Reads a file or link.
fn seen(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<Seen> {
    match kind(directory, name)? {
        Some(FileType::Symlink) => {
            let target = rustix::fs::readlinkat(directory, name, Vec::new())?;
            Ok(Seen::File(File { bytes: target.into_bytes(), mode: Mode::Link }))
        }
        Some(FileType::RegularFile) => {
            let file = std::fs::File::from(layer::open_file(directory, name)?);
            let stat = rustix::fs::fstat(&file)?;
            let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Ok(Seen::Nothing);
            }
            if !Room::could_hold(size) {
                return Ok(Seen::TooLarge);
            }
            let mut bytes = Vec::new();
            // It may be growing.
            file.take(size).read_to_end(&mut bytes)?;
            Ok(Seen::File(File { bytes, mode: Mode::of_file(stat.st_mode) }))
        }
        _ => Ok(Seen::Nothing),
    }
}

//! Copies directory trees by open directories, so that a link put in the way leads nowhere.
//!
//! Guarantees kinds, modes, times and the marks of an overlay's upper layer. Does not keep owners, hard
//! links or sockets.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, XattrFlags};

use crate::sandbox::inside::kernel;

/// Marks a directory of an upper layer that hides the lower one of the same name.
pub(in crate::sandbox) const OPAQUE: &CStr = c"user.overlay.opaque";

/// How to copy.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Copying<'a> {
    /// Names at the top that are left out.
    pub(in crate::sandbox) without: &'a [&'a str],
    /// The user and group to own everything.
    pub(in crate::sandbox) owner: Option<u32>,
}

/// Copies what lies below `from` to below `to`, and `from`'s mode and times with it.
pub(in crate::sandbox) fn copy(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    copying: &Copying<'_>,
) -> io::Result<()> {
    for name in names(from)? {
        if !copying.without.iter().any(|without| without.as_bytes() == name.to_bytes()) {
            copy_entry(from, to, &name, copying.owner)?;
        }
    }
    finish(to, &rustix::fs::fstat(from)?)
}

/// The names in a directory, sorted.
pub(in crate::sandbox) fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, owner: Option<u32>) -> io::Result<()> {
    let stat = match rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        // A process of the sandbox that still runs may remove what was just listed.
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => copy_directory(from, to, name, owner),
        FileType::RegularFile => copy_file(from, to, name, owner),
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new())?;
            Ok(as_owner(owner, || rustix::fs::symlinkat(target, to, name))?)
        }
        kind @ (FileType::Fifo | FileType::CharacterDevice) => {
            // The only device that can exist in a store is a whiteout, 0/0.
            let whiteout = kind == FileType::CharacterDevice && stat.st_rdev == 0;
            if whiteout || kind == FileType::Fifo {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o777);
                as_owner(owner, || rustix::fs::mknodat(to, name, kind, mode, 0))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn copy_directory(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &CStr,
    owner: Option<u32>,
) -> io::Result<()> {
    let source = kernel::open_directory(from, name)?;
    as_owner(owner, || rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700)))?;
    let target = kernel::open_directory(to, name)?;
    if is_opaque(source.as_fd()) {
        rustix::fs::fsetxattr(&target, OPAQUE, b"y", XattrFlags::empty())?;
    }
    copy(source.as_fd(), target.as_fd(), &Copying { without: &[], owner })
}

/// Whether a directory of an upper layer hides the lower one.
pub(in crate::sandbox) fn is_opaque(directory: BorrowedFd<'_>) -> bool {
    let mut value = [0u8; 1];
    rustix::fs::fgetxattr(directory, OPAQUE, &mut value) == Ok(1) && value == *b"y"
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, owner: Option<u32>) -> io::Result<()> {
    let source = open_file(from, name)?;
    let stat = rustix::fs::fstat(&source)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let target = as_owner(owner, || rustix::fs::openat(to, name, flags, Mode::from_raw_mode(0o600)))?;
    let (mut source, mut target) = (File::from(source), File::from(target));
    io::copy(&mut source, &mut target)?;
    finish(target.as_fd(), &stat)
}

/// Opens a file for reading, not what a link of that name points to.
pub(in crate::sandbox) fn open_file(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

/// Makes something as the user that is to own it. Root cannot make it and give it away: a store belongs
/// to a user namespace that does not know root.
fn as_owner<T>(owner: Option<u32>, make: impl FnOnce() -> T) -> T {
    let Some(id) = owner else { return make() };
    // SAFETY: plain system calls that change this thread alone. The group goes first and comes back last,
    // because changing it needs the privilege that the user's change gives up.
    let (user, group) = unsafe {
        let group = libc::setfsgid(id);
        (libc::setfsuid(id), group)
    };
    let made = make();
    // SAFETY: as above.
    unsafe {
        libc::setfsuid(user as u32);
        libc::setfsgid(group as u32);
    }
    made
}

fn finish(target: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode & 0o1777))?;
    let modified = Timespec { tv_sec: stat.st_mtime as _, tv_nsec: stat.st_mtime_nsec as _ };
    rustix::fs::futimens(target, &Timestamps { last_access: modified, last_modification: modified })?;
    Ok(())
}

//! Reading and writing files for the manager, as a command of the sandbox could.
//!
//! Guarantees that nothing is followed out of the sandbox, that no pipe or device is waited for, that a
//! file's size does not decide how much memory is taken, and that the agent's obstacles come back as
//! values. Runs in the child.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, OFlags, ResolveFlags};

use super::kernel::open_inside;
use super::protocol::{Found, Pieces, Wrote};
use super::serve::Server;

/// Reading a larger file is refused.
const READ_BYTES: u64 = 256 << 20;

/// Sends the file at `path` to the manager.
pub(in crate::sandbox) fn read(server: &mut Server, path: &str) -> io::Result<()> {
    let path = absolute(&server.workdir, path);
    let (found, file) = match open_inside(CWD, &path, OFlags::RDONLY, ResolveFlags::empty()) {
        Ok(file) => match kind_of(&file)? {
            Found::File if rustix::fs::fstat(&file)?.st_size as u64 > READ_BYTES => {
                (Found::Refused(format!("larger than {} MiB", READ_BYTES >> 20)), None)
            }
            kind => (kind, Some(file)),
        },
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            (Found::Missing, None)
        }
        Err(error) => (Found::Refused(reason(&error)), None),
    };
    server.channel.send(&found, &[])?;
    match (found, file) {
        (Found::File, Some(file)) => {
            let mut pieces = Pieces::to(&mut server.channel);
            // A file that cannot be read to its end ends there.
            let mut file = File::from(file).take(READ_BYTES);
            let mut buffer = vec![0; 1 << 16];
            while let Ok(n_read @ 1..) = file.read(&mut buffer) {
                pieces.write_all(&buffer[..n_read])?;
            }
            pieces.finish()
        }
        _ => Ok(()),
    }
}

fn kind_of(file: &OwnedFd) -> io::Result<Found> {
    Ok(match FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode) {
        FileType::RegularFile => Found::File,
        FileType::Directory => Found::Directory,
        kind => Found::Refused(format!("not a regular file but {kind:?}")),
    })
}

/// Writes `bytes` to `path` and tells the manager.
pub(in crate::sandbox) fn write(server: &mut Server, path: &str, bytes: &[u8]) -> io::Result<()> {
    let path = absolute(&server.workdir, path);
    let wrote: Wrote = write_file(&path, bytes).map_err(|error| reason(&error));
    server.channel.send(&wrote, &[])
}

fn write_file(path: &str, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = Path::new(path).parent() {
        fs_err::create_dir_all(parent).map_err(|error| match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => error,
        })?;
    }
    let file = open_inside(CWD, path, OFlags::WRONLY | OFlags::CREATE, ResolveFlags::empty())?;
    if kind_of(&file)? != Found::File {
        return Err(io::Error::other("Not a regular file"));
    }
    let mut file = File::from(file);
    file.set_len(0)?;
    file.write_all(bytes)
}

fn absolute(workdir: &Path, path: &str) -> String {
    let mut whole = PathBuf::new();
    // `.` is left out so that `a/.` names `a`; `..` stays, because what it means depends on links.
    for part in workdir.join(path).components().filter(|part| *part != Component::CurDir) {
        whole.push(part);
    }
    whole.to_string_lossy().into_owned()
}

/// An error in the words of a shell: `Permission denied`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

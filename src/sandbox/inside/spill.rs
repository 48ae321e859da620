//! Whole outputs that are larger than what an observation keeps, in files of the sandbox.
//!
//! Guarantees that only a file that we have just made is written to, that it is made as the agent could make it
//! and never opened again, that all of them together stay within one bound, the oldest going first, and that
//! whatever the agent does to them or to their directory only ends the writing. They lie beside the session,
//! so they are no part of a patch, go with a fork and end with the sandbox. Runs in the child.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};

use super::kernel;
use super::protocol::{Shelf, User};

/// So many names that the agent may have taken are passed over.
const TRIES: u32 = 64;

/// Where whole outputs are kept.
#[derive(Debug)]
pub(in crate::sandbox) struct Spills {
    shelf: Shelf,
    /// Whose they are, when that is somebody else than this process.
    owner: Option<User>,
    /// Those that are kept, and how large they are.
    kept: VecDeque<(String, u64)>,
    n_made: u32,
}

/// A whole output that is being kept.
#[derive(Debug)]
pub(super) struct Spill {
    file: File,
    directory: OwnedFd,
    name: String,
    n_bytes: u64,
    /// Nothing more can be written.
    is_full: bool,
}

impl Spills {
    pub(in crate::sandbox) fn new(shelf: Shelf, owner: Option<User>) -> Self {
        Self { shelf, owner, kept: VecDeque::new(), n_made: 0 }
    }

    /// Begins a file; `None` where the agent is in the way.
    pub(super) fn begin(&mut self) -> Option<Spill> {
        let (shelf, made) = (&self.shelf, &mut self.n_made);
        let (file, directory, name) = kernel::as_user(self.owner, || make(&shelf.directory, made)).ok()?;
        Some(Spill { file, directory, name, n_bytes: 0, is_full: false })
    }

    /// Writes the next bytes, as long as there is room; older outputs make room.
    pub(super) fn write(&mut self, spill: &mut Spill, bytes: &[u8]) {
        let others = |kept: &VecDeque<(String, u64)>| kept.iter().map(|(_, n_bytes)| n_bytes).sum::<u64>();
        let whole = spill.n_bytes + bytes.len() as u64;
        while !spill.is_full && others(&self.kept) + whole > self.shelf.bytes {
            let Some((name, _)) = self.kept.pop_front() else { break };
            // The agent may have removed it already.
            kernel::as_user(self.owner, || {
                Ok(rustix::fs::unlinkat(&spill.directory, &name, AtFlags::empty())?)
            })
            .ok();
        }
        let room = self.shelf.bytes.saturating_sub(spill.n_bytes).min(bytes.len() as u64) as usize;
        if !spill.is_full {
            let (n_bytes, wrote) = write_some(&mut spill.file, &bytes[..room]);
            spill.n_bytes += n_bytes;
            spill.is_full = wrote.is_err() || room < bytes.len();
        }
    }

    /// Ends a file; says where what can be read.
    pub(super) fn end(&mut self, spill: Spill) -> String {
        let path = format!("{}/{}", self.shelf.directory, spill.name);
        self.kept.push_back((spill.name, spill.n_bytes));
        match spill.is_full {
            true => format!("the first {} bytes of the output are in {path}", spill.n_bytes),
            false => format!("the whole output is in {path}"),
        }
    }
}

/// Makes a file of a new name, where no link leads.
fn make(path: &str, n_made: &mut u32) -> io::Result<(File, OwnedFd, String)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let directory = rustix::fs::openat2(CWD, path, flags, Mode::empty(), resolve)?;
    // An older name, link or pipe is never opened.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..TRIES {
        *n_made = n_made.wrapping_add(1);
        let name = format!("output-{n_made}");
        match rustix::fs::openat(&directory, &name, flags, Mode::from_raw_mode(0o600)) {
            Ok(file) => return Ok((file.into(), directory, name)),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Writes as much as can be written, and says how much.
fn write_some(file: &mut File, mut bytes: &[u8]) -> (u64, io::Result<()>) {
    let whole = bytes.len();
    let mut wrote = Ok(());
    while !bytes.is_empty() && wrote.is_ok() {
        match file.write(bytes) {
            Ok(0) => wrote = Err(io::ErrorKind::WriteZero.into()),
            Ok(n_bytes) => bytes = &bytes[n_bytes..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => wrote = Err(error),
        }
    }
    ((whole - bytes.len()) as u64, wrote)
}

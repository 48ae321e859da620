//! What the manager asks of any sandbox that serves over a socket: commands and files.
//!
//! Guarantees that an answer belongs to its question: after a missed one the sandbox is lost. Blocks.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cgroup::Cgroups;
use super::launch::Process;
use crate::sandbox::inside::protocol::{
    Channel, Differences, Fill, Found, Interact, Ran, Request, Run, Scope, Screen, Wrote,
};
use crate::sandbox::session::SessionDir;
use crate::sandbox::{Exec, FileRead, FileWrite, Kept, SandboxError, kept};
use crate::trajectory::{Exit, Observation};

/// How much longer than a command's deadline an answer may take.
const GRACE: Duration = Duration::from_secs(30);

/// How long a talk about all files of a sandbox may take.
const FILES: Duration = Duration::from_secs(300);

/// A sandbox that answers.
#[derive(Debug)]
pub(in crate::sandbox) struct Line {
    pub(in crate::sandbox) id: String,
    pub(in crate::sandbox) process: Process,
    pub(in crate::sandbox) cgroups: Cgroups,
    pub(in crate::sandbox) session: SessionDir,
}

impl Line {
    pub(in crate::sandbox) fn exec(&mut self, exec: &Exec<'_>) -> Result<Observation, SandboxError> {
        let invocation = self.session.invocation(exec);
        if let Some((path, script)) = &invocation.script_file
            && let FileWrite::Refused(reason) = self.write(path, script.as_bytes())?
        {
            return Ok(Observation::new(format!("bash: {path}: {reason}\n"), 126));
        }
        let run = Run::of(invocation, exec, &self.session);
        let kills = self.cgroups.memory_kills();
        let (ran, output): (Ran, _) =
            self.ask("running a command", &Request::Exec(run), &[], exec.timeout)?;
        let out_of_memory = matches!(ran.exit, Exit::Signal(libc::SIGKILL) | Exit::Code(137))
            && kills < self.cgroups.memory_kills();
        let exit = if out_of_memory { Exit::OutOfMemory } else { ran.exit };
        Ok(Ran { exit, ..ran }.observation(output))
    }

    /// Starts a program that a user talks to; gives what to speak to it with, while [`Line::interact`] hears it.
    pub(in crate::sandbox) fn begin_interacting(
        &mut self,
        setup: &Interact,
    ) -> Result<Channel, SandboxError> {
        let begun = self.process.begin(&Request::Interact(setup.clone()));
        begun.map_err(|source| self.lose("talking to a user", source))
    }

    /// Shows what the program shows until it ends.
    pub(in crate::sandbox) fn interact(
        &mut self,
        mut show: impl FnMut(Vec<u8>),
    ) -> Result<Exit, SandboxError> {
        loop {
            match self.process.hear().map_err(|source| self.lose("talking to a user", source))? {
                (Screen::Shown, bytes) => show(bytes),
                (Screen::Ended(exit), _) => return Ok(exit),
            }
        }
    }

    pub(in crate::sandbox) fn read(&mut self, path: &str) -> Result<FileRead, SandboxError> {
        let request = Request::Read(path.to_owned());
        let (found, _): (Found, _) = self.ask("reading a file", &request, &[], GRACE)?;
        Ok(match found {
            Found::File => {
                let bytes = self.process.pieces();
                FileRead::File(bytes.map_err(|source| lost(&self.id, "reading a file", source))?)
            }
            Found::Directory => FileRead::Directory,
            Found::Missing => FileRead::Missing,
            Found::Refused(reason) => FileRead::Refused(reason),
        })
    }

    pub(in crate::sandbox) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<FileWrite, SandboxError> {
        let request = Request::Write(path.to_owned());
        let (wrote, _): (Wrote, _) = self.ask("writing a file", &request, bytes, GRACE)?;
        Ok(match wrote {
            Ok(()) => FileWrite::Written,
            Err(reason) => FileWrite::Refused(reason),
        })
    }

    pub(in crate::sandbox) fn remember(&mut self, roots: Vec<PathBuf>) -> Result<(), SandboxError> {
        const DOING: &str = "remembering its files";
        let (done, _): (Wrote, _) = self.ask(DOING, &Request::Remember(roots), &[], FILES)?;
        done.map_err(|reason| lost(&self.id, DOING, io::Error::other(reason)))
    }

    pub(in crate::sandbox) fn keep(&mut self, file: &Path) -> Result<Kept, SandboxError> {
        const DOING: &str = "keeping its files";
        let request = Request::Delta(Scope::Everything);
        let (differences, gone): (Differences, _) = self.ask(DOING, &request, &[], FILES)?;
        let mut wrote = fs_err::File::create_new(file);
        let mut write = |bytes: &[u8]| {
            if let Ok(open) = &mut wrote
                && let Err(error) = open.write_all(bytes)
            {
                wrote = Err(error);
            }
        };
        write(&kept::head(&gone));
        // All pieces are heard, also when the disk is full: the sandbox lives on.
        let heard = self.process.each_piece(&mut write);
        heard.map_err(|source| lost(&self.id, DOING, source))?;
        wrote.and_then(|open| open.sync_all()).map_err(kept::host("write", file))?;
        Ok(kept::whole_unless(&differences.left_out))
    }

    pub(in crate::sandbox) fn take_over(&mut self, file: &Path) -> Result<(), SandboxError> {
        const DOING: &str = "taking over what was kept";
        let (gone, archive) = kept::open(file).map_err(kept::host("read", file))?;
        let request = Request::Fill(Fill::Fork);
        let wrote: io::Result<Wrote> = self.process.tell(&request, &gone, archive, FILES);
        wrote.and_then(|wrote| wrote.map_err(io::Error::other)).map_err(|source| {
            self.process.hang_up();
            lost(&self.id, DOING, source)
        })
    }

    fn ask<T: serde::de::DeserializeOwned>(
        &mut self,
        doing: &str,
        request: &Request,
        payload: &[u8],
        timeout: Duration,
    ) -> Result<(T, Vec<u8>), SandboxError> {
        let asked = self.process.ask(request, payload, timeout.saturating_add(GRACE));
        asked.map_err(|source| self.lose(doing, source))
    }

    /// What comes after a missed answer would belong to another question.
    fn lose(&self, doing: &str, source: io::Error) -> SandboxError {
        self.process.hang_up();
        lost(&self.id, doing, source)
    }

    pub(in crate::sandbox) fn stop(&mut self) -> Result<(), SandboxError> {
        self.process.stop().map_err(|source| lost(&self.id, "stopping", source))?;
        self.cgroups.remove().map_err(|source| lost(&self.id, "removing its control groups", source))
    }
}

pub(in crate::sandbox) fn lost(id: &str, doing: &str, source: io::Error) -> SandboxError {
    SandboxError::Lost { id: id.to_owned(), doing: doing.to_owned(), source: source.into() }
}

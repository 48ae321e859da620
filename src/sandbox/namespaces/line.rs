//! What the manager asks of any sandbox that serves over a socket: commands and files.
//!
//! Guarantees that an answer belongs to its question: after a missed one the sandbox is lost. Blocks.

use std::io;
use std::time::Duration;

use super::cgroup::Cgroups;
use super::launch::Process;
use crate::sandbox::inside::protocol::{Found, Ran, Request, Run, Wrote};
use crate::sandbox::output::text_of;
use crate::sandbox::session::SessionDir;
use crate::sandbox::{Exec, FileRead, FileWrite, SandboxError};
use crate::trajectory::{Exit, Observation};

/// How much longer than a command's deadline an answer may take.
const GRACE: Duration = Duration::from_secs(30);

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
        Ok(Observation {
            output: text_of(output),
            exit: Some(if out_of_memory { Exit::OutOfMemory } else { ran.exit }),
            omitted_bytes: ran.omitted_bytes,
            elapsed_seconds: ran.elapsed_seconds,
            background: ran.background,
        })
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

    fn ask<T: serde::de::DeserializeOwned>(
        &mut self,
        doing: &str,
        request: &Request,
        payload: &[u8],
        timeout: Duration,
    ) -> Result<(T, Vec<u8>), SandboxError> {
        self.process.ask(request, payload, timeout.saturating_add(GRACE)).map_err(|source| {
            // What comes after a missed answer would belong to another question.
            self.process.hang_up();
            lost(&self.id, doing, source)
        })
    }

    pub(in crate::sandbox) fn stop(&mut self) -> Result<(), SandboxError> {
        self.process.stop().map_err(|source| lost(&self.id, "stopping", source))?;
        self.cgroups.remove().map_err(|source| lost(&self.id, "removing its control groups", source))
    }
}

pub(in crate::sandbox) fn lost(id: &str, doing: &str, source: io::Error) -> SandboxError {
    SandboxError::Lost { id: id.to_owned(), doing: doing.to_owned(), source: source.into() }
}

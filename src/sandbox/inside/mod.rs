//! The process inside every sandbox, whatever holds it: it runs commands, touches files, ends what must end.
//!
//! This program executes itself again for it: in namespaces and under Landlock as a child, in a container as
//! its first process. Guarantees that it trusts the manager and nobody else: commands can neither signal nor
//! trace it, nor reach its line. One thread; no engine, no shell of its own.

pub(in crate::sandbox) mod delta;
pub(in crate::sandbox) mod files;
pub(in crate::sandbox) mod init;
pub(in crate::sandbox) mod kernel;
pub(in crate::sandbox) mod limits;
mod meeting;
pub(in crate::sandbox) mod mounts;
pub(in crate::sandbox) mod plain;
pub(in crate::sandbox) mod process;
pub(in crate::sandbox) mod protocol;
pub(in crate::sandbox) mod serve;
mod watch;

use std::process::ExitCode;

pub(in crate::sandbox) use protocol::INIT_ARGUMENT;

/// Becomes the process inside a sandbox when this program was executed for that.
pub fn init_if_asked() -> Option<ExitCode> {
    let asked = std::env::args_os().nth(1).is_some_and(|argument| argument == INIT_ARGUMENT);
    asked.then(init::run)
}

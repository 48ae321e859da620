//! The process inside every sandbox, whatever holds it: it runs commands, touches files, ends what must end.
//!
//! This program executes itself again for it: in namespaces and under Landlock as a child, in a container as
//! its first process. Guarantees that it trusts the manager and nobody else: commands can neither signal nor
//! trace it, nor reach its line. One thread; no engine, no shell of its own.

mod apart;
pub(in crate::sandbox) mod command;
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
pub(in crate::sandbox) mod relay;
mod report;
pub(in crate::sandbox) mod serve;
mod spill;
mod terminal;
mod watch;

use std::process::ExitCode;

pub(in crate::sandbox) use protocol::INIT_ARGUMENT;
use relay::RELAY_ARGUMENT;

/// Becomes the process inside a sandbox, or its relay, when this program was executed for that.
pub fn init_if_asked() -> Option<ExitCode> {
    match std::env::args_os().nth(1)? {
        argument if argument == INIT_ARGUMENT => Some(init::run()),
        argument if argument == RELAY_ARGUMENT => Some(relay::run_in_container()),
        _ => None,
    }
}

//! A sandbox that is ready for a task.
//!
//! Guarantees that what comes out was set up as the task says. Does not try again: `run` does.

use std::path::Path;

use crate::act::Actor;
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, Exec, SandboxError, Session, Start};
use crate::task::Task;
use crate::trajectory::Exit;

/// Starts a sandbox with the task's repository in it and runs the task's set-up.
///
/// # Errors
/// When the sandbox does not start, is lost, or a set-up command does not succeed.
pub async fn start(
    backend: &dyn Backend,
    spec: &SandboxSpec,
    task: &Task,
    tree: Option<&Path>,
) -> Result<Actor, SandboxError> {
    let mut sandbox = backend.start(&Start { spec, tree }).await?;
    for script in &task.setup {
        let (timeout, output_bytes) = (spec.limits.command_timeout(), spec.limits.output_bytes);
        let done = sandbox.exec(&Exec { script, timeout, output_bytes, session: Session::Carried }).await?;
        if !done.exit.is_some_and(Exit::is_success) {
            let reason = format!("it ended with {:?}: {}", done.exit, done.output.trim_end());
            drop(sandbox.stop().await);
            return Err(SandboxError::SetUp { command: script.clone(), reason });
        }
    }
    let mut limits = spec.limits.clone();
    if let Some(seconds) = task.limits.and_then(|limits| limits.command_seconds) {
        limits.command_seconds = seconds;
    }
    Ok(Actor::new(sandbox, limits))
}

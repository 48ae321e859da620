//! A process, what it says, its time and its memory as the kernel counts them: shared by benches.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// What a process took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// By the clock.
    pub(crate) wall_seconds: f64,
    /// Of all processors, its own code and the kernel's.
    pub(crate) processor_seconds: f64,
    /// Resident memory at its highest.
    pub(crate) resident_mib: f64,
}

/// Runs a command to its end, which must be a good one; gives what it printed too.
pub(crate) fn run(mut command: Command) -> Result<(String, Usage)> {
    let started = Instant::now();
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("could not start {command:?}"))?;
    let id = i32::try_from(child.id())?;
    let mut said = String::new();
    child.stdout.take().context("reading what it says")?.read_to_string(&mut said)?;
    let mut status = 0;
    // SAFETY: a `rusage` of zeros is one, and the kernel fills it.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that outlive the call, and the child was not waited for.
    if unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) } != id || status != 0 {
        bail!("{command:?} failed with status {status}");
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let usage = Usage {
        wall_seconds: started.elapsed().as_secs_f64(),
        processor_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        resident_mib: usage.ru_maxrss as f64 / 1024.0,
    };
    Ok((said, usage))
}

/// The one in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

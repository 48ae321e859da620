//! Landlock rules, applied by a process to itself.
//!
//! Guarantees that they bind all that the process starts. Which rights the running kernel knows decides
//! how much they mean; [`interface`] says which.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};

use crate::sandbox::SandboxError;
use crate::sandbox::inside::kernel::checked;
use crate::sandbox::inside::limits::{self, Internet};
use crate::sandbox::inside::process;
use crate::sandbox::inside::protocol::{Bounds, Rules};

/// The newest interface whose rights are used; older kernels enforce what they know.
const NEWEST: ABI = ABI::V6;

/// Confines this process to `rules`, within `bounds`, for good.
pub(in crate::sandbox) fn confine(rules: &Rules, bounds: &Bounds) -> io::Result<()> {
    limits::bound_resources(bounds, process::of_this_user()?)?;
    enforce(rules)?;
    limits::drop_capabilities()?;
    limits::refuse_system_calls(Internet::Refused)
}

fn enforce(rules: &Rules) -> io::Result<()> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    let readable = path_beneath_rules(existing(&rules.readable), AccessFs::from_read(NEWEST));
    let writable = path_beneath_rules(existing(&rules.writable), AccessFs::from_all(NEWEST));
    let status = ruleset
        .add_rules(readable)
        .and_then(|ruleset| ruleset.add_rules(writable))
        .map_err(io::Error::other)?
        .restrict_self()
        .map_err(io::Error::other)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(io::Error::other("the kernel enforces no Landlock rules"));
    }
    Ok(())
}

fn existing(paths: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    paths.iter().filter(|path| path.exists())
}

/// The version of Landlock's interface that the running kernel has.
///
/// # Errors
/// [`SandboxError::Unavailable`] when it has none.
pub(in crate::sandbox) fn interface() -> Result<i32, SandboxError> {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes no structure and only answers.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    checked(version).map(|version| version as i32).map_err(|error| SandboxError::Unavailable {
        backend: super::NAME,
        reason: format!("the kernel has no Landlock: {error}"),
        hint: "boot with `lsm=landlock,…` on Linux 5.13 or newer, or use Docker".to_owned(),
    })
}

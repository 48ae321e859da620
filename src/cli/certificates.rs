//! What certificates mean to other commands: a word in a list, a warning before work.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::output::Output;
use crate::task::LoadedTask;
use crate::task_dir::certified::{Standing, standing};

/// How a task stands: `certified`, `faulty` or `stale`; nothing where it was never checked.
///
/// # Errors
/// See [`Failure`].
pub(super) fn word(loaded: &LoadedTask) -> Result<Option<&'static str>, Failure> {
    Ok(match standing(loaded).map_err(Failure::input)? {
        Standing::Absent => None,
        Standing::Fits(certificate) if certificate.certified => Some("certified"),
        Standing::Fits(_) => Some("faulty"),
        Standing::Stale => Some("stale"),
    })
}

/// Says once which tasks changed since they were checked, and which were found faulty.
///
/// # Errors
/// When a certificate cannot be read.
pub(super) fn warn(tasks: &BTreeMap<String, LoadedTask>, output: Output) -> Result<(), Failure> {
    let (mut stale, mut faulty) = (Vec::new(), Vec::new());
    for (id, loaded) in tasks {
        match word(loaded)? {
            Some("stale") => stale.push(id.as_str()),
            Some("faulty") => faulty.push(id.as_str()),
            _ => {}
        }
    }
    if let Some(ids) = some_of(&stale) {
        output.say(&format!(
            "warning: the certificate of {ids} no longer fits; check again with `apprentice task check`"
        ));
    }
    if let Some(ids) = some_of(&faulty) {
        output.say(&format!("warning: the certificate of {ids} names faults; see `apprentice task check`"));
    }
    Ok(())
}

/// The first ids and how many more there are.
fn some_of(ids: &[&str]) -> Option<String> {
    const SHOWN: usize = 3;
    let shown = ids.iter().take(SHOWN).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    match ids.len() {
        0 => None,
        n if n <= SHOWN => Some(shown),
        n => Some(format!("{shown} and {} more", n - SHOWN)),
    }
}

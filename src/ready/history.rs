//! The history that a student finds where an image brought the repository: the base commit, and nothing beyond it.
//!
//! Done in the sandbox before anything else runs there, then asserted over all that its repository holds. Fails
//! closed: what cannot be removed or listed is an error.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::sandbox::session::quote;
use crate::sandbox::{Exec, Sandbox, SandboxError};
use crate::trajectory::Exit;
use crate::workspace::Inventory;

/// Removes all but the base commit; reads the variable `base`.
pub(super) const SCRUB: &str = include_str!("scrub.sh");
/// Lists what is left.
pub(super) const INVENTORY: &str = include_str!("inventory.sh");

/// How long each may take: repositories of gigabytes are read once.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Bytes of an inventory: a million objects, each listed twice.
const LIST_BYTES: usize = 128 << 20;

/// Leaves only `base`, or the head, of the repository in the work directory.
///
/// # Errors
/// [`SandboxError::History`] when more than that may be left; what running gives.
pub(super) async fn scrub(sandbox: &mut dyn Sandbox, base: Option<&str>) -> Result<(), SandboxError> {
    run(sandbox, &format!("base={}\n{SCRUB}", quote(base.unwrap_or_default()))).await?;
    let listed = run(sandbox, INVENTORY).await?;
    match inventory(&listed).leak() {
        None => Ok(()),
        Some(leak) => Err(SandboxError::History { reason: format!("it still holds {leak}") }),
    }
}

async fn run(sandbox: &mut dyn Sandbox, script: &str) -> Result<String, SandboxError> {
    let done = sandbox.exec(&Exec::new(script, PATIENCE, LIST_BYTES).fresh()).await?;
    if !done.exit.is_some_and(Exit::is_success) {
        let said = done.output.trim_end();
        let start = said.len().saturating_sub(1000);
        let said = said.get(start..).unwrap_or(said);
        return Err(SandboxError::History { reason: said.to_owned() });
    }
    Ok(done.output)
}

/// Reads what [`INVENTORY`] lists.
pub(super) fn inventory(listed: &str) -> Inventory {
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut section = "";
    for line in listed.lines() {
        match line {
            "repositories" | "files" | "objects" | "reachable" | "references" => section = line,
            _ => sections.entry(section).or_default().push(line),
        }
    }
    let mut take = |name: &str| sections.remove(name).unwrap_or_default().into_iter();
    let owned = |text: &str| text.to_owned();
    let pair = |line: &str| {
        let (id, rest) = line.split_once(' ').unwrap_or((line, "object"));
        (id.to_owned(), rest.to_owned())
    };
    Inventory {
        repositories: take("repositories").map(|path| owned(path.trim_start_matches("./"))).collect(),
        files: take("files").map(|path| owned(path.trim_start_matches(".git/"))).collect(),
        objects: take("objects").map(pair).collect(),
        reachable: take("reachable").map(owned).collect(),
        references: take("references").map(|line| pair(line).0).collect(),
    }
}

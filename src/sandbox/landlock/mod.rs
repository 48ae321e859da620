//! Sandboxes confined by Landlock, seccomp and resource limits alone, for hosts that refuse namespaces.
//!
//! Guarantees that commands write nowhere but into a private directory, read only the host's programs,
//! reach no network, and end with the sandbox. That is less than [`Isolation::Full`], so every start is
//! refused unless weaker isolation was accepted. Cannot put the work directory where the specification
//! wants it: it is a directory of the host.

mod room;
pub(in crate::sandbox) mod rules;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use async_trait::async_trait;

use super::namespaces::blocking;
use super::namespaces::capsule::{Body, Capsule};
use super::namespaces::cgroup::Resource;
use super::namespaces::{identity, machine};
use super::spec::SandboxSpec;
use super::{Backend, Sandbox, SandboxError, Start};
use crate::isolation::{Isolation, Lack, Protection};
use room::{Pattern, Room};

/// The backend's name.
const NAME: &str = "landlock";
/// The interface that first keeps signals inside.
const SIGNALS_SINCE: i32 = 6;

/// Makes sandboxes with Landlock.
#[derive(Debug)]
pub struct Landlock {
    exe: PathBuf,
    accept: Isolation,
    scratch: PathBuf,
    swept: Once,
}

impl Landlock {
    /// A backend whose children are `exe`, a program that calls
    /// [`init_if_asked`](super::inside::init_if_asked) before anything else; its sandboxes are
    /// directories below `scratch`.
    pub fn new(exe: PathBuf, accept: Isolation, scratch: PathBuf) -> Self {
        Self { exe, accept, scratch, swept: Once::new() }
    }

    fn pattern(&self, spec: &SandboxSpec, tree: Option<&Path>) -> Arc<Pattern> {
        self.swept.call_once(|| sweep(&self.scratch));
        Arc::new(Pattern {
            exe: self.exe.clone(),
            scratch: self.scratch.clone(),
            spec: spec.clone(),
            tree: tree.map(Path::to_owned),
        })
    }
}

#[async_trait]
impl Backend for Landlock {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn probe(&self) -> Result<Protection, SandboxError> {
        let interface = rules::interface()?;
        let pattern = self.pattern(&machine::probe_spec(), None);
        blocking(move || {
            let mut room = Room::start(&pattern)?;
            let holds_memory = room.line().cgroups.hold(Resource::Memory);
            room.stop()?;
            Ok(protection(interface, holds_memory))
        })
        .await
    }

    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        let interface = rules::interface()?;
        refuse_allow_list(start.spec)?;
        if self.accept != Isolation::AcceptWeaker {
            let lacks: Vec<String> =
                protection(interface, true).missing.into_iter().map(|lack| lack.what).collect();
            return Err(SandboxError::WeakIsolation {
                backend: NAME,
                lacks: lacks.join("; "),
                hint: format!("{REMEDY}, or accept it with `--accept-weaker-isolation`"),
            });
        }
        if !start.spec.host {
            return Err(SandboxError::Image {
                image: start.spec.name.clone(),
                reason: "landlock sandboxes have no root file system of their own".to_owned(),
                hint: "say `host: true` in its sandbox.yaml, or use Docker".to_owned(),
            });
        }
        let pattern = self.pattern(start.spec, start.tree);
        let room = blocking(move || Room::start(&pattern)).await?;
        Ok(Box::new(Capsule::new(room)?))
    }
}

/// Without a network namespace there is no loopback that is the sandbox's own, for a proxy to listen on.
pub(in crate::sandbox) fn refuse_allow_list(spec: &SandboxSpec) -> Result<(), SandboxError> {
    match spec.network.allowed() {
        None => Ok(()),
        Some(_) => Err(SandboxError::Unavailable {
            backend: NAME,
            reason: format!(
                "`{}` may reach listed hosts, for which they lack a network of their own",
                spec.name
            ),
            hint: format!("{REMEDY}, or say `network: none` in its sandbox.yaml"),
        }),
    }
}

const REMEDY: &str = "use namespaces or Docker where the host allows them";

fn protection(interface: i32, holds_memory: bool) -> Protection {
    let enforced = [
        "no writing but into its own directories (Landlock)",
        "reading the host's programs and its own directories only (Landlock)",
        "no network at all, not even a loopback (seccomp)",
        "risky system calls refused, no new privileges (seccomp)",
        "processes, open files and the size of each file (resource limits)",
        "every process ends with the command's deadline or the sandbox (subreaper)",
    ];
    let mut missing = vec![
        "a work directory where the specification puts it (it is a directory of the host)",
        "a private /tmp (programs must use TMPDIR)",
        "process numbers of its own (host processes can be counted)",
        "a bound on all bytes written (only each file is bounded)",
        "the certain end of processes when the manager and its child are killed at once",
    ];
    if !holds_memory {
        missing.push(
            "a bound on the memory of all processes at every moment (it is looked at ten times a second)",
        );
    }
    if interface < SIGNALS_SINCE {
        missing.push("signals kept inside (needs Linux 6.12)");
    }
    let lack = |what: &str| Lack { what: what.to_owned(), remedy: REMEDY.to_owned() };
    Protection {
        backend: NAME.to_owned(),
        enforced: enforced.map(str::to_owned).to_vec(),
        missing: missing.into_iter().map(lack).collect(),
    }
}

/// Removes the directories of managers that were killed.
fn sweep(scratch: &Path) {
    let Ok(entries) = fs_err::read_dir(scratch) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let manager = name.strip_prefix("apprentice-").and_then(identity::manager_of);
        if manager.is_some_and(|manager| !manager.lives()) {
            // What cannot be removed now is tried again by the next manager.
            fs_err::remove_dir_all(entry.path()).ok();
        }
    }
}

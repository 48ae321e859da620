//! Whose a container or image is: labels that name the process, so that a later one can clear up after
//! a process that was killed.
//!
//! Guarantees that only what carries our labels is touched, and only when its process is known to be
//! dead: one of another machine or of another process namespace counts as alive.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptions, RemoveContainerOptions, RemoveImageOptions,
};
use serde::Serialize;

use super::{unavailable, usr};
use crate::sandbox::SandboxError;

/// The label that names the process.
const OWNER: &str = "apprentice.owner";
/// The label that names the kind of sandbox.
const SANDBOX: &str = "apprentice.sandbox";

/// A process, so that no other process of any time or machine has the same words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    machine: String,
    boot: String,
    namespace: String,
    pid: u32,
    started: u64,
}

impl Owner {
    fn current() -> Self {
        let pid = std::process::id();
        Self { pid, started: start_time(pid).unwrap_or_default(), ..Self::place() }
    }

    /// This machine, boot and process namespace, with no process.
    fn place() -> Self {
        let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default().trim().to_owned();
        let namespace = fs_err::read_link("/proc/self/ns/pid").unwrap_or_default();
        Self {
            machine: read("/etc/machine-id"),
            boot: read("/proc/sys/kernel/random/boot_id"),
            namespace: namespace.to_string_lossy().into_owned(),
            pid: 0,
            started: 0,
        }
    }

    fn label(&self) -> String {
        format!("{}/{}/{}/{}/{}", self.machine, self.boot, self.namespace, self.pid, self.started)
    }

    fn parse(label: &str) -> Option<Self> {
        let parts: Vec<&str> = label.split('/').collect();
        let [machine, boot, namespace, pid, started] = parts[..] else { return None };
        Some(Self {
            machine: machine.to_owned(),
            boot: boot.to_owned(),
            namespace: namespace.to_owned(),
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        })
    }

    fn is_dead(&self, here: &Self) -> bool {
        if self.boot == here.boot {
            // The same kernel, whatever the machine calls itself.
            return self.namespace == here.namespace && start_time(self.pid) != Some(self.started);
        }
        // An earlier boot of this machine; many containers have no name for theirs.
        self.machine == here.machine && !self.machine.is_empty()
    }
}

/// When the process `pid` started, in ticks since boot; `None` when there is none.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; the start time is the 22nd field, so the 20th after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Words for this process that no other process of any time or machine has.
pub(super) fn current_process() -> String {
    Owner::current().label()
}

/// The labels of everything this process makes.
pub(super) fn labels(sandbox: &str) -> HashMap<String, String> {
    HashMap::from([(OWNER.to_owned(), Owner::current().label()), (SANDBOX.to_owned(), sandbox.to_owned())])
}

/// The labels of what no process owns, though it comes from something that one did.
pub(super) fn nobody() -> HashMap<String, String> {
    HashMap::from([(OWNER.to_owned(), String::new()), (SANDBOX.to_owned(), String::new())])
}

/// Whether a process owns what has these labels.
pub(super) fn is_owned(labels: &HashMap<String, String>) -> bool {
    labels.get(OWNER).is_some_and(|owner| !owner.is_empty())
}

/// Something that a process made in the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// `container`, `image` or `volume`.
    pub kind: &'static str,
    /// The engine's id.
    pub id: String,
    /// The kind of sandbox.
    pub sandbox: String,
    /// The process that made it.
    pub pid: u32,
    /// Whether that process is known to be dead.
    pub is_orphan: bool,
    /// Whether the engine is still making an image of it.
    #[serde(skip)]
    pub is_being_copied: bool,
}

impl Leftover {
    /// Whether it can be removed at the look after this pause of [`LOOKS`].
    pub fn is_removable(&self, pause: Duration) -> bool {
        self.is_orphan && (!self.is_being_copied || Some(&pause) == LOOKS.last())
    }
}

/// Lists what processes of Apprentice made: containers first, then images of forks, then volumes that are being
/// filled.
///
/// # Errors
/// [`SandboxError::Unavailable`] when the engine does not answer.
pub async fn leftovers(docker: &Docker) -> Result<Vec<Leftover>, SandboxError> {
    let filters = HashMap::from([("label".to_owned(), vec![OWNER.to_owned()])]);
    let containers = containers(docker, filters.clone()).await.map_err(|error| unavailable(&error))?;
    let options = ListImagesOptions { all: true, filters: Some(filters.clone()), ..Default::default() };
    let images = docker.list_images(Some(options)).await.map_err(|error| unavailable(&error))?;
    let volumes = usr::unmarked(docker, filters).await.map_err(|error| unavailable(&error))?;
    let here = Owner::place();
    let leftover = |kind, id: String, labels: &HashMap<String, String>| {
        let owner = Owner::parse(labels.get(OWNER)?)?;
        let sandbox = labels.get(SANDBOX).cloned().unwrap_or_default();
        let is_orphan = owner.is_dead(&here);
        Some(Leftover { kind, id, sandbox, pid: owner.pid, is_orphan, is_being_copied: false })
    };
    let containers = containers.into_iter().filter_map(|container| {
        let found = leftover("container", container.id?, &container.labels.unwrap_or_default())?;
        // The engine pauses a container while it makes an image of it.
        let is_being_copied = container.state == Some(ContainerSummaryStateEnum::PAUSED);
        Some(Leftover { is_being_copied, ..found })
    });
    // Newest first, so that no image is removed before one that was made from it.
    let images = images.into_iter().filter_map(|image| leftover("image", image.id, &image.labels));
    let volumes = volumes.into_iter().filter_map(|(name, labels)| leftover("volume", name, &labels));
    Ok(containers.chain(images).chain(volumes).collect())
}

/// States that every engine knows by the same words.
const STATES: [&str; 5] = ["created", "running", "paused", "exited", "removing"];

/// Lists containers of any state.
pub(super) async fn containers(
    docker: &Docker,
    filters: HashMap<String, Vec<String>>,
) -> Result<Vec<ContainerSummary>, Error> {
    let options = |filters| ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    match docker.list_containers(Some(options(filters.clone()))).await {
        // Podman has a state of its own for a moment, which does not read as one of Docker's.
        Err(Error::JsonDataError { .. } | Error::JsonSerdeError { .. }) => {
            let mut filters = filters;
            filters.insert("status".to_owned(), STATES.map(str::to_owned).to_vec());
            docker.list_containers(Some(options(filters))).await
        }
        listed => listed,
    }
}

/// The name of an image without the registry that Podman adds to those that have none.
pub(super) fn plain(name: &str) -> &str {
    ["localhost/", "docker.io/library/"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// Removes what [`leftovers`] listed; false for an image that a container uses. The engine can finish one that a killed
/// process had asked for after the list was made: the next list has it, and it goes before the image.
///
/// # Errors
/// [`SandboxError::Unavailable`] when the engine refuses.
pub async fn remove(docker: &Docker, leftover: &Leftover) -> Result<bool, SandboxError> {
    let removed = match leftover.kind {
        "container" => remove_container(docker, &leftover.id).await,
        "volume" => usr::remove(docker, &leftover.id).await,
        _ => match remove_image(docker, &leftover.id).await {
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => return Ok(false),
            removed => removed,
        },
    };
    removed.map(|()| true).map_err(|error| unavailable(&error))
}

/// How often, and how long apart, the end of a removal is looked for.
const REMOVAL: (u32, Duration) = (500, Duration::from_millis(10));

/// The pauses before each look for what dead processes left: the engine may still be making what a killed
/// process asked for. What it is making an image of stays until the last look, so that the image is found too.
pub const LOOKS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(500),
    SECOND,
    SECOND.saturating_mul(2),
    SECOND.saturating_mul(4),
    SECOND.saturating_mul(8),
];
const SECOND: Duration = Duration::from_secs(1);

/// Removes what dead processes left; what cannot be removed now is left to the next process.
pub(super) async fn sweep(docker: Docker) {
    for pause in LOOKS {
        tokio::time::sleep(pause).await;
        let all = match leftovers(&docker).await {
            Ok(all) => all,
            Err(error) => return tracing::warn!(%error, "could not look for what killed processes left"),
        };
        for orphan in all.iter().filter(|leftover| leftover.is_removable(pause)) {
            match remove(&docker, orphan).await {
                Ok(true) => {
                    tracing::info!(id = %orphan.id, kind = orphan.kind, "removed what a killed process left");
                }
                Ok(false) => tracing::info!(id = %orphan.id, "an image that a killed process left is used"),
                Err(error) => {
                    tracing::warn!(id = %orphan.id, %error, "what a killed process left stays for now");
                }
            }
        }
    }
}

pub(super) async fn remove_container(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
    gone_is_fine(docker.remove_container(id, Some(options)).await)?;
    // The engine may be removing it already, because its first process ended.
    for _ in 0..REMOVAL.0 {
        match docker.inspect_container(id, None).await {
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => tokio::time::sleep(REMOVAL.1).await,
        }
    }
    Ok(())
}

pub(super) async fn remove_image(docker: &Docker, id: &str) -> Result<(), Error> {
    // Without `noprune` the engine would also remove the untagged image that this one was made from,
    // which may be another fork's.
    let options = RemoveImageOptions { noprune: true, ..RemoveImageOptions::default() };
    // Podman gives bare digits when it makes an image, and does not take them.
    let is_bare = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = if is_bare { &format!("sha256:{id}") } else { id };
    gone_is_fine(docker.remove_image(id, Some(options), None).await.map(|_| ()))
}

pub(super) fn gone_is_fine(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
        // A removal that is under way already.
        Err(Error::DockerResponseServerError { status_code: 409, message })
            if message.contains("already in progress") =>
        {
            Ok(())
        }
        // Another process removed the same image at the same moment.
        Err(Error::DockerResponseServerError { status_code: 500, message })
            if message.contains("unrecognized image ID") =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Removes a container from a thread with a runtime of its own, for a caller that cannot wait.
pub(super) fn remove_later(id: String) {
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            if let Ok(backend) = super::DockerBackend::connect(crate::isolation::Isolation::Full).await
                && let Err(error) = remove_container(backend.docker(), &id).await
            {
                tracing::warn!(sandbox = %id, %error, "a sandbox could not be removed");
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_owns_what_it_made() {
        let owner = Owner::parse(&Owner::current().label()).unwrap();
        assert_eq!(owner, Owner::current());
        assert!(!owner.is_dead(&Owner::place()));
    }

    #[test]
    fn only_a_process_known_to_be_dead_is_an_orphans_owner() {
        let here = Owner { machine: "m".to_owned(), ..Owner::place() };
        let current = Owner { machine: "m".to_owned(), ..Owner::current() };
        assert!(!current.is_dead(&here));
        assert!(
            Owner { started: current.started + 1, ..current.clone() }.is_dead(&here),
            "its pid was used again"
        );
        assert!(Owner { boot: "earlier".to_owned(), ..current.clone() }.is_dead(&here));
        assert!(
            !Owner { machine: "other".to_owned(), boot: "b".to_owned(), ..current.clone() }.is_dead(&here)
        );
        assert!(!Owner { namespace: "other".to_owned(), started: 1, ..current.clone() }.is_dead(&here));
        let nameless = |owner: &Owner| Owner { machine: String::new(), ..owner.clone() };
        let gone = Owner { started: current.started + 1, ..nameless(&current) };
        assert!(gone.is_dead(&nameless(&here)), "the boot alone says that it is this machine");
        let earlier = Owner { boot: "earlier".to_owned(), ..nameless(&current) };
        assert!(!earlier.is_dead(&nameless(&here)), "it may be another machine's");
    }
}

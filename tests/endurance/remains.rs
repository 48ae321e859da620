//! What a manager may leave on the host, looked for without asking the manager: in the engine, in `/proc`,
//! among the control groups and mounts, in the directory for temporary files.

use std::collections::BTreeSet;
use std::path::Path;

use apprentice::sandbox::docker;
use bollard::Docker;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};

/// The variable that every command of a round has.
pub(crate) const ROUND: &str = "ENDURANCE_ROUND";

/// What is left of a manager.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    pub(crate) containers: Vec<String>,
    pub(crate) images: Vec<String>,
    pub(crate) processes: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) mounts: Vec<String>,
    pub(crate) files: Vec<String>,
}

impl Remains {
    pub(crate) fn is_empty(&self) -> bool {
        self.counts() == [0; 6]
    }

    /// Containers, images, processes, groups, mounts, files.
    pub(crate) fn counts(&self) -> [usize; 6] {
        [&self.containers, &self.images, &self.processes, &self.groups, &self.mounts, &self.files]
            .map(Vec::len)
    }
}

/// A manager and what it started.
pub(crate) struct Traces<'a> {
    pub(crate) docker: Option<&'a Docker>,
    pub(crate) pid: u32,
    /// The value of [`ROUND`].
    pub(crate) round: String,
    /// Its processes when it was killed, each with its start.
    pub(crate) descendants: BTreeSet<(u32, u64)>,
    /// The mounts before it started.
    pub(crate) mounts: BTreeSet<String>,
    pub(crate) room: &'a Path,
}

impl Traces<'_> {
    pub(crate) async fn remains(&self) -> Remains {
        let mut remains = Remains {
            processes: self.processes(),
            groups: groups_of(self.pid),
            files: entries(self.room),
            ..Remains::default()
        };
        let mounts: Vec<String> = mounts().difference(&self.mounts).cloned().collect();
        let Some(docker) = self.docker else { return Remains { mounts, ..remains } };
        let (mut known, mut dead) = (Vec::new(), BTreeSet::new());
        for leftover in docker::leftovers(docker).await.unwrap() {
            if leftover.pid == self.pid {
                dead.insert(leftover.id.clone());
                let found =
                    if leftover.kind == "image" { &mut remains.images } else { &mut remains.containers };
                found.push(leftover.id);
            }
        }
        for id in containers(docker).await {
            if !dead.contains(&id) {
                known.extend(places(docker, &id).await);
            }
        }
        let of_others = |text: &str| known.iter().any(|place| text.contains(place));
        remains.mounts = mounts.into_iter().filter(|mount| !of_others(mount)).collect();
        let inits = processes().filter(|process| process.is_container_init() && !of_others(&process.group));
        remains.processes.extend(inits.map(|init| init.describe()));
        remains
    }

    fn processes(&self) -> Vec<String> {
        let variable = format!("{ROUND}={}", self.round);
        let of_group = format!("apprentice-ns-{}-", self.pid);
        processes()
            .filter(|process| {
                self.descendants.contains(&(process.pid, process.started))
                    || process.environment.split('\0').any(|line| line == variable)
                    || process.group.contains(&of_group)
            })
            .map(|process| process.describe())
            .collect()
    }
}

/// What `/proc` says of a process.
pub(crate) struct Process {
    pid: u32,
    parent: u32,
    started: u64,
    state: String,
    command: String,
    environment: String,
    group: String,
}

impl Process {
    fn of(pid: u32) -> Option<Self> {
        let read = |file: &str| {
            let bytes = fs_err::read(format!("/proc/{pid}/{file}")).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        let stat = read("stat")?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self {
            pid,
            state: fields[0].to_owned(),
            parent: fields[1].parse().ok()?,
            started: fields[19].parse().ok()?,
            command: read("cmdline")?,
            environment: read("environ").unwrap_or_default(),
            group: read("cgroup").unwrap_or_default(),
        })
    }

    fn is_container_init(&self) -> bool {
        self.command.contains("@sandbox-init") && self.group.contains("/docker/")
    }

    fn describe(&self) -> String {
        format!("{} {} {}", self.pid, self.state, self.command.replace('\0', " "))
    }
}

/// All processes that are not waiting to be collected by a parent that is not ours.
fn processes() -> impl Iterator<Item = Process> {
    let entries = fs_err::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::of).filter(|process| process.state != "Z")
}

/// The processes below `pid`, each with its start.
pub(crate) fn descendants(pid: u32) -> BTreeSet<(u32, u64)> {
    let all: Vec<(u32, u32, u64)> =
        processes().map(|process| (process.pid, process.parent, process.started)).collect();
    let (mut found, mut pending) = (BTreeSet::new(), vec![pid]);
    while let Some(parent) = pending.pop() {
        for (pid, _, started) in all.iter().filter(|(_, above, _)| *above == parent) {
            if found.insert((*pid, *started)) {
                pending.push(*pid);
            }
        }
    }
    found
}

/// The control groups that the manager `pid` made.
pub(crate) fn groups_of(pid: u32) -> Vec<String> {
    let (mut found, mut pending) = (Vec::new(), vec![Path::new("/sys/fs/cgroup").to_owned()]);
    while let Some(directory) = pending.pop() {
        // A group may go away while it is looked at.
        let Ok(listed) = fs_err::read_dir(&directory) else { continue };
        for entry in listed.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("apprentice-") && name.split('-').nth(2) == Some(&pid.to_string()) {
                found.push(entry.path().display().to_string());
            }
            pending.push(entry.path());
        }
    }
    found
}

/// Every mount of this process's namespace: where it is, and what it is.
pub(crate) fn mounts() -> BTreeSet<String> {
    fs_err::read_to_string("/proc/self/mountinfo").unwrap().lines().map(str::to_owned).collect()
}

pub(crate) fn entries(directory: &Path) -> Vec<String> {
    let listed = fs_err::read_dir(directory).unwrap().flatten();
    listed.map(|entry| entry.path().display().to_string()).collect()
}

async fn containers(docker: &Docker) -> Vec<String> {
    let options = ListContainersOptions { all: true, ..Default::default() };
    let all = docker.list_containers(Some(options)).await.unwrap();
    all.into_iter().filter_map(|container| container.id).collect()
}

/// What the mounts and groups of a container are called.
async fn places(docker: &Docker, id: &str) -> Vec<String> {
    let mut places = vec![id.to_owned()];
    // A container may go away while it is looked at.
    if let Ok(container) = docker.inspect_container(id, None::<InspectContainerOptions>).await {
        places.extend(container.graph_driver.into_iter().flat_map(|driver| driver.data.into_values()));
        places.extend(container.network_settings.and_then(|settings| settings.sandbox_key));
    }
    places.retain(|place| !place.is_empty());
    places
}

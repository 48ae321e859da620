//! How a container is created: its bounds, and what it can write to.
//!
//! Guarantees no network unless asked for, no capability that the sandbox's user could use, and no published
//! port, socket, device or directory of the host.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, ResourcesUlimits};

use super::breakdown;
use super::files::STATE_DIRECTORY;
use super::recipe::{Recipe, Storage};
use super::{owner, usr};
use crate::isolation::{Limits, Network};
use crate::sandbox::SandboxError;
use crate::sandbox::spec::SandboxSpec;

/// What the first process may do beyond a plain process of root: end the agent's processes, start them as
/// their user, and read their files. An unprivileged process cannot gain a capability of the bounding set.
const FIRST_PROCESS: [&str; 4] = ["DAC_OVERRIDE", "KILL", "SETGID", "SETUID"];

/// Creates a container of `image`, with `/usr` from `volume` where there is one, and gives its id.
pub(super) async fn create(
    recipe: &Recipe,
    image: &str,
    volume: Option<&str>,
) -> Result<String, SandboxError> {
    let spec = &recipe.spec;
    let loader = recipe.prepared.env.iter().filter(|(name, _)| name.starts_with("LD_"));
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        hostname: Some("sandbox".to_owned()),
        user: Some("0:0".to_owned()),
        entrypoint: Some(recipe.argv.clone()),
        cmd: Some(Vec::new()),
        // What the image tells its own programs' loader is not for ours.
        env: Some(loader.map(|(name, _)| format!("{name}=")).collect()),
        working_dir: Some("/".to_owned()),
        labels: Some(owner::labels(&spec.name)),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        // There is nothing to save when the engine is stopped.
        stop_signal: Some("SIGKILL".to_owned()),
        // The end of the manager is the end of the line, and so of the container.
        stdin_once: Some(true),
        host_config: Some(HostConfig {
            auto_remove: Some(true),
            cap_add: (!recipe.prepared.user.is_root()).then(|| FIRST_PROCESS.map(str::to_owned).to_vec()),
            readonly_rootfs: Some(recipe.storage == Storage::Memory),
            tmpfs: (recipe.storage == Storage::Memory).then(|| file_systems(recipe)),
            mounts: volume.map(|volume| vec![usr::mount(volume, &spec.name)]),
            ..bounds(spec)
        }),
        ..ContainerCreateBody::default()
    };
    let created = recipe.docker.create_container(None, body).await;
    Ok(created.map_err(|error| not_started(spec, &error))?.id)
}

/// Sized file systems for all that commands can write.
fn file_systems(recipe: &Recipe) -> HashMap<String, String> {
    let (user, bytes) = (&recipe.prepared.user, recipe.spec.limits.disk_mib << 20);
    // One inode for each 4 KiB, as disks have them: empty files must not use up the memory either.
    let inodes = (bytes / 4096).max(1024);
    let own = format!("mode=0755,uid={},gid={}", user.uid, user.gid);
    let options = |access: &str| format!("rw,exec,nosuid,nodev,size={bytes},nr_inodes={inodes},{access}");
    let private = [&recipe.spec.workdir, &user.home].map(|path| (path.clone(), options(&own)));
    let state = (STATE_DIRECTORY.to_owned(), options(&own));
    let shared = ["/tmp", "/var/tmp"].map(|path| (path.to_owned(), options("mode=1777")));
    private.into_iter().chain([state]).chain(shared).collect()
}

fn bounds(spec: &SandboxSpec) -> HostConfig {
    let Limits { memory_mib, cpus, pids, disk_mib, .. } = spec.limits;
    let bytes = |mib: u64| i64::try_from(mib << 20).unwrap_or(i64::MAX);
    let ulimit = |name: &str, value| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(value),
        hard: Some(value),
    };
    HostConfig {
        network_mode: Some(match spec.network {
            Network::None | Network::Allow(_) => "none".to_owned(),
            Network::Host => "host".to_owned(),
        }),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        memory: Some(bytes(memory_mib)),
        memory_swap: Some(bytes(memory_mib)),
        // The first process, one of its own that touches files, and a relay are not the agent's.
        pids_limit: Some(
            i64::try_from(pids + 2 + u64::from(spec.network.allowed().is_some())).unwrap_or(i64::MAX),
        ),
        nano_cpus: Some((cpus * 1e9) as i64),
        ulimits: Some(vec![ulimit("fsize", bytes(disk_mib)), ulimit("core", 0)]),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        oom_score_adj: Some(500),
        ..HostConfig::default()
    }
}

pub(super) fn not_started(spec: &SandboxSpec, error: &bollard::errors::Error) -> SandboxError {
    breakdown(error, &spec.name, "starting").unwrap_or_else(|| SandboxError::Image {
        image: spec.name.clone(),
        reason: format!("no container could be started from it: {error}"),
        hint: "make sure that the image holds bash and coreutils, and that `docker run` works on this host"
            .to_owned(),
    })
}

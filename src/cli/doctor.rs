//! `apprentice doctor`: what this host can do, and what to do about what it cannot.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::failure::{Answer, Failure};
use super::output::Output;
use super::sandbox::block_on;
use crate::isolation::{Isolation, Network, Protection};
use crate::sandbox::landlock::Landlock;
use crate::sandbox::namespaces::Namespaces;
use crate::sandbox::spec::{self, SandboxSpec};
use crate::sandbox::{Backend, SandboxError};

/// What `quickstart` needs of memory, in MiB.
const ENOUGH_MEMORY_MIB: u64 = 2048;
/// What a few images and a run directory need, in MiB.
const ENOUGH_DISK_MIB: u64 = 4096;

/// Say what this host can do, and what to do about what it cannot
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of sandbox kinds, beside those that are shipped
    #[arg(long, value_name = "DIR", default_value = "sandboxes")]
    sandboxes: PathBuf,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Lacking,
}

#[derive(Debug, Serialize)]
struct Report {
    format: &'static str,
    ready: bool,
    checks: Vec<Check>,
}

/// Runs the command: exit 1 when no kind of sandbox works here.
///
/// # Errors
/// See [`Failure`].
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments alike")]
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    let mut checks = block_on(async { Ok(sandboxes(&args).await) })?;
    let ready = checks
        .iter()
        .any(|check| ["docker", "namespaces"].contains(&&*check.name) && check.state == State::Ok);
    checks.extend([cgroups(), cores(), memory(), disk(), mmdebstrap(), gpu()]);
    let text = render(&checks);
    let report = Report { format: "apprentice.doctor/1", ready, checks };
    output.result(&report, &text).map_err(Failure::host)?;
    Ok(if ready { Answer::Yes } else { Answer::No })
}

fn render(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let mark = if check.state == State::Ok { "ok" } else { "--" };
        writeln!(text, "{mark}  {:<18} {}", check.name, check.detail)
            .expect("invariant: a String takes text");
        if let Some(remedy) = &check.remedy {
            writeln!(text, "    {:<18} -> {remedy}", "").expect("invariant: a String takes text");
        }
    }
    text
}

fn ok(name: &str, detail: impl Into<String>) -> Check {
    Check { name: name.to_owned(), state: State::Ok, detail: detail.into(), remedy: None }
}

fn lacking(name: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name: name.to_owned(), state: State::Lacking, detail: detail.into(), remedy: Some(remedy.into()) }
}

fn refused(name: &str, error: &SandboxError) -> Check {
    let reason = match error {
        SandboxError::Unavailable { reason, .. } => reason.clone(),
        error => error.to_string(),
    };
    lacking(name, reason, error.hint().unwrap_or("see the cause with `-vv`"))
}

fn protected(name: &str, protection: &Protection) -> Check {
    let Some(lack) = protection.missing.first() else {
        return ok(name, format!("full protection: {}", protection.enforced.join("; ")));
    };
    let lacks: Vec<&str> = protection.missing.iter().map(|lack| lack.what.as_str()).collect();
    let remedy = format!("{}, or pass `--accept-weaker-isolation`", lack.remedy);
    lacking(name, format!("works, but lacks: {}", lacks.join("; ")), remedy)
}

async fn sandboxes(args: &Args) -> Vec<Check> {
    let mut checks = docker(args).await;
    let exe = std::env::current_exe().unwrap_or_default();
    checks.push(match Namespaces::new(exe.clone(), Isolation::Full).probe().await {
        Ok(protection) => protected("namespaces", &protection),
        Err(error) => refused("namespaces", &error),
    });
    checks.push(match Landlock::new(exe, Isolation::AcceptWeaker, std::env::temp_dir()).probe().await {
        // Weaker by its nature: what it lacks is known, and nothing on this host is to be mended.
        Ok(_) => ok("landlock", "works where weaker isolation is accepted"),
        Err(error) => refused("landlock", &error),
    });
    checks.extend(spec::names(&args.sandboxes).iter().filter_map(|name| network(name, args)));
    checks
}

/// What sandboxes of a kind may reach, where that is more than nothing.
fn network(name: &str, args: &Args) -> Option<Check> {
    let detail = match SandboxSpec::load(name, &args.sandboxes).ok()?.network {
        Network::None => return None,
        Network::Allow(list) => format!("no network but {list} (through a proxy on their own loopback)"),
        Network::Host => "all that this host reaches".to_owned(),
    };
    Some(ok(&format!("network of {name}"), detail))
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "its companion awaits")]
async fn docker(_args: &Args) -> Vec<Check> {
    vec![lacking("docker", "this program was built without it", "build it with `--features docker`")]
}

#[cfg(feature = "docker")]
async fn docker(args: &Args) -> Vec<Check> {
    use crate::sandbox::docker::DockerBackend;

    let backend = match DockerBackend::connect(Isolation::Full).await {
        Ok(backend) => backend,
        Err(error) => return vec![refused("docker", &error)],
    };
    let mut checks = vec![match backend.probe().await {
        Ok(protection) => protected("docker", &protection),
        Err(error) => refused("docker", &error),
    }];
    for name in spec::names(&args.sandboxes) {
        checks.push(image(&backend, &name, args).await);
    }
    checks
}

#[cfg(feature = "docker")]
async fn image(backend: &crate::sandbox::docker::DockerBackend, name: &str, args: &Args) -> Check {
    let title = format!("image of {name}");
    let spec = match SandboxSpec::load(name, &args.sandboxes) {
        Ok(spec) => spec,
        Err(error) => return lacking(&title, error.to_string(), error.hint()),
    };
    match crate::sandbox::docker::images::local(backend.docker(), &spec).await {
        Ok(Some(image)) => ok(&title, image.described()),
        Ok(None) => lacking(&title, "not local", format!("run `apprentice sandbox build {name}`")),
        Err(error) => refused(&title, &error),
    }
}

fn cgroups() -> Check {
    let name = "control groups";
    if let Ok(controllers) = fs_err::read_to_string("/sys/fs/cgroup/cgroup.controllers") {
        return ok(name, format!("version 2: {}", controllers.trim()));
    }
    let wanted = ["memory", "pids", "cpu"];
    let found: Vec<&str> = wanted
        .into_iter()
        .filter(|controller| PathBuf::from("/sys/fs/cgroup").join(controller).is_dir())
        .collect();
    if found.is_empty() {
        return lacking(name, "none are mounted", "mount cgroup2 at /sys/fs/cgroup");
    }
    ok(name, format!("version 1: {}", found.join(" ")))
}

fn cores() -> Check {
    let n_cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if n_cores < 2 {
        return lacking("cores", "1", "use a machine with 2 cores or more: every time given is for 2");
    }
    ok("cores", n_cores.to_string())
}

fn memory() -> Check {
    let meminfo = fs_err::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = available.and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok());
    enough(
        "memory",
        kib.map(|kib| kib >> 10),
        ENOUGH_MEMORY_MIB,
        "close what uses it, or use a larger machine",
    )
}

fn disk() -> Check {
    let free = rustix::fs::statvfs(".").ok().map(|status| (status.f_bavail * status.f_frsize) >> 20);
    enough("disk", free, ENOUGH_DISK_MIB, "free space here, or pass `--out` on another disk")
}

fn enough(name: &str, mib: Option<u64>, needed: u64, remedy: &str) -> Check {
    match mib {
        None => lacking(name, "unknown", remedy),
        Some(mib) if mib < needed => lacking(name, format!("{mib} MiB free of {needed} MiB wanted"), remedy),
        Some(mib) => ok(name, format!("{mib} MiB free")),
    }
}

fn mmdebstrap() -> Check {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("mmdebstrap")).find(|file| file.is_file());
    match found {
        Some(file) => ok("mmdebstrap", file.display().to_string()),
        None => lacking(
            "mmdebstrap",
            "absent; only `sandbox build` without an image registry needs it",
            "install it: `apt-get install -y mmdebstrap`",
        ),
    }
}

fn gpu() -> Check {
    if cfg!(feature = "cuda") {
        return ok("gpu", "built with CUDA");
    }
    lacking(
        "gpu",
        "this program trains on the CPU",
        "build with `--features cuda` where a CUDA toolkit is installed",
    )
}

//! `apprentice sandbox`: build, run, shell, list, prune.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::failure::{Answer, Failure};
use super::output::Output;
use super::sandboxes::cache_dir;
use super::shell::{self, Shell};
use crate::isolation::Isolation;
use crate::sandbox::kept::Starts;
use crate::sandbox::rootfs::{self, Shelf};
use crate::sandbox::select::{BackendKind, Choice, Selection};
use crate::sandbox::session::quote;
use crate::sandbox::spec::{self, SandboxSpec, SpecError};
use crate::sandbox::{Contact, Exec, Sandbox, SandboxError, Start, Streams};
use crate::trajectory::{Apart, Exit, Observation};

/// Build, run, list and prune sandboxes
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a sandbox's Docker image or root file system: pulled, built, or from a distribution's packages
    Build(Build),
    /// Run one command in a new sandbox
    Run(Run),
    /// Talk to a shell in a new sandbox; where stdin is no terminal, run its lines one after the other
    Shell(Shell),
    /// List the kinds of sandboxes and what is running
    List(List),
    /// Remove what killed processes left in Docker, root file systems that nothing names any more, and what
    /// set-ups left that no command used for two weeks
    Prune(Prune),
}

/// Where sandboxes run; flattened into every command that starts one.
#[derive(Debug, Clone, clap::Args)]
pub struct BackendArgs {
    /// Run sandboxes in: auto, docker, namespaces or landlock
    #[arg(long = "sandbox", value_name = "KIND", default_value_t = BackendKind::Auto)]
    pub kind: BackendKind,
    /// Run with less protection than the full set, and record it
    #[arg(long)]
    pub accept_weaker_isolation: bool,
    /// Directory of sandbox kinds, beside those that are shipped
    #[arg(long, value_name = "DIR", default_value = "sandboxes")]
    pub sandboxes: PathBuf,
}

impl BackendArgs {
    /// The specification called `name`.
    ///
    /// # Errors
    /// [`Failure`] with a hint when there is none or it is invalid.
    pub fn spec(&self, name: &str) -> Result<SandboxSpec, Failure> {
        load(name, &self.sandboxes)
    }

    /// What the user chose, for callers that select a backend for each task.
    ///
    /// # Errors
    /// [`Failure`] of the host.
    pub fn choice(&self) -> Result<Choice, Failure> {
        Choice::new(self.kind, self.isolation()).map_err(failure)
    }

    /// Whether the user accepts less protection.
    pub fn isolation(&self) -> Isolation {
        if self.accept_weaker_isolation { Isolation::AcceptWeaker } else { Isolation::Full }
    }

    /// The backend for sandboxes of `spec`.
    ///
    /// # Errors
    /// [`Failure`] of the host, with a hint.
    pub async fn select(&self, spec: &SandboxSpec) -> Result<Selection, Failure> {
        self.choice()?.backend(spec).await.map_err(failure)
    }
}

/// Makes a command's failure of a sandbox's error.
pub fn failure(error: SandboxError) -> Failure {
    let hint = error.hint().map(str::to_owned);
    let failure = Failure::host(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn load(name: &str, directory: &Path) -> Result<SandboxSpec, Failure> {
    SandboxSpec::load(name, directory).map_err(|error| {
        let hint = error.hint();
        let failure = match &error {
            SpecError::Unknown { .. } => Failure::usage(error),
            SpecError::Unreadable { .. } | SpecError::Invalid { .. } => Failure::input(error),
        };
        failure.with_hint(hint)
    })
}

/// Runs a command's asynchronous part.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::host)?;
    runtime.block_on(work)
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    block_on(async {
        match args.verb {
            Verb::Build(args) => build(args, output).await,
            Verb::Run(args) => run_one(args, output).await,
            Verb::Shell(args) => shell::shell(args, output).await,
            Verb::List(args) => list(args, output).await,
            Verb::Prune(args) => prune(args, output).await,
        }
    })
}

#[derive(Debug, clap::Args)]
struct Build {
    /// The sandbox's name, such as `shell` or `python`
    name: String,
    /// Make it for: docker (an image), namespaces (a root file system), or auto, docker where a daemon answers
    #[arg(long = "sandbox", value_name = "KIND", default_value_t = BackendKind::Docker)]
    kind: BackendKind,
    /// Directory of sandbox kinds, beside those that are shipped
    #[arg(long, value_name = "DIR", default_value = "sandboxes")]
    sandboxes: PathBuf,
}

async fn build(args: Build, output: Output) -> Result<Answer, Failure> {
    let spec = load(&args.name, &args.sandboxes)?;
    let begin = std::time::Instant::now();
    let say = |line: &str| output.say(line);
    let (what, how) = match args.kind {
        BackendKind::Docker => build_image(&spec, &say).await?,
        BackendKind::Auto if docker_answers().await => build_image(&spec, &say).await?,
        BackendKind::Namespaces | BackendKind::Auto => build_root(&spec, &say).await?,
        BackendKind::Landlock => {
            return Err(Failure::usage(anyhow::anyhow!("landlock sandboxes use the host's programs alone"))
                .with_hint("build for docker or namespaces"));
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    let Made { image, digest, rootfs } = &what;
    let value = serde_json::json!({
        "format": "apprentice.build/1", "sandbox": spec.name, "image": image, "digest": digest, "rootfs": rootfs,
        "how": how, "seconds": seconds,
    });
    let name = image.as_ref().or(rootfs.as_ref()).map_or("", String::as_str);
    output.result(&value, &format!("{name} {how} in {seconds:.1} s")).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

/// What `build` made: an image with its digest, or a root file system.
#[derive(Default)]
struct Made {
    image: Option<String>,
    digest: Option<String>,
    rootfs: Option<String>,
}

/// Makes a root file system, and says how it was had.
async fn build_root(
    spec: &SandboxSpec,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(Made, &'static str), Failure> {
    let (root, way) = shelf()?.build(spec, say).await.map_err(failure)?;
    let how = match way {
        rootfs::Way::Local => "was there",
        rootfs::Way::Made => "was made from packages",
    };
    Ok((Made { rootfs: Some(root.display().to_string()), ..Made::default() }, how))
}

fn shelf() -> Result<Shelf, Failure> {
    Shelf::of_user().ok_or_else(|| {
        Failure::host(anyhow::anyhow!("neither XDG_CACHE_HOME nor HOME says where root file systems lie"))
            .with_hint("set XDG_CACHE_HOME to a directory")
    })
}

#[cfg(feature = "docker")]
async fn docker_answers() -> bool {
    crate::sandbox::docker::DockerBackend::connect(Isolation::Full).await.is_ok()
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "its companion awaits")]
async fn docker_answers() -> bool {
    false
}

/// Makes an image, and says how it was had.
#[cfg(feature = "docker")]
async fn build_image(
    spec: &SandboxSpec,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(Made, &'static str), Failure> {
    use crate::sandbox::docker::{DockerBackend, images};

    let backend = DockerBackend::connect(Isolation::Full).await.map_err(failure)?;
    let (image, way) = images::build(backend.docker(), spec, say).await.map_err(failure)?;
    let digest = images::digest(backend.docker(), &image).await.map_err(failure)?;
    let how = match way {
        images::Way::Local => "was there",
        images::Way::Pulled => "was pulled",
        images::Way::Built => "was built from its Dockerfile",
        images::Way::Bootstrapped => "was made from packages",
    };
    Ok((Made { image: Some(image), digest, ..Made::default() }, how))
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "its companion awaits")]
async fn build_image(
    _spec: &SandboxSpec,
    _say: &(dyn Fn(&str) + Sync),
) -> Result<(Made, &'static str), Failure> {
    Err(Failure::host(anyhow::anyhow!("this program was built without docker"))
        .with_hint("build it with `--features docker`, or pass `--sandbox namespaces`"))
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The sandbox's name, such as `shell` or `python`
    name: String,
    /// Copy this directory into the work directory
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Kill the command after this many seconds (default: the sandbox's limit)
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    #[command(flatten)]
    backend: BackendArgs,
    /// The command: one argument is a script, several are a program with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RunResult<'a> {
    format: &'static str,
    sandbox: &'a str,
    backend: &'a str,
    #[serde(flatten)]
    observation: &'a Observation,
    /// Hosts that it asked the proxy for, where there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contacts: Vec<Contact>,
    /// Beside the joint output.
    #[serde(flatten)]
    apart: &'a Apart,
}

async fn run_one(args: Run, output: Output) -> Result<Answer, Failure> {
    let spec = args.backend.spec(&args.name)?;
    let timeout = match args.timeout {
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(Failure::usage)?,
        None => spec.limits.command_timeout(),
    };
    let script = match &args.command[..] {
        [script] => script.clone(),
        words => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
    };
    let (backend, mut sandbox) = start(&args.backend, &spec, args.tree.as_deref(), output).await?;
    let exec =
        Exec { streams: Streams::Apart, ..Exec::new(&script, timeout, spec.limits.output_bytes).fresh() };
    let observed = sandbox.exec(&exec).await;
    let contacts = sandbox.contacts();
    let stopped = sandbox.stop().await;
    let mut observation = observed.map_err(failure)?;
    stopped.map_err(failure)?;
    if let Some(summary) = Contact::summary(&contacts) {
        output.say(&format!("the command {summary}"));
    }
    let apart = observation.apart.take().unwrap_or_default();
    if output.is_json() {
        let value = RunResult {
            format: "apprentice.command/1",
            sandbox: &spec.name,
            backend,
            observation: &observation,
            contacts,
            apart: &apart,
        };
        output.result(&value, "").map_err(Failure::host)?;
    } else if output.is_one_place() {
        output.data(observation.output.as_bytes()).map_err(Failure::host)?;
    } else {
        output.both(&apart.stdout, &apart.stderr).map_err(Failure::host)?;
    }
    Ok(answer(&observation, output))
}

pub(super) fn answer(observation: &Observation, output: Output) -> Answer {
    let how = match observation.exit {
        Some(exit) if exit.is_success() => return Answer::Yes,
        Some(Exit::Code(code)) => format!("exited with code {code}"),
        Some(Exit::Signal(signal)) => format!("was ended by signal {signal}"),
        Some(Exit::TimedOut) => {
            format!("was killed at its deadline, after {:.1} s", observation.elapsed_seconds)
        }
        Some(Exit::OutOfMemory) => "was killed at its memory limit".to_owned(),
        None => "ended".to_owned(),
    };
    output.say(&format!("the command {how}"));
    Answer::No
}

pub(super) async fn start(
    args: &BackendArgs,
    spec: &SandboxSpec,
    tree: Option<&Path>,
    output: Output,
) -> Result<(&'static str, Box<dyn Sandbox>), Failure> {
    if let Some(tree) = tree
        && !tree.is_dir()
    {
        return Err(Failure::usage(anyhow::anyhow!("`{}` is not a directory", tree.display()))
            .with_hint("name a directory with `--tree`"));
    }
    let selection = args.select(spec).await?;
    output.say(&selection.line);
    let sandbox = selection.backend.start(&Start { spec, tree }).await.map_err(failure)?;
    Ok((selection.backend.name(), sandbox))
}

#[derive(Debug, clap::Args)]
struct List {
    /// Directory of sandbox kinds, beside those that are shipped
    #[arg(long, value_name = "DIR", default_value = "sandboxes")]
    sandboxes: PathBuf,
}

async fn list(args: List, output: Output) -> Result<Answer, Failure> {
    let (images, running) = in_docker(&args.sandboxes).await;
    let shelf = Shelf::of_user();
    let mut kinds = Vec::new();
    let mut lines = Vec::new();
    for name in spec::names(&args.sandboxes) {
        let spec = load(&name, &args.sandboxes)?;
        let image = images.iter().find(|(of, _)| *of == name).map(|(_, image)| image.clone());
        let root = shelf.as_ref().and_then(|shelf| shelf.find(&spec));
        let host = match (&root, spec.host) {
            (Some(_), _) => "has a root file system",
            (None, true) => "may use the host's programs",
            (None, false) => "no root file system",
        };
        let shown = image.as_deref().unwrap_or("no image");
        lines.push(format!("{name:<12} {shown:<36} {host}"));
        let from = spec.file.as_ref().map_or_else(|| "shipped".to_owned(), |file| file.display().to_string());
        kinds.push(serde_json::json!({
            "name": name, "from": from, "image": image, "rootfs": root, "host": spec.host,
        }));
    }
    for one in &running {
        lines.push(format!("{one}"));
    }
    let value = serde_json::json!({"format": "apprentice.sandboxes/1", "kinds": kinds, "running": running});
    output.result(&value, &lines.join("\n")).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

/// The images of the sandboxes by name, and what is in Docker; nothing where no daemon answers.
#[cfg(feature = "docker")]
async fn in_docker(directory: &Path) -> (Vec<(String, String)>, Vec<serde_json::Value>) {
    use crate::sandbox::docker::{DockerBackend, images, leftovers};

    let Ok(backend) = DockerBackend::connect(Isolation::Full).await else { return (Vec::new(), Vec::new()) };
    let mut found = Vec::new();
    for name in spec::names(directory) {
        let Ok(spec) = SandboxSpec::load(&name, directory) else { continue };
        if let Ok(Some(image)) = images::local(backend.docker(), &spec).await {
            found.push((name, image));
        }
    }
    let running = leftovers(backend.docker()).await.unwrap_or_default();
    (found, running.iter().filter_map(|leftover| serde_json::to_value(leftover).ok()).collect())
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "its companion awaits")]
async fn in_docker(_directory: &Path) -> (Vec<(String, String)>, Vec<serde_json::Value>) {
    (Vec::new(), Vec::new())
}

#[derive(Debug, clap::Args)]
struct Prune {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Where what set-ups left is kept (default: the user's cache directory)
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Directory of sandbox kinds, beside those that are shipped
    #[arg(long, value_name = "DIR", default_value = "sandboxes")]
    sandboxes: PathBuf,
}

/// What was or would be removed: values for `--json`, and lines.
#[derive(Default)]
struct Removed {
    values: Vec<serde_json::Value>,
    lines: Vec<String>,
}

impl Removed {
    fn push(&mut self, args: &Prune, what: &str, value: &impl Serialize) -> Result<(), Failure> {
        let verb = if args.dry_run { "Would remove" } else { "Removed" };
        self.lines.push(format!("{verb} {what}"));
        self.values.push(serde_json::to_value(value).map_err(Failure::host)?);
        Ok(())
    }
}

async fn prune(args: Prune, output: Output) -> Result<Answer, Failure> {
    let mut removed = Removed::default();
    prune_roots(&args, output, &mut removed)?;
    prune_starts(&args, output, &mut removed)?;
    prune_docker(&args, output, &mut removed).await?;
    if removed.lines.is_empty() {
        removed.lines.push("Nothing to remove".to_owned());
    }
    let value = serde_json::json!({
        "format": "apprentice.prune/1", "dry_run": args.dry_run, "removed": removed.values,
    });
    output.result(&value, &removed.lines.join("\n")).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn prune_roots(args: &Prune, output: Output, removed: &mut Removed) -> Result<(), Failure> {
    let Some(shelf) = Shelf::of_user() else { return Ok(()) };
    for stale in shelf.stale(&args.sandboxes).map_err(failure)? {
        if args.dry_run || shelf.remove(&stale).map_err(failure)? {
            let value = serde_json::json!({"kind": "rootfs", "id": stale.id, "sandbox": stale.sandbox});
            removed.push(args, &format!("rootfs {} ({})", stale.id, stale.sandbox), &value)?;
        } else {
            output.say(&format!("rootfs {} ({}) is in use and stays", stale.id, stale.sandbox));
        }
    }
    Ok(())
}

/// How long a task's kept set-up is not used until it is removed.
const KEEP_STARTS: Duration = Duration::from_secs(14 * 24 * 3600);

fn prune_starts(args: &Prune, output: Output, removed: &mut Removed) -> Result<(), Failure> {
    let starts = Starts::below(&cache_dir(args.cache.as_ref()));
    for stale in starts.stale(KEEP_STARTS).map_err(failure)? {
        let task = if stale.task.is_empty() { "half made" } else { &stale.task };
        let what = format!("set-up {} ({task})", stale.id);
        if args.dry_run || starts.remove(&stale).map_err(failure)? {
            let value = serde_json::json!({"kind": "set-up", "id": stale.id, "task": stale.task});
            removed.push(args, &what, &value)?;
        } else {
            output.say(&format!("{what} is in use and stays"));
        }
    }
    Ok(())
}

#[cfg(feature = "docker")]
async fn prune_docker(args: &Prune, output: Output, removed: &mut Removed) -> Result<(), Failure> {
    use crate::sandbox::docker::{DockerBackend, LOOKS, leftovers, remove};

    let backend = match DockerBackend::connect(Isolation::Full).await {
        Ok(backend) => backend,
        Err(error) => {
            // A host without a daemon has root file systems all the same.
            output.say(&format!("Docker was not looked at: {error}"));
            return Ok(());
        }
    };
    for pause in LOOKS {
        tokio::time::sleep(pause).await;
        let all = leftovers(backend.docker()).await.map_err(failure)?;
        for orphan in
            all.iter().filter(|leftover| args.dry_run && leftover.is_orphan || leftover.is_removable(pause))
        {
            if !args.dry_run {
                remove(backend.docker(), orphan).await.map_err(failure)?;
            }
            removed.push(args, &format!("{} {} ({})", orphan.kind, orphan.id, orphan.sandbox), orphan)?;
        }
        // More may come where something was.
        if args.dry_run || !all.iter().any(|leftover| leftover.is_orphan) {
            break;
        }
    }
    for stale in backend.stale().await.map_err(failure)? {
        if args.dry_run || backend.remove_stale(&stale).await.map_err(failure)? {
            let value = serde_json::json!({"kind": "prepared", "id": stale.id, "names": stale.names});
            removed.push(
                args,
                &format!("prepared image {} ({})", stale.id, stale.names.join(", ")),
                &value,
            )?;
        }
    }
    Ok(())
}

#[cfg(not(feature = "docker"))]
#[expect(clippy::unused_async, reason = "its companion awaits")]
async fn prune_docker(_args: &Prune, _output: Output, _removed: &mut Removed) -> Result<(), Failure> {
    Ok(())
}

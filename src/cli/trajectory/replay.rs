//! `apprentice trajectory replay`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use crate::act::Actor;
use crate::grade::{self, Prediction};
use crate::isolation::Isolation;
use crate::replay::{self, Outcome, Replay};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, SandboxError, Start};
use crate::task::LoadedTask;
use crate::trajectory::Trajectory;
use crate::{fsio, task_dir, workspace};

/// Run recorded trajectories again and say where they differ
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of any known format
    file: PathBuf,
    /// Only the trajectory with this id
    #[arg(long)]
    id: Option<String>,
    /// The directory of the tasks
    #[arg(long, default_value = "tasks")]
    tasks: PathBuf,
    /// The directory of the sandboxes
    #[arg(long, default_value = "sandboxes")]
    sandboxes: PathBuf,
    /// Where sandboxes run: auto, docker or namespaces
    #[arg(long, default_value = "auto")]
    sandbox: String,
    /// Where replays, patches and prepared repositories are written
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on where this host cannot enforce the whole isolation
    #[arg(long)]
    accept_weaker_isolation: bool,
}

/// The directory that replayed patches are kept in, below the output.
const PATCHES: &str = "patches";

pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::host)?;
    runtime.block_on(replay_all(args, output))
}

async fn replay_all(args: &Args, output: Output) -> Result<Answer, Failure> {
    let mut trajectories = super::read_all(&args.file)?;
    trajectories.retain(|trajectory| args.id.as_ref().is_none_or(|id| *id == trajectory.id));
    if trajectories.is_empty() {
        return Err(Failure::nothing(anyhow::anyhow!("no trajectory has this id")));
    }
    let tasks = task_dir::load_all(&args.tasks)
        .map_err(|error| Failure::input(error).with_hint("name the directory of the tasks with `--tasks`"))?;
    let isolation = if args.accept_weaker_isolation { Isolation::AcceptWeaker } else { Isolation::Full };
    let backend = backend(&args.sandbox, isolation).await.map_err(host)?;
    let desk = Desk { args, tasks: &tasks, backend: backend.as_ref(), cache: cache(args.out.as_deref())? };
    let mut answer = Answer::Yes;
    let mut replays = Vec::new();
    for trajectory in &trajectories {
        let replay = desk.replay(trajectory).await?;
        if !replay.is_faithful() {
            answer = Answer::No;
        }
        output.result(&replay, &described(&replay)).map_err(Failure::host)?;
        replays.push(replay);
    }
    if let Some(out) = &args.out {
        write(out, &replays).map_err(Failure::host)?;
    }
    Ok(answer)
}

/// What every replay of one command shares.
struct Desk<'a> {
    args: &'a Args,
    tasks: &'a BTreeMap<String, LoadedTask>,
    backend: &'a dyn Backend,
    cache: PathBuf,
}

impl Desk<'_> {
    async fn replay(&self, trajectory: &Trajectory) -> Result<Replay, Failure> {
        let loaded = self
            .tasks
            .get(&trajectory.task)
            .ok_or_else(|| super::unknown_task(trajectory, &self.args.tasks))?;
        let spec = self.spec(loaded)?;
        // The sandbox keeps the repository where the recording had it, so that no path needs to be rewritten.
        let mut there = spec.clone();
        if let Some(workdir) = &trajectory.source.workdir {
            there.workdir.clone_from(workdir);
        }
        let workspace = workspace::prepare(loaded, &self.cache).map_err(Failure::input)?;
        let start = Start { spec: &there, tree: workspace.tree.as_deref() };
        let sandbox = self.backend.start(&start).await.map_err(host)?;
        let mut actor = Actor::new(sandbox, there.limits.clone());
        if let Some(setup) = trajectory.source.editor {
            actor = actor.with_editor(setup);
        }
        let replayed = run_in(&mut actor, loaded, trajectory, &there.workdir).await;
        let stopped = actor.stop().await;
        let mut replayed = replayed.map_err(host)?;
        stopped.map_err(host)?;
        self.grade(&mut replayed, loaded, &spec).await;
        Ok(replayed)
    }

    fn spec(&self, loaded: &LoadedTask) -> Result<SandboxSpec, Failure> {
        let name = loaded.task.sandbox.as_deref().ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("task `{}` has no sandbox", loaded.task.id))
                .with_hint("name one in its `task.yaml`")
        })?;
        SandboxSpec::load(name, &self.args.sandboxes).map_err(|error| {
            let hint = error.hint();
            Failure::input(error).with_hint(hint)
        })
    }

    async fn grade(&self, replayed: &mut Replay, loaded: &LoadedTask, spec: &SandboxSpec) {
        let options = grade::Options { cache: self.cache.clone() };
        let prediction = Prediction::Patch(&replayed.patch);
        let verdict = grade::grade(self.backend, spec, loaded, prediction, &options).await;
        if verdict.outcome.is_valid() {
            replayed.grade = Some(verdict.outcome.name().to_owned());
        } else {
            replayed.grade_error = Some(verdict.reason);
        }
    }
}

async fn run_in(
    actor: &mut Actor,
    loaded: &LoadedTask,
    trajectory: &Trajectory,
    workdir: &str,
) -> Result<Replay, SandboxError> {
    for command in &loaded.task.setup {
        actor.perform(&crate::trajectory::Action::bash(command)).await?;
    }
    replay::replay(trajectory, actor, workdir).await
}

async fn backend(name: &str, isolation: Isolation) -> Result<Box<dyn Backend>, SandboxError> {
    match name {
        #[cfg(feature = "docker")]
        "auto" | "docker" => Ok(Box::new(crate::sandbox::docker::DockerBackend::connect(isolation).await?)),
        _ => Err(SandboxError::Unavailable {
            backend: "namespaces",
            reason: format!("`{name}` is no backend"),
            hint: "use `docker`".to_owned(),
        }),
    }
}

fn host(error: SandboxError) -> Failure {
    let hint = match &error {
        SandboxError::Unavailable { hint, .. }
        | SandboxError::WeakIsolation { hint, .. }
        | SandboxError::Image { hint, .. } => Some(hint.clone()),
        SandboxError::Lost { .. } | SandboxError::Host { .. } => None,
    };
    let failure = Failure::host(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Where prepared repositories are kept: below the output, else with the user's other caches.
fn cache(out: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(out) = out {
        return Ok(out.join("cache"));
    }
    let home = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    home.map(|home| home.join("apprentice")).ok_or_else(|| {
        Failure::host(anyhow::anyhow!("there is no home directory for prepared repositories"))
            .with_hint("name a directory with `--out`")
    })
}

fn write(out: &Path, replays: &[Replay]) -> anyhow::Result<()> {
    fsio::write_json_lines(&out.join("replays.jsonl"), replays)?;
    for replay in replays {
        fsio::write_atomic(
            &out.join(PATCHES).join(format!("{}.patch", replay.trajectory)),
            replay.patch.as_bytes(),
        )?;
    }
    Ok(fsio::write_json(
        &out.join("replays.json"),
        &json!({"format": "apprentice.replays/1", "replays": replays.len()}),
    )?)
}

fn described(replay: &Replay) -> String {
    let mut text = format!("Replayed {}  task {}\n", replay.trajectory, replay.task);
    for step in &replay.step_list {
        let outcome = match step.outcome {
            Outcome::Matched => "matched",
            Outcome::Diverged => "DIVERGED",
            Outcome::NotExecuted => "not executed",
            Outcome::NotRecorded => "not recorded",
        };
        text.push_str(&format!("{:>4}  {outcome:<12}  {}", step.step, step.action));
        if !step.normalisers.is_empty() {
            text.push_str(&format!("  ({})", step.normalisers.join(", ")));
        }
        text.push('\n');
        if let Some(difference) = &step.difference {
            for line in difference.diff.lines() {
                text.push_str(&format!("        {line}\n"));
            }
        }
    }
    let patch = match replay.patch_matches {
        Some(true) => "is the recorded one",
        Some(false) => "is not the recorded one",
        None => "has no recorded one to compare with",
    };
    let grade = replay.grade.as_deref().or(replay.grade_error.as_deref()).unwrap_or("not graded");
    text.push_str(&format!(
        "{} of {} steps matched; the patch {patch}; {grade}",
        replay.matched, replay.steps
    ));
    text
}

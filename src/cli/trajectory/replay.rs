//! `apprentice trajectory replay`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use super::super::sandbox::{BackendArgs, block_on, failure};
use super::super::sandboxes::{cache_dir, spec_of};
use crate::act::Actor;
use crate::grade::{self, Prediction};
use crate::ready::{Order, Ready};
use crate::replay::{self, Outcome, Replay};
use crate::sandbox::select::Choice;
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, SandboxError};
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
    /// Where prepared repositories are kept (default: the user's cache directory)
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Where replays and patches are written
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendArgs,
}

/// The directory that replayed patches are kept in, below the output.
const PATCHES: &str = "patches";

pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    block_on(replay_all(args, output))
}

async fn replay_all(args: &Args, output: Output) -> Result<Answer, Failure> {
    let mut trajectories = super::read_all(&args.file)?;
    trajectories.retain(|trajectory| args.id.as_ref().is_none_or(|id| *id == trajectory.id));
    if trajectories.is_empty() {
        return Err(Failure::nothing(anyhow::anyhow!("no trajectory has this id")));
    }
    let tasks = task_dir::load_all(&args.tasks)
        .map_err(|error| Failure::input(error).with_hint("name the directory of the tasks with `--tasks`"))?;
    let cache = cache_dir(args.cache.as_ref());
    let ready = Arc::new(Ready::below(&cache).telling(move |line| output.say(line)));
    let choice = args.backend.choice()?;
    let desk = Desk { args, tasks: &tasks, cache, ready, choice };
    desk.fetch(&trajectories, output).await?;
    let mut answer = Answer::Yes;
    let mut replays = Vec::new();
    for trajectory in &trajectories {
        let replay = desk.replay(trajectory, output).await?;
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
    cache: PathBuf,
    ready: Arc<Ready>,
    choice: Choice,
}

impl Desk<'_> {
    async fn replay(&self, trajectory: &Trajectory, output: Output) -> Result<Replay, Failure> {
        let loaded = self.loaded(trajectory)?;
        let spec = self.spec(loaded)?;
        // The sandbox keeps the repository where the recording had it, so that no path needs to be rewritten.
        let mut there = spec.clone();
        if let Some(workdir) = &trajectory.source.workdir {
            there.workdir.clone_from(workdir);
        }
        let workspace = workspace::prepare(loaded, &self.cache).map_err(Failure::input)?;
        let selection = self.choice.backend(&there).await.map_err(failure)?;
        output.say(&selection.line);
        let backend = selection.backend.as_ref();
        let order = Order { backend, spec: &there, task: &loaded.task, workspace: &workspace };
        let sandbox = self.ready.start(&order).await.map_err(failure)?;
        let mut actor = Actor::new(sandbox, there.limits.clone());
        if let Some(setup) = trajectory.source.editor {
            actor = actor.with_editor(setup);
        }
        let replayed = run_in(&mut actor, trajectory, &there.workdir).await;
        let stopped = actor.stop().await;
        let mut replayed = replayed.map_err(failure)?;
        stopped.map_err(failure)?;
        self.grade(&mut replayed, backend, loaded, &spec).await;
        Ok(replayed)
    }

    /// Has the images of all replays before the first one begins.
    async fn fetch(&self, trajectories: &[Trajectory], output: Output) -> Result<(), Failure> {
        let mut specs: Vec<Arc<SandboxSpec>> = Vec::new();
        for trajectory in trajectories {
            let spec = self.spec(self.loaded(trajectory)?)?;
            if !specs.iter().any(|known| **known == spec) {
                specs.push(Arc::new(spec));
            }
        }
        self.choice.backends(&specs, &|line| output.say(line)).await.map(drop).map_err(failure)
    }

    fn loaded(&self, trajectory: &Trajectory) -> Result<&LoadedTask, Failure> {
        let loaded = self.tasks.get(&trajectory.task);
        loaded.ok_or_else(|| super::unknown_task(trajectory, &self.args.tasks))
    }

    fn spec(&self, loaded: &LoadedTask) -> Result<SandboxSpec, Failure> {
        loaded.task.sandbox.as_deref().ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("task `{}` has no sandbox", loaded.task.id))
                .with_hint("name one in its `task.yaml`")
        })?;
        spec_of(&self.args.backend, loaded)
    }

    async fn grade(
        &self,
        replayed: &mut Replay,
        backend: &dyn Backend,
        loaded: &LoadedTask,
        spec: &SandboxSpec,
    ) {
        let options = grade::Options { cache: self.cache.clone(), ready: self.ready.clone() };
        let prediction = Prediction::Patch(&replayed.patch);
        let verdict = grade::grade(backend, spec, loaded, prediction, &options).await;
        if verdict.outcome.is_valid() {
            replayed.grade = Some(verdict.outcome.name().to_owned());
        } else {
            replayed.grade_error = Some(verdict.reason);
        }
    }
}

async fn run_in(actor: &mut Actor, trajectory: &Trajectory, workdir: &str) -> Result<Replay, SandboxError> {
    replay::replay(trajectory, actor, workdir).await
}

fn write(out: &Path, replays: &[Replay]) -> anyhow::Result<()> {
    fsio::write_json_lines(&out.join("replays.jsonl"), replays)?;
    for replay in replays {
        fsio::write_atomic(
            &out.join(PATCHES).join(format!("{}.patch", replay.trajectory)),
            replay.patch.as_bytes(),
        )?;
    }
    let value = json!({"format": "apprentice.replays/1", "replays": replays.len()});
    fsio::write_json(&out.join("replays.json"), &value)
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
        "{} of {} observations matched; the patch {patch}; {grade}",
        replay.matched, replay.compared
    ));
    text
}

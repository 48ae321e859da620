//! `apprentice trajectory replay`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::sync::mpsc;

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use super::super::sandbox::block_on;
use super::super::sandboxes::{Benches, HostArgs};
use super::described::described;
use crate::fsio::{self, JsonLines};
use crate::grade::{self, Prediction};
use crate::ready::Ready;
use crate::replay::{self, Plan, Replay, Work};
use crate::sandbox::SandboxError;
use crate::task::LoadedTask;
use crate::task_dir;
use crate::trajectory::Trajectory;

/// Run recorded trajectories again and say where they differ
///
/// Trajectories of one task that begin alike run that beginning once and fork. With `--out`, a replay that was
/// stopped goes on with what is left. Exit code 1 when a trajectory or its patch is not as recorded.
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
    /// Where replays and patches are written; what is there already is not run again
    #[arg(long)]
    out: Option<PathBuf>,
    /// Only say what would be run, and how much of it is shared
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// The directory that replayed patches are kept in, below the output.
const PATCHES: &str = "patches";
/// The replays, one a line, below the output.
const REPLAYS: &str = "replays.jsonl";

pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    block_on(replay_all(args, output))
}

async fn replay_all(args: &Args, output: Output) -> Result<Answer, Failure> {
    let mut trajectories = super::read_all(&args.file)?;
    trajectories.retain(|trajectory| args.id.as_ref().is_none_or(|id| *id == trajectory.id));
    if trajectories.is_empty() {
        return Err(Failure::nothing(anyhow!("no trajectory has this id")));
    }
    let (benches, works) = works(&args.host, (&args.tasks, trajectories), output).await?;
    let inputs: Vec<String> = works.iter().map(input).collect();
    let Earlier { mut made, others } = earlier(args.out.as_deref(), &works, &inputs)?;
    let is_left =
        |(number, work): (usize, &Work)| (!made.contains_key(&number)).then(|| (number, work.clone()));
    let (numbers, left): (Vec<usize>, Vec<Work>) = works.iter().enumerate().filter_map(is_left).unzip();
    let plans = replay::plan(&left);
    if args.dry_run {
        return dry_run(&plans, made.len(), output);
    }
    benches.lines().for_each(|line| output.say(line));
    let ready = args.host.ready(output);
    let desk = Desk { args, output, ready, benches: &benches, works: &works, inputs: &inputs };
    let lost = desk.run(&numbers, &left, &mut made).await?;
    if let Some(out) = &args.out {
        write(out, others.iter().chain(made.values()), &plans).map_err(Failure::host)?;
    }
    output.say(&format!("     {}", shared(&plans)));
    answer(&works, &made, &lost)
}

/// What the replays say together; none where the host failed at one of them.
fn answer(
    works: &[Work],
    made: &BTreeMap<usize, Replay>,
    lost: &[Arc<anyhow::Error>],
) -> Result<Answer, Failure> {
    if let Some(first) = lost.first() {
        return Err(failure(lost.len(), works.len(), first));
    }
    let ungraded: Vec<&String> = made.values().filter_map(|replay| replay.grade_error.as_ref()).collect();
    if let Some(first) = ungraded.first() {
        let (count, all) = (ungraded.len(), works.len());
        return Err(Failure::host(anyhow!("{count} of {all} trajectories could not be graded: {first}"))
            .with_hint("run the command again with the same `--out`"));
    }
    Ok(if made.values().all(Replay::is_faithful) { Answer::Yes } else { Answer::No })
}

/// Trajectories with their tasks and sandboxes.
///
/// # Errors
/// When a task is unknown or has no sandbox, or when two trajectories have one id.
pub(super) async fn works(
    host: &HostArgs,
    (dir, trajectories): (&Path, Vec<Trajectory>),
    output: Output,
) -> Result<(Benches, Vec<Work>), Failure> {
    let tasks = task_dir::load_all(dir)
        .map_err(|error| Failure::input(error).with_hint("name the directory of the tasks with `--tasks`"))?;
    let mut found: Vec<&LoadedTask> = Vec::new();
    let mut ids = BTreeSet::new();
    for trajectory in &trajectories {
        if !ids.insert(&trajectory.id) {
            return Err(Failure::input(anyhow!("two trajectories have the id `{}`", trajectory.id))
                .with_hint("read them with `trajectory import`, which numbers ids that come again"));
        }
        let loaded = tasks.get(&trajectory.task).ok_or_else(|| super::unknown_task(trajectory, dir))?;
        if loaded.task.sandbox.is_none() {
            return Err(Failure::usage(anyhow!("task `{}` has no sandbox", loaded.task.id))
                .with_hint("name one in its `task.yaml`"));
        }
        found.push(loaded);
    }
    let benches = host.benches(found.iter().copied(), output).await?;
    let work = |(trajectory, loaded): (Trajectory, &&LoadedTask)| benches.work(loaded, trajectory);
    let works = trajectories.into_iter().zip(&found).map(work).collect();
    Ok((benches, works))
}

/// A digest of all that decides on a replay.
fn input(work: &Work) -> String {
    let parts = (&*work.trajectory, &work.task.task, &*work.spec);
    fsio::sha256_hex(&serde_json::to_vec(&parts).expect("invariant: these have a JSON form"))
}

/// What an earlier start left.
#[derive(Default)]
struct Earlier {
    /// Replays by the numbers of their works.
    made: BTreeMap<usize, Replay>,
    /// Replays of trajectories that this command does not name; they stay.
    others: Vec<Replay>,
}

/// Reads the replays of an earlier start. One that the host could not grade is made again.
fn earlier(out: Option<&Path>, works: &[Work], inputs: &[String]) -> Result<Earlier, Failure> {
    let Some(path) = out.map(|out| out.join(REPLAYS)).filter(|path| path.is_file()) else {
        return Ok(Earlier::default());
    };
    // Opening cuts off half a line.
    JsonLines::append_to(&path).map_err(Failure::host)?;
    let numbers: BTreeMap<&str, usize> =
        works.iter().enumerate().map(|(number, work)| (work.trajectory.id.as_str(), number)).collect();
    let mut earlier = Earlier::default();
    for replay in fsio::read_json_lines::<Replay>(&path).map_err(Failure::input)? {
        super::check_replay_format(&path, &replay.format)?;
        let Some(&number) = numbers.get(replay.trajectory.as_str()) else {
            earlier.others.push(replay);
            continue;
        };
        if inputs[number] != replay.input {
            let words = "was replayed there with another record, task or sandbox";
            return Err(Failure::usage(anyhow!("`{}`: `{}` {words}", path.display(), replay.trajectory))
                .with_hint("name a new directory with `--out`"));
        }
        if replay.grade_error.is_none() {
            earlier.made.insert(number, replay);
        }
    }
    Ok(earlier)
}

/// What every replay of one command shares.
struct Desk<'a> {
    args: &'a Args,
    output: Output,
    ready: Arc<Ready>,
    benches: &'a Benches,
    works: &'a [Work],
    inputs: &'a [String],
}

impl Desk<'_> {
    /// Replays and grades what is left, tells of each in order, and gives why some could not be made.
    async fn run(
        &self,
        numbers: &[usize],
        left: &[Work],
        made: &mut BTreeMap<usize, Replay>,
    ) -> Result<Vec<Arc<anyhow::Error>>, Failure> {
        let host = &self.args.host;
        let options = replay::Options {
            cache: host.cache(),
            ready: Arc::clone(&self.ready),
            parallel: host.parallel(),
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        let replaying = async {
            replay::run_all(left, &options, |at, ran| drop(sender.send((at, ran.clone())))).await;
            drop(sender);
        };
        let ready = futures_util::stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        });
        let graded = ready.map(|(at, ran)| self.graded(numbers[at], ran)).buffered(options.parallel.max(1));
        let telling = async {
            let mut graded = std::pin::pin!(graded);
            let mut lost = Vec::new();
            while let Some((number, ran)) = graded.next().await {
                match ran {
                    Ok(replay) => {
                        self.tell(&replay)?;
                        made.insert(number, replay);
                    }
                    Err(error) => {
                        let id = &self.works[number].trajectory.id;
                        self.output.say(&format!("warning: could not replay {id}: {error:#}"));
                        lost.push(error);
                    }
                }
            }
            Ok(lost)
        };
        let ((), lost) = tokio::join!(replaying, telling);
        lost
    }

    async fn graded(
        &self,
        number: usize,
        ran: Result<Replay, Arc<anyhow::Error>>,
    ) -> (usize, Result<Replay, Arc<anyhow::Error>>) {
        let mut replay = match ran {
            Ok(replay) => replay,
            Err(error) => return (number, Err(error)),
        };
        replay.input.clone_from(&self.inputs[number]);
        let work = &self.works[number];
        let options = grade::Options { cache: self.args.host.cache(), ready: Arc::clone(&self.ready) };
        // Graded where the task says, not where the recording was made.
        let spec = &self.benches.of(&work.task).spec;
        let verdict =
            grade::grade(&*work.backend, spec, &work.task, Prediction::Patch(&replay.patch), &options).await;
        if verdict.outcome.is_valid() {
            replay.grade = Some(verdict.outcome.name().to_owned());
        } else {
            replay.grade_error = Some(verdict.reason);
        }
        (number, Ok(replay))
    }

    fn tell(&self, replay: &Replay) -> Result<(), Failure> {
        if let Some(out) = &self.args.out {
            let patch = out.join(PATCHES).join(format!("{}.patch", fsio::plain_name(&replay.trajectory)));
            fsio::write_atomic(&patch, replay.patch.as_bytes()).map_err(Failure::host)?;
            let mut lines = JsonLines::append_to(&out.join(REPLAYS)).map_err(Failure::host)?;
            lines.push(replay).map_err(Failure::host)?;
        }
        self.output.result(replay, &described(replay)).map_err(Failure::host)
    }
}

fn failure(lost: usize, all: usize, first: &Arc<anyhow::Error>) -> Failure {
    let hint = first.downcast_ref::<SandboxError>().and_then(SandboxError::hint).map(str::to_owned);
    let failure = Failure::host(anyhow!("{lost} of {all} trajectories could not be replayed: {first:#}"));
    failure.with_hint(hint.unwrap_or_else(|| "run the command again with the same `--out`".to_owned()))
}

fn dry_run(plans: &[Plan], made: usize, output: Output) -> Result<Answer, Failure> {
    let value = json!({
        "format": "apprentice.replay-plan/1",
        "starts": plans,
        "steps": sum(plans, |plan| plan.steps),
        "run": sum(plans, |plan| plan.run),
        "forks": sum(plans, |plan| plan.forks),
        "made_already": made,
        "normalisers": replay::normal::names(),
    });
    let mut human = String::new();
    for plan in plans {
        human.push_str(&format!(
            "{}  {} trajectories, {} of {} steps run, {} forks: {}\n",
            plan.task,
            plan.trajectories.len(),
            plan.run,
            plan.steps,
            plan.forks,
            plan.trajectories.join(", ")
        ));
    }
    human.push_str(&format!("{}; {made} replays are there already", shared(plans)));
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn sum(plans: &[Plan], of: impl Fn(&Plan) -> usize) -> usize {
    plans.iter().map(of).sum()
}

fn shared(plans: &[Plan]) -> String {
    let (steps, run) = (sum(plans, |plan| plan.steps), sum(plans, |plan| plan.run));
    let forks = sum(plans, |plan| plan.forks);
    format!(
        "{run} of {steps} steps in {} sandboxes and {forks} forks; {} were shared",
        plans.len(),
        steps - run
    )
}

/// The directory, earlier replays first and then those of this command in the order of the trajectories, and what it amounts to.
fn write<'a>(out: &Path, replays: impl Iterator<Item = &'a Replay>, plans: &[Plan]) -> anyhow::Result<()> {
    let replays: Vec<&Replay> = replays.collect();
    fsio::write_json_lines(&out.join(REPLAYS), &replays)?;
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    for name in replays.iter().flat_map(|replay| &replay.normalisers) {
        *used.entry(name).or_default() += 1;
    }
    let value = json!({
        "format": "apprentice.replays/1",
        "replays": replays.len(),
        "faithful": replays.iter().filter(|replay| replay.is_faithful()).count(),
        "steps": sum(plans, |plan| plan.steps),
        "run": sum(plans, |plan| plan.run),
        "forks": sum(plans, |plan| plan.forks),
        "normalisers": replay::normal::names(),
        "normalisers_used": used,
    });
    fsio::write_json(&out.join("replays.json"), &value)
}

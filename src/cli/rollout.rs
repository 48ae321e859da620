//! `apprentice rollout` and `apprentice eval`: a policy works on tasks; `eval` also grades what it leaves.

mod solve;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use super::ask::{AskArgs, policy_failure};
use super::failure::{Answer, Failure};
use super::grade;
use super::output::Output;
use super::policy::{Chosen, Named};
use super::sandbox::block_on;
use super::sandboxes::{self, Bench, Benches, HostArgs};
use super::{certificates, rates};
use crate::chat::Scaffold;
use crate::extract::Ignored;
use crate::fsio::JsonLines;
use crate::grade::{JobPrediction, Report};
use crate::patch::LeftOut;
use crate::policy::Policy;
use crate::rate::Cost;
use crate::rollout::{self, Finished, Job, Options};
use crate::run::{Manifest, RunDir};
use crate::sandbox::Contact;
use crate::task::LoadedTask;
use crate::workspace;

/// Run a policy on tasks, and keep its trajectories and patches
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who works: expert:FILE, scripted:FILE, checkpoint:DIR, gold, noop, or a model at an endpoint: openai:URL#MODEL,
    /// vllm:URL#MODEL, sglang:URL#MODEL, mistralrs:URL#MODEL
    #[arg(long, value_name = "POLICY")]
    policy: Named,
    /// The tasks' directory
    #[arg(long, value_name = "DIR", default_value = "tasks")]
    tasks: PathBuf,
    /// Tries at each task (default: 1; 32 in `eval` of mathematics)
    #[arg(long, value_name = "K", value_parser = at_least_one)]
    samples: Option<usize>,
    /// Actions of an episode, where the task does not say it
    #[arg(long, value_name = "N", default_value_t = 50)]
    steps: usize,
    /// Seed of every random choice
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keep files in patches that the repository ignores
    #[arg(long)]
    keep_ignored: bool,
    #[command(flatten)]
    ask: AskArgs,
    /// Run directory
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    #[command(flatten)]
    host: HostArgs,
}

/// Run a policy on tasks, grade what it leaves, and state the resolution rate with its interval
///
/// Problems of mathematics are put to it once each without chance and K times with, and each benchmark has its greedy
/// rate, avg@K, pass@k and maj@K.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    #[command(flatten)]
    rollout: Args,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|samples| 0 < *samples).ok_or_else(|| "use a whole number from 1 on".to_owned())
}

impl Args {
    /// Tries at a task of code.
    fn tries(&self) -> usize {
        self.samples.unwrap_or(1)
    }
}

/// What a rollout left: one prediction a try, in order, with what each took.
#[derive(Default)]
struct Left {
    predictions: Vec<(String, JobPrediction)>,
    costs: Vec<Cost>,
    /// The tasks of tries whose sandbox was lost.
    lost: Vec<String>,
}

/// Runs `apprentice rollout`.
///
/// # Errors
/// See [`Failure`].
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments")]
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    let tasks = grade::load_tasks(&args.tasks, output)?;
    let chosen = args.policy.open(&tasks, &args.ask)?;
    certificates::warn(&tasks, output)?;
    let left = block_on(async {
        let benches = match &chosen {
            Chosen::Policy(_) => args.host.benches(tasks.values(), output).await?,
            Chosen::Prediction(_) => Benches::default(),
        };
        roll_out(&args, (&tasks, &benches), chosen, output).await
    })?;
    let (episodes, lost) = (left.predictions.len() + left.lost.len(), left.lost.len());
    let value = json!({
        "format": "apprentice.rollout/1",
        "policy": args.policy.to_string(),
        "episodes": episodes,
        "lost": lost,
        "run": args.out,
    });
    let human = format!("{episodes} episodes, {lost} lost sandboxes; see {}", args.out.display());
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(if lost == 0 { Answer::Yes } else { Answer::No })
}

/// Runs `apprentice eval`.
///
/// # Errors
/// See [`Failure`].
pub fn eval(args: EvalArgs, output: Output) -> Result<Answer, Failure> {
    if let Some(problems) = solve::problems(&args.rollout.tasks)? {
        return solve::eval(&args, &problems, output);
    }
    let args = args.rollout;
    let tasks = grade::load_tasks(&args.tasks, output)?;
    let chosen = args.policy.open(&tasks, &args.ask)?;
    certificates::warn(&tasks, output)?;
    let (verdicts, costs, lost) = block_on(async {
        let benches = args.host.benches(tasks.values(), output).await?;
        let Left { predictions, costs, lost } = roll_out(&args, (&tasks, &benches), chosen, output).await?;
        let verdicts = grade::grade((&args.host, &benches), &tasks, predictions, output).await;
        Ok((verdicts, costs, lost))
    })?;
    let report = Report::new(&verdicts).with_rates(rates::of(&tasks, (&verdicts, &costs), &lost));
    grade::save(&args.out, &verdicts, &report).map_err(Failure::host)?;
    let mut human = report.text();
    if !lost.is_empty() {
        human = format!("{human}{} episodes lost their sandbox and are not in the rate", lost.len());
    }
    output.result(&report, &human).map_err(Failure::host)?;
    Ok(if report.is_all_resolved() { Answer::Yes } else { Answer::No })
}

/// The predictions of a policy, and which episodes were lost to the host.
async fn roll_out(
    args: &Args,
    (tasks, benches): (&BTreeMap<String, LoadedTask>, &Benches),
    chosen: Chosen,
    output: Output,
) -> Result<Left, Failure> {
    let run_dir = RunDir::create(&args.out, manifest(args, benches))?;
    let every = |prediction: &JobPrediction| {
        let tries = |id: &String| vec![(id.clone(), prediction.clone()); args.tries()];
        Left { predictions: tasks.keys().flat_map(tries).collect(), ..Left::default() }
    };
    match chosen {
        Chosen::Prediction(prediction) => Ok(every(&prediction)),
        Chosen::Policy(mut policy) => {
            let left = episodes(args, (tasks, benches), policy.as_mut(), &run_dir, output).await;
            if let Some(account) = policy.account() {
                output.say(&account);
            }
            left
        }
    }
}

fn manifest(args: &Args, benches: &Benches) -> Manifest {
    let recipe = json!({
        "policy": args.policy.to_string(),
        "tasks": args.tasks,
        "samples": args.tries(),
        "steps": args.steps,
        "temperature": args.ask.temperature,
        "reply_tokens": args.ask.reply_tokens,
    });
    let mut manifest = Manifest::new(std::env::args(), recipe);
    manifest.seeds.insert("run".to_owned(), args.seed);
    manifest.digests.sandboxes = benches.digests();
    manifest.protection = benches.protection().cloned();
    manifest.isolation = args.host.backend.isolation();
    manifest
}

async fn episodes(
    args: &Args,
    (tasks, benches): (&BTreeMap<String, LoadedTask>, &Benches),
    policy: &mut dyn Policy,
    run_dir: &RunDir,
    output: Output,
) -> Result<Left, Failure> {
    let ignored = if args.keep_ignored { Ignored::Kept } else { Ignored::LeftOut };
    let options = Options {
        scaffold: Scaffold::default(),
        max_steps: args.steps,
        seed: args.seed,
        parallel: args.host.parallel(),
        ready: args.host.ready_with(ignored, output),
    };
    let prepare = |loaded| workspace::prepare(loaded, &args.host.cache()).map_err(Failure::host);
    let workspaces = tasks.values().map(prepare).collect::<Result<Vec<_>, _>>()?;
    let mut jobs = Vec::new();
    for (loaded, workspace) in tasks.values().zip(&workspaces) {
        let Bench { spec, selection } = benches.of(loaded);
        let (backend, task) = (&*selection.backend, &loaded.task);
        jobs.extend((0..args.tries()).map(|attempt| Job { backend, task, spec, workspace, attempt }));
    }
    let mut evidence = Evidence::new(run_dir)?;
    let done = |episode: &Finished| {
        tell(episode, output);
        evidence.push(episode)
    };
    let mut finished = rollout::run(policy, &jobs, &options, done).await.map_err(policy_failure)?;
    if finished.iter().all(|episode| episode.lost.is_some())
        && let Some(error) = finished.iter_mut().find_map(|episode| episode.lost.take())
    {
        let Failure { kind, source, hint } = sandboxes::host(error);
        return Err(Failure { kind, source: source.context("every sandbox was lost; the first"), hint });
    }
    let mut left = Left::default();
    for episode in finished {
        left.take(episode);
    }
    Ok(left)
}

fn tell(episode: &Finished, output: Output) {
    let Finished { trajectory, lost, lost_before, contacts, left_out, .. } = episode;
    let id = &trajectory.task;
    for lost in lost_before {
        output.say(&format!("warning: an episode of {id} was started again: {}", lost.with_causes()));
    }
    if let Some(lost) = lost {
        output.say(&format!("warning: an episode of {id} is lost: {}", lost.with_causes()));
    }
    if let Some(summary) = LeftOut::summary(left_out) {
        output.say(&format!("an episode of {id} has {summary}"));
    }
    if let Some(summary) = Contact::summary(contacts) {
        output.say(&format!("an episode of {id} {summary}"));
    }
    output.say(&format!("   Ran {id}  {} steps, {:?}", trajectory.steps.len(), trajectory.end));
}

impl Left {
    /// A lost sandbox says nothing about the policy, so it gives no prediction.
    fn take(&mut self, episode: Finished) {
        match episode.trajectory.patch {
            Some(patch) => {
                self.predictions.push((episode.trajectory.task, JobPrediction::Patch(patch)));
                self.costs.push(episode.cost);
            }
            None => self.lost.push(episode.trajectory.task),
        }
    }
}

/// What a rollout leaves in its run directory, written as each wave of episodes ends.
struct Evidence {
    trajectories: JsonLines,
    predictions: JsonLines,
}

impl Evidence {
    fn new(run_dir: &RunDir) -> Result<Self, Failure> {
        Ok(Self { trajectories: run_dir.trajectories()?, predictions: run_dir.predictions()? })
    }

    fn push(&mut self, episode: &Finished) -> anyhow::Result<()> {
        let trajectory = &episode.trajectory;
        self.trajectories.push(trajectory)?;
        let Some(patch) = &trajectory.patch else { return Ok(()) };
        let row = json!({
            "instance_id": trajectory.task,
            "model_name_or_path": trajectory.source.model,
            "model_patch": patch,
        });
        self.predictions.push(&row)
    }
}

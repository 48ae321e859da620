//! `apprentice rollout` and `apprentice eval`: a policy works on tasks; `eval` also grades what it leaves.

mod board;
mod evidence;
mod solve;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

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
use crate::episode::Budget;
use crate::extract::Ignored;
use crate::fsio;
use crate::grade::{JobPrediction, Report};
use crate::isolation::is_patience;
use crate::policy::Policy;
use crate::rate::Cost;
use crate::rollout::{self, Finished, Job, News, Options, Samples};
use crate::run::{Manifest, RunDir};
use crate::task::LoadedTask;
use crate::workspace;
use board::Board;
use evidence::{Evidence, Over};

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
    /// What surrounds the student: bash, editor, oracle-edit, localize-edit, or a file (apprentice.scaffold/1)
    #[arg(long, value_name = "NAME|FILE", default_value = "bash")]
    scaffold: String,
    /// Tries at each task (default: 1; 32 in `eval` of mathematics)
    #[arg(long, value_name = "K", value_parser = at_least_one)]
    samples: Option<usize>,
    /// Actions of an episode, where the task does not say it
    #[arg(long, value_name = "N", default_value_t = 50)]
    steps: usize,
    /// Seconds that the commands of an episode may take together, where its sandbox does not say less
    #[arg(long, value_name = "S", value_parser = seconds)]
    episode_seconds: Option<f64>,
    /// Tokens that a model may write in an episode
    #[arg(long, value_name = "N")]
    episode_tokens: Option<u64>,
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
    /// Continue an interrupted run in --out: episodes that are over stay, the others begin again
    #[arg(long)]
    resume: bool,
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

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| is_patience(*seconds));
    seconds.ok_or_else(|| "use seconds above 0 and up to 1e9".to_owned())
}

impl Args {
    fn budget(&self) -> Budget {
        Budget { steps: self.steps, seconds: self.episode_seconds, tokens: self.episode_tokens }
    }

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
        if args.rollout.resume {
            let failure = anyhow::anyhow!("`--resume` continues episodes, and mathematics has none");
            return Err(Failure::usage(failure).with_hint("choose another `--out`"));
        }
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
    let scaffold = Scaffold::load(&args.scaffold).map_err(Failure::usage)?;
    if let (Chosen::Policy(_), Some(unfit)) =
        (&chosen, tasks.values().find_map(|one| rollout::unfit(&scaffold, &one.task)))
    {
        return Err(Failure::usage(anyhow::anyhow!("{unfit}"))
            .with_hint("choose another `--scaffold`, or other `--tasks`"));
    }
    let manifest = manifest(args, &scaffold, (tasks, benches));
    let run_dir = match args.resume {
        true => RunDir::resume(&args.out, &manifest),
        false => RunDir::create(&args.out, manifest),
    }?;
    let every = |prediction: &JobPrediction| {
        let tries = |id: &String| vec![(id.clone(), prediction.clone()); args.tries()];
        Left { predictions: tasks.keys().flat_map(tries).collect(), ..Left::default() }
    };
    match chosen {
        Chosen::Prediction(prediction) => Ok(every(&prediction)),
        Chosen::Policy(mut policy) => {
            let left = episodes(args, (tasks, benches), (policy.as_mut(), &scaffold), &run_dir, output).await;
            if let Some(account) = policy.account() {
                output.say(&account);
            }
            left
        }
    }
}

fn manifest(
    args: &Args,
    scaffold: &Scaffold,
    (tasks, benches): (&BTreeMap<String, LoadedTask>, &Benches),
) -> Manifest {
    let recipe = json!({
        "policy": args.policy.to_string(),
        "tasks": args.tasks,
        "samples": args.tries(),
        "scaffold": scaffold,
        "steps": args.steps,
        "episode_seconds": args.episode_seconds,
        "episode_tokens": args.episode_tokens,
        "temperature": args.ask.temperature,
        "reply_tokens": args.ask.reply_tokens,
    });
    let mut manifest = Manifest::new(std::env::args(), recipe);
    manifest.seeds.insert("run".to_owned(), args.seed);
    let digest = |(id, loaded): (&String, &LoadedTask)| {
        (format!("task {id}"), fsio::sha256_hex(loaded.task.to_yaml().as_bytes()))
    };
    manifest.digests.data = tasks.iter().map(digest).collect();
    manifest.digests.sandboxes = benches.digests();
    manifest.protection = benches.protection().cloned();
    manifest.isolation = args.host.backend.isolation();
    manifest
}

/// Runs the episodes that are not over yet.
async fn episodes(
    args: &Args,
    (tasks, benches): (&BTreeMap<String, LoadedTask>, &Benches),
    (policy, scaffold): (&mut dyn Policy, &Scaffold),
    run_dir: &RunDir,
    output: Output,
) -> Result<Left, Failure> {
    let ignored = if args.keep_ignored { Ignored::Kept } else { Ignored::LeftOut };
    let options = Options {
        scaffold: scaffold.clone(),
        budget: args.budget(),
        seed: args.seed,
        parallel: args.host.parallel(),
        samples: Samples::Kept,
        ready: args.host.ready_with(ignored, output),
    };
    let mut evidence = Evidence::open(run_dir).map_err(Failure::host)?;
    let mut over = evidence.over().map_err(Failure::input)?;
    let jobs = jobs(args, tasks, benches)?;
    let missing: Vec<Job> = jobs.iter().filter(|job| !over.contains_key(&job.id())).cloned().collect();
    let mut board = Board::open(run_dir, output, (jobs.len(), over.len()))?;
    let hear = |news: News<'_>| match news {
        News::Ended(episode) => {
            evidence.push(episode)?;
            board.ended(episode)
        }
        News::Advanced(standing) => board.advanced(standing),
    };
    let mut finished = rollout::run(policy, &missing, &options, hear).await.map_err(policy_failure)?;
    board.close().map_err(Failure::host)?;
    let ids: Vec<String> = jobs.iter().map(Job::id).collect();
    evidence.settle(&ids).map_err(Failure::host)?;
    if over.is_empty()
        && finished.iter().all(|episode| episode.lost.is_some())
        && let Some(error) = finished.iter_mut().find_map(|episode| episode.lost.take())
    {
        let Failure { kind, source, hint } = sandboxes::host(error);
        return Err(Failure { kind, source: source.context("every sandbox was lost; the first"), hint });
    }
    for Finished { trajectory, cost, .. } in finished {
        over.insert(trajectory.id.clone(), Over { trajectory, cost });
    }
    let mut left = Left::default();
    ids.iter().filter_map(|id| over.remove(id)).for_each(|episode| left.take(episode));
    Ok(left)
}

/// Every try at every task, in order.
fn jobs(args: &Args, tasks: &BTreeMap<String, LoadedTask>, benches: &Benches) -> Result<Vec<Job>, Failure> {
    let mut jobs = Vec::new();
    for loaded in tasks.values() {
        let Bench { spec, selection } = benches.of(loaded);
        let workspace = workspace::prepare(loaded, &args.host.cache()).map_err(Failure::host)?;
        let job = Job {
            backend: selection.backend.clone(),
            task: Arc::new(loaded.task.clone()),
            spec: spec.clone(),
            workspace,
            attempt: 0,
        };
        jobs.extend((0..args.tries()).map(|attempt| Job { attempt, ..job.clone() }));
    }
    Ok(jobs)
}

impl Left {
    /// A lost sandbox says nothing about the policy, so it gives no prediction.
    fn take(&mut self, Over { trajectory, cost }: Over) {
        match trajectory.patch {
            Some(patch) => {
                self.predictions.push((trajectory.task, JobPrediction::Patch(patch)));
                self.costs.push(cost);
            }
            None => self.lost.push(trajectory.task),
        }
    }
}

//! `apprentice grade`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::json;

use super::failure::{Answer, Failure};
use super::grades::{Desk, GRADES};
use super::output::Output;
use super::profile::ProfileArgs;
use super::sandbox::block_on;
use super::sandboxes::{Bench, Benches, HostArgs};
use super::{certificates, rates};
use crate::grade::{self, Job, JobPrediction, Options, Report, Verdict};
use crate::run::{Hold, Manifest, read_manifest};
use crate::swe_bench::prediction::{self, Prediction};
use crate::task::{Kind, LoadedTask};
use crate::{fsio, task_dir};

/// Grade predictions
///
/// Applies each predicted patch to its task's repository in a fresh sandbox, puts the tests back, runs
/// them and says whether the task is resolved. Exit code 1 when one is not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The tasks' directory
    #[arg(long, value_name = "DIR")]
    tasks: PathBuf,
    /// Predictions in SWE-bench's format (JSONL or JSON), or `gold` or `noop` for every task
    #[arg(long, value_name = "FILE")]
    predictions: PathBuf,
    /// Where verdicts and test logs are written, each as it is made; grades that are there already of the same
    /// task, patch and sandbox are not made again
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// How often each prediction is graded; grades that disagree are `flaky`
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    repeat: u8,
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(flatten)]
    host: HostArgs,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments")]
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    let tasks = load_tasks(&args.tasks, output)?;
    certificates::warn(&tasks, output)?;
    let predictions = predictions(&args.predictions, &tasks)?;
    let beside = args.profile.read(&args.predictions, &tasks)?;
    let _held = args.out.as_deref().map(Hold::of).transpose().map_err(Failure::from)?;
    let verdicts = block_on(async {
        let benches = benches(&args.host, &tasks, &predictions, output).await?;
        if let Some(out) = &args.out {
            record(out, &args, &benches)?;
        }
        let desk =
            Desk { host: &args.host, benches: &benches, out: args.out.as_deref(), repeat: args.repeat };
        let verdicts = desk.graded(jobs(&benches, &tasks, predictions), output).await?;
        Ok(match &beside {
            Some(beside) => beside.judge(verdicts, &tasks, &desk).await,
            None => verdicts,
        })
    })?;
    let report = Report::new(&verdicts).with_rates(rates::of(&tasks, (&verdicts, &[]), &[]));
    if let Some(out) = &args.out {
        save(out, &verdicts, &report).map_err(Failure::host)?;
        if let Some(beside) = &beside {
            beside.save(out, &verdicts, &tasks).map_err(Failure::host)?;
        }
    }
    output.result(&report, &report.text()).map_err(Failure::host)?;
    Ok(if report.is_all_resolved() { Answer::Yes } else { Answer::No })
}

/// The code tasks of a directory; says how many of mathematics are left out, for which there is nothing to run.
pub(super) fn load_tasks(dir: &Path, output: Output) -> Result<BTreeMap<String, LoadedTask>, Failure> {
    if !dir.is_dir() {
        let failure = Failure::usage(anyhow!("`{}` is not a directory", dir.display()));
        return Err(failure.with_hint("give the directory that holds `<id>/task.yaml`"));
    }
    let mut tasks = task_dir::load_all(dir).map_err(Failure::input)?;
    let all = tasks.len();
    tasks.retain(|_, loaded| loaded.task.kind == Kind::Code);
    let math = all - tasks.len();
    if tasks.is_empty() && 0 < math {
        let failure =
            Failure::nothing(anyhow!("`{}` holds mathematics only, which runs nothing", dir.display()));
        return Err(
            failure.with_hint("let a policy solve it with `apprentice eval`, or train with `rlvr` on it")
        );
    }
    if 0 < math {
        output.say(&format!(
            "warning: left out {math} tasks of mathematics, which run nothing; `apprentice eval` has a policy solve them"
        ));
    }
    if tasks.is_empty() {
        let failure = Failure::nothing(anyhow!("`{}` holds no code task", dir.display()));
        return Err(failure.with_hint("import some with `apprentice task import`"));
    }
    Ok(tasks)
}

/// The sandboxes that predictions are graded in.
async fn benches(
    host: &HostArgs,
    tasks: &BTreeMap<String, LoadedTask>,
    predictions: &[(String, JobPrediction)],
    output: Output,
) -> Result<Benches, Failure> {
    host.benches(predictions.iter().map(|(id, _)| &tasks[id]), output).await
}

/// The manifest of grades in the directory of the run that they judge, whose own says how it was begun.
const BESIDE: &str = "grade-manifest.json";

/// Writes what the grades are made with.
fn record(out: &Path, args: &Args, benches: &Benches) -> Result<(), Failure> {
    let recipe = json!({"predictions": args.predictions, "tasks": args.tasks});
    let mut manifest = Manifest::new(std::env::args(), recipe);
    if args.predictions.is_file() {
        let digest = fsio::sha256_file(&args.predictions).map_err(Failure::host)?;
        manifest.digests.data.insert(args.predictions.display().to_string(), digest);
    }
    manifest.digests.sandboxes = benches.digests();
    manifest.protection = benches.protection().cloned();
    manifest.isolation = args.host.backend.isolation();
    let is_anothers = read_manifest(out).is_ok_and(|other| other.recipe.get("predictions").is_none());
    manifest.save(&out.join(if is_anothers { BESIDE } else { "manifest.json" })).map_err(Failure::from)
}

/// Grades predictions, each named by its task, and tells of each verdict on the way.
pub(super) async fn grade(
    (host, benches): (&HostArgs, &Benches),
    tasks: &BTreeMap<String, LoadedTask>,
    predictions: Vec<(String, JobPrediction)>,
    output: Output,
) -> Vec<Verdict> {
    benches.lines().for_each(|line| output.say(line));
    let options = Options { cache: host.cache(), ready: host.ready(output) };
    let done = |verdict: &Verdict| tell(verdict, output);
    grade::grade_all(jobs(benches, tasks, predictions), host.parallel(), &options, done).await
}

fn jobs(
    benches: &Benches,
    tasks: &BTreeMap<String, LoadedTask>,
    predictions: Vec<(String, JobPrediction)>,
) -> Vec<Job> {
    let job = |(id, prediction)| {
        let loaded: &LoadedTask = &tasks[&id];
        let Bench { spec, selection } = benches.of(loaded);
        let task = Arc::new(loaded.clone());
        Job { task, spec: spec.clone(), backend: selection.backend.clone(), prediction }
    };
    predictions.into_iter().map(job).collect()
}

/// Tells of a verdict, and of what was lost before it.
pub(super) fn tell(verdict: &Verdict, output: Output) {
    for lost in &verdict.lost_before {
        output.say(&format!("warning: the grade of {} was made again: {lost}", verdict.id));
    }
    output.say(&format!("   Graded {}  {}", verdict.id, verdict.outcome.name()));
}

fn predictions(
    file: &Path,
    tasks: &BTreeMap<String, LoadedTask>,
) -> Result<Vec<(String, JobPrediction)>, Failure> {
    let pseudo = match file.to_str() {
        Some("gold") => Some(JobPrediction::Gold),
        Some("noop") => Some(JobPrediction::Noop),
        _ => None,
    };
    if let Some(prediction) = pseudo {
        return Ok(tasks.keys().map(|id| (id.clone(), prediction.clone())).collect());
    }
    let text = fs_err::read_to_string(file).map_err(Failure::usage)?;
    let rows = prediction::read(&text).with_context(|| format!("`{}` holds no predictions", file.display()));
    let rows = rows.map_err(|error| {
        Failure::input(error).with_hint("write one `{\"instance_id\": …, \"model_patch\": …}` a line")
    })?;
    if rows.is_empty() {
        return Err(Failure::nothing(anyhow!("`{}` holds no prediction", file.display())));
    }
    if let Some(row) = rows.iter().find(|row| !tasks.contains_key(&row.instance_id)) {
        let error = anyhow!("`{}` predicts the unknown task `{}`", file.display(), row.instance_id);
        return Err(Failure::input(error).with_hint("name the directory with its task by `--tasks`"));
    }
    let prediction =
        |row: Prediction| (row.instance_id, JobPrediction::Patch(row.model_patch.unwrap_or_default()));
    Ok(rows.into_iter().map(prediction).collect())
}

/// Writes `grades.jsonl` with every test's status, and each prediction's test log.
pub(super) fn save(out: &Path, verdicts: &[Verdict], report: &Report) -> anyhow::Result<()> {
    fsio::write_json_lines(&out.join(GRADES), verdicts)?;
    fsio::write_json(&out.join("grade.json"), report)?;
    verdicts.iter().enumerate().try_for_each(|(number, verdict)| save_log(out, number, verdict))
}

/// Writes the test log of the prediction `number`, counted from 0, unless it was graded before.
pub(super) fn save_log(out: &Path, number: usize, verdict: &Verdict) -> anyhow::Result<()> {
    if verdict.log.is_empty() {
        return Ok(());
    }
    fsio::write_atomic(&log_file(out, number, &verdict.id), verdict.log.as_bytes())
}

/// The test log of the prediction `number`, counted from 0.
pub(super) fn log_file(out: &Path, number: usize, id: &str) -> PathBuf {
    out.join("logs").join(format!("{:04}-{id}.txt", number + 1))
}

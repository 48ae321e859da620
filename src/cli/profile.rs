//! `apprentice grade --profile`: what a reference harness makes of the predictions, beside our verdicts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures_util::StreamExt as _;

use super::failure::Failure;
use super::grade::log_file;
use super::grades::Desk;
use super::sandboxes::Bench;
use crate::fsio;
use crate::grade::Verdict;
use crate::grade::reference::{self, Reference};
use crate::swe_bench::Harness;
use crate::swe_bench::prediction::{self, Prediction};
use crate::swe_bench::report::{self, Kept, RunReport};
use crate::swe_bench::row::{self, Row};
use crate::task::LoadedTask;

/// Seconds that a row's script may take where the task does not say it.
const SECONDS: f64 = 1800.0;

/// A reference harness, and what it is given.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ProfileArgs {
    /// Say what a reference harness makes of each prediction, beside our verdict
    #[arg(long, value_enum, value_name = "HARNESS")]
    profile: Option<Profile>,
    /// The data set's rows (JSON or JSONL) for the profile: their own scripts, parsers and expectations
    #[arg(long, value_name = "FILE", requires = "profile")]
    rows: Option<PathBuf>,
}

/// The harnesses by name.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Profile {
    /// swebench 5.0.2
    SweBench,
    /// swebench 4.1.0
    #[value(name = "swe-bench-4")]
    SweBench4,
    /// swesmith 0.0.9
    SweSmith,
}

impl Profile {
    fn harness(self) -> Harness {
        match self {
            Self::SweBench => Harness::SweBench5,
            Self::SweBench4 => Harness::SweBench4,
            Self::SweSmith => Harness::SweSmith,
        }
    }
}

/// A reference harness with everything that it reads.
pub(super) struct Beside {
    harness: Harness,
    /// By id; a task without one is judged by what it says itself.
    rows: BTreeMap<String, Row>,
    /// In the order of the grades.
    predictions: Vec<Prediction>,
}

impl ProfileArgs {
    /// Reads what the profile needs; nothing where there is none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn read(
        &self,
        predictions: &Path,
        tasks: &BTreeMap<String, LoadedTask>,
    ) -> Result<Option<Beside>, Failure> {
        let Some(profile) = self.profile else { return Ok(None) };
        let rows = match &self.rows {
            None => Vec::new(),
            Some(file) => {
                let text = fs_err::read_to_string(file).map_err(Failure::usage)?;
                let rows = row::read(&text).with_context(|| format!("`{}` holds no rows", file.display()));
                rows.map_err(Failure::input)?
            }
        };
        let rows = rows.into_iter().map(|row| (row.instance_id.clone(), row)).collect();
        Ok(Some(Beside { harness: profile.harness(), rows, predictions: predicted(predictions, tasks)? }))
    }
}

/// The predictions as the harness sees them; `gold` and `noop` are models of that name.
fn predicted(file: &Path, tasks: &BTreeMap<String, LoadedTask>) -> Result<Vec<Prediction>, Failure> {
    let of_all = |model: &str, patch: fn(&LoadedTask) -> Option<String>| {
        let one = |(id, loaded): (&String, &LoadedTask)| Prediction {
            instance_id: id.clone(),
            model_name_or_path: model.to_owned(),
            model_patch: patch(loaded),
        };
        tasks.iter().map(one).collect()
    };
    match file.to_str() {
        Some("gold") => Ok(of_all("gold", |loaded| loaded.task.gold.clone())),
        Some("noop") => Ok(of_all("noop", |_| Some(String::new()))),
        _ => {
            let text = fs_err::read_to_string(file).map_err(Failure::usage)?;
            prediction::read(&text).map_err(Failure::input)
        }
    }
}

impl Beside {
    /// Puts the harness's verdict beside each of ours, those that are there from an earlier start left out.
    pub(super) async fn judge(
        &self,
        verdicts: Vec<Verdict>,
        tasks: &BTreeMap<String, LoadedTask>,
        desk: &Desk<'_>,
    ) -> Vec<Verdict> {
        let numbered = verdicts.into_iter().zip(&self.predictions).enumerate();
        let each = numbered.map(|(number, (mut verdict, prediction))| async move {
            let loaded = &tasks[&verdict.id];
            if let (true, Some(out)) = (verdict.log.is_empty(), desk.out) {
                let log = log_file(out, number, &verdict.id);
                verdict.log = fs_err::read_to_string(log).unwrap_or_default();
            }
            let bench = desk.benches.of(loaded);
            verdict.reference = self.reference(&verdict, prediction, (loaded, bench)).await;
            verdict
        });
        futures_util::stream::iter(each).buffered(desk.host.parallel().max(1)).collect().await
    }

    async fn reference(
        &self,
        verdict: &Verdict,
        prediction: &Prediction,
        (loaded, bench): (&LoadedTask, &Bench),
    ) -> Option<Reference> {
        let task = &loaded.task;
        let tests = task.tests.as_ref()?;
        let own = reference::row_of(&task.id, tests);
        let row = self.rows.get(&task.id).unwrap_or(&own);
        if let Some(earlier) = verdict.reference.as_ref().filter(|earlier| earlier.is_of(self.harness, row)) {
            return Some(earlier.clone());
        }
        let patch = prediction.model_patch.as_deref().unwrap_or_default();
        let in_image = task.repo.as_ref().is_some_and(|repo| repo.image.is_some());
        if !in_image || !prediction.is_run() || row.script(self.harness).is_none() {
            return Some(reference::of_our_log(self.harness, row, tests, (patch, verdict)));
        }
        let seconds = task.limits.and_then(|limits| limits.test_seconds).unwrap_or(SECONDS);
        let deadline = Duration::from_secs_f64(seconds);
        let bench = reference::Bench { backend: &*bench.selection.backend, spec: &bench.spec, deadline };
        let run = reference::run(bench, self.harness, row, patch).await;
        Some(run.unwrap_or_else(|error| Reference::unknown(self.harness, &error)))
    }

    /// Writes the harness's files below `out`: its directory of logs, and the report of the run.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn save(
        &self,
        out: &Path,
        verdicts: &[Verdict],
        tasks: &BTreeMap<String, LoadedTask>,
    ) -> anyhow::Result<()> {
        let run_id = out.file_name().and_then(|name| name.to_str()).unwrap_or("run");
        let below = out.join("swe-bench");
        let logs = below.join("logs").join("run_evaluation").join(run_id);
        let dir = |one: &Prediction| logs.join(fsio::plain_name(&one.model_dir())).join(&one.instance_id);
        for (verdict, prediction) in std::iter::zip(verdicts, &self.predictions) {
            if let Some(reference) = verdict.reference.as_ref().filter(|_| prediction.is_run()) {
                save_one(&dir(prediction), prediction, reference)?;
            }
        }
        let kept = |id: &str| {
            let place = self.predictions.iter().rev().find(|one| one.instance_id == id).map(dir);
            place.map(|place| kept(&place)).unwrap_or_default()
        };
        let ids: Vec<&str> = match self.rows.is_empty() {
            true => tasks.keys().map(String::as_str).collect(),
            false => self.rows.keys().map(String::as_str).collect(),
        };
        let name = report::file_name(&self.predictions, run_id)
            .ok_or_else(|| anyhow!("the run has no prediction to report on"))?;
        fsio::write_json(&below.join(fsio::plain_name(&name)), &RunReport::new(ids, &self.predictions, kept))
    }
}

/// Writes what the harness would leave, in the place of what an earlier verdict left; one that was found again
/// brings no files, and its own stay.
fn save_one(dir: &Path, prediction: &Prediction, reference: &Reference) -> anyhow::Result<()> {
    let Some(files) = &reference.files else { return Ok(()) };
    if dir.exists() {
        fs_err::remove_dir_all(dir)?;
    }
    let write = |name: &str, text: &str| fsio::write_atomic(&dir.join(name), text.as_bytes());
    write("patch.diff", prediction.model_patch.as_deref().unwrap_or_default())?;
    for (name, text) in [("eval.sh", &files.script), ("test_output.txt", &files.output)] {
        if let Some(text) = text {
            write(name, text)?;
        }
    }
    write("run_instance.log", &format!("{}{}\n", files.log, reference.reason))?;
    if let Some(report) = &files.report {
        let report = BTreeMap::from([(&prediction.instance_id, report)]);
        fsio::write_json(&dir.join("report.json"), &report)?;
    }
    Ok(())
}

fn kept(dir: &Path) -> Kept {
    let text = |name: &str| fs_err::read_to_string(dir.join(name)).ok();
    let logs = ["test_output.txt", "run_instance.log"];
    Kept { report: text("report.json"), logs: logs.into_iter().filter_map(text).collect() }
}

//! What the grades of several runs say of one another.
//!
//! Reads `grades.jsonl` of run directories. Compares the first run with each later one on the tasks of both, and takes runs
//! that differ in nothing but their seeds as measurements of the same thing.

use std::path::Path;

use serde::Serialize;

use crate::fsio;
use crate::grade::Verdict;
use crate::rate::{self, Comparison, Counts, Facts, Trial};
use crate::run::RunError;
use crate::stats::{self, Mean};

use super::RunReport;

/// The grades of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grades {
    /// Each try with its judgement, in their order.
    #[serde(skip)]
    pub tries: Vec<(String, Option<bool>)>,
    /// All of them.
    #[serde(flatten)]
    pub counts: Counts,
}

/// A run beside the first one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The first run's name.
    pub first: String,
    /// The other run's name.
    pub second: String,
    /// How they compare.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// Runs that differ in their seeds alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedRuns {
    /// Their names.
    pub runs: Vec<String>,
    /// Each one's rate.
    pub rates: Vec<f64>,
    /// Over those rates.
    #[serde(flatten)]
    pub mean: Mean,
}

/// Reads the grades of the run in `path`; none where nothing was graded.
///
/// # Errors
/// When the file cannot be read.
pub fn read(path: &Path) -> Result<Option<Grades>, RunError> {
    let file = path.join("grades.jsonl");
    if !file.is_file() {
        return Ok(None);
    }
    let verdicts: Vec<Verdict> = fsio::read_json_lines(&file).map_err(RunError::File)?;
    let judged = |verdict: &Verdict| verdict.outcome.is_valid().then(|| verdict.is_resolved());
    let tries: Vec<(String, Option<bool>)> =
        verdicts.iter().map(|verdict| (verdict.id.clone(), judged(verdict))).collect();
    let trial = |(task, resolved): &(String, Option<bool>)| Trial {
        task: task.clone(),
        facts: Facts::default(),
        resolved: *resolved,
        cost: rate::Cost::default(),
    };
    let trials: Vec<Trial> = tries.iter().map(trial).collect();
    Ok(Some(Grades { counts: Counts::of(&trials), tries }))
}

/// The first graded run beside each later one.
pub fn pairs(runs: &[RunReport]) -> Vec<Pair> {
    let mut graded = runs.iter().filter_map(|run| Some((run, run.grades.as_ref()?)));
    let Some((first, one)) = graded.next() else { return Vec::new() };
    let pair = |(second, two): (&RunReport, &Grades)| Pair {
        first: first.name.clone(),
        second: second.name.clone(),
        comparison: rate::compare(&one.tries, &two.tries),
    };
    graded.map(pair).collect()
}

/// The groups of runs that were begun alike but for their seeds.
pub fn seed_runs(runs: &[RunReport]) -> Vec<SeedRuns> {
    let mut groups: Vec<Vec<(&RunReport, &Grades)>> = Vec::new();
    for run in runs {
        let Some(grades) = &run.grades else { continue };
        let manifest = &run.manifest;
        let is_alike = |group: &&mut Vec<(&RunReport, &Grades)>| {
            let first = &group[0].0.manifest;
            let is_anew = group.iter().all(|(other, _)| other.manifest.seeds != manifest.seeds);
            first.recipe == manifest.recipe && first.digests == manifest.digests && is_anew
        };
        match groups.iter_mut().find(is_alike) {
            Some(group) => group.push((run, grades)),
            None => groups.push(vec![(run, grades)]),
        }
    }
    let measured = |group: &Vec<(&RunReport, &Grades)>| {
        let rates: Vec<f64> = group.iter().map(|(_, grades)| grades.counts.rate.rate).collect();
        let mean = stats::mean(&rates).filter(|mean| 1 < mean.n)?;
        Some(SeedRuns { runs: group.iter().map(|(run, _)| run.name.clone()).collect(), rates, mean })
    };
    groups.iter().filter_map(measured).collect()
}

impl Grades {
    /// The grades of a run as one line.
    pub fn line(&self, name: &str) -> String {
        let Counts { resolved, valid, invalid, rate } = self.counts;
        let more = if invalid > 0 { format!("; {invalid} not judged") } else { String::new() };
        let (low, high) = (100.0 * rate.low, 100.0 * rate.high);
        let percent = 100.0 * rate.rate;
        format!(
            "{name}: resolved {resolved} of {valid}: {percent:.1} % (95 %: {low:.1} to {high:.1}){more}\n"
        )
    }
}

impl Pair {
    /// The comparison as lines.
    pub fn text(&self) -> String {
        let Comparison { tasks, first_rate, second_rate, first_only, second_only, p, left_out } =
            &self.comparison;
        let (first, second) = (&self.first, &self.second);
        let mut text = format!(
            "{first} → {second}: {:.1} % → {:.1} % on {tasks} tasks; {} lost, {} won, p = {} (McNemar, exact)\n",
            100.0 * first_rate,
            100.0 * second_rate,
            first_only.len(),
            second_only.len(),
            if *p < 0.001 { format!("{p:.1e}") } else { format!("{p:.3}") },
        );
        for (what, ids) in [("lost", first_only), ("won", second_only), ("not compared", left_out)] {
            if !ids.is_empty() {
                text.push_str(&format!("  {what}: {}\n", ids.join(", ")));
            }
        }
        text
    }
}

impl SeedRuns {
    /// The mean as one line.
    pub fn text(&self) -> String {
        let Mean { n, mean, low, high } = self.mean;
        let ends = low.zip(high).map(|(low, high)| {
            format!(" (95 %: {:.1} to {:.1})", 100.0 * low.max(0.0), 100.0 * high.min(1.0))
        });
        format!(
            "Mean of {n} seeds: {:.1} %{}: {}\n",
            100.0 * mean,
            ends.unwrap_or_default(),
            self.runs.join(", ")
        )
    }
}

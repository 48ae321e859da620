//! What the grades of several runs say of one another.
//!
//! Reads `grades.jsonl` of run directories, or `grade.json` where there are no lines, and the verdicts of phases. Compares
//! the first run with each later one on the tasks of both, and the first method that a run measured with each later one;
//! takes runs that differ in nothing but their seeds as measurements of the same thing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::episodes::{self, Episode, Recorded};
use super::grid::{Column, Kind, Try};
use super::{PhaseReport, RunReport};
use crate::event::MethodRow;
use crate::fsio;
use crate::rate::{self, Comparison, Counts, PassAt};
use crate::run::RunError;
use crate::stats::{self, Mean};

/// The grades of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grades {
    /// All of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// With several tries a task: how likely one of k resolves it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pass_at: Vec<PassAt>,
}

/// A run or method beside the first one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The first one's name.
    pub first: String,
    /// The other one's name.
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

/// A verdict, as far as it is shown.
#[derive(Deserialize)]
struct Verdict {
    id: String,
    outcome: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct Document {
    instances: Vec<Verdict>,
}

/// Reads the grades of the run in `path`; none where nothing was graded.
///
/// # Errors
/// When a file cannot be read.
pub fn read(path: &Path) -> Result<Option<Column>, RunError> {
    let (lines, document) = (path.join("grades.jsonl"), path.join("grade.json"));
    let verdicts: Vec<Verdict> = if lines.is_file() {
        fsio::read_json_lines(&lines).map_err(RunError::File)?
    } else if document.is_file() {
        fsio::read_json::<Document>(&document).map_err(RunError::File)?.instances
    } else {
        return Ok(None);
    };
    let mut episodes: BTreeMap<String, Vec<Episode>> = BTreeMap::new();
    for recorded in
        episodes::read(&path.join("trajectories.jsonl")).map_err(RunError::File)?.into_iter().rev()
    {
        if recorded.is_graded {
            episodes.entry(recorded.task).or_default().push(recorded.episode);
        }
    }
    let mut tries: BTreeMap<String, Vec<Try>> = BTreeMap::new();
    for Verdict { id, outcome, reason } in verdicts {
        let episode = episodes.get_mut(&id).and_then(Vec::pop);
        tries.entry(id).or_default().push(Try { outcome, reason, episode });
    }
    Ok(Some(Column { phase: String::new(), kind: Kind::Grades, tries }))
}

/// What a phase of the run in `path` came to; the reasons stand beside its episodes, where these were kept.
///
/// # Errors
/// When that file cannot be read.
pub fn of_phase(path: &Path, phase: &PhaseReport, rows: &[MethodRow]) -> Result<Option<Column>, RunError> {
    if phase.outcomes.is_empty() {
        return Ok(None);
    }
    let file = path.join("rollouts").join(format!("{}.jsonl", phase.name));
    let recorded = episodes::read(&file).map_err(RunError::File)?;
    let mut known: BTreeMap<String, Vec<Recorded>> = BTreeMap::new();
    for one in recorded.into_iter().rev() {
        known.entry(one.task.clone()).or_default().push(one);
    }
    let mut tries: BTreeMap<String, Vec<Try>> = BTreeMap::new();
    for (task, attempts) in &phase.outcomes {
        for outcome in attempts.values() {
            let recorded = known.get_mut(task).and_then(Vec::pop);
            let reason =
                recorded.as_ref().and_then(|one| one.verdict.as_ref()).map(|(_, reason)| reason.clone());
            let one = Try {
                outcome: outcome.clone(),
                reason: reason.unwrap_or_default(),
                episode: recorded.map(|one| one.episode),
            };
            tries.entry(task.clone()).or_default().push(one);
        }
    }
    let is_method = rows.iter().any(|row| phase.name == row.phase());
    let kind = if is_method { Kind::Method } else { Kind::Other };
    Ok(Some(Column { phase: phase.name.clone(), kind, tries }))
}

impl Grades {
    /// Sums a column up.
    pub fn of(column: &Column) -> Self {
        let (counts, pass_at) = column.rates();
        let has_several = column.tries.values().any(|tries| 1 < tries.len());
        Self { counts, pass_at: if has_several { pass_at } else { Vec::new() } }
    }

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

/// The first graded run beside each later one, and within each run the first method beside each later one.
pub fn pairs(runs: &[RunReport]) -> Vec<Pair> {
    let graded = runs.iter().filter_map(|run| Some((run.name.clone(), run.graded()?)));
    let mut pairs = beside_first(graded);
    for run in runs {
        let name = |column: &Column| {
            let method = column.phase.strip_prefix("measure ").unwrap_or(&column.phase);
            if runs.len() == 1 { method.to_owned() } else { format!("{} · {method}", run.name) }
        };
        let methods = run.columns.iter().filter(|column| column.kind == Kind::Method);
        pairs.extend(beside_first(methods.map(|column| (name(column), column))));
    }
    pairs
}

fn beside_first<'a>(mut columns: impl Iterator<Item = (String, &'a Column)>) -> Vec<Pair> {
    let Some((first, one)) = columns.next() else { return Vec::new() };
    let one = one.judged();
    let pair = |(second, two): (String, &Column)| Pair {
        first: first.clone(),
        second,
        comparison: rate::compare(&one, &two.judged()),
    };
    columns.map(pair).collect()
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

/// A p-value with as many digits as matter.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { format!("{p:.1e}") } else { format!("{p:.3}") }
}

impl Pair {
    /// The comparison as lines.
    pub fn text(&self) -> String {
        let Comparison { tasks, first_rate, second_rate, first_only, second_only, p, left_out, .. } =
            &self.comparison;
        let (first, second) = (&self.first, &self.second);
        let mut text = format!(
            "{first} → {second}: {:.1} % → {:.1} % on {tasks} tasks; {} lost, {} won, p = {} (McNemar, exact)\n",
            100.0 * first_rate,
            100.0 * second_rate,
            first_only.len(),
            second_only.len(),
            p_value(*p),
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

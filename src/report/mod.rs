//! Reports: what runs did, gathered from their run directories.
//!
//! Guarantees that everything shown stands in a manifest, an event or a grade; computes nothing but what several runs say
//! of one another (`graded`).
//! A page is one file without links to anything else.

pub mod graded;
pub mod page;
pub mod svg;
pub mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::event::{Event, MethodRow};
use crate::fsio;
use crate::run::{self, Manifest, RunError};
use graded::{Grades, Pair, SeedRuns};
use svg::{Chart, Series};

/// Name and version in the first field of a report's JSON.
pub const FORMAT: &str = "apprentice.report/1";

/// What some runs did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Always [`FORMAT`].
    pub format: &'static str,
    /// The runs, in the order given.
    pub runs: Vec<RunReport>,
    /// The first graded run beside each later one.
    pub comparisons: Vec<Pair>,
    /// Graded runs that differ in their seeds alone.
    pub seeds: Vec<SeedRuns>,
}

/// What one run did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    /// The run directory's name.
    pub name: String,
    /// How it was begun.
    pub manifest: Manifest,
    /// The methods that it measured, in their order.
    pub rows: Vec<MethodRow>,
    /// Its phases, in their order.
    pub phases: Vec<PhaseReport>,
    /// Notes for the reader.
    pub notes: Vec<String>,
    /// Its grades, where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grades: Option<Grades>,
}

/// What a phase did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// Its wall time, once it ended.
    pub seconds: Option<f64>,
    /// Updates that had nothing to learn from, because every group was flat.
    pub skipped: BTreeSet<u64>,
    /// Values by metric and update.
    pub metrics: BTreeMap<String, BTreeMap<u64, f64>>,
    /// Outcomes by task and attempt.
    pub outcomes: BTreeMap<String, BTreeMap<u64, String>>,
}

/// Reads what the runs in `paths` did.
///
/// # Errors
/// When one is no run directory or cannot be read.
pub fn gather(paths: &[PathBuf]) -> Result<Report, RunError> {
    let runs = paths.iter().map(|path| read_run(path)).collect::<Result<Vec<_>, _>>()?;
    let (comparisons, seeds) = (graded::pairs(&runs), graded::seed_runs(&runs));
    Ok(Report { format: FORMAT, runs, comparisons, seeds })
}

impl Report {
    /// What was graded, and how the runs compare: lines for people, none where nothing was graded.
    pub fn grades_text(&self) -> String {
        let lines = self.runs.iter().filter_map(|run| Some(run.grades.as_ref()?.line(&run.name)));
        let pairs = self.comparisons.iter().map(Pair::text);
        lines.chain(pairs).chain(self.seeds.iter().map(SeedRuns::text)).collect()
    }

    /// Writes the page to `out` and each curve as a picture into `curves/` beside it; gives all paths.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, out: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut written = vec![out.to_owned()];
        fsio::write_atomic(out, page::html(self).as_bytes())?;
        let directory = out.parent().unwrap_or(Path::new("")).join("curves");
        for ((phase, metric), chart) in self.charts() {
            let path = directory.join(format!("{}-{}.svg", file_name(&phase), file_name(&metric)));
            fsio::write_atomic(&path, chart.file().as_bytes())?;
            written.push(path);
        }
        Ok(written)
    }

    /// The curves: one picture for each metric of each phase, one line for each run.
    pub fn charts(&self) -> Vec<((String, String), Chart)> {
        let mut charts: Vec<((String, String), Chart)> = Vec::new();
        for (colour, run) in self.runs.iter().enumerate() {
            for phase in &run.phases {
                for metric in phase.shown_metrics() {
                    let points =
                        phase.metrics[metric].iter().map(|(&step, &value)| (step as f64, value)).collect();
                    let line = Series { name: run.name.clone(), colour, points };
                    let key = (phase.name.clone(), metric.to_owned());
                    match charts.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, chart)) => chart.series.push(line),
                        None => charts.push((key, chart(&phase.name, metric, line))),
                    }
                }
            }
        }
        charts
    }
}

impl PhaseReport {
    /// The names of its metrics, those that a reader looks at first before the rest.
    fn shown_metrics(&self) -> Vec<&str> {
        const FIRST: [&str; 4] = ["reward", "loss", "kept", "grad_norm"];
        let rest = self.metrics.keys().map(String::as_str).filter(|name| !FIRST.contains(name));
        FIRST.into_iter().filter(|name| self.metrics.contains_key(*name)).chain(rest).collect()
    }
}

fn chart(phase: &str, metric: &str, line: Series) -> Chart {
    let title = match metric {
        "kept" | "dropped" => format!("{phase}: groups {metric}"),
        "grad_norm" => format!("{phase}: gradient norm"),
        _ => format!("{phase}: {}", metric.replace('_', " ")),
    };
    Chart { title, x_label: "update".to_owned(), series: vec![line] }
}

fn read_run(path: &Path) -> Result<RunReport, RunError> {
    let manifest = run::read_manifest(path)?;
    let absolute = fs_err::canonicalize(path)?;
    let name = absolute.file_name().unwrap_or(absolute.as_os_str()).to_string_lossy().into_owned();
    let grades = graded::read(path)?;
    let mut report =
        RunReport { name, manifest, rows: Vec::new(), phases: Vec::new(), notes: Vec::new(), grades };
    for event in run::read_events(path)? {
        report.add(event);
    }
    Ok(report)
}

impl RunReport {
    /// Takes one event. A later one replaces an earlier one about the same thing: a resumed run says it again.
    fn add(&mut self, event: Event) {
        match event {
            Event::PhaseStarted { phase, .. } => {
                self.phase(&phase);
            }
            Event::PhaseEnded { phase, seconds } => self.phase(&phase).seconds = Some(seconds),
            Event::StepTrained { phase, step, metrics } | Event::StepTimed { phase, step, metrics } => {
                for (name, value) in metrics {
                    self.phase(&phase).metrics.entry(name).or_default().insert(step, value);
                }
            }
            Event::Validated { phase, step, metrics, .. } => {
                for (name, value) in metrics {
                    let name = format!("validation_{name}");
                    self.phase(&phase).metrics.entry(name).or_default().insert(step, value);
                }
            }
            Event::StepSkipped { phase, step, .. } => {
                self.phase(&phase).skipped.insert(step);
            }
            Event::TaskGraded { phase, task, attempt, outcome } => {
                self.phase(&phase).outcomes.entry(task).or_default().insert(attempt, outcome);
            }
            Event::MethodMeasured(row) => match self.rows.iter_mut().find(|known| known.method == row.method)
            {
                Some(known) => *known = row,
                None => self.rows.push(row),
            },
            Event::Note { text } if !self.notes.contains(&text) => self.notes.push(text),
            Event::Note { .. }
            | Event::PhaseAdvanced { .. }
            | Event::CheckpointSaved { .. }
            | Event::EpisodeEnded { .. }
            | Event::EpisodesAdvanced { .. } => {}
        }
    }

    fn phase(&mut self, name: &str) -> &mut PhaseReport {
        let known = self.phases.iter().position(|phase| phase.name == name);
        let phase_idx = known.unwrap_or_else(|| {
            self.phases.push(PhaseReport { name: name.to_owned(), ..PhaseReport::default() });
            self.phases.len() - 1
        });
        &mut self.phases[phase_idx]
    }
}

/// A name without characters that mean something to a file system.
fn file_name(text: &str) -> String {
    text.chars().map(|letter| if letter.is_alphanumeric() || letter == '_' { letter } else { '-' }).collect()
}

#[cfg(test)]
mod tests;

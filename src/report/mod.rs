//! Reports: what runs did, gathered from their run directories.
//!
//! Guarantees that everything shown stands in a manifest, an event, a sample, a grade or a recorded episode; computes
//! nothing but rates (`grid`), what several runs say of one another (`graded`) and where two texts match (`steps`).
//! A page is one file; what would make it long lies in pages beside it, to which it links.

pub mod curves;
pub mod episodes;
pub mod graded;
pub mod grid;
pub mod page;
pub mod svg;
pub mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::event::{Event, GroupSample, MethodRow};
use crate::fsio;
use crate::run::{self, Manifest, RunError};
use curves::Curve;
use graded::{Grades, Pair, SeedRuns};
use grid::{Column, Kind};

/// Name and version in the first field of a report's JSON.
pub const FORMAT: &str = "apprentice.report/1";

/// Whole trajectories beside a page, unless somebody asks for more or fewer.
pub const EPISODES: usize = 100;

/// What some runs did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Always [`FORMAT`].
    pub format: &'static str,
    /// The runs, in the order given.
    pub runs: Vec<RunReport>,
    /// The first graded run beside each later one, and the first method of a run beside each later one.
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
    /// What it came to on tasks: its grades, and its phases that have outcomes.
    #[serde(skip)]
    pub columns: Vec<Column>,
    /// Groups in words, in the order of the updates.
    #[serde(skip)]
    pub samples: Vec<GroupSample>,
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

/// The files of a report.
#[derive(Debug)]
pub struct Written {
    /// The page.
    pub page: PathBuf,
    /// Pages beside it.
    pub parts: Vec<PathBuf>,
    /// Each curve as a picture.
    pub curves: Vec<PathBuf>,
}

impl Report {
    /// What was graded, and how the runs compare: lines for people, none where nothing was graded.
    pub fn grades_text(&self) -> String {
        let lines = self.runs.iter().filter_map(|run| Some(run.grades.as_ref()?.line(&run.name)));
        let pairs = self.comparisons.iter().map(Pair::text);
        lines.chain(pairs).chain(self.seeds.iter().map(SeedRuns::text)).collect()
    }

    /// Writes the page to `out`, further pages beside it with at most `episodes` whole trajectories, and each curve as a
    /// picture into `curves/`.
    ///
    /// # Errors
    /// When a file cannot be written, or an episode cannot be read.
    pub fn write(&self, out: &Path, episodes: usize) -> anyhow::Result<Written> {
        let beside = out.parent().unwrap_or(Path::new(""));
        let pages = page::pages(self, &file_name_of(out), episodes)?;
        fsio::write_atomic(out, pages.main.as_bytes())?;
        let mut written = Written { page: out.to_owned(), parts: Vec::new(), curves: Vec::new() };
        for (name, text) in &pages.parts {
            let path = beside.join(name);
            fsio::write_atomic(&path, text.as_bytes())?;
            written.parts.push(path);
        }
        for Curve { phase, metric, chart, .. } in self.curves() {
            let path =
                beside.join("curves").join(format!("{}-{}.svg", file_name(&phase), file_name(&metric)));
            fsio::write_atomic(&path, chart.file().as_bytes())?;
            written.curves.push(path);
        }
        Ok(written)
    }

    /// The curves: one for each metric of each phase, one line for each run.
    pub fn curves(&self) -> Vec<Curve> {
        curves::of(&self.runs)
    }

    /// All columns, each with a name that tells it from the others.
    pub fn columns(&self) -> Vec<(String, &Column)> {
        let named = |run: &'_ RunReport, column: &Column| match (self.runs.len(), column.phase.as_str()) {
            (1, "") => run.policy().unwrap_or(&run.name).to_owned(),
            (_, "") => run.name.clone(),
            (1, phase) => phase.to_owned(),
            (_, phase) => format!("{} · {phase}", run.name),
        };
        self.runs
            .iter()
            .flat_map(|run| run.columns.iter().map(move |column| (named(run, column), column)))
            .collect()
    }
}

fn file_name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read_run(path: &Path) -> Result<RunReport, RunError> {
    let manifest = run::read_manifest(path)?;
    let absolute = fs_err::canonicalize(path)?;
    let mut report = RunReport {
        name: file_name_of(&absolute),
        manifest,
        rows: Vec::new(),
        phases: Vec::new(),
        notes: Vec::new(),
        grades: None,
        columns: Vec::new(),
        samples: run::read_samples(path)?,
    };
    for event in run::read_events(path)? {
        report.add(event);
    }
    if let Some(column) = graded::read(path)? {
        report.grades = Some(Grades::of(&column));
        report.columns.push(column);
    }
    for phase in &report.phases {
        report.columns.extend(graded::of_phase(path, phase, &report.rows)?);
    }
    Ok(report)
}

impl RunReport {
    /// Its grades, task by task.
    pub fn graded(&self) -> Option<&Column> {
        self.columns.iter().find(|column| column.kind == Kind::Grades)
    }

    /// Whose work was graded, where the run says it.
    pub fn policy(&self) -> Option<&str> {
        self.manifest.recipe.get("policy")?.as_str()
    }

    /// Takes one event. A later one replaces an earlier one about the same thing: a resumed run says it again.
    fn add(&mut self, event: Event) {
        match event {
            Event::PhaseStarted { phase, .. } => {
                self.phase(&phase);
            }
            Event::PhaseEnded { phase, seconds } => self.phase(&phase).seconds = Some(seconds),
            Event::StepTrained { phase, step, metrics } | Event::StepTimed { phase, step, metrics } => {
                let phase = self.phase(&phase);
                for (name, value) in metrics {
                    phase.metrics.entry(name).or_default().insert(step, value);
                }
            }
            Event::Validated { phase, step, metrics, .. } => {
                let phase = self.phase(&phase);
                for (name, value) in metrics {
                    phase.metrics.entry(format!("validation_{name}")).or_default().insert(step, value);
                }
            }
            Event::StepSkipped { phase, step, .. } => {
                self.phase(&phase).skipped.insert(step);
            }
            Event::TaskGraded { phase, task, attempt, outcome } => {
                self.phase(&phase).outcomes.entry(task).or_default().insert(attempt, outcome);
            }
            Event::MethodMeasured(row) => match self.rows.iter_mut().find(|known| known.name() == row.name())
            {
                Some(known) => *known = row,
                None => self.rows.push(row),
            },
            Event::Note { text } if !self.notes.contains(&text) => self.notes.push(text),
            Event::Note { .. }
            | Event::PhaseAdvanced { .. }
            | Event::CheckpointSaved { .. }
            | Event::GroupSampled(_)
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

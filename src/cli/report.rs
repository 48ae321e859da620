//! `apprentice report`.

use std::path::PathBuf;

use serde_json::json;

use super::failure::{Answer, Failure};
use super::output::Output;
use crate::report;

/// Write a page about runs: what was run, methods, curves, outcomes by task
///
/// The page is an HTML file without scripts that needs no network; whole trajectories, and rows where there are more than 250
/// tasks, lie in pages beside it (`report-parts/`). Each curve is also written as a picture into `curves/`. Several runs are
/// drawn into the same pictures. Where runs were graded, the first is compared with each later one, task by task (McNemar's
/// exact test), and runs that differ in their seeds alone have a mean.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run directories
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page to write [default: report.html in the first run]
    #[arg(short, long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Whole trajectories that get a page each, first tries before second ones
    #[arg(long, value_name = "N", default_value_t = report::EPISODES)]
    trajectories: usize,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    let report = report::gather(&args.runs)?;
    let out = args.out.unwrap_or_else(|| args.runs[0].join("report.html"));
    let written = report.write(&out, args.trajectories).map_err(Failure::host)?;
    let rows: Vec<_> = report.runs.iter().flat_map(|run| run.rows.clone()).collect();
    let value = json!({
        "format": report::FORMAT,
        "page": written.page,
        "parts": written.parts,
        "curves": written.curves,
        "runs": report.runs,
        "comparisons": report.comparisons,
        "seeds": report.seeds,
    });
    let table = if rows.is_empty() { String::new() } else { report::table::table(&rows) + "\n" };
    let grades = report.grades_text();
    let parts = match written.parts.len() {
        0 => String::new(),
        n => format!(", {n} pages beside it"),
    };
    let human = format!("{table}{grades}Wrote {}{parts} and {} curves", out.display(), written.curves.len());
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

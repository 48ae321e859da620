//! `apprentice report`.

use std::path::PathBuf;

use serde_json::json;

use super::failure::{Answer, Failure};
use super::output::Output;
use crate::report;

/// Write a page about runs: what was run, methods, curves, outcomes by task
///
/// The page is one HTML file that needs no network. Each curve is also written as a picture into
/// `curves/` beside it. Several runs are drawn into the same pictures. Where runs were graded, the first is compared
/// with each later one, task by task (McNemar's exact test), and runs that differ in their seeds alone have a mean.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run directories
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page to write [default: report.html in the first run]
    #[arg(short, long, value_name = "FILE.html")]
    out: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    let report = report::gather(&args.runs)?;
    let out = args.out.unwrap_or_else(|| args.runs[0].join("report.html"));
    let written = report.write(&out).map_err(Failure::host)?;
    let rows: Vec<_> = report.runs.iter().flat_map(|run| run.rows.clone()).collect();
    let value = json!({
        "format": report::FORMAT,
        "page": out,
        "curves": &written[1..],
        "runs": report.runs,
        "comparisons": report.comparisons,
        "seeds": report.seeds,
    });
    let table = if rows.is_empty() { String::new() } else { report::table::table(&rows) + "\n" };
    let grades = report.grades_text();
    let human = format!("{table}{grades}Wrote {} and {} curves", out.display(), written.len() - 1);
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

//! `apprentice task check`: certify tasks, and keep what was found beside them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use serde_json::{Value, json};

use super::failure::{Answer, Failure};
use super::grade;
use super::output::Output;
use super::sandbox::block_on;
use super::sandboxes::{Bench, Benches, HostArgs};
use crate::certificate::{Certificate, Check};
use crate::certify::{self, Case, Certified, Options};
use crate::task::LoadedTask;
use crate::task_dir::certified::{self, Standing};

/// Certify tasks: the gold patch resolves each, doing nothing does not, and the tests say the same every time
///
/// Runs each task's tests with its gold patch several times, without any repair, with the tests' patch alone and in
/// other orders, and writes what it saw to `certificate.json` beside the task. Tests whose results differ are
/// quarantined there: no grade requires or counts them. Exit code 1 when a task has a fault.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tasks' ids; all of them without one
    ids: Vec<String>,
    /// The tasks' directory
    #[arg(long, value_name = "DIR", default_value = "tasks")]
    tasks: PathBuf,
    /// How often the tests run with the gold patch
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// How many other orders of the tests are tried (pytest)
    #[arg(long, value_name = "N", default_value_t = 2)]
    orders: u16,
    /// Check tasks too whose certificate still fits them
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// What is known of a task in the end.
struct Known {
    certified: Certified,
    /// Whether it is from an earlier check.
    skipped: bool,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let tasks = chosen(args, output)?;
    let (mut known, mut open) = (BTreeMap::new(), BTreeMap::new());
    for (id, loaded) in tasks {
        match certified::standing(&loaded) {
            Ok(Standing::Fits(certificate)) if !args.again => {
                known.insert(id, Known { certified: Ok(*certificate), skipped: true });
            }
            // One that cannot be read is replaced, and that is said when the file cannot be removed.
            _ => {
                certified::remove(&loaded).map_err(Failure::host)?;
                open.insert(id, loaded);
            }
        }
    }
    if !known.is_empty() {
        output.say(&format!(
            "{} tasks have a certificate that fits (check them too with `--again`)",
            known.len()
        ));
    }
    if !open.is_empty() {
        let results = block_on(certify(args, &open, output))?;
        let now = results.into_iter().map(|certified| Known { certified, skipped: false });
        known.extend(open.into_keys().zip(now));
    }
    let rows: Vec<Value> = known.iter().map(|(id, known)| row(id, known)).collect();
    let width = known.keys().map(String::len).max().unwrap_or_default();
    let text: String = known.iter().map(|(id, known)| lines(id, width, known)).collect();
    output.result(&json!({"format": "apprentice.check/1", "tasks": rows}), &text).map_err(Failure::host)?;
    Ok(if known.values().all(Known::is_certified) { Answer::Yes } else { Answer::No })
}

/// The tasks that the user names.
fn chosen(args: &Args, output: Output) -> Result<BTreeMap<String, LoadedTask>, Failure> {
    let mut tasks = grade::load_tasks(&args.tasks, output)?;
    if let Some(id) = args.ids.iter().find(|id| !tasks.contains_key(*id)) {
        return Err(super::task::unknown(id, &args.tasks));
    }
    tasks.retain(|id, _| args.ids.is_empty() || args.ids.contains(id));
    match tasks.iter().find(|(_, loaded)| loaded.task.gold.is_none()) {
        Some((id, _)) => Err(Failure::input(anyhow!("task `{id}` has no gold patch to check it by"))),
        None => Ok(tasks),
    }
}

/// Certifies tasks, in their order; each certificate is written as soon as it is known.
async fn certify(
    args: &Args,
    tasks: &BTreeMap<String, LoadedTask>,
    output: Output,
) -> Result<Vec<Certified>, Failure> {
    let benches = args.host.benches(tasks.values(), output).await?;
    benches.lines().for_each(|line| output.say(line));
    let cases = tasks.values().map(|loaded| case(loaded, &benches)).collect();
    let options = Options {
        grade: crate::grade::Options { cache: args.host.cache(), ready: args.host.ready(output) },
        runs: args.runs.into(),
        orders: args.orders.into(),
        parallel: args.host.parallel(),
    };
    let done = |case: &Case, certified: &Certified| {
        let id = &case.task.task.id;
        match certified {
            Ok(certificate) => {
                certified::save(&case.task, certificate)?;
                output.say(&format!("  Checked {id}  {}", word(certificate)));
            }
            Err(reason) => output.say(&format!("warning: {id} could not be checked: {reason}")),
        }
        Ok(())
    };
    certify::certify_all(cases, &options, done).await.map_err(Failure::host)
}

fn case(loaded: &LoadedTask, benches: &Benches) -> Case {
    let Bench { spec, selection } = benches.of(loaded);
    Case {
        task: Arc::new(loaded.clone()),
        spec: spec.clone(),
        backend: selection.backend.clone(),
        made_of: selection.made_of.clone(),
    }
}

impl Known {
    fn is_certified(&self) -> bool {
        self.certified.as_ref().is_ok_and(|certificate| certificate.certified)
    }
}

fn row(id: &str, known: &Known) -> Value {
    let certificate = match &known.certified {
        Ok(certificate) => certificate,
        Err(reason) => return json!({"id": id, "fair": false, "certified": null, "reason": reason}),
    };
    let outcome = |check: Check| {
        let mut runs = certificate.runs.iter().filter(|run| run.check == check);
        runs.next().map(|run| run.outcome.clone())
    };
    json!({
        "id": id,
        "fair": certificate.certified,
        "certified": certificate.certified,
        "skipped": known.skipped,
        "gold": outcome(Check::Gold),
        "noop": outcome(Check::Noop),
        "reason": certificate.faults.first().map(|fault| &fault.what),
        "faults": certificate.faults,
        "remarks": certificate.remarks,
        "quarantined": certificate.quarantined,
        "gold_seconds": certificate.gold_seconds,
        "suggested_test_seconds": certificate.suggested_test_seconds,
        "statement": certificate.statement,
    })
}

/// One word on a task.
fn word(certificate: &Certificate) -> &'static str {
    if certificate.certified { "certified" } else { "faulty" }
}

fn lines(id: &str, width: usize, known: &Known) -> String {
    let certificate = match &known.certified {
        Ok(certificate) => certificate,
        Err(reason) => return format!("{id:width$}  could not be checked: {reason}\n"),
    };
    let mut text = format!("{id:width$}  {}\n", word(certificate));
    let mut add = |what: &str, about: &str| text.push_str(&format!("{:width$}    {what}: {about}\n", ""));
    certificate.faults.iter().for_each(|fault| add("fault", &fault.what));
    for test in &certificate.quarantined {
        add("quarantined", &format!("`{}` ({})", test.id, test.why.name()));
    }
    certificate.remarks.iter().for_each(|remark| add("remark", &remark.what));
    text
}

//! `apprentice trajectory effects`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use serde_json::{Value, json};

use super::super::failure::{Answer, Failure};
use super::super::output::Output;
use super::super::sandboxes::HostArgs;
use super::replay::works;
use crate::branch::{Branches, Judging};
use crate::replay;
use crate::reward::effect::{Effect, EffectReward};
use crate::trajectory::{Exit, Step, Trajectory};

/// Characters of an action that are shown.
const ACTION_CHARS: usize = 60;

/// Run experts' steps and say what each did: what a reward by effect compares with
///
/// Prints a line a step: files that it changed, lines that it printed, how it ended, and what it did to the outcome of
/// the task, which is from -1 to 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of any known format
    file: PathBuf,
    /// Only the trajectory with this id
    #[arg(long)]
    id: Option<String>,
    /// The directory of the tasks
    #[arg(long, default_value = "tasks")]
    tasks: PathBuf,
    /// Run no tests
    #[arg(long)]
    no_tests: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(super) fn run(args: &Args, output: Output) -> Result<Answer, Failure> {
    let mut trajectories = super::read_all(&args.file)?;
    trajectories.retain(|trajectory| args.id.as_ref().is_none_or(|id| *id == trajectory.id));
    if trajectories.is_empty() {
        return Err(Failure::nothing(anyhow!("no trajectory has this id")));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::host)?;
    let (benches, works) =
        runtime.block_on(works(&args.host, (&args.tasks, trajectories.clone()), output))?;
    benches.lines().for_each(|line| output.say(line));
    let options = replay::Options {
        cache: args.host.cache(),
        ready: args.host.ready(output),
        parallel: args.host.parallel(),
    };
    let judging = Judging::Effect(EffectReward { tests: if args.no_tests { 0.0 } else { 1.0 } });
    let branches = Branches::new(works, options, judging, Arc::new(runtime)).map_err(Failure::host)?;
    for trajectory in &trajectories {
        for (step_idx, step) in trajectory.steps.iter().enumerate().filter(|(_, step)| step.executed) {
            let effect = branches.expert(&trajectory.id, step_idx).map_err(Failure::host)?;
            let value = value(trajectory, (step_idx, step), &effect);
            output.result(&value, &line(&value)).map_err(Failure::host)?;
        }
    }
    Ok(Answer::Yes)
}

fn value(trajectory: &Trajectory, (step_idx, step): (usize, &Step), effect: &Effect) -> Value {
    let text = step.action.text();
    let action: String =
        text.lines().next().unwrap_or_default().trim_end().chars().take(ACTION_CHARS).collect();
    json!({
        "format": "apprentice.effect/1", "trajectory": trajectory.id, "step": step_idx + 1, "action": action,
        "files": effect.files.iter().map(|change| &change.path).collect::<Vec<_>>(),
        "shell": effect.shell, "lines": effect.output.lines().count(), "exit": effect.exit.map(word),
        "submitted": effect.submitted, "potential": effect.potential, "outcome": effect.outcome,
    })
}

fn word(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => code.to_string(),
        Exit::Signal(signal) => format!("by signal {signal}"),
        Exit::TimedOut => "by deadline".to_owned(),
        Exit::OutOfMemory => "out of memory".to_owned(),
    }
}

fn line(value: &Value) -> String {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let files: Vec<&str> =
        value["files"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut told = Vec::new();
    if !files.is_empty() {
        told.push(format!("changed {}", files.join(", ")));
    }
    if value["shell"].as_object().is_some_and(|shell| !shell.is_empty()) {
        told.push("changed the shell".to_owned());
    }
    match value["lines"].as_u64() {
        Some(0) | None => {}
        Some(1) => told.push("printed a line".to_owned()),
        Some(lines) => told.push(format!("printed {lines} lines")),
    }
    told.extend(value["exit"].as_str().filter(|exit| *exit != "0").map(|exit| format!("exit {exit}")));
    let outcome = value["outcome"].as_f64().filter(|outcome| *outcome != 0.0);
    told.extend(outcome.map(|outcome| format!("outcome {outcome:+.3}")));
    if value["submitted"] == true {
        told.push("submitted".to_owned());
    }
    let told = if told.is_empty() { "nothing to be seen".to_owned() } else { told.join("; ") };
    format!("{} {:>3}  {}  | {told}", text("trajectory"), value["step"], text("action"))
}

//! `apprentice train`: a recipe, a run directory, a checkpoint.
//!
//! Guarantees that Ctrl-C ends in a checkpoint and that a resumed run's events are those of an unbroken one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, anyhow};

use super::failure::{Answer, Failure, FailureKind};
use super::output::Output;
use super::progress::Progress;
use crate::event::{Event, EventSink};
use crate::model::Device;
use crate::recipe::{Method, Recipe, RewardSource};
use crate::run::{Manifest, RunDir, RunError, free_path};
use crate::train::data::{DataSet, NothingFits};
use crate::train::{Budget, Outcome, Training, checkpoint, device, sft, srl};

mod inputs;

use inputs::Inputs;

/// Train a student from a recipe
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recipe; with --resume, that of the run unless given
    #[arg(required_unless_present = "resume")]
    recipe: Option<PathBuf>,
    /// Override a key of the recipe, such as --set srl.group_size=4
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "recipe")]
    overrides: Vec<String>,
    /// The run directory to make [default: runs/RECIPE]
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Continue an interrupted run from its last checkpoint
    #[arg(long, value_name = "RUN", conflicts_with = "out")]
    resume: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments")]
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    let recipe = recipe(&args)?;
    let device = device().map_err(Failure::host)?;
    if recipe.recompute && !device.is_cpu() {
        let failure = anyhow!("`recompute: true` is implemented on a CPU only");
        return Err(
            Failure::usage(failure).with_hint("leave `recompute` out, and lower `batch.micro_batch_tokens`")
        );
    }
    let inputs = Inputs::load(&recipe)?;
    let run = open(&args, &recipe, &inputs)?;
    let started = Instant::now();
    let stop = stop_on_interrupt(output).map_err(Failure::host)?;
    let (outcome, progress) = train(&recipe, &inputs, &run, &device, (output, &stop))?;
    let checkpoint = run.checkpoint(progress.step);
    if outcome == Outcome::Interrupted {
        let failure = anyhow!("interrupted after update {}; saved `{}`", progress.step, checkpoint.display());
        let failure = Failure { kind: FailureKind::Interrupted, source: failure, hint: None };
        return Err(
            failure.with_hint(format!("continue with `apprentice train --resume {}`", run.path().display()))
        );
    }
    let value = serde_json::json!({
        "format": "apprentice.train/1", "method": recipe.method, "run": run.path(), "checkpoint": checkpoint,
        "steps": progress.step, "units": progress.units, "seconds": started.elapsed().as_secs_f64(),
    });
    let human = format!("Trained {} updates: {}", progress.step, checkpoint.display());
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn recipe(args: &Args) -> Result<Recipe, Failure> {
    let Some(path) = &args.recipe else {
        let run = args.resume.as_ref().expect("invariant: clap wants a recipe or a run to resume");
        let manifest = crate::run::read_manifest(run).map_err(run_failure)?;
        let unreadable = || format!("`{}` was not made by `apprentice train`", run.display());
        return serde_json::from_value(manifest.recipe).with_context(unreadable).map_err(Failure::input);
    };
    crate::recipe::load(path, &args.overrides).map_err(|error| {
        Failure::usage(error).with_hint("compare with `recipes/sft.yaml` and `recipes/srl.yaml`")
    })
}

fn open(args: &Args, recipe: &Recipe, inputs: &Inputs) -> Result<RunDir, Failure> {
    let resolved = serde_json::to_value(recipe).map_err(Failure::host)?;
    let mut manifest = Manifest::new(std::env::args(), resolved);
    manifest.seeds.insert("train".to_owned(), recipe.seed);
    manifest.digests = inputs.digests(recipe)?;
    if let Some(path) = &args.resume {
        return RunDir::resume(path, &manifest).map_err(run_failure);
    }
    let path = match (&args.out, &args.recipe) {
        (Some(out), _) => out.clone(),
        (None, recipe) => {
            let stem = recipe.as_deref().and_then(Path::file_stem).unwrap_or_default();
            free_path(&Path::new("runs").join(stem)).map_err(Failure::host)?
        }
    };
    RunDir::create(&path, manifest).map_err(run_failure)
}

fn run_failure(error: RunError) -> Failure {
    let hint = error.hint();
    let failure = match error {
        RunError::Taken { .. } | RunError::NotARun { .. } | RunError::Differs { .. } => Failure::usage(error),
        RunError::Damaged { .. } | RunError::Format { .. } => Failure::input(error),
        _ => Failure::host(error),
    };
    failure.with_hint(hint)
}

fn untrained(error: anyhow::Error) -> Failure {
    if error.is::<NothingFits>() {
        return Failure::nothing(error)
            .with_hint("raise `limits.context`, or shorten what the student is shown");
    }
    Failure::host(error)
}

/// A flag that Ctrl-C sets.
fn stop_on_interrupt(output: Output) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let flag = Arc::clone(&stop);
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            flag.store(true, Ordering::Relaxed);
            output.say("Stopping after this update");
        }
    });
    Ok(stop)
}

/// Events go to the run's file and to the terminal.
struct Both<'a> {
    file: &'a mut dyn EventSink,
    terminal: Progress,
}

impl EventSink for Both<'_> {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        self.file.emit(event)?;
        self.terminal.emit(event)
    }
}

fn train(
    recipe: &Recipe,
    inputs: &Inputs,
    run: &RunDir,
    device: &Device,
    (output, stop): (Output, &AtomicBool),
) -> Result<(Outcome, checkpoint::Progress), Failure> {
    let data = DataSet::new(inputs.pairs());
    let config = recipe.train_config();
    let dir = run.checkpoints();
    let saved = checkpoint::latest(&dir).map_err(Failure::host)?;
    let student = inputs.student(recipe, saved.as_deref(), device)?;
    let progress = saved.as_deref().map(checkpoint::progress).transpose().map_err(Failure::input)?;
    inputs::forget_after(run, progress.as_ref().map_or(0, |progress| progress.step))
        .map_err(Failure::host)?;
    let mut file = run.events().map_err(run_failure)?;
    let mut events = Both { file: &mut file, terminal: Progress::new(output) };
    let phase = recipe.method.name().to_owned();
    let total = if let Budget::Steps(steps) = recipe.budget { Some(steps) } else { None };
    events.emit(&Event::PhaseStarted { phase: phase.clone(), total }).map_err(Failure::host)?;
    if 0 < data.unreadable() {
        let text = format!("left out {} steps whose expert reply would be malformed", data.unreadable());
        events.emit(&Event::Note { text }).map_err(Failure::host)?;
    }
    let started = Instant::now();
    let mut training = Training::new(&phase, &config, &student, &mut events, stop).map_err(Failure::host)?;
    training.checkpoints = Some(&dir);
    if let (Some(saved), Some(progress)) = (&saved, progress) {
        training.adamw = checkpoint::adamw(saved, config.optimizer, &student).map_err(Failure::input)?;
        training.progress = progress;
    }
    let outcome = match recipe.method {
        Method::Sft => sft::train(&config, sft::Target::Replies, &data, &mut training),
        Method::Srl => {
            let RewardSource::Text(judge) = recipe.reward;
            srl::train(&config, &recipe.srl, &data, &judge, &mut training)
        }
    };
    let outcome = outcome.map_err(untrained)?;
    let progress = training.progress.clone();
    let ended = Event::PhaseEnded { phase, seconds: started.elapsed().as_secs_f64() };
    events.emit(&ended).map_err(Failure::host)?;
    Ok((outcome, progress))
}

//! `apprentice train`: a recipe, a run directory, a checkpoint.
//!
//! Guarantees that a training which cannot fit is refused before it takes memory, that Ctrl-C ends in a checkpoint, and that
//! a resumed run's events are those of an unbroken one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, anyhow};

use super::failure::{Answer, Failure, FailureKind};
use super::output::Output;
use super::progress::Progress;
use crate::event::{Event, EventSink, Tee};
use crate::model::Device;
use crate::recipe::{Method, Recipe, RewardSource};
use crate::run::{Manifest, RunDir, RunError, free_path};
use crate::train::data::{DataSet, NothingFits};
use crate::train::pace::Pace;
use crate::train::validation::Validation;
use crate::train::{Budget, Outcome, Training, checkpoint, device, flops, sft, srl};

mod forecast;
mod inputs;

use forecast::Forecast;
use inputs::{Inputs, Outline};

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
    /// Only say what would be trained on, and how much memory it would take
    #[arg(long, visible_alias = "plan")]
    dry_run: bool,
    /// Memory that the training may take; one that would take more is refused [default: what is free now]
    #[arg(long, value_name = "MIB")]
    memory_mib: Option<u64>,
    /// What the device does at most, in 10^12 operations a second, for `mfu` [default: measured at the start]
    #[arg(long, value_name = "TFLOPS")]
    peak_tflops: Option<f64>,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments")]
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    let recipe = recipe(&args)?;
    let device = device().map_err(Failure::host)?;
    let inputs = Inputs::load(&recipe)?;
    let prepared = Prepared::new(&args, &recipe, &inputs, &device)?;
    if args.dry_run {
        return prepared.forecast.answer(output);
    }
    prepared.forecast.check()?;
    let run = open(&args, &recipe, &inputs)?;
    let started = Instant::now();
    let stop = stop_on_interrupt(output).map_err(Failure::host)?;
    let (outcome, progress) = prepared.train(&args, &run, (output, &stop))?;
    let checkpoint = run.checkpoint(progress.step);
    if outcome == Outcome::Interrupted {
        let failure = anyhow!("interrupted after update {}; saved `{}`", progress.step, checkpoint.display());
        let failure = Failure { kind: FailureKind::Interrupted, source: failure, hint: None };
        return Err(
            failure.with_hint(format!("continue with `apprentice train --resume {}`", run.path().display()))
        );
    }
    let best = progress.validation.best.map(|best| (run.checkpoint(best.step), best.reward));
    let value = serde_json::json!({
        "format": "apprentice.train/1", "method": recipe.method, "run": run.path(), "checkpoint": checkpoint,
        "best": best.as_ref().map(|(checkpoint, _)| checkpoint), "stalled": outcome == Outcome::Stalled,
        "steps": progress.step, "units": progress.units, "seconds": started.elapsed().as_secs_f64(),
    });
    let why = if outcome == Outcome::Stalled { ", until validation did not improve" } else { "" };
    let mut human = format!("Trained {} updates{why}: {}", progress.step, checkpoint.display());
    if let Some((best, reward)) = best {
        human += &format!("\nBest on held-out steps: {} (reward {reward:.3})", best.display());
    }
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

/// Everything that a training needs and that is known before it takes memory.
struct Prepared<'a> {
    recipe: &'a Recipe,
    device: &'a Device,
    data: DataSet<'a>,
    held_out: DataSet<'a>,
    /// The checkpoint that it goes on from.
    saved: Option<PathBuf>,
    outline: Outline,
    forecast: Forecast,
}

impl<'a> Prepared<'a> {
    fn new(args: &Args, recipe: &'a Recipe, inputs: &'a Inputs, device: &'a Device) -> Result<Self, Failure> {
        let (data, held_out) = (DataSet::new(inputs.pairs()), DataSet::new(inputs.held_out()));
        let saved = args.resume.as_deref().map(|run| checkpoint::latest(&run.join("checkpoints")));
        let saved = saved.transpose().map_err(Failure::host)?.flatten();
        let outline = inputs.outline(recipe, saved.as_deref())?;
        let forecast = forecast::forecast(recipe, (&data, &held_out), &outline, device, args.memory_mib)?;
        Ok(Self { recipe, device, data, held_out, saved, outline, forecast })
    }

    fn train(
        self,
        args: &Args,
        run: &RunDir,
        (output, stop): (Output, &AtomicBool),
    ) -> Result<(Outcome, checkpoint::Progress), Failure> {
        let Self { recipe, device, data, held_out, saved, outline, forecast } = self;
        let progress = saved.as_deref().map(checkpoint::progress).transpose().map_err(Failure::input)?;
        let mut events = events(run, progress.as_ref(), output)?;
        if args.resume.is_none() {
            forecast.lines().into_iter().try_for_each(|line| note(&mut events, line))?;
        }
        if 0 < data.unreadable() {
            let text = format!("left out {} steps whose expert reply would be malformed", data.unreadable());
            note(&mut events, text)?;
        }
        let student = outline.fill(recipe, saved.as_deref(), device)?;
        let phase = recipe.method.name().to_owned();
        let total = if let Budget::Steps(steps) = recipe.budget { Some(steps) } else { None };
        events.emit(&Event::PhaseStarted { phase: phase.clone(), total }).map_err(Failure::host)?;
        let started = Instant::now();
        let (config, dir, RewardSource::Text(judge)) =
            (recipe.train_config(), run.checkpoints(), recipe.reward);
        let mut training =
            Training::new(&phase, &config, &student, &mut events, stop).map_err(Failure::host)?;
        training.checkpoints = Some(&dir);
        if 0 < recipe.validation.every {
            let validation = Validation::new(&recipe.validation, &config, &held_out, &student, &judge);
            training.validation = Some(validation.context("nothing can be validated on").map_err(untrained)?);
        }
        if let (Some(saved), Some(progress)) = (&saved, progress) {
            training.adamw = checkpoint::adamw(saved, config.optimizer, &student).map_err(Failure::input)?;
            training.progress = progress;
        }
        training.pace = Pace::start(Some(peak(args, device)?));
        let outcome = match recipe.method {
            Method::Sft => sft::train(&config, sft::Target::Replies, &data, &mut training),
            Method::Srl => srl::train(&config, &recipe.srl, &data, &judge, &mut training),
        };
        let outcome = outcome.map_err(untrained)?;
        let progress = training.progress.clone();
        let ended = Event::PhaseEnded { phase, seconds: started.elapsed().as_secs_f64() };
        events.emit(&ended).map_err(Failure::host)?;
        Ok((outcome, progress))
    }
}

/// The run's file without what is made again, TensorBoard's, and the terminal.
fn events(
    run: &RunDir,
    saved: Option<&checkpoint::Progress>,
    output: Output,
) -> Result<Tee<'static>, Failure> {
    inputs::forget_after(run, saved).map_err(Failure::host)?;
    let step = saved.map_or(0, |progress| progress.step);
    let file = run.events().map_err(run_failure)?;
    let tensorboard = run.tensorboard(step).map_err(run_failure)?;
    Ok(Tee::new().with(file).with(tensorboard).with(Progress::new(output)))
}

fn note(events: &mut Tee<'_>, text: String) -> Result<(), Failure> {
    events.emit(&Event::Note { text }).map_err(Failure::host)
}

/// Operations a second that the device does at most.
fn peak(args: &Args, device: &Device) -> Result<f64, Failure> {
    match args.peak_tflops {
        Some(tflops) if 0.0 < tflops => Ok(tflops * 1e12),
        Some(tflops) => Err(Failure::usage(anyhow!("`--peak-tflops {tflops}` must be more than 0"))),
        None => flops::measured_peak(device).map_err(Failure::host),
    }
}

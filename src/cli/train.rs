//! `apprentice train`: a recipe, a run directory, a checkpoint.
//!
//! Guarantees that a training which cannot fit is refused before it takes memory, that Ctrl-C ends in a checkpoint, that a
//! resumed run's events are those of an unbroken one, and that a stage begins from the last checkpoint of the stage before it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, anyhow};

use super::failure::{Answer, Failure, FailureKind};
use super::output::Output;
use super::progress::Progress;
use super::sandboxes::HostArgs;
use crate::branch::Judging;
use crate::event::{Event, EventSink, Tee};
use crate::model::Device;
use crate::recipe::{Course, Method, Recipe, RewardSource};
use crate::reward::{StepReward, TextReward};
use crate::run::{Manifest, RunDir, RunError, free_path};
use crate::task::Kind;
use crate::train::data::{DataSet, NothingFits};
use crate::train::loss::Kl;
use crate::train::pace::Pace;
use crate::train::validation::Validation;
use crate::train::{Budget, Outcome, Training, checkpoint, device, flops, grpo, sft, srl};

mod forecast;
mod ground;
mod inputs;
mod selection;

use forecast::Forecast;
use ground::Ground;
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
    /// What surrounds the student: bash, editor, oracle-edit, localize-edit or a file; the same as --set prompt.scaffold=NAME
    #[arg(long, value_name = "NAME|FILE", requires = "recipe")]
    scaffold: Option<String>,
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
    /// Where a student's actions run (RLVR, and SRL with `reward: effect` or `mix`)
    #[command(flatten)]
    host: HostArgs,
}

/// One training of a course.
struct Stage<'a> {
    recipe: &'a Recipe,
    /// What events and directories call it.
    name: String,
    inputs: Inputs,
    /// Where its student's actions run, if they do.
    ground: Option<Ground>,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
#[expect(clippy::needless_pass_by_value, reason = "every command takes its arguments")]
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    let course = course(&args)?;
    let device = device().map_err(Failure::host)?;
    let mut stages = stages(&course)?;
    if stages.iter().any(|stage| stage.recipe.recompute) && !device.is_cpu() {
        let failure = anyhow!("`recompute: true` is implemented on a CPU only");
        return Err(
            Failure::usage(failure).with_hint("leave `recompute` out, and lower `batch.micro_batch_tokens`")
        );
    }
    let forecasts = forecasts(&args, &stages, &device)?;
    if args.dry_run {
        return forecast::answer(&forecasts, output);
    }
    forecasts.iter().try_for_each(Forecast::check)?;
    for stage in &mut stages {
        stage.find_ground(&args.host, output)?;
    }
    let run = open(&args, &course, &stages)?;
    let desk = Desk {
        args: &args,
        run: &run,
        device: &device,
        output,
        stop: &*stop_on_interrupt(output).map_err(Failure::host)?,
    };
    if args.resume.is_none() {
        desk.note(forecasts.iter().flat_map(Forecast::lines))?;
    }
    let started = Instant::now();
    let (mut steps, mut units, mut reached) = (0, 0, None);
    let (mut best, mut is_stalled) = (None, false);
    for stage in &stages {
        let (outcome, progress) = desk.train(stage, reached.as_deref())?;
        let checkpoints = desk.checkpoints(stage);
        let checkpoint = checkpoints.join(format!("step-{}", progress.step));
        if outcome == Outcome::Interrupted {
            let failure =
                anyhow!("interrupted after update {}; saved `{}`", progress.step, checkpoint.display());
            let failure = Failure { kind: FailureKind::Interrupted, source: failure, hint: None };
            let again = format!("continue with `apprentice train --resume {}`", run.path().display());
            return Err(failure.with_hint(again));
        }
        is_stalled = outcome == Outcome::Stalled;
        best = progress
            .validation
            .best
            .map(|best| (checkpoints.join(format!("step-{}", best.step)), best.reward));
        (steps, units, reached) = (steps + progress.step, units + progress.units, Some(checkpoint));
    }
    let checkpoint = reached.expect("invariant: a course has a stage");
    let names: Vec<&str> = stages.iter().map(|stage| &*stage.name).collect();
    let method = stages.last().map(|stage| stage.recipe.method);
    let value = serde_json::json!({
        "format": "apprentice.train/1", "method": method, "stages": names, "run": run.path(),
        "checkpoint": checkpoint, "best": best.as_ref().map(|(checkpoint, _)| checkpoint), "stalled": is_stalled,
        "steps": steps, "units": units, "seconds": started.elapsed().as_secs_f64(),
    });
    let why = if is_stalled { ", until validation did not improve" } else { "" };
    let mut human = format!("Trained {steps} updates{why}: {}", checkpoint.display());
    if let Some((best, reward)) = best {
        human += &format!("\nBest on held-out steps: {} (reward {reward:.3})", best.display());
    }
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

fn course(args: &Args) -> Result<Course, Failure> {
    let Some(path) = &args.recipe else {
        let run = args.resume.as_ref().expect("invariant: clap wants a recipe or a run to resume");
        let manifest = crate::run::read_manifest(run).map_err(run_failure)?;
        let unreadable = || format!("`{}` was not made by `apprentice train`", run.display());
        return Course::from_json(manifest.recipe).with_context(unreadable).map_err(Failure::input);
    };
    let named = args.scaffold.iter().map(|name| format!("prompt.scaffold={name}"));
    let overrides: Vec<String> = named.chain(args.overrides.iter().cloned()).collect();
    Course::load(path, &overrides).map_err(|error| {
        Failure::usage(error)
            .with_hint("compare with `recipes/sft.yaml`, `recipes/srl.yaml` and `recipes/rlvr.yaml`")
    })
}

fn stages(course: &Course) -> Result<Vec<Stage<'_>>, Failure> {
    let stage = |(stage_idx, recipe)| {
        Ok(Stage { recipe, name: course.name(stage_idx), inputs: Inputs::load(recipe)?, ground: None })
    };
    course.stages.iter().enumerate().map(stage).collect()
}

impl Stage<'_> {
    /// The name of its directories; nothing where it is the only stage.
    fn subdirectory(&self) -> Option<&str> {
        (self.name != self.recipe.method.name()).then_some(&*self.name)
    }

    /// Finds a place where its student can act, if it is to.
    fn find_ground(&mut self, host: &HostArgs, output: Output) -> Result<(), Failure> {
        let tasks = match (self.recipe.method, self.judging()) {
            (Method::Rlvr, _) => self.inputs.practised()?,
            (_, Some(_)) => (Kind::Code, self.inputs.expert_tasks()?),
            (_, None) => return Ok(()),
        };
        self.ground = Some(Ground::open(host, tasks, output)?);
        Ok(())
    }

    /// How replies are judged by running them, if they are.
    fn judging(&self) -> Option<Judging> {
        match (self.recipe.method, self.recipe.reward) {
            (Method::Srl, RewardSource::Effect(effect)) => Some(Judging::Effect(effect)),
            (Method::Srl, RewardSource::Mix(mix)) => Some(Judging::Mix(mix)),
            _ => None,
        }
    }

    /// What judges replies to experts' steps.
    fn judge(&self, host: &HostArgs, output: Output) -> Result<Box<dyn StepReward>, Failure> {
        match (self.judging(), &self.ground, self.recipe.reward) {
            (Some(judging), Some(ground), _) => {
                Ok(Box::new(ground.branches(&self.inputs, judging, host, output)?))
            }
            (_, _, RewardSource::Text(text)) => Ok(Box::new(text)),
            // Another stage's: nothing asks for it.
            _ => Ok(Box::new(TextReward::default())),
        }
    }
}

/// The plans of the stages that learn from experts; what a student meets by itself is not known before.
fn forecasts(args: &Args, stages: &[Stage<'_>], device: &Device) -> Result<Vec<Forecast>, Failure> {
    let planned = stages.iter().filter(|stage| stage.recipe.method != Method::Rlvr);
    planned.map(|stage| forecast::forecast(stage.recipe, &stage.inputs, device, args.memory_mib)).collect()
}

fn open(args: &Args, course: &Course, stages: &[Stage<'_>]) -> Result<RunDir, Failure> {
    let mut manifest = Manifest::new(std::env::args(), course.to_json());
    manifest.seeds.insert("train".to_owned(), course.stages[0].seed);
    for stage in stages {
        stage.inputs.digest(stage.recipe, &mut manifest.digests)?;
        if let Some(benches) = stage.ground.as_ref().and_then(Ground::benches) {
            manifest.digests.sandboxes.extend(benches.digests());
            manifest.protection = benches.protection().cloned();
            manifest.isolation = args.host.backend.isolation();
        }
    }
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

/// What the stages of a course share.
struct Desk<'a> {
    args: &'a Args,
    run: &'a RunDir,
    device: &'a Device,
    output: Output,
    stop: &'a AtomicBool,
}

impl Desk<'_> {
    /// Where a stage's checkpoints lie: below its name where there are several stages.
    fn checkpoints(&self, stage: &Stage<'_>) -> PathBuf {
        let all = self.run.checkpoints();
        stage.subdirectory().map_or(all.clone(), |name| all.join(name))
    }

    /// Trains from the stage's last checkpoint, else from `before`, where the stage before it ended.
    fn train(
        &self,
        stage: &Stage<'_>,
        before: Option<&Path>,
    ) -> Result<(Outcome, checkpoint::Progress), Failure> {
        let Stage { recipe, name, inputs, ground } = stage;
        let judge = stage.judge(&self.args.host, self.output)?;
        let (data, held_out) = (DataSet::new(inputs.pairs()), DataSet::new(inputs.held_out()));
        let (config, dir) = (recipe.train_config(), self.checkpoints(stage));
        let saved = checkpoint::latest(&dir).map_err(Failure::host)?;
        let progress = saved.as_deref().map(checkpoint::progress).transpose().map_err(Failure::input)?;
        let mut events = self.events(stage, progress.as_ref())?;
        let student = inputs.student(recipe, saved.as_deref().or(before), self.device)?;
        let reference = match recipe.loss.kl {
            Kl::None => None,
            _ => Some(inputs.student(recipe, before, self.device)?),
        };
        let total = if let Budget::Steps(steps) = recipe.budget { Some(steps) } else { None };
        events.emit(&Event::PhaseStarted { phase: name.clone(), total }).map_err(Failure::host)?;
        if 0 < data.unreadable() {
            let text = format!("left out {} steps whose expert reply would be malformed", data.unreadable());
            events.emit(&Event::Note { text }).map_err(Failure::host)?;
        }
        let started = Instant::now();
        let data = if recipe.method == Method::Srl && 0 < recipe.select.samples {
            let path =
                stage.subdirectory().map_or(self.run.path().to_owned(), |name| self.run.path().join(name));
            let file = selection::File { path: path.join("profile.jsonl"), saved: saved.as_deref() };
            selection::selected(stage, &file, data, (&student, &*judge), &mut events)?
        } else {
            data
        };
        let mut training =
            Training::new(name, &config, &student, &mut events, self.stop).map_err(Failure::host)?;
        training.checkpoints = Some(&dir);
        training.reference = reference.as_ref();
        if 0 < recipe.validation.every {
            let validation = Validation::new(&recipe.validation, &config, &held_out, &student, &*judge);
            training.validation = Some(validation.context("nothing can be validated on").map_err(untrained)?);
        }
        if let (Some(saved), Some(progress)) = (&saved, progress) {
            training.adamw = checkpoint::adamw(saved, config.optimizer, &student).map_err(Failure::input)?;
            training.progress = progress;
        }
        training.pace = Pace::start(Some(peak(self.args, self.device)?));
        let method = recipe.reinforcement();
        let outcome = match (recipe.method, ground) {
            (Method::Sft, _) => sft::train(&config, sft::Target::Replies, &data, &mut training),
            (Method::Srl, _) => srl::train(&config, &method, &data, &*judge, &mut training),
            (Method::Rlvr, Some(ground)) => {
                let mut practice = ground.practice(recipe, &self.args.host, self.output)?;
                grpo::train(&config, &method, practice.as_mut(), &mut training)
            }
            (Method::Rlvr, None) => unreachable!("invariant: a stage that practises has a place to"),
        };
        let outcome = outcome.map_err(untrained)?;
        let progress = training.progress.clone();
        let ended = Event::PhaseEnded { phase: name.clone(), seconds: started.elapsed().as_secs_f64() };
        events.emit(&ended).map_err(Failure::host)?;
        Ok((outcome, progress))
    }

    /// The run's file without what is made again, the stage's file of TensorBoard, and the terminal.
    fn events(
        &self,
        stage: &Stage<'_>,
        saved: Option<&checkpoint::Progress>,
    ) -> Result<Tee<'static>, Failure> {
        inputs::forget_after(self.run, &stage.name, saved).map_err(Failure::host)?;
        let step = saved.map_or(0, |progress| progress.step);
        let file = self.run.events().map_err(run_failure)?;
        let tensorboard = self.run.tensorboard(stage.subdirectory(), step).map_err(run_failure)?;
        Ok(Tee::new().with(file).with(tensorboard).with(Progress::new(self.output)))
    }

    /// Says lines in the run's file and on the terminal.
    fn note(&self, lines: impl Iterator<Item = String>) -> Result<(), Failure> {
        let file = self.run.events().map_err(run_failure)?;
        let mut events = Tee::new().with(file).with(Progress::new(self.output));
        lines.map(|text| Event::Note { text }).try_for_each(|note| events.emit(&note)).map_err(Failure::host)
    }
}

/// Operations a second that the device does at most.
fn peak(args: &Args, device: &Device) -> Result<f64, Failure> {
    match args.peak_tflops {
        Some(tflops) if 0.0 < tflops => Ok(tflops * 1e12),
        Some(tflops) => Err(Failure::usage(anyhow!("`--peak-tflops {tflops}` must be more than 0"))),
        None => flops::measured_peak(device).map_err(Failure::host),
    }
}

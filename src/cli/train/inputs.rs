//! What a training reads: trajectories, their tasks, the student; and what a resumed run forgets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, anyhow, ensure};

use crate::chat::render_reply;
use crate::cli::failure::Failure;
use crate::event::Event;
use crate::fsio;
use crate::model::config::QwenConfig;
use crate::model::error::ModelError;
use crate::model::tokenizer::{ChatTokenizer, Pieces};
use crate::model::{Device, Student};
use crate::recipe::Recipe;
use crate::run::RunDir;
use crate::run::manifest::Digests;
use crate::task::{LoadedTask, Task};
use crate::task_dir;
use crate::train::checkpoint::Progress;
use crate::train::validation::{self, HeldOut};
use crate::trajectory::{FORMAT, Trajectory};

/// Standard deviation of a new student's weights: what widths around 100 need.
const STD: f64 = 0.08;
/// Tokens of a new student's tokenizer.
const VOCAB_SIZE: usize = 512;

/// Trajectories with their tasks.
pub(super) struct Inputs {
    trajectories: Vec<Trajectory>,
    held_out: Vec<Trajectory>,
    tasks: BTreeMap<String, LoadedTask>,
}

/// A student without its weights.
pub(super) struct Outline {
    pub(super) config: QwenConfig,
    pub(super) tokenizer: ChatTokenizer,
}

impl Inputs {
    pub(super) fn load(recipe: &Recipe) -> Result<Self, Failure> {
        let tasks = recipe.data.tasks.as_deref().expect("invariant: a recipe names its tasks");
        let tasks = task_dir::load_all(tasks).map_err(Failure::input)?;
        let mut trajectories = Vec::new();
        for path in &recipe.data.trajectories {
            trajectories.extend(read(path, &tasks)?);
        }
        let held_out = hold_out(recipe, &mut trajectories, &tasks)?;
        if trajectories.iter().all(|trajectory| trajectory.steps.is_empty()) {
            return Err(Failure::nothing(anyhow!("the trajectories have no steps to train on")));
        }
        Ok(Self { trajectories, held_out, tasks })
    }

    /// Each trajectory to learn from with its task.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Task, &Trajectory)> {
        self.with_tasks(&self.trajectories)
    }

    /// Each held-out trajectory with its task.
    pub(super) fn held_out(&self) -> impl Iterator<Item = (&Task, &Trajectory)> {
        self.with_tasks(&self.held_out)
    }

    fn with_tasks<'i>(
        &'i self,
        trajectories: &'i [Trajectory],
    ) -> impl Iterator<Item = (&'i Task, &'i Trajectory)> {
        trajectories.iter().map(|trajectory| (&self.tasks[&trajectory.task].task, trajectory))
    }

    pub(super) fn digests(&self, recipe: &Recipe) -> Result<Digests, Failure> {
        let mut digests = Digests::default();
        let held_out = match &recipe.validation.data {
            HeldOut::File(path) if 0 < recipe.validation.every => Some(path),
            _ => None,
        };
        for path in recipe.data.trajectories.iter().chain(held_out) {
            let digest = fsio::sha256_file(path).map_err(Failure::input)?;
            digests.data.insert(path.display().to_string(), digest);
        }
        for (_, trajectory) in self.pairs().chain(self.held_out()) {
            let task = self.tasks[&trajectory.task].task.to_yaml();
            digests.data.insert(format!("task {}", trajectory.task), fsio::sha256_hex(task.as_bytes()));
        }
        if let Some(dir) = &recipe.model.dir {
            let digest = fsio::sha256_dir(dir).map_err(Failure::input)?;
            digests.model.insert(dir.display().to_string(), digest);
        }
        if let Some(config) = &recipe.model.config {
            let digest = fsio::sha256_file(config).map_err(Failure::input)?;
            digests.model.insert(config.display().to_string(), digest);
        }
        Ok(digests)
    }

    /// The outline of the student of the last checkpoint, else of the recipe.
    pub(super) fn outline(&self, recipe: &Recipe, saved: Option<&Path>) -> Result<Outline, Failure> {
        let outline = match (saved.or(recipe.model.dir.as_deref()), &recipe.model.config) {
            (Some(dir), _) => QwenConfig::load(&dir.join("config.json")).and_then(|config| {
                let tokenizer = ChatTokenizer::load(dir)?;
                Ok(Outline { config, tokenizer })
            }),
            (None, Some(config)) => self.new_outline(recipe, config),
            (None, None) => unreachable!("invariant: a recipe says where its student comes from"),
        };
        outline.map_err(model_failure)
    }

    fn new_outline(&self, recipe: &Recipe, config: &Path) -> Result<Outline, ModelError> {
        let said = self.pairs().flat_map(|(task, trajectory)| {
            let observed = trajectory.steps.iter().filter_map(|step| step.observation.as_ref());
            let replies = trajectory.steps.iter().map(render_reply);
            std::iter::once(task.problem.clone()).chain(replies).chain(observed.map(|o| o.output.clone()))
        });
        let system = std::iter::once(recipe.prompt.system.clone());
        let vocab_size = recipe.model.vocab_size.unwrap_or(VOCAB_SIZE);
        let tokenizer = ChatTokenizer::train(system.chain(said), vocab_size, Pieces::Words)?;
        let config = QwenConfig::load(config)?.with_vocab_size(tokenizer.vocab_size());
        Ok(Outline { config, tokenizer })
    }
}

impl Outline {
    /// The student itself, with the weights of the last checkpoint, else of the recipe.
    pub(super) fn fill(
        self,
        recipe: &Recipe,
        saved: Option<&Path>,
        device: &Device,
    ) -> Result<Student, Failure> {
        let student = match saved.or(recipe.model.dir.as_deref()) {
            Some(dir) => Student::load(dir, device),
            None => {
                let std = recipe.model.std.unwrap_or(STD);
                Student::init(self.config, self.tokenizer, recipe.seed, std, device)
            }
        };
        student.map_err(model_failure)
    }
}

fn model_failure(error: ModelError) -> Failure {
    let hint = error.hint();
    let failure = Failure::input(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Takes the trajectories that are held out from those to learn from, or reads them from their own file.
fn hold_out(
    recipe: &Recipe,
    trajectories: &mut Vec<Trajectory>,
    tasks: &BTreeMap<String, LoadedTask>,
) -> Result<Vec<Trajectory>, Failure> {
    if recipe.validation.every == 0 {
        return Ok(Vec::new());
    }
    match &recipe.validation.data {
        HeldOut::File(path) => {
            let held_out = read(path, tasks)?;
            let known: BTreeSet<&str> =
                trajectories.iter().map(|trajectory| trajectory.id.as_str()).collect();
            match held_out.iter().find(|trajectory| known.contains(trajectory.id.as_str())) {
                None => Ok(held_out),
                Some(both) => {
                    let problem = anyhow!("trajectory `{}` is held out and learned from", both.id);
                    Err(Failure::usage(problem)
                        .with_hint("take it out of `data.trajectories` or of `validation.data.file`"))
                }
            }
        }
        HeldOut::Share(share) => {
            let known = trajectories.iter().map(|trajectory| trajectory.task.as_str()).collect();
            let chosen = validation::held_out(&known, *share, recipe.seed);
            let chosen: BTreeSet<String> = chosen.into_iter().map(str::to_owned).collect();
            if chosen.is_empty() {
                let problem =
                    anyhow!("a share of the tasks is to be held out, and the trajectories have only one");
                return Err(Failure::usage(problem).with_hint("name a file with `validation.data.file`"));
            }
            let (held_out, rest) =
                std::mem::take(trajectories).into_iter().partition(|one| chosen.contains(&one.task));
            *trajectories = rest;
            Ok(held_out)
        }
    }
}

fn read(path: &Path, tasks: &BTreeMap<String, LoadedTask>) -> Result<Vec<Trajectory>, Failure> {
    trajectories(path, tasks).map_err(|error| {
        let hint = "make it with `apprentice trajectory import`, and its tasks with `apprentice task import`";
        Failure::input(error).with_hint(hint)
    })
}

fn trajectories(path: &Path, tasks: &BTreeMap<String, LoadedTask>) -> anyhow::Result<Vec<Trajectory>> {
    let trajectories: Vec<Trajectory> = fsio::read_json_lines(path)?;
    for (index, trajectory) in trajectories.iter().enumerate() {
        let place = || format!("`{}`: trajectory {} (`{}`)", path.display(), index + 1, trajectory.id);
        ensure!(
            trajectory.format == FORMAT,
            "{} has format `{}`, not `{FORMAT}`",
            place(),
            trajectory.format
        );
        tasks
            .get(&trajectory.task)
            .with_context(|| format!("{} is about task `{}`, which is unknown", place(), trajectory.task))?;
    }
    Ok(trajectories)
}

/// Removes the events of updates beyond a checkpoint: a resumed run makes them again.
pub(super) fn forget_after(run: &RunDir, progress: Option<&Progress>) -> anyhow::Result<()> {
    let step = progress.map_or(0, |progress| progress.step);
    let validated = progress.and_then(|progress| progress.validation.at);
    let path = run.path().join("events.jsonl");
    if !path.exists() {
        return Ok(());
    }
    let text = fs_err::read_to_string(&path)?;
    let is_kept = |line: &&str| match serde_json::from_str::<Event>(line) {
        Ok(
            Event::StepTrained { step: at, .. }
            | Event::StepTimed { step: at, .. }
            | Event::StepSkipped { step: at, .. },
        ) => at < step,
        Ok(Event::CheckpointSaved { step: at, .. }) => at <= step,
        Ok(Event::Validated { step: at, .. }) => Some(at) <= validated,
        // A killed process may leave half a line.
        Err(_) => false,
        Ok(_) => true,
    };
    let kept: Vec<&str> = text.lines().filter(is_kept).collect();
    let mut text = kept.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    fsio::write_atomic(&path, text.as_bytes())
}

//! What a training reads: trajectories, their tasks, the student; and what a resumed run forgets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, anyhow, ensure};

use crate::chat::Shows;
use crate::cli::failure::Failure;
use crate::event::{Event, GroupSample};
use crate::fsio;
use crate::model::config::QwenConfig;
use crate::model::error::ModelError;
use crate::model::lora::Tuning;
use crate::model::merge::merge;
use crate::model::network::Network;
use crate::model::tokenizer::{ChatTokenizer, Pieces};
use crate::model::{Device, Student};
use crate::recipe::{Method, Recipe};
use crate::run::manifest::Digests;
use crate::run::{GROUPS, RunDir};
use crate::task::{Kind, LoadedTask, Task};
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
    /// Tasks as students were shown them, by what they were shown, where the scaffold shows more than the problem.
    opened: BTreeMap<String, Task>,
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
        if recipe.method != Method::Rlvr && trajectories.iter().all(|trajectory| trajectory.steps.is_empty())
        {
            return Err(Failure::nothing(anyhow!("the trajectories have no steps to train on")));
        }
        let mut opened = BTreeMap::new();
        if recipe.prompt.shows() != Shows::Nothing {
            for trajectory in trajectories.iter().chain(&held_out) {
                let problem = shown(recipe, trajectory)?;
                let task = Task { problem: problem.clone(), ..tasks[&trajectory.task].task.clone() };
                opened.insert(problem, task);
            }
        }
        Ok(Self { trajectories, held_out, tasks, opened })
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
        let opened = |trajectory: &Trajectory| self.opened.get(trajectory.problem.as_ref()?);
        let task = move |trajectory| opened(trajectory).unwrap_or(&self.tasks[&trajectory.task].task);
        trajectories.iter().map(move |trajectory| (task(trajectory), trajectory))
    }

    /// The tasks that a student works on by itself; all of one kind.
    pub(super) fn practised(&self) -> Result<(Kind, BTreeMap<String, LoadedTask>), Failure> {
        let mut kinds = self.tasks.values().map(|loaded| loaded.task.kind);
        let Some(kind) = kinds.next() else {
            return Err(Failure::nothing(anyhow!("`data.tasks` holds no task to work on")).with_hint(
                "import some with `apprentice task import`, or make some with `apprentice task synth`",
            ));
        };
        if kinds.any(|other| other != kind) {
            let failure = anyhow!("`data.tasks` holds tasks of code and of mathematics");
            return Err(Failure::usage(failure).with_hint("keep them in two directories, one for each stage"));
        }
        Ok((kind, self.tasks.clone()))
    }

    /// The tasks that the experts worked on, where their actions can be run.
    pub(super) fn expert_tasks(&self) -> Result<BTreeMap<String, LoadedTask>, Failure> {
        let used: BTreeSet<&str> = self.all().map(|trajectory| trajectory.task.as_str()).collect();
        let mut tasks = self.tasks.clone();
        tasks.retain(|id, _| used.contains(id.as_str()));
        match tasks.values().find(|loaded| loaded.task.kind != Kind::Code) {
            None => Ok(tasks),
            Some(math) => {
                let problem =
                    anyhow!("`reward` runs actions, and task `{}` has nothing to run", math.task.id);
                Err(Failure::usage(problem).with_hint("say `reward: {text: {}}`, or leave mathematics out"))
            }
        }
    }

    /// Each expert with its task, those that are held out included.
    pub(super) fn experts(&self) -> impl Iterator<Item = (&LoadedTask, &Trajectory)> {
        self.all().map(|trajectory| (&self.tasks[&trajectory.task], trajectory))
    }

    fn all(&self) -> impl Iterator<Item = &Trajectory> {
        self.trajectories.iter().chain(&self.held_out)
    }

    /// Adds what a training depends on.
    pub(super) fn digest(&self, recipe: &Recipe, digests: &mut Digests) -> Result<(), Failure> {
        let held_out = match &recipe.validation.data {
            HeldOut::File(path) if 0 < recipe.validation.every => Some(path),
            _ => None,
        };
        for path in recipe.data.trajectories.iter().chain(held_out) {
            let digest = fsio::sha256_file(path).map_err(Failure::input)?;
            digests.data.insert(path.display().to_string(), digest);
        }
        let learned =
            self.trajectories.iter().chain(&self.held_out).map(|trajectory| &self.tasks[&trajectory.task]);
        let practised = self.tasks.values().filter(|_| recipe.method == Method::Rlvr);
        for loaded in learned.chain(practised) {
            let digest = fsio::sha256_hex(loaded.task.to_yaml().as_bytes());
            digests.data.insert(format!("task {}", loaded.task.id), digest);
        }
        for dir in recipe.model.dir.iter().chain(&recipe.model.adapter) {
            let digest = fsio::sha256_dir(dir).map_err(Failure::input)?;
            digests.model.insert(dir.display().to_string(), digest);
        }
        if let Some(config) = &recipe.model.config {
            let digest = fsio::sha256_file(config).map_err(Failure::input)?;
            digests.model.insert(config.display().to_string(), digest);
        }
        Ok(())
    }

    /// The student of a checkpoint, else of the recipe, tuned as the recipe says.
    pub(super) fn student(
        &self,
        recipe: &Recipe,
        saved: Option<&Path>,
        device: &Device,
    ) -> Result<Student, Failure> {
        let student = match (&recipe.model.dir, saved, &recipe.model.config) {
            (Some(dir), ..) => tuned(recipe, dir, saved, device),
            (None, Some(saved), _) => Student::load(saved, device),
            (None, None, Some(config)) => self.new_outline(recipe, config).and_then(|outline| {
                let std = recipe.model.std.unwrap_or(STD);
                Student::init(outline.config, outline.tokenizer, recipe.seed, std, device)
            }),
            (None, None, None) => unreachable!("invariant: a recipe says where its student comes from"),
        };
        student.map(|student| student.with_activations(recipe.activations())).map_err(model_failure)
    }

    /// The outline of the recipe's student.
    pub(super) fn outline(&self, recipe: &Recipe) -> Result<Outline, Failure> {
        let outline = match (&recipe.model.dir, &recipe.model.config) {
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
            let replies = trajectory.steps.iter().map(|step| recipe.prompt.reply(step));
            std::iter::once(task.problem.clone()).chain(replies).chain(observed.map(|o| o.output.clone()))
        });
        // Who has no expert to learn words from has the problems.
        let problems = self.tasks.values().filter(|_| self.trajectories.is_empty());
        let said = said.chain(problems.map(|loaded| loaded.task.problem.clone()));
        let system = std::iter::once(recipe.prompt.told().to_owned());
        let vocab_size = recipe.model.vocab_size.unwrap_or(VOCAB_SIZE);
        let tokenizer = ChatTokenizer::train(system.chain(said), vocab_size, Pieces::Words)?;
        let config = QwenConfig::load(config)?.with_vocab_size(tokenizer.vocab_size());
        Ok(Outline { config, tokenizer })
    }
}

/// The student of a model directory, whose weights or adapter may have been saved since.
fn tuned(recipe: &Recipe, dir: &Path, saved: Option<&Path>, device: &Device) -> Result<Student, ModelError> {
    let (precision, adapter) = (recipe.model.precision, recipe.model.adapter.as_deref());
    let network = match &recipe.tuning {
        Tuning::Full => {
            let network = Network::load_as(saved.unwrap_or(dir), precision, device)?;
            match adapter.filter(|_| saved.is_none()) {
                Some(adapter) => merge(&network, adapter)?,
                None => network,
            }
        }
        Tuning::Lora(lora) => {
            let base = Network::load_frozen(dir, precision, device)?;
            match saved.or(adapter) {
                Some(adapter) => base.with_adapter_of(adapter, Some(lora))?,
                None => base.with_adapter(lora, recipe.seed)?,
            }
        }
    };
    Student::new(network, ChatTokenizer::load(saved.unwrap_or(dir))?)
}

fn model_failure(error: ModelError) -> Failure {
    let hint = error.hint();
    let failure = Failure::input(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// What the student of a trajectory was shown.
///
/// # Errors
/// When the record does not say it.
fn shown(recipe: &Recipe, trajectory: &Trajectory) -> Result<String, Failure> {
    trajectory.problem.clone().ok_or_else(|| {
        let name = &recipe.prompt.name;
        let problem = anyhow!("trajectory `{}` does not say what `{name}` shows its student", trajectory.id);
        Failure::input(problem).with_hint(format!("make it with `apprentice rollout --scaffold {name}`"))
    })
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

/// Removes what was said of a phase's updates beyond a checkpoint: a resumed run says it again.
pub(super) fn forget_after(run: &RunDir, phase: &str, progress: Option<&Progress>) -> anyhow::Result<()> {
    let step = progress.map_or(0, |progress| progress.step);
    let validated = progress.and_then(|progress| progress.validation.at);
    retain(&run.path().join("events.jsonl"), |line| match serde_json::from_str::<Event>(line) {
        Ok(
            Event::StepTrained { phase: of, step: at, .. }
            | Event::StepTimed { phase: of, step: at, .. }
            | Event::StepSkipped { phase: of, step: at, .. },
        ) => of != phase || at < step,
        Ok(Event::CheckpointSaved { phase: of, step: at, .. }) => of != phase || at <= step,
        Ok(Event::Validated { phase: of, step: at, .. }) => of != phase || Some(at) <= validated,
        // A killed process may leave half a line.
        Err(_) => false,
        Ok(_) => true,
    })?;
    retain(&run.path().join(GROUPS), |line| {
        serde_json::from_str::<GroupSample>(line)
            .is_ok_and(|sample| sample.phase != phase || sample.step < step)
    })
}

/// Removes the lines of a file that are not to be kept; does nothing where there is no file.
fn retain(path: &Path, is_kept: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let text = fs_err::read_to_string(path)?;
    let kept: Vec<&str> = text.lines().filter(|line| is_kept(line)).collect();
    let mut text = kept.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    fsio::write_atomic(path, text.as_bytes())
}

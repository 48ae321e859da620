//! Recipes (`recipes/*.yaml`, `apprentice.recipe/1`): everything that decides what a training gives.
//!
//! Guarantees that an unknown key is an error that names the key, its line and the nearest known one, and that a
//! resolved recipe says everything: defaults, file and `--set` in one. Reads no data: `cli::train` does.

mod course;
mod fault;
mod resolve;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::chat::{MathScaffold, Scaffold};
use crate::model::lora::Tuning;
use crate::model::network::Activations;
use crate::model::precision::Precision;
use crate::reward::TextReward;
use crate::reward::effect::{EffectReward, MixReward};
use crate::solve::Manner;
use crate::train::adamw::AdamWConfig;
use crate::train::loss::Loss;
use crate::train::profile::Selection;
use crate::train::reinforce::{Groups, Reinforcement};
use crate::train::schedule::{Schedule, Shape};
use crate::train::validation::ValidationConfig;
use crate::train::{BatchConfig, Budget, Limits, TrainConfig, batch::Average};

pub use course::Course;
pub use resolve::RecipeError;

/// Name and version in the first field of every recipe.
pub const FORMAT: &str = "apprentice.recipe/1";

/// A training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Always [`FORMAT`].
    pub format: String,
    /// How the student learns.
    pub method: Method,
    /// Where the student comes from.
    pub model: ModelSource,
    /// What of it is trained.
    pub tuning: Tuning,
    /// Whether layers run forward once more on the way back, instead of keeping what they computed.
    pub recompute: bool,
    /// What it learns from.
    pub data: DataSource,
    /// Every random choice derives from it.
    pub seed: u64,
    /// When the training ends.
    pub budget: Budget,
    /// What an update learns from.
    pub batch: BatchConfig,
    /// The optimizer.
    pub optimizer: AdamWConfig,
    /// The learning rate.
    pub schedule: Schedule,
    /// Longer gradients are scaled down to this norm.
    pub max_grad_norm: f64,
    /// What the student is told, and how much of the history it sees.
    pub prompt: Scaffold,
    /// What it is told where the task is mathematics, and whether it is told the title of the step.
    pub math: MathScaffold,
    /// How long texts may be, in tokens.
    pub limits: Limits,
    /// Sampling and groups (SRL).
    pub srl: Groups,
    /// Sampling and groups (RLVR).
    pub rlvr: Rlvr,
    /// What an update minimises (SRL, RLVR).
    pub loss: Loss,
    /// Which steps are practised on, judged once before the training (SRL).
    #[serde(default)]
    pub select: Selection,
    /// What a reply is worth (SRL).
    pub reward: RewardSource,
    /// What the student is measured on while it learns.
    #[serde(default)]
    pub validation: ValidationConfig,
    /// Updates between two checkpoints; 0 saves at the end only.
    pub save_every: u64,
}

/// How a student learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// It learns to say what the expert said.
    Sft,
    /// It is rewarded for acting as the expert did.
    Srl,
    /// It is rewarded for resolving tasks by itself.
    Rlvr,
}

/// How a student works on whole tasks (RLVR). A key that is not known was refused before it is read here.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rlvr {
    /// Sampling and groups, of episodes.
    #[serde(flatten)]
    pub groups: Groups,
    /// Actions of an episode.
    pub steps: usize,
    /// How problems of mathematics are solved.
    #[serde(default)]
    pub solve: Solving,
}

/// How a student that practises solves a problem of mathematics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solving {
    /// In one reply to the question that `eval` puts.
    #[default]
    Whole,
    /// Step after step, each a reply to what SRL shows.
    Steps,
}

impl Default for Rlvr {
    fn default() -> Self {
        // Rewards are 0 or 1, so a group teaches unless all are alike.
        let groups = Groups { min_spread: 0.0, ..Groups::default() };
        Self { groups, steps: 50, solve: Solving::default() }
    }
}

impl Method {
    /// Its name in recipes and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::Srl => "srl",
            Self::Rlvr => "rlvr",
        }
    }
}

/// Where a student comes from: `dir` alone, or `config` with what a new one needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSource {
    /// A model directory in Hugging Face layout.
    pub dir: Option<PathBuf>,
    /// How its weights are kept; blocks are for a base of adapters.
    pub precision: Precision,
    /// An adapter (PEFT layout) to go on from: `lora` trains it on, `full` merges it first.
    pub adapter: Option<PathBuf>,
    /// A `config.json`: a new student of this shape, with random weights.
    pub config: Option<PathBuf>,
    /// Standard deviation of a new student's weights.
    pub std: Option<f64>,
    /// Tokens of a new student's tokenizer, which is trained on the data.
    pub vocab_size: Option<usize>,
}

/// What a student learns from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataSource {
    /// Trajectories, `apprentice.trajectory/1`, one a line.
    pub trajectories: Vec<PathBuf>,
    /// The directory of their tasks.
    pub tasks: Option<PathBuf>,
}

/// What a reply is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardSource {
    /// The similarity of the actions' texts.
    Text(TextReward),
    /// The similarity of what the actions do, each run in a sandbox.
    Effect(EffectReward),
    /// Both.
    Mix(MixReward),
}

impl Recipe {
    /// The defaults of a method: the paper's where it states them, else the blueprint's of this project.
    pub fn defaults(method: Method) -> Self {
        let (size, average, budget, schedule) = match method {
            Method::Sft => {
                let schedule = Schedule { rate: 5e-6, shape: Shape::Cosine, warm_up: 0.3 };
                (64, Average::Tokens, Budget::Epochs(3.0), schedule)
            }
            Method::Srl => (512, Average::Sequences, Budget::Epochs(30.0), Schedule::default()),
            Method::Rlvr => (128, Average::Sequences, Budget::Epochs(30.0), Schedule::default()),
        };
        Self {
            format: FORMAT.to_owned(),
            method,
            model: ModelSource::default(),
            tuning: Tuning::default(),
            recompute: false,
            data: DataSource::default(),
            seed: 0,
            budget,
            batch: BatchConfig { size, average, ..BatchConfig::default() },
            optimizer: AdamWConfig::default(),
            schedule,
            max_grad_norm: 1.0,
            prompt: Scaffold::default(),
            math: MathScaffold::default(),
            limits: Limits::default(),
            srl: Groups::default(),
            rlvr: Rlvr::default(),
            loss: Loss::default(),
            select: Selection::default(),
            reward: RewardSource::Text(TextReward::default()),
            validation: ValidationConfig::default(),
            save_every: 50,
        }
    }

    /// What the forward pass keeps.
    pub fn activations(&self) -> Activations {
        if self.recompute { Activations::Recomputed } else { Activations::Kept }
    }

    /// What a method from rewards needs of it beyond [`Self::train_config`].
    pub fn reinforcement(&self) -> Reinforcement {
        let groups = if self.method == Method::Rlvr { self.rlvr.groups } else { self.srl };
        Reinforcement { groups, loss: self.loss }
    }

    /// How a student that practises solves problems of mathematics.
    pub fn manner(&self) -> Manner {
        match self.rlvr.solve {
            Solving::Whole => Manner::Whole,
            Solving::Steps => Manner::Steps { scaffold: self.scaffold(), limit: self.rlvr.steps },
        }
    }

    /// What the student is told, of code and of mathematics.
    fn scaffold(&self) -> Scaffold {
        Scaffold { math: self.math.clone(), ..self.prompt.clone() }
    }

    /// What the trainers need of it.
    pub fn train_config(&self) -> TrainConfig {
        TrainConfig {
            seed: self.seed,
            budget: self.budget,
            batch: self.batch,
            optimizer: self.optimizer,
            schedule: self.schedule,
            max_grad_norm: self.max_grad_norm,
            scaffold: self.scaffold(),
            limits: self.limits,
            save_every: self.save_every,
        }
    }
}

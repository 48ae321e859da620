//! What quickstart does, as numbers: `recipes/quickstart.yaml`, read into types.
//!
//! Every number was chosen on training tasks only; none depends on the held-out ones.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::chat::Scaffold;
use crate::model::config::QwenConfig;
use crate::model::tokenizer::Pieces;
use crate::synth::Style;
use crate::train::adamw::AdamWConfig;
use crate::train::batch::Average;
use crate::train::data::Order;
use crate::train::reinforce::Groups;
use crate::train::schedule::{Schedule, Shape};
use crate::train::{BatchConfig, Budget, Limits, TrainConfig};

/// The embedded plan.
pub const DEFAULT: &str = include_str!("../../recipes/quickstart.yaml");

/// Name and version in the first field of the plan.
pub const FORMAT: &str = "apprentice.quickstart-plan/1";

/// What quickstart does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Always [`FORMAT`].
    pub format: String,
    /// Which tasks.
    pub tasks: TaskPlan,
    /// How hard the problems are and how experts go about them.
    pub experts: Style,
    /// Which student.
    pub model: ModelPlan,
    /// How the student comes to its first abilities.
    pub base: MethodPlan,
    /// How the base goes on by imitation, with the compute that SRL used.
    pub sft: MethodPlan,
    /// How the base goes on by SRL.
    pub srl: MethodPlan,
    /// Replies to each step.
    pub groups: Groups,
    /// How the student is measured.
    pub measure: MeasurePlan,
}

/// Which tasks are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskPlan {
    /// Embedded repositories that bugs are planted in.
    pub repositories: usize,
    /// Tasks to train on, at most.
    pub train: usize,
    /// Tasks to measure on, never trained on.
    pub held_out: usize,
    /// Hasty attempts that the base imitates beside each expert.
    pub hasty: usize,
    /// Measure on tasks taken from the training side instead: this is how the numbers of the plan were chosen.
    pub rehearse: bool,
}

/// Which student is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPlan {
    /// Tokens of the vocabulary, special ones included.
    pub vocabulary: usize,
    /// What no token reaches across.
    pub pieces: Pieces,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of the gated layer.
    pub intermediate: usize,
    /// Standard deviation of the first weights.
    pub std: f64,
}

/// How the student learns in one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodPlan {
    /// When it ends.
    pub budget: Budget,
    /// Examples (SFT) or groups (SRL) of an update.
    pub batch: usize,
    /// What the loss averages over.
    pub average: Average,
    /// The highest learning rate.
    pub rate: f64,
    /// How the rate changes.
    pub shape: Shape,
    /// Share of the budget in which the rate rises.
    pub warm_up: f64,
}

/// How the student is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasurePlan {
    /// 0 takes the most probable token.
    pub temperature: f64,
    /// Actions of an episode.
    pub steps: usize,
    /// Tokens of a reply.
    pub reply_tokens: usize,
    /// Tokens of a conversation.
    pub context_tokens: usize,
}

impl Plan {
    /// The embedded plan with `changes`, each `key.key=value`.
    ///
    /// # Errors
    /// When a key does not exist or a value does not fit.
    pub fn load(changes: &[String]) -> anyhow::Result<Self> {
        let mut plan: serde_json::Value = serde_yaml_ng::from_str(DEFAULT)?;
        for change in changes {
            let (key, value) =
                change.split_once('=').with_context(|| format!("`{change}` is not KEY=VALUE"))?;
            let value: serde_json::Value = serde_yaml_ng::from_str(value)?;
            let place = plan.pointer_mut(&format!("/{}", key.replace('.', "/")));
            *place.with_context(|| format!("the plan has no key `{key}`"))? = value;
        }
        Ok(serde_json::from_value(plan)?)
    }

    /// What the student is told, in training as in rollouts.
    pub fn scaffold(&self) -> Scaffold {
        Scaffold {
            system: "Repair the repository: think, then give one command.".to_owned(),
            ..Scaffold::default()
        }
    }

    /// The student's shape.
    pub fn config(&self, vocabulary: usize) -> QwenConfig {
        let model = &self.model;
        let config = json!({
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "hidden_act": "silu",
            "vocab_size": vocabulary,
            "hidden_size": model.hidden,
            "intermediate_size": model.intermediate,
            "num_hidden_layers": model.layers,
            "num_attention_heads": model.heads,
            "num_key_value_heads": model.kv_heads,
            "max_position_embeddings": self.measure.context_tokens,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10_000.0,
            "tie_word_embeddings": true,
            "torch_dtype": "float32",
        });
        QwenConfig::from_json(config).expect("invariant: the plan states a model that is implemented")
    }

    /// A phase as the trainers take it.
    pub fn training(&self, method: &MethodPlan, seed: u64) -> TrainConfig {
        TrainConfig {
            seed,
            budget: method.budget,
            batch: BatchConfig {
                size: method.batch,
                order: Order::Trajectories,
                micro_batch_tokens: 16_384,
                average: method.average,
                passes: 1,
            },
            optimizer: AdamWConfig { beta2: 0.95, weight_decay: 0.0, ..AdamWConfig::default() },
            schedule: Schedule { rate: method.rate, shape: method.shape, warm_up: method.warm_up },
            max_grad_norm: 1.0,
            scaffold: self.scaffold(),
            limits: Limits { context: self.measure.context_tokens, reply: self.measure.reply_tokens },
            save_every: 0,
        }
    }
}

//! What the plans of all domains say: numbers, read from `recipes/quickstart*.yaml` into types.
//!
//! Every number was chosen on training tasks only; none depends on the held-out ones.

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::chat::Scaffold;
use crate::model::SampleOptions;
use crate::model::config::QwenConfig;
use crate::model::tokenizer::{ChatTokenizer, Pieces};
use crate::model::{Student, cpu};
use crate::train::adamw::AdamWConfig;
use crate::train::batch::Average;
use crate::train::data::Order;
use crate::train::schedule::{Schedule, Shape};
use crate::train::{BatchConfig, Budget, Limits, TrainConfig};

/// Name and version in the first field of a plan.
pub const FORMAT: &str = "apprentice.quickstart-plan/1";

/// Reads the plan `default` with `changes`, each `key.key=value`.
///
/// # Errors
/// When a key does not exist or a value does not fit.
pub(super) fn load<Plan: DeserializeOwned>(default: &str, changes: &[String]) -> anyhow::Result<Plan> {
    let mut plan: serde_json::Value = serde_yaml_ng::from_str(default)?;
    for change in changes {
        let (key, value) = change.split_once('=').with_context(|| format!("`{change}` is not KEY=VALUE"))?;
        let value: serde_json::Value = serde_yaml_ng::from_str(value)?;
        let place = plan.pointer_mut(&format!("/{}", key.replace('.', "/")));
        *place.with_context(|| format!("the plan has no key `{key}`"))? = value;
    }
    Ok(serde_json::from_value(plan)?)
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
    /// Examples (SFT) or groups (SRL, RLVR) of an update.
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

impl ModelPlan {
    /// A student of this shape that knows nothing but the words of `texts`.
    pub(super) fn fresh(
        &self,
        texts: impl Iterator<Item = String>,
        context_tokens: usize,
        seed: u64,
    ) -> anyhow::Result<Student> {
        let tokenizer = ChatTokenizer::train(texts, self.vocabulary, self.pieces)?;
        let config = self.config(tokenizer.vocab_size(), context_tokens);
        Ok(Student::init(config, tokenizer, seed, self.std, &cpu())?)
    }

    fn config(&self, vocabulary: usize, context_tokens: usize) -> QwenConfig {
        let config = json!({
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "hidden_act": "silu",
            "vocab_size": vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "max_position_embeddings": context_tokens,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10_000.0,
            "tie_word_embeddings": true,
            "torch_dtype": "float32",
        });
        QwenConfig::from_json(config).expect("invariant: the plan states a model that is implemented")
    }
}

impl MethodPlan {
    /// The phase as the trainers take it.
    pub(super) fn training(&self, scaffold: Scaffold, limits: Limits, seed: u64) -> TrainConfig {
        TrainConfig {
            seed,
            budget: self.budget,
            batch: BatchConfig {
                size: self.batch,
                order: Order::Trajectories,
                micro_batch_tokens: 16_384,
                average: self.average,
                passes: 1,
            },
            optimizer: AdamWConfig { beta2: 0.95, weight_decay: 0.0, ..AdamWConfig::default() },
            schedule: Schedule { rate: self.rate, shape: self.shape, warm_up: self.warm_up },
            max_grad_norm: 1.0,
            scaffold,
            limits,
            save_every: 200,
        }
    }
}

impl MeasurePlan {
    /// How long texts may be.
    pub(super) fn limits(&self) -> Limits {
        Limits { context: self.context_tokens, reply: self.reply_tokens }
    }

    /// How replies are drawn.
    pub(super) fn sampling(&self) -> SampleOptions {
        SampleOptions {
            temperature: self.temperature,
            top_p: 1.0,
            max_new_tokens: self.reply_tokens,
            ..SampleOptions::default()
        }
    }
}

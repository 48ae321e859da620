//! What of a model is trained: everything, or low-rank adapters (LoRA, arXiv 2106.09685) on some of its matrices.
//!
//! An adapted matrix is W + scale · B A. Guarantees the start of PEFT 0.21: A uniform within 1/√inputs, B zero, so that the network begins
//! as its base. Deliberately absent: dropout, under which sequences that share a prefix would no longer share their rows, and a sampled
//! reply no longer have the log-probabilities that the loss recomputes.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use rand::RngCore;
use serde::{Deserialize, Serialize};

use super::config::QwenConfig;
use super::precision::is_matrix_of_layer;
use crate::seed;

/// What of a model is trained.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tuning {
    /// Every parameter.
    #[default]
    Full,
    /// Adapters on matrices that stay as they are.
    Lora(LoraConfig),
}

/// What adapters look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// Rows of A and columns of B.
    pub rank: usize,
    /// The product B A is multiplied with `alpha / rank`.
    pub alpha: f64,
    /// Which matrices of each layer have adapters.
    pub targets: Vec<Target>,
    /// Multiplies with `alpha / √rank` instead (arXiv 2312.03732).
    pub rslora: bool,
}

/// A matrix of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Queries.
    QProj,
    /// Keys.
    KProj,
    /// Values.
    VProj,
    /// What attention gives.
    OProj,
    /// Gates.
    GateProj,
    /// Values behind gates.
    UpProj,
    /// What the gated layer gives.
    DownProj,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::QProj, Self::KProj, Self::VProj, Self::OProj, Self::GateProj, Self::UpProj, Self::DownProj];

    /// Its name in parameters and in `target_modules`.
    pub fn name(self) -> &'static str {
        match self {
            Self::QProj => "q_proj",
            Self::KProj => "k_proj",
            Self::VProj => "v_proj",
            Self::OProj => "o_proj",
            Self::GateProj => "gate_proj",
            Self::UpProj => "up_proj",
            Self::DownProj => "down_proj",
        }
    }
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 16, alpha: 32.0, targets: Target::ALL.to_vec(), rslora: false }
    }
}

impl LoraConfig {
    /// What the product B A is multiplied with.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    /// The names of a parameter's A and B, if it has them.
    pub(crate) fn factors(&self, parameter: &str) -> Option<[String; 2]> {
        let stem = parameter.strip_suffix(".weight").filter(|_| is_matrix_of_layer(parameter))?;
        let module = stem.rsplit('.').next()?;
        let is_target = self.targets.iter().any(|target| target.name() == module);
        is_target.then(|| ["lora_A", "lora_B"].map(|factor| format!("{stem}.{factor}.weight")))
    }

    /// The name and shape of every factor.
    pub(crate) fn shapes(&self, config: &QwenConfig) -> Vec<(String, Vec<usize>)> {
        let of = |(name, shape): (String, Vec<usize>)| {
            let [a, b] = self.factors(&name)?;
            Some([(a, vec![self.rank, shape[1]]), (b, vec![shape[0], self.rank])])
        };
        config.shapes().into_iter().filter_map(of).flatten().collect()
    }

    /// Factors at their start.
    pub(crate) fn init(
        &self,
        config: &QwenConfig,
        seed: u64,
        device: &Device,
    ) -> candle_core::Result<BTreeMap<String, Var>> {
        let mut vars = BTreeMap::new();
        for (name, shape) in self.shapes(config) {
            let count = shape.iter().product();
            let values = if name.ends_with("lora_A.weight") {
                uniform(&name, seed, (shape[1] as f32).sqrt().recip(), count)
            } else {
                vec![0.0; count]
            };
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?.to_device(device)?;
            vars.insert(name, Var::from_tensor(&tensor)?);
        }
        Ok(vars)
    }
}

/// Uniform numbers from −bound to bound: PEFT draws A by Kaiming's rule with a = √5, whose bound is 1/√inputs.
fn uniform(name: &str, seed: u64, bound: f32, count: usize) -> Vec<f32> {
    let mut rng = seed::rng(seed, name, &[]);
    // 24 bits are what an f32 holds exactly.
    (0..count).map(|_| ((rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0) * bound).collect()
}

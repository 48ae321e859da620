//! A network: parameters under their Hugging Face names, on one device, and what can be asked of them.
//!
//! Guarantees that the same seed gives the same parameters on every machine. Knows nothing of text:
//! [`Student`](super::Student) adds the tokenizer.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use rand::RngCore;

use super::config::QwenConfig;
use super::error::ModelError;
use super::tree::Packed;
use super::{fused, plain, weights};
use crate::seed;

/// A Qwen2 or Qwen3 network that can be trained.
#[derive(Debug, Clone)]
pub struct Network {
    config: QwenConfig,
    vars: BTreeMap<String, Var>,
    device: Device,
}

impl Network {
    /// Reads a model directory in Hugging Face layout.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit `config.json`.
    pub fn load(dir: &Path, device: &Device) -> Result<Network, ModelError> {
        let config = QwenConfig::load(&dir.join("config.json"))?;
        let tensors = weights::load(dir, &config)?;
        Self::from_tensors(config, tensors, device)
    }

    /// A network with normally distributed weights, zero biases and norms of one.
    ///
    /// A standard deviation near `0.8 / sqrt(hidden_size)` learns well; Hugging Face's 0.02 is far
    /// too small for narrow models.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn init(config: QwenConfig, seed: u64, std: f64, device: &Device) -> Result<Network, ModelError> {
        let mut tensors = BTreeMap::new();
        for (name, shape) in config.shapes() {
            let count = shape.iter().product();
            let values = match name.rsplit_once('.') {
                Some((_, "bias")) => vec![0.0; count],
                _ if name.ends_with("norm.weight") => vec![1.0; count],
                _ => normal(&name, seed, std, count),
            };
            tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
        }
        Self::from_tensors(config, tensors, device)
    }

    pub(crate) fn from_tensors(
        config: QwenConfig,
        tensors: BTreeMap<String, Tensor>,
        device: &Device,
    ) -> Result<Network, ModelError> {
        let mut vars = BTreeMap::new();
        for (name, tensor) in tensors {
            vars.insert(name, Var::from_tensor(&tensor.to_device(device)?)?);
        }
        Ok(Network { config, vars, device: device.clone() })
    }

    /// Writes `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        fs_err::create_dir_all(dir)?;
        let config = serde_json::to_string_pretty(self.config.to_json()).expect("invariant: a value is JSON");
        fs_err::write(dir.join("config.json"), config + "\n")?;
        weights::save(dir, self.vars.iter().map(|(name, var)| (name, var.as_tensor())))
    }

    /// The shape.
    pub fn config(&self) -> &QwenConfig {
        &self.config
    }

    pub(crate) fn set_config(&mut self, config: QwenConfig) {
        self.config = config;
    }

    /// A copy on another device.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn to_device(&self, device: &Device) -> Result<Network, ModelError> {
        let tensors = self.vars.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor()));
        Self::from_tensors(self.config.clone(), tensors.collect(), device)
    }

    /// The device that holds the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The parameters by their Hugging Face names; a tied head has no entry.
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    /// The natural-log probability of `targets[i]` after row `rows[i]`, shape `(rows,)`, with graph.
    ///
    /// # Errors
    /// When a token is out of range, a sequence is too long, or the device fails.
    pub fn logprobs(
        &self,
        packed: &Packed,
        rows: &[u32],
        targets: &[u32],
        temperature: f64,
    ) -> Result<Tensor, ModelError> {
        self.check(packed, targets)?;
        let logprobs = if self.device.is_cpu() { fused::graph::logprobs } else { plain::logprobs };
        Ok(logprobs(self, packed, rows, targets, temperature)?)
    }

    /// The logits after each row, shape `(rows, vocab)`, without graph.
    ///
    /// # Errors
    /// As [`Network::logprobs`].
    pub fn logits(&self, packed: &Packed, rows: &[u32]) -> Result<Tensor, ModelError> {
        self.check(packed, &[])?;
        let logits = if self.device.is_cpu() { fused::graph::logits } else { plain::logits };
        Ok(logits(self, packed, rows)?.detach())
    }

    /// Checks that the network has an embedding for each token of a sequence and a position for its last.
    ///
    /// # Errors
    /// [`ModelError::Token`] or [`ModelError::TooLong`].
    pub fn check_tokens(&self, tokens: &[u32]) -> Result<(), ModelError> {
        self.check(&Packed::new([tokens]), &[])
    }

    /// Refuses what would otherwise read outside the embedding or the rotary table.
    pub(crate) fn check(&self, packed: &Packed, targets: &[u32]) -> Result<(), ModelError> {
        let vocab_size = self.config.vocab_size;
        if let Some(&token) =
            packed.tokens().iter().chain(targets).find(|&&token| token as usize >= vocab_size)
        {
            return Err(ModelError::Token { token, vocab_size });
        }
        let length = packed.positions().iter().max().map_or(0, |&last| last as usize + 1);
        if length > self.config.max_positions {
            return Err(ModelError::TooLong { length, limit: self.config.max_positions });
        }
        Ok(())
    }
}

/// Normal numbers from sums of twelve uniform ones: exact in integers, so no library's rounding moves them.
fn normal(name: &str, seed: u64, std: f64, count: usize) -> Vec<f32> {
    let mut rng = seed::rng(seed, name, &[]);
    let mut sum_of_four = || {
        let bits = rng.next_u64();
        (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48)
    };
    let mut draw = || (sum_of_four() + sum_of_four() + sum_of_four()) as f64;
    // Twelve uniform numbers of 0..65536 have mean 12 · 32767.5 and standard deviation 65536.
    (0..count).map(|_| ((draw() - 393_210.0) / 65_536.0 * std) as f32).collect()
}

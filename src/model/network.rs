//! A network: parameters under their Hugging Face names, on one device, and what can be asked of them.
//!
//! Guarantees that the same seed gives the same parameters on every machine. Knows nothing of text:
//! [`Student`](super::Student) adds the tokenizer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use rand::RngCore;

use super::adapter::{self, Adapter};
use super::config::QwenConfig;
use super::error::ModelError;
use super::lora::LoraConfig;
use super::precision::{Frozen, Precision};
use super::tree::Packed;
use super::weights::{Loaded, SHARD_BYTES};
use super::{fused, plain, weights};
use crate::seed;

/// A Qwen2 or Qwen3 network that can be trained.
#[derive(Debug, Clone)]
pub struct Network {
    config: QwenConfig,
    /// What is trained: every parameter, or the factors of an adapter.
    vars: BTreeMap<String, Var>,
    /// What is not.
    frozen: BTreeMap<String, Frozen>,
    adapter: Option<LoraConfig>,
    /// Where the frozen part was read from.
    base: Option<PathBuf>,
    activations: Activations,
    device: Device,
}

/// What the forward pass keeps for the backward pass, on a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activations {
    /// What fits 2 GiB; beyond, as [`Activations::Recomputed`].
    #[default]
    Kept,
    /// Each layer's input alone; layers run forward once more on the way back. Gradients have the same bits.
    Recomputed,
}

impl Network {
    /// Reads a model directory in Hugging Face layout, to train every parameter, or an adapter's with the base that it names, to train the
    /// adapter; in f32.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit `config.json`.
    pub fn load(dir: &Path, device: &Device) -> Result<Network, ModelError> {
        match adapter::base(dir)? {
            None => Self::load_as(dir, Precision::F32, device),
            Some(base) => Self::load_frozen(&base, Precision::F32, device)?.with_adapter_of(dir, None),
        }
    }

    /// Reads a model directory whose weights are kept as f32 or bf16, to train every parameter.
    ///
    /// # Errors
    /// As [`Network::load`].
    ///
    /// # Panics
    /// When the precision is one of blocks, which cannot be trained.
    pub fn load_as(dir: &Path, precision: Precision, device: &Device) -> Result<Network, ModelError> {
        assert!(!precision.is_blocks(), "invariant: only frozen weights are kept in blocks");
        let config = QwenConfig::load(&dir.join("config.json"))?;
        let tensors = weights::load(dir, &config, |_, loaded| loaded.tensor()?.to_dtype(precision.dense()))?;
        Self::from_tensors(config, tensors, device)
    }

    /// Reads a model directory of which nothing will be trained, for an adapter to stand on. A GGUF file's own blocks stay as they are
    /// where `precision` is one of blocks.
    ///
    /// # Errors
    /// As [`Network::load`], and when a matrix cannot be cut into blocks.
    pub fn load_frozen(dir: &Path, precision: Precision, device: &Device) -> Result<Network, ModelError> {
        let config = QwenConfig::load(&dir.join("config.json"))?;
        let frozen = weights::load(dir, &config, |name, loaded| match loaded {
            Loaded::Blocks(blocks) => Frozen::of_blocks(name, blocks, precision, device),
            Loaded::Dense(_) => Frozen::new(name, &loaded.tensor()?, precision, device),
        })?;
        let base = fs_err::canonicalize(dir)?;
        Ok(Network { frozen, base: Some(base), ..Self::of(config, BTreeMap::new(), device) })
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
        Ok(Self::of(config, vars, device))
    }

    fn of(config: QwenConfig, vars: BTreeMap<String, Var>, device: &Device) -> Self {
        Self {
            config,
            vars,
            frozen: BTreeMap::new(),
            adapter: None,
            base: None,
            activations: Activations::default(),
            device: device.clone(),
        }
    }

    /// The network with all that it has frozen, kept with this precision.
    ///
    /// # Errors
    /// When a matrix cannot be cut into blocks.
    pub fn freeze(mut self, precision: Precision) -> Result<Network, ModelError> {
        for (name, var) in std::mem::take(&mut self.vars) {
            let frozen = Frozen::new(&name, &var.as_detached_tensor(), precision, &self.device);
            let problem =
                |e: candle_core::Error| ModelError::Blocks { name: name.clone(), problem: e.to_string() };
            self.frozen.insert(name.clone(), frozen.map_err(problem)?);
        }
        Ok(self)
    }

    /// A frozen network with a new adapter to train, under which it computes what it did.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn with_adapter(mut self, lora: &LoraConfig, seed: u64) -> Result<Network, ModelError> {
        assert!(self.vars.is_empty(), "invariant: what an adapter stands on is frozen");
        self.vars = lora.init(&self.config, seed, &self.device)?;
        self.adapter = Some(lora.clone());
        Ok(self)
    }

    /// A frozen network with the adapter of `dir`, to train on or to ask; it must be `wanted` where that is given.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the adapter does not fit the network or is another one.
    pub fn with_adapter_of(mut self, dir: &Path, wanted: Option<&LoraConfig>) -> Result<Network, ModelError> {
        assert!(self.vars.is_empty(), "invariant: what an adapter stands on is frozen");
        let adapter = Adapter::load(dir)?;
        if let Some(wanted) = wanted {
            adapter.check_is(wanted)?;
        }
        self.adapter = Some(adapter.lora.clone());
        self.vars = adapter.into_vars(&self.config, &self.device)?;
        Ok(self)
    }

    /// Writes what is trained: `config.json` and the weights, in shards of at most 5 GB, or an adapter in PEFT's layout.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        if let Some(lora) = &self.adapter {
            return adapter::save(dir, lora, self.base.as_deref(), &self.vars);
        }
        self.save_sharded(dir, SHARD_BYTES)
    }

    /// Writes `config.json` and the weights in shards of at most `shard_bytes`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save_sharded(&self, dir: &Path, shard_bytes: usize) -> Result<(), ModelError> {
        fs_err::create_dir_all(dir)?;
        let config = serde_json::to_string_pretty(self.config.to_json()).expect("invariant: a value is JSON");
        fs_err::write(dir.join("config.json"), config + "\n")?;
        weights::save(dir, self.vars.iter().map(|(name, var)| (name, var.as_tensor())), shard_bytes)
    }

    /// The shape.
    pub fn config(&self) -> &QwenConfig {
        &self.config
    }

    pub(crate) fn set_config(&mut self, config: QwenConfig) {
        self.config = config;
    }

    /// What the forward pass keeps.
    pub fn activations(&self) -> Activations {
        self.activations
    }

    /// Says what the forward pass keeps.
    #[must_use]
    pub fn with_activations(mut self, activations: Activations) -> Network {
        self.activations = activations;
        self
    }

    /// A copy on another device.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn to_device(&self, device: &Device) -> Result<Network, ModelError> {
        let tensors = self.vars.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor()));
        let copy = Self::from_tensors(self.config.clone(), tensors.collect(), device)?;
        let frozen = self.frozen.iter().map(|(name, frozen)| Ok((name.clone(), frozen.to_device(device)?)));
        let frozen = frozen.collect::<candle_core::Result<_>>()?;
        Ok(Network { frozen, adapter: self.adapter.clone(), base: self.base.clone(), ..copy })
    }

    /// The device that holds the parameters.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What is trained: the parameters by their Hugging Face names, a tied head without an entry; or an adapter's factors.
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    pub(crate) fn frozen(&self) -> &BTreeMap<String, Frozen> {
        &self.frozen
    }

    pub(crate) fn adapter(&self) -> Option<&LoraConfig> {
        self.adapter.as_ref()
    }

    /// The memory that the weights take, in bytes.
    pub fn weight_bytes(&self) -> usize {
        let trained = self.vars.values().map(|var| var.elem_count() * var.dtype().size_in_bytes());
        trained.chain(self.frozen.values().map(Frozen::bytes)).sum()
    }

    /// A parameter as the network computes with it: in f32, its adapter added, with graph.
    pub(crate) fn parameter(&self, name: &str) -> candle_core::Result<Tensor> {
        let base = match self.vars.get(name) {
            Some(var) => var.as_tensor().to_dtype(DType::F32)?,
            None => self.frozen[name].tensor(&self.device)?,
        };
        let Some((lora, [a, b])) = self.adapter.as_ref().and_then(|lora| Some((lora, lora.factors(name)?)))
        else {
            return Ok(base);
        };
        base + (self.vars[&b].matmul(&self.vars[&a])? * lora.scale())?
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

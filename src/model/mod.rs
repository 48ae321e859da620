//! The student: a Qwen2 or Qwen3 model that reads conversations, answers them, and can be trained.
//!
//! Guarantees that sequences which begin alike share their work ([`tree`]), forward and backward,
//! and that the shared result is that of separate sequences. Does not train: `train` does, through
//! [`Student::logprobs`] and [`Student::vars`].

mod adapter;
pub mod config;
pub mod decode;
pub mod error;
pub mod footprint;
mod fused;
mod gguf;
mod kernels;
pub mod lora;
pub mod merge;
pub mod network;
mod plain;
pub mod policy;
pub mod precision;
pub mod rotary;
mod sampler;
mod template;
pub mod text;
pub mod tokenizer;
pub mod tree;
mod weights;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Tensor, Var};

/// Where a student lives: named here, so that nothing outside `model` and `train` names candle.
pub use candle_core::Device;

use crate::policy::Sample;
use config::QwenConfig;
use error::ModelError;
use network::{Activations, Network};
use tokenizer::ChatTokenizer;
use tree::Packed;

/// The device that every machine has.
pub fn cpu() -> Device {
    Device::Cpu
}

/// A network with its tokenizer.
#[derive(Debug, Clone)]
pub struct Student {
    network: Network,
    tokenizer: ChatTokenizer,
}

/// A prompt that waits for replies.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Its tokens; at least one.
    pub tokens: Arc<[u32]>,
    /// Replies wanted.
    pub n: usize,
    /// Reply `i` is drawn from the stream of `seed::derive(seed, "sample", &[i])`.
    pub seed: u64,
}

impl Prompt {
    /// Prompts that are best answered together: more would hold more keys and values at once.
    pub const AT_ONCE: usize = 64;
    /// Replies that a thread draws together at most.
    pub(crate) const MOST_TOGETHER: usize = 48;
}

/// How replies are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleOptions {
    /// Divides the logits; 0 takes the most probable token.
    pub temperature: f64,
    /// Draws from the fewest tokens whose probabilities reach this sum; 1 draws from all.
    pub top_p: f64,
    /// Draws from so many of the most probable tokens; 0 draws from all.
    pub top_k: usize,
    /// Draws from tokens that are at least this fraction as probable as the most probable one; 0 draws from all.
    pub min_p: f64,
    /// A reply is cut after so many tokens.
    pub max_new_tokens: usize,
}

impl Default for SampleOptions {
    fn default() -> Self {
        Self { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, max_new_tokens: 512 }
    }
}

impl Student {
    /// Reads a model directory in Hugging Face layout, or an adapter's with the base that it names.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the tokenizer has more tokens than the model.
    pub fn load(dir: &Path, device: &Device) -> Result<Student, ModelError> {
        Self::new(Network::load(dir, device)?, ChatTokenizer::load(dir)?)
    }

    /// A student with random weights (see [`Network::init`]).
    ///
    /// # Errors
    /// When the tokenizer has more tokens than the configuration.
    pub fn init(
        config: QwenConfig,
        tokenizer: ChatTokenizer,
        seed: u64,
        std: f64,
        device: &Device,
    ) -> Result<Student, ModelError> {
        Self::new(Network::init(config, seed, std, device)?, tokenizer)
    }

    /// A network with its tokenizer.
    ///
    /// # Errors
    /// When the tokenizer has more tokens than the network has embeddings.
    pub fn new(network: Network, tokenizer: ChatTokenizer) -> Result<Student, ModelError> {
        let (tokens, vocab_size) = (tokenizer.vocab_size(), network.config().vocab_size);
        if tokens > vocab_size {
            return Err(ModelError::Misfit { tokens, vocab_size });
        }
        Ok(Student { network, tokenizer })
    }

    /// Writes a model directory that transformers and vLLM read, or an adapter's that PEFT and vLLM read.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        let mut network = self.network.clone();
        let config = network.config().clone();
        network.set_config(config.with_special_tokens(self.tokenizer.end(), self.tokenizer.pad()));
        network.save(dir)?;
        self.tokenizer.save(dir)
    }

    /// Says what the forward pass keeps for the backward pass.
    #[must_use]
    pub fn with_activations(mut self, activations: Activations) -> Student {
        self.network = self.network.with_activations(activations);
        self
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The shape.
    pub fn config(&self) -> &QwenConfig {
        self.network.config()
    }

    /// What is trained: the parameters by their Hugging Face names, or the factors of an adapter.
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        self.network.vars()
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &ChatTokenizer {
        &self.tokenizer
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
        self.network.logprobs(packed, rows, targets, temperature)
    }

    /// Draws `n` replies to each prompt, in the order of the prompts.
    ///
    /// # Errors
    /// When a prompt is out of range or too long, or the device fails.
    pub fn generate(
        &self,
        prompts: &[Prompt],
        options: &SampleOptions,
    ) -> Result<Vec<Vec<Sample>>, ModelError> {
        let end = self.tokenizer.end();
        Ok(self.samples(prompts, decode::generate(&self.network, prompts, options, Some(end))?))
    }

    /// The same, whose numbers do not depend on which prompts come together; what prompts begin with alike is read anew
    /// for each.
    ///
    /// # Errors
    /// As [`Self::generate`].
    pub fn generate_apart(
        &self,
        prompts: &[Prompt],
        options: &SampleOptions,
    ) -> Result<Vec<Vec<Sample>>, ModelError> {
        let end = self.tokenizer.end();
        Ok(self.samples(prompts, decode::generate_apart(&self.network, prompts, options, Some(end))?))
    }

    fn samples(&self, prompts: &[Prompt], replies: Vec<Vec<decode::Reply>>) -> Vec<Vec<Sample>> {
        let end = self.tokenizer.end();
        let sample = |prompt: &Prompt, reply: decode::Reply| Sample {
            prompt: Arc::clone(&prompt.tokens),
            text: self.tokenizer.decode(&reply.tokens),
            finished: reply.tokens.last() == Some(&end),
            tokens: reply.tokens,
            logprobs: reply.logprobs,
            entropy: reply.entropy,
        };
        let of_prompt = |(prompt, replies): (&Prompt, Vec<decode::Reply>)| {
            replies.into_iter().map(|reply| sample(prompt, reply)).collect()
        };
        prompts.iter().zip(replies).map(of_prompt).collect()
    }
}

#[cfg(test)]
mod tests;

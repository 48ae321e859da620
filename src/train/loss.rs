//! Losses on token log-probabilities: what an update minimises is Σ w·loss over the tokens of a batch.
//!
//! The weights (`batch::weights`) carry the average over the *whole* batch, so that micro-batches add up to it.
//! [`policy`] has the surrogates, [`penalty`] what is added to them; each is one small function, and [`Loss`] says
//! which are used. docs/training.md lists them with their sources. Knows no group and no text.

pub mod penalty;
pub mod policy;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

pub use penalty::Kl;
pub use policy::{Bound, Clip, Policy};

/// What an update from rewards minimises.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Loss {
    /// How a token's advantage becomes a loss.
    pub policy: Policy,
    /// The distance from the first weights that is added.
    pub kl: Kl,
    /// How much entropy is worth; 0 leaves it out.
    pub entropy: f64,
    /// What makes up for a sampler that is not the trainer.
    pub correction: Correction,
    /// What becomes of attempts that the length limit cut.
    pub truncated: Truncated,
}

/// What makes up for replies that another program sampled, whose probabilities differ from the trainer's.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Nothing: the trainer itself samples, so its probabilities are the sampler's.
    #[default]
    None,
    /// Each token's policy loss times min(p_trainer / p_sampler, this): truncated importance sampling.
    Truncate(f64),
}

impl Correction {
    /// What a token's policy loss is multiplied by, given its log-probabilities before the update.
    pub fn importance(self, trainer: f32, sampler: f32) -> f32 {
        match self {
            Self::None => 1.0,
            Self::Truncate(cap) => (trainer - sampler).exp().min(cap as f32),
        }
    }
}

/// What becomes of attempts that the length limit cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncated {
    /// They are learned from like any other.
    #[default]
    Keep,
    /// They count in their group's mean and spread and are not learned from (overlong filtering).
    Mask,
}

/// What is known of a micro-batch's tokens before the model sees it; every tensor is `(n,)`.
#[derive(Debug)]
pub struct Known {
    /// Log-probabilities that ratios are taken against.
    pub old_logprobs: Tensor,
    /// Log-probabilities of the first weights; zeros where nothing asks for them.
    pub reference_logprobs: Tensor,
    /// What policy losses are multiplied by.
    pub importance: Tensor,
    /// The advantages of their sequences.
    pub advantages: Tensor,
    /// Their shares of the average over the whole batch.
    pub weights: Tensor,
    /// Which sequence each belongs to.
    pub members: Members,
}

/// Which sequence each token belongs to. A sequence is never cut into two micro-batches.
#[derive(Debug)]
pub struct Members {
    /// The sequence of each token, counted from 0, `(n,)`.
    pub sequences: Tensor,
    /// One over the tokens of each token's sequence, `(n,)`.
    pub shares: Tensor,
    /// How many sequences there are.
    pub count: usize,
}

/// The negative log-likelihood: −Σ w·log p. Both tensors are `(n,)`.
///
/// # Errors
/// When the device fails.
pub fn imitation(logprobs: &Tensor, weights: &Tensor) -> Result<Tensor> {
    (logprobs * weights)?.sum_all()?.neg()
}

impl Loss {
    /// The loss of a micro-batch whose tokens have these log-probabilities and ratios.
    ///
    /// # Errors
    /// When the device fails.
    pub fn total(&self, logprobs: &Tensor, ratios: &Tensor, known: &Known) -> Result<Tensor> {
        let mut losses = (self.policy.losses(logprobs, ratios, &known.advantages)? * &known.importance)?;
        if let Some(divergence) = self.kl.losses(logprobs, &known.reference_logprobs)? {
            losses = (losses + divergence)?;
        }
        if self.entropy != 0.0 {
            losses = (losses + penalty::certainty(logprobs)?.affine(self.entropy, 0.0)?)?;
        }
        (losses * &known.weights)?.sum_all()
    }
}

#[cfg(test)]
pub(crate) mod tests;

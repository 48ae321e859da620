//! Surrogates: how a token's ratio and advantage become its loss.
//!
//! Guarantees that ratios stay finite. Every tensor is `(n,)`, one entry a token.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::{Known, Members};

/// How a token's advantage becomes a loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Policy {
    /// The token's ratio, clipped (PPO, GRPO); a `high` above `low` is DAPO's clip-higher.
    Clip(Clip),
    /// The same, where a negative advantage costs at most `cap` times itself.
    DualClip {
        /// Below 1.
        low: f64,
        /// Above 1.
        high: f64,
        /// The largest ratio that a negative advantage is multiplied by.
        cap: f64,
    },
    /// The ratio of the whole sequence, clipped (GSPO).
    Gspo(Clip),
    /// The token's log-probability, times its ratio up to `cap`, which has no gradient (CISPO).
    Cispo {
        /// The largest ratio.
        cap: f64,
    },
}

/// How far a ratio may go before it stops paying.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Below 1.
    pub low: f64,
    /// Above 1.
    pub high: f64,
}

/// Which bound took a token's gradient away, or kept its weight down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The ratio is below.
    Low,
    /// The ratio is above.
    High,
}

impl Default for Clip {
    fn default() -> Self {
        Self { low: 0.2, high: 0.2 }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::Clip(Clip::default())
    }
}

/// Bound of the log-ratio, so that its exponential is finite.
const LOG_RATIO: f64 = 20.0;

impl Policy {
    /// The ratio of new to old probability that each token is judged by.
    ///
    /// # Errors
    /// When the device fails.
    pub fn ratios(self, logprobs: &Tensor, known: &Known) -> Result<Tensor> {
        match self {
            Self::Clip(_) | Self::DualClip { .. } | Self::Cispo { .. } => {
                token_ratios(logprobs, &known.old_logprobs)
            }
            Self::Gspo(_) => sequence_ratios(logprobs, &known.old_logprobs, &known.members),
        }
    }

    /// Each token's loss.
    ///
    /// # Errors
    /// When the device fails.
    pub fn losses(self, logprobs: &Tensor, ratios: &Tensor, advantages: &Tensor) -> Result<Tensor> {
        match self {
            Self::Clip(clip) | Self::Gspo(clip) => clipped(ratios, advantages, clip),
            Self::DualClip { low, high, cap } => dual_clipped(ratios, advantages, Clip { low, high }, cap),
            Self::Cispo { cap } => capped(logprobs, ratios, advantages, cap),
        }
    }

    /// The bound that a token of this ratio and advantage is beyond.
    pub fn bound(self, ratio: f64, advantage: f64) -> Option<Bound> {
        match self {
            Self::Clip(clip) | Self::Gspo(clip) => clip.bound(ratio, advantage),
            Self::DualClip { low, high, cap } => {
                let is_capped = advantage < 0.0 && cap < ratio;
                is_capped.then_some(Bound::High).or_else(|| Clip { low, high }.bound(ratio, advantage))
            }
            Self::Cispo { cap } => (cap < ratio).then_some(Bound::High),
        }
    }
}

impl Clip {
    fn bound(self, ratio: f64, advantage: f64) -> Option<Bound> {
        if 0.0 < advantage && 1.0 + self.high < ratio {
            Some(Bound::High)
        } else {
            (advantage < 0.0 && ratio < 1.0 - self.low).then_some(Bound::Low)
        }
    }
}

/// ρ = exp(log p − log p_old).
///
/// # Errors
/// When the device fails.
pub fn token_ratios(logprobs: &Tensor, old_logprobs: &Tensor) -> Result<Tensor> {
    (logprobs - old_logprobs)?.clamp(-LOG_RATIO, LOG_RATIO)?.exp()
}

/// s = exp(1/|o|·Σ_t (log p − log p_old)), the same for every token of a sequence (GSPO Eq. 7).
///
/// # Errors
/// When the device fails.
pub fn sequence_ratios(logprobs: &Tensor, old_logprobs: &Tensor, members: &Members) -> Result<Tensor> {
    let shares = ((logprobs - old_logprobs)? * &members.shares)?;
    let means = Tensor::zeros(members.count, shares.dtype(), shares.device())?
        .index_add(&members.sequences, &shares, 0)?
        .clamp(-LOG_RATIO, LOG_RATIO)?;
    means.index_select(&members.sequences, 0)?.exp()
}

/// −min(ρ·A, clip(ρ, 1 − low, 1 + high)·A): the paper's Eq. 1.
///
/// # Errors
/// When the device fails.
pub fn clipped(ratios: &Tensor, advantages: &Tensor, clip: Clip) -> Result<Tensor> {
    let bounded = ratios.clamp(1.0 - clip.low, 1.0 + clip.high)?;
    (ratios * advantages)?.minimum(&(bounded * advantages)?)?.neg()
}

/// [`clipped`], but at most −cap·A where A < 0: a reply that became likely must not dominate the batch.
///
/// # Errors
/// When the device fails.
pub fn dual_clipped(ratios: &Tensor, advantages: &Tensor, clip: Clip, cap: f64) -> Result<Tensor> {
    let ceiling = (advantages.minimum(0.0)? * -cap)?;
    // Where A > 0 the loss is negative, so a ceiling of zero changes nothing.
    clipped(ratios, advantages, clip)?.minimum(&ceiling)
}

/// −min(ρ, cap)·A·log p, without gradient through the ratio (CISPO, MiniMax-M1 Eq. 4).
///
/// # Errors
/// When the device fails.
pub fn capped(logprobs: &Tensor, ratios: &Tensor, advantages: &Tensor, cap: f64) -> Result<Tensor> {
    let weights = (ratios.detach().minimum(cap)? * advantages)?;
    (weights * logprobs)?.neg()
}

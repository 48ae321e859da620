//! Penalties: what is added to a policy's loss, a distance from the first weights or a worth of entropy.
//!
//! Every tensor is `(n,)`, one entry a token that the policy itself sampled: the expectations below are over such tokens.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

/// The estimator of KL(p ‖ p_ref) that is added, with its coefficient.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kl {
    /// Nothing is added, and no reference is held.
    #[default]
    None,
    /// [`k1`]: shows the distance; as a loss its gradient is zero in expectation.
    K1(f64),
    /// [`k2`]: its gradient is that of the KL divergence in expectation.
    K2(f64),
    /// [`k3`]: an unbiased value of low variance; its gradient is that of the reverse divergence.
    K3(f64),
}

/// Bounds that keep exponentials, and what one token can weigh, finite; verl and SkyRL have the same.
const LOG_RATIO: f64 = 20.0;
const K3: f64 = 10.0;

impl Kl {
    /// Each token's penalty, coefficient included.
    ///
    /// # Errors
    /// When the device fails.
    pub fn losses(self, logprobs: &Tensor, reference: &Tensor) -> Result<Option<Tensor>> {
        let (losses, coefficient) = match self {
            Self::None => return Ok(None),
            Self::K1(coefficient) => (k1(logprobs, reference)?, coefficient),
            Self::K2(coefficient) => (k2(logprobs, reference)?, coefficient),
            Self::K3(coefficient) => (k3(logprobs, reference)?, coefficient),
        };
        losses.affine(coefficient, 0.0).map(Some)
    }

    /// How much the penalty counts.
    pub fn coefficient(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::K1(coefficient) | Self::K2(coefficient) | Self::K3(coefficient) => coefficient,
        }
    }
}

/// log p − log p_ref.
///
/// # Errors
/// When the device fails.
pub fn k1(logprobs: &Tensor, reference: &Tensor) -> Result<Tensor> {
    logprobs - reference
}

/// ½·(log p − log p_ref)².
///
/// # Errors
/// When the device fails.
pub fn k2(logprobs: &Tensor, reference: &Tensor) -> Result<Tensor> {
    k1(logprobs, reference)?.sqr()?.affine(0.5, 0.0)
}

/// p_ref/p − 1 − log(p_ref/p).
///
/// # Errors
/// When the device fails.
pub fn k3(logprobs: &Tensor, reference: &Tensor) -> Result<Tensor> {
    let log_ratio = (reference - logprobs)?.clamp(-LOG_RATIO, LOG_RATIO)?;
    ((log_ratio.exp()? - 1.0)? - log_ratio)?.clamp(-K3, K3)
}

/// The negative entropy: a sample's value of it is log p, and its gradient is log p·∇log p.
///
/// That is the exact gradient in expectation: ∇Σ p·log p = Σ p·log p·∇log p + Σ p·∇log p, and the last sum is ∇1.
///
/// # Errors
/// When the device fails.
pub fn certainty(logprobs: &Tensor) -> Result<Tensor> {
    let square = logprobs.sqr()?.affine(0.5, 0.0)?;
    // The value of the first two is zero; the third has no gradient.
    (&square - square.detach())? + logprobs.detach()
}

//! Losses on token log-probabilities, each a weighted sum over the tokens of a batch.
//!
//! The weights (`batch::weights`) carry the average, so that micro-batches add up to the whole batch. Guarantees
//! that ratios stay finite. Knows neither sequences nor groups.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

/// How far the ratio of new to old probability may go before it stops paying.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clip {
    /// Below 1.
    pub low: f64,
    /// Above 1.
    pub high: f64,
}

impl Default for Clip {
    fn default() -> Self {
        Self { low: 0.2, high: 0.2 }
    }
}

/// Bound of the log-ratio, so that its exponential is finite.
const LOG_RATIO: f64 = 20.0;

/// The negative log-likelihood: −Σ w·log p. All tensors are `(n,)`.
///
/// # Errors
/// When the device fails.
pub fn imitation(logprobs: &Tensor, weights: &Tensor) -> Result<Tensor> {
    (logprobs * weights)?.sum_all()?.neg()
}

/// The clipped objective (paper Eq. 1 with KL 0): −Σ w·min(ρ·A, clip(ρ)·A) with ρ = exp(log p − log p_old).
///
/// # Errors
/// When the device fails.
pub fn clipped(
    logprobs: &Tensor,
    old_logprobs: &Tensor,
    advantages: &Tensor,
    weights: &Tensor,
    clip: Clip,
) -> Result<Tensor> {
    let ratio = (logprobs - old_logprobs)?.clamp(-LOG_RATIO, LOG_RATIO)?.exp()?;
    let bounded = ratio.clamp(1.0 - clip.low, 1.0 + clip.high)?;
    let objective = (ratio * advantages)?.minimum(&(bounded * advantages)?)?;
    (objective * weights)?.sum_all()?.neg()
}

/// Whether the clip takes this token's gradient away.
pub fn is_clipped(log_ratio: f64, advantage: f64, clip: Clip) -> bool {
    let ratio = log_ratio.clamp(-LOG_RATIO, LOG_RATIO).exp();
    (0.0 < advantage && 1.0 + clip.high < ratio) || (advantage < 0.0 && ratio < 1.0 - clip.low)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::train::batch::{Average, weights};

    // Two sequences of 3 tokens and 1; values cross-checked against TRL's implementation in torch.
    const LOGPROBS: [f64; 4] = [-0.5, -1.0, -2.0, -0.1];
    const OLD: [f64; 4] = [-0.9, -1.0, -1.5, -0.4];
    const ADVANTAGES: [f64; 4] = [1.0, 1.0, 1.0, -0.5];
    const CLIP: Clip = Clip { low: 0.2, high: 0.28 };

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    fn scalar(tensor: &Tensor) -> f64 {
        tensor.to_scalar::<f64>().unwrap()
    }

    fn loss(logprobs: &Tensor, weights: &[f64]) -> Tensor {
        clipped(logprobs, &tensor(&OLD), &tensor(&ADVANTAGES), &tensor(weights), CLIP).unwrap()
    }

    #[test]
    fn clipped_objective_matches_golden() {
        for (average, expected) in [(Average::Sequences, -0.143_623_7), (Average::Tokens, -0.552_900_3)] {
            let loss = scalar(&loss(&tensor(&LOGPROBS), &weights(&[3, 1], average)));
            assert!((loss - expected).abs() < 1e-7, "{average:?}: {loss}");
        }
    }

    #[test]
    fn imitation_is_the_weighted_negative_log_likelihood() {
        let loss =
            |average| scalar(&imitation(&tensor(&LOGPROBS), &tensor(&weights(&[3, 1], average))).unwrap());
        assert!((loss(Average::Tokens) - 3.6 / 4.0).abs() < 1e-12);
        assert!((loss(Average::Sequences) - 0.5 * (3.5 / 3.0 + 0.1)).abs() < 1e-12);
    }

    #[test]
    fn micro_batches_add_up_to_the_batch() {
        let weights = weights(&[3, 1], Average::Tokens);
        let part = |range: std::ops::Range<usize>| {
            let of = |values: &[f64]| tensor(&values[range.clone()]);
            scalar(&clipped(&of(&LOGPROBS), &of(&OLD), &of(&ADVANTAGES), &of(&weights), CLIP).unwrap())
        };
        let whole = scalar(&loss(&tensor(&LOGPROBS), &weights));
        assert!((part(0..3) + part(3..4) - whole).abs() < 1e-12);
    }

    #[test]
    fn gradient_matches_finite_differences() {
        let weights = weights(&[3, 1], Average::Sequences);
        let logprobs = Var::from_tensor(&tensor(&LOGPROBS)).unwrap();
        let grads = loss(logprobs.as_tensor(), &weights).backward().unwrap();
        let gradient = grads.get(&logprobs).unwrap().to_vec1::<f64>().unwrap();
        for token in 0..LOGPROBS.len() {
            let moved = |by: f64| {
                let mut values = LOGPROBS;
                values[token] += by;
                scalar(&loss(&tensor(&values), &weights))
            };
            let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((gradient[token] - difference).abs() < 1e-7, "token {token}: {gradient:?}");
        }
    }

    #[test]
    fn clipped_tokens_have_no_gradient() {
        let clips = |token: usize| is_clipped(LOGPROBS[token] - OLD[token], ADVANTAGES[token], CLIP);
        // Ratios 1.49, 1, 0.61 with a positive advantage, and 1.35 with a negative one.
        assert_eq!([clips(0), clips(1), clips(2), clips(3)], [true, false, false, false]);
    }

    #[test]
    fn impossible_ratios_stay_finite() {
        let far = tensor(&[0.0, -1e4, 0.0, 0.0]);
        let loss =
            clipped(&far, &tensor(&[-1e4, 0.0, 0.0, 0.0]), &tensor(&[-1.0; 4]), &tensor(&[1.0; 4]), CLIP);
        assert!(scalar(&loss.unwrap()).is_finite());
    }
}

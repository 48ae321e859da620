//! Sequences to learn from, collated for one pass through the model.
//!
//! The only place that shifts, masks and weighs: token `t` is predicted by the row of token `t − 1`, only reply
//! tokens count, and a token's weight is its share of the average over the *whole* batch, not the micro-batch.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use crate::model::tree::Packed;

/// A prompt and a reply to learn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// The example it answers, for messages: `trajectory#step`.
    pub example: Arc<str>,
    /// The prompt; at least one token.
    pub prompt: Arc<[u32]>,
    /// The reply, its end token included; at least one token.
    pub reply: Vec<u32>,
    /// Log-probability of each reply token when it was sampled; zeros where nothing was sampled.
    pub old_logprobs: Vec<f32>,
    /// The same for every token of the reply.
    pub advantage: f64,
}

impl Sequence {
    /// Its tokens.
    pub fn len(&self) -> usize {
        self.prompt.len() + self.reply.len()
    }

    /// Whether it has no token; a valid sequence never is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a loss averages over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// Tokens of each sequence, then sequences (Eq. 1 of the paper).
    #[default]
    Sequences,
    /// All tokens alike.
    Tokens,
}

/// The weight of each token of replies with these lengths, one reply after the other; they sum to 1.
pub fn weights(lengths: &[usize], average: Average) -> Vec<f64> {
    let total: usize = lengths.iter().sum();
    let weight = |length: usize| match average {
        Average::Sequences => 1.0 / (length * lengths.len()) as f64,
        Average::Tokens => 1.0 / total as f64,
    };
    lengths.iter().flat_map(|&length| std::iter::repeat_n(weight(length), length)).collect()
}

/// Part of a batch that passes the model at once. Lists and tensors have one entry a reply token.
#[derive(Debug)]
pub struct MicroBatch {
    /// All tokens but the last of each sequence, which predicts nothing.
    pub packed: Packed,
    /// The row that predicts each token.
    pub rows: Vec<u32>,
    /// The tokens.
    pub targets: Vec<u32>,
    /// Their log-probabilities when they were sampled, `(n,)`.
    pub old_logprobs: Tensor,
    /// Their sequences' advantages, `(n,)`.
    pub advantages: Tensor,
    /// Their shares of the average over the whole batch, `(n,)`.
    pub weights: Tensor,
}

/// Collates sequences whose reply tokens weigh `weights`.
///
/// # Errors
/// When the device has no memory.
pub fn collate(sequences: &[Sequence], weights: &[f64], device: &Device) -> Result<MicroBatch> {
    let packed = Packed::new(sequences.iter().map(inputs).collect::<Vec<_>>().iter().map(Vec::as_slice));
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    let (mut old_logprobs, mut advantages) = (Vec::new(), Vec::new());
    for (sequence_idx, sequence) in sequences.iter().enumerate() {
        for (offset, &token) in sequence.reply.iter().enumerate() {
            rows.push(packed.row(sequence_idx, sequence.prompt.len() + offset - 1));
            targets.push(token);
            advantages.push(sequence.advantage as f32);
        }
        old_logprobs.extend_from_slice(&sequence.old_logprobs);
    }
    let weights: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
    Ok(MicroBatch {
        packed,
        rows,
        targets,
        old_logprobs: Tensor::new(old_logprobs, device)?,
        advantages: Tensor::new(advantages, device)?,
        weights: Tensor::new(weights, device)?,
    })
}

/// The tokens that predict another one.
pub fn inputs(sequence: &Sequence) -> Vec<u32> {
    let mut tokens = sequence.prompt.to_vec();
    tokens.extend_from_slice(&sequence.reply[..sequence.reply.len() - 1]);
    tokens
}

/// Cuts sequences, in order, into runs whose packed tokens fit `limit`; a longer sequence is a run of its own.
pub fn split(sequences: &[Sequence], limit: usize) -> Vec<std::ops::Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    let mut run = Trunk::default();
    for (sequence_idx, sequence) in sequences.iter().enumerate() {
        let added = run.push(inputs(sequence));
        if limit < run.rows && start < sequence_idx {
            runs.push(start..sequence_idx);
            start = sequence_idx;
            run = Trunk { rows: sequence.len() - 1, last: std::mem::take(&mut run.last) };
        } else {
            debug_assert!(added <= sequence.len(), "invariant: sharing only takes rows away");
        }
    }
    if start < sequences.len() {
        runs.push(start..sequences.len());
    }
    runs
}

/// Counts the rows of a run, sharing each sequence's beginning with its predecessor's: an upper bound of the
/// tree's, and equal to it where sequences come in the order of a trajectory.
#[derive(Default)]
struct Trunk {
    rows: usize,
    last: Vec<u32>,
}

impl Trunk {
    fn push(&mut self, tokens: Vec<u32>) -> usize {
        let shared = std::iter::zip(&self.last, &tokens).take_while(|(a, b)| a == b).count();
        let added = tokens.len() - shared;
        self.rows += added;
        self.last = tokens;
        added
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(prompt: &[u32], reply: &[u32]) -> Sequence {
        Sequence {
            example: "t#0".into(),
            prompt: prompt.into(),
            reply: reply.to_vec(),
            old_logprobs: vec![-1.0; reply.len()],
            advantage: 0.5,
        }
    }

    #[test]
    fn each_reply_token_is_predicted_by_the_row_before_it() {
        let sequences = [sequence(&[1, 2], &[3, 4]), sequence(&[1, 2], &[3, 5, 6])];
        let weights = weights(&[2, 3], Average::Sequences);
        let batch = collate(&sequences, &weights, &Device::Cpu).unwrap();
        assert_eq!(batch.targets, [3, 4, 3, 5, 6]);
        let predictors: Vec<u32> =
            batch.rows.iter().map(|&row| batch.packed.tokens()[row as usize]).collect();
        assert_eq!(predictors, [2, 3, 2, 3, 5]);
        // 1 2 3 is shared, 5 belongs to the second, and the last tokens predict nothing.
        assert_eq!(batch.packed.tokens().len(), 4);
        assert_eq!(batch.old_logprobs.dims(), [5]);
    }

    #[test]
    fn weights_sum_to_one() {
        for average in [Average::Sequences, Average::Tokens] {
            let sum: f64 = weights(&[3, 1, 7], average).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn runs_fit_the_limit_and_cover_everything_in_order() {
        let sequences: Vec<Sequence> = (0..10).map(|n| sequence(&[1, 2, 3, 4], &[n, n, n])).collect();
        // 6 rows for the first of a run, 2 for each other.
        assert_eq!(split(&sequences, 10), [0..3, 3..6, 6..9, 9..10]);
        assert_eq!(split(&sequences, 1000), vec![0..10]);
        assert_eq!(split(&sequences, 1).len(), 10);
        assert!(split(&[], 10).is_empty());
    }
}

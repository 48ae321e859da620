//! One update of the weights: forward, loss, backward, clip, step. Every method's loop ends here.
//!
//! Guarantees that micro-batches give the gradient of the whole batch, that a loss or gradient that is not finite
//! stops the run before a weight changes, and that tokens are counted as the model sees them.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;

use super::adamw::AdamW;
use super::batch::{Average, MicroBatch, Sequence, collate, split, weights};
use super::gradients::{Gradients, clip_scale};
use super::loss::{Bound, Kl, Loss, imitation, penalty};
use super::tally::named;
use crate::model::Student;
use crate::model::tree::Packed;

/// What an update minimises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// The negative log-likelihood of the replies.
    Imitation,
    /// A loss from rewards, on log-probabilities at this temperature.
    Policy {
        /// The loss.
        loss: Loss,
        /// The temperature at which the replies were sampled.
        temperature: f64,
    },
}

/// How an update is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateOptions {
    /// What it minimises.
    pub objective: Objective,
    /// What the loss averages over.
    pub average: Average,
    /// Tokens that pass the model at once, after sharing.
    pub micro_batch_tokens: usize,
    /// Longer gradients are scaled down to this norm.
    pub max_grad_norm: f64,
    /// The learning rate.
    pub rate: f64,
}

/// What an update was like.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Updated {
    /// The loss before the update.
    pub loss: f64,
    /// The gradient's norm before clipping.
    pub grad_norm: f64,
    /// The share of tokens whose ratio was beyond the loss's lower bound.
    pub clip_low: f64,
    /// The share of tokens whose ratio was beyond the loss's upper bound.
    pub clip_high: f64,
    /// How far the policy is from the one that ratios are taken against: the mean of ρ − 1 − ln ρ over the tokens, with ρ
    /// their ratio of new to old probability (Schulman's k3, an estimate of KL(old ‖ new) that is never negative).
    pub approx_kl: f64,
    /// The largest distance between a token's log-probability that ratios are taken against and now.
    pub sampler_gap: f64,
    /// The mean of the estimate k3 of the distance from the first weights, where the loss keeps near them.
    pub kl: Option<f64>,
    /// What passed the model.
    pub tokens: Tokens,
}

impl Updated {
    /// How far the policy is from the one that sampled, by name; nothing to report where nothing was sampled.
    pub(super) fn ratio_metrics(&self) -> BTreeMap<String, f64> {
        let mut metrics = named([
            ("clip_low", self.clip_low),
            ("clip_high", self.clip_high),
            ("clip_fraction", self.clip_low + self.clip_high),
            ("approx_kl", self.approx_kl),
            ("sampler_gap", self.sampler_gap),
        ]);
        metrics.extend(self.kl.map(|kl| ("kl".to_owned(), kl)));
        metrics
    }
}

/// Tokens that passed the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Forward.
    pub forward: u64,
    /// Backward.
    pub backward: u64,
    /// What would have passed forward if no sequence shared its beginning with another.
    pub without_sharing: u64,
    /// Pairs of a token and one that it attends to, itself included; one a pair forward, two backward.
    pub pairs: u64,
    /// Tokens that the head was asked about, counted alike.
    pub predictions: u64,
}

impl Tokens {
    /// Those of one pass forward and back.
    fn of_pass(packed: &Packed, predictions: usize) -> Self {
        let rows = packed.tokens().len() as u64;
        let pairs = 3 * attended(packed);
        Self { forward: rows, backward: rows, without_sharing: 0, pairs, predictions: 3 * predictions as u64 }
    }

    /// Their compute: a token costs 1 forward and 2 backward.
    pub fn units(&self) -> u64 {
        self.forward + 2 * self.backward
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.forward += other.forward;
        self.backward += other.backward;
        self.without_sharing += other.without_sharing;
        self.pairs += other.pairs;
        self.predictions += other.predictions;
    }
}

/// Pairs of a row and one that it attends to: those of its sequence up to itself.
pub(super) fn attended(packed: &Packed) -> u64 {
    packed.positions().iter().map(|&position| u64::from(position) + 1).sum()
}

/// Changes the student's weights once.
///
/// # Errors
/// When a loss or gradient is missing or not finite, or the device fails. The weights are then unchanged.
pub fn update(
    student: &Student,
    adamw: &mut AdamW,
    sequences: &[Sequence],
    options: &UpdateOptions,
) -> Result<Updated> {
    let (gradients, mut updated) = gradients(student, sequences, options)?;
    updated.grad_norm = gradients.norm()?;
    let scale = clip_scale(updated.grad_norm, options.max_grad_norm);
    adamw.step(student.vars(), &gradients, scale, options.rate)?;
    Ok(updated)
}

/// The gradient of the loss over all sequences.
///
/// # Errors
/// As [`update`].
pub fn gradients(
    student: &Student,
    sequences: &[Sequence],
    options: &UpdateOptions,
) -> Result<(Gradients, Updated)> {
    let lengths: Vec<usize> = sequences.iter().map(Sequence::reply_len).collect();
    ensure!(
        !lengths.is_empty() && !lengths.contains(&0),
        "invariant: a batch has replies, and they have tokens"
    );
    let weights = weights(&lengths, options.average);
    let device = student.network().device();
    let (mut gradients, mut updated, mut first) = (Gradients::default(), Updated::default(), 0);
    let share = 1.0 / lengths.iter().sum::<usize>() as f64;
    for run in split(sequences, options.micro_batch_tokens) {
        let sequences = &sequences[run];
        let tokens: usize = sequences.iter().map(Sequence::reply_len).sum();
        let batch = collate(sequences, &weights[first..first + tokens], device)?;
        first += tokens;
        let without_sharing = sequences.iter().map(|sequence| sequence.rows() as u64).sum();
        updated.tokens += Tokens { without_sharing, ..Tokens::of_pass(&batch.packed, batch.rows.len()) };
        let loss = match options.objective {
            Objective::Imitation => imitation(&logprobs(student, &batch, 1.0)?, &batch.known.weights)?,
            Objective::Policy { loss, temperature } => {
                policy(&loss, &logprobs(student, &batch, temperature)?, &batch, (share, &mut updated))?
            }
        };
        let value = f64::from(loss.to_scalar::<f32>()?);
        ensure!(value.is_finite(), "the loss is {value} on {}", names(sequences));
        updated.loss += value;
        gradients.add(student.vars(), loss.backward()?).with_context(|| names(sequences))?;
    }
    Ok((gradients, updated))
}

fn logprobs(student: &Student, batch: &MicroBatch, temperature: f64) -> Result<Tensor> {
    Ok(student.logprobs(&batch.packed, &batch.rows, &batch.targets, temperature)?)
}

/// The loss of a micro-batch with graph; adds what is seen of its tokens, each `share` of the batch, to `updated`.
fn policy(
    loss: &Loss,
    logprobs: &Tensor,
    batch: &MicroBatch,
    (share, updated): (f64, &mut Updated),
) -> Result<Tensor> {
    let known = &batch.known;
    let ratios = loss.policy.ratios(logprobs, known)?;
    let advantages = known.advantages.to_vec1::<f32>()?;
    for (ratio, advantage) in std::iter::zip(ratios.detach().to_vec1::<f32>()?, advantages) {
        match loss.policy.bound(ratio.into(), advantage.into()) {
            Some(Bound::Low) => updated.clip_low += share,
            Some(Bound::High) => updated.clip_high += share,
            None => {}
        }
    }
    for log_ratio in (logprobs.detach() - &known.old_logprobs)?.to_vec1::<f32>()?.into_iter().map(f64::from) {
        updated.sampler_gap = updated.sampler_gap.max(log_ratio.abs());
        updated.approx_kl += share * k3(log_ratio);
    }
    if loss.kl != Kl::None {
        let divergence = penalty::k3(&logprobs.detach(), &known.reference_logprobs)?.sum_all()?;
        *updated.kl.get_or_insert(0.0) += share * f64::from(divergence.to_scalar::<f32>()?);
    }
    Ok(loss.total(logprobs, &ratios, known)?)
}

/// ρ − 1 − ln ρ; bounded, so that one impossible token does not hide all others.
fn k3(log_ratio: f64) -> f64 {
    const LARGEST: f64 = 20.0;
    let log_ratio = log_ratio.clamp(-LARGEST, LARGEST);
    log_ratio.exp_m1() - log_ratio
}

fn names(sequences: &[Sequence]) -> String {
    let mut names: Vec<&str> = sequences.iter().map(|sequence| &*sequence.example).collect();
    names.dedup();
    format!("examples {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_policies_is_never_negative_and_zero_only_where_they_agree() {
        assert_eq!(k3(0.0), 0.0);
        // ρ = 2 and ρ = 1/2: 2 − 1 − ln 2, and 1/2 − 1 + ln 2.
        assert!((k3(2f64.ln()) - (1.0 - 2f64.ln())).abs() < 1e-15);
        assert!((k3(-(2f64.ln())) - (2f64.ln() - 0.5)).abs() < 1e-15);
        assert!(0.0 < k3(1e-9) && k3(f64::INFINITY).is_finite());
    }

    #[test]
    fn a_token_attends_to_its_own_prefix_however_it_is_shared() {
        let packed = Packed::new([[1u32, 2, 3].as_slice(), &[1, 2, 4, 5]]);
        // Rows 1, 2, 3 of the first sequence, then 4 at position 2 and 5 at position 3.
        assert_eq!(attended(&packed), (1 + 2 + 3) + (3 + 4));
        let tokens = Tokens::of_pass(&packed, 3);
        assert_eq!((tokens.units(), tokens.pairs, tokens.predictions), (15, 39, 9));
    }
}

//! The head: from hidden rows to log-probabilities of chosen tokens, and back.
//!
//! Guarantees that no (rows, vocabulary) matrix exists: logits live in blocks, and the backward pass
//! computes them again.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::rows::add_parts;
use super::weight::Weight;
use crate::model::kernels::matmul::{Mat, MatMut, Write, multiply};
use crate::model::kernels::{lanes, norm};

/// Entries of a block.
const ENTRIES: usize = 128;
/// Tokens of the vocabulary of a block.
const TOKENS: usize = 1024;
/// Parts of the vocabulary that threads pull through at once; each sums the hidden gradient on its own.
pub(crate) const PARTS: usize = 8;

/// The weights of the head.
#[derive(Debug, Clone)]
pub(crate) struct Head<'a> {
    pub(crate) norm: Cow<'a, [f32]>,
    /// (vocabulary, hidden)
    pub(crate) weight: Weight<'a>,
    pub(crate) eps: f32,
}

/// What is asked: the log-probability of `targets[i]` after row `rows[i]`, logits divided by a temperature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) rows: &'a [u32],
    pub(crate) targets: &'a [u32],
    pub(crate) inverse_temperature: f32,
}

/// The head's part of the gradients; `None` of what is frozen.
#[derive(Debug)]
pub(crate) struct HeadGradients<'a> {
    pub(crate) norm: Option<&'a mut [f32]>,
    pub(crate) weight: Option<&'a mut [f32]>,
    /// Of the hidden rows (T, hidden).
    pub(crate) hidden: &'a mut [f32],
}

/// Where a block's row stands after some tokens of the vocabulary.
#[derive(Debug, Clone, Copy)]
struct Running {
    max: f32,
    sum: f32,
    target: f32,
}

impl Head<'_> {
    fn width(&self) -> usize {
        self.norm.len()
    }

    fn vocab_size(&self) -> usize {
        self.weight.len() / self.width()
    }

    /// The chosen rows, normalised (entries, hidden).
    pub(crate) fn normed(&self, hidden: &[f32], rows: &[u32]) -> Vec<f32> {
        let width = self.width();
        let mut normed = vec![0.0; rows.len() * width];
        normed.par_chunks_mut(width).zip(rows).with_min_len(64).for_each(|(out, &row)| {
            norm::normalize(&hidden[row as usize * width..][..width], &self.norm, self.eps, out);
        });
        normed
    }

    /// The log-probabilities, and the logarithms of the normalisers.
    pub(crate) fn forward(&self, hidden: &[f32], query: &Query<'_>) -> (Vec<f32>, Vec<f32>) {
        let normed = self.normed(hidden, query.rows);
        let mut logprobs = vec![0.0; query.rows.len()];
        let mut normalizers = vec![0.0; query.rows.len()];
        logprobs
            .par_chunks_mut(ENTRIES)
            .zip(normalizers.par_chunks_mut(ENTRIES))
            .zip(normed.par_chunks(ENTRIES * self.width()))
            .zip(query.targets.par_chunks(ENTRIES))
            .for_each_init(Vec::new, |logits, (((logprobs, normalizers), normed), targets)| {
                let running = self.scan(normed, targets, query.inverse_temperature, logits);
                for ((logprob, normalizer), running) in logprobs.iter_mut().zip(normalizers).zip(running) {
                    *normalizer = running.max + running.sum.ln();
                    *logprob = running.target - *normalizer;
                }
            });
        (logprobs, normalizers)
    }

    fn scan(&self, normed: &[f32], targets: &[u32], scale: f32, logits: &mut Vec<f32>) -> Vec<Running> {
        let start = Running { max: f32::NEG_INFINITY, sum: 0.0, target: 0.0 };
        let mut running = vec![start; targets.len()];
        for tokens in token_blocks(0..self.vocab_size()) {
            self.logits(normed, tokens.clone(), scale, logits);
            for ((row, running), &target) in logits.chunks_exact(tokens.len()).zip(&mut running).zip(targets)
            {
                let max = lanes::max(row).max(running.max);
                running.sum = running.sum * lanes::exp(running.max - max) + lanes::sum_exp(row, max);
                running.max = max;
                if tokens.contains(&(target as usize)) {
                    running.target = row[target as usize - tokens.start];
                }
            }
        }
        running
    }

    /// The scaled logits of some tokens (entries, tokens).
    pub(crate) fn logits(&self, normed: &[f32], tokens: Range<usize>, scale: f32, logits: &mut Vec<f32>) {
        let (entries, width) = (normed.len() / self.width(), self.width());
        logits.resize(entries * tokens.len(), 0.0);
        let weight = self.weight.rows(tokens.clone(), width);
        let weight = Mat::new(&weight, tokens.len(), width);
        let out = MatMut::new(logits, entries, tokens.len());
        multiply(out, Mat::new(normed, entries, width), weight.t(), scale, Write::Set);
    }

    /// Adds the gradients, given those of the log-probabilities.
    pub(crate) fn backward(
        &self,
        hidden: &[f32],
        query: &Query<'_>,
        (normalizers, d_logprobs): (&[f32], &[f32]),
        gradients: HeadGradients<'_>,
    ) {
        let width = self.width();
        let normed = self.normed(hidden, query.rows);
        let (vocab_size, part) = (self.vocab_size(), self.vocab_size().div_ceil(PARTS));
        let tokens = (0..vocab_size).step_by(part).map(|start| start..vocab_size.min(start + part));
        let d_weights: Vec<Option<&mut [f32]>> = match gradients.weight {
            Some(d_weight) => d_weight.chunks_mut(part * width).map(Some).collect(),
            None => tokens.clone().map(|_| None).collect(),
        };
        let work: Vec<_> = tokens.zip(d_weights).collect();
        let parts: Vec<Vec<f32>> = work
            .into_par_iter()
            .map(|(tokens, d_weight)| self.pull(&normed, query, (normalizers, d_logprobs), tokens, d_weight))
            .collect();
        let mut d_normed = vec![0.0; normed.len()];
        add_parts(&mut d_normed, &parts);
        let mut unused = vec![0.0; width];
        let d_norm = gradients.norm.unwrap_or(&mut unused[..]);
        // In the order of the entries: two entries may name the same row.
        for (&row, d_normed) in query.rows.iter().zip(d_normed.chunks_exact(width)) {
            let at = row as usize * width..(row as usize + 1) * width;
            let x = &hidden[at.clone()];
            let factor = norm::factor(x, self.eps);
            norm::backward(x, &self.norm, factor, d_normed, &mut gradients.hidden[at], d_norm);
        }
    }

    /// Adds to the gradient of the tokens' weights, and gives their part of that of the normalised rows.
    fn pull(
        &self,
        normed: &[f32],
        query: &Query<'_>,
        (normalizers, d_logprobs): (&[f32], &[f32]),
        tokens: Range<usize>,
        mut d_weight: Option<&mut [f32]>,
    ) -> Vec<f32> {
        let width = self.width();
        let mut d_normed = vec![0.0; normed.len()];
        let mut logits = Vec::new();
        for block in token_blocks(tokens.clone()) {
            let weight = self.weight.rows(block.clone(), width);
            for start in (0..query.rows.len()).step_by(ENTRIES) {
                let entries = start..query.rows.len().min(start + ENTRIES);
                let at = entries.start * width..entries.end * width;
                self.logits(&normed[at.clone()], block.clone(), query.inverse_temperature, &mut logits);
                for (row, entry) in logits.chunks_exact_mut(block.len()).zip(entries.clone()) {
                    let d_logit = d_logprobs[entry] * query.inverse_temperature;
                    let normalizer = normalizers[entry];
                    for logit in row.iter_mut() {
                        *logit = -d_logit * lanes::exp(*logit - normalizer);
                    }
                    if block.contains(&(query.targets[entry] as usize)) {
                        row[query.targets[entry] as usize - block.start] += d_logit;
                    }
                }
                let d_logits = Mat::new(&logits, entries.len(), block.len());
                let weight = Mat::new(&weight, block.len(), width);
                let d_rows = MatMut::new(&mut d_normed[at.clone()], entries.len(), width);
                multiply(d_rows, d_logits, weight, 1.0, Write::Add);
                let Some(d_weight) = &mut d_weight else { continue };
                let target = &mut d_weight[(block.start - tokens.start) * width..][..block.len() * width];
                let rows = Mat::new(&normed[at], entries.len(), width);
                multiply(MatMut::new(target, block.len(), width), d_logits.t(), rows, 1.0, Write::Add);
            }
        }
        d_normed
    }
}

fn token_blocks(tokens: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = tokens.end;
    tokens.step_by(TOKENS).map(move |start| start..end.min(start + TOKENS))
}

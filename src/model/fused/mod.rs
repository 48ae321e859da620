//! The forward and backward pass on a CPU: whole layers over blocks of rows, outside the tensor library.
//!
//! Guarantees the numbers of [`plain`](super::plain) within rounding, in less time and memory, and the
//! same bits whatever the number of threads: work is cut by shapes alone and summed in order.

pub(crate) mod attention;
mod gradient;
pub(crate) mod graph;
pub(crate) mod head;
mod layer;
pub(crate) mod parameters;
mod rows;
pub(crate) mod weight;

use rayon::prelude::*;

use self::attention::{Attention, Heads};
use self::gradient::Gradient;
use self::head::{Head, HeadGradients, Query};
use self::layer::{Frame, LayerTape};
use self::parameters::Parameters;
use self::weight::Weight;
use super::config::QwenConfig;
use super::kernels::lanes;
use super::kernels::rope::Rope;
use super::network::Activations;
use super::tree::Packed;

/// Values kept for the backward pass (2 GiB). Beyond, layers keep their inputs only and run forward once more.
const KEPT_VALUES: usize = 1 << 29;

/// Whether a pass over so many rows keeps what its layers save.
pub(crate) fn keeps_layers(config: &QwenConfig, rows: usize) -> bool {
    let row = 3 * Heads::new(config).row_width() + 2 * config.hidden_size + 2 * config.intermediate_size;
    row * rows * config.layers <= KEPT_VALUES
}

/// What the forward pass leaves for the backward pass.
#[derive(Debug)]
pub(crate) struct Tape {
    /// Each layer's input, then the last one's output (T, hidden).
    inputs: Vec<Vec<f32>>,
    /// What each layer saved; empty where layers run again.
    layers: Vec<LayerTape>,
}

/// The keys and values of a forward pass: one matrix (T, query + key + value widths) a layer.
#[derive(Debug)]
pub(crate) struct Trunk {
    /// Queries, keys and values.
    pub(crate) qkv: Vec<Vec<f32>>,
    /// The last layer's output (T, hidden).
    pub(crate) hidden: Vec<f32>,
}

impl<'a> Parameters<Weight<'a>> {
    /// The head's weights.
    pub(crate) fn head(&self, config: &QwenConfig) -> Head<'a> {
        let weight = self.head.unwrap_or(self.embedding);
        Head { norm: self.norm.open(), weight, eps: config.rms_norm_eps as f32 }
    }
}

fn frame<'a>(config: &'a QwenConfig, packed: &'a Packed) -> Frame<'a> {
    let positions = packed.positions().iter().max().map_or(0, |&last| last as usize + 1);
    Frame {
        config,
        heads: Heads::new(config),
        attention: Attention::new(config, packed),
        rope: Rope::new(config, positions),
        positions: packed.positions(),
    }
}

fn embed(config: &QwenConfig, weights: &Parameters<Weight<'_>>, tokens: &[u32]) -> Vec<f32> {
    let width = config.hidden_size;
    let mut rows = Vec::with_capacity(tokens.len() * width);
    for &token in tokens {
        rows.extend_from_slice(&weights.embedding.rows(token as usize..token as usize + 1, width));
    }
    rows
}

/// Runs forward and keeps what the backward pass needs.
pub(crate) fn forward(
    config: &QwenConfig,
    weights: &Parameters<Weight<'_>>,
    packed: &Packed,
    activations: Activations,
) -> Tape {
    let frame = frame(config, packed);
    let keep = activations == Activations::Kept && keeps_layers(config, packed.tokens().len());
    let mut tape = Tape { inputs: vec![embed(config, weights, packed.tokens())], layers: Vec::new() };
    for layer in &weights.layers {
        let x = tape.inputs.last().expect("invariant: the embedding is first");
        let (out, saved) = frame.forward(&layer.open().view(), x);
        tape.inputs.push(out);
        tape.layers.extend(keep.then_some(saved));
    }
    tape
}

/// Runs forward and keeps keys and values.
pub(crate) fn prefill(config: &QwenConfig, weights: &Parameters<Weight<'_>>, packed: &Packed) -> Trunk {
    let frame = frame(config, packed);
    let mut trunk = Trunk { qkv: Vec::new(), hidden: embed(config, weights, packed.tokens()) };
    for layer in &weights.layers {
        let (out, saved) = frame.forward(&layer.open().view(), &trunk.hidden);
        trunk.qkv.push(saved.qkv);
        trunk.hidden = out;
    }
    trunk
}

impl Tape {
    /// The last layer's output (T, hidden).
    pub(crate) fn hidden(&self) -> &[f32] {
        self.inputs.last().expect("invariant: the embedding is first")
    }

    /// The gradients of what is trained, given those of the log-probabilities.
    pub(crate) fn backward<'a>(
        &self,
        (config, weights): (&QwenConfig, &Parameters<Weight<'a>>),
        packed: &Packed,
        query: &Query<'_>,
        upstream: (&[f32], &[f32]),
    ) -> Parameters<Gradient<'a>> {
        let mut gradients = weights.map(Gradient::zeros);
        let mut d_x = vec![0.0; self.hidden().len()];
        let Parameters { embedding, head, norm, layers } = &mut gradients;
        let weight = head.as_mut().unwrap_or(&mut *embedding).whole().map(Vec::as_mut_slice);
        let norm = norm.whole().map(Vec::as_mut_slice);
        let parts = HeadGradients { norm, weight, hidden: &mut d_x };
        weights.head(config).backward(self.hidden(), query, upstream, parts);
        let frame = frame(config, packed);
        for (index, layer) in weights.layers.iter().enumerate().rev() {
            let x = &self.inputs[index];
            let (opened, gradients) = (layer.open(), &mut layers[index]);
            let again = self.layers.is_empty().then(|| frame.forward(&opened.view(), x).1);
            let saved = again.as_ref().unwrap_or_else(|| &self.layers[index]);
            d_x = frame.backward(&opened.view(), gradients, (x, saved), &d_x);
        }
        if let Some(embedding) = embedding.whole() {
            scatter(config.hidden_size, packed.tokens(), &d_x, embedding);
        }
        gradients
    }
}

/// Adds each row's gradient to its token's, in the order of the rows; threads share the columns' blocks.
fn scatter(width: usize, tokens: &[u32], d_x: &[f32], d_embedding: &mut [f32]) {
    let mut rows: Vec<usize> = (0..tokens.len()).collect();
    rows.sort_by_key(|&row| tokens[row]);
    let mut work: Vec<(&mut [f32], &[usize])> = Vec::new();
    let (mut rest, mut next) = (d_embedding, 0);
    for same in rows.chunk_by(|&a, &b| tokens[a] == tokens[b]) {
        let token = tokens[same[0]] as usize;
        let (target, after) = rest.split_at_mut((token - next) * width).1.split_at_mut(width);
        work.push((target, same));
        (rest, next) = (after, token + 1);
    }
    work.into_par_iter().with_min_len(64).for_each(|(target, rows)| {
        for &row in rows {
            lanes::add(target, &d_x[row * width..][..width]);
        }
    });
}

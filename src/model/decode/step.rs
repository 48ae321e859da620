//! One token of many replies: each attends to its prompt's rows of the trunk and to its own tail.

use std::ops::Range;

use rayon::prelude::*;

use crate::model::config::QwenConfig;
use crate::model::fused::attention::Heads;
use crate::model::fused::head::Head;
use crate::model::fused::parameters::{Layer, Parameters};
use crate::model::fused::weight::Weight;
use crate::model::fused::{Trunk, prefill};
use crate::model::kernels::panel::{Panels, Strided};
use crate::model::kernels::rope::Rope;
use crate::model::kernels::{gate, lanes, norm};
use crate::model::tree::Packed;

/// The weights, laid out for few rows.
pub(super) struct Decoder<'a> {
    config: &'a QwenConfig,
    heads: Heads,
    rope: Rope,
    weights: &'a Parameters<Weight<'a>>,
    layers: Vec<DecoderLayer>,
    head: Head<'a>,
    head_panels: Panels,
}

struct DecoderLayer {
    input_norm: Vec<f32>,
    biases: Option<[Vec<f32>; 3]>,
    head_norms: Option<[Vec<f32>; 2]>,
    middle_norm: Vec<f32>,
    projections: Panels,
    output: Panels,
    gate_up: Panels,
    down: Panels,
}

/// Prompts that were read together: the keys and values of their trunk, laid out for few rows.
pub(super) struct Read {
    layers: Vec<ReadLayer>,
    prompts: Vec<PromptRows>,
}

struct ReadLayer {
    /// The trunk's keys of each key head: outputs are rows of the trunk.
    keys: Vec<Panels>,
    /// The trunk's values of each key head: inputs are rows of the trunk.
    values: Vec<Panels>,
}

struct PromptRows {
    /// Its rows of the trunk.
    spans: Vec<Range<usize>>,
    length: usize,
    /// The normalised hidden values after its last token.
    last: Vec<f32>,
}

/// A reply's own keys and values, layer by layer, token by token.
#[derive(Debug, Default)]
pub(super) struct Tail {
    layers: Vec<(Vec<f32>, Vec<f32>)>,
}

/// One reply's newest token.
pub(super) struct Row<'a> {
    pub(super) read: &'a Read,
    /// Which of the prompts that were read.
    pub(super) prompt: usize,
    pub(super) token: u32,
    pub(super) position: u32,
    pub(super) tail: &'a mut Tail,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(config: &'a QwenConfig, weights: &'a Parameters<Weight<'a>>, positions: usize) -> Self {
        let head = weights.head(config);
        Self {
            config,
            heads: Heads::new(config),
            rope: Rope::new(config, positions),
            weights,
            layers: weights.layers.par_iter().map(|layer| DecoderLayer::new(config, layer)).collect(),
            head_panels: Panels::new(&head.weight.open(), config.vocab_size, config.hidden_size),
            head,
        }
    }

    /// Reads prompts, shared beginnings once.
    pub(super) fn read(&self, packed: &Packed) -> Read {
        let trunk = prefill(self.config, self.weights, packed);
        let prompt = |index| PromptRows::new(&self.head, packed, &trunk, index);
        Read {
            layers: trunk.qkv.par_iter().map(|qkv| ReadLayer::new(self.heads, qkv)).collect(),
            prompts: (0..packed.sequences()).map(prompt).collect(),
        }
    }

    /// The logits after prompts (prompts, vocabulary).
    pub(super) fn prompt_logits<'r>(&self, prompts: impl Iterator<Item = (&'r Read, usize)>) -> Vec<f32> {
        let last: Vec<f32> = prompts.flat_map(|(read, prompt)| &read.prompts[prompt].last).copied().collect();
        self.logits(&last)
    }

    fn logits(&self, normed: &[f32]) -> Vec<f32> {
        let mut logits = vec![0.0; normed.len() / self.config.hidden_size * self.config.vocab_size];
        self.head_panels.apply(normed, &mut logits);
        logits
    }

    /// The logits after each row's token (rows, vocabulary); rows of a prompt stand together.
    pub(super) fn step(&self, rows: &mut [Row<'_>]) -> Vec<f32> {
        let hidden = self.config.hidden_size;
        let mut x = Vec::with_capacity(rows.len() * hidden);
        for row in rows.iter() {
            x.extend_from_slice(
                &self.weights.embedding.rows(row.token as usize..row.token as usize + 1, hidden),
            );
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let mixed = self.attend(layer, index, &x, rows);
            let mut out = vec![0.0; x.len()];
            layer.output.apply(&mixed, &mut out);
            lanes::add(&mut x, &out);
            self.feed(layer, &mut x);
        }
        self.logits(&self.normed(&x, &self.head.norm))
    }

    fn normed(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let (hidden, eps) = (self.config.hidden_size, self.config.rms_norm_eps as f32);
        let mut normed = vec![0.0; x.len()];
        for (x, out) in x.chunks_exact(hidden).zip(normed.chunks_exact_mut(hidden)) {
            norm::normalize(x, weight, eps, out);
        }
        normed
    }

    fn feed(&self, layer: &DecoderLayer, x: &mut [f32]) {
        let (hidden, gated) = (self.config.hidden_size, self.config.intermediate_size);
        let rows = x.len() / hidden;
        let mut gate_up = vec![0.0; rows * 2 * gated];
        layer.gate_up.apply(&self.normed(x, &layer.middle_norm), &mut gate_up);
        let mut activated = vec![0.0; rows * gated];
        for (gate_up, out) in gate_up.chunks_exact(2 * gated).zip(activated.chunks_exact_mut(gated)) {
            gate::forward(gate_up, out);
        }
        let mut out = vec![0.0; x.len()];
        layer.down.apply(&activated, &mut out);
        lanes::add(x, &out);
    }

    /// The mixed values of each row (rows, query width); appends to the tails.
    fn attend(&self, layer: &DecoderLayer, index: usize, x: &[f32], rows: &mut [Row<'_>]) -> Vec<f32> {
        let (width, query) = (self.heads.row_width(), self.heads.query_width());
        let mut qkv = vec![0.0; rows.len() * width];
        layer.projections.apply(&self.normed(x, &layer.input_norm), &mut qkv);
        for (qkv, row) in qkv.chunks_exact_mut(width).zip(rows.iter_mut()) {
            self.finish_projections(layer, qkv, row.position);
            row.tail.push(index, &qkv[query..], self.heads.kv_width());
        }
        let mut mixed = vec![0.0; rows.len() * query];
        let mut start = 0;
        let same = |a: &Row<'_>, b: &Row<'_>| std::ptr::eq(a.read, b.read) && a.prompt == b.prompt;
        for rows in rows.chunk_by(same) {
            let end = start + rows.len();
            let Row { read, prompt, .. } = rows[0];
            let group = Group { heads: self.heads, prompt: &read.prompts[prompt], rows, index };
            group.mix(
                &read.layers[index],
                &qkv[start * width..end * width],
                &mut mixed[start * query..end * query],
            );
            start = end;
        }
        mixed
    }

    /// Biases, head norms, position.
    fn finish_projections(&self, layer: &DecoderLayer, qkv: &mut [f32], position: u32) {
        let (query, kv, head_width) = (self.heads.query_width(), self.heads.kv_width(), self.heads.width);
        if let Some(biases) = &layer.biases {
            for (start, bias) in [0, query, query + kv].into_iter().zip(biases) {
                lanes::add(&mut qkv[start..start + bias.len()], bias);
            }
        }
        let turned = &mut qkv[..query + kv];
        if let Some(norms) = &layer.head_norms {
            for (head, values) in turned.chunks_exact_mut(head_width).enumerate() {
                let weight = &norms[usize::from(head >= self.heads.count())];
                let raw = values.to_vec();
                norm::normalize(&raw, weight, self.config.rms_norm_eps as f32, values);
            }
        }
        self.rope.turn(turned, position);
    }
}

impl DecoderLayer {
    fn new(config: &QwenConfig, weights: &Layer<Weight<'_>>) -> Self {
        let opened = weights.open();
        let weights = opened.view();
        let (heads, hidden, gated) = (Heads::new(config), config.hidden_size, config.intermediate_size);
        let owned = |values: &[f32]| values.to_vec();
        Self {
            input_norm: owned(weights.input_norm),
            biases: weights.biases.map(|biases| biases.map(owned)),
            head_norms: weights.head_norms.map(|norms| norms.map(owned)),
            middle_norm: owned(weights.middle_norm),
            projections: Panels::stacked(&weights.projections, heads.row_width(), hidden),
            output: Panels::new(weights.output, hidden, heads.query_width()),
            gate_up: Panels::stacked(&[weights.gate, weights.up], 2 * gated, hidden),
            down: Panels::new(weights.down, hidden, gated),
        }
    }
}

impl ReadLayer {
    fn new(heads: Heads, qkv: &[f32]) -> Self {
        let (width, stride) = (heads.width, heads.row_width());
        let rows = qkv.len() / stride;
        let columns = |start: usize| qkv.chunks_exact(stride).map(move |row| &row[start..start + width]);
        let keys = |head: usize| heads.query_width() + head * width;
        let values = |head: usize| keys(head) + heads.kv_width();
        Self {
            keys: (0..heads.kv).map(|head| Panels::from_rows(columns(keys(head)), rows, width)).collect(),
            values: (0..heads.kv)
                .map(|head| Panels::from_columns(columns(values(head)), width, rows))
                .collect(),
        }
    }
}

impl PromptRows {
    fn new(head: &Head<'_>, packed: &Packed, trunk: &Trunk, index: usize) -> Self {
        let spans = packed.spans(index);
        let last = spans.last().expect("invariant: a prompt has tokens").end - 1;
        Self {
            length: spans.iter().map(Range::len).sum(),
            spans,
            last: head.normed(&trunk.hidden, &[last as u32]),
        }
    }
}

impl Tail {
    /// Appends a token's keys and values, which stand one after the other.
    fn push(&mut self, layer: usize, keys_values: &[f32], width: usize) {
        if self.layers.len() == layer {
            self.layers.push((Vec::new(), Vec::new()));
        }
        let (keys, values) = &mut self.layers[layer];
        keys.extend_from_slice(&keys_values[..width]);
        values.extend_from_slice(&keys_values[width..]);
    }
}

/// Rows with one prompt, whose trunk they read together.
struct Group<'a, 'b> {
    heads: Heads,
    prompt: &'a PromptRows,
    rows: &'a [Row<'b>],
    index: usize,
}

impl Group<'_, '_> {
    fn mix(&self, layer: &ReadLayer, qkv: &[f32], mixed: &mut [f32]) {
        let Heads { kv, group, width } = self.heads;
        for head in 0..kv {
            // (rows of the batch) × (query heads of the group) rows of queries.
            let (stride, start) = (self.heads.row_width(), head * group * width);
            let queries: Vec<f32> = qkv
                .chunks_exact(stride)
                .flat_map(|row| &row[start..start + group * width])
                .copied()
                .collect();
            let out = self.mix_head((&layer.keys[head], &layer.values[head]), head, &queries);
            let targets = mixed.chunks_exact_mut(self.heads.query_width());
            for (target, values) in targets.zip(out.chunks_exact(group * width)) {
                target[start..start + group * width].copy_from_slice(values);
            }
        }
    }

    fn mix_head(&self, (keys, values): (&Panels, &Panels), head: usize, queries: &[f32]) -> Vec<f32> {
        let (width, kv_width) = (self.heads.width, self.heads.kv_width());
        let tail_length = self.rows[0].tail.layers[self.index].0.len() / kv_width;
        let stride = self.prompt.length + tail_length;
        let count = queries.len() / width;
        let mut weights = vec![0.0; count * stride];
        let mut column = 0;
        for span in &self.prompt.spans {
            let target = (&mut weights[column..], stride);
            keys.apply_outputs(Strided { data: queries, stride: width }, span.clone(), target);
            column += span.len();
        }
        let mut sums = Vec::with_capacity(count);
        for (index, (weights, query)) in
            weights.chunks_exact_mut(stride).zip(queries.chunks_exact(width)).enumerate()
        {
            let tail = &self.rows[index / self.heads.group].tail.layers[self.index].0;
            for (weight, key) in weights[column..].iter_mut().zip(tail.chunks_exact(kv_width)) {
                *weight = lanes::dot(query, &key[head * width..(head + 1) * width]);
            }
            lanes::scale(weights, (width as f32).sqrt().recip());
            sums.push(lanes::exp_in_place(weights, lanes::max(weights)));
        }
        let mut out = vec![0.0; queries.len()];
        self.mix_values(values, head, (&weights, stride), &mut out);
        for (out, sum) in out.chunks_exact_mut(width).zip(sums) {
            lanes::scale(out, sum.recip());
        }
        out
    }

    fn mix_values(&self, values: &Panels, head: usize, (weights, stride): (&[f32], usize), out: &mut [f32]) {
        let (width, kv_width) = (self.heads.width, self.heads.kv_width());
        let mut column = 0;
        for span in &self.prompt.spans {
            values.add_inputs(Strided { data: &weights[column..], stride }, span.clone(), out);
            column += span.len();
        }
        for (index, (weights, out)) in
            weights.chunks_exact(stride).zip(out.chunks_exact_mut(width)).enumerate()
        {
            let tail = &self.rows[index / self.heads.group].tail.layers[self.index].1;
            for (&weight, value) in weights[column..].iter().zip(tail.chunks_exact(kv_width)) {
                lanes::add_scaled(out, weight, &value[head * width..(head + 1) * width]);
            }
        }
    }
}

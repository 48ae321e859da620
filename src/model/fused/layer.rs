//! One layer, forward and backward: three passes over blocks of rows each way, with attention between them.

use rayon::prelude::*;

use super::attention::{Attention, Heads, Saved};
use super::gradient::{Gradient, outer_products};
use super::parameters::Layer;
use super::rows::{BLOCK, add_parts, blocks, blocks_mut};
use crate::model::config::QwenConfig;
use crate::model::kernels::matmul::{Mat, MatMut, Write, multiply};
use crate::model::kernels::rope::Rope;
use crate::model::kernels::{gate, lanes, norm};

/// What all layers of a pass share.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) config: &'a QwenConfig,
    pub(crate) heads: Heads,
    pub(crate) attention: Attention,
    pub(crate) rope: Rope,
    /// The position of each row.
    pub(crate) positions: &'a [u32],
}

/// What the forward pass of a layer leaves.
#[derive(Debug)]
pub(crate) struct LayerTape {
    /// Queries, keys and values, turned (T, row width).
    pub(crate) qkv: Vec<f32>,
    /// Queries and keys before their norms (T, query + key width); empty without such norms.
    raw: Vec<f32>,
    mixed: Vec<f32>,
    normalizers: Vec<f32>,
    middle: Vec<f32>,
    gate_up: Vec<f32>,
}

/// Gradients on their way back through a layer.
struct Backward {
    normed: Vec<f32>,
    gated: Vec<f32>,
    d_gate_up: Vec<f32>,
    d_middle: Vec<f32>,
    d_mixed: Vec<f32>,
    d_qkv: Vec<f32>,
}

impl Frame<'_> {
    pub(crate) fn rows(&self) -> usize {
        self.positions.len()
    }

    fn hidden(&self) -> usize {
        self.config.hidden_size
    }

    fn gated(&self) -> usize {
        self.config.intermediate_size
    }

    fn eps(&self) -> f32 {
        self.config.rms_norm_eps as f32
    }

    /// Width of the rows of [`LayerTape::raw`].
    fn raw_width<T>(&self, weights: &Layer<T>) -> usize {
        if weights.head_norms.is_some() { self.heads.query_width() + self.heads.kv_width() } else { 0 }
    }

    /// The first columns of queries, keys and values in a row, and their widths.
    fn parts(&self) -> [(usize, usize); 3] {
        let (query, kv) = (self.heads.query_width(), self.heads.kv_width());
        [(0, query), (query, kv), (query + kv, kv)]
    }

    /// The layer's output (T, hidden) and what its backward pass needs.
    pub(crate) fn forward(&self, weights: &Layer<&[f32]>, x: &[f32]) -> (Vec<f32>, LayerTape) {
        let rows = self.rows();
        let (qkv, raw) = self.project(weights, x);
        let mut mixed = vec![0.0; rows * self.heads.query_width()];
        let mut normalizers = vec![0.0; rows * self.heads.count()];
        self.attention.forward(&qkv, &mut mixed, &mut normalizers);
        let mut tape = LayerTape {
            qkv,
            raw,
            mixed,
            normalizers,
            middle: x.to_vec(),
            gate_up: vec![0.0; rows * 2 * self.gated()],
        };
        let out = self.feed(weights, &mut tape);
        (out, tape)
    }

    /// Norm, projections, head norms, positions.
    fn project(&self, weights: &Layer<&[f32]>, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (rows, hidden, width) = (self.rows(), self.hidden(), self.heads.row_width());
        let raw_width = self.raw_width(weights);
        let (mut qkv, mut raw) = (vec![0.0; rows * width], vec![0.0; rows * raw_width]);
        let work: Vec<_> = blocks(x, hidden, rows)
            .into_iter()
            .zip(blocks_mut(&mut qkv, width, rows))
            .zip(blocks_mut(&mut raw, raw_width, rows))
            .zip(self.positions.chunks(BLOCK))
            .collect();
        work.into_par_iter().for_each(|(((x, qkv), raw), positions)| {
            let normed = self.normed(x, weights.input_norm);
            self.multiply_projections(weights, &normed, qkv);
            for (index, (row, &position)) in qkv.chunks_exact_mut(width).zip(positions).enumerate() {
                let turned = &mut row[..self.heads.query_width() + self.heads.kv_width()];
                if let Some(norms) = weights.head_norms {
                    let raw = &mut raw[index * raw_width..][..raw_width];
                    raw.copy_from_slice(turned);
                    self.normalize_heads(norms, raw, turned);
                }
                self.rope.turn(turned, position);
            }
        });
        (qkv, raw)
    }

    fn multiply_projections(&self, weights: &Layer<&[f32]>, normed: &[f32], qkv: &mut [f32]) {
        let (hidden, stride) = (self.hidden(), self.heads.row_width());
        let rows = normed.len() / hidden;
        for (index, (column, width)) in self.parts().into_iter().enumerate() {
            let weight = Mat::new(weights.projections[index], width, hidden);
            let out = MatMut::strided(&mut qkv[column..], rows, width, stride);
            multiply(out, Mat::new(normed, rows, hidden), weight.t(), 1.0, Write::Set);
            if let Some(biases) = weights.biases {
                for row in qkv[column..].chunks_mut(stride) {
                    lanes::add(&mut row[..width], biases[index]);
                }
            }
        }
    }

    fn normalize_heads(&self, norms: [&[f32]; 2], raw: &[f32], out: &mut [f32]) {
        let width = self.heads.width;
        for (head, (x, out)) in raw.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
            norm::normalize(x, norms[usize::from(head >= self.heads.count())], self.eps(), out);
        }
    }

    /// Output projection, residual, norm, gated layer, residual. `tape.middle` holds the layer's input.
    fn feed(&self, weights: &Layer<&[f32]>, tape: &mut LayerTape) -> Vec<f32> {
        let (total, hidden, gated, query) =
            (self.rows(), self.hidden(), self.gated(), self.heads.query_width());
        let mut out = vec![0.0; total * hidden];
        let work: Vec<_> = blocks(&tape.mixed, query, total)
            .into_iter()
            .zip(blocks_mut(&mut tape.middle, hidden, total))
            .zip(blocks_mut(&mut tape.gate_up, 2 * gated, total))
            .zip(blocks_mut(&mut out, hidden, total))
            .collect();
        work.into_par_iter().for_each(|(((mixed, middle), gate_up), out)| {
            let rows = mixed.len() / query;
            let output = Mat::new(weights.output, hidden, query);
            multiply(
                MatMut::new(middle, rows, hidden),
                Mat::new(mixed, rows, query),
                output.t(),
                1.0,
                Write::Add,
            );
            let normed = self.normed(middle, weights.middle_norm);
            for (column, weight) in [(0, weights.gate), (gated, weights.up)] {
                let target = MatMut::strided(&mut gate_up[column..], rows, gated, 2 * gated);
                let weight = Mat::new(weight, gated, hidden);
                multiply(target, Mat::new(&normed, rows, hidden), weight.t(), 1.0, Write::Set);
            }
            let activated = self.activated(gate_up);
            out.copy_from_slice(middle);
            let down = Mat::new(weights.down, hidden, gated);
            multiply(
                MatMut::new(out, rows, hidden),
                Mat::new(&activated, rows, gated),
                down.t(),
                1.0,
                Write::Add,
            );
        });
        out
    }

    fn normed(&self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let mut normed = vec![0.0; x.len()];
        for (x, out) in x.chunks_exact(self.hidden()).zip(normed.chunks_exact_mut(self.hidden())) {
            norm::normalize(x, weight, self.eps(), out);
        }
        normed
    }

    fn activated(&self, gate_up: &[f32]) -> Vec<f32> {
        let mut activated = vec![0.0; gate_up.len() / 2];
        let rows = gate_up.chunks_exact(2 * self.gated()).zip(activated.chunks_exact_mut(self.gated()));
        rows.for_each(|(gate_up, out)| gate::forward(gate_up, out));
        activated
    }

    /// The gradient of the layer's input, given that of its output; fills the gradients of the weights.
    pub(crate) fn backward(
        &self,
        weights: &Layer<&[f32]>,
        gradients: &mut Layer<Gradient<'_>>,
        (x, tape): (&[f32], &LayerTape),
        d_out: &[f32],
    ) -> Vec<f32> {
        let mut pass = self.feed_backward(weights, gradients, tape, d_out);
        let saved = Saved { qkv: &tape.qkv, mixed: &tape.mixed, normalizers: &tape.normalizers };
        self.attention.backward(&saved, &pass.d_mixed, &mut pass.d_qkv);
        self.weigh_feed(gradients, tape, &pass, d_out);
        let d_x = self.project_backward(weights, gradients, (x, tape), &mut pass);
        self.weigh_projections(gradients, &pass);
        d_x
    }

    fn feed_backward(
        &self,
        weights: &Layer<&[f32]>,
        gradients: &mut Layer<Gradient<'_>>,
        tape: &LayerTape,
        d_out: &[f32],
    ) -> Backward {
        let (total, hidden, gated, query) =
            (self.rows(), self.hidden(), self.gated(), self.heads.query_width());
        let mut pass = Backward {
            normed: vec![0.0; total * hidden],
            gated: vec![0.0; total * gated],
            d_gate_up: vec![0.0; total * 2 * gated],
            d_middle: d_out.to_vec(),
            d_mixed: vec![0.0; total * query],
            d_qkv: vec![0.0; total * self.heads.row_width()],
        };
        let reads =
            blocks(&tape.middle, hidden, total).into_iter().zip(blocks(&tape.gate_up, 2 * gated, total));
        let work: Vec<_> = reads
            .zip(blocks_mut(&mut pass.normed, hidden, total))
            .zip(blocks_mut(&mut pass.gated, gated, total))
            .zip(blocks_mut(&mut pass.d_gate_up, 2 * gated, total))
            .zip(blocks_mut(&mut pass.d_middle, hidden, total))
            .zip(blocks_mut(&mut pass.d_mixed, query, total))
            .collect();
        let parts: Vec<Vec<f32>> = work
            .into_par_iter()
            .map(|((((((middle, gate_up), normed), activated), d_gate_up), d_middle), d_mixed)| {
                let rows = middle.len() / hidden;
                normed.copy_from_slice(&self.normed(middle, weights.middle_norm));
                activated.copy_from_slice(&self.activated(gate_up));
                self.gate_backward(weights, gate_up, d_middle, d_gate_up);
                let d_normed = self.gate_input_backward(weights, d_gate_up);
                let part = self.norm_backward(weights.middle_norm, middle, &d_normed, d_middle);
                let output = Mat::new(weights.output, hidden, query);
                let d_middle = Mat::new(d_middle, rows, hidden);
                multiply(MatMut::new(d_mixed, rows, query), d_middle, output, 1.0, Write::Set);
                part
            })
            .collect();
        if let Some(gradient) = gradients.middle_norm.whole() {
            add_parts(gradient, &parts);
        }
        pass
    }

    /// d_out → gradients of gates and values.
    fn gate_backward(&self, weights: &Layer<&[f32]>, gate_up: &[f32], d_out: &[f32], d_gate_up: &mut [f32]) {
        let (hidden, gated) = (self.hidden(), self.gated());
        let rows = d_out.len() / hidden;
        let mut d_activated = vec![0.0; rows * gated];
        let down = Mat::new(weights.down, hidden, gated);
        multiply(
            MatMut::new(&mut d_activated, rows, gated),
            Mat::new(d_out, rows, hidden),
            down,
            1.0,
            Write::Set,
        );
        let rows = gate_up.chunks_exact(2 * gated).zip(d_activated.chunks_exact(gated));
        for ((gate_up, dy), d_gate_up) in rows.zip(d_gate_up.chunks_exact_mut(2 * gated)) {
            gate::backward(gate_up, dy, d_gate_up);
        }
    }

    fn gate_input_backward(&self, weights: &Layer<&[f32]>, d_gate_up: &[f32]) -> Vec<f32> {
        let (hidden, gated) = (self.hidden(), self.gated());
        let rows = d_gate_up.len() / (2 * gated);
        let mut d_normed = vec![0.0; rows * hidden];
        for (column, weight) in [(0, weights.gate), (gated, weights.up)] {
            let d_part = Mat::strided(&d_gate_up[column..], rows, gated, 2 * gated);
            let target = MatMut::new(&mut d_normed, rows, hidden);
            multiply(target, d_part, Mat::new(weight, gated, hidden), 1.0, Write::Add);
        }
        d_normed
    }

    /// Adds to `d_x`, and gives the block's part of the weight's gradient.
    fn norm_backward(&self, weight: &[f32], x: &[f32], dy: &[f32], d_x: &mut [f32]) -> Vec<f32> {
        let hidden = self.hidden();
        let mut d_weight = vec![0.0; hidden];
        let rows = x.chunks_exact(hidden).zip(dy.chunks_exact(hidden)).zip(d_x.chunks_exact_mut(hidden));
        for ((x, dy), d_x) in rows {
            norm::backward(x, weight, norm::factor(x, self.eps()), dy, d_x, &mut d_weight);
        }
        d_weight
    }

    /// The gradient of the layer's input; turns `pass.d_qkv` back and refills `pass.normed`.
    fn project_backward(
        &self,
        weights: &Layer<&[f32]>,
        gradients: &mut Layer<Gradient<'_>>,
        (x, tape): (&[f32], &LayerTape),
        pass: &mut Backward,
    ) -> Vec<f32> {
        let (total, hidden, width) = (self.rows(), self.hidden(), self.heads.row_width());
        let mut d_x = std::mem::take(&mut pass.d_middle);
        let reads =
            blocks(x, hidden, total).into_iter().zip(blocks(&tape.raw, self.raw_width(weights), total));
        let work: Vec<_> = reads
            .zip(self.positions.chunks(BLOCK))
            .zip(blocks_mut(&mut pass.d_qkv, width, total))
            .zip(blocks_mut(&mut pass.normed, hidden, total))
            .zip(blocks_mut(&mut d_x, hidden, total))
            .collect();
        let parts: Vec<(Vec<f32>, Vec<f32>)> = work
            .into_par_iter()
            .map(|(((((x, raw), positions), d_qkv), normed), d_x)| {
                normed.copy_from_slice(&self.normed(x, weights.input_norm));
                let heads_part = self.turn_back(weights, raw, positions, d_qkv);
                let d_normed = self.projections_backward(weights, d_qkv);
                (self.norm_backward(weights.input_norm, x, &d_normed, d_x), heads_part)
            })
            .collect();
        let (norm_parts, head_parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        if let Some(gradient) = gradients.input_norm.whole() {
            add_parts(gradient, &norm_parts);
        }
        self.add_small_gradients(gradients, &head_parts, &pass.d_qkv);
        d_x
    }

    /// Undoes the positions and head norms of gradients; gives the block's part of the head norms' gradients.
    fn turn_back(
        &self,
        weights: &Layer<&[f32]>,
        raw: &[f32],
        positions: &[u32],
        d_qkv: &mut [f32],
    ) -> Vec<f32> {
        let (head_width, raw_width) = (self.heads.width, self.raw_width(weights));
        let turned = self.heads.query_width() + self.heads.kv_width();
        let mut parts = vec![0.0; 2 * head_width];
        for (index, (row, &position)) in
            d_qkv.chunks_exact_mut(self.heads.row_width()).zip(positions).enumerate()
        {
            let row = &mut row[..turned];
            self.rope.turn_back(row, position);
            let Some(norms) = weights.head_norms else { continue };
            let raw = &raw[index * raw_width..][..raw_width];
            for (head, (x, dy)) in
                raw.chunks_exact(head_width).zip(row.chunks_exact_mut(head_width)).enumerate()
            {
                let which = usize::from(head >= self.heads.count());
                let part = &mut parts[which * head_width..][..head_width];
                let mut d_x = vec![0.0; head_width];
                norm::backward(x, norms[which], norm::factor(x, self.eps()), dy, &mut d_x, part);
                dy.copy_from_slice(&d_x);
            }
        }
        parts
    }

    fn projections_backward(&self, weights: &Layer<&[f32]>, d_qkv: &[f32]) -> Vec<f32> {
        let (hidden, stride) = (self.hidden(), self.heads.row_width());
        let rows = d_qkv.len() / stride;
        let mut d_normed = vec![0.0; rows * hidden];
        for (index, (column, width)) in self.parts().into_iter().enumerate() {
            let d_part = Mat::strided(&d_qkv[column..], rows, width, stride);
            let weight = Mat::new(weights.projections[index], width, hidden);
            multiply(MatMut::new(&mut d_normed, rows, hidden), d_part, weight, 1.0, Write::Add);
        }
        d_normed
    }

    fn add_small_gradients(
        &self,
        gradients: &mut Layer<Gradient<'_>>,
        head_parts: &[Vec<f32>],
        d_qkv: &[f32],
    ) {
        let width = self.heads.width;
        for (index, norm) in gradients.head_norms.iter_mut().flatten().enumerate() {
            let Some(norm) = norm.whole() else { continue };
            for part in head_parts {
                lanes::add(norm, &part[index * width..][..width]);
            }
        }
        let biases = gradients.biases.iter_mut().flatten();
        for ((column, _), bias) in self.parts().into_iter().zip(biases) {
            if let Some(bias) = bias.whole() {
                norm::add_rows(&d_qkv[column..], self.heads.row_width(), bias);
            }
        }
    }

    /// Gradients of the weights behind attention.
    fn weigh_feed(
        &self,
        gradients: &mut Layer<Gradient<'_>>,
        tape: &LayerTape,
        pass: &Backward,
        d_out: &[f32],
    ) {
        let (rows, hidden, gated, query) =
            (self.rows(), self.hidden(), self.gated(), self.heads.query_width());
        let normed = Mat::new(&pass.normed, rows, hidden);
        let d_gates = |column: usize| Mat::strided(&pass.d_gate_up[column..], rows, gated, 2 * gated);
        let d_middle = Mat::new(&pass.d_middle, rows, hidden);
        let d_out = Mat::new(d_out, rows, hidden);
        outer_products(vec![
            (&mut gradients.down, d_out, Mat::new(&pass.gated, rows, gated)),
            (&mut gradients.gate, d_gates(0), normed),
            (&mut gradients.up, d_gates(gated), normed),
            (&mut gradients.output, d_middle, Mat::new(&tape.mixed, rows, query)),
        ]);
    }

    /// Gradients of the projections.
    fn weigh_projections(&self, gradients: &mut Layer<Gradient<'_>>, pass: &Backward) {
        let (rows, hidden, stride) = (self.rows(), self.hidden(), self.heads.row_width());
        let normed = Mat::new(&pass.normed, rows, hidden);
        let products =
            self.parts().into_iter().zip(&mut gradients.projections).map(|((column, width), gradient)| {
                (gradient, Mat::strided(&pass.d_qkv[column..], rows, width, stride), normed)
            });
        outer_products(products.collect());
    }
}

//! Attention over a packed tree: each row attends to its ancestors' spans and to its own segment up to itself.
//!
//! Guarantees that no (rows, rows) matrix exists: scores live in blocks of a few queries by a few hundred keys,
//! forward with a running maximum, backward recomputed from the saved normalisers.

use std::ops::Range;

use rayon::prelude::*;

use super::rows::split_mut;
use crate::model::config::QwenConfig;
use crate::model::kernels::lanes;
use crate::model::kernels::matmul::{Mat, MatMut, Write, multiply};
use crate::model::tree::Packed;

/// Queries of a tile, each with all the query heads of a key head.
const QUERIES: usize = 64;
/// Keys of a block.
const KEYS: usize = 256;
/// Values of all partial gradients of keys and values together: 256 MiB.
const PARTIAL_VALUES: usize = 1 << 26;

/// How many chunks of tiles sum the gradients of so many keys and values, each for itself.
pub(crate) fn partials(keys_values: usize) -> usize {
    (PARTIAL_VALUES / keys_values.max(1)).clamp(1, 8)
}

/// The widths of heads, and the tiles of a packed tree.
#[derive(Debug)]
pub(crate) struct Attention {
    heads: Heads,
    tiles: Vec<Tile>,
}

/// How heads lie in a row: queries, keys, values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) kv: usize,
    pub(crate) group: usize,
    pub(crate) width: usize,
}

impl Heads {
    pub(crate) fn new(config: &QwenConfig) -> Self {
        Self { kv: config.kv_heads, group: config.group(), width: config.head_dim }
    }

    pub(crate) fn count(self) -> usize {
        self.kv * self.group
    }

    pub(crate) fn query_width(self) -> usize {
        self.count() * self.width
    }

    pub(crate) fn kv_width(self) -> usize {
        self.kv * self.width
    }

    /// Width of a row of queries, keys and values.
    pub(crate) fn row_width(self) -> usize {
        self.query_width() + 2 * self.kv_width()
    }

    fn scale(self) -> f32 {
        (self.width as f32).sqrt().recip()
    }

    /// The keys of a span for one key head.
    fn keys(self, qkv: &[f32], span: Range<usize>, head: usize) -> Mat<'_> {
        self.part(qkv, span, self.query_width() + head * self.width)
    }

    /// The values of a span for one key head.
    fn values(self, qkv: &[f32], span: Range<usize>, head: usize) -> Mat<'_> {
        self.part(qkv, span, self.query_width() + self.kv_width() + head * self.width)
    }

    fn part(self, qkv: &[f32], span: Range<usize>, column: usize) -> Mat<'_> {
        let stride = self.row_width();
        Mat::strided(&qkv[span.start * stride + column..], span.len(), self.width, stride)
    }
}

/// Some rows of one segment and the keys they see.
#[derive(Debug)]
struct Tile {
    rows: Range<usize>,
    /// Blocks of at most [`KEYS`] rows, ascending.
    blocks: Vec<Range<usize>>,
    /// Keys before this row are seen by every query.
    own: usize,
}

impl Tile {
    /// The number of keys of a block that a query sees.
    fn seen(&self, block: &Range<usize>, row: usize) -> usize {
        if block.end <= self.own {
            block.len()
        } else {
            (row + 1).saturating_sub(block.start).min(block.len())
        }
    }

    fn cost(&self) -> usize {
        self.rows.len() * self.blocks.iter().map(Range::len).sum::<usize>()
    }
}

fn tiles(packed: &Packed) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for segment in packed.segments() {
        for start in segment.rows.clone().step_by(QUERIES) {
            let rows = start..segment.rows.end.min(start + QUERIES);
            let own = segment.rows.start..rows.end;
            let spans = segment.ancestors.iter().cloned().chain([own.clone()]);
            let cut = |span: Range<usize>| {
                let end = span.end;
                span.step_by(KEYS).map(move |start| start..end.min(start + KEYS))
            };
            tiles.push(Tile { rows, blocks: spans.flat_map(cut).collect(), own: own.start });
        }
    }
    tiles
}

impl Attention {
    pub(crate) fn new(config: &QwenConfig, packed: &Packed) -> Self {
        Self { heads: Heads::new(config), tiles: tiles(packed) }
    }

    /// Mixes the values: `mixed` (T, query width), and the normaliser of each row's heads (T, heads).
    pub(crate) fn forward(&self, qkv: &[f32], mixed: &mut [f32], normalizers: &mut [f32]) {
        let ends = || self.tiles.iter().map(|tile| tile.rows.end);
        let mixed = split_mut(mixed, self.heads.query_width(), ends());
        let normalizers = split_mut(normalizers, self.heads.count(), ends());
        let work: Vec<_> = self.tiles.iter().zip(mixed).zip(normalizers).collect();
        work.into_par_iter().for_each_init(Scratch::default, |scratch, ((tile, mixed), normalizers)| {
            for head in 0..self.heads.kv {
                scratch.load_queries(self.heads, tile, qkv, head);
                scratch.mix(self.heads, tile, qkv, head);
                scratch.store(self.heads, tile, head, mixed, normalizers);
            }
        });
    }

    /// Writes the gradient of `qkv`, given that of `mixed`.
    pub(crate) fn backward(&self, saved: &Saved<'_>, d_mixed: &[f32], d_qkv: &mut [f32]) {
        let chunks = self.chunks(d_qkv.len() / self.heads.row_width());
        let ends = chunks.iter().map(|chunk| chunk.last().map_or(0, |tile| tile.rows.end));
        let rows = split_mut(d_qkv, self.heads.row_width(), ends);
        let work: Vec<_> = chunks.into_iter().zip(rows).collect();
        let partials: Vec<Vec<f32>> = work
            .into_par_iter()
            .map(|(chunk, d_rows)| self.backward_chunk(chunk, saved, d_mixed, d_rows))
            .collect();
        self.add_partials(&partials, d_qkv);
    }

    /// Consecutive tiles of about equal work. Each chunk sums the gradients of keys and values in memory of
    /// its own, so their number bounds the memory; it must not follow the number of threads.
    fn chunks(&self, rows: usize) -> Vec<&[Tile]> {
        let count = partials(rows * 2 * self.heads.kv_width());
        let total: usize = self.tiles.iter().map(Tile::cost).sum();
        let mut chunks = Vec::with_capacity(count);
        let (mut start, mut done) = (0, 0);
        for (index, tile) in self.tiles.iter().enumerate() {
            done += tile.cost();
            if done * count >= total * (chunks.len() + 1) {
                chunks.push(&self.tiles[start..=index]);
                start = index + 1;
            }
        }
        chunks
    }

    /// Writes the gradients of the chunk's queries, and gives its part of those of keys and values (rows, 2 · kv width).
    fn backward_chunk(
        &self,
        chunk: &[Tile],
        saved: &Saved<'_>,
        d_mixed: &[f32],
        d_rows: &mut [f32],
    ) -> Vec<f32> {
        let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { return Vec::new() };
        let mut d_kv = vec![0.0; last.rows.end * 2 * self.heads.kv_width()];
        let mut scratch = Scratch::default();
        for tile in chunk {
            let start = (tile.rows.start - first.rows.start) * self.heads.row_width();
            for head in 0..self.heads.kv {
                scratch.load_queries(self.heads, tile, saved.qkv, head);
                scratch.load_upstream(self.heads, tile, saved, d_mixed, head);
                scratch.pull(self.heads, tile, saved.qkv, head, &mut d_kv);
                scratch.store_queries(self.heads, tile, head, &mut d_rows[start..]);
            }
        }
        d_kv
    }

    fn add_partials(&self, partials: &[Vec<f32>], d_qkv: &mut [f32]) {
        let (width, kv) = (self.heads.row_width(), 2 * self.heads.kv_width());
        d_qkv.par_chunks_mut(width).enumerate().with_min_len(64).for_each(|(row, d_row)| {
            let target = &mut d_row[width - kv..];
            target.fill(0.0);
            for partial in partials.iter().filter(|partial| partial.len() > row * kv) {
                lanes::add(target, &partial[row * kv..][..kv]);
            }
        });
    }
}

/// What the forward pass leaves for the backward pass.
#[derive(Debug)]
pub(crate) struct Saved<'a> {
    pub(crate) qkv: &'a [f32],
    pub(crate) mixed: &'a [f32],
    pub(crate) normalizers: &'a [f32],
}

/// One thread's working memory; rows are (query head of the group, query).
#[derive(Debug, Default)]
struct Scratch {
    queries: Vec<f32>,
    scores: Vec<f32>,
    sums: Vec<f32>,
    maxima: Vec<f32>,
    mixed: Vec<f32>,
    upstream: Vec<f32>,
    /// Σ upstream · mixed of each row.
    shares: Vec<f32>,
    normalizers: Vec<f32>,
    d_scores: Vec<f32>,
}

fn resize(buffer: &mut Vec<f32>, length: usize, value: f32) {
    buffer.clear();
    buffer.resize(length, value);
}

/// The place of a query head's values in a tile's rows of `stride` values.
fn at(heads: Heads, stride: usize, (query, head, member): (usize, usize, usize)) -> Range<usize> {
    let start = query * stride + (head * heads.group + member) * heads.width;
    start..start + heads.width
}

impl Scratch {
    /// The scaled queries of a key head's group, one query head after the other.
    fn load_queries(&mut self, heads: Heads, tile: &Tile, qkv: &[f32], head: usize) {
        let rows = &qkv[tile.rows.start * heads.row_width()..];
        self.queries.clear();
        for member in 0..heads.group {
            for query in 0..tile.rows.len() {
                let values = &rows[at(heads, heads.row_width(), (query, head, member))];
                self.queries.extend(values.iter().map(|value| value * heads.scale()));
            }
        }
    }

    fn mix(&mut self, heads: Heads, tile: &Tile, qkv: &[f32], head: usize) {
        let rows = heads.group * tile.rows.len();
        resize(&mut self.mixed, rows * heads.width, 0.0);
        resize(&mut self.sums, rows, 0.0);
        resize(&mut self.maxima, rows, f32::NEG_INFINITY);
        for block in &tile.blocks {
            self.score(heads, tile, heads.keys(qkv, block.clone(), head), block);
            self.weigh(heads, tile, block);
            let weights = Mat::new(&self.scores, rows, block.len());
            let values = heads.values(qkv, block.clone(), head);
            multiply(MatMut::new(&mut self.mixed, rows, heads.width), weights, values, 1.0, Write::Add);
        }
    }

    fn score(&mut self, heads: Heads, tile: &Tile, keys: Mat<'_>, block: &Range<usize>) {
        let rows = heads.group * tile.rows.len();
        self.scores.resize(rows * block.len(), 0.0);
        let queries = Mat::new(&self.queries, rows, heads.width);
        multiply(MatMut::new(&mut self.scores, rows, block.len()), queries, keys.t(), 1.0, Write::Set);
    }

    /// Turns a block's scores into weights under the running maxima, and rescales what was mixed before.
    fn weigh(&mut self, heads: Heads, tile: &Tile, block: &Range<usize>) {
        for (row, scores) in self.scores.chunks_exact_mut(block.len()).enumerate() {
            let seen = tile.seen(block, tile.rows.start + row % tile.rows.len());
            let (scores, unseen) = scores.split_at_mut(seen);
            unseen.fill(0.0);
            if seen == 0 {
                continue;
            }
            let max = lanes::max(scores).max(self.maxima[row]);
            let rescale = lanes::exp(self.maxima[row] - max);
            if rescale < 1.0 {
                lanes::scale(&mut self.mixed[row * heads.width..][..heads.width], rescale);
            }
            self.sums[row] = self.sums[row] * rescale + lanes::exp_in_place(scores, max);
            self.maxima[row] = max;
        }
    }

    fn store(&self, heads: Heads, tile: &Tile, head: usize, mixed: &mut [f32], normalizers: &mut [f32]) {
        let queries = tile.rows.len();
        for (row, values) in self.mixed.chunks_exact(heads.width).enumerate() {
            let (member, query) = (row / queries, row % queries);
            let inverse = self.sums[row].recip();
            let target = &mut mixed[at(heads, heads.query_width(), (query, head, member))];
            for (target, value) in target.iter_mut().zip(values) {
                *target = value * inverse;
            }
            let place = query * heads.count() + head * heads.group + member;
            normalizers[place] = self.maxima[row] + self.sums[row].ln();
        }
    }

    fn load_upstream(&mut self, heads: Heads, tile: &Tile, saved: &Saved<'_>, d_mixed: &[f32], head: usize) {
        let start = tile.rows.start * heads.query_width();
        self.upstream.clear();
        self.shares.clear();
        self.normalizers.clear();
        for member in 0..heads.group {
            for query in 0..tile.rows.len() {
                let place = at(heads, heads.query_width(), (query, head, member));
                let upstream = &d_mixed[start..][place.clone()];
                self.upstream.extend_from_slice(upstream);
                self.shares.push(lanes::dot(upstream, &saved.mixed[start..][place]));
                let row = (tile.rows.start + query) * heads.count();
                self.normalizers.push(saved.normalizers[row + head * heads.group + member]);
            }
        }
        resize(&mut self.mixed, self.upstream.len(), 0.0);
    }

    /// Adds the gradients of keys and values to `d_kv`, and gathers those of the queries in `mixed`.
    fn pull(&mut self, heads: Heads, tile: &Tile, qkv: &[f32], head: usize, d_kv: &mut [f32]) {
        let (rows, width, kv_width) = (heads.group * tile.rows.len(), heads.width, heads.kv_width());
        for block in &tile.blocks {
            let keys = heads.keys(qkv, block.clone(), head);
            self.score(heads, tile, keys, block);
            self.d_scores.resize(rows * block.len(), 0.0);
            let d_scores = MatMut::new(&mut self.d_scores, rows, block.len());
            let upstream = Mat::new(&self.upstream, rows, width);
            multiply(d_scores, upstream, heads.values(qkv, block.clone(), head).t(), 1.0, Write::Set);
            self.differentiate_weights(tile, block);

            let d_scores = Mat::new(&self.d_scores, rows, block.len());
            multiply(MatMut::new(&mut self.mixed, rows, width), d_scores, keys, heads.scale(), Write::Add);
            let d_block = &mut d_kv[block.start * 2 * kv_width + head * width..];
            let d_keys = MatMut::strided(d_block, block.len(), width, 2 * kv_width);
            // The queries carry the scale already.
            multiply(d_keys, d_scores.t(), Mat::new(&self.queries, rows, width), 1.0, Write::Add);
            let weights = Mat::new(&self.scores, rows, block.len());
            let d_values = MatMut::strided(&mut d_block[kv_width..], block.len(), width, 2 * kv_width);
            multiply(d_values, weights.t(), Mat::new(&self.upstream, rows, width), 1.0, Write::Add);
        }
    }

    /// scores → weights; gradient of the weights → gradient of the scores.
    fn differentiate_weights(&mut self, tile: &Tile, block: &Range<usize>) {
        let rows = self.scores.chunks_exact_mut(block.len()).zip(self.d_scores.chunks_exact_mut(block.len()));
        for (row, (scores, d_scores)) in rows.enumerate() {
            let seen = tile.seen(block, tile.rows.start + row % tile.rows.len());
            scores[seen..].fill(0.0);
            d_scores[seen..].fill(0.0);
            let (normalizer, share) = (self.normalizers[row], self.shares[row]);
            for (weight, d_score) in scores[..seen].iter_mut().zip(&mut d_scores[..seen]) {
                *weight = lanes::exp(*weight - normalizer);
                *d_score = *weight * (*d_score - share);
            }
        }
    }

    fn store_queries(&self, heads: Heads, tile: &Tile, head: usize, d_rows: &mut [f32]) {
        let queries = tile.rows.len();
        for (row, values) in self.mixed.chunks_exact(heads.width).enumerate() {
            let place = at(heads, heads.row_width(), (row % queries, head, row / queries));
            d_rows[place].copy_from_slice(values);
        }
    }
}

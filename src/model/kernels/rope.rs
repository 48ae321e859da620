//! Rotary positions: each pair (j, j + d/2) of a head turns by position · frequency j.

use crate::model::config::QwenConfig;
use crate::model::rotary::frequencies;

/// Cosines and sines of the positions 0, 1, ….
#[derive(Debug, Clone)]
pub(crate) struct Rope {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rope {
    /// The table of the first `positions` positions.
    pub(crate) fn new(config: &QwenConfig, positions: usize) -> Self {
        let (frequencies, magnitude) = frequencies(config);
        // transformers multiplies in f32 too; a wider product would differ from it.
        let angles = (0..positions).flat_map(|position| frequencies.iter().map(move |f| position as f32 * f));
        let scaled = |(sin, cos): (f32, f32)| (sin * magnitude, cos * magnitude);
        let (sin, cos) = angles.map(f32::sin_cos).map(scaled).unzip();
        Self { half: frequencies.len(), cos, sin }
    }

    /// Turns the heads of a row by its position.
    pub(crate) fn turn(&self, heads: &mut [f32], position: u32) {
        self.rotate(heads, position, 1.0);
    }

    /// Turns the heads of a row back: the transpose of [`Rope::turn`], and so its gradient.
    pub(crate) fn turn_back(&self, heads: &mut [f32], position: u32) {
        self.rotate(heads, position, -1.0);
    }

    fn rotate(&self, heads: &mut [f32], position: u32, sign: f32) {
        let at = position as usize * self.half..(position as usize + 1) * self.half;
        let (cos, sin) = (&self.cos[at.clone()], &self.sin[at]);
        for head in heads.chunks_exact_mut(2 * self.half) {
            let (first, second) = head.split_at_mut(self.half);
            for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(cos.iter().zip(sin)) {
                let sin = sin * sign;
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}

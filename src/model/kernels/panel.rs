//! A weight matrix laid out for few rows: generation multiplies it by one row per reply, again and again.
//!
//! Guarantees that a row's result does not depend on the rows beside it: each element is one chain of
//! multiply-adds in the order of the columns.

use std::ops::Range;

use super::lanes::{self, fma};

/// Outputs computed side by side.
const WIDTH: usize = 16;
/// Rows computed side by side: `ROWS · WIDTH` sums fit the vector registers.
const ROWS: usize = 6;

/// The transpose of a weight, in panels of [`WIDTH`] outputs.
#[derive(Debug, Clone)]
pub(crate) struct Panels {
    outputs: usize,
    inputs: usize,
    /// Panel by panel, input by input, `WIDTH` outputs; the last panel is filled with zeros.
    data: Vec<f32>,
}

impl Panels {
    /// Lays out a weight of shape (outputs, inputs).
    pub(crate) fn new(weight: &[f32], outputs: usize, inputs: usize) -> Self {
        Self::stacked(&[weight], outputs, inputs)
    }

    /// Lays out weights on top of each other: `outputs` is that of all together.
    pub(crate) fn stacked(weights: &[&[f32]], outputs: usize, inputs: usize) -> Self {
        let rows = weights.iter().flat_map(|weight| weight.chunks_exact(inputs));
        Self::from_rows(rows, outputs, inputs)
    }

    /// Lays out the rows of a weight.
    pub(crate) fn from_rows<'a>(
        rows: impl Iterator<Item = &'a [f32]>,
        outputs: usize,
        inputs: usize,
    ) -> Self {
        let mut data = vec![0.0; outputs.div_ceil(WIDTH) * WIDTH * inputs];
        for (output, row) in rows.enumerate() {
            let panel = &mut data[output / WIDTH * WIDTH * inputs..];
            for (input, &value) in row.iter().enumerate() {
                panel[input * WIDTH + output % WIDTH] = value;
            }
        }
        Self { outputs, inputs, data }
    }

    /// Lays out the columns of a weight: each of `columns` holds one input's outputs.
    pub(crate) fn from_columns<'a>(
        columns: impl Iterator<Item = &'a [f32]>,
        outputs: usize,
        inputs: usize,
    ) -> Self {
        let mut data = vec![0.0; outputs.div_ceil(WIDTH) * WIDTH * inputs];
        for (input, column) in columns.enumerate() {
            for (panel, values) in column.chunks(WIDTH).enumerate() {
                let start = (panel * inputs + input) * WIDTH;
                data[start..start + values.len()].copy_from_slice(values);
            }
        }
        Self { outputs, inputs, data }
    }

    /// out = x Wᵀ for the rows of x.
    pub(crate) fn apply(&self, x: &[f32], out: &mut [f32]) {
        let (x, out) = (Strided { data: x, stride: self.inputs }, (out, self.outputs));
        self.apply_outputs(x, 0..self.outputs, out);
    }

    /// Some outputs for the rows of x; `out` holds their rows, a stride apart.
    pub(crate) fn apply_outputs(
        &self,
        x: Strided<'_>,
        outputs: Range<usize>,
        (out, stride): (&mut [f32], usize),
    ) {
        let (mut start, rows) = (outputs.start, x.rows());
        while start < outputs.end {
            let (panel, skip) = (start / WIDTH, start % WIDTH);
            let width = (WIDTH - skip).min(outputs.end - start);
            let weights = self.panel(panel, 0..self.inputs);
            for first in (0..rows).step_by(ROWS) {
                let sums = x.products(first, weights);
                for row in first..rows.min(first + ROWS) {
                    let target = &mut out[row * stride + start - outputs.start..][..width];
                    target.copy_from_slice(&sums[row - first][skip..skip + width]);
                }
            }
            start += width;
        }
    }

    /// out += x Wᵀ over some inputs only; a row of x holds those inputs.
    pub(crate) fn add_inputs(&self, x: Strided<'_>, inputs: Range<usize>, out: &mut [f32]) {
        let rows = x.rows();
        for panel in 0..self.outputs.div_ceil(WIDTH) {
            let weights = self.panel(panel, inputs.clone());
            let start = panel * WIDTH;
            let width = WIDTH.min(self.outputs - start);
            for first in (0..rows).step_by(ROWS) {
                let sums = x.products(first, weights);
                for row in first..rows.min(first + ROWS) {
                    lanes::add(&mut out[row * self.outputs + start..][..width], &sums[row - first][..width]);
                }
            }
        }
    }

    fn panel(&self, panel: usize, inputs: Range<usize>) -> &[[f32; WIDTH]] {
        let all = &self.data[panel * WIDTH * self.inputs..][..WIDTH * self.inputs];
        &all.as_chunks::<WIDTH>().0[inputs]
    }
}

/// Rows that begin a stride apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
}

impl Strided<'_> {
    fn rows(self) -> usize {
        self.data.len().div_ceil(self.stride)
    }

    /// The sums of up to [`ROWS`] rows from `first` on.
    #[inline(always)]
    fn products(self, first: usize, weights: &[[f32; WIDTH]]) -> [[f32; WIDTH]; ROWS] {
        let x = Strided { data: &self.data[first * self.stride..], stride: self.stride };
        match x.rows() {
            1 => extend(block::<1>(x, weights)),
            2 => extend(block::<2>(x, weights)),
            3 => extend(block::<3>(x, weights)),
            4 => extend(block::<4>(x, weights)),
            5 => extend(block::<5>(x, weights)),
            _ => extend(block::<6>(x, weights)),
        }
    }
}

#[inline(always)]
fn extend<const N: usize>(sums: [[f32; WIDTH]; N]) -> [[f32; WIDTH]; ROWS] {
    let mut all = [[0.0; WIDTH]; ROWS];
    all[..N].copy_from_slice(&sums);
    all
}

#[inline(always)]
fn block<const N: usize>(x: Strided<'_>, weights: &[[f32; WIDTH]]) -> [[f32; WIDTH]; N] {
    let rows: [&[f32]; N] = std::array::from_fn(|row| &x.data[row * x.stride..][..weights.len()]);
    let mut sums = [[0f32; WIDTH]; N];
    for (input, weights) in weights.iter().enumerate() {
        for row in 0..N {
            for lane in 0..WIDTH {
                sums[row][lane] = fma(rows[row][input], weights[lane], sums[row][lane]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_gives_the_same_bits() {
        let (outputs, inputs) = (37, 19);
        let value = |i: usize| ((i * 7919 % 1009) as f32 - 500.0) / 300.0;
        let weight: Vec<f32> = (0..outputs * inputs).map(value).collect();
        let x: Vec<f32> = (0..11 * inputs).map(|i| value(i + 3)).collect();
        let panels = Panels::new(&weight, outputs, inputs);
        let mut together = vec![0.0; 11 * outputs];
        panels.apply(&x, &mut together);
        for row in 0..11 {
            let mut alone = vec![0.0; outputs];
            panels.apply(&x[row * inputs..(row + 1) * inputs], &mut alone);
            assert_eq!(alone, together[row * outputs..(row + 1) * outputs]);
            let right: f32 = (0..inputs).map(|i| x[row * inputs + i] * weight[5 * inputs + i]).sum();
            assert!((alone[5] - right).abs() < 1e-4);
        }
    }
}

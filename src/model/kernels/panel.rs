//! A weight matrix laid out for few rows: generation multiplies it by one row per reply, again and again.
//!
//! Guarantees that a row's result does not depend on the rows beside it: each element is one chain of
//! multiply-adds in the order of the columns.

use super::lanes::fma;

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
        let mut data = vec![0.0; outputs.div_ceil(WIDTH) * WIDTH * inputs];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let panel = &mut data[output / WIDTH * WIDTH * inputs..];
            for (input, &value) in row.iter().enumerate() {
                panel[input * WIDTH + output % WIDTH] = value;
            }
        }
        Self { outputs, inputs, data }
    }

    /// out = x Wᵀ for the rows of x.
    pub(crate) fn apply(&self, x: &[f32], out: &mut [f32]) {
        for (index, panel) in self.data.chunks_exact(WIDTH * self.inputs).enumerate() {
            let (weights, _) = panel.as_chunks::<WIDTH>();
            let first = index * WIDTH;
            let width = WIDTH.min(self.outputs - first);
            for (x, out) in x.chunks(ROWS * self.inputs).zip(out.chunks_mut(ROWS * self.outputs)) {
                let sums = self.products(x, weights);
                for (row, sums) in out.chunks_exact_mut(self.outputs).zip(&sums) {
                    row[first..first + width].copy_from_slice(&sums[..width]);
                }
            }
        }
    }

    #[inline(always)]
    fn products(&self, x: &[f32], weights: &[[f32; WIDTH]]) -> [[f32; WIDTH]; ROWS] {
        match x.len() / self.inputs {
            6 => extend(block::<6>(x, weights)),
            5 => extend(block::<5>(x, weights)),
            4 => extend(block::<4>(x, weights)),
            3 => extend(block::<3>(x, weights)),
            2 => extend(block::<2>(x, weights)),
            _ => extend(block::<1>(x, weights)),
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
fn block<const N: usize>(x: &[f32], weights: &[[f32; WIDTH]]) -> [[f32; WIDTH]; N] {
    let inputs = weights.len();
    let rows: [&[f32]; N] = std::array::from_fn(|row| &x[row * inputs..(row + 1) * inputs]);
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

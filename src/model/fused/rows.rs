//! Cuts matrices into blocks of rows that threads work on.

use rayon::prelude::*;

/// Rows of a block: enough to pay for packing the weights once a block.
pub(crate) const BLOCK: usize = 128;

/// The blocks of a matrix whose rows have `width` values; empty blocks when `width` is 0.
pub(crate) fn blocks(data: &[f32], width: usize, rows: usize) -> Vec<&[f32]> {
    (0..rows.div_ceil(BLOCK)).map(|b| &data[b * BLOCK * width..((b + 1) * BLOCK).min(rows) * width]).collect()
}

/// The same, to write.
pub(crate) fn blocks_mut(data: &mut [f32], width: usize, rows: usize) -> Vec<&mut [f32]> {
    let ends = (0..rows.div_ceil(BLOCK)).map(|b| ((b + 1) * BLOCK).min(rows));
    split_mut(data, width, ends)
}

/// Cuts at the rows `ends`, which ascend.
pub(crate) fn split_mut(
    mut data: &mut [f32],
    width: usize,
    ends: impl Iterator<Item = usize>,
) -> Vec<&mut [f32]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for end in ends {
        let (part, rest) = data.split_at_mut((end - start) * width);
        parts.push(part);
        (data, start) = (rest, end);
    }
    parts
}

/// Adds up partial sums, one part after the other, so that the order never varies.
pub(crate) fn add_parts(target: &mut [f32], parts: &[Vec<f32>]) {
    target.par_chunks_mut(4096).enumerate().for_each(|(chunk, target)| {
        for part in parts {
            let start = chunk * 4096;
            if start < part.len() {
                crate::model::kernels::lanes::add(target, &part[start..part.len().min(start + target.len())]);
            }
        }
    });
}

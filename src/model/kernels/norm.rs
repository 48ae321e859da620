//! Root-mean-square normalisation: y = w x / sqrt(mean(x²) + ε), row by row.

use super::lanes::{add_scaled, fma, sum_of_squares};

/// Writes the normalised row and gives the factor 1 / sqrt(mean(x²) + ε).
pub(crate) fn normalize(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) -> f32 {
    let factor = (sum_of_squares(x) / x.len() as f32 + eps).sqrt().recip();
    apply(x, weight, factor, out);
    factor
}

/// Writes the normalised row from its factor.
pub(crate) fn apply(x: &[f32], weight: &[f32], factor: f32, out: &mut [f32]) {
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * factor * weight;
    }
}

/// Adds the gradient of x and of the weight, given that of y.
pub(crate) fn backward(
    x: &[f32],
    weight: &[f32],
    factor: f32,
    dy: &[f32],
    dx: &mut [f32],
    dweight: &mut [f32],
) {
    // dx = f w dy − x f³ (Σ w dy x) / n
    let mut lanes = [0f32; 16];
    for ((x, dy), w) in x.chunks(16).zip(dy.chunks(16)).zip(weight.chunks(16)) {
        for lane in 0..x.len() {
            lanes[lane] = fma(x[lane] * dy[lane], w[lane], lanes[lane]);
        }
    }
    let correction = -lanes.iter().sum::<f32>() * factor * factor * factor / x.len() as f32;
    for (((dx, x), dy), w) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
        *dx += fma(dy * w, factor, x * correction);
    }
    for ((dweight, x), dy) in dweight.iter_mut().zip(x).zip(dy) {
        *dweight = fma(dy * x, factor, *dweight);
    }
}

/// The factor of a row.
pub(crate) fn factor(x: &[f32], eps: f32) -> f32 {
    (sum_of_squares(x) / x.len() as f32 + eps).sqrt().recip()
}

/// Adds each row to `sums`.
pub(crate) fn add_rows(rows: &[f32], stride: usize, sums: &mut [f32]) {
    for row in rows.chunks(stride) {
        add_scaled(sums, 1.0, &row[..sums.len()]);
    }
}

//! Sums, maxima and exponentials that the compiler turns into vector instructions.

/// Independent partial results; a multiple of every vector width in use.
const LANES: usize = 16;

/// a · b + c, in one rounding where the machine has the instruction.
#[inline(always)]
pub(crate) fn fma(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction `mul_add` is a library call, a hundred times slower.
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
}

/// e to the power x, to two units in the last place; 0 below −87.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // x = n ln 2 + r with |r| ≤ ln 2 / 2; e^r by Cephes' polynomial (expf.c), 2^n by its bits.
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it rounds to an integer in the low bits.
    let x = x.clamp(-88.0, 88.0);
    let shifted = fma(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, so that n ln 2 is exact.
    let r = fma(n, -0.693_359_4, x);
    let r = fma(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_6e-1, 5.000_000_1e-1] {
        p = fma(p, r, coefficient);
    }
    let p = fma(p, r * r, r + 1.0);
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32) + 127;
    // Below e^-87 the exponent would leave the normal numbers.
    if x < -87.0 { 0.0 } else { p * f32::from_bits((exponent << 23) as u32) }
}

/// The sum of products.
#[inline]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    fold_pairs(a, b, |sum, a, b| fma(a, b, sum))
}

/// The sum of squares.
#[inline]
pub(crate) fn sum_of_squares(a: &[f32]) -> f32 {
    dot(a, a)
}

/// The largest value; −∞ of nothing.
#[inline]
pub(crate) fn max(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = lane.max(value);
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |max, &value| max.max(value))
}

/// Replaces each value by the exponential of its difference to `shift`, and gives their sum.
#[inline]
pub(crate) fn exp_in_place(values: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *value = exp(*value - shift);
            *lane += *value;
        }
    }
    let mut sum: f32 = lanes.iter().sum();
    for value in rest {
        *value = exp(*value - shift);
        sum += *value;
    }
    sum
}

/// The sum of the exponentials of the differences to `shift`.
#[inline]
pub(crate) fn sum_exp(values: &[f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += exp(*value - shift);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| exp(value - shift)).sum::<f32>()
}

/// target += scale · values
#[inline]
pub(crate) fn add_scaled(target: &mut [f32], scale: f32, values: &[f32]) {
    for (target, value) in target.iter_mut().zip(values) {
        *target = fma(scale, *value, *target);
    }
}

/// target += values
#[inline]
pub(crate) fn add(target: &mut [f32], values: &[f32]) {
    for (target, value) in target.iter_mut().zip(values) {
        *target += value;
    }
}

#[inline(always)]
fn fold_pairs(a: &[f32], b: &[f32], step: impl Fn(f32, f32, f32) -> f32) -> f32 {
    let ((a_chunks, a_rest), (b_chunks, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0f32; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] = step(lanes[lane], a[lane], b[lane]);
        }
    }
    a_rest.iter().zip(b_rest).fold(lanes.iter().sum(), |sum, (&a, &b)| step(sum, a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_two_units_in_the_last_place() {
        let mut worst = 0f64;
        for step in -87_000..88_000 {
            let x = step as f32 / 1000.0;
            let right = f64::from(x).exp();
            worst = worst.max(((f64::from(exp(x)) - right) / right).abs());
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "{worst:e}");
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn sums_and_maxima_count_the_rest_after_the_last_full_lane() {
        for length in [0, 1, 15, 16, 17, 40] {
            let values: Vec<f32> = (0..length).map(|i| i as f32).collect();
            let squares: f32 = values.iter().map(|v| v * v).sum();
            assert_eq!(sum_of_squares(&values), squares);
            assert_eq!(max(&values), if length == 0 { f32::NEG_INFINITY } else { length as f32 - 1.0 });
            let sum: f32 = values.iter().map(|v| (v - 40.0).exp()).sum();
            assert!((sum_exp(&values, 40.0) - sum).abs() <= 1e-6 * sum.max(1e-6));
        }
    }
}

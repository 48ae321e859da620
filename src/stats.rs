//! Rates with their uncertainty.

/// A share of successes with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Rate {
    /// Successes among the trials.
    pub rate: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// The normal distribution's 97.5 % quantile.
const Z: f64 = 1.959_963_984_540_054;

/// Returns the share of `successes` with Wilson's score interval; no trials say nothing (0 to 1).
pub fn wilson(successes: usize, trials: usize) -> Rate {
    if trials == 0 {
        return Rate { rate: 0.0, low: 0.0, high: 1.0 };
    }
    let n = trials as f64;
    let rate = successes as f64 / n;
    let centre = rate + Z * Z / (2.0 * n);
    let spread = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // At 0 and at n successes one end is exact, which rounding must not move.
    let low = if successes == 0 { 0.0 } else { (centre - spread) / scale };
    let high = if successes == trials { 1.0 } else { (centre + spread) / scale };
    Rate { rate, low, high }
}

/// Returns the unbiased estimate that one of `k` samples succeeds, from `correct` of `samples`
/// (Chen et al., arXiv 2107.03374): 1 − C(n − c, k) / C(n, k).
pub fn pass_at_k(samples: usize, correct: usize, k: usize) -> f64 {
    if correct > samples || k > samples {
        return f64::NAN;
    }
    let wrong = samples - correct;
    if wrong < k {
        return 1.0;
    }
    1.0 - (wrong + 1..=samples).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    /// From R: `prop.test(7, 10, correct = FALSE)$conf.int`, and the same for 1 of 500.
    #[test]
    fn wilson_matches_r() {
        let seven = wilson(7, 10);
        assert!(
            close(seven.rate, 0.7)
                && close(seven.low, 0.396_778_147_461)
                && close(seven.high, 0.892_208_732_594)
        );
    }

    #[test]
    fn wilson_is_exact_at_the_ends() {
        let (none, all) = (wilson(0, 10), wilson(10, 10));
        assert_eq!((none.rate, none.low, all.rate, all.high), (0.0, 0.0, 1.0, 1.0));
        assert!(close(none.high, 0.277_532_799_862) && close(all.low, 1.0 - none.high));
        assert_eq!(wilson(0, 0), Rate { rate: 0.0, low: 0.0, high: 1.0 });
    }

    #[test]
    fn pass_at_k_counts_the_ways_to_draw() {
        // 1 − C(7, 2) / C(10, 2) = 1 − 21/45; 1 − C(5, 3) / C(8, 3) = 1 − 10/56.
        assert!(close(pass_at_k(10, 3, 2), 24.0 / 45.0));
        assert!(close(pass_at_k(8, 3, 3), 46.0 / 56.0));
        assert!(close(pass_at_k(10, 3, 1), 0.3));
        assert_eq!((pass_at_k(5, 0, 5), pass_at_k(5, 1, 5), pass_at_k(5, 4, 2)), (0.0, 1.0, 1.0));
        assert!(pass_at_k(3, 1, 4).is_nan());
    }
}

//! Rates with their uncertainty, and the test of a paired difference.
//!
//! Pure functions on counts and numbers; docs/rates.md gives the sources. Quantiles and the binomial
//! distribution come from statrs.

use statrs::distribution::{Binomial, ContinuousCDF as _, DiscreteCDF as _, StudentsT};

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

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Mean {
    /// How many numbers it is the mean of.
    pub n: usize,
    /// The mean.
    pub mean: f64,
    /// Lower end of the interval; absent for fewer than two different numbers, which say nothing of their spread.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

/// Returns the mean of `values` with Student's interval, mean ± t(0.975, n − 1) · s / √n, where s² is the
/// unbiased variance; absent without a value. Values that are all equal have no interval: it would have no width,
/// however few they are.
pub fn mean(values: &[f64]) -> Option<Mean> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    if values.iter().all(|value| value == &values[0]) {
        return Some(Mean { n, mean: values[0], low: None, high: None });
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (n - 1) as f64 / n as f64).sqrt();
    let student = StudentsT::new(0.0, 1.0, (n - 1) as f64).expect("invariant: there is a degree of freedom");
    let spread = student.inverse_cdf(0.975) * error;
    Some(Mean { n, mean, low: Some(mean - spread), high: Some(mean + spread) })
}

/// Returns the two-sided p-value of McNemar's exact test (McNemar 1947, with the binomial distribution in place of
/// χ²): min(1, 2 · P(X ≤ min(b, c))), X ~ Binomial(b + c, ½), where `b` pairs changed in one direction and `c` in the
/// other. No change at all is no evidence: 1.
pub fn mcnemar(b: usize, c: usize) -> f64 {
    let n = (b + c) as u64;
    if n == 0 {
        return 1.0;
    }
    let coin = Binomial::new(0.5, n).expect("invariant: a half is a probability");
    (2.0 * coin.cdf(b.min(c) as u64)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    /// From R: `prop.test(7, 10, correct = FALSE)$conf.int`.
    #[test]
    fn wilson_matches_r() {
        let seven = wilson(7, 10);
        assert!(
            close(seven.rate, 0.7)
                && close(seven.low, 0.396_778_147_461)
                && close(seven.high, 0.892_208_732_594)
        );
        // From statsmodels 0.15.0: `proportion_confint(1, 500, method="wilson")`.
        let rare = wilson(1, 500);
        assert!(close(rare.low, 0.000_353_136_394_559_275) && close(rare.high, 0.011_240_706_705_146_76));
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

    /// From scipy 1.17.1 and numpy: `m = np.mean(v); stats.t.interval(0.95, len(v) - 1, loc=m, scale=stats.sem(v))`.
    #[test]
    fn a_mean_has_the_interval_of_scipy() {
        let eight: Vec<f64> = (1..=8).map(|tenths| f64::from(tenths) / 10.0).collect();
        let forty: Vec<f64> = (0..40).map(|fortieths| f64::from(fortieths) / 40.0).collect();
        let cases: [(&[f64], f64, f64, f64); 4] = [
            (&[0.5, 1.0], 0.75, -2.426_551_184_043_673_5, 3.926_551_184_043_673_5),
            (&[0.25, 0.5, 0.375], 0.375, 0.064_482_786_031_208_72, 0.685_517_213_968_791_3),
            (&eight, 0.45, 0.245_217_532_771_588_36, 0.654_782_467_228_411_7),
            (&forty, 0.4875, 0.394_030_302_125_622_73, 0.580_969_697_874_377_2),
        ];
        for (values, expected, low, high) in cases {
            let found = mean(values).unwrap();
            let ends = (found.low.unwrap(), found.high.unwrap());
            assert!(close(found.mean, expected) && close(ends.0, low) && close(ends.1, high), "{found:?}");
        }
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[0.3]), Some(Mean { n: 1, mean: 0.3, low: None, high: None }));
        assert_eq!(mean(&[0.1; 7]), Some(Mean { n: 7, mean: 0.1, low: None, high: None }));
    }

    /// From statsmodels 0.15.0: `mcnemar([[10, b], [c, 10]], exact=True).pvalue`; `scipy.stats.binomtest(b, b + c).pvalue`
    /// of scipy 1.17.1 gives the same.
    #[test]
    fn mcnemar_matches_statsmodels() {
        let cases = [
            (0, 1, 1.0),
            (1, 2, 1.0),
            (5, 5, 1.0),
            (3, 15, 0.007_537_841_796_875),
            (10, 25, 0.016_673_847_800_120_715),
            (40, 83, 0.000_131_959_847_189_327_87),
            (120, 200, 9.079_968_569_115_84e-6),
            (0, 60, 1.734_723_475_976_807e-18),
        ];
        for (b, c, p) in cases {
            for found in [mcnemar(b, c), mcnemar(c, b)] {
                assert!((found / p - 1.0).abs() < 1e-9, "{b}, {c}: {found} is not {p}");
            }
        }
        assert!(close(mcnemar(0, 0), 1.0));
    }
}

//! How far a server's log-probabilities are from those that the trainer computes for the same tokens.
//!
//! A server has other kernels and other precision. What they differ by enters every ratio of a policy gradient, so it is measured and
//! bounded before an update trusts it. Tokens were drawn from the server's distribution q, the trainer's is p; with r = p/q the mean of
//! −ln r estimates KL(q‖p) without bias and that of r − 1 − ln r with less variance (k1 and k3 of Schulman, «Approximating KL
//! Divergence», 2020).

/// The comparison of many tokens.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Mismatch {
    /// Tokens that were compared.
    pub tokens: usize,
    /// Mean of |ln q − ln p|, in nats.
    pub mean: f64,
    /// Largest of them.
    pub max: f64,
    /// Mean of ln q − ln p.
    pub k1: f64,
    /// Mean of r − 1 − ln r.
    pub k3: f64,
}

/// The most that is borne.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Of [`Mismatch::mean`].
    pub mean: f64,
    /// Of [`Mismatch::k3`].
    pub k3: f64,
}

impl Default for Tolerance {
    /// Wider than what 16-bit servers differ by, narrower than what another model, template or temperature does.
    fn default() -> Self {
        Self { mean: 0.05, k3: 0.01 }
    }
}

/// A server that is too far from the trainer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{what} is {found:.5}, above {limit}, over {tokens} tokens")]
pub struct TooFar {
    /// Which measure.
    pub what: &'static str,
    /// Its value.
    pub found: f64,
    /// Its bound.
    pub limit: f64,
    /// Tokens that were compared.
    pub tokens: usize,
}

impl Mismatch {
    /// Compares the log-probabilities of the same tokens; none for no tokens, or where the lists do not fit each other.
    pub fn new(server: &[f32], trainer: &[f32]) -> Option<Self> {
        if server.is_empty() || server.len() != trainer.len() {
            return None;
        }
        let differences = || server.iter().zip(trainer).map(|(q, p)| f64::from(*q) - f64::from(*p));
        let count = server.len() as f64;
        Some(Self {
            tokens: server.len(),
            mean: differences().map(f64::abs).sum::<f64>() / count,
            // What is no number is as far as can be.
            max: differences().map(f64::abs).fold(0.0, |max, x| if x > max || x.is_nan() { x } else { max }),
            k1: differences().sum::<f64>() / count,
            k3: differences().map(|difference| (-difference).exp() - 1.0 + difference).sum::<f64>() / count,
        })
    }

    /// Stops what must not go on.
    ///
    /// # Errors
    /// [`TooFar`], when a measure is above its bound or no number.
    pub fn check(&self, tolerance: Tolerance) -> Result<(), TooFar> {
        let measures = [
            ("the mean difference of log-probabilities", self.mean, tolerance.mean),
            ("k3 of server and trainer", self.k3, tolerance.k3),
        ];
        let far = measures.into_iter().find(|(_, found, limit)| found.is_nan() || found > limit);
        far.map_or(Ok(()), |(what, found, limit)| Err(TooFar { what, found, limit, tokens: self.tokens }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measures_are_those_of_their_formulas() {
        // r = p/q is 2 for the first token and 1/2 for the second.
        let mismatch = Mismatch::new(&[0.25f32.ln(), 0.5f32.ln()], &[0.5f32.ln(), 0.25f32.ln()]).unwrap();
        let ln2 = std::f64::consts::LN_2;
        for (found, expected) in [
            (mismatch.mean, ln2),
            (mismatch.max, ln2),
            (mismatch.k1, 0.0),
            (mismatch.k3, f64::midpoint(2.0 - 1.0 - ln2, 0.5 - 1.0 + ln2)),
        ] {
            assert!((found - expected).abs() < 1e-6, "{mismatch:?}");
        }
    }

    #[test]
    fn equal_logprobs_do_not_differ() {
        let mismatch = Mismatch::new(&[-1.0, -2.5], &[-1.0, -2.5]).unwrap();
        assert_eq!(mismatch, Mismatch { tokens: 2, mean: 0.0, max: 0.0, k1: 0.0, k3: 0.0 });
        assert_eq!(mismatch.check(Tolerance::default()), Ok(()));
    }

    #[test]
    fn what_is_too_far_is_named_with_its_bound() {
        let far = Mismatch::new(&[-1.0, -1.0], &[-1.2, -1.0]).unwrap();
        let error = far.check(Tolerance::default()).unwrap_err().to_string();
        assert_eq!(error, "the mean difference of log-probabilities is 0.10000, above 0.05, over 2 tokens");
        let spread = Mismatch::new(&[-3.0, -1.0], &[-1.0, -1.0]).unwrap();
        let error = spread.check(Tolerance { mean: 2.0, k3: 0.01 }).unwrap_err();
        assert_eq!(error.what, "k3 of server and trainer");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let broken = Mismatch::new(&[f32::NAN, -1.0], &[-1.0, -1.0]).unwrap();
        assert!(broken.check(Tolerance { mean: f64::INFINITY, k3: f64::INFINITY }).is_err());
        assert_eq!(Mismatch::new(&[-1.0], &[-1.0, -1.0]), None);
        assert_eq!(Mismatch::new(&[], &[]), None);
    }
}

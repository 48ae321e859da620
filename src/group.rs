//! Groups: tries at the same thing, their rewards, and the advantages these give.
//!
//! Statistics are f64, and which groups are kept depends on the population standard deviation (paper section 4.2, Eq.
//! for dynamic sampling). Guarantees that equal rewards have a spread of exactly zero. Does not decide which reward a
//! reply earns.

use serde::{Deserialize, Serialize};

use crate::policy::Sample;

/// What was said, with its reward.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The reply to an example, or all replies of an episode, in order.
    pub replies: Vec<Sample>,
    /// What it earned.
    pub reward: Reward,
}

impl Attempt {
    /// Whether the length limit cut a reply.
    pub fn is_truncated(&self) -> bool {
        self.replies.iter().any(|reply| !reply.finished)
    }
}

/// What an attempt earned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reward {
    /// In [0, 1], or the penalty −1.
    pub value: f64,
    /// False when the reply could not be read.
    pub well_formed: bool,
}

impl Reward {
    /// What a reply earns that cannot be read.
    pub const MALFORMED: Self = Self { value: -1.0, well_formed: false };

    /// What a well-formed reply earns.
    pub fn new(value: f64) -> Self {
        Self { value, well_formed: true }
    }
}

/// What an advantage divides the distance from the mean reward by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scale {
    /// Nothing (Dr. GRPO, arXiv 2503.20783, section 3.2): groups that are nearly alike weigh less.
    None,
    /// The standard deviation (GRPO).
    Std {
        /// 0 divides the squares by the attempts (population), 1 by one less (sample).
        ddof: usize,
        /// Is added to it.
        epsilon: f64,
    },
}

impl Default for Scale {
    fn default() -> Self {
        Self::Std { ddof: 0, epsilon: 0.0 }
    }
}

/// Attempts at the same example.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    attempts: Vec<Attempt>,
}

/// Why attempts do not make a group.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum GroupError {
    /// A single attempt would be its own mean: no advantage, whatever it earned.
    #[error("a group needs at least 2 attempts, found {0}")]
    TooSmall(usize),
    /// A reward is not a number, so neither is any advantage.
    #[error("attempt {attempt} has the reward {value}")]
    NotFinite {
        /// Which attempt, from 0.
        attempt: usize,
        /// Its reward.
        value: f64,
    },
}

impl Group {
    /// A group of at least two attempts with finite rewards.
    ///
    /// # Errors
    /// [`GroupError`] otherwise.
    pub fn new(attempts: Vec<Attempt>) -> Result<Self, GroupError> {
        if attempts.len() < 2 {
            return Err(GroupError::TooSmall(attempts.len()));
        }
        let lost = attempts.iter().position(|attempt| !attempt.reward.value.is_finite());
        match lost {
            Some(attempt) => Err(GroupError::NotFinite { attempt, value: attempts[attempt].reward.value }),
            None => Ok(Self { attempts }),
        }
    }

    /// Its attempts, in the order in which they were sampled.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The mean reward.
    pub fn mean(&self) -> f64 {
        let (low, _) = self.bounds();
        // Relative to the lowest reward: equal rewards then have exactly their own value as mean.
        low + self.rewards().map(|reward| reward - low).sum::<f64>() / self.attempts.len() as f64
    }

    /// The population standard deviation of the rewards; exactly zero when they are equal.
    pub fn spread(&self) -> f64 {
        self.std(0)
    }

    fn std(&self, ddof: usize) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.rewards().map(|reward| (reward - mean).powi(2)).sum();
        (squares / (self.attempts.len() - ddof) as f64).sqrt()
    }

    /// Whether the group teaches anything: its spread exceeds `threshold`, and its rewards differ at all.
    ///
    /// The second condition is not implied by a threshold of zero once rewards carry rounding noise, and
    /// a spread of noise divided by itself would be advantages of full size.
    pub fn is_informative(&self, threshold: f64) -> bool {
        let (low, high) = self.bounds();
        let noise = NOISE * high.abs().max(low.abs()).max(1.0);
        noise < high - low && threshold < self.spread()
    }

    /// (reward − mean) / scale for each attempt; zeros for a group that is all noise.
    pub fn advantages(&self, scale: Scale) -> Vec<f64> {
        if !self.is_informative(0.0) {
            return vec![0.0; self.attempts.len()];
        }
        let (mean, divisor) = (self.mean(), self.divisor(scale));
        self.rewards().map(|reward| (reward - mean) / divisor).collect()
    }

    fn divisor(&self, scale: Scale) -> f64 {
        match scale {
            Scale::None => 1.0,
            Scale::Std { ddof, epsilon } => self.std(ddof) + epsilon,
        }
    }

    fn rewards(&self) -> impl Iterator<Item = f64> + '_ {
        self.attempts.iter().map(|attempt| attempt.reward.value)
    }

    fn bounds(&self) -> (f64, f64) {
        self.rewards().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), r| (low.min(r), high.max(r)))
    }
}

/// Rewards closer than this differ by rounding only: far above f64's and f32's last places of 1,
/// far below the least step of a similarity of texts that fit a context.
const NOISE: f64 = 1e-7;

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(value: f64) -> Attempt {
        Attempt { replies: vec![Sample::from_text("")], reward: Reward::new(value) }
    }

    fn group(rewards: &[f64]) -> Group {
        Group::new(rewards.iter().copied().map(attempt).collect()).unwrap()
    }

    fn assert_close(ours: &[f64], expected: &[f64]) {
        let close = std::iter::zip(ours, expected).all(|(a, b)| (a - b).abs() < 1e-7);
        assert!(close && ours.len() == expected.len(), "{ours:?} and {expected:?}");
    }

    #[test]
    fn advantages_match_golden() {
        let group = group(&[0.2, 0.5, 0.9, 0.4]);
        assert_close(&[group.mean(), group.std(0), group.std(1)], &[0.5, 0.254_950_975_7, 0.294_392_028_9]);
        // numpy, in f64: (r - r.mean()) / (r.std(ddof=ddof) + epsilon), and r - r.mean().
        let golden = [
            (Scale::default(), [-1.176_696_81, 0.0, 1.568_929_08, -0.392_232_27]),
            // The settings of TRL, verl and SkyRL, OpenRLHF, rLLM; prime-rl and nanochat.
            (Scale::Std { ddof: 1, epsilon: 1e-4 }, [-1.018_703_3, 0.0, 1.358_271_1, -0.339_567_8]),
            (Scale::Std { ddof: 1, epsilon: 1e-6 }, [-1.019_045_9, 0.0, 1.358_727_8, -0.339_682_0]),
            (Scale::Std { ddof: 1, epsilon: 1e-9 }, [-1.019_049_3, 0.0, 1.358_732_4, -0.339_683_1]),
            (Scale::Std { ddof: 0, epsilon: 1e-6 }, [-1.176_692_2, 0.0, 1.568_922_9, -0.392_230_7]),
            (Scale::None, [-0.3, 0.0, 0.4, -0.1]),
        ];
        for (scale, expected) in golden {
            assert_close(&group.advantages(scale), &expected);
        }
    }

    #[test]
    fn constant_groups_are_never_kept_whatever_the_value_the_size_and_the_scale() {
        let scales = [Scale::None, Scale::default(), Scale::Std { ddof: 1, epsilon: 1e-9 }];
        // In f32, 469 of the 999 groups of 8 from 0.001 to 0.999 have a standard deviation above zero.
        for size in [2, 4, 5, 6, 7, 8, 16, 31] {
            for thousandths in -1000..=1000 {
                let group = group(&vec![f64::from(thousandths) / 1000.0; size]);
                assert_eq!((group.std(0), group.std(1)), (0.0, 0.0), "{thousandths}/1000 × {size}");
                assert!(!group.is_informative(0.0));
                for scale in scales {
                    assert_eq!(group.advantages(scale), vec![0.0; size]);
                }
            }
        }
    }

    #[test]
    fn rewards_that_differ_by_rounding_are_constant() {
        let noisy = group(&[0.3, 0.1 + 0.2, 0.3, f64::from(0.3f32)]);
        assert!(!noisy.is_informative(0.0));
        assert_eq!(noisy.advantages(Scale::default()), [0.0; 4]);
    }

    #[test]
    fn the_threshold_is_on_the_population_spread() {
        let group = group(&[0.0, 0.02]); // Spread 0.01.
        assert!(group.is_informative(0.009));
        assert!(!group.is_informative(0.011));
    }

    #[test]
    fn singletons_and_lost_rewards_are_refused() {
        assert_eq!(Group::new(vec![attempt(1.0)]), Err(GroupError::TooSmall(1)));
        let lost = Group::new(vec![attempt(1.0), attempt(f64::INFINITY)]);
        assert_eq!(lost, Err(GroupError::NotFinite { attempt: 1, value: f64::INFINITY }));
    }

    #[test]
    fn an_episode_is_truncated_where_one_of_its_replies_is() {
        let cut = Sample { finished: false, ..Sample::from_text("") };
        let episode = |replies| Attempt { replies, reward: Reward::new(0.0) };
        assert!(episode(vec![Sample::from_text(""), cut]).is_truncated());
        assert!(!episode(vec![Sample::from_text("")]).is_truncated());
    }
}

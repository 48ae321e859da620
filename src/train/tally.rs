//! What was seen while replies were drawn and judged, as numbers.
//!
//! Guarantees that attempts of dropped groups count as those of kept ones do: leaving them out would flatter. Sums in the
//! order of the attempts, so that equal trainings give equal bits.

use std::collections::BTreeMap;

use super::update::{Tokens, attended};
use crate::group::{Group, Reward};
use crate::model::tree::Packed;
use crate::policy::Sample;

/// Sums over attempts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Examples whose problem alone does not fit the context.
    pub(super) too_long: u64,
    /// Steps of histories that were left out so that prompts fit.
    pub(super) lost_steps: u64,
    /// Attempts that the host lost: they are no attempts.
    pub(super) lost: u64,
    /// How often examples were dealt and answered.
    pub(super) rounds: u64,
    /// What passed the model.
    pub(super) tokens: Tokens,
    kept: u64,
    dropped: u64,
    group_std: f64,
    reward: Moments,
    /// Of attempts that could be read.
    similarity: Moments,
    by_step: [Moments; STEPS.len()],
    truncated: u64,
    replies: u64,
    reply_tokens: u64,
    longest: usize,
    entropy: f64,
}

/// The positions of steps in their trajectories, from 1, that are counted together: the last one, and the metric's name.
const STEPS: [(usize, &str); 7] = [
    (1, "reward_step_01"),
    (2, "reward_step_02"),
    (4, "reward_step_03_04"),
    (8, "reward_step_05_08"),
    (16, "reward_step_09_16"),
    (32, "reward_step_17_32"),
    (usize::MAX, "reward_step_33_up"),
];

impl Tally {
    /// Counts a group of replies to the step at `position`, from 0; `kept` says whether it reaches the loss.
    pub(super) fn count_group(&mut self, group: &Group, position: Option<usize>, kept: bool) {
        *(if kept { &mut self.kept } else { &mut self.dropped }) += 1;
        self.group_std += group.spread();
        for attempt in group.attempts() {
            self.count(&attempt.replies, attempt.reward, position);
        }
    }

    /// Counts an attempt, of one reply or more; `position` is that of the step it is about, from 0, if it is about one.
    pub(super) fn count(&mut self, replies: &[Sample], reward: Reward, position: Option<usize>) {
        self.reward.add(reward.value);
        if reward.well_formed {
            self.similarity.add(reward.value);
        }
        if let Some(position) = position {
            let step = STEPS.iter().position(|(last, _)| position < *last).unwrap_or(STEPS.len() - 1);
            self.by_step[step].add(reward.value);
        }
        self.truncated += u64::from(replies.iter().any(|reply| !reply.finished));
        self.replies += replies.len() as u64;
        for reply in replies {
            self.reply_tokens += reply.tokens.len() as u64;
            self.longest = self.longest.max(reply.tokens.len());
            self.entropy += reply.entropy;
        }
    }

    /// Counts the tokens of replies that were sampled together: prompts share their beginnings, and a reply's last
    /// token is not read again.
    pub(super) fn count_sampling<'s>(&mut self, replies: impl Iterator<Item = &'s Sample> + Clone) {
        let packed = Packed::new(replies.clone().map(|reply| &*reply.prompt));
        let shared = packed.tokens().len() as u64;
        self.tokens += Tokens { forward: shared, pairs: attended(&packed), ..Tokens::default() };
        for reply in replies {
            let (prompt, read) = (reply.prompt.len() as u64, reply.tokens.len().saturating_sub(1) as u64);
            self.tokens += Tokens {
                forward: read,
                without_sharing: prompt + read,
                // The i-th of them attends to the prompt, to those before it, and to itself.
                pairs: read * prompt + read * (read + 1) / 2,
                predictions: reply.tokens.len() as u64,
                ..Tokens::default()
            };
        }
    }

    /// The same of replies whose prompts were read apart: only prompts that are wholly alike were read once.
    pub(super) fn count_sampling_apart<'s>(&mut self, replies: impl Iterator<Item = &'s Sample>) {
        let mut alike: BTreeMap<&[u32], Vec<&Sample>> = BTreeMap::new();
        for reply in replies {
            alike.entry(&*reply.prompt).or_default().push(reply);
        }
        for replies in alike.into_values() {
            self.count_sampling(replies.into_iter());
        }
    }

    /// Attempts counted.
    pub(super) fn attempts(&self) -> u64 {
        self.reward.n
    }

    /// Groups that do not reach the loss.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The numbers of the attempts by name; there must be some.
    pub(super) fn attempt_metrics(&self) -> BTreeMap<String, f64> {
        let attempts = self.reward.n as f64;
        let mut numbers = vec![
            ("reward", self.reward.mean),
            ("reward_std", self.reward.std()),
            ("malformed", (self.reward.n - self.similarity.n) as f64 / attempts),
            ("truncated", self.truncated as f64 / attempts),
            ("replies", self.replies as f64 / attempts),
            ("reply_tokens", self.reply_tokens as f64 / self.replies.max(1) as f64),
            ("reply_tokens_max", self.longest as f64),
        ];
        if 0 < self.similarity.n {
            numbers.push(("similarity", self.similarity.mean));
        }
        if 0 < self.reply_tokens {
            numbers.push(("entropy", self.entropy / self.reply_tokens as f64));
        }
        let by_step = std::iter::zip(STEPS, &self.by_step).filter(|(_, rewards)| 0 < rewards.n);
        numbers.extend(by_step.map(|((_, name), rewards)| (name, rewards.mean)));
        named(numbers)
    }

    /// The numbers of the attempts and of their groups by name; there must be some.
    pub(super) fn group_metrics(&self) -> BTreeMap<String, f64> {
        let mut metrics = self.attempt_metrics();
        metrics.extend(named([
            ("group_std", self.group_std / (self.kept + self.dropped) as f64),
            ("kept", self.kept as f64),
            ("dropped", self.dropped as f64),
            ("rounds", self.rounds as f64),
            ("too_long", self.too_long as f64),
            ("lost", self.lost as f64),
            ("lost_steps", self.lost_steps as f64),
        ]));
        metrics
    }
}

/// Numbers by name, as events have them.
pub(super) fn named<'a>(numbers: impl IntoIterator<Item = (&'a str, f64)>) -> BTreeMap<String, f64> {
    numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A running mean and spread (Welford's): equal numbers have a spread of exactly zero.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    n: u64,
    mean: f64,
    /// The sum of squared distances from the mean.
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.n += 1;
        let distance = value - self.mean;
        self.mean += distance / self.n as f64;
        self.squares += distance * (value - self.mean);
    }

    /// The population standard deviation.
    fn std(&self) -> f64 {
        (self.squares / (self.n as f64).max(1.0)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Attempt;

    fn attempt(reward: Reward, tokens: usize, entropy: f64, finished: bool) -> Attempt {
        let sample = Sample { tokens: vec![7; tokens], entropy, finished, ..Sample::from_text("a") };
        Attempt { replies: vec![sample], reward }
    }

    #[test]
    fn every_attempt_counts_whether_its_group_is_kept_or_not() {
        let mut tally = Tally::default();
        let flat = Group::new(vec![attempt(Reward::new(0.25), 4, 2.0, true); 2]).unwrap();
        let spread = Group::new(vec![
            attempt(Reward::new(1.0), 10, 1.0, true),
            attempt(Reward::MALFORMED, 6, 3.0, false),
        ]);
        tally.count_group(&flat, Some(0), false);
        tally.count_group(&spread.unwrap(), Some(4), true);
        let metrics = tally.group_metrics();
        let of = |name: &str| metrics[name];
        assert_eq!(
            [of("reward"), of("similarity"), of("malformed"), of("truncated")],
            [0.125, 0.5, 0.25, 0.25]
        );
        assert_eq!([of("kept"), of("dropped"), of("group_std")], [1.0, 1.0, 0.5]);
        assert_eq!([of("reply_tokens"), of("reply_tokens_max")], [6.0, 10.0]);
        // 2 + 2 + 1 + 3 nats over 24 tokens.
        assert_eq!(of("entropy"), 8.0 / 24.0);
        assert_eq!([of("reward_step_01"), of("reward_step_05_08")], [0.25, 0.0]);
        assert!(!metrics.contains_key("reward_step_02"));
        // statistics.pstdev([0.25, 0.25, 1, -1]) in Python.
        assert!((of("reward_std") - 0.718_070_330_8).abs() < 1e-9);
    }

    #[test]
    fn steps_are_counted_in_bounded_ranges() {
        let mut tally = Tally::default();
        for position in [0, 1, 2, 3, 15, 31, 32, 5000] {
            tally.count(&[Sample::from_text("a")], Reward::new(0.5), Some(position));
        }
        let counts = tally.by_step.map(|rewards| rewards.n);
        assert_eq!(counts, [1, 1, 2, 0, 1, 1, 2]);
        assert_eq!(tally.attempt_metrics()["reward_std"], 0.0);
    }
}

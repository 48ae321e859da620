//! Draws a token from logits.
//!
//! Guarantees that the log-probability and the entropy that it gives are those of the distribution at the temperature,
//! before min-p, top-k and top-p cut it: the one that `logprobs` recomputes.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Prompt, SampleOptions};
use crate::seed;

/// One reply's stream of random numbers and the rules for using it.
#[derive(Debug)]
pub(crate) struct Sampler {
    rng: ChaCha8Rng,
    temperature: f64,
    cut: Cut,
    /// The entropies of the distributions that were drawn from, in nats, summed.
    entropy: f64,
}

/// Which tokens may be drawn.
#[derive(Debug, Clone, Copy)]
struct Cut {
    top_p: f64,
    top_k: usize,
    min_p: f64,
}

impl Sampler {
    pub(crate) fn new(prompt: &Prompt, reply: usize, options: &SampleOptions) -> Self {
        let seed = seed::derive(prompt.seed, "sample", &[reply as u64]);
        let SampleOptions { temperature, top_p, top_k, min_p, .. } = *options;
        let cut = Cut { top_p, top_k, min_p };
        Self { rng: seed::rng(seed, "tokens", &[]), temperature, cut, entropy: 0.0 }
    }

    /// A token and its log-probability; greedy choice gives that of temperature 1.
    pub(crate) fn draw(&mut self, logits: &[f32]) -> (u32, f32) {
        if self.temperature <= 0.0 {
            let best = argmax(logits);
            return (best as u32, logits[best] - self.normalizer(logits, 1.0) as f32);
        }
        let scale = self.temperature.recip();
        let normalizer = self.normalizer(logits, scale);
        let point: f64 = self.rng.random();
        let probabilities = logits.iter().map(|&x| (f64::from(x) * scale - normalizer).exp()).enumerate();
        let token = if self.cut.is_none() {
            pick(probabilities, point).unwrap_or(logits.len() - 1)
        } else {
            let kept = self.cut.kept(probabilities.collect());
            let mass: f64 = kept.iter().map(|(_, probability)| probability).sum();
            pick(kept.iter().copied(), point * mass).unwrap_or(kept[0].0)
        };
        (token as u32, (f64::from(logits[token]) * scale - normalizer) as f32)
    }

    /// The most probable tokens with their log-probabilities, as [`Sampler::draw`] gives them; the best first.
    pub(crate) fn top(&self, logits: &[f32], count: usize) -> Vec<(u32, f32)> {
        let scale = if self.temperature <= 0.0 { 1.0 } else { self.temperature.recip() };
        let normalizer = normalizer_and_entropy(logits, scale).0;
        let logprobs = logits.iter().map(|&x| f64::from(x) * scale - normalizer).enumerate().collect();
        best(logprobs, count).into_iter().map(|(token, logprob)| (token as u32, logprob as f32)).collect()
    }

    /// The entropies of the distributions so far, in nats, summed.
    pub(crate) fn entropy(&self) -> f64 {
        self.entropy
    }

    /// The logarithm of what divides the exponentials of the scaled logits; adds their entropy.
    fn normalizer(&mut self, logits: &[f32], scale: f64) -> f64 {
        let (normalizer, entropy) = normalizer_and_entropy(logits, scale);
        self.entropy += entropy;
        normalizer
    }
}

/// The first index at which the running sum exceeds `point`.
fn pick(probabilities: impl Iterator<Item = (usize, f64)>, point: f64) -> Option<usize> {
    let mut sum = 0.0;
    let mut last = None;
    for (index, probability) in probabilities {
        sum += probability;
        if probability > 0.0 {
            last = Some(index);
        }
        if sum > point {
            return Some(index);
        }
    }
    last
}

impl Cut {
    fn is_none(self) -> bool {
        self.top_p >= 1.0 && self.top_k == 0 && self.min_p <= 0.0
    }

    /// The tokens that may be drawn, the most probable first: min-p, then top-k, then top-p of what these leave,
    /// which is vLLM's order. At least one stays.
    fn kept(self, mut tokens: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
        let most = tokens.iter().fold(0.0, |most, (_, probability)| probability.max(most));
        tokens.retain(|(_, probability)| *probability >= self.min_p * most);
        let count = if self.top_k == 0 { tokens.len() } else { self.top_k };
        let mut kept = best(tokens, count);
        if self.top_p < 1.0 {
            let mass: f64 = kept.iter().map(|(_, probability)| probability).sum();
            let mut sum = 0.0;
            let reaches = |(_, probability): &(usize, f64)| {
                sum += probability;
                sum >= self.top_p * mass
            };
            let last = kept.iter().position(reaches);
            kept.truncate(last.map_or(kept.len(), |last| last + 1));
        }
        kept
    }
}

/// The `count` largest values with their places, largest first; of equal ones the first.
fn best(mut values: Vec<(usize, f64)>, count: usize) -> Vec<(usize, f64)> {
    let order = |a: &(usize, f64), b: &(usize, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if count < values.len() {
        values.select_nth_unstable_by(count, order);
        values.truncate(count);
    }
    values.sort_unstable_by(order);
    values
}

fn argmax(logits: &[f32]) -> usize {
    let better = |best: usize, index: usize| if logits[index] > logits[best] { index } else { best };
    (1..logits.len()).fold(0, better)
}

/// The logarithm of the sum of the exponentials of scaled logits, and the entropy ln Σe − Σ(e·x) / Σe of what they
/// describe, in one pass over x − max.
fn normalizer_and_entropy(logits: &[f32], scale: f64) -> (f64, f64) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weighted) = (0.0, 0.0);
    for &x in logits {
        let shifted = (f64::from(x) - f64::from(max)) * scale;
        let weight = shifted.exp();
        sum += weight;
        // A token that cannot be drawn has a logit of −∞, and 0 · ∞ is no number.
        weighted += if 0.0 < weight { weight * shifted } else { 0.0 };
    }
    (f64::from(max) * scale + sum.ln(), sum.ln() - weighted / sum)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "these values are exact")]

    use std::sync::Arc;

    use super::*;

    fn frequencies(options: &SampleOptions, logits: &[f32]) -> Vec<f64> {
        let prompt = Prompt { tokens: Arc::from([0]), n: 1, seed: 5 };
        let mut sampler = Sampler::new(&prompt, 0, options);
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..20_000 {
            counts[sampler.draw(logits).0 as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let options = SampleOptions { temperature: 0.5, ..SampleOptions::default() };
        // At temperature 0.5 these are 1/21, 4/21, 16/21.
        let frequencies = frequencies(&options, &[0.0, 2f32.ln(), 4f32.ln()]);
        for (frequency, expected) in frequencies.iter().zip([1.0 / 21.0, 4.0 / 21.0, 16.0 / 21.0]) {
            assert!((frequency - expected).abs() < 0.01, "{frequencies:?}");
        }
    }

    #[test]
    fn the_entropy_is_that_of_the_distribution_at_the_temperature() {
        let prompt = Prompt { tokens: Arc::from([0]), n: 1, seed: 5 };
        let entropy = |temperature: f64, logits: &[f32]| {
            let options = SampleOptions { temperature, ..SampleOptions::default() };
            let mut sampler = Sampler::new(&prompt, 0, &options);
            sampler.draw(logits);
            sampler.entropy()
        };
        let of = |probabilities: &[f64]| -probabilities.iter().map(|p| p * p.ln()).sum::<f64>();
        assert!((entropy(1.0, &[3.0; 8]) - 8f64.ln()).abs() < 1e-12);
        let skewed = [0.0, 2f32.ln(), 4f32.ln(), f32::NEG_INFINITY];
        let halved = of(&[1.0 / 21.0, 4.0 / 21.0, 16.0 / 21.0]);
        assert!((entropy(0.5, &skewed) - halved).abs() < 1e-6);
        assert!((entropy(0.0, &skewed) - of(&[1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0])).abs() < 1e-6);
    }

    #[test]
    fn top_p_never_draws_from_the_tail() {
        let options = SampleOptions { top_p: 0.75, ..SampleOptions::default() };
        let frequencies = frequencies(&options, &[0.1f32.ln(), 0.5f32.ln(), 0.4f32.ln()]);
        assert_eq!(frequencies[0], 0.0);
        assert!((frequencies[1] - 5.0 / 9.0).abs() < 0.01, "{frequencies:?}");
    }
    #[test]
    fn top_k_draws_from_the_most_probable_only() {
        let options = SampleOptions { top_k: 2, ..SampleOptions::default() };
        let frequencies = frequencies(&options, &[0.1f32.ln(), 0.5f32.ln(), 0.4f32.ln()]);
        assert_eq!(frequencies[0], 0.0);
        assert!((frequencies[1] - 5.0 / 9.0).abs() < 0.01, "{frequencies:?}");
    }

    #[test]
    fn min_p_is_a_fraction_of_the_largest_probability() {
        let options = SampleOptions { min_p: 0.5, ..SampleOptions::default() };
        let frequencies = frequencies(&options, &[0.1f32.ln(), 0.5f32.ln(), 0.4f32.ln()]);
        assert_eq!(frequencies[0], 0.0);
        assert!((frequencies[2] - 4.0 / 9.0).abs() < 0.01, "{frequencies:?}");
    }

    #[test]
    fn top_p_counts_what_min_p_and_top_k_left() {
        // Of 0.5 and 0.3, the first alone is 0.625 of what top-k leaves, and only 0.5 of all.
        let tokens = vec![(0, 0.2), (1, 0.5), (2, 0.3)];
        let cut = |top_k: usize| Cut { top_p: 0.6, top_k, min_p: 0.0 };
        assert_eq!(cut(2).kept(tokens.clone()), [(1, 0.5)]);
        assert_eq!(cut(0).kept(tokens), [(1, 0.5), (2, 0.3)]);
    }

    #[test]
    fn a_cut_does_not_change_the_logprob() {
        let prompt = Prompt { tokens: Arc::from([0]), n: 1, seed: 5 };
        let logits = [0.2f32.ln(), 0.7f32.ln(), 0.1f32.ln()];
        let options = SampleOptions { top_k: 1, ..SampleOptions::default() };
        let (token, logprob) = Sampler::new(&prompt, 0, &options).draw(&logits);
        assert_eq!(token, 1);
        assert!((logprob - 0.7f32.ln()).abs() < 1e-6, "{logprob}");
    }

    #[test]
    fn the_most_probable_tokens_come_first_with_the_logprob_of_the_draw() {
        let prompt = Prompt { tokens: Arc::from([0]), n: 1, seed: 5 };
        let logits = [0.5, 2.0, -1.0, 2.0];
        for temperature in [0.0, 0.5, 1.0] {
            let options = SampleOptions { temperature, ..SampleOptions::default() };
            let mut sampler = Sampler::new(&prompt, 0, &options);
            let top = sampler.top(&logits, 3);
            assert_eq!(top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 3, 0]);
            let (token, logprob) = sampler.draw(&logits);
            let known = sampler.top(&logits, 4).into_iter().find(|(other, _)| *other == token).unwrap().1;
            assert!((known - logprob).abs() < 1e-6);
        }
    }
}

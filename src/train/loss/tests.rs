//! Golden numbers of every loss, and what their gradients are in expectation.

use candle_core::{DType, Device, Var};

use super::policy::{capped, clipped, sequence_ratios, token_ratios};
use super::*;
use crate::train::batch::{Average, weights};

// Two sequences of 3 tokens and 1. The golden numbers are those of a program in pure Python, f64, checked against TRL
// in torch: ratio = exp(logp - old); loss = -min(ratio * A, clip(ratio, .8, 1.28) * A); and the means over them.
const LENGTHS: [usize; 2] = [3, 1];
const LOGPROBS: [f64; 4] = [-0.5, -1.0, -2.0, -0.1];
const OLD: [f64; 4] = [-0.9, -1.0, -1.5, -0.4];
const REFERENCE: [f64; 4] = [-0.6, -1.2, -1.9, -0.2];
const ADVANTAGES: [f64; 4] = [1.0, 1.0, 1.0, -0.5];
const CLIP: Clip = Clip { low: 0.2, high: 0.28 };
const DUAL: Policy = Policy::DualClip { low: 0.2, high: 0.28, cap: 3.0 };
const AVERAGES: [Average; 3] = [Average::Sequences, Average::Tokens, Average::Fixed(4)];

fn tensor(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn scalar(tensor: &Tensor) -> f64 {
    tensor.to_scalar::<f64>().unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_vec1().unwrap()
}

fn members(lengths: &[usize]) -> Members {
    let each = |of: &dyn Fn(usize, usize) -> f64| {
        let values: Vec<f64> = lengths
            .iter()
            .enumerate()
            .flat_map(|(index, &length)| std::iter::repeat_n(of(index, length), length))
            .collect();
        tensor(&values)
    };
    let sequences = each(&|index, _| index as f64).to_dtype(DType::U32).unwrap();
    Members { sequences, shares: each(&|_, length| 1.0 / length as f64), count: lengths.len() }
}

/// What is known of the tokens of sequences `sequences` of the two, weighed for the whole batch.
fn known(average: Average, sequences: std::ops::Range<usize>) -> Known {
    let first: usize = LENGTHS[..sequences.start].iter().sum();
    let tokens = first..first + LENGTHS[sequences.clone()].iter().sum::<usize>();
    let of = |values: &[f64]| tensor(&values[tokens.clone()]);
    Known {
        old_logprobs: of(&OLD),
        reference_logprobs: of(&REFERENCE),
        importance: of(&[1.0; 4]),
        advantages: of(&ADVANTAGES),
        weights: of(&weights(&LENGTHS, average)),
        members: members(&LENGTHS[sequences]),
    }
}

fn total(loss: &Loss, logprobs: &Tensor, known: &Known) -> Tensor {
    let ratios = loss.policy.ratios(logprobs, known).unwrap();
    loss.total(logprobs, &ratios, known).unwrap()
}

fn policy_loss(policy: Policy, average: Average) -> f64 {
    let loss = Loss { policy, ..Loss::default() };
    scalar(&total(&loss, &tensor(&LOGPROBS), &known(average, 0..2)))
}

fn assert_golden(ours: &[f64], golden: &[f64]) {
    let close = std::iter::zip(ours, golden).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close && ours.len() == golden.len(), "{ours:?} and {golden:?}");
}

#[test]
fn ratios_and_clipped_losses_of_tokens_match_golden() {
    let ratios = token_ratios(&tensor(&LOGPROBS), &tensor(&OLD)).unwrap();
    assert_golden(&values(&ratios), &[1.491_825, 1.0, 0.606_531, 1.349_859]);
    let losses = clipped(&ratios, &tensor(&ADVANTAGES), CLIP).unwrap();
    assert_golden(&values(&losses), &[-1.28, -1.0, -0.606_531, 0.674_929]);
}

#[test]
fn averages_match_golden() {
    let mean = |average| policy_loss(Policy::Clip(CLIP), average);
    assert_golden(&[mean(Average::Tokens)], &[-0.552_900_3]);
    assert_golden(&[mean(Average::Sequences)], &[-0.143_623_7]);
    // Dr. GRPO: sums of sequences over a length that is the same for all; a length of 1 leaves the sums.
    assert_golden(&[mean(Average::Fixed(4)), mean(Average::Fixed(1))], &[-0.276_450_2, -1.105_800_6]);
}

#[test]
fn sequence_ratios_and_gspo_match_golden() {
    let ratios = sequence_ratios(&tensor(&LOGPROBS), &tensor(&OLD), &members(&LENGTHS)).unwrap();
    assert_golden(&values(&ratios), &[0.967_216_1, 0.967_216_1, 0.967_216_1, 1.349_858_8]);
    assert_golden(&[policy_loss(Policy::Gspo(CLIP), Average::Sequences)], &[-0.146_143_3]);
}

#[test]
fn cispo_matches_golden() {
    assert_golden(&[policy_loss(Policy::Cispo { cap: 1.28 }, Average::Tokens)], &[0.697_265_3]);
}

#[test]
fn a_dual_clip_bounds_what_a_negative_advantage_costs_and_nothing_else() {
    assert_golden(&[policy_loss(DUAL, Average::Tokens)], &[-0.552_900_3]);
    let losses = |advantage: f64| {
        let ratios = tensor(&[0.1, 1.0, 2.0, 5.0]);
        values(&DUAL.losses(&ratios, &ratios, &tensor(&[advantage; 4])).unwrap())
    };
    // −min(max(min(ρ·A, clip(ρ)·A), 3·A)) by hand, for A = −2 and A = 1.
    assert_golden(&losses(-2.0), &[1.6, 2.0, 4.0, 6.0]);
    assert_golden(&losses(1.0), &[-0.1, -1.0, -1.28, -1.28]);
}

#[test]
fn estimators_of_the_divergence_match_golden() {
    let mean = |losses: Tensor| scalar(&losses.mean_all().unwrap());
    let (logprobs, reference) = (tensor(&LOGPROBS), tensor(&REFERENCE));
    assert_golden(&[mean(penalty::k1(&logprobs, &reference).unwrap())], &[0.075]);
    assert_golden(&[mean(penalty::k2(&logprobs, &reference).unwrap())], &[0.008_75]);
    assert_golden(&[mean(penalty::k3(&logprobs, &reference).unwrap())], &[0.008_394_1]);
}

#[test]
fn penalties_are_added_with_their_coefficients() {
    let with = |kl, entropy| Loss { policy: Policy::Clip(CLIP), kl, entropy, ..Loss::default() };
    let of = |loss: &Loss| scalar(&total(loss, &tensor(&LOGPROBS), &known(Average::Tokens, 0..2)));
    let plain = -0.552_900_3;
    assert_golden(&[of(&with(Kl::K1(2.0), 0.0))], &[plain + 2.0 * 0.075]);
    assert_golden(&[of(&with(Kl::K3(0.5), 0.0))], &[plain + 0.5 * 0.008_394_1]);
    // The entropy that the samples tell of is the mean of −log p: 3.6 / 4.
    assert_golden(&[of(&with(Kl::None, 0.1))], &[plain - 0.1 * 0.9]);
}

#[test]
fn bounds_match_golden() {
    let sides = |policy: Policy| -> Vec<Option<Bound>> {
        let of = |token: usize| policy.bound((LOGPROBS[token] - OLD[token]).exp(), ADVANTAGES[token]);
        (0..4).map(of).collect()
    };
    // A clip fraction of 0 below and 0.25 above.
    assert_eq!(sides(Policy::Clip(CLIP)), [Some(Bound::High), None, None, None]);
    assert_eq!(sides(Policy::Cispo { cap: 1.28 }), [Some(Bound::High), None, None, Some(Bound::High)]);
    assert_eq!(Policy::Clip(CLIP).bound(0.7, -1.0), Some(Bound::Low));
    assert_eq!(DUAL.bound(3.1, -1.0), Some(Bound::High));
    assert_eq!(DUAL.bound(2.9, -1.0), None);
}

#[test]
fn truncated_importance_sampling_weighs_the_policys_loss_and_no_penalty() {
    let cap = Correction::Truncate(2.0);
    assert!((cap.importance(-1.0, -1.5) - 0.5f32.exp()).abs() < 1e-6);
    assert_eq!(cap.importance(-1.0, -9.0), 2.0);
    assert_eq!(Correction::None.importance(-1.0, -9.0), 1.0);

    let loss = Loss { policy: Policy::Clip(CLIP), kl: Kl::K1(1.0), ..Loss::default() };
    let mut known = known(Average::Tokens, 0..2);
    known.importance = tensor(&[2.0, 1.0, 1.0, 0.5]);
    let golden = (2.0 * -1.28 - 1.0 - 0.606_531 + 0.5 * 0.674_929) / 4.0 + 0.075;
    assert_golden(&[scalar(&total(&loss, &tensor(&LOGPROBS), &known))], &[golden]);
}

#[test]
fn imitation_is_the_weighted_negative_log_likelihood() {
    let loss =
        |average| scalar(&imitation(&tensor(&LOGPROBS), &tensor(&weights(&LENGTHS, average))).unwrap());
    assert!((loss(Average::Tokens) - 3.6 / 4.0).abs() < 1e-12);
    assert!((loss(Average::Sequences) - 0.5 * (3.5 / 3.0 + 0.1)).abs() < 1e-12);
}

fn every_loss() -> Vec<Loss> {
    let policies = [Policy::Clip(CLIP), DUAL, Policy::Gspo(CLIP), Policy::Cispo { cap: 1.28 }];
    policies.map(|policy| Loss { policy, kl: Kl::K3(0.1), entropy: 0.01, ..Loss::default() }).into()
}

#[test]
fn micro_batches_of_whole_sequences_add_up_to_the_batch() {
    for loss in every_loss() {
        for average in AVERAGES {
            let of = |sequences: std::ops::Range<usize>, tokens: std::ops::Range<usize>| {
                scalar(&total(&loss, &tensor(&LOGPROBS[tokens]), &known(average, sequences)))
            };
            let (whole, parts) = (of(0..2, 0..4), of(0..1, 0..3) + of(1..2, 3..4));
            assert!((whole - parts).abs() < 1e-12, "{loss:?} {average:?}: {whole} and {parts}");
        }
    }
}

#[test]
fn gradients_match_finite_differences() {
    for policy in [Policy::Clip(CLIP), DUAL, Policy::Gspo(CLIP)] {
        for kl in [Kl::None, Kl::K1(0.1), Kl::K2(0.1), Kl::K3(0.1)] {
            let (loss, known) = (Loss { policy, kl, ..Loss::default() }, known(Average::Sequences, 0..2));
            let logprobs = Var::from_tensor(&tensor(&LOGPROBS)).unwrap();
            let grads = total(&loss, logprobs.as_tensor(), &known).backward().unwrap();
            let gradient = values(grads.get(&logprobs).unwrap());
            for token in 0..LOGPROBS.len() {
                let moved = |by: f64| {
                    let mut values = LOGPROBS;
                    values[token] += by;
                    scalar(&total(&loss, &tensor(&values), &known))
                };
                let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                assert!((gradient[token] - difference).abs() < 1e-7, "{loss:?} {token}: {gradient:?}");
            }
        }
    }
}

#[test]
fn cispo_keeps_the_gradient_of_every_token_at_its_capped_ratio() {
    let logprobs = Var::from_tensor(&tensor(&LOGPROBS)).unwrap();
    let ratios = token_ratios(logprobs.as_tensor(), &tensor(&OLD)).unwrap();
    let losses = capped(logprobs.as_tensor(), &ratios, &tensor(&ADVANTAGES), 1.28).unwrap();
    let grads = losses.sum_all().unwrap().backward().unwrap();
    assert_golden(&values(grads.get(&logprobs).unwrap()), &[-1.28, -1.0, -0.606_531, 0.64]);
}

/// The gradient on logits of the expectation of `losses` over all tokens of a vocabulary.
fn expected_gradient(losses: impl Fn(&Tensor) -> Tensor) -> Vec<f64> {
    let logits = Var::from_tensor(&tensor(&[0.3, -0.8, 1.1])).unwrap();
    let logprobs = candle_nn::ops::log_softmax(logits.as_tensor(), 0).unwrap();
    let weights = logprobs.exp().unwrap().detach();
    let expectation = (losses(&logprobs) * weights).unwrap().sum_all().unwrap();
    values(expectation.backward().unwrap().get(&logits).unwrap())
}

/// The gradient on the same logits of a function of the whole distribution.
fn exact_gradient(of: impl Fn(&Tensor) -> Tensor) -> Vec<f64> {
    let logits = Var::from_tensor(&tensor(&[0.3, -0.8, 1.1])).unwrap();
    let logprobs = candle_nn::ops::log_softmax(logits.as_tensor(), 0).unwrap();
    let value = (of(&logprobs) * logprobs.exp().unwrap()).unwrap().sum_all().unwrap();
    values(value.backward().unwrap().get(&logits).unwrap())
}

#[test]
fn the_bonus_has_the_gradient_of_the_entropy_in_expectation() {
    let exact = exact_gradient(Tensor::clone);
    assert!(exact.iter().any(|part| 0.1 < part.abs()), "{exact:?}");
    assert_golden(&expected_gradient(|logprobs| penalty::certainty(logprobs).unwrap()), &exact);
}

#[test]
fn k2_has_the_gradient_of_the_divergence_in_expectation_k3_of_its_reverse_and_k1_none() {
    let reference = candle_nn::ops::log_softmax(&tensor(&[1.0, 0.2, -0.5]), 0).unwrap();
    let exact = exact_gradient(|logprobs| (logprobs - &reference).unwrap());
    assert!(exact.iter().any(|part| 0.1 < part.abs()), "{exact:?}");
    assert_golden(&expected_gradient(|logprobs| penalty::k2(logprobs, &reference).unwrap()), &exact);
    assert_golden(&expected_gradient(|logprobs| penalty::k1(logprobs, &reference).unwrap()), &[0.0; 3]);
    let k3 = expected_gradient(|logprobs| penalty::k3(logprobs, &reference).unwrap());
    // Of KL(p_ref ‖ p), whose part that depends on p is −Σ p_ref·log p.
    let p_ref = reference.exp().unwrap();
    let ratio = |logprobs: &Tensor| (&p_ref / logprobs.exp().unwrap().detach()).unwrap();
    let reverse = expected_gradient(|logprobs| (logprobs * ratio(logprobs)).unwrap().neg().unwrap());
    assert_golden(&k3, &reverse);
    assert!(std::iter::zip(&k3, &exact).any(|(a, b)| 0.05 < (a - b).abs()), "{k3:?} and {exact:?}");
}

#[test]
fn impossible_ratios_stay_finite() {
    let far = tensor(&[0.0, -1e4, 0.0, 0.0]);
    for loss in every_loss() {
        let known = Known { old_logprobs: tensor(&[-1e4, 0.0, 0.0, 0.0]), ..known(Average::Tokens, 0..2) };
        assert!(scalar(&total(&loss, &far, &known)).is_finite(), "{loss:?}");
    }
}

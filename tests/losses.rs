//! Losses on a real model: whatever the loss, micro-batches and passes see the gradient of the whole batch, and what a
//! loss reads beyond the sampler's numbers is scored before an update.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "train")]

use std::sync::Arc;

use apprentice::model::config::QwenConfig;
use apprentice::model::tokenizer::{ChatTokenizer, Pieces};
use apprentice::model::{Prompt, SampleOptions, Student};
use apprentice::policy::Sample;
use apprentice::train::batch::{Average, Sequence};
use apprentice::train::gradients::Gradients;
use apprentice::train::loss::{Clip, Correction, Kl, Loss, Policy};
use apprentice::train::score::Scorer;
use apprentice::train::update::{Objective, UpdateOptions, Updated, gradients};
use candle_core::Device;
use serde_json::json;

fn student(seed: u64) -> Student {
    let words = ["alpha beta gamma delta".to_owned(), "omega sigma fails".to_owned()];
    let tokenizer = ChatTokenizer::train(words.into_iter(), 300, Pieces::Words).unwrap();
    let config = QwenConfig::from_json(json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": tokenizer.vocab_size(),
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 256,
        "tie_word_embeddings": true, "hidden_act": "silu"
    }))
    .unwrap();
    Student::init(config, tokenizer, seed, 0.15, &Device::Cpu).unwrap()
}

fn reply(student: &Student, prompt: Arc<[u32]>, seed: u64) -> Sample {
    // Replies of different lengths: averages over sequences and over tokens then differ.
    let options = SampleOptions {
        temperature: 1.0,
        top_p: 1.0,
        max_new_tokens: 3 + (seed % 5) as usize,
        ..SampleOptions::default()
    };
    student.generate(&[Prompt { tokens: prompt, n: 1, seed }], &options).unwrap().remove(0).remove(0)
}

/// Episodes of two replies with an observation between them, away from a ratio of 1 and from the kinks of clipping.
fn episodes(student: &Student) -> Vec<Sequence> {
    let tokens = |text: &str| student.tokenizer().encode_text(text).unwrap();
    let episode = |index: u64| {
        let first = reply(student, tokens("alpha fails").into(), index);
        let next = [&*first.prompt, &*first.tokens, &*tokens("omega")].concat();
        let second = reply(student, next.into(), 100 + index);
        let advantage = if index.is_multiple_of(2) { 1.0 } else { -0.7 };
        let mut sequence = Sequence::sampled(format!("e#{index}").into(), [&first, &second], advantage);
        let shift = [0.1, -0.1, 0.5, -0.5, 0.05, -0.3][index as usize];
        for answer in &mut sequence.answers {
            answer.old_logprobs.iter_mut().for_each(|logprob| *logprob -= shift);
            answer.reference_logprobs = answer.old_logprobs.iter().map(|logprob| logprob + 0.2).collect();
            answer.importance = vec![0.9; answer.reply.len()];
        }
        sequence
    };
    (0..6).map(episode).collect()
}

fn options(loss: Loss, average: Average, micro_batch_tokens: usize) -> UpdateOptions {
    let objective = Objective::Policy { loss, temperature: 1.0 };
    UpdateOptions { objective, average, micro_batch_tokens, max_grad_norm: 1.0, rate: 1e-3 }
}

fn losses() -> Vec<Loss> {
    let clip = Clip { low: 0.2, high: 0.28 };
    let policies = [
        Policy::Clip(clip),
        Policy::DualClip { low: 0.2, high: 0.28, cap: 3.0 },
        Policy::Gspo(clip),
        Policy::Cispo { cap: 1.28 },
    ];
    policies.map(|policy| Loss { policy, kl: Kl::K2(0.1), entropy: 0.01, ..Loss::default() }).into()
}

fn distance(student: &Student, a: &Gradients, b: &Gradients) -> f64 {
    let squares = student.vars().keys().map(|name| {
        let difference = (a.of(name).unwrap() - b.of(name).unwrap()).unwrap();
        f64::from(difference.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap())
    });
    squares.sum::<f64>().sqrt()
}

#[test]
fn micro_batches_give_the_gradient_of_one_batch_whatever_the_loss_and_the_average() {
    let student = student(5);
    let episodes = episodes(&student);
    let mut seen: Vec<f64> = Vec::new();
    for loss in losses() {
        for average in [Average::Sequences, Average::Tokens, Average::Fixed(16)] {
            let of = |limit| gradients(&student, &episodes, &options(loss, average, limit)).unwrap();
            let ((whole, one), (parts, many)) = (of(1_000_000), of(1));
            assert!(one.tokens.forward < many.tokens.forward, "six passes share nothing between episodes");
            assert!((one.loss - many.loss).abs() < 1e-5, "{loss:?} {average:?}: {one:?} {many:?}");
            assert!((one.clip_high - many.clip_high).abs() < 1e-9);
            assert!((one.kl.unwrap() - many.kl.unwrap()).abs() < 1e-5);
            let (apart, norm) = (distance(&student, &whole, &parts), whole.norm().unwrap());
            assert!(apart < 1e-5 * norm, "{loss:?} {average:?}: {apart} of {norm}");
            seen.push(norm);
        }
    }
    // No two of the losses are the same, but that no ratio is beyond the dual clip's cap.
    seen.sort_by(f64::total_cmp);
    seen.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    assert_eq!(seen.len(), 9, "{seen:?}");
}

#[test]
fn a_second_pass_over_unchanged_weights_sees_the_gradient_of_the_first() {
    let student = student(6);
    let episodes = episodes(&student);
    for loss in losses() {
        let of = || gradients(&student, &episodes, &options(loss, Average::Sequences, 40)).unwrap();
        let ((first, a), (second, b)) = (of(), of());
        assert_eq!((a, distance(&student, &first, &second)), (b, 0.0));
    }
}

#[test]
fn an_episodes_rows_are_shared_between_its_replies() {
    let student = student(7);
    let episodes = episodes(&student);
    let Updated { tokens, .. } =
        gradients(&student, &episodes[..1], &options(Loss::default(), Average::Tokens, 1)).unwrap().1;
    let [first, second] = &episodes[0].answers[..] else { panic!("two replies") };
    assert_eq!(tokens.forward as usize, second.prompt.len() + second.reply.len() - 1);
    let apart = first.prompt.len() + first.reply.len() - 1;
    assert_eq!(tokens.without_sharing, tokens.forward + apart as u64);
}

#[test]
fn a_remote_samplers_tokens_are_weighed_by_what_the_trainer_thinks_of_them() {
    let (student, other) = (student(8), student(9));
    let sample = reply(&student, student.tokenizer().encode_text("alpha fails").unwrap().into(), 4);
    let scorer =
        Scorer { student: &student, reference: Some(&other), temperature: 1.0, micro_batch_tokens: 1 };
    let loss = Loss { correction: Correction::Truncate(1.5), kl: Kl::K3(0.1), ..Loss::default() };

    // The trainer's own samples weigh 1, and its probabilities are the sampler's.
    let mut own = [Sequence::sampled("own".into(), [&sample], 1.0)];
    let tokens = scorer.fill(&loss, &mut own).unwrap();
    let answer = &own[0].answers[0];
    assert!(answer.importance.iter().all(|weight| (weight - 1.0).abs() < 1e-3), "{:?}", answer.importance);
    let gap = |(a, b): (&f32, &f32)| (a - b).abs();
    assert!(std::iter::zip(&answer.old_logprobs, &sample.logprobs).map(gap).all(|gap| gap < 1e-3));
    // The reference is another student, and so has other opinions.
    assert!(std::iter::zip(&answer.reference_logprobs, &sample.logprobs).map(gap).any(|gap| 0.01 < gap));
    assert_eq!((tokens.forward, tokens.backward), (2 * own[0].rows() as u64, 0));

    // A sampler that thought less, and one that thought more, of what it said.
    let told =
        |by: f32| Sample { logprobs: sample.logprobs.iter().map(|l| l + by).collect(), ..sample.clone() };
    for (by, weight) in [(-1.0, 1.5), (0.5, (-0.5f32).exp())] {
        let mut remote = [Sequence::sampled("remote".into(), [&told(by)], 1.0)];
        scorer.fill(&loss, &mut remote).unwrap();
        let importance = &remote[0].answers[0].importance;
        assert!(importance.iter().all(|w| (w - weight).abs() < 1e-3), "{by}: {importance:?}");
        // Ratios are taken against the trainer, so clipping does not see the sampler.
        let updated = gradients(&student, &remote, &options(loss, Average::Tokens, 1)).unwrap().1;
        assert!(updated.sampler_gap < 1e-3 && updated.clip_low + updated.clip_high == 0.0, "{updated:?}");
    }
}

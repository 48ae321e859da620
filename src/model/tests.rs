//! Claims about the student as a whole, on tiny random networks.

use std::ops::ControlFlow;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::config::QwenConfig;
use super::decode::engine::{Order, with_engine};
use super::decode::{Reply, generate, generate_apart};
use super::network::Network;
use super::tokenizer::{ChatTokenizer, Pieces};
use super::tree::Packed;
use super::{Prompt, SampleOptions, Student, plain};
use crate::chat::{Message, Role};

mod tuning;

fn tiny(model_type: &str) -> Value {
    json!({"model_type": model_type, "vocab_size": 300, "hidden_size": 24, "intermediate_size": 40,
        "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 6,
        "max_position_embeddings": 700, "tie_word_embeddings": model_type == "qwen2"})
}

fn network(model_type: &str) -> Network {
    Network::init(QwenConfig::from_json(tiny(model_type)).unwrap(), 3, 0.3, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The rows of every next token, the tokens, and some weights.
fn predictions(packed: &Packed, sequences: &[Vec<u32>]) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
    let mut rows = Vec::new();
    let mut targets = Vec::new();
    let mut weights = Vec::new();
    for (index, sequence) in sequences.iter().enumerate() {
        rows.extend((0..sequence.len() - 1).map(|position| packed.row(index, position)));
        targets.extend(&sequence[1..]);
        weights.extend((1..sequence.len()).map(|position| ((index * 31 + position * 17) % 13) as f32 - 5.0));
    }
    (rows, targets, weights)
}

/// The log-probabilities of every next token and, for a weighting of them, all gradients.
fn pass(
    network: &Network,
    packed: &Packed,
    sequences: &[Vec<u32>],
    plain: bool,
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let (rows, targets, weights) = predictions(packed, sequences);
    let logprobs = if plain {
        plain::logprobs(network, packed, &rows, &targets, 0.8).unwrap()
    } else {
        network.logprobs(packed, &rows, &targets, 0.8).unwrap()
    };
    let weights = Tensor::from_vec(weights, rows.len(), &Device::Cpu).unwrap();
    let gradients = (&logprobs * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let all = network.vars().values().map(|var| values(gradients.get(var).expect("a gradient"))).collect();
    (values(&logprobs), all)
}

fn assert_close(a: &[f32], b: &[f32], relative: f32) {
    let largest = b.iter().fold(1e-3f32, |max, value| max.max(value.abs()));
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(a.len() == b.len() && worst <= relative * largest, "{worst:e} of {largest:e}");
}

fn pack(sequences: &[Vec<u32>]) -> Packed {
    Packed::new(sequences.iter().map(Vec::as_slice))
}

/// A trunk of `length` tokens and branches from it: several tiles and blocks of keys.
fn branching(length: usize) -> Vec<Vec<u32>> {
    let token = |seed: usize| (seed * 7919 % 300) as u32;
    let trunk: Vec<u32> = (0..length).map(token).collect();
    let branch = |at: usize, size: usize| {
        trunk[..at].iter().copied().chain((0..size).map(|i| token(at * 13 + i + size))).collect()
    };
    vec![
        branch(length, 9),
        branch(length / 2, 70),
        branch(length / 2, 5),
        branch(length / 3, 90),
        branch(2, 3),
    ]
}

#[test]
fn shared_prefixes_give_the_results_of_separate_sequences() {
    let strategy = prop::collection::vec(prop::collection::vec(0u32..3, 2..14), 1..8);
    for model_type in ["qwen2", "qwen3"] {
        let network = network(model_type);
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(12) });
        let check = |sequences: Vec<Vec<u32>>| {
            let (logprobs, gradients) = pass(&network, &pack(&sequences), &sequences, false);
            let mut separate_logprobs = Vec::new();
            let mut separate_gradients: Vec<Vec<f32>> =
                gradients.iter().map(|g| vec![0.0; g.len()]).collect();
            for (index, sequence) in sequences.iter().enumerate() {
                // The empty sequences keep the index, and so the weights.
                let mut alone = vec![vec![0]; index];
                alone.push(sequence.clone());
                let (logprobs, gradients) = pass(&network, &pack(&alone), &alone, false);
                separate_logprobs.extend(logprobs);
                for (sum, gradient) in separate_gradients.iter_mut().zip(gradients) {
                    sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
                }
            }
            assert_close(&logprobs, &separate_logprobs, 1e-5);
            for (gradient, separate) in gradients.iter().zip(&separate_gradients) {
                assert_close(gradient, separate, 1e-5);
            }
            Ok(())
        };
        runner.run(&strategy, check).unwrap();
    }
}

#[test]
fn the_fused_pass_gives_the_results_of_plain_operations() {
    for model_type in ["qwen2", "qwen3"] {
        let (network, sequences) = (network(model_type), branching(600));
        let packed = pack(&sequences);
        let (logprobs, gradients) = pass(&network, &packed, &sequences, false);
        let (plain_logprobs, plain_gradients) = pass(&network, &packed, &sequences, true);
        assert_close(&logprobs, &plain_logprobs, 1e-5);
        for ((name, gradient), plain) in network.vars().keys().zip(&gradients).zip(&plain_gradients) {
            eprintln!("{model_type} {name}");
            assert_close(gradient, plain, 2e-5);
        }
    }
}

#[test]
fn directional_derivatives_match_finite_differences() {
    let (network, sequences) = (network("qwen3"), branching(40));
    let packed = pack(&sequences);
    let (_, gradients) = pass(&network, &packed, &sequences, false);
    let objective = |logprobs: Vec<f32>| -> f64 {
        let positions = sequences.iter().enumerate().flat_map(|(i, s)| (1..s.len()).map(move |p| (i, p)));
        let weight = |(index, position)| ((index * 31 + position * 17) % 13) as f64 - 5.0;
        positions.map(weight).zip(logprobs).map(|(weight, logprob)| weight * f64::from(logprob)).sum()
    };
    for ((name, var), gradient) in network.vars().iter().zip(&gradients) {
        // Along the gradient itself the derivative is its squared length.
        let squared: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
        let step = 2e-3 / squared.sqrt();
        let direction = Tensor::from_vec(gradient.clone(), var.shape(), &Device::Cpu).unwrap();
        let start = var.as_detached_tensor().copy().unwrap();
        let at = |step: f64| {
            var.set(&(&start + (&direction * step).unwrap()).unwrap()).unwrap();
            objective(pass(&network, &packed, &sequences, false).0)
        };
        let slope = (at(step) - at(-step)) / (2.0 * step);
        var.set(&start).unwrap();
        assert!((slope / squared - 1.0).abs() < 2e-2, "{name}: {slope} instead of {squared}");
    }
}

#[test]
fn the_number_of_threads_does_not_reach_the_bits() {
    let (network, sequences) = (network("qwen2"), branching(600));
    let packed = pack(&sequences);
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (pass(&network, &packed, &sequences, false), draw(&network, 1.0)))
    };
    let one = with_threads(1);
    for threads in [2, 3, 5] {
        assert!(with_threads(threads) == one, "{threads} threads");
    }
}

fn prompts() -> Vec<Prompt> {
    let sequences = [branching(40).remove(0), branching(40).remove(1), vec![7], branching(40).remove(3)];
    let prompt =
        |(index, tokens): (usize, Vec<u32>)| Prompt { tokens: tokens.into(), n: 3, seed: index as u64 };
    sequences.into_iter().enumerate().map(prompt).collect()
}

fn draw(network: &Network, temperature: f64) -> Vec<Vec<Reply>> {
    let options = SampleOptions { temperature, max_new_tokens: 20, ..SampleOptions::default() };
    generate(network, &prompts(), &options, Some(11)).unwrap()
}

#[test]
fn cached_generation_equals_the_uncached_pass() {
    for model_type in ["qwen2", "qwen3"] {
        let network = network(model_type);
        for temperature in [1.0, 0.6] {
            let replies = draw(&network, temperature);
            for (prompt, reply) in
                prompts().iter().zip(&replies).flat_map(|(p, r)| r.iter().map(move |r| (p, r)))
            {
                let sequence = [&prompt.tokens[..], &reply.tokens[..]].concat();
                let packed = Packed::new([&sequence[..]]);
                let first = prompt.tokens.len() - 1;
                let rows: Vec<u32> =
                    (first..sequence.len() - 1).map(|position| packed.row(0, position)).collect();
                let again = network.logprobs(&packed, &rows, &reply.tokens, temperature).unwrap();
                for (a, b) in reply.logprobs.iter().zip(values(&again)) {
                    assert!((a - b).abs() < 1e-5, "{a} {b}");
                }
            }
        }
    }
}

#[test]
fn greedy_replies_take_the_most_probable_token() {
    let network = network("qwen2");
    for (prompt, replies) in prompts().iter().zip(draw(&network, 0.0)) {
        let mut sequence = prompt.tokens.to_vec();
        for &token in &replies[0].tokens {
            let packed = Packed::new([&sequence[..]]);
            let logits = values(&network.logits(&packed, &[packed.row(0, sequence.len() - 1)]).unwrap());
            assert!(logits.iter().all(|&logit| logit <= logits[token as usize] + 1e-4));
            sequence.push(token);
        }
    }
}

#[test]
fn a_reply_depends_on_its_seed_and_not_on_the_replies_beside_it() {
    let network = network("qwen2");
    let together = draw(&network, 1.0);
    assert_eq!(together, draw(&network, 1.0));
    assert_ne!(together[0][0].tokens, together[0][1].tokens);
    let options = SampleOptions { max_new_tokens: 20, ..SampleOptions::default() };
    for (prompt, replies) in prompts().into_iter().zip(&together) {
        let alone = generate(&network, &[prompt], &options, Some(11)).unwrap();
        assert_eq!(
            alone[0].iter().map(|r| &r.tokens).collect::<Vec<_>>(),
            replies.iter().map(|r| &r.tokens).collect::<Vec<_>>()
        );
    }
}

#[test]
fn prompts_that_are_read_apart_have_replies_of_the_same_bits_whoever_is_beside_them() {
    let network = network("qwen2");
    let options = SampleOptions { max_new_tokens: 20, ..SampleOptions::default() };
    let apart = |prompts: &[Prompt]| generate_apart(&network, prompts, &options, Some(11)).unwrap();
    let prompts = prompts();
    let together = apart(&prompts);
    let twice = apart(&[&prompts[..], &prompts[..]].concat());
    for (index, prompt) in prompts.iter().enumerate() {
        // The log-probabilities reach the weights.
        assert_eq!(apart(std::slice::from_ref(prompt))[0], together[index]);
        assert_eq!(twice[prompts.len() + index], together[index]);
    }
}

#[test]
fn a_reply_ends_at_the_models_last_position() {
    let network = network("qwen2");
    let prompt = |length: usize| Prompt { tokens: vec![1; length].into(), n: 1, seed: 0 };
    let options = SampleOptions { max_new_tokens: 9, ..SampleOptions::default() };
    let replies = generate(&network, &[prompt(697), prompt(700)], &options, None).unwrap();
    assert_eq!([replies[0][0].tokens.len(), replies[1][0].tokens.len()], [3, 0]);
    let error = generate(&network, &[prompt(701)], &options, None).unwrap_err();
    assert!(error.to_string().contains("700 positions"), "{error}");
}

#[test]
fn equal_seeds_give_equal_parameters_and_other_seeds_others() {
    let config = || QwenConfig::from_json(tiny("qwen2")).unwrap();
    let of = |seed| {
        values(
            Network::init(config(), seed, 0.1, &Device::Cpu).unwrap().vars()["model.embed_tokens.weight"]
                .as_tensor(),
        )
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    let weights = of(1);
    let mean: f32 = weights.iter().sum::<f32>() / weights.len() as f32;
    let deviation = (weights.iter().map(|w| (w - mean).powi(2)).sum::<f32>() / weights.len() as f32).sqrt();
    assert!(mean.abs() < 0.005 && (deviation - 0.1).abs() < 0.005, "{mean} {deviation}");
}

fn student() -> Student {
    let texts = (0..40).map(|i| format!("def f{i}(x):\n    return x + {i}  # the answer"));
    let tokenizer = ChatTokenizer::train(texts, 290, Pieces::Words).unwrap();
    Student::init(QwenConfig::from_json(tiny("qwen2")).unwrap(), tokenizer, 1, 0.2, &Device::Cpu).unwrap()
}

#[test]
fn a_saved_student_is_read_back_the_same() {
    let (dir, student) = (tempfile::tempdir().unwrap(), student());
    student.save(dir.path()).unwrap();
    let again = Student::load(dir.path(), &Device::Cpu).unwrap();
    assert_eq!(again.tokenizer().end(), student.tokenizer().end());
    for (name, var) in student.vars() {
        assert_eq!(values(var), values(&again.vars()[name]), "{name}");
    }
    let first = fs_err::read(dir.path().join("model.safetensors")).unwrap();
    again.save(dir.path()).unwrap();
    assert_eq!(first, fs_err::read(dir.path().join("model.safetensors")).unwrap());
    let config: Value =
        serde_json::from_slice(&fs_err::read(dir.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config["eos_token_id"], student.tokenizer().end());
}

/// Moves some of a saved student's tensors to a second shard.
fn shard(dir: &std::path::Path, student: &Student) {
    let mut map = serde_json::Map::new();
    for (index, name) in ["a.safetensors", "b.safetensors"].into_iter().enumerate() {
        let part =
            student.vars().iter().enumerate().filter(|(i, _)| i % 2 == index).map(|(_, (k, v))| (k, v));
        let tensors: std::collections::HashMap<_, _> =
            part.map(|(k, v)| (k.clone(), v.as_tensor().clone())).collect();
        map.extend(tensors.keys().map(|key| (key.clone(), json!(name))));
        candle_core::safetensors::save(&tensors, dir.join(name)).unwrap();
    }
    fs_err::remove_file(dir.join("model.safetensors")).unwrap();
    fs_err::write(dir.join("model.safetensors.index.json"), json!({"weight_map": map}).to_string()).unwrap();
}

#[test]
fn sharded_weights_are_read_and_missing_or_wrong_ones_are_named() {
    let (dir, student) = (tempfile::tempdir().unwrap(), student());
    student.save(dir.path()).unwrap();
    shard(dir.path(), &student);
    let again = Student::load(dir.path(), &Device::Cpu).unwrap();
    assert_eq!(values(&again.vars()["model.norm.weight"]), values(&student.vars()["model.norm.weight"]));

    let load = || Student::load(dir.path(), &Device::Cpu).unwrap_err();
    fs_err::copy(dir.path().join("a.safetensors"), dir.path().join("b.safetensors")).unwrap();
    let wrong = load();
    assert!(
        wrong.to_string().contains("b.safetensors") && wrong.to_string().contains("another file"),
        "{wrong}"
    );
    fs_err::remove_file(dir.path().join("b.safetensors")).unwrap();
    let missing = load();
    assert!(missing.to_string().ends_with("shards that are missing: b.safetensors"), "{missing}");
    assert!(missing.hint().unwrap().starts_with("download"));
    fs_err::write(dir.path().join("b.safetensors"), b"no tensors").unwrap();
    let damaged = load();
    assert!(damaged.to_string().contains("b.safetensors"), "{damaged}");
}

#[test]
fn a_directory_without_weights_and_a_misfit_tokenizer_are_refused() {
    let (dir, student) = (tempfile::tempdir().unwrap(), student());
    student.save(dir.path()).unwrap();
    let small = student.config().clone().with_vocab_size(260);
    Network::init(small, 1, 0.1, &Device::Cpu).unwrap().save(dir.path()).unwrap();
    let misfit = Student::load(dir.path(), &Device::Cpu).unwrap_err();
    assert!(misfit.to_string().ends_with("tokens, but the model has only 260 embeddings"), "{misfit}");
    assert!(misfit.hint().unwrap().contains("tokenizer"));
    fs_err::remove_file(dir.path().join("model.safetensors")).unwrap();
    let empty = Student::load(dir.path(), &Device::Cpu).unwrap_err();
    assert!(empty.to_string().contains("neither `model.safetensors` nor"), "{empty}");
}

#[test]
fn a_student_answers_a_conversation() {
    let student = student();
    let messages = [Message { role: Role::User, content: "def".to_owned() }];
    let tokens: Arc<[u32]> = student.tokenizer().encode_prompt(&messages).unwrap().into();
    let options = SampleOptions { max_new_tokens: 8, ..SampleOptions::default() };
    let samples = student.generate(&[Prompt { tokens, n: 4, seed: 9 }], &options).unwrap().remove(0);
    assert_eq!(samples.len(), 4);
    for sample in samples {
        assert_eq!(sample.finished, sample.tokens.last() == Some(&student.tokenizer().end()));
        assert_eq!(sample.tokens.len(), sample.logprobs.len());
        assert_eq!(sample.text, student.tokenizer().decode(&sample.tokens));
    }
}

/// Draws with an engine, each prompt begun so many steps after the one before; the reply breaks off where `cut` says.
fn drawn_apart(
    network: &Network,
    steps: usize,
    options: &SampleOptions,
    cut: usize,
) -> Vec<Vec<(Vec<u32>, Vec<f32>)>> {
    let mut replies: Vec<_> = prompts().iter().map(|prompt| vec![Default::default(); prompt.n]).collect();
    with_engine(network, Some(11), |mut engine| {
        let mut waiting: Vec<Order> = (0u64..)
            .zip(prompts())
            .map(|(id, prompt)| Order { id, prompt, options: *options, top: 2 })
            .collect();
        waiting.reverse();
        let mut step = 0;
        while engine.live() > 0 || !waiting.is_empty() {
            if step % steps.max(1) == 0 {
                let count = if steps == 0 { waiting.len() } else { 1 };
                let orders = (0..count).filter_map(|_| waiting.pop()).collect();
                engine.begin(orders).unwrap();
            }
            engine.step(|drawn| {
                let (tokens, logprobs): &mut (Vec<u32>, Vec<f32>) =
                    &mut replies[drawn.id as usize][drawn.reply];
                tokens.push(drawn.token);
                logprobs.push(drawn.logprob);
                assert_eq!(drawn.top.len(), 2);
                assert!(drawn.top[0].1 >= drawn.logprob - 1e-6);
                if tokens.len() == cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            step += 1;
        }
    })
    .unwrap();
    replies
}

#[test]
fn replies_that_join_others_are_those_of_generation() {
    for model_type in ["qwen2", "qwen3"] {
        let network = network(model_type);
        for temperature in [0.0, 1.0] {
            let options = SampleOptions { temperature, max_new_tokens: 20, ..SampleOptions::default() };
            let expected = draw(&network, temperature);
            for steps in [0, 1, 7, 40] {
                let joined = drawn_apart(&network, steps, &options, usize::MAX);
                for ((tokens, logprobs), expected) in joined.iter().flatten().zip(expected.iter().flatten()) {
                    assert_eq!(*tokens, expected.tokens, "{model_type}, {steps} steps apart");
                    assert_close(logprobs, &expected.logprobs, 1e-5);
                }
            }
        }
    }
}

#[test]
fn a_reply_that_is_broken_off_changes_no_other() {
    let network = network("qwen2");
    let options = SampleOptions { max_new_tokens: 20, ..SampleOptions::default() };
    let cut = drawn_apart(&network, 2, &options, 5);
    for ((tokens, _), whole) in cut.iter().flatten().zip(draw(&network, 1.0).iter().flatten()) {
        assert_eq!(*tokens, whole.tokens[..whole.tokens.len().min(5)]);
    }
}

#[test]
fn an_engine_refuses_prompts_without_room_for_a_reply() {
    let order = |tokens: Vec<u32>| Order {
        id: 0,
        prompt: Prompt { tokens: tokens.into(), n: 1, seed: 0 },
        options: SampleOptions::default(),
        top: 0,
    };
    let refused = |tokens: Vec<u32>| {
        with_engine(&network("qwen2"), None, |mut engine| {
            let error = engine.begin(vec![order(tokens)]).unwrap_err();
            assert_eq!(engine.live(), 0);
            error.to_string()
        })
        .unwrap()
    };
    assert!(refused(vec![1; 700]).contains("701 tokens"));
    assert!(refused(vec![300]).contains("token 300"));
    assert!(refused(Vec::new()).contains("no tokens"));
}

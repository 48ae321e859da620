//! The network against transformers: logits, log-probabilities and every gradient.
//!
//! The expected values come from `shared/fixtures/parity`, written by transformers 5.23 in f32; a second
//! oracle is candle-transformers' Qwen2, which cannot be trained but whose logits are right.
#![cfg(feature = "train")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "this is a test, and it says what it measured")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use apprentice::model::network::Network;
use apprentice::model::precision::Precision;
use apprentice::model::tree::Packed;
use candle_core::{Device, Tensor};

const MODELS: [&str; 3] = ["qwen2-tied", "qwen2-untied", "qwen3"];

struct Fixture {
    name: &'static str,
    dir: PathBuf,
    network: Network,
    sequences: Vec<Vec<u32>>,
    expected: BTreeMap<String, Tensor>,
}

fn fixtures() -> Vec<Fixture> {
    let root = std::env::var_os("APPRENTICE_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    if !root.is_dir() {
        eprintln!("skipped: ../shared is not here");
        return Vec::new();
    }
    let read = |name: &'static str| {
        let dir = root.join("parity").join(name);
        let tokens: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(dir.join("tokens.json")).unwrap()).unwrap();
        Fixture {
            name,
            network: Network::load(&dir, &Device::Cpu).unwrap(),
            sequences: serde_json::from_value(tokens["sequences"].clone()).unwrap(),
            expected: candle_core::safetensors::load(dir.join("expected.safetensors"), &Device::Cpu)
                .unwrap()
                .into_iter()
                .collect(),
            dir,
        }
    };
    MODELS.into_iter().map(read).collect()
}

/// The rows and targets of every predicted token of every sequence.
fn predictions(packed: &Packed, sequences: &[Vec<u32>]) -> (Vec<u32>, Vec<u32>) {
    let mut rows = Vec::new();
    let mut targets = Vec::new();
    for (index, sequence) in sequences.iter().enumerate() {
        rows.extend((0..sequence.len() - 1).map(|position| packed.row(index, position)));
        targets.extend(&sequence[1..]);
    }
    (rows, targets)
}

fn pack(sequences: &[Vec<u32>]) -> Packed {
    Packed::new(sequences.iter().map(Vec::as_slice))
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |max, value| max.max(value.abs()))
}

#[test]
fn every_parameter_receives_a_gradient() {
    for fixture in fixtures() {
        let packed = pack(&fixture.sequences);
        let (rows, targets) = predictions(&packed, &fixture.sequences);
        let logprobs = fixture.network.logprobs(&packed, &rows, &targets, 1.0).unwrap();
        let gradients = logprobs.sum_all().unwrap().backward().unwrap();
        for (name, var) in fixture.network.vars() {
            let gradient = values(gradients.get(var).unwrap_or_else(|| panic!("no gradient for {name}")));
            assert!(gradient.iter().all(|value| value.is_finite()), "{name}");
            assert!(largest(&gradient) > 0.0, "{}: {name} has gradient 0", fixture.name);
        }
    }
}

#[test]
fn logits_match_transformers() {
    for fixture in fixtures() {
        let packed = pack(&fixture.sequences);
        let mut worst = 0f32;
        for (index, sequence) in fixture.sequences.iter().enumerate() {
            let rows: Vec<u32> = (0..sequence.len()).map(|position| packed.row(index, position)).collect();
            let logits = fixture.network.logits(&packed, &rows).unwrap();
            let expected = &fixture.expected[&format!("logits.{index}")];
            worst = worst.max(max_difference(&values(&logits), &values(expected)));
        }
        eprintln!("{}: logits differ by at most {worst:e}", fixture.name);
        assert!(worst < 1e-4);
    }
}

#[test]
fn logprobs_and_loss_match_transformers() {
    for fixture in fixtures() {
        let packed = pack(&fixture.sequences);
        let (rows, targets) = predictions(&packed, &fixture.sequences);
        let logprobs = fixture.network.logprobs(&packed, &rows, &targets, 1.0).unwrap();
        let loss = logprobs.mean_all().unwrap().neg().unwrap().to_scalar::<f32>().unwrap();
        let expected: Vec<f32> = (0..fixture.sequences.len())
            .flat_map(|index| values(&fixture.expected[&format!("logprobs.{index}")]))
            .collect();
        let worst = max_difference(&values(&logprobs), &expected);
        let loss_difference = (loss - values(&fixture.expected["loss"])[0]).abs();
        eprintln!("{}: log-probs differ by at most {worst:e}, the loss by {loss_difference:e}", fixture.name);
        assert!(worst < 1e-5 && loss_difference < 1e-5);
    }
}

#[test]
fn gradients_match_transformers() {
    for fixture in fixtures() {
        let packed = pack(&fixture.sequences);
        let (rows, targets) = predictions(&packed, &fixture.sequences);
        let logprobs = fixture.network.logprobs(&packed, &rows, &targets, 1.0).unwrap();
        let gradients = logprobs.mean_all().unwrap().neg().unwrap().backward().unwrap();
        let mut worst = (0f32, "");
        for (name, var) in fixture.network.vars() {
            let expected = values(&fixture.expected[&format!("grad.{name}")]);
            let relative =
                max_difference(&values(gradients.get(var).unwrap()), &expected) / largest(&expected);
            worst = if relative > worst.0 { (relative, name) } else { worst };
        }
        eprintln!("{}: gradients differ by at most {:e} of the largest ({})", fixture.name, worst.0, worst.1);
        assert!(worst.0 < 1e-4);
    }
}

#[test]
fn adapters_match_transformers_merged_or_not() {
    for fixture in fixtures() {
        let adapter = fixture.dir.join("adapter");
        let merged = apprentice::model::merge::merge(&fixture.network, &adapter).unwrap();
        let base = Network::load_frozen(&fixture.dir, Precision::F32, &Device::Cpu).unwrap();
        let adapted = base.with_adapter_of(&adapter, None).unwrap();
        let packed = pack(&fixture.sequences);
        let mut worst = 0f32;
        for (index, sequence) in fixture.sequences.iter().enumerate() {
            let rows: Vec<u32> = (0..sequence.len()).map(|position| packed.row(index, position)).collect();
            let expected = &fixture.expected[&format!("adapter_logits.{index}")];
            for network in [&merged, &adapted] {
                let logits = network.logits(&packed, &rows).unwrap();
                worst = worst.max(max_difference(&values(&logits), &values(expected)));
            }
        }
        eprintln!("{}: logits with the adapter differ by at most {worst:e}", fixture.name);
        assert!(worst < 1e-4);
    }
}

#[test]
#[ignore = "measures time: run it alone, with optimisation"]
fn a_step_of_2048_tokens_takes_well_under_a_second() {
    use apprentice::model::config::QwenConfig;
    use apprentice::model::{Prompt, SampleOptions, decode};
    let config = serde_json::json!({"model_type": "qwen2", "vocab_size": 2048, "hidden_size": 192,
        "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 2,
        "tie_word_embeddings": true});
    let network = Network::init(QwenConfig::from_json(config).unwrap(), 1, 0.05, &Device::Cpu).unwrap();
    let token = |i: usize| (i * 7919 % 2048) as u32;
    let sequences: Vec<Vec<u32>> = (0..8).map(|s| (0..256).map(|i| token(s * 1000 + i)).collect()).collect();
    let packed = pack(&sequences);
    let (rows, targets) = predictions(&packed, &sequences);
    for _ in 0..5 {
        let start = std::time::Instant::now();
        let logprobs = network.logprobs(&packed, &rows, &targets, 1.0).unwrap();
        let forward = start.elapsed();
        let gradients = logprobs.mean_all().unwrap().backward().unwrap();
        assert!(gradients.get(&network.vars()["model.norm.weight"]).is_some());
        eprintln!("2048 tokens, 2.76M parameters: forward {forward:?}, with backward {:?}", start.elapsed());
    }
    for (n, length) in [(8, 512), (1, 32)] {
        let prompts: Vec<Prompt> = (0..8)
            .map(|p| Prompt { tokens: (0..length).map(|i| token(p * 50 + i)).collect(), n, seed: 1 })
            .collect();
        let options = SampleOptions { max_new_tokens: 64, ..SampleOptions::default() };
        let start = std::time::Instant::now();
        let replies = decode::generate(&network, &prompts, &options, None).unwrap();
        let tokens: usize = replies.iter().flatten().map(|reply| reply.tokens.len()).sum();
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("8 prompts of {length} x {n} replies: {tokens} tokens in {seconds:.2} s");
    }
}

#[test]
fn logits_match_candle_transformers() {
    use candle_transformers::models::qwen2::{Config, ModelForCausalLM};
    for fixture in fixtures().into_iter().filter(|fixture| fixture.name.starts_with("qwen2")) {
        let text = std::fs::read_to_string(fixture.dir.join("config.json")).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        // Its reader wants the older key, and numbers where newer files have null.
        config["rope_theta"] = config["rope_parameters"]["rope_theta"].clone();
        config["sliding_window"] = 4096.into();
        let config: Config = serde_json::from_value(config).unwrap();
        let tensors =
            candle_core::safetensors::load(fixture.dir.join("model.safetensors"), &Device::Cpu).unwrap();
        let vars = candle_nn::VarBuilder::from_tensors(tensors, candle_core::DType::F32, &Device::Cpu);
        let mut oracle = ModelForCausalLM::new(&config, vars).unwrap();
        for sequence in &fixture.sequences {
            oracle.clear_kv_cache();
            let input = Tensor::new(&sequence[..], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let packed = Packed::new([&sequence[..]]);
            let ours = fixture.network.logits(&packed, &[packed.row(0, sequence.len() - 1)]).unwrap();
            // It gives the last position's logits only.
            let worst = max_difference(&values(&ours), &values(&oracle.forward(&input, 0).unwrap()));
            eprintln!("{}: logits differ from candle-transformers' by {worst:e}", fixture.name);
            assert!(worst < 1e-4);
        }
    }
}

//! Claims about adapters, frozen and quantised bases, bf16, recomputation and the files of all of them.

use std::collections::BTreeMap;

use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{DType, Device, Tensor, Var};
use serde_json::{Value, json};

use super::*;
use crate::model::adapter::Adapter;
use crate::model::lora::{LoraConfig, Target};
use crate::model::merge::merge;
use crate::model::network::Activations;
use crate::model::precision::Precision;

const LORA: LoraConfig = LoraConfig { rank: 3, alpha: 6.0, targets: Vec::new(), rslora: false };

fn lora() -> LoraConfig {
    LoraConfig { targets: Target::ALL.to_vec(), ..LORA }
}

/// Moves every factor away from its start, B from zero too.
fn stir(network: &Network) {
    for (name, var) in network.vars() {
        let count = var.elem_count();
        let values: Vec<f32> =
            (0..count).map(|i| ((i * 7919 + name.len() * 31) % 1013) as f32 / 4000.0 - 0.126).collect();
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap()).unwrap();
    }
}

fn adapted(model_type: &str, lora: &LoraConfig) -> Network {
    let base = network(model_type).freeze(Precision::F32).unwrap();
    let adapted = base.with_adapter(lora, 5).unwrap();
    stir(&adapted);
    adapted
}

fn all_logits(network: &Network, packed: &Packed) -> Vec<f32> {
    let rows: Vec<u32> = (0..packed.tokens().len() as u32).collect();
    values(&network.logits(packed, &rows).unwrap())
}

#[test]
fn an_adapted_network_computes_what_the_merged_one_does() {
    let partial = LoraConfig { targets: vec![Target::VProj, Target::UpProj], rslora: true, ..LORA };
    for (model_type, lora) in [("qwen2", lora()), ("qwen3", lora()), ("qwen3", partial)] {
        let (dir, adapted) = (tempfile::tempdir().unwrap(), adapted(model_type, &lora));
        adapted.save(dir.path()).unwrap();
        let merged = merge(&network(model_type), dir.path()).unwrap();
        let packed = pack(&branching(60));
        assert_close(&all_logits(&adapted, &packed), &all_logits(&merged, &packed), 1e-5);
        assert_ne!(all_logits(&adapted, &packed), all_logits(&network(model_type), &packed));
    }
}

#[test]
fn a_new_adapter_changes_nothing_and_a_has_gradient_zero_until_b_moves() {
    let base = network("qwen3");
    let adapted = base.clone().freeze(Precision::F32).unwrap().with_adapter(&lora(), 5).unwrap();
    let sequences = branching(20);
    let packed = pack(&sequences);
    assert_eq!(all_logits(&adapted, &packed), all_logits(&base, &packed));
    let is_zero = |gradient: &[f32]| gradient.iter().all(|value| *value == 0.0);
    let (_, gradients) = pass(&adapted, &packed, &sequences, false);
    for (name, gradient) in adapted.vars().keys().zip(&gradients) {
        assert_eq!(is_zero(gradient), name.ends_with("lora_A.weight"), "{name}");
    }
    stir(&adapted);
    let (_, gradients) = pass(&adapted, &packed, &sequences, false);
    assert!(gradients.iter().all(|gradient| !is_zero(gradient) && gradient.iter().all(|g| g.is_finite())));
}

#[test]
fn only_factors_receive_gradients() {
    let (network, sequences) = (adapted("qwen2", &lora()), branching(20));
    assert_eq!(network.vars().len(), 2 * 2 * 7);
    let packed = pack(&sequences);
    let logprobs = network.logprobs(&packed, &[0, 1], &[1, 2], 1.0).unwrap();
    let gradients = logprobs.sum_all().unwrap().backward().unwrap();
    // Of the factors, the chain of joints that ties them two by two, and the log-probabilities' own nodes.
    assert!(gradients.get_ids().count() <= 28 + 14 + 3, "{}", gradients.get_ids().count());
}

#[test]
fn gradients_of_factors_are_those_of_plain_operations() {
    let partial = LoraConfig { targets: vec![Target::KProj, Target::DownProj], ..LORA };
    for (model_type, lora) in [("qwen2", lora()), ("qwen3", lora()), ("qwen2", partial)] {
        let (network, sequences) = (adapted(model_type, &lora), branching(300));
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
fn slopes_along_factors_match_finite_differences() {
    let (network, sequences) = (adapted("qwen3", &lora()), branching(40));
    let packed = pack(&sequences);
    let (_, gradients) = pass(&network, &packed, &sequences, false);
    for ((name, var), gradient) in network.vars().iter().zip(&gradients) {
        let squared: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
        let step = 2e-3 / squared.sqrt();
        let direction = Tensor::from_vec(gradient.clone(), var.shape(), &Device::Cpu).unwrap();
        let start = var.as_detached_tensor().copy().unwrap();
        let at = |step: f64| {
            var.set(&(&start + (&direction * step).unwrap()).unwrap()).unwrap();
            objective(&network, &packed, &sequences)
        };
        let slope = (at(step) - at(-step)) / (2.0 * step);
        var.set(&start).unwrap();
        assert!((slope / squared - 1.0).abs() < 2e-2, "{name}: {slope} instead of {squared}");
    }
}

/// What the gradients of [`pass`] are of.
fn objective(network: &Network, packed: &Packed, sequences: &[Vec<u32>]) -> f64 {
    let positions = sequences.iter().enumerate().flat_map(|(i, s)| (1..s.len()).map(move |p| (i, p)));
    let weight = |(index, position)| ((index * 31 + position * 17) % 13) as f64 - 5.0;
    let logprobs = pass(network, packed, sequences, false).0;
    positions.map(weight).zip(logprobs).map(|(weight, logprob)| weight * f64::from(logprob)).sum()
}

#[test]
fn the_trees_gradient_of_factors_is_that_of_separate_sequences() {
    let (network, sequences) = (adapted("qwen2", &lora()), branching(50));
    let (_, together) = pass(&network, &pack(&sequences), &sequences, false);
    let mut separate: Vec<Vec<f32>> = together.iter().map(|g| vec![0.0; g.len()]).collect();
    for (index, sequence) in sequences.iter().enumerate() {
        // The sequences of one token keep the index, and so the weights.
        let mut alone = vec![vec![0]; index];
        alone.push(sequence.clone());
        for (sum, gradient) in separate.iter_mut().zip(pass(&network, &pack(&alone), &alone, false).1) {
            sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
        }
    }
    for (together, separate) in together.iter().zip(&separate) {
        assert_close(together, separate, 1e-5);
    }
}

#[test]
fn the_number_of_threads_does_not_reach_the_bits_of_an_adapter() {
    let (network, sequences) = (adapted("qwen2", &lora()), branching(300));
    let packed = pack(&sequences);
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (pass(&network, &packed, &sequences, false), draw(&network, 1.0)))
    };
    let one = with_threads(1);
    assert!(with_threads(3) == one);
}

#[test]
fn recomputed_activations_give_the_same_bits() {
    for network in [network("qwen3"), adapted("qwen2", &lora())] {
        let sequences = branching(200);
        let packed = pack(&sequences);
        let kept = pass(&network, &packed, &sequences, false);
        let again = network.with_activations(Activations::Recomputed);
        assert!(pass(&again, &packed, &sequences, false) == kept);
    }
}

#[test]
fn an_adapted_networks_replies_have_the_logprobs_that_training_recomputes() {
    let network = adapted("qwen2", &lora());
    for (prompt, reply) in
        prompts().iter().zip(draw(&network, 1.0)).flat_map(|(p, r)| r.into_iter().map(move |r| (p, r)))
    {
        let sequence = [&prompt.tokens[..], &reply.tokens[..]].concat();
        let first = prompt.tokens.len() as u32 - 1;
        let rows: Vec<u32> = (first..sequence.len() as u32 - 1).collect();
        let again = network.logprobs(&Packed::new([&sequence[..]]), &rows, &reply.tokens, 1.0).unwrap();
        assert_close(&reply.logprobs, &values(&again), 1e-5);
    }
}

#[test]
fn an_adapter_is_read_back_the_same_under_pefts_names_and_another_one_is_refused() {
    let (dir, adapted) = (tempfile::tempdir().unwrap(), adapted("qwen2", &lora()));
    adapted.save(dir.path()).unwrap();
    assert!(!dir.path().join("config.json").exists());
    let base = || network("qwen2").freeze(Precision::F32).unwrap();
    let again = base().with_adapter_of(dir.path(), Some(&lora())).unwrap();
    for (name, var) in adapted.vars() {
        assert_eq!(values(var), values(&again.vars()[name]), "{name}");
    }
    let file =
        candle_core::safetensors::load(dir.path().join("adapter_model.safetensors"), &Device::Cpu).unwrap();
    let b = &file["base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"];
    assert_eq!(b.dims(), [24, 3]);
    let config: Value =
        serde_json::from_slice(&fs_err::read(dir.path().join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!((&config["r"], &config["lora_alpha"]), (&json!(3), &json!(6)));

    let refused =
        |wanted: LoraConfig| base().with_adapter_of(dir.path(), Some(&wanted)).unwrap_err().to_string();
    let other = refused(LoraConfig { rank: 4, ..lora() });
    assert!(other.ends_with("its `rank` is 3, and `tuning.lora` asks for 4"), "{other}");
    let fewer = refused(LoraConfig { targets: vec![Target::QProj], ..lora() });
    assert!(fewer.contains("its `targets` is q_proj, k_proj"), "{fewer}");
    let misfit = network("qwen3").freeze(Precision::F32).unwrap();
    let small = Network::init(QwenConfig::from_json(shape(32, 1)).unwrap(), 1, 0.1, &Device::Cpu).unwrap();
    assert!(misfit.with_adapter_of(dir.path(), None).is_ok(), "both kinds have the same matrices");
    let small = small.freeze(Precision::F32).unwrap().with_adapter_of(dir.path(), None).unwrap_err();
    assert!(small.to_string().contains("has shape"), "{small}");
    assert_eq!(Adapter::load(dir.path()).unwrap().lora, lora());
}

/// A network whose matrices can be cut into blocks of `width`.
fn shape(width: usize, layers: usize) -> Value {
    json!({"model_type": "qwen2", "vocab_size": 300, "hidden_size": width, "intermediate_size": width,
        "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": width / 4,
        "max_position_embeddings": 700, "tie_word_embeddings": true})
}

fn random(width: usize) -> Network {
    Network::init(QwenConfig::from_json(shape(width, 2)).unwrap(), 3, 0.1, &Device::Cpu).unwrap()
}

/// The network with every parameter as it computes with it, in f32.
fn dense(network: &Network) -> Network {
    let names = network.config().shapes().into_iter().map(|(name, _)| name);
    let tensors = names.map(|name| (name.clone(), network.parameter(&name).unwrap().detach()));
    Network::from_tensors(network.config().clone(), tensors.collect(), &Device::Cpu).unwrap()
}

#[test]
fn a_base_in_blocks_computes_what_its_dequantised_weights_do() {
    let cases = [(Precision::Q8_0, 64, 0.02), (Precision::Q4_0, 64, 0.4), (Precision::Q4K, 256, 0.4)];
    for (precision, width, error) in cases {
        let full = random(width);
        let blocks = full.clone().freeze(precision).unwrap();
        let dense = dense(&blocks);
        assert!(blocks.weight_bytes() * 3 < full.weight_bytes() * 2, "{precision:?} is smaller");
        let name = "model.layers.0.mlp.up_proj.weight";
        let lost = (full.parameter(name).unwrap() - dense.parameter(name).unwrap()).unwrap();
        let lost = values(&lost.abs().unwrap()).into_iter().fold(0.0, f32::max);
        assert!(0.0 < lost && lost < error, "{precision:?} loses at most {lost}");

        let blocks = blocks.with_adapter(&lora(), 5).unwrap();
        let dense = dense.freeze(Precision::F32).unwrap().with_adapter(&lora(), 5).unwrap();
        stir(&blocks);
        stir(&dense);
        let sequences = branching(40);
        let packed = pack(&sequences);
        let [ours, theirs] = [&blocks, &dense].map(|network| pass(network, &packed, &sequences, false));
        assert!(ours == theirs, "{precision:?}: the same bits");
        assert!(draw(&blocks, 1.0) == draw(&dense, 1.0));
    }
}

#[test]
fn a_matrix_that_blocks_do_not_divide_is_named() {
    let error = random(64).freeze(Precision::Q4K).unwrap_err();
    assert!(error.to_string().starts_with("`model.layers.0.mlp.down_proj.weight` cannot be kept"), "{error}");
    assert!(error.hint().unwrap().contains("q4_0"));
}

/// Saves a network as GGUF with matrices in blocks, as llama.cpp names them.
fn save_gguf(network: &Network, dir: &std::path::Path, blocks: GgmlDType) {
    let theirs = |name: &str| {
        let name = name.replace("model.embed_tokens", "token_embd").replace("model.norm", "output_norm");
        let name = name.replace("model.layers", "blk").replace("input_layernorm", "attn_norm");
        let name =
            name.replace("post_attention_layernorm", "ffn_norm").replace("self_attn.o_proj", "attn_output");
        let name = name.replace("self_attn.", "attn_").replace("mlp.", "ffn_");
        name.replace("_proj", "")
    };
    let mut tensors = Vec::new();
    for (name, var) in network.vars() {
        let kind = if var.rank() == 2 { blocks } else { GgmlDType::F32 };
        tensors.push((theirs(name), QTensor::quantize(var.as_tensor(), kind).unwrap()));
    }
    let named: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = fs_err::File::create(dir.join("student-q8_0.gguf")).unwrap();
    gguf_file::write(&mut file, &[], &named).unwrap();
}

#[test]
fn gguf_files_are_read_as_bases_and_as_students() {
    let (dir, full) = (tempfile::tempdir().unwrap(), random(64));
    full.save(dir.path()).unwrap();
    fs_err::remove_file(dir.path().join("model.safetensors")).unwrap();
    save_gguf(&full, dir.path(), GgmlDType::Q8_0);
    let base = Network::load_frozen(dir.path(), Precision::Q8_0, &Device::Cpu).unwrap();
    let made = full.clone().freeze(Precision::Q8_0).unwrap();
    let name = "model.layers.1.self_attn.k_proj.weight";
    assert_eq!(values(&base.parameter(name).unwrap()), values(&made.parameter(name).unwrap()));
    assert!(base.weight_bytes() * 2 < full.weight_bytes());
    let whole = Network::load(dir.path(), &Device::Cpu).unwrap();
    assert_eq!(values(&whole.parameter(name).unwrap()), values(&made.parameter(name).unwrap()));
    assert_eq!(whole.vars().len(), full.vars().len());

    fs_err::copy(dir.path().join("student-q8_0.gguf"), dir.path().join("another.gguf")).unwrap();
    let two = Network::load(dir.path(), &Device::Cpu).unwrap_err().to_string();
    assert!(two.contains("keep one"), "{two}");
}

/// The network with its weights rounded to bf16, kept as bf16.
fn rounded(network: &Network) -> Network {
    let round = |(name, var): (&String, &Var)| (name.clone(), var.to_dtype(DType::BF16).unwrap());
    let tensors: BTreeMap<String, Tensor> = network.vars().iter().map(round).collect();
    Network::from_tensors(network.config().clone(), tensors, &Device::Cpu).unwrap()
}

#[test]
fn bf16_weights_compute_what_their_f32_values_do() {
    let narrow = rounded(&network("qwen3"));
    let wide = dense(&narrow);
    let sequences = branching(200);
    let packed = pack(&sequences);
    let (logprobs, gradients) = pass(&wide, &packed, &sequences, false);
    let rows = predictions(&packed, &sequences);
    let again = narrow.logprobs(&packed, &rows.0, &rows.1, 0.8).unwrap();
    assert_eq!(values(&again), logprobs);
    assert!(draw(&narrow, 1.0) == draw(&wide, 1.0));
    let weights = Tensor::from_vec(rows.2, rows.0.len(), &Device::Cpu).unwrap();
    let store = (&again * weights).unwrap().sum_all().unwrap().backward().unwrap();
    for ((name, var), wide) in narrow.vars().iter().zip(&gradients) {
        let wide = Tensor::from_vec(wide.clone(), var.shape(), &Device::Cpu).unwrap();
        let wide = wide.to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap();
        assert_eq!(values(&store.get(var).unwrap().to_dtype(DType::F32).unwrap()), values(&wide), "{name}");
    }
}

#[test]
fn weights_are_written_in_shards_and_read_back_in_their_precision() {
    for network in [network("qwen2"), rounded(&network("qwen3"))] {
        let dir = tempfile::tempdir().unwrap();
        network.save_sharded(dir.path(), 20_000).unwrap();
        let index = dir.path().join("model.safetensors.index.json");
        let value: Value = serde_json::from_slice(&fs_err::read(&index).unwrap()).unwrap();
        let map = value["weight_map"].as_object().unwrap();
        assert_eq!(
            (map.len(), value["metadata"]["total_size"].as_u64().unwrap() as usize),
            (network.vars().len(), network.weight_bytes())
        );
        let shards: std::collections::BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
        assert!(3 <= shards.len());
        for shard in &shards {
            assert!(shard.ends_with(&format!("-of-{:05}.safetensors", shards.len())), "{shard}");
        }
        let is_wide = network.vars().values().next().unwrap().dtype() == DType::F32;
        let precision = if is_wide { Precision::F32 } else { Precision::Bf16 };
        let again = Network::load_as(dir.path(), precision, &Device::Cpu).unwrap();
        for (name, var) in network.vars() {
            assert_eq!(again.vars()[name].dtype(), var.dtype());
            let [ours, theirs] =
                [var, &again.vars()[name]].map(|var| values(&var.to_dtype(DType::F32).unwrap()));
            assert_eq!(ours, theirs, "{name}");
        }
        // One file instead: no index may lead to what is no longer meant.
        network.save(dir.path()).unwrap();
        assert!(!index.exists());
        Network::load(dir.path(), &Device::Cpu).unwrap();
    }
}

#[test]
fn yarn_scaled_positions_are_those_of_plain_operations() {
    let mut raw = tiny("qwen2");
    raw["rope_scaling"] = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64});
    let config = QwenConfig::from_json(raw).unwrap();
    let network = Network::init(config, 3, 0.3, &Device::Cpu).unwrap();
    let sequences = branching(300);
    let packed = pack(&sequences);
    let (logprobs, gradients) = pass(&network, &packed, &sequences, false);
    let (plain_logprobs, plain_gradients) = pass(&network, &packed, &sequences, true);
    assert_close(&logprobs, &plain_logprobs, 1e-5);
    for (gradient, plain) in gradients.iter().zip(&plain_gradients) {
        assert_close(gradient, plain, 2e-5);
    }
    assert_ne!(logprobs, pass(&super::network("qwen2"), &packed, &sequences, false).0);
}

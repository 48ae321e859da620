//! Adapters that are loaded while a server runs, each under a name of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use apprentice::model::merge::merge;
use apprentice::model::{Prompt, SampleOptions, Student};
use apprentice::remote::{AdapterVersions, Prompted, Query, Sampling, adapter_name};
use candle_core::{Device, Tensor};
use serde_json::json;

use crate::service::{Service, model, student};

/// A LoRA adapter of the tiny student, in PEFT layout.
fn write_adapter(dir: &Path, size: f32) {
    fs_err::create_dir_all(dir).unwrap();
    let config = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none"});
    fs_err::write(dir.join("adapter_config.json"), config.to_string()).unwrap();
    let factor = |shape: (usize, usize)| {
        let values: Vec<f32> = (0..shape.0 * shape.1).map(|i| size * ((i * 7 % 11) as f32 - 5.0)).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    };
    let stem = "base_model.model.model.layers.0.mlp.down_proj";
    let tensors = BTreeMap::from([
        (format!("{stem}.lora_A.weight"), factor((2, 48))),
        (format!("{stem}.lora_B.weight"), factor((32, 2))),
    ]);
    candle_core::safetensors::save(&tensors.into_iter().collect(), dir.join("adapter_model.safetensors"))
        .unwrap();
}

fn own(student: &Student) -> Vec<u32> {
    let prompt = Prompt { tokens: Arc::from([1, 2, 3]), n: 1, seed: 4 };
    let options = SampleOptions { max_new_tokens: 20, ..SampleOptions::default() };
    student.generate(&[prompt], &options).unwrap().remove(0).remove(0).tokens
}

fn merged(dir: &Path) -> Student {
    let base = student(3);
    Student::new(merge(base.network(), dir).unwrap(), base.tokenizer().clone()).unwrap()
}

#[test]
fn versions_of_a_policy_answer_one_after_the_other() {
    let root = tempfile::tempdir().unwrap();
    let service = Service::of(&model(), &["--adapter-root", root.path().to_str().unwrap()], None);
    let (mut client, mut versions) = (service.client("vllm"), AdapterVersions::default());
    let sampling = Sampling { max_tokens: 20, ..Sampling::default() };
    let query = Query { prompt: Prompted::Tokens(&[1, 2, 3]), n: 1, seed: 4, sampling };
    assert_eq!(client.replies(&query).unwrap()[0].tokens, own(&student(3)));
    let mut seen = Vec::new();
    for (version, size) in [(1, 0.05), (2, 0.1), (3, 0.2)] {
        let dir = root.path().join(format!("v{version}"));
        write_adapter(&dir, size);
        let name = adapter_name("srl", version, &dir).unwrap();
        versions.swap(&mut client, &name, &dir).unwrap();
        let tokens = client.replies(&query).unwrap()[0].tokens.clone();
        assert_eq!(tokens, own(&merged(&dir)));
        let (_, models) = service.get("/v1/models", &[]);
        let names: Vec<&str> =
            models["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
        assert_eq!(names, ["tiny", name.as_str()]);
        assert_eq!(models["data"][1]["parent"], "tiny");
        seen.push(tokens);
    }
    seen.push(own(&student(3)));
    seen.dedup();
    assert_eq!(seen.len(), 4, "the adapters change nothing");
    versions.clear(&mut client).unwrap();
    assert_eq!(client.replies(&query).unwrap()[0].tokens, own(&student(3)));
}

#[test]
fn an_adapter_of_the_command_line_is_served_beside_the_model() {
    let dir = tempfile::tempdir().unwrap();
    write_adapter(dir.path(), 0.2);
    let adapter = format!("tuned={}", dir.path().display());
    let service = Service::of(&model(), &["--adapter", &adapter, "--name", "base"], None);
    assert_eq!(service.models, ["base", "tuned"]);
    let ask = |model: &str| {
        let body = json!({"model": model, "prompt": [1, 2, 3], "seed": 4, "max_tokens": 20, "return_token_ids": true});
        service.post("/v1/completions", &body).1["choices"][0]["token_ids"].clone()
    };
    assert_eq!(ask("base"), json!(own(&student(3))));
    assert_eq!(ask("tuned"), json!(own(&merged(dir.path()))));
}

#[test]
fn adapters_are_loaded_from_below_their_root_only_and_once() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_adapter(&root.path().join("a"), 0.1);
    write_adapter(elsewhere.path(), 0.1);
    std::os::unix::fs::symlink(elsewhere.path(), root.path().join("link")).unwrap();
    let service = Service::of(&model(), &["--adapter-root", root.path().to_str().unwrap()], None);
    let load = |name: &str, path: &str| {
        let (status, answer) =
            service.post("/v1/load_lora_adapter", &json!({"lora_name": name, "lora_path": path}));
        (status, answer["error"]["message"].as_str().unwrap_or("").to_owned())
    };
    for path in [elsewhere.path().to_str().unwrap(), "link", "../", "/etc", "none"] {
        let (status, message) = load("x", path);
        assert!(status == 400 && message.contains("no directory below"), "{path}: {message}");
    }
    assert_eq!(load("a", "a").0, 200);
    for name in ["a", "tiny"] {
        let (status, message) = load(name, "a");
        assert!(status == 400 && message.contains("already"), "{message}");
    }
    for number in 0..3 {
        assert_eq!(load(&format!("more-{number}"), "a").0, 200);
    }
    assert!(load("too-many", "a").1.contains("unload one first"));
    let unload = |name: &str| service.post("/v1/unload_lora_adapter", &json!({"lora_name": name})).0;
    assert_eq!([unload("a"), unload("a"), unload("tiny")], [200, 404, 404]);
    let closed = Service::start();
    let (status, _) = closed.post("/v1/load_lora_adapter", &json!({"lora_name": "a", "lora_path": "a"}));
    assert_eq!(status, 403);
}

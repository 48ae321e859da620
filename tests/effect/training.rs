//! `apprentice train` with rewards by effect: sandboxes in the manifest, costs in the events, a resume to the same bytes.
#![cfg(feature = "train")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const RECIPE: &str = "format: apprentice.recipe/1
model: {config: config.json, std: 0.1, vocab_size: 300}
data: {trajectories: [experts.jsonl], tasks: tasks}
seed: 5
batch: {size: 4}
prompt: {system: Repair.}
limits: {context: 200, reply: 24}
reward: {effect: {}}
srl: {group_size: 4, min_spread: 0.0001}
save_every: 1
stages:
  - {method: sft, budget: {steps: 20}, schedule: {rate: 0.02, shape: constant, warm_up: 0.0}}
  - {method: srl, budget: {steps: 2}, schedule: {rate: 0.001}}
";

fn world(dir: &Path) {
    let config = json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 300, "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 256, "tie_word_embeddings": true,
        "hidden_act": "silu"
    });
    write(dir, "config.json", &config.to_string());
    let mut experts = String::new();
    for (name, answer) in [("alpha", "yes"), ("beta", "no")] {
        let task = format!(
            "format: apprentice.task/1\nid: {name}\nkind: code\nproblem: {name} fails\nsandbox: shell\n\
             repo: {{path: repo}}\ntests: {{command: sh tests/run.sh, parser: tap, restore: [tests], fail_to_pass: [it]}}\n"
        );
        write(dir, &format!("tasks/{name}/task.yaml"), &task);
        write(dir, &format!("tasks/{name}/repo/answer"), "none\n");
        let tests = format!("[ \"$(cat answer)\" = {answer} ] && echo 'ok 1 - it' || echo 'not ok 1 - it'\n");
        write(dir, &format!("tasks/{name}/repo/tests/run.sh"), &tests);
        let step = |thought: &str, command: String, output: &str| json!({"thought": thought, "action": {"kind": "bash", "command": command}, "observation": {"output": output}});
        let expert = json!({
            "format": "apprentice.trajectory/1", "id": format!("t-{name}"), "task": name, "end": "submitted",
            "steps": [step("look", "cat answer".into(), "none\n"), step("say", format!("echo {answer} > answer"), ""),
                {"thought": "done", "action": {"kind": "submit"}}]
        });
        experts += &format!("{expert}\n");
    }
    write(dir, "experts.jsonl", &experts);
    write(dir, "recipe.yaml", RECIPE);
}

fn write(dir: &Path, name: &str, text: &str) {
    fs_err::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
    fs_err::write(dir.join(name), text).unwrap();
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
    command.current_dir(dir).args(["train", "--json", "-q", "--peak-tflops", "1"]);
    command.args(["--sandbox", "namespaces", "--cache", "cache"]).args(arguments).output().unwrap()
}

fn train(dir: &Path, arguments: &[&str]) {
    let output = run(dir, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn weights(checkpoint: &Path) -> Vec<u8> {
    fs_err::read(checkpoint.join("model.safetensors")).unwrap()
}

/// The metrics of the updates of a kind.
fn updates(run: &Path, kind: &str) -> Vec<Value> {
    let text = fs_err::read_to_string(run.join("events.jsonl")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_kind = events.filter(|event| event["event"] == kind && event["phase"] == "2-srl");
    of_kind.map(|event| event["metrics"].clone()).collect()
}

#[test]
fn a_training_by_effects_resumes_to_the_same_bytes_and_tells_what_its_sandboxes_cost() {
    if super::Shop::live().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    world(dir.path());
    train(dir.path(), &["recipe.yaml", "--out", "run"]);
    let run = dir.path().join("run");
    let manifest: Value = serde_json::from_slice(&fs_err::read(run.join("manifest.json")).unwrap()).unwrap();
    assert!(manifest["digests"]["sandboxes"]["shell"].is_string(), "{manifest}");
    assert!(manifest["protection"].is_object(), "{manifest}");
    let costs = updates(&run, "step_timed");
    assert!(costs.iter().all(|cost| cost["sandbox_lost"] == 0.0), "{costs:?}");
    assert!(0.0 < costs[0]["sandbox_forks"].as_f64().unwrap(), "{costs:?}");
    assert!(0.0 < costs[0]["sandbox_test_runs"].as_f64().unwrap(), "{costs:?}");
    assert!(0.0 < costs[0]["sandbox_seconds"].as_f64().unwrap(), "{costs:?}");

    let (last, told) = (weights(&run.join("checkpoints/2-srl/step-2")), updates(&run, "step_trained"));
    assert_eq!(told.len(), 2, "both updates have something to learn from");
    fs_err::remove_dir_all(run.join("checkpoints/2-srl/step-2")).unwrap();
    train(dir.path(), &["--resume", "run"]);
    assert_eq!(weights(&run.join("checkpoints/2-srl/step-2")), last);
    assert_eq!(updates(&run, "step_trained"), told);
}

#[test]
fn recipes_that_cannot_be_judged_by_effects_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    world(dir.path());
    let refused = |set: &[&str], says: &str| {
        let sets = set.iter().flat_map(|set| ["--set", set]);
        let output = run(dir.path(), &["recipe.yaml"].into_iter().chain(sets).collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(2) && said.contains(says), "{said}");
    };
    refused(&["reward.effect.tests=2"], "`tests` must be a share from 0 to 1");
    refused(&["reward={mix: {weight: -1}}"], "`weight` must be a share from 0 to 1");
    refused(&["reward.efect={}"], "did you mean `reward.effect`?");
    refused(
        &["validation.every=1", "validation.data.share=0.5"],
        "only SRL runs the replies that it validates",
    );
    let math = "format: apprentice.task/1\nid: alpha\nkind: math\nproblem: alpha fails\nanswer: \"0\"\n";
    write(dir.path(), "tasks/alpha/task.yaml", math);
    refused(&[], "task `alpha` has nothing to run");
}

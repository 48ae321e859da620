//! A course of stages through the program: each begins where the one before ended, and a killed run goes on in its stage.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "train")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

const RECIPE: &str = "format: apprentice.recipe/1
model: {config: config.json, std: 0.1, vocab_size: 300}
data: {trajectories: [experts.jsonl], tasks: tasks}
seed: 5
batch: {size: 4}
math: {system: Repair.}
limits: {context: 200, reply: 24}
srl: {group_size: 4, min_spread: 0.0001}
save_every: 1
stages:
  - {method: sft, budget: {steps: 12}, schedule: {rate: 0.02, shape: constant, warm_up: 0.0}}
  - {method: srl, budget: {steps: 3}, schedule: {rate: 0.001}}
";

fn world(dir: &Path) {
    let config = json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 300, "hidden_size": 32,
        "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 256, "tie_word_embeddings": true,
        "hidden_act": "silu"
    });
    fs_err::write(dir.join("config.json"), config.to_string()).unwrap();
    let mut experts = String::new();
    for name in ["alpha", "beta"] {
        let task = format!(
            "format: apprentice.task/1\nid: {name}\nkind: math\nproblem: {name} fails\nanswer: \"0\"\n"
        );
        fs_err::create_dir_all(dir.join("tasks").join(name)).unwrap();
        fs_err::write(dir.join("tasks").join(name).join("task.yaml"), task).unwrap();
        let expert = json!({
            "format": "apprentice.trajectory/1", "id": format!("t-{name}"), "task": name, "end": "submitted",
            "steps": [
                {"thought": "look", "action": {"kind": "bash", "command": format!("cat {name}.py")},
                 "observation": {"output": "x\n"}},
                {"thought": "done", "action": {"kind": "submit"}}
            ]
        });
        experts += &format!("{expert}\n");
    }
    fs_err::write(dir.join("experts.jsonl"), experts).unwrap();
    fs_err::write(dir.join("recipe.yaml"), RECIPE).unwrap();
}

/// Runs the program and gives its result.
fn train(dir: &Path, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
    let output = command.current_dir(dir).args(["train", "--json", "-q"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn weights(checkpoint: &Path) -> Vec<u8> {
    fs_err::read(checkpoint.join("model.safetensors")).unwrap()
}

/// The phase, the step and the loss of every update.
fn updates(run: &Path) -> Vec<(String, u64, String)> {
    let text = fs_err::read_to_string(run.join("events.jsonl")).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let trained = events.filter(|event| event["event"] == "step_trained");
    let told = |event: Value| {
        let phase = event["phase"].as_str().unwrap().to_owned();
        (phase, event["step"].as_u64().unwrap(), event["metrics"]["loss"].to_string())
    };
    trained.map(told).collect()
}

#[test]
fn stages_follow_each_other_and_a_killed_run_goes_on_in_its_stage() {
    let dir = tempfile::tempdir().unwrap();
    world(dir.path());
    let said = train(dir.path(), &["recipe.yaml", "--out", "run"]);
    let run = dir.path().join("run");
    assert_eq!(said["stages"], json!(["1-sft", "2-srl"]));
    assert_eq!((said["method"].as_str(), said["steps"].as_u64()), (Some("srl"), Some(15)));
    assert_eq!(said["checkpoint"], "run/checkpoints/2-srl/step-3");
    let (told, last) = (updates(&run), weights(&run.join("checkpoints/2-srl/step-3")));
    assert_eq!((told[0].0.as_str(), told[told.len() - 1].0.as_str()), ("1-sft", "2-srl"));
    assert_ne!(last, weights(&run.join("checkpoints/1-sft/step-12")));

    // Killed after the first update of the second stage, then before its first checkpoint, then in the first stage.
    for lost in
        [&["2-srl/step-2", "2-srl/step-3"][..], &["2-srl"], &["2-srl", "1-sft/step-12", "1-sft/step-11"]]
    {
        for checkpoint in lost {
            fs_err::remove_dir_all(run.join("checkpoints").join(checkpoint)).unwrap();
        }
        train(dir.path(), &["--resume", "run"]);
        assert_eq!(weights(&run.join("checkpoints/2-srl/step-3")), last, "without {lost:?}");
        assert_eq!(updates(&run), told, "without {lost:?}");
    }
}

#[test]
fn a_second_stage_that_learns_nothing_leaves_the_weights_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    world(dir.path());
    let run = dir.path().join("run");
    train(
        dir.path(),
        &[
            "recipe.yaml",
            "--out",
            "run",
            "--set",
            "stages.2.srl.min_spread=10",
            "--set",
            "stages.1.budget.steps=2",
        ],
    );
    assert_eq!(
        weights(&run.join("checkpoints/2-srl/step-3")),
        weights(&run.join("checkpoints/1-sft/step-2"))
    );
}

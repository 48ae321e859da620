//! The memory that a plan foretells is the memory that its training takes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it measured")]
#![cfg(feature = "train")]

use std::path::Path;
use std::process::Command;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const MIB: f64 = 1024.0 * 1024.0;

/// Tasks with experts who read long files, the shape of a student of 4 million parameters, and recipes.
fn desk() -> tempfile::TempDir {
    let desk = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = desk.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut trajectories = String::new();
    for name in ["alpha", "beta", "gamma"] {
        let task = json!({"format": "apprentice.task/1", "id": name, "kind": "math",
            "problem": format!("{name} fails"), "answer": "0"});
        write(&format!("tasks/{name}/task.yaml"), &task.to_string());
        let output: String = (0..200).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect();
        let step = |command: &str| {
            json!({"thought": "look", "action": {"kind": "bash", "command": format!("{command} {name}")},
                "observation": {"output": output}})
        };
        let steps = [step("cat"), step("pytest"), step("cat"), step("ls")];
        let trajectory = json!({"format": "apprentice.trajectory/1", "id": format!("t-{name}"), "task": name,
            "end": "submitted", "steps": steps});
        trajectories += &format!("{trajectory}\n");
    }
    write("experts.jsonl", &trajectories);
    let shape = json!({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 320,
        "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 8,
        "num_key_value_heads": 4, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 8192,
        "tie_word_embeddings": true, "hidden_act": "silu"});
    write("config.json", &shape.to_string());
    for method in ["sft", "srl"] {
        write(
            &format!("{method}.yaml"),
            &format!(
                "format: apprentice.recipe/1
method: {method}
model: {{config: config.json, std: 0.05, vocab_size: 320}}
data: {{trajectories: [experts.jsonl], tasks: tasks}}
budget: {{steps: 1}}
batch: {{size: 12}}
srl: {{group_size: 4, refills: 0}}
math: {{system: Repair.}}
limits: {{context: 4096, reply: 64}}
"
            ),
        );
    }
    desk
}

fn apprentice(desk: &Path, args: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_apprentice"))
        .current_dir(desk)
        .args(["--json", "--quiet"])
        .args(args)
        .output()
        .unwrap()
}

fn planned(desk: &Path, recipe: &str, args: &[&str]) -> (Option<i32>, Value) {
    let said = apprentice(desk, &[&["train", recipe, "--dry-run"], args].concat());
    let plan = serde_json::from_slice(&said.stdout).unwrap();
    (said.status.code(), plan)
}

/// Trains; gives its events, and what the plan says of some parts, together, as a share of the memory that it took.
fn trained(desk: &Path, recipe: &str, plan: &Value, parts: &[&str]) -> (Vec<Value>, f64) {
    let said = apprentice(desk, &["train", recipe, "--out", "run", "--peak-tflops", "1"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    let events = fs_err::read_to_string(desk.join("run/events.jsonl")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let timed = events.iter().find(|event| event["event"] == "step_timed").unwrap();
    let measured = timed["metrics"]["memory_peak_mib"].as_f64().unwrap();
    let estimated: f64 = parts.iter().map(|part| plan["memory"][part].as_f64().unwrap() / MIB).sum();
    println!("{recipe}: estimated {estimated:.0} MiB, measured {measured:.0} MiB: {}", plan["memory"]);
    (events, estimated / measured)
}

#[test]
fn the_estimate_is_near_what_is_measured() {
    let desk = desk();
    let (code, plan) = planned(desk.path(), "sft.yaml", &[]);
    assert_eq!((code, &plan["format"]), (Some(0), &json!("apprentice.plan/1")), "{plan}");
    assert!(!desk.path().join("runs").exists(), "a dry run begins nothing");
    let (events, share) = trained(desk.path(), "sft.yaml", &plan, &["peak"]);
    assert!((0.85..1.3).contains(&share), "{share} of what was measured");
    // All examples are one batch, so the tokens of an update are those that passed.
    let update = events.iter().find(|event| event["event"] == "step_trained").unwrap();
    assert_eq!(plan["update"]["tokens"].as_f64(), update["metrics"]["tokens_forward"].as_f64());
}

#[test]
#[ignore = "samples for a minute: cargo test --test plan -- --ignored --nocapture"]
fn the_estimate_holds_for_sampling() {
    let desk = desk();
    let (_, plan) = planned(desk.path(), "srl.yaml", &[]);
    // A student that knows nothing is always malformed: every group is dropped, and there is no update.
    let parts = ["base", "weights", "optimizer", "sampling"];
    let (_, share) = trained(desk.path(), "srl.yaml", &plan, &parts);
    assert!((0.85..1.3).contains(&share), "{share} of what was measured");
}

#[test]
fn a_training_that_cannot_fit_is_refused_before_it_begins() {
    let desk = desk();
    for recipe in ["sft.yaml", "srl.yaml"] {
        let (code, plan) = planned(desk.path(), recipe, &["--memory-mib", "64"]);
        assert_eq!((code, &plan["fits"]), (Some(1), &json!(false)), "{plan}");
        let said = apprentice(desk.path(), &["train", recipe, "--memory-mib", "64", "--out", "run"]);
        let failure: Value = serde_json::from_slice(&said.stdout).unwrap();
        let error = failure["error"].as_str().unwrap();
        assert_eq!(said.status.code(), Some(5), "{failure}");
        assert!(error.contains("it may take 64 MiB"), "{error}");
        assert!(failure["hint"].as_str().unwrap().contains("--memory-mib"), "{failure}");
        assert!(!desk.path().join("run").exists(), "nothing was begun");
    }
}

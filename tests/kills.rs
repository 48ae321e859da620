//! A training that is killed at any moment resumes to the weights and metrics of one that was not.
//!
//! Runs the program itself and ends it by SIGKILL after random times; the seed of the times is fixed, where they fall is
//! not. The short test kills a few times. The long one kills often:
//! `TRAINING_KILLS=20 cargo test --test kills -- --ignored --nocapture`. docs/metrics.md has its figures.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it measured")]
#![cfg(feature = "train")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const NAMES: [&str; 6] = ["alpha", "beta", "gamma", "delta", "omega", "sigma"];

/// A directory with tasks, trajectories and the shape of a student.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let mut trajectories = String::new();
        for name in NAMES {
            let task = json!({"format": "apprentice.task/1", "id": name, "kind": "math",
                "problem": format!("{name} fails"), "answer": "0"});
            desk.write(&format!("tasks/{name}/task.yaml"), &task.to_string());
            let step = |thought: &str, command: String| {
                json!({"thought": thought, "action": {"kind": "bash", "command": command},
                    "observation": {"output": "ok\n"}})
            };
            let steps = [step("look", format!("cat {name}.py")), step("test", format!("pytest {name}"))];
            let trajectory = json!({"format": "apprentice.trajectory/1", "id": format!("t-{name}"), "task": name,
                "end": "submitted", "steps": steps});
            trajectories += &format!("{trajectory}\n");
        }
        desk.write("experts.jsonl", &trajectories);
        let shape = json!({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 320,
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 512,
            "tie_word_embeddings": true, "hidden_act": "silu"});
        desk.write("config.json", &shape.to_string());
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs_err::write(self.path(name), text).unwrap();
    }

    /// Writes a recipe of a method with what is its own.
    fn recipe(&self, method: &str, own: &str) {
        let common = "format: apprentice.recipe/1
data: {trajectories: [experts.jsonl], tasks: tasks}
seed: 3
optimizer: {weight_decay: 0.0}
math: {system: Repair.}
limits: {context: 256, reply: 24}
";
        self.write(&format!("{method}.yaml"), &format!("{common}method: {method}\n{own}"));
    }

    /// The command that begins the run, or goes on with it once it began.
    fn train(&self, recipe: &str, run: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
        command.current_dir(self.0.path()).args(["--quiet", "train", "--peak-tflops", "1"]);
        if self.path(run).join("manifest.json").exists() {
            command.args(["--resume", run]);
        } else {
            command.args([recipe, "--out", run]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Trains to the end; says how long it took.
    fn undisturbed(&self, recipe: &str, run: &str) -> Duration {
        let started = Instant::now();
        assert!(self.train(recipe, run).status().unwrap().success());
        started.elapsed()
    }

    /// Trains with kills after random times up to `longest`; says how many there were.
    fn killed(&self, recipe: &str, run: &str, longest: Duration, rng: &mut ChaCha8Rng) -> u64 {
        let mut kills = 0;
        loop {
            let mut child = self.train(recipe, run).spawn().unwrap();
            std::thread::sleep(longest.mul_f64(rng.random()));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                return kills;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
    }
}

/// What must not differ: every file of the last checkpoint, which one is the best, the metrics, and what was said.
#[derive(Debug, PartialEq)]
struct Outcome {
    checkpoint: BTreeMap<String, Vec<u8>>,
    best: String,
    metrics: Vec<String>,
    samples: String,
}

fn outcome(run: &Path, steps: u64) -> Outcome {
    let last = run.join(format!("checkpoints/step-{steps}"));
    let files = ["model.safetensors", "config.json", "tokenizer.json", "trainer/optimizer.safetensors"];
    let files = files.into_iter().chain(["trainer/progress.json"]);
    let checkpoint = files.map(|name| (name.to_owned(), fs_err::read(last.join(name)).unwrap())).collect();
    let best = fs_err::read_to_string(run.join("checkpoints/best")).unwrap();
    let events = fs_err::read_to_string(run.join("events.jsonl")).unwrap();
    let metric = |line: &str| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event.as_object_mut().unwrap().remove("at");
        let is_metric =
            ["step_trained", "step_skipped", "validated"].map(Value::from).contains(&event["event"]);
        is_metric.then(|| event.to_string())
    };
    let samples = fs_err::read_to_string(run.join("groups.jsonl")).unwrap_or_default();
    Outcome { checkpoint, best, metrics: events.lines().filter_map(metric).collect(), samples }
}

/// Kills trainings of both methods until there were `kills` of each.
fn kill(kills: u64) {
    const STEPS: [u64; 2] = [24, 8];
    let desk = Desk::new();
    desk.recipe(
        "sft",
        "model: {config: config.json, std: 0.1, vocab_size: 320}
budget: {steps: 24}
batch: {size: 6}
schedule: {rate: 5.0e-3, shape: constant, warm_up: 0.0}
validation: {every: 5, data: {share: 0.2}}
save_every: 3
",
    );
    desk.recipe(
        "srl",
        "model: {dir: sft/checkpoints/step-24}
budget: {steps: 8}
batch: {size: 4}
schedule: {rate: 1.0e-3, shape: cosine, warm_up: 0.2}
srl: {group_size: 6, refills: 1}
validation: {every: 3, data: {share: 0.2}}
save_every: 2
",
    );
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for (method, steps) in ["sft", "srl"].into_iter().zip(STEPS) {
        let recipe = format!("{method}.yaml");
        let whole = desk.undisturbed(&recipe, method);
        let expected = outcome(&desk.path(method), steps);
        let trained = expected.metrics.iter().filter(|line| line.contains("step_trained")).count();
        assert!(2 < trained, "{method}: {:?}", expected.metrics);
        assert_eq!(expected.samples.is_empty(), method == "sft");
        let (mut done, mut runs) = (0, 0);
        while done < kills {
            let run = format!("{method}-{runs}");
            done += desk.killed(&recipe, &run, whole.mul_f64(0.8), &mut rng);
            runs += 1;
            let found = outcome(&desk.path(&run), steps);
            assert_eq!(found.metrics, expected.metrics, "{method} after {done} kills");
            assert!(found == expected, "{method} after {done} kills: another checkpoint");
        }
        println!("{method}: {done} kills of {runs} runs, each of {:.1} s undisturbed", whole.as_secs_f64());
    }
}

#[test]
fn a_training_that_is_killed_resumes_to_the_same_bytes() {
    kill(4);
}

#[test]
#[ignore = "takes a minute: TRAINING_KILLS=20 cargo test --test kills -- --ignored --nocapture"]
fn a_training_that_is_killed_often_resumes_to_the_same_bytes() {
    kill(std::env::var("TRAINING_KILLS").map_or(20, |number| number.parse().unwrap()));
}

//! Tuning modes from a recipe to a checkpoint: adapters on bases of every precision, bf16, recomputation, resumes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "train")]

use std::path::{Path, PathBuf};
use std::process::Command;

use apprentice::model::Student;
use apprentice::model::config::QwenConfig;
use apprentice::model::tokenizer::{ChatTokenizer, Pieces};
use candle_core::Device;
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

/// A directory with a student, tasks, trajectories and a recipe.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let mut trajectories = String::new();
        for name in NAMES {
            let task = format!(
                "format: apprentice.task/1\nid: {name}\nkind: math\nproblem: {name} fails\nanswer: \"0\"\n"
            );
            fs_err::create_dir_all(desk.path(&format!("tasks/{name}"))).unwrap();
            fs_err::write(desk.path(&format!("tasks/{name}/task.yaml")), task).unwrap();
            let trajectory = json!({
                "format": "apprentice.trajectory/1", "id": format!("t-{name}"), "task": name, "end": "submitted",
                "steps": [
                    {"thought": "look", "action": {"kind": "bash", "command": format!("cat {name}.py")},
                     "observation": {"output": "x = 1\n"}},
                    {"thought": "done", "action": {"kind": "submit"}}
                ]
            });
            trajectories.push_str(&format!("{trajectory}\n"));
        }
        fs_err::write(desk.path("experts.jsonl"), trajectories).unwrap();
        Self::student().save(&desk.path("base")).unwrap();
        fs_err::write(desk.path("r.yaml"), RECIPE).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn student() -> Student {
        let texts = NAMES.iter().map(|name| format!("{name} fails look cat {name}.py x = 1 done"));
        let tokenizer = ChatTokenizer::train(texts, 300, Pieces::Words).unwrap();
        let config = QwenConfig::from_json(json!({
            "model_type": "qwen2", "vocab_size": tokenizer.vocab_size(), "hidden_size": 64,
            "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "max_position_embeddings": 512, "tie_word_embeddings": true
        }))
        .unwrap();
        Student::init(config, tokenizer, 1, 0.1, &Device::Cpu).unwrap()
    }

    /// What the command says, on success on stdout, else on stderr.
    fn say(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
        let output = command.args(arguments).current_dir(self.0.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn train(&self, out: &str, sets: &[&str]) {
        let mut arguments = vec!["train", "r.yaml", "--out", out];
        arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
        self.say(&arguments).unwrap();
    }

    /// The numbers of each update.
    fn metrics(&self, run: &str) -> Vec<Value> {
        let text = fs_err::read_to_string(self.path(run).join("events.jsonl")).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events
            .filter(|event| event["event"] == "step_trained")
            .map(|event| event["metrics"].clone())
            .collect()
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        fs_err::read(self.path(file)).unwrap()
    }
}

const RECIPE: &str = "format: apprentice.recipe/1
method: sft
model:
  dir: base
data:
  trajectories: [experts.jsonl]
  tasks: tasks
budget: {steps: 8}
batch:
  size: 6
schedule: {rate: 1.0e-2, shape: constant, warm_up: 0.0}
math: {system: Repair.}
limits: {context: 256, reply: 40}
save_every: 4
";

fn copy(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs_err::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn adapters_learn_on_bases_of_every_precision_and_resume_to_the_same_bytes() {
    let desk = Desk::new();
    let base = desk.bytes("base/model.safetensors");
    for precision in ["f32", "bf16", "q8_0", "q4_0"] {
        let (run, again) = (format!("run-{precision}"), format!("again-{precision}"));
        desk.train(
            &run,
            &["tuning.lora.rank=4", "tuning.lora.alpha=8", &format!("model.precision={precision}")],
        );
        let metrics = desk.metrics(&run);
        let loss = |update: usize| metrics[update]["loss"].as_f64().unwrap();
        assert!(loss(7) < 0.8 * loss(0), "{precision}: {} to {}", loss(0), loss(7));
        let last = format!("{run}/checkpoints/step-8");
        assert!(!desk.path(&last).join("model.safetensors").exists());

        // As if killed after the checkpoint of update 4.
        copy(&desk.path(&run), &desk.path(&again));
        fs_err::remove_dir_all(desk.path(&again).join("checkpoints/step-8")).unwrap();
        desk.say(&["train", "--resume", &again]).unwrap();
        for file in ["adapter_model.safetensors", "adapter_config.json", "trainer/optimizer.safetensors"] {
            let theirs = desk.bytes(&format!("{again}/checkpoints/step-8/{file}"));
            assert!(desk.bytes(&format!("{last}/{file}")) == theirs, "{precision}: {file}");
        }
        let student = Student::load(&desk.path(&last), &Device::Cpu).unwrap();
        assert_eq!(student.vars().len(), 2 * 2 * 7);
    }
    assert!(base == desk.bytes("base/model.safetensors"), "the base is never written");
    desk.say(&["model", "merge", "base", "--adapter", "run-f32/checkpoints/step-8", "--out", "merged"])
        .unwrap();
    desk.say(&["model", "check", "merged"]).unwrap();
}

#[test]
fn an_adapter_is_trained_on_or_merged_where_a_recipe_names_one() {
    let desk = Desk::new();
    desk.train("first", &["tuning.lora.rank=4"]);
    let adapter = "model.adapter=first/checkpoints/step-8";
    desk.train("lora", &["tuning.lora.rank=4", adapter]);
    desk.train("full", &[adapter, "schedule.rate=1e-3"]);
    let end = desk.metrics("first").last().unwrap()["loss"].as_f64().unwrap();
    for run in ["lora", "full"] {
        let start = desk.metrics(run)[0]["loss"].as_f64().unwrap();
        assert!(start < 1.05 * end, "{run} begins at {start}, not where {end} was reached");
    }
    assert!(desk.path("full/checkpoints/step-8/model.safetensors").exists());
    let said = desk.say(&["train", "r.yaml", "--out", "no", "--set", "tuning.lora.rank=2", "--set", adapter]);
    let said = said.unwrap_err();
    assert!(said.contains("its `rank` is 4, and `tuning.lora` asks for 2"), "{said}");
}

#[test]
fn bf16_students_learn_and_resume_and_recomputed_trainings_are_the_same() {
    let desk = Desk::new();
    desk.train("kept", &[]);
    desk.train("recomputed", &["recompute=true"]);
    let weights = "checkpoints/step-8/model.safetensors";
    assert!(desk.bytes(&format!("kept/{weights}")) == desk.bytes(&format!("recomputed/{weights}")));
    assert_eq!(desk.metrics("kept"), desk.metrics("recomputed"));

    desk.train("narrow", &["model.precision=bf16", "schedule.rate=1e-3"]);
    let metrics = desk.metrics("narrow");
    assert!(metrics[7]["loss"].as_f64().unwrap() < metrics[0]["loss"].as_f64().unwrap());
    let (wide, narrow) = (desk.bytes(&format!("kept/{weights}")), desk.bytes(&format!("narrow/{weights}")));
    assert!(narrow.len() * 10 < wide.len() * 6, "two bytes a weight");
    copy(&desk.path("narrow"), &desk.path("again"));
    fs_err::remove_dir_all(desk.path("again/checkpoints/step-8")).unwrap();
    desk.say(&["train", "--resume", "again"]).unwrap();
    assert!(narrow == desk.bytes(&format!("again/{weights}")));
}

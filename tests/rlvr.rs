//! GRPO on outcomes: episodes of a tiny student, in real sandboxes and without any, raise what the student resolves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]
#![cfg(feature = "train")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apprentice::chat::{Scaffold, conversation, render_reply};
use apprentice::episode::{self, Episode, Turn};
use apprentice::event::{Event, EventSink};
use apprentice::group::Reward;
use apprentice::model::Student;
use apprentice::model::config::QwenConfig;
use apprentice::model::tokenizer::{ChatTokenizer, Pieces};
use apprentice::policy::{Policy, SampleRequest, Scripted};
use apprentice::practice::{Place, Workshop};
use apprentice::ready::Ready;
use apprentice::sandbox::Backend;
use apprentice::sandbox::scripted::ScriptedBackend;
use apprentice::sandbox::select::BackendKind;
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::task::{LoadedTask, Task};
use apprentice::train::adamw::AdamWConfig;
use apprentice::train::batch::{Average, Sequence};
use apprentice::train::data::DataSet;
use apprentice::train::grpo::{self, Practice};
use apprentice::train::loss::{Kl, Loss};
use apprentice::train::reinforce::{Groups, Reinforcement};
use apprentice::train::schedule::{Schedule, Shape};
use apprentice::train::update::{Objective, UpdateOptions, gradients};
use apprentice::train::{BatchConfig, Budget, Limits, Outcome, TrainConfig, Training, checkpoint, sft};
use apprentice::trajectory::{Action, End, Observation, Trajectory};
use apprentice::{grade, rollout, workspace};
use candle_core::Device;
use serde_json::json;

mod backends;

const NAMES: [&str; 2] = ["alpha", "beta"];
const TESTS: &str = "[ \"$(cat answer)\" = yes ] && echo 'ok 1 - answer' || echo 'not ok 1 - answer'\n";

fn yaml(name: &str) -> String {
    format!(
        "format: apprentice.task/1\nid: {name}\nkind: code\nproblem: {name} wants an answer\nsandbox: shell\n\
         repo: {{path: repo}}\ntests: {{command: sh tests/run.sh, parser: tap, restore: [tests], fail_to_pass: [answer]}}\n"
    )
}

fn tasks() -> Vec<Task> {
    NAMES.iter().map(|name| Task::parse(&yaml(name), name).unwrap()).collect()
}

/// One that resolves its task, and one that does not.
fn trajectories(task: &Task) -> [Trajectory; 2] {
    ["yes", "no"].map(|answer| {
        serde_json::from_value(json!({
            "format": "apprentice.trajectory/1", "id": answer, "task": task.id, "end": "submitted",
            "steps": [
                {"thought": "say", "action": {"kind": "bash", "command": format!("echo {answer} > answer")},
                 "observation": {"output": ""}},
                {"thought": "done", "action": {"kind": "submit"}, "observation": {"output": ""}}
            ]
        }))
        .unwrap()
    })
}

fn scaffold() -> Scaffold {
    Scaffold { system: "Answer.".into(), ..Scaffold::default() }
}

fn config(budget: Budget, rate: f64) -> TrainConfig {
    TrainConfig {
        seed: 7,
        budget,
        batch: BatchConfig { size: 2, ..BatchConfig::default() },
        optimizer: AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() },
        schedule: Schedule { rate, shape: Shape::Constant, warm_up: 0.0 },
        max_grad_norm: 1.0,
        scaffold: scaffold(),
        limits: Limits { context: 192, reply: 24 },
        save_every: 0,
    }
}

fn method() -> Reinforcement {
    let groups = Groups { group_size: 12, min_spread: 0.0, refills: 1, ..Groups::default() };
    Reinforcement { groups, loss: Loss::default() }
}

/// A student that says either answer, and submits.
fn undecided() -> Student {
    let tasks = tasks();
    let experts: Vec<(&Task, Trajectory)> =
        tasks.iter().flat_map(|task| trajectories(task).map(|expert| (task, expert))).collect();
    let said = experts.iter().flat_map(|(task, expert)| {
        conversation(&scaffold(), task, &expert.steps).into_iter().map(|message| message.content)
    });
    let tokenizer = ChatTokenizer::train(said, 300, Pieces::Words).unwrap();
    let shape = QwenConfig::from_json(json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": tokenizer.vocab_size(),
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 256,
        "tie_word_embeddings": true, "hidden_act": "silu"
    }))
    .unwrap();
    let student = Student::init(shape, tokenizer, 3, 0.12, &Device::Cpu).unwrap();
    let data = DataSet::new(experts.iter().map(|(task, expert)| (*task, expert)));
    let config = TrainConfig {
        batch: BatchConfig { size: 8, ..BatchConfig::default() },
        ..config(Budget::Steps(80), 4e-3)
    };
    let (mut events, stop) = (Vec::new(), AtomicBool::new(false));
    let mut training = Training::new("sft", &config, &student, &mut events, &stop).unwrap();
    sft::train(&config, sft::Target::Replies, &data, &mut training).unwrap();
    student
}

/// Works on tasks without a sandbox: what was answered last decides. Loses every try of some attempts.
struct Yard {
    tasks: Vec<Task>,
    lost: Vec<usize>,
}

impl Yard {
    fn new() -> Self {
        Self { tasks: tasks(), lost: Vec::new() }
    }

    fn play(&self, policy: &mut dyn Policy, task: &Task, attempt: usize, seed: u64) -> Option<Reward> {
        let mut episode =
            Episode::new(Arc::new(task.clone()), Arc::new(scaffold()), episode::Budget::of_steps(3));
        while *episode.turn() == Turn::Ask {
            let step = episode.steps().len();
            let request = SampleRequest {
                messages: episode.conversation(),
                task: task.id.clone(),
                attempt,
                step,
                n: 1,
                seed: apprentice::seed::derive(seed, &task.id, &[attempt as u64, step as u64]),
            };
            match policy.sample(&[request]).unwrap().remove(0).first() {
                Some(sample) if sample.finished => episode.reply(&sample.text),
                Some(_) => episode.end(End::Malformed),
                None => episode.end(End::ContextLimit),
            }
            if let Turn::Run(_) = episode.turn() {
                episode.observe(Observation::new("", 0));
            }
        }
        let well_formed = *episode.turn() != Turn::Done(End::Malformed);
        let answered = |action: &Action| action.text() == "echo yes > answer";
        let is_resolved = episode.steps().iter().any(|step| answered(&step.action));
        let value = if is_resolved { 1.0 } else { 0.0 };
        (!self.lost.contains(&attempt)).then_some(Reward { value, well_formed })
    }
}

impl Practice for Yard {
    fn tasks(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.id.clone()).collect()
    }

    fn rewards(
        &mut self,
        policy: &mut dyn Policy,
        tasks: &[usize],
        n: usize,
        seed: u64,
    ) -> anyhow::Result<Vec<Vec<Option<Reward>>>> {
        let of_task = |&task: &usize| {
            (0..n).map(|attempt| self.play(policy, &self.tasks[task], attempt, seed)).collect()
        };
        Ok(tasks.iter().map(of_task).collect())
    }
}

fn metrics(events: &[Event]) -> Vec<BTreeMap<String, f64>> {
    let numbers = |event: &Event| match event {
        Event::StepTrained { metrics, .. } => Some(metrics.clone()),
        _ => None,
    };
    events.iter().filter_map(numbers).collect()
}

/// How much likelier the student finds the answer that resolves a task than the other one, as a difference of
/// log-probabilities.
fn preference(student: &Student) -> f64 {
    let options = UpdateOptions {
        objective: Objective::Imitation,
        average: Average::Fixed(1),
        micro_batch_tokens: 1_000_000,
        max_grad_norm: 1.0,
        rate: 0.0,
    };
    let surprise = |task: &Task, expert: &Trajectory| {
        let prompt = student.tokenizer().encode_prompt(&conversation(&scaffold(), task, &[])).unwrap();
        let reply = student.tokenizer().encode_reply(&render_reply(&expert.steps[0])).unwrap();
        let sequence = Sequence::imitated("t".into(), prompt.into(), reply);
        gradients(student, &[sequence], &options).unwrap().1.loss
    };
    let of_task = |task: &Task| {
        let [yes, no] = trajectories(task);
        surprise(task, &no) - surprise(task, &yes)
    };
    tasks().iter().map(of_task).sum::<f64>() / NAMES.len() as f64
}

/// How far a training moved the preference, and every update's numbers.
fn practise(practice: &mut dyn Practice) -> (f64, Vec<BTreeMap<String, f64>>) {
    let (student, config) = (undecided(), config(Budget::Steps(8), 1e-3));
    let before = preference(&student);
    let (mut events, stop) = (Vec::new(), AtomicBool::new(false));
    let mut training = Training::new("rlvr", &config, &student, &mut events, &stop).unwrap();
    assert_eq!(grpo::train(&config, &method(), practice, &mut training).unwrap(), Outcome::Done);
    let after = preference(&student);
    println!("the preference moved from {before:.2} to {after:.2}");
    (after - before, metrics(&events))
}

#[test]
fn episodes_without_a_sandbox_teach_what_is_rewarded() {
    let (moved, metrics) = practise(&mut Yard::new());
    assert!(0.5 < moved, "{moved}");
    // On policy, the ratio is 1 for every reply of an episode; an answer and the submission are two.
    assert!(metrics.iter().all(|m| m["sampler_gap"] < 1e-2 && m["clip_fraction"] == 0.0 && m["lost"] == 0.0));
    assert!(1.0 < metrics[0]["replies"], "{metrics:?}");
    assert!(metrics[0]["tokens_forward"] < 0.6 * metrics[0]["tokens_without_sharing"], "episodes share");
}

#[test]
fn episodes_in_sandboxes_teach_what_the_grader_rewards() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let spec = SandboxSpec::load("shell", Path::new("sandboxes")).unwrap();
    let Some(backend) = runtime.block_on(backends::backend(BackendKind::Namespaces, &spec)) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut workshop = workshop(dir.path(), &backend, spec, Arc::new(runtime));
    let (moved, metrics) = practise(&mut workshop);
    assert!(0.5 < moved, "{moved}");
    assert!(metrics.iter().all(|m| m["lost"] == 0.0 && m["sampler_gap"] < 1e-2));
}

fn workshop(
    dir: &Path,
    backend: &Arc<dyn Backend>,
    spec: SandboxSpec,
    runtime: Arc<tokio::runtime::Runtime>,
) -> Workshop {
    let (spec, cache) = (Arc::new(spec), dir.join("cache"));
    let place = |name: &&str| {
        let repo = dir.join(name).join("repo");
        fs_err::create_dir_all(repo.join("tests")).unwrap();
        fs_err::write(repo.join("answer"), "none\n").unwrap();
        fs_err::write(repo.join("tests/run.sh"), TESTS).unwrap();
        let task = LoadedTask { task: Task::parse(&yaml(name), name).unwrap(), dir: dir.join(name) };
        let workspace = workspace::prepare(&task, &cache).unwrap();
        Place { task: Arc::new(task), spec: spec.clone(), backend: backend.clone(), workspace }
    };
    let ready = Arc::new(Ready::below(&cache));
    Workshop {
        places: NAMES.iter().map(place).collect(),
        rollout: rollout::Options {
            scaffold: scaffold(),
            budget: episode::Budget::of_steps(3),
            seed: 0,
            parallel: 4,
            samples: rollout::Samples::Dropped,
            ready: ready.clone(),
        },
        grade: grade::Options { cache, ready },
        runtime,
    }
}

#[test]
fn tries_that_the_host_lost_are_no_attempts_and_have_no_reward() {
    let (student, config) = (undecided(), config(Budget::Steps(2), 1e-3));
    let mut yard = Yard { lost: vec![0, 5], ..Yard::new() };
    let (mut events, stop) = (Vec::new(), AtomicBool::new(false));
    let mut training = Training::new("rlvr", &config, &student, &mut events, &stop).unwrap();
    grpo::train(&config, &method(), &mut yard, &mut training).unwrap();
    for metrics in metrics(&events) {
        // Of 12 tries at a task, 2 are lost.
        assert_eq!(metrics["lost"], 2.0 * (metrics["kept"] + metrics["dropped"]));
    }

    let mut yard = Yard { lost: (0..12).collect(), ..Yard::new() };
    let mut training = Training::new("rlvr", &config, &student, &mut events, &stop).unwrap();
    let error = grpo::train(&config, &method(), &mut yard, &mut training).unwrap_err();
    assert!(error.to_string().starts_with("the student could not try a single task"), "{error}");
}

#[test]
fn a_host_that_loses_every_sandbox_is_an_error_and_no_reward() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let spec = SandboxSpec::load("shell", Path::new("sandboxes")).unwrap();
    let (dir, backend) = (tempfile::tempdir().unwrap(), ScriptedBackend::default().losing(u64::MAX));
    let backend: Arc<dyn Backend> = Arc::new(backend);
    let mut workshop = workshop(dir.path(), &backend, spec, Arc::new(runtime));
    let tasks = tasks();
    let mut expert = Scripted::expert("expert", &tasks.iter().flat_map(trajectories).collect::<Vec<_>>());
    let error = workshop.rewards(&mut expert, &[0, 1], 2, 0).unwrap_err();
    assert!(error.to_string().starts_with("every sandbox was lost; the first: "), "{error:#}");
}

fn bytes(student: &Student) -> Vec<Vec<u32>> {
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    student.vars().values().map(|var| bits(var.flatten_all().unwrap().to_vec1().unwrap())).collect()
}

/// Sets the stop flag after the first update, as a signal would.
struct StopSoon<'a>(&'a AtomicBool);

impl EventSink for StopSoon<'_> {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        self.0.fetch_or(matches!(event, Event::StepTrained { .. }), Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn an_interrupted_training_with_passes_and_a_reference_resumes_to_the_same_bytes() {
    let config = TrainConfig {
        batch: BatchConfig { size: 2, passes: 2, ..BatchConfig::default() },
        ..config(Budget::Steps(3), 1e-3)
    };
    let loss = Loss { kl: Kl::K2(0.05), entropy: 0.001, ..Loss::default() };
    let method = Reinforcement { loss, ..method() };
    let (first, never) = (undecided(), AtomicBool::new(false));
    let whole = undecided();
    let mut events = Vec::new();
    let mut training = Training::new("rlvr", &config, &whole, &mut events, &never).unwrap();
    training.reference = Some(&first);
    assert_eq!(grpo::train(&config, &method, &mut Yard::new(), &mut training).unwrap(), Outcome::Done);
    // Before the first update the student is the reference; afterwards it has moved.
    let divergences: Vec<f64> = metrics(&events).iter().map(|metrics| metrics["kl"]).collect();
    assert!(divergences[0] < 1e-6 && 1e-6 < divergences[divergences.len() - 1], "{divergences:?}");

    let (parted, stop, dir) = (undecided(), AtomicBool::new(false), tempfile::tempdir().unwrap());
    let mut sink = StopSoon(&stop);
    let mut training = Training::new("rlvr", &config, &parted, &mut sink, &stop).unwrap();
    (training.reference, training.checkpoints) = (Some(&first), Some(dir.path()));
    assert_eq!(grpo::train(&config, &method, &mut Yard::new(), &mut training).unwrap(), Outcome::Interrupted);
    let saved = checkpoint::latest(dir.path()).unwrap().unwrap();
    let resumed = Student::load(&saved, &Device::Cpu).unwrap();
    let mut rest = Vec::new();
    let mut training = Training::new("rlvr", &config, &resumed, &mut rest, &never).unwrap();
    training.reference = Some(&first);
    training.progress = checkpoint::progress(&saved).unwrap();
    training.adamw = checkpoint::adamw(&saved, config.optimizer, &resumed).unwrap();
    assert_eq!(grpo::train(&config, &method, &mut Yard::new(), &mut training).unwrap(), Outcome::Done);
    assert_eq!(bytes(&resumed), bytes(&whole));
}

#[test]
fn the_experts_of_this_file_are_well_formed() {
    for task in tasks() {
        for expert in trajectories(&task) {
            let replies = expert.steps.iter().map(render_reply).collect::<Vec<_>>();
            assert!(replies.iter().all(|reply| apprentice::chat::parse_reply(reply).is_ok()), "{replies:?}");
        }
    }
}

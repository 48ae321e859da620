//! Training works and is reproducible: tiny random students, real loops.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "train")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use apprentice::chat::{Scaffold, render_reply};
use apprentice::event::{Event, EventSink};
use apprentice::example::Example;
use apprentice::group::Reward;
use apprentice::model::config::QwenConfig;
use apprentice::model::tokenizer::{ChatTokenizer, Pieces};
use apprentice::model::{Prompt, SampleOptions, Student};
use apprentice::policy::Sample;
use apprentice::reward::{StepReward, TextReward};
use apprentice::task::Task;
use apprentice::train::adamw::AdamWConfig;
use apprentice::train::batch::{Average, Sequence};
use apprentice::train::data::{Cursor, DataSet, NothingFits, Order};
use apprentice::train::loss::Loss;
use apprentice::train::profile::{self, Selection};
use apprentice::train::reinforce::{Groups, Reinforcement};
use apprentice::train::schedule::{Schedule, Shape};
use apprentice::train::srl;
use apprentice::train::update::{Objective, UpdateOptions, gradients, update};
use apprentice::train::validation::{Validation, ValidationConfig};
use apprentice::train::{
    BatchConfig, Budget, Limits, Outcome, TrainConfig, Training, adamw::AdamW, checkpoint, sft,
};
use apprentice::trajectory::Trajectory;
use candle_core::Device;
use serde_json::json;

const NAMES: [&str; 6] = ["alpha", "beta", "gamma", "delta", "omega", "sigma"];

/// Each trajectory looks at a file and then tests it.
fn world() -> (Vec<Task>, Vec<Trajectory>) {
    let task = |name: &&str| {
        serde_json::from_value(json!({
            "format": "apprentice.task/1", "id": name, "kind": "code", "problem": format!("{name} fails")
        }))
        .unwrap()
    };
    let trajectory = |name: &&str| {
        serde_json::from_value(json!({
            "format": "apprentice.trajectory/1", "id": format!("t-{name}"), "task": name, "end": "submitted",
            "steps": [
                {"thought": "look", "action": {"kind": "bash", "command": format!("cat {name}.py")},
                 "observation": {"output": "x = 1\n"}},
                {"thought": "test", "action": {"kind": "bash", "command": format!("pytest {name}")},
                 "observation": {"output": "ok\n"}},
                {"thought": "done", "action": {"kind": "submit"}}
            ]
        }))
        .unwrap()
    };
    (NAMES.iter().map(task).collect(), NAMES.iter().map(trajectory).collect())
}

fn scaffold() -> Scaffold {
    Scaffold { system: "Repair.".into(), ..Scaffold::default() }
}

fn student(seed: u64) -> Student {
    let (tasks, trajectories) = world();
    let problems = tasks.iter().map(|task| task.problem.clone());
    let replies = trajectories.iter().flat_map(|t| t.steps.iter().map(render_reply));
    let tokenizer = ChatTokenizer::train(problems.chain(replies), 320, Pieces::Words).unwrap();
    let config = QwenConfig::from_json(json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": tokenizer.vocab_size(),
        "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 512,
        "tie_word_embeddings": true, "hidden_act": "silu"
    }))
    .unwrap();
    Student::init(config, tokenizer, seed, 0.1, &Device::Cpu).unwrap()
}

fn config(budget: Budget, rate: f64) -> TrainConfig {
    TrainConfig {
        seed: 7,
        budget,
        batch: BatchConfig { size: 6, ..BatchConfig::default() },
        optimizer: AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() },
        schedule: Schedule { rate, shape: Shape::Constant, warm_up: 0.0 },
        max_grad_norm: 1.0,
        scaffold: scaffold(),
        limits: Limits { context: 256, reply: 24 },
        save_every: 0,
    }
}

fn bytes(student: &Student) -> BTreeMap<String, Vec<u32>> {
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    let vars = student.vars().iter();
    vars.map(|(name, var)| (name.clone(), bits(var.flatten_all().unwrap().to_vec1().unwrap()))).collect()
}

fn metrics(events: &[Event]) -> Vec<BTreeMap<String, f64>> {
    let numbers = |event: &Event| match event {
        Event::StepTrained { metrics, .. } => Some(metrics.clone()),
        _ => None,
    };
    events.iter().filter_map(numbers).collect()
}

fn data<'a>(tasks: &'a [Task], trajectories: &'a [Trajectory]) -> DataSet<'a> {
    DataSet::new(std::iter::zip(tasks, trajectories))
}

/// Trains by SFT for `steps` updates.
fn imitate(student: &Student, steps: u64) -> Vec<BTreeMap<String, f64>> {
    let (tasks, trajectories) = world();
    let config = config(Budget::Steps(steps), 3e-3);
    let (mut events, stop) = (Vec::new(), AtomicBool::new(false));
    let mut training = Training::new("sft", &config, student, &mut events, &stop).unwrap();
    assert_eq!(
        sft::train(&config, sft::Target::Replies, &data(&tasks, &trajectories), &mut training).unwrap(),
        Outcome::Done
    );
    metrics(&events)
}

fn srl_method() -> Reinforcement {
    let groups = Groups { group_size: 6, refills: 1, ..Groups::default() };
    Reinforcement { groups, loss: Loss::default() }
}

#[test]
fn sft_lowers_the_loss() {
    let metrics = imitate(&student(1), 30);
    assert_eq!(metrics.len(), 30);
    let (first, last) = (metrics[0]["loss"], metrics[29]["loss"]);
    assert!(last < 0.5 * first, "{first} to {last}");
    assert!(metrics[0]["tokens_forward"] < 0.6 * metrics[0]["tokens_without_sharing"], "trunks are shared");
}

#[test]
fn srl_raises_the_reward() {
    let student = student(2);
    imitate(&student, 40);
    let (tasks, trajectories) = world();
    let config = config(Budget::Steps(25), 1e-3);
    let (mut events, stop) = (Vec::new(), AtomicBool::new(false));
    let mut training = Training::new("srl", &config, &student, &mut events, &stop).unwrap();
    let judge = TextReward::default();
    srl::train(&config, &srl_method(), &data(&tasks, &trajectories), &judge, &mut training).unwrap();
    let metrics = metrics(&events);
    let mean = |part: &[BTreeMap<String, f64>]| {
        part.iter().map(|metrics| metrics["reward"]).sum::<f64>() / part.len() as f64
    };
    let (before, after) = (mean(&metrics[..3]), mean(&metrics[metrics.len() - 3..]));
    println!("reward {before:.3} to {after:.3} in {} updates", metrics.len());
    assert!(before + 0.15 < after, "{before} to {after}");
    // On policy, the first pass of each batch sees the sampler's own probabilities.
    assert!(metrics.iter().all(|m| m["clip_fraction"] == 0.0 && m["sampler_gap"] < 1e-2));
    for numbers in &metrics {
        assert!((0.0..1e-4).contains(&numbers["approx_kl"]), "{numbers:?}");
        // Nats a token, of 320 or so tokens.
        assert!(0.0 < numbers["entropy"] && numbers["entropy"] < 6.0, "{numbers:?}");
        assert!(0.0 < numbers["tokens_saved"] && numbers["tokens_saved"] < 1.0, "{numbers:?}");
        assert!(
            numbers["reply_tokens"] <= numbers["reply_tokens_max"] && numbers["reply_tokens_max"] <= 24.0
        );
        assert!(numbers["malformed"] == 1.0 || numbers["reward"] <= numbers["similarity"], "{numbers:?}");
        let by_step: Vec<&str> =
            numbers.keys().filter_map(|name| name.strip_prefix("reward_step_")).collect();
        assert_eq!(by_step, ["01", "02", "03_04"]);
    }
    // What the clock says is told apart, so that the others can be compared.
    let clock = ["seconds", "tokens_per_second", "flops_per_second", "memory_mib"];
    let times: Vec<&BTreeMap<String, f64>> = events
        .iter()
        .filter_map(|event| if let Event::StepTimed { metrics, .. } = event { Some(metrics) } else { None })
        .collect();
    let skipped = events.iter().filter(|event| matches!(event, Event::StepSkipped { .. })).count();
    assert_eq!(times.len(), metrics.len() + skipped);
    assert!(times.iter().all(|times| clock.iter().all(|name| 0.0 < times[*name])), "{times:?}");
    assert!(metrics.iter().all(|numbers| clock.iter().all(|name| !numbers.contains_key(*name))));
}

#[test]
fn the_experts_own_reply_earns_one_through_the_tokenizer() {
    let student = student(1);
    let (tasks, trajectories) = world();
    for example in data(&tasks, &trajectories).examples() {
        let tokens = student.tokenizer().encode_reply(&render_reply(example.expert)).unwrap();
        let text = student.tokenizer().decode(&tokens);
        let rewards = TextReward::default().rewards(example, &[Sample::from_text(text)]).unwrap();
        assert_eq!(rewards, [Reward::new(1.0)]);
    }
}

#[test]
fn examples_that_do_not_fit_are_an_error_that_says_so_and_never_a_training() {
    let student = student(1);
    let (tasks, trajectories) = world();
    let data = data(&tasks, &trajectories);
    let short = TrainConfig { limits: Limits { context: 30, reply: 24 }, ..config(Budget::Steps(2), 1e-3) };
    let (mut events, stop) = (Vec::new(), AtomicBool::new(false));
    let mut training = Training::new("sft", &short, &student, &mut events, &stop).unwrap();
    let imitated = sft::train(&short, sft::Target::Replies, &data, &mut training).unwrap_err();
    let mut training = Training::new("srl", &short, &student, &mut events, &stop).unwrap();
    let judged = srl::train(&short, &srl_method(), &data, &TextReward::default(), &mut training).unwrap_err();
    for error in [imitated, judged] {
        assert_eq!(error.to_string(), "no example fits into 30 tokens");
        assert!(error.is::<NothingFits>());
    }
}

fn sampled(student: &Student, n: usize) -> Vec<Sequence> {
    let prompt: Vec<u32> = student.tokenizer().encode_text("alpha fails").unwrap();
    let prompts = [Prompt { tokens: prompt.into(), n, seed: 3 }];
    let options = SampleOptions { max_new_tokens: 8, ..SampleOptions::default() };
    let replies = student.generate(&prompts, &options).unwrap().remove(0);
    let sequence = |(index, sample): (usize, Sample)| {
        let advantage = if index % 2 == 0 { 1.0 } else { -1.0 };
        Sequence::sampled(format!("t#{index}").into(), [&sample], advantage)
    };
    replies.into_iter().enumerate().map(sequence).collect()
}

fn options(micro_batch_tokens: usize) -> UpdateOptions {
    let objective = Objective::Policy { loss: Loss::default(), temperature: 1.0 };
    UpdateOptions {
        objective,
        average: Average::Sequences,
        micro_batch_tokens,
        max_grad_norm: 1.0,
        rate: 1e-3,
    }
}

fn loss(student: &Student, sequences: &[Sequence]) -> f64 {
    gradients(student, sequences, &options(1_000_000)).unwrap().1.loss
}

#[test]
fn a_positive_advantage_raises_the_samples_probability() {
    let student = student(4);
    let mut sequence = sampled(&student, 1);
    sequence[0].advantage = 1.0;
    let likelihood = || {
        let options = UpdateOptions { objective: Objective::Imitation, ..options(1_000_000) };
        -gradients(&student, &sequence, &options).unwrap().1.loss
    };
    let before = likelihood();
    let mut adamw = AdamW::new(AdamWConfig::default(), student.vars()).unwrap();
    update(&student, &mut adamw, &sequence, &options(1_000_000)).unwrap();
    assert!(before < likelihood());
}

#[test]
fn micro_batches_give_the_gradient_of_one_batch() {
    let student = student(5);
    let sequences = sampled(&student, 6);
    let (whole, one) = gradients(&student, &sequences, &options(1_000_000)).unwrap();
    let (parts, many) = gradients(&student, &sequences, &options(1)).unwrap();
    assert!(one.tokens.forward < many.tokens.forward, "six passes share nothing");
    assert!((one.loss - many.loss).abs() < 1e-6);
    let norm = whole.norm().unwrap();
    for name in student.vars().keys() {
        let difference = (whole.of(name).unwrap() - parts.of(name).unwrap()).unwrap();
        let distance = difference.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        assert!(f64::from(distance) < 1e-5 * norm, "{name}: {distance} of {norm}");
    }
}

#[test]
fn the_policy_gradient_matches_finite_differences() {
    let student = student(6);
    let mut sequences = sampled(&student, 4);
    for (index, sequence) in sequences.iter_mut().enumerate() {
        // Away from a ratio of 1, where clipping and importance weights matter, and away from the kinks.
        let shift = [0.1, -0.1, 0.5, -0.5][index];
        sequence.answers[0].old_logprobs.iter_mut().for_each(|logprob| *logprob -= shift);
    }
    let (gradients, _) = gradients(&student, &sequences, &options(1_000_000)).unwrap();
    for (name, var) in student.vars() {
        // Along the gradient itself, the slope is the gradient's norm.
        let gradient = gradients.of(name).unwrap();
        let norm = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        let (start, unit) = (var.as_tensor().copy().unwrap(), (gradient / f64::from(norm)).unwrap());
        let step = 4e-3;
        let at = |distance: f64| {
            var.set(&(&start + (&unit * distance).unwrap()).unwrap()).unwrap();
            loss(&student, &sequences)
        };
        let slope = (at(step) - at(-step)) / (2.0 * step);
        var.set(&start).unwrap();
        let norm = f64::from(norm);
        assert!((slope - norm).abs() < 0.02 * norm + 2e-4, "{name}: slope {slope}, gradient {norm}");
    }
}

#[test]
fn a_loss_that_is_not_finite_names_the_examples_and_changes_nothing() {
    let student = student(4);
    let mut sequences = sampled(&student, 2);
    sequences[1].advantage = f64::NAN;
    let before = bytes(&student);
    let mut adamw = AdamW::new(AdamWConfig::default(), student.vars()).unwrap();
    let error = update(&student, &mut adamw, &sequences, &options(1_000_000)).unwrap_err();
    assert_eq!(error.to_string(), "the loss is NaN on examples t#0, t#1");
    assert_eq!(bytes(&student), before);
}

/// Sets the stop flag after the n-th update, as a signal would.
struct StopAfter<'a> {
    events: Vec<Event>,
    updates: usize,
    stop: &'a AtomicBool,
}

impl EventSink for StopAfter<'_> {
    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        self.events.push(event.clone());
        if metrics(&self.events).len() == self.updates {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn srl_run(student: &Student, config: &TrainConfig, training: &mut Training<'_>) -> Outcome {
    let (tasks, trajectories) = world();
    assert_eq!(training.student.vars().len(), student.vars().len());
    srl::train(config, &srl_method(), &data(&tasks, &trajectories), &TextReward::default(), training).unwrap()
}

fn resumed(path: &Path, config: &TrainConfig) -> (Student, Vec<BTreeMap<String, f64>>) {
    let checkpoint = checkpoint::latest(path).unwrap().unwrap();
    let student = Student::load(&checkpoint, &Device::Cpu).unwrap();
    let (mut events, stop) = (Vec::new(), AtomicBool::new(false));
    let mut training = Training::new("srl", config, &student, &mut events, &stop).unwrap();
    training.progress = checkpoint::progress(&checkpoint).unwrap();
    training.adamw = checkpoint::adamw(&checkpoint, config.optimizer, &student).unwrap();
    assert_eq!(srl_run(&student, config, &mut training), Outcome::Done);
    let metrics = metrics(&events);
    (student, metrics)
}

#[test]
fn an_interrupted_training_resumes_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(Budget::Steps(6), 1e-3);
    let make = || {
        let student = student(8);
        imitate(&student, 25);
        student
    };

    let whole = make();
    let (mut events, never) = (Vec::new(), AtomicBool::new(false));
    let mut training = Training::new("srl", &config, &whole, &mut events, &never).unwrap();
    assert_eq!(srl_run(&whole, &config, &mut training), Outcome::Done);
    let expected = metrics(&events);

    let parted = make();
    let stop = AtomicBool::new(false);
    let mut sink = StopAfter { events: Vec::new(), updates: 2, stop: &stop };
    let mut training = Training::new("srl", &config, &parted, &mut sink, &stop).unwrap();
    training.checkpoints = Some(dir.path());
    assert_eq!(srl_run(&parted, &config, &mut training), Outcome::Interrupted);
    let (resumed, rest) = resumed(dir.path(), &config);

    assert_eq!(bytes(&resumed), bytes(&whole));
    assert_eq!([metrics(&sink.events), rest].concat(), expected);
}

#[test]
fn a_compute_budget_is_spent_alike_by_both_methods() {
    let (tasks, trajectories) = world();
    let data = data(&tasks, &trajectories);
    let config = config(Budget::Compute(8_000), 1e-3);
    let stop = AtomicBool::new(false);
    let student = student(9);
    let mut events = Vec::new();
    let mut training = Training::new("sft", &config, &student, &mut events, &stop).unwrap();
    sft::train(&config, sft::Target::Replies, &data, &mut training).unwrap();
    let imitation = training.progress.units;
    let mut training = Training::new("srl", &config, &student, &mut events, &stop).unwrap();
    srl::train(&config, &srl_method(), &data, &TextReward::default(), &mut training).unwrap();
    let reinforcement = training.progress.units;
    assert!((8_000..16_000).contains(&imitation), "{imitation}");
    assert!((8_000..30_000).contains(&reinforcement), "{reinforcement}");
}

#[test]
fn a_cursor_resumes_from_a_number_and_deals_every_example_once_an_epoch() {
    let (tasks, trajectories) = world();
    let data = data(&tasks, &trajectories);
    for order in [Order::Trajectories, Order::Examples] {
        let names = |examples: Vec<&Example<'_>>| -> Vec<String> {
            examples.into_iter().map(|e| format!("{}#{}", e.trajectory, e.index)).collect()
        };
        let mut cursor = Cursor::new(&data, order, 1, 0);
        let dealt: Vec<Vec<String>> = (0..12).map(|_| names(cursor.deal(5))).collect();
        let mut epoch = dealt.concat()[..18].to_vec();
        epoch.sort();
        epoch.dedup();
        assert_eq!(epoch.len(), 18, "{order:?}");

        let before: usize = dealt[..7].iter().map(Vec::len).sum();
        let mut resumed = Cursor::new(&data, order, 1, before as u64);
        let rest: Vec<Vec<String>> = (7..12).map(|_| names(resumed.deal(5))).collect();
        assert_eq!(rest, dealt[7..]);
    }
}

struct Lost;

impl StepReward for Lost {
    fn rewards(&self, _example: &Example<'_>, _replies: &[Sample]) -> anyhow::Result<Vec<Reward>> {
        anyhow::bail!("sandbox lost")
    }
}

#[test]
fn a_judges_failure_is_an_error_and_never_a_reward() {
    let (tasks, trajectories) = world();
    let config = config(Budget::Steps(1), 1e-3);
    let student = student(1);
    let (mut events, stop) = (Vec::new(), AtomicBool::new(false));
    let mut training = Training::new("srl", &config, &student, &mut events, &stop).unwrap();
    let error =
        srl::train(&config, &srl_method(), &data(&tasks, &trajectories), &Lost, &mut training).unwrap_err();
    assert_eq!(format!("{:#}", error.root_cause()), "sandbox lost");
    assert!(metrics(&events).is_empty());
}

fn every(every: u64, patience: u64) -> ValidationConfig {
    ValidationConfig { every, patience, examples: 5, ..ValidationConfig::default() }
}

/// SFT with validation on held-out trajectories.
fn train_validated<'a>(
    training: &mut Training<'a>,
    (config, validation): (&TrainConfig, &ValidationConfig),
    (learned, held_out): (&DataSet<'a>, &DataSet<'a>),
    judge: &'a dyn StepReward,
) -> Outcome {
    let validation = Validation::new(validation, config, held_out, training.student, judge);
    training.validation = Some(validation.unwrap());
    sft::train(config, sft::Target::Replies, learned, training).unwrap()
}

fn validations(events: &[Event]) -> Vec<(u64, f64, bool)> {
    let one = |event: &Event| match event {
        Event::Validated { step, metrics, best, .. } => Some((*step, metrics["reward"], *best)),
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

#[test]
fn validation_finds_the_best_checkpoint_and_resumes_with_what_it_found() {
    let (whole_dir, parted_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (tasks, trajectories) = world();
    let sides = (&data(&tasks[2..], &trajectories[2..]), &data(&tasks[..2], &trajectories[..2]));
    let (config, validation, judge) = (config(Budget::Steps(7), 3e-3), every(2, 0), TextReward::default());
    let configs = (&config, &validation);

    let (whole, never, mut events) = (student(11), AtomicBool::new(false), Vec::new());
    let mut training = Training::new("sft", &config, &whole, &mut events, &never).unwrap();
    training.checkpoints = Some(whole_dir.path());
    assert_eq!(train_validated(&mut training, configs, sides, &judge), Outcome::Done);
    let expected = training.progress.clone();
    let found = validations(&events);
    let steps: Vec<u64> = found.iter().map(|(step, ..)| *step).collect();
    assert_eq!(steps, [2, 4, 6, 7], "the last is measured, too");
    let highest = found.iter().map(|(_, reward, _)| *reward).fold(f64::MIN, f64::max);
    let first = found.iter().find(|(_, reward, _)| *reward == highest).unwrap();
    let best = expected.validation.best.unwrap();
    assert_eq!((best.step, best.reward), (first.0, highest));
    let pointed = checkpoint::pointed(&whole_dir.path().join("best")).unwrap();
    assert_eq!(checkpoint::progress(&pointed).unwrap().step, best.step);

    let (parted, stop) = (student(11), AtomicBool::new(false));
    let mut sink = StopAfter { events: Vec::new(), updates: 3, stop: &stop };
    let mut training = Training::new("sft", &config, &parted, &mut sink, &stop).unwrap();
    training.checkpoints = Some(parted_dir.path());
    assert_eq!(train_validated(&mut training, configs, sides, &judge), Outcome::Interrupted);
    let saved = checkpoint::latest(parted_dir.path()).unwrap().unwrap();
    let (resumed, mut rest) = (Student::load(&saved, &Device::Cpu).unwrap(), Vec::new());
    let mut training = Training::new("sft", &config, &resumed, &mut rest, &never).unwrap();
    training.checkpoints = Some(parted_dir.path());
    training.progress = checkpoint::progress(&saved).unwrap();
    training.adamw = checkpoint::adamw(&saved, config.optimizer, &resumed).unwrap();
    assert_eq!(train_validated(&mut training, configs, sides, &judge), Outcome::Done);
    assert_eq!(training.progress, expected);
    assert_eq!([validations(&sink.events), validations(&rest)].concat(), found);
    assert_eq!(bytes(&resumed), bytes(&whole));
    let read = |dir: &Path| fs_err::read_to_string(dir.join("best")).unwrap();
    assert_eq!(read(parted_dir.path()), read(whole_dir.path()));
}

/// A judge to whom all replies are alike.
struct Indifferent;

impl StepReward for Indifferent {
    fn rewards(&self, _example: &Example<'_>, replies: &[Sample]) -> anyhow::Result<Vec<Reward>> {
        Ok(vec![Reward::new(0.5); replies.len()])
    }
}

#[test]
fn a_training_whose_validation_does_not_improve_ends_early() {
    let (student, stop, mut events) = (student(12), AtomicBool::new(false), Vec::new());
    let (tasks, trajectories) = world();
    let sides = (&data(&tasks[2..], &trajectories[2..]), &data(&tasks[..2], &trajectories[..2]));
    let (config, validation) = (config(Budget::Steps(50), 1e-3), every(2, 2));
    let mut training = Training::new("sft", &config, &student, &mut events, &stop).unwrap();
    let outcome = train_validated(&mut training, (&config, &validation), sides, &Indifferent);
    assert_eq!((outcome, training.progress.step), (Outcome::Stalled, 6));
    assert_eq!(validations(&events), [(2, 0.5, true), (4, 0.5, false), (6, 0.5, false)]);
}

#[test]
fn a_profile_is_the_same_each_time_and_selects_what_spreads() {
    let (tasks, trajectories) = world();
    let student = student(1);
    imitate(&student, 12);
    let config = config(Budget::Steps(1), 1e-3);
    let selection = Selection { samples: 4, min_spread: 0.05, max_mean: 0.95 };
    let found = || {
        let data = data(&tasks, &trajectories);
        let (groups, mut heard) = (Groups::default(), 0);
        let done = |answered| {
            heard = answered;
            Ok(())
        };
        let judge = TextReward::default();
        let profiles =
            profile::profile(&config, (selection, &groups), &data, (&student, &judge), done).unwrap();
        assert_eq!((profiles.len(), heard), (18, 18));
        profiles
    };
    let profiles = found();
    assert_eq!(profiles, found());
    for one in &profiles {
        assert_eq!(one.kept, 0.05 < one.spread && one.mean < 0.95, "{one:?}");
        assert_eq!(one.rewards.len(), 4);
    }
    let kept = profile::kept(&profiles);
    assert!(!kept.is_empty(), "{profiles:?}");
    let chosen = data(&tasks, &trajectories).only(&kept);
    let names = chosen.examples().iter().map(|example| (example.trajectory, example.index + 1));
    assert_eq!(names.collect::<std::collections::BTreeSet<_>>(), kept);
    let mut cursor = Cursor::new(&chosen, Order::Trajectories, 3, 0);
    assert_eq!((cursor.epoch(), cursor.deal(kept.len()).len()), (kept.len() as u64, kept.len()));
}

#[test]
fn a_reverse_curriculum_deals_last_steps_first_and_resumes() {
    let (tasks, trajectories) = world();
    let data = data(&tasks, &trajectories);
    let dealt = |dealt, count| -> Vec<(String, usize)> {
        let mut cursor = Cursor::new(&data, Order::Reverse, 5, dealt);
        cursor.deal(count).iter().map(|example| (example.trajectory.to_owned(), example.index)).collect()
    };
    let epochs = dealt(0, 36);
    let steps: Vec<usize> = epochs.iter().map(|(_, step)| *step).collect();
    assert_eq!(steps, [[2; 6], [1; 6], [0; 6], [2; 6], [1; 6], [0; 6]].concat());
    assert_ne!(epochs[..6], epochs[18..24], "each epoch has an order of its own");
    assert_eq!(dealt(8, 28), epochs[8..]);
}

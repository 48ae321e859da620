//! Our side: each way in a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use apprentice::difflib::{self, Autojunk};
use apprentice::group::{Attempt, Group, Reward, Scale};
use apprentice::model::decode::{self, Reply};
use apprentice::model::network::Network;
use apprentice::model::tokenizer::ChatTokenizer;
use apprentice::model::tree::Packed;
use apprentice::model::{Prompt, SampleOptions, Student, cpu};
use apprentice::policy::Sample;
use apprentice::train::adamw::{AdamW, AdamWConfig};
use apprentice::train::batch::{Average, Sequence};
use apprentice::train::loss::Loss;
use apprentice::train::update::{Objective, UpdateOptions, update};
use serde_json::{Map, Value, json};

use super::inputs::{self, Pairs, Steps};

/// Replies to each prompt.
const GROUP: usize = 8;
/// Tokens of each reply.
const REPLY: usize = 64;
/// Repetitions that count; one more before them warms everything.
const UPDATES: usize = 3;

/// Runs one side of a contest and says what it took.
pub(crate) fn run(side: &str, contest: &str, directory: &Path) -> Result<Value> {
    match side {
        "tree" => updates(directory, Sharing::Tree),
        "separate" => updates(directory, Sharing::None),
        "step" => steps(contest, directory),
        "generate" => generate(directory),
        "similarity" => similarity(directory),
        "vocabulary one" => vocabulary(1),
        "vocabulary all" => vocabulary(4096),
        _ => bail!("there is no side `{side}`"),
    }
}

/// Times repetitions of `work` after one that warms up; each says what both sides should agree on.
fn timed(repetitions: usize, mut work: impl FnMut(usize) -> Result<Map<String, Value>>) -> Result<Value> {
    let (mut wall, mut processor, mut said) = (Vec::new(), Vec::new(), Map::new());
    for repetition in 0..=repetitions {
        let (started, used) = (Instant::now(), processor_seconds());
        said = work(repetition)?;
        if 0 < repetition {
            wall.push(started.elapsed().as_secs_f64());
            processor.push(processor_seconds() - used);
        }
    }
    said.insert("wall".to_owned(), json!(wall));
    said.insert("processor".to_owned(), json!(processor));
    Ok(said.into())
}

/// What this process used of all processors.
fn processor_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the time that the pointer is to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Whether sequences begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// As they do: the tree shares all that it can.
    Tree,
    /// A token of its own stands before each, so the same code finds nothing to share.
    None,
}

impl Sharing {
    fn prompts(self, steps: &Steps, seed: u64) -> Vec<Prompt> {
        let shared = |tokens: &Vec<u32>| Prompt { tokens: tokens.clone().into(), n: GROUP, seed };
        let alone = |(index, tokens): (usize, &Vec<u32>)| Prompt {
            tokens: [&[index as u32], &**tokens].concat().into(),
            n: 1,
            seed: seed + index as u64,
        };
        match self {
            Self::Tree => steps.prompts.iter().map(shared).collect(),
            Self::None => {
                let replies = steps.prompts.iter().flat_map(|tokens| std::iter::repeat_n(tokens, GROUP));
                replies.enumerate().map(alone).collect()
            }
        }
    }
}

/// SRL updates as the trainer makes them; every group is kept, as the peer keeps it.
fn updates(directory: &Path, sharing: Sharing) -> Result<Value> {
    let student = Student::load(&directory.join("small"), &cpu())?;
    let steps: Steps = serde_json::from_str(&fs_err::read_to_string(directory.join("steps.json"))?)?;
    let mut adamw = AdamW::new(AdamWConfig::default(), student.vars())?;
    let options = options(Objective::Policy { loss: Loss::default(), temperature: 1.0 });
    timed(UPDATES, |repetition| {
        let prompts = sharing.prompts(&steps, repetition as u64);
        let started = Instant::now();
        // No token ends a reply, so each has exactly so many.
        let replies = decode::generate(student.network(), &prompts, &sampling(REPLY), None)?;
        let generating = started.elapsed().as_secs_f64();
        let attempts = prompts.iter().zip(replies).flat_map(|(prompt, replies)| {
            replies.into_iter().map(|reply| (Arc::clone(&prompt.tokens), reply))
        });
        let attempts: Vec<(Arc<[u32]>, Reply)> = attempts.collect();
        let groups = attempts.chunks(GROUP).zip(&steps.experts);
        let groups = groups.map(|(attempts, expert)| rewarded(&student, attempts, expert));
        let sequences: Vec<Sequence> = groups.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        let updated = update(&student, &mut adamw, &sequences, &options)?;
        let said = [
            ("tokens", json!(updated.tokens.forward)),
            ("of", json!(updated.tokens.without_sharing)),
            ("generating", json!(generating)),
        ];
        Ok(said.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

/// Micro-batches are as large as the paper's recipe has them.
fn options(objective: Objective) -> UpdateOptions {
    UpdateOptions {
        objective,
        average: Average::Sequences,
        micro_batch_tokens: 16_384,
        max_grad_norm: f64::INFINITY,
        rate: 1e-5,
    }
}

fn sampling(max_new_tokens: usize) -> SampleOptions {
    SampleOptions { temperature: 1.0, top_p: 1.0, max_new_tokens, ..SampleOptions::default() }
}

/// A group's replies with their advantages.
fn rewarded(student: &Student, attempts: &[(Arc<[u32]>, Reply)], expert: &str) -> Result<Vec<Sequence>> {
    let attempt = |(prompt, reply): &(Arc<[u32]>, Reply)| {
        let text = student.tokenizer().decode(&reply.tokens);
        let reward = Reward::new(difflib::ratio(&text, expert, Autojunk::Off));
        let (prompt, Reply { tokens, logprobs, .. }) = (Arc::clone(prompt), reply.clone());
        Attempt { replies: vec![Sample { prompt, tokens, logprobs, ..Sample::from_text(text) }], reward }
    };
    let group = Group::new(attempts.iter().map(attempt).collect())?;
    let advantages = group.advantages(Scale::default());
    let sequence = |(attempt, advantage): (&Attempt, f64)| {
        Sequence::sampled(Arc::from("bench"), &attempt.replies, advantage)
    };
    Ok(group.attempts().iter().zip(advantages).map(sequence).collect())
}

/// Forward, backward and AdamW over random sequences.
fn steps(contest: &str, directory: &Path) -> Result<Value> {
    let (model, rows, length, repetitions) = match contest {
        "batch 8x256" => ("small", 8, 256, 8),
        "batch 32x256" => ("small", 32, 256, 4),
        _ => ("large", 1, 512, 2),
    };
    let network = Network::load(&directory.join(model), &cpu())?;
    // The tokens fit both vocabularies; the network alone would need no tokenizer.
    let student = Student::new(network, ChatTokenizer::load(&directory.join("small"))?)?;
    let mut adamw = AdamW::new(AdamWConfig::default(), student.vars())?;
    let options = options(Objective::Imitation);
    let sequence = |row: usize| {
        let tokens = tokens(row, length);
        Sequence::imitated(Arc::from("bench"), tokens[..1].into(), tokens[1..].to_vec())
    };
    let sequences: Vec<Sequence> = (0..rows).map(sequence).collect();
    timed(repetitions, |_| {
        let updated = update(&student, &mut adamw, &sequences, &options)?;
        Ok(Map::from_iter([("loss".to_owned(), json!(updated.loss))]))
    })
}

/// Tokens that both sides compute alike.
fn tokens(row: usize, length: usize) -> Vec<u32> {
    (0..length).map(|at| ((row * 7919 + at * 104_729 + at * at * 31) % 2000) as u32).collect()
}

fn generate(directory: &Path) -> Result<Value> {
    let student = Student::load(&directory.join("small"), &cpu())?;
    let prompt = |row: usize| Prompt { tokens: tokens(row, 32).into(), n: 1, seed: row as u64 };
    let prompts: Vec<Prompt> = (0..16).map(prompt).collect();
    timed(3, |_| {
        let replies = decode::generate(student.network(), &prompts, &sampling(256), None)?;
        let drawn: usize = replies.iter().flatten().map(|reply| reply.tokens.len()).sum();
        Ok(Map::from_iter([("tokens".to_owned(), json!(drawn))]))
    })
}

fn similarity(directory: &Path) -> Result<Value> {
    let pairs: Pairs = serde_json::from_str(&fs_err::read_to_string(directory.join("pairs.json"))?)?;
    timed(20, |_| {
        let ratios = pairs.iter().map(|(expert, student)| difflib::ratio(student, expert, Autojunk::Off));
        Ok(Map::from_iter([("sum".to_owned(), json!(ratios.sum::<f64>()))]))
    })
}

/// So many log-probabilities over a whole vocabulary, forward and backward, of a model in which only the head counts.
fn vocabulary(count: usize) -> Result<Value> {
    let network = Network::init(inputs::wide_config()?, 0, 0.1, &cpu())?;
    let sequence = tokens(0, 4097);
    let packed = Packed::new([&sequence[..4096]]);
    let rows: Vec<u32> = (0..count as u32).collect();
    timed(1, |_| {
        let logprobs = network.logprobs(&packed, &rows, &sequence[1..=count], 1.0)?;
        let gradients = logprobs.sum_all()?.backward()?;
        let first = network.vars().values().next().context("a network has parameters")?;
        gradients.get(first).context("a parameter received no gradient")?;
        Ok(Map::new())
    })
}

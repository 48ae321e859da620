//! What both sides read: models, prompts and texts, written once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use apprentice::chat::{Message, Role};
use apprentice::model::config::QwenConfig;
use apprentice::model::network::Network;
use apprentice::model::tokenizer::{ChatTokenizer, Pieces};
use apprentice::model::{Student, cpu};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Of each message of the trajectory.
const MESSAGE_CHARS: usize = 400;
/// Of the trajectory.
const STEPS: usize = 8;
const VOCABULARY: usize = 2048;

/// The prompts of an SRL update, and what the expert said to each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Steps {
    pub(crate) prompts: Vec<Vec<u32>>,
    pub(crate) experts: Vec<String>,
}

/// Pairs of texts, the expert's first.
pub(crate) type Pairs = Vec<(String, String)>;

/// Writes what a contest needs, unless it is there.
pub(crate) fn prepare(contest: &str, directory: &Path) -> Result<()> {
    match contest {
        "update" => steps(directory),
        "similarity" => pairs(directory),
        "0.5B 1x512" => large(directory),
        "vocabulary" => Ok(()),
        _ => small(directory),
    }
}

/// 2.8 million parameters.
fn small_config() -> Value {
    shape(192, 6, (6, 2), 512, VOCABULARY)
}

/// A tied Qwen2; `heads` are those of queries and of keys.
fn shape(
    hidden: usize,
    layers: usize,
    heads: (usize, usize),
    intermediate: usize,
    vocabulary: usize,
) -> Value {
    json!({
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu", "hidden_size": hidden,
        "num_hidden_layers": layers, "num_attention_heads": heads.0, "num_key_value_heads": heads.1,
        "intermediate_size": intermediate, "vocab_size": vocabulary, "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-6, "rope_theta": 1e6, "tie_word_embeddings": true, "torch_dtype": "float32",
        "use_sliding_window": false, "attention_dropout": 0.0,
    })
}

fn config(shape: Value) -> Result<QwenConfig> {
    QwenConfig::from_json(shape).map_err(anyhow::Error::msg)
}

/// A narrow model over a whole vocabulary, so that only its head counts.
pub(crate) fn wide_config() -> Result<QwenConfig> {
    config(shape(64, 1, (2, 1), 128, 151_936))
}

fn small(directory: &Path) -> Result<()> {
    let path = directory.join("small");
    if path.is_dir() {
        return Ok(());
    }
    let texts = messages()?.into_iter().flatten().map(|message| message.content);
    let tokenizer = ChatTokenizer::train(texts, VOCABULARY, Pieces::Words)?;
    Student::init(config(small_config())?, tokenizer, 0, 0.04, &cpu())?.save(&path)?;
    Ok(())
}

/// The shape of Qwen2.5-0.5B with random weights.
fn large(directory: &Path) -> Result<()> {
    let path = directory.join("large");
    if !path.is_dir() {
        Network::init(config(shape(896, 24, (14, 2), 4864, 151_936))?, 0, 0.02, &cpu())?.save(&path)?;
    }
    Ok(())
}

fn steps(directory: &Path) -> Result<()> {
    small(directory)?;
    let tokenizer = ChatTokenizer::load(&directory.join("small"))?;
    let messages: Vec<Message> = messages()?.into_iter().next().context("the recording is empty")?;
    let mut steps = Steps { prompts: Vec::new(), experts: Vec::new() };
    let replies = messages.iter().enumerate().filter(|(_, message)| message.role == Role::Assistant);
    for (at, reply) in replies.take(STEPS) {
        let prompt = tokenizer.encode_prompt(&messages[..at])?;
        steps.prompts.push(prompt);
        steps.experts.push(reply.content.clone());
    }
    ensure!(steps.prompts.len() == STEPS, "the recording has fewer than {STEPS} steps");
    fs_err::write(directory.join("steps.json"), serde_json::to_string(&steps)?)?;
    Ok(())
}

/// Neighbouring pieces of what was recorded, the second with every eleventh word gone: alike, and not equal.
fn pairs(directory: &Path) -> Result<()> {
    let all: String = raw_messages()?.into_iter().flatten().map(|message| message.content + "\n").collect();
    let text: Vec<char> = all.chars().collect();
    let (mut pairs, mut at) = (Pairs::new(), 0);
    for length in [200, 400, 700, 1000, 1500, 2000, 3000, 4000].into_iter().cycle().take(64) {
        let Some(piece) = text.get(at..at + length) else { break };
        at += length / 2;
        let piece: String = piece.iter().collect();
        let kept = piece.split_inclusive(' ').enumerate().filter(|(word, _)| word % 11 != 10);
        let student = kept.map(|(_, word)| word).collect();
        pairs.push((piece, student));
    }
    fs_err::write(directory.join("pairs.json"), serde_json::to_string(&pairs)?)?;
    Ok(())
}

/// The conversations of the recording, each message cut.
fn messages() -> Result<Vec<Vec<Message>>> {
    let mut all = raw_messages()?;
    for message in all.iter_mut().flatten() {
        message.content = message.content.chars().take(MESSAGE_CHARS).collect();
    }
    Ok(all)
}

fn raw_messages() -> Result<Vec<Vec<Message>>> {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures");
    let fixtures = std::env::var("APPRENTICE_FIXTURES").unwrap_or_else(|_| shared.to_owned());
    let file = PathBuf::from(fixtures).join("trajectories/swe-smith/xml.jsonl");
    let text = fs_err::read_to_string(file)?;
    text.lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line)?;
            let messages = record["messages"].as_array().context("a record has no messages")?;
            messages.iter().map(message).collect()
        })
        .collect()
}

fn message(recorded: &Value) -> Result<Message> {
    let content = recorded["content"].as_str().context("a message is no text")?.to_owned();
    let role = match recorded["role"].as_str() {
        Some("system") => Role::System,
        Some("assistant") => Role::Assistant,
        _ => Role::User,
    };
    Ok(Message { role, content })
}

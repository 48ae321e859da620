//! `apprentice model`.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::against::AgainstArgs;
use super::failure::{Answer, Failure, FailureKind};
use super::output::Output;
use super::serve;
use crate::chat::{Message, Role};
use crate::model;
use crate::model::config::QwenConfig;
use crate::model::error::ModelError;
use crate::model::merge::merge;
use crate::model::network::Network;
use crate::model::tokenizer::ChatTokenizer;
use crate::model::tree::Packed;
use crate::model::{Prompt, SampleOptions, Student};

/// Check, make and ask models
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Read a model and see that every parameter can be trained
    Check {
        /// Model directory in Hugging Face layout
        dir: PathBuf,
        #[command(flatten)]
        against: AgainstArgs,
    },
    /// Make a model with random weights
    Init(InitArgs),
    /// Give the log-probability of each token after those before it: {"tokens": [ids]} a line on stdin
    Logprobs {
        /// Model directory in Hugging Face layout
        dir: PathBuf,
    },
    /// Answer a prompt
    Generate(GenerateArgs),
    /// Answer over HTTP, as OpenAI's completions do
    Serve(serve::Args),
    /// Merge a LoRA adapter (PEFT layout) into a model
    Merge {
        /// Model directory in Hugging Face layout
        dir: PathBuf,
        /// Directory with adapter_config.json and adapter_model.safetensors
        #[arg(long)]
        adapter: PathBuf,
        /// Directory to write
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct InitArgs {
    /// The config.json of a Qwen2 or Qwen3 model
    #[arg(long)]
    config: PathBuf,
    /// Directory to write
    #[arg(long)]
    out: PathBuf,
    /// Seed of the weights
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Standard deviation of the weights [default: 0.8 / sqrt(hidden_size)]
    #[arg(long)]
    std: Option<f64>,
    /// Directory with a tokenizer to put beside the weights
    #[arg(long)]
    tokenizer: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct GenerateArgs {
    /// Model directory in Hugging Face layout
    dir: PathBuf,
    /// What the user says
    #[arg(long)]
    prompt: String,
    /// Replies
    #[arg(long, default_value_t = 1)]
    n: usize,
    /// Divides the logits; 0 takes the most probable token
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// Draws from the fewest tokens whose probabilities reach this sum
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Draws from so many of the most probable tokens; 0 draws from all
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    /// Draws from tokens that are at least this fraction as probable as the most probable one
    #[arg(long, default_value_t = 0.0)]
    min_p: f64,
    /// Tokens after which a reply is cut
    #[arg(long, default_value_t = 256)]
    max_new_tokens: usize,
    /// Seed of the replies
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Runs the command.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: Args, output: Output) -> Result<Answer, Failure> {
    match args.verb {
        Verb::Check { dir, against } => check(&dir, &against, output),
        Verb::Init(args) => init(&args, output),
        Verb::Logprobs { dir } => logprobs(&dir, output),
        Verb::Generate(args) => generate(&args, output),
        Verb::Serve(args) => serve::run(&args, output),
        Verb::Merge { dir, adapter, out } => {
            let merged = merge(&load(&dir)?, &adapter).map_err(failure)?;
            save(merged, tokenizer(&dir)?, &out, output)
        }
    }
}

pub(super) fn failure(error: ModelError) -> Failure {
    let kind = match &error {
        ModelError::Tensor(_) => FailureKind::Host,
        ModelError::Io(e) if e.kind() != std::io::ErrorKind::NotFound => FailureKind::Host,
        _ => FailureKind::Input,
    };
    let hint = error.hint().map(str::to_owned);
    Failure { kind, source: error.into(), hint }
}

fn load(dir: &Path) -> Result<Network, Failure> {
    Network::load(dir, &model::cpu()).map_err(failure)
}

fn tokenizer(dir: &Path) -> Result<Option<ChatTokenizer>, Failure> {
    dir.join("tokenizer.json").is_file().then(|| ChatTokenizer::load(dir)).transpose().map_err(failure)
}

fn check(dir: &Path, against: &AgainstArgs, output: Output) -> Result<Answer, Failure> {
    let (network, tokenizer) = (load(dir)?, tokenizer(dir)?);
    let student = tokenizer.clone().map(|tokenizer| Student::new(network.clone(), tokenizer));
    let student = student.transpose().map_err(failure)?;
    let untrained = untrained(&network).map_err(failure)?;
    let parameters = parameters(&network);
    let config = network.config();
    let architecture = format!("{:?}", config.architecture).to_lowercase();
    let tokens = tokenizer.as_ref().map(ChatTokenizer::vocab_size);
    let compared = against.compare(student.as_ref())?;
    let mut value = json!({
        "format": "apprentice.model/1", "architecture": architecture, "parameters": parameters,
        "layers": config.layers, "hidden_size": config.hidden_size, "vocab_size": config.vocab_size,
        "tied": config.tied, "tokenizer_tokens": tokens, "without_gradient": untrained,
    });
    let tokenizer = tokens.map_or("none".to_owned(), |tokens| format!("{tokens} tokens"));
    let verdict = if untrained.is_empty() {
        "every parameter receives a finite gradient".to_owned()
    } else {
        format!("no finite gradient: {}", untrained.join(", "))
    };
    let mut human = format!(
        "{architecture}: {parameters} parameters, {} layers of width {}, {} embeddings\ntokenizer: {tokenizer}\n{verdict}",
        config.layers, config.hidden_size, config.vocab_size
    );
    let is_close = compared.as_ref().is_none_or(|compared| compared.is_close);
    if let Some(compared) = compared {
        value["against"] = compared.value;
        human = format!("{human}\n{}", compared.human);
    }
    output.result(&value, &human).map_err(Failure::host)?;
    Ok(if untrained.is_empty() && is_close { Answer::Yes } else { Answer::No })
}

fn parameters(network: &Network) -> usize {
    network.vars().values().map(|var| var.elem_count()).sum()
}

/// The parameters that receive no gradient, or one that is not finite.
fn untrained(network: &Network) -> Result<Vec<String>, ModelError> {
    let tokens: Vec<u32> = (0..network.config().vocab_size.min(8) as u32).collect();
    let packed = Packed::new([&tokens[..]]);
    let rows: Vec<u32> = (0..tokens.len() as u32 - 1).collect();
    let gradients = network.logprobs(&packed, &rows, &tokens[1..], 1.0)?.sum_all()?.backward()?;
    let mut untrained = Vec::new();
    for (name, var) in network.vars() {
        let finite = match gradients.get(var) {
            None => false,
            Some(gradient) => gradient.sqr()?.sum_all()?.to_scalar::<f32>()?.is_finite(),
        };
        if !finite {
            untrained.push(name.clone());
        }
    }
    Ok(untrained)
}

fn init(args: &InitArgs, output: Output) -> Result<Answer, Failure> {
    let config = QwenConfig::load(&args.config).map_err(failure)?;
    let std = args.std.unwrap_or(0.8 / (config.hidden_size as f64).sqrt());
    if !(std.is_finite() && std > 0.0) {
        return Err(Failure::usage(anyhow::anyhow!("`--std {std}` is not a positive number")));
    }
    let tokenizer = args.tokenizer.as_deref().map(ChatTokenizer::load).transpose().map_err(failure)?;
    let network = Network::init(config, args.seed, std, &model::cpu()).map_err(failure)?;
    save(network, tokenizer, &args.out, output)
}

fn save(
    network: Network,
    tokenizer: Option<ChatTokenizer>,
    out: &Path,
    output: Output,
) -> Result<Answer, Failure> {
    let parameters = parameters(&network);
    match tokenizer {
        Some(tokenizer) => Student::new(network, tokenizer).map_err(failure)?.save(out).map_err(failure)?,
        None => network.save(out).map_err(failure)?,
    }
    let value = json!({"format": "apprentice.model/1", "dir": out, "parameters": parameters});
    output
        .result(&value, &format!("wrote {parameters} parameters to {}", out.display()))
        .map_err(Failure::host)?;
    Ok(Answer::Yes)
}

#[derive(Debug, Deserialize)]
struct Line {
    tokens: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct LineLogprobs {
    logprobs: Vec<f32>,
}

/// Tokens that pass through the network together.
const BATCH_TOKENS: usize = 8192;

fn logprobs(dir: &Path, output: Output) -> Result<Answer, Failure> {
    let network = load(dir)?;
    let mut batch: Vec<Vec<u32>> = Vec::new();
    for (index, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("could not read stdin").map_err(Failure::host)?;
        if line.trim().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_str(&line).map_err(|e| {
            Failure::input(anyhow::Error::new(e).context(format!("stdin, line {}", index + 1)))
                .with_hint("write one object a line: {\"tokens\": [1, 2, 3]}")
        })?;
        // Checked here, so that the error names the line.
        network.check_tokens(&line.tokens).map_err(|e| named(e, index + 1))?;
        batch.push(line.tokens);
        if batch.iter().map(Vec::len).sum::<usize>() >= BATCH_TOKENS {
            print_logprobs(&network, &std::mem::take(&mut batch), output)?;
        }
    }
    print_logprobs(&network, &batch, output)?;
    Ok(Answer::Yes)
}

fn named(error: ModelError, line: usize) -> Failure {
    let mut failure = failure(error);
    failure.source = failure.source.context(format!("stdin, line {line}"));
    failure
}

fn print_logprobs(network: &Network, sequences: &[Vec<u32>], output: Output) -> Result<(), Failure> {
    let packed = Packed::new(sequences.iter().map(Vec::as_slice));
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (index, sequence) in sequences.iter().enumerate().filter(|(_, sequence)| !sequence.is_empty()) {
        rows.extend((0..sequence.len() - 1).map(|position| packed.row(index, position)));
        targets.extend(&sequence[1..]);
    }
    let mut all = Vec::new();
    if !rows.is_empty() {
        let logprobs = network.logprobs(&packed, &rows, &targets, 1.0).map_err(failure)?;
        all = logprobs.to_vec1::<f32>().map_err(Failure::host)?;
    }
    let (mut rest, mut lines) = (&all[..], Vec::new());
    for sequence in sequences {
        let (logprobs, after) = rest.split_at(sequence.len().saturating_sub(1));
        let line = LineLogprobs { logprobs: logprobs.to_vec() };
        serde_json::to_writer(&mut lines, &line).map_err(Failure::host)?;
        lines.write_all(b"\n").map_err(Failure::host)?;
        rest = after;
    }
    output.data(&lines).map_err(Failure::host)
}

fn generate(args: &GenerateArgs, output: Output) -> Result<Answer, Failure> {
    let is_sound = (0.0..=100.0).contains(&args.temperature)
        && (args.top_p > 0.0 && args.top_p <= 1.0)
        && (0.0..=1.0).contains(&args.min_p);
    if !is_sound {
        return Err(Failure::usage(anyhow::anyhow!(
            "`--temperature` must be in 0..=100, `--top-p` in (0, 1] and `--min-p` in 0..=1"
        )));
    }
    let student = Student::load(&args.dir, &model::cpu()).map_err(failure)?;
    let messages = [Message { role: Role::User, content: args.prompt.clone() }];
    let tokens = student.tokenizer().encode_prompt(&messages).map_err(failure)?;
    let options = SampleOptions {
        temperature: args.temperature,
        top_p: args.top_p,
        top_k: args.top_k,
        min_p: args.min_p,
        max_new_tokens: args.max_new_tokens,
    };
    let prompt = Prompt { tokens: tokens.into(), n: args.n, seed: args.seed };
    let samples = student.generate(&[prompt], &options).map_err(failure)?.remove(0);
    let text: Vec<&str> = samples.iter().map(|sample| sample.text.as_str()).collect();
    let replies: Vec<Value> = samples
        .iter()
        .map(|s| json!({"text": s.text, "tokens": s.tokens, "logprobs": s.logprobs, "finished": s.finished}))
        .collect();
    let value = json!({"format": "apprentice.replies/1", "replies": replies});
    output.result(&value, &text.join("\n\n")).map_err(Failure::host)?;
    Ok(Answer::Yes)
}

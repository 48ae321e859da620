//! Generation: prompts once, as packed trees; then all replies together, one token a step.
//!
//! Guarantees that a reply depends on its prompt, its seed and the options alone, not on the replies beside it
//! nor on the number of threads, and that its log-probabilities are those that `logprobs` recomputes. To the last bit that holds
//! of prompts that are read apart ([`generate_apart`]): a trunk that several share is summed in other parts. Runs outside the
//! graph. On another device than the CPU the weights are copied here first.

pub mod engine;
mod step;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Device;
use rayon::prelude::*;

use self::step::{Decoder, Read, Tail};
use super::error::ModelError;
use super::fused::graph::with_weights;
use super::network::Network;
use super::sampler::Sampler;
use super::tree::Packed;
use super::{Prompt, SampleOptions};

/// One reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Its tokens, the end included.
    pub tokens: Vec<u32>,
    /// The log-probability of each.
    pub logprobs: Vec<f32>,
    /// The entropies of the distributions that they were drawn from, in nats, summed.
    pub entropy: f64,
}

/// How prompts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// What they begin with alike is read once. Which prompts come together shows in the last bits of the numbers.
    Together,
    /// Each distinct prompt by itself, so that its numbers are the same whichever prompts come with it.
    Apart,
}

/// Draws `n` replies to each prompt; each ends with `end`, after `max_new_tokens`, or at the model's last position.
///
/// # Errors
/// When a prompt is empty, out of range or too long, or the device fails.
pub fn generate(
    network: &Network,
    prompts: &[Prompt],
    options: &SampleOptions,
    end: Option<u32>,
) -> Result<Vec<Vec<Reply>>, ModelError> {
    draw(network, prompts, options, (end, Reading::Together))
}

/// The same, each distinct prompt read by itself: the replies are the same to the last bit whichever prompts come together.
///
/// # Errors
/// As [`generate`].
pub fn generate_apart(
    network: &Network,
    prompts: &[Prompt],
    options: &SampleOptions,
    end: Option<u32>,
) -> Result<Vec<Vec<Reply>>, ModelError> {
    draw(network, prompts, options, (end, Reading::Apart))
}

fn draw(
    network: &Network,
    prompts: &[Prompt],
    options: &SampleOptions,
    (end, reading): (Option<u32>, Reading),
) -> Result<Vec<Vec<Reply>>, ModelError> {
    if !network.device().is_cpu() {
        return draw(&network.to_device(&Device::Cpu)?, prompts, options, (end, reading));
    }
    if let Some(prompt) = prompts.iter().position(|prompt| prompt.tokens.is_empty()) {
        return Err(ModelError::EmptyPrompt { prompt });
    }
    let (trees, places) = trees(prompts, reading);
    trees.iter().try_for_each(|packed| network.check(packed, &[]))?;
    let replies = with_weights(network, |weights| {
        let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
        let max_positions = network.config().max_positions;
        let positions = (longest + options.max_new_tokens).min(max_positions);
        let decoder = Decoder::new(network.config(), weights, positions);
        let reads: Vec<Read> = trees.iter().map(|packed| decoder.read(packed)).collect();
        let batches = batches(prompts, options, max_positions);
        let run = |live: Vec<Live>| {
            let (reads, places) = (&reads[..], &places[..]);
            Batch { decoder: &decoder, reads, places, prompts, end, live, done: Vec::new() }.run()
        };
        batches.into_par_iter().flat_map_iter(run).collect::<BTreeMap<(usize, usize), Reply>>()
    })?;
    let mut all: Vec<Vec<Reply>> = prompts.iter().map(|_| Vec::new()).collect();
    // In the order of (prompt, reply).
    for ((prompt, _), reply) in replies {
        all[prompt].push(reply);
    }
    Ok(all)
}

/// The trees that prompts are read in, and for each prompt its tree and its place there.
fn trees(prompts: &[Prompt], reading: Reading) -> (Vec<Packed>, Vec<(usize, usize)>) {
    if reading == Reading::Together {
        let packed = Packed::new(prompts.iter().map(|prompt| &*prompt.tokens));
        return (vec![packed], (0..prompts.len()).map(|place| (0, place)).collect());
    }
    let (mut trees, mut known) = (Vec::new(), BTreeMap::new());
    let mut place = |prompt: &Prompt| {
        let tree = *known.entry(Arc::clone(&prompt.tokens)).or_insert_with(|| {
            trees.push(Packed::new([&*prompt.tokens]));
            trees.len() - 1
        });
        (tree, 0)
    };
    let places = prompts.iter().map(&mut place).collect();
    (trees, places)
}

/// A reply that is being drawn.
struct Live {
    prompt: usize,
    index: usize,
    /// Tokens it may have.
    limit: usize,
    sampler: Sampler,
    reply: Reply,
    tail: Tail,
}

/// Cuts the replies into batches that share nothing, prompts together.
fn batches(prompts: &[Prompt], options: &SampleOptions, max_positions: usize) -> Vec<Vec<Live>> {
    let total: usize = prompts.iter().map(|prompt| prompt.n).sum();
    let size = batch_size(total);
    let mut all = Vec::with_capacity(total);
    for (prompt_index, prompt) in prompts.iter().enumerate() {
        all.extend((0..prompt.n).map(|index| Live {
            prompt: prompt_index,
            index,
            limit: options.max_new_tokens.min(max_positions - prompt.tokens.len()),
            sampler: Sampler::new(prompt, index, options),
            reply: Reply { tokens: Vec::new(), logprobs: Vec::new(), entropy: 0.0 },
            tail: Tail::default(),
        }));
    }
    let mut batches = Vec::new();
    while !all.is_empty() {
        let rest = all.split_off(size.min(all.len()));
        batches.push(std::mem::replace(&mut all, rest));
    }
    batches
}

/// How many of so many replies advance together: enough to use each weight several times, few enough for every
/// thread to have some.
fn batch_size(replies: usize) -> usize {
    replies.div_ceil(16).clamp(6, Prompt::MOST_TOGETHER)
}

/// Replies that advance together.
struct Batch<'a> {
    decoder: &'a Decoder<'a>,
    reads: &'a [Read],
    /// For each prompt its read and its place there.
    places: &'a [(usize, usize)],
    prompts: &'a [Prompt],
    end: Option<u32>,
    live: Vec<Live>,
    done: Vec<((usize, usize), Reply)>,
}

impl Batch<'_> {
    fn run(mut self) -> Vec<((usize, usize), Reply)> {
        self.live.retain_mut(|live| {
            let wanted = live.limit > 0;
            if !wanted {
                self.done.push(((live.prompt, live.index), live.reply.clone()));
            }
            wanted
        });
        let read = |live: &Live| {
            let (read, place) = self.places[live.prompt];
            (&self.reads[read], place)
        };
        let mut logits = self.decoder.prompt_logits(self.live.iter().map(read));
        while !self.live.is_empty() {
            self.draw(&logits);
            logits = self.advance();
        }
        self.done
    }

    /// Draws a token for each reply; those that are complete drop out.
    fn draw(&mut self, logits: &[f32]) {
        let vocab_size = logits.len() / self.live.len();
        let mut rows = logits.chunks_exact(vocab_size);
        self.live.retain_mut(|live| {
            let row = rows.next().expect("invariant: each reply has its logits");
            let (token, logprob) = live.sampler.draw(row);
            live.reply.tokens.push(token);
            live.reply.logprobs.push(logprob);
            live.reply.entropy = live.sampler.entropy();
            let complete = Some(token) == self.end || live.reply.tokens.len() == live.limit;
            if complete {
                self.done.push(((live.prompt, live.index), live.reply.clone()));
            }
            !complete
        });
    }

    /// Runs the last token of each reply.
    fn advance(&mut self) -> Vec<f32> {
        let (reads, places, prompts) = (self.reads, self.places, self.prompts);
        let mut rows: Vec<step::Row<'_>> = self
            .live
            .iter_mut()
            .map(|live| step::Row {
                read: &reads[places[live.prompt].0],
                prompt: places[live.prompt].1,
                token: *live.reply.tokens.last().expect("invariant: a token was just drawn"),
                position: (prompts[live.prompt].tokens.len() + live.reply.tokens.len() - 1) as u32,
                tail: &mut live.tail,
            })
            .collect();
        self.decoder.step(&mut rows)
    }
}

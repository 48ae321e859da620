//! Generation: prompts once, as a packed tree; then all replies together, one token a step.
//!
//! Guarantees that a reply depends on its prompt, its seed and the options alone, not on the replies beside it
//! nor on the number of threads, and that its log-probabilities are those that `logprobs` recomputes. Runs outside
//! the graph. On another device than the CPU the weights are copied here first.

pub mod engine;
mod step;

use std::collections::BTreeMap;

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
    if !network.device().is_cpu() {
        return generate(&network.to_device(&Device::Cpu)?, prompts, options, end);
    }
    if let Some(prompt) = prompts.iter().position(|prompt| prompt.tokens.is_empty()) {
        return Err(ModelError::EmptyPrompt { prompt });
    }
    let packed = Packed::new(prompts.iter().map(|prompt| &*prompt.tokens));
    network.check(&packed, &[])?;
    let replies = with_weights(network, |weights| {
        let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
        let max_positions = network.config().max_positions;
        let positions = (longest + options.max_new_tokens).min(max_positions);
        let decoder = Decoder::new(network.config(), weights, positions);
        let read = decoder.read(&packed);
        let batches = batches(prompts, options, max_positions);
        let run = |live: Vec<Live>| {
            Batch { decoder: &decoder, read: &read, prompts, end, live, done: Vec::new() }.run()
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
    read: &'a Read,
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
        let prompts: Vec<usize> = self.live.iter().map(|live| live.prompt).collect();
        let mut logits = self.decoder.prompt_logits(self.read, &prompts);
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
        let (read, prompts) = (self.read, self.prompts);
        let mut rows: Vec<step::Row<'_>> = self
            .live
            .iter_mut()
            .map(|live| step::Row {
                read,
                prompt: live.prompt,
                token: *live.reply.tokens.last().expect("invariant: a token was just drawn"),
                position: (prompts[live.prompt].tokens.len() + live.reply.tokens.len() - 1) as u32,
                tail: &mut live.tail,
            })
            .collect();
        self.decoder.step(&mut rows)
    }
}

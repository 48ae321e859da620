//! Generation for whoever asks at any time: replies begin beside those that are being drawn, and end when they end.
//!
//! Guarantees what [`generate`](super::generate) does: a reply depends on its prompt, its seed and its options alone. The weights are
//! laid out once; prompts that come together are read together, and their memory is kept until the last of their replies ends.

use std::ops::ControlFlow;
use std::sync::Arc;

use candle_core::Device;
use rayon::prelude::*;

use super::batch_size;
use super::step::{Decoder, Read, Row, Tail};
use crate::model::error::ModelError;
use crate::model::fused::graph::with_weights;
use crate::model::network::Network;
use crate::model::sampler::Sampler;
use crate::model::tree::Packed;
use crate::model::{Prompt, SampleOptions};

/// A prompt whose replies are to begin.
#[derive(Debug, Clone)]
pub struct Order {
    /// By which its tokens are told apart from those of other orders.
    pub id: u64,
    /// The prompt, the replies wanted and their seed.
    pub prompt: Prompt,
    /// How they are drawn.
    pub options: SampleOptions,
    /// How many of the most probable tokens are told beside each that is drawn.
    pub top: usize,
}

/// A token that was drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// The order.
    pub id: u64,
    /// Which of its replies, from 0.
    pub reply: usize,
    /// The token.
    pub token: u32,
    /// Its log-probability at the temperature.
    pub logprob: f32,
    /// The most probable tokens with theirs, the best first.
    pub top: Vec<(u32, f32)>,
    /// Whether the reply ends here: by the end of its turn, or by its limit.
    pub is_last: bool,
}

/// Draws replies, one token of each a step.
pub struct Engine<'a> {
    decoder: Decoder<'a>,
    network: &'a Network,
    end: Option<u32>,
    live: Vec<Live>,
}

/// A reply that is being drawn.
struct Live {
    id: u64,
    reply: usize,
    sampler: Sampler,
    top: usize,
    /// Tokens that it may still have.
    left: usize,
    read: Arc<Read>,
    /// Which of the prompts that were read.
    prompt: usize,
    /// Where its next token stands.
    position: usize,
    /// The logits of its next token: a row of what was computed together.
    logits: (Arc<Vec<f32>>, usize),
    tail: Tail,
}

/// Calls `work` with an engine of the network, whose weights stay locked meanwhile; replies end with `end`.
///
/// # Errors
/// When the device fails.
pub fn with_engine<R>(
    network: &Network,
    end: Option<u32>,
    work: impl FnOnce(Engine<'_>) -> R,
) -> Result<R, ModelError> {
    if !network.device().is_cpu() {
        return with_engine(&network.to_device(&Device::Cpu)?, end, work);
    }
    let config = network.config();
    Ok(with_weights(network, |weights| {
        let decoder = Decoder::new(config, weights, config.max_positions);
        work(Engine { decoder, network, end, live: Vec::new() })
    })?)
}

impl Engine<'_> {
    /// The replies that are being drawn.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// Reads prompts, whose replies have their first token with the next step.
    ///
    /// # Errors
    /// When a prompt is empty or out of range, or leaves no position for a reply; then none begins.
    pub fn begin(&mut self, orders: Vec<Order>) -> Result<(), ModelError> {
        let limit = self.network.config().max_positions;
        for (index, order) in orders.iter().enumerate() {
            match order.prompt.tokens.len() {
                0 => return Err(ModelError::EmptyPrompt { prompt: index }),
                length if length >= limit => return Err(ModelError::TooLong { length: length + 1, limit }),
                _ => {}
            }
        }
        let packed = Packed::new(orders.iter().map(|order| &*order.prompt.tokens));
        self.network.check(&packed, &[])?;
        let read = Arc::new(self.decoder.read(&packed));
        for (index, order) in orders.into_iter().enumerate() {
            let logits = Arc::new(self.decoder.prompt_logits(std::iter::once((&*read, index))));
            let Order { id, prompt, options, top } = order;
            let position = prompt.tokens.len();
            self.live.extend((0..prompt.n).map(|reply| Live {
                id,
                reply,
                sampler: Sampler::new(&prompt, reply, &options),
                top,
                left: options.max_new_tokens.clamp(1, limit - position),
                read: Arc::clone(&read),
                prompt: index,
                position,
                logits: (Arc::clone(&logits), 0),
                tail: Tail::default(),
            }));
        }
        Ok(())
    }

    /// Draws the next token of every reply and tells each; a reply ends with its last one, or where `hear` breaks it off.
    pub fn step(&mut self, mut hear: impl FnMut(Drawn) -> ControlFlow<()>) {
        let vocab_size = self.network.config().vocab_size;
        let end = self.end;
        let drawn: Vec<Drawn> = self.live.par_iter_mut().map(|live| live.draw(vocab_size, end)).collect();
        let tokens: Vec<u32> = drawn.iter().map(|drawn| drawn.token).collect();
        let goes_on: Vec<bool> = drawn
            .into_iter()
            .map(|drawn| {
                let is_last = drawn.is_last;
                hear(drawn).is_continue() && !is_last
            })
            .collect();
        let mut stays = goes_on.iter();
        self.live.retain(|_| *stays.next().expect("invariant: each reply had a token"));
        let tokens: Vec<u32> =
            tokens.into_iter().zip(goes_on).filter_map(|(token, stays)| stays.then_some(token)).collect();
        self.advance(&tokens);
    }

    /// Runs the newest token of each reply.
    fn advance(&mut self, tokens: &[u32]) {
        let (decoder, size) = (&self.decoder, batch_size(self.live.len()));
        self.live.par_chunks_mut(size).zip(tokens.par_chunks(size)).for_each(|(live, tokens)| {
            let mut rows: Vec<Row<'_>> =
                live.iter_mut().zip(tokens).map(|(live, &token)| live.row(token)).collect();
            let logits = Arc::new(decoder.step(&mut rows));
            for (row, live) in live.iter_mut().enumerate() {
                live.position += 1;
                live.logits = (Arc::clone(&logits), row);
            }
        });
    }
}

impl Live {
    fn row(&mut self, token: u32) -> Row<'_> {
        let Self { read, prompt, position, tail, .. } = self;
        Row { read, prompt: *prompt, token, position: *position as u32, tail }
    }

    fn draw(&mut self, vocab_size: usize, end: Option<u32>) -> Drawn {
        let (logits, row) = &self.logits;
        let logits = &logits[row * vocab_size..][..vocab_size];
        let (token, logprob) = self.sampler.draw(logits);
        let top = if self.top == 0 { Vec::new() } else { self.sampler.top(logits, self.top) };
        self.left -= 1;
        let is_last = Some(token) == end || self.left == 0;
        Drawn { id: self.id, reply: self.reply, token, logprob, top, is_last }
    }
}

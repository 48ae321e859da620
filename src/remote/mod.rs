//! Models behind HTTP endpoints: OpenAI's completions, and what vLLM, SGLang and mistral.rs add to them.
//!
//! Guarantees that a failure of ours or theirs is an error and never a reply: what cannot be reached is tried again, then reported; a reply
//! whose end is unknown is not taken. Every call has a time limit, every run can have a budget, and the key is in no message.

mod adapter;
pub mod budget;
mod client;
mod dialect;
mod endpoint;
mod error;
pub mod mismatch;
mod pauses;
mod policy;
mod wire;

pub use adapter::{AdapterVersions, adapter_name};
pub use client::{Client, Key, Options};
pub use dialect::Dialect;
pub use endpoint::Endpoint;
pub use error::RemoteError;
pub use policy::{Encode, RemotePolicy};

use crate::chat::Message;

/// How replies are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most probable token.
    pub temperature: f64,
    /// Draws from the fewest tokens whose probabilities reach this sum; 1 draws from all.
    pub top_p: f64,
    /// A reply is cut after so many tokens.
    pub max_tokens: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_p: 1.0, max_tokens: 512 }
    }
}

/// What replies are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// What they answer.
    pub prompt: Prompted<'a>,
    /// Replies wanted.
    pub n: usize,
    /// Seed of the replies.
    pub seed: u64,
    /// How they are drawn.
    pub sampling: Sampling,
}

/// A prompt.
#[derive(Debug, Clone, Copy)]
pub enum Prompted<'a> {
    /// A conversation, which the server renders.
    Messages(&'a [Message]),
    /// Tokens, which we rendered.
    Tokens(&'a [u32]),
}

#[cfg(test)]
mod tests;

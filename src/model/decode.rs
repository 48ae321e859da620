//! Generation.

use super::error::ModelError;
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
}

/// Draws `n` replies to each prompt; each ends with `end` or after `max_new_tokens`.
///
/// # Errors
/// When a prompt is out of range or too long, or the device fails.
pub fn generate(
    network: &Network,
    prompts: &[Prompt],
    options: &SampleOptions,
    end: Option<u32>,
) -> Result<Vec<Vec<Reply>>, ModelError> {
    let mut all = Vec::new();
    for prompt in prompts {
        let mut replies = Vec::new();
        for reply in 0..prompt.n {
            let mut sampler = Sampler::new(prompt, reply, options);
            let mut sequence = prompt.tokens.to_vec();
            let mut logprobs = Vec::new();
            for _ in 0..options.max_new_tokens {
                let packed = Packed::new([&sequence[..]]);
                let row = packed.row(0, sequence.len() - 1);
                let logits = network.logits(&packed, &[row])?.squeeze(0)?.to_vec1::<f32>()?;
                let (token, logprob) = sampler.draw(&logits);
                sequence.push(token);
                logprobs.push(logprob);
                if Some(token) == end {
                    break;
                }
            }
            replies.push(Reply { tokens: sequence.split_off(prompt.tokens.len()), logprobs });
        }
        all.push(replies);
    }
    Ok(all)
}

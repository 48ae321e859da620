//! Tokens of examples, as a model's tokenizer and chat template make them.

use std::path::Path;

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::curation::Tokens;
use crate::curate::lesson::Style;
use crate::example::Example;
use crate::model::tokenizer::{ChatTokenizer, PromptMemo};
use crate::model::tree::Packed;
use crate::train::data::fit;

/// Counts tokens.
pub(super) struct Counter {
    tokenizer: ChatTokenizer,
    max_tokens: usize,
    /// The parts of the trajectory's prompts.
    memo: PromptMemo,
    /// The sequences of the trajectory at hand: prompts with their replies.
    sequences: Vec<Vec<u32>>,
    prompts: usize,
    replies: usize,
    /// Tokens of all sequences, each shared prefix of a trajectory once.
    shared: usize,
    longest: usize,
    /// Prompts that lost steps, and how many steps.
    shortened: usize,
    lost: usize,
    /// Examples whose problem alone is too long.
    too_long: usize,
}

impl Counter {
    /// Reads the tokenizer of a model.
    pub(super) fn open(dir: &Path, max_tokens: usize) -> Result<Self, Failure> {
        let tokenizer = ChatTokenizer::load(dir).map_err(Failure::input)?;
        Ok(Self {
            tokenizer,
            max_tokens,
            memo: PromptMemo::default(),
            sequences: Vec::new(),
            prompts: 0,
            replies: 0,
            shared: 0,
            longest: 0,
            shortened: 0,
            lost: 0,
            too_long: 0,
        })
    }

    /// The tokens of an example; none where even its problem alone does not fit.
    pub(super) fn count(&mut self, style: &Style, example: &Example<'_>) -> Result<Option<Tokens>, Failure> {
        let without = |lost| self.memo.encode_prompt(&self.tokenizer, &style.messages(example, lost));
        let fitted = fit(style.shown(example).len(), self.max_tokens, without).map_err(Failure::input)?;
        let Some(fitted) = fitted else {
            self.too_long += 1;
            return Ok(None);
        };
        let reply =
            self.tokenizer.encode_reply(&style.scaffold.reply(example.expert)).map_err(Failure::input)?;
        let tokens = Tokens { prompt: fitted.tokens.len(), reply: reply.len(), lost: fitted.lost };
        self.prompts += tokens.prompt;
        self.replies += tokens.reply;
        self.longest = self.longest.max(tokens.prompt + tokens.reply);
        self.lost += tokens.lost;
        self.shortened += usize::from(0 < tokens.lost);
        self.sequences.push([&fitted.tokens[..], &reply[..]].concat());
        Ok(Some(tokens))
    }

    /// Sums up what the trajectory's examples share.
    pub(super) fn end_trajectory(&mut self) {
        self.memo = PromptMemo::default();
        let sequences = std::mem::take(&mut self.sequences);
        self.shared += Packed::new(sequences.iter().map(Vec::as_slice)).tokens().len();
    }

    /// What was counted, for `--json`.
    pub(super) fn summary(&self) -> Value {
        json!({
            "prompts": self.prompts,
            "replies": self.replies,
            "total": self.prompts + self.replies,
            "shared": self.shared,
            "longest": self.longest,
            "shortened": self.shortened,
            "lost_steps": self.lost,
            "too_long": self.too_long,
        })
    }

    /// What was counted, in words.
    pub(super) fn described(&self) -> String {
        let total = self.prompts + self.replies;
        let times = total as f64 / self.shared.max(1) as f64;
        format!(
            "  {:<11} {total:>7}  in prompts ({}) and replies ({}); {} with shared prefixes, {times:.1} times fewer; longest {}\n\
             \x20 {:<11} {:>7}  prompts lost {} of their oldest steps; {} examples do not fit at all\n",
            "tokens",
            self.prompts,
            self.replies,
            self.shared,
            self.longest,
            "shortened",
            self.shortened,
            self.lost,
            self.too_long
        )
    }
}

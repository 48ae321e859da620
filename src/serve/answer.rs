//! Answers as OpenAI writes them, whole and in pieces, with the token ids that vLLM adds.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::models::Served;
use super::request::{Ask, Request, Shape};
use super::worker::{End, Token};
use crate::model::tokenizer::ChatTokenizer;

/// Writes the answer to one request.
pub(super) struct Writer {
    pub(super) request: Request,
    pub(super) ask: Arc<Ask>,
    pub(super) served: Arc<Served>,
    pub(super) id: String,
    pub(super) created: u64,
}

/// A reply as far as it was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    text: String,
    tokens: Vec<Token>,
}

impl Heard {
    pub(super) fn push(&mut self, token: Token) {
        self.text += &token.text;
        self.tokens.push(token);
    }

    pub(super) fn is_whole(&self) -> bool {
        self.tokens.last().is_some_and(|token| token.end.is_some())
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }
}

impl Writer {
    /// The whole answer; replies stand in the order of the prompts.
    pub(super) fn whole(&self, replies: &[Heard]) -> Value {
        let object = match self.request.shape {
            Shape::Completion => "text_completion",
            Shape::Chat => "chat.completion",
        };
        let mut answer = self.head(object);
        let choices = replies.iter().enumerate().map(|(index, reply)| self.choice(index, reply));
        answer["choices"] = choices.collect();
        answer["usage"] = self.usage(replies.iter().map(Heard::len).sum());
        if self.request.token_ids && self.request.shape == Shape::Chat {
            answer["prompt_token_ids"] = json!(*self.ask.prompts[0]);
        }
        answer
    }

    /// The piece that begins reply `index`, where there is one.
    pub(super) fn first_piece(&self, index: usize) -> Option<Value> {
        let mut choice = json!({"index": index, "logprobs": null, "finish_reason": null});
        match self.request.shape {
            Shape::Completion => return None,
            Shape::Chat => choice["delta"] = json!({"role": "assistant", "content": ""}),
        }
        let mut piece = self.piece(&choice);
        if self.request.token_ids {
            piece["prompt_token_ids"] = json!(*self.ask.prompts[0]);
        }
        Some(piece)
    }

    /// A token's piece of reply `index`, where it has anything to say; `offset` is where its text stands.
    pub(super) fn token_piece(
        &self,
        index: usize,
        token: &Token,
        (offset, is_first): (usize, bool),
    ) -> Option<Value> {
        let says = !token.text.is_empty() || token.end.is_some();
        if !(says || self.request.token_ids || self.request.logprobs.is_some()) {
            return None;
        }
        let tokens = std::slice::from_ref(token);
        let mut choice = json!({"index": index, "logprobs": self.logprobs(tokens, offset)});
        match self.request.shape {
            Shape::Completion => choice["text"] = json!(token.text),
            Shape::Chat => choice["delta"] = json!({"content": token.text}),
        }
        self.finish(&mut choice, tokens);
        if self.request.token_ids && self.request.shape == Shape::Completion && is_first {
            choice["prompt_token_ids"] = json!(*self.ask.prompts[index / self.ask.n]);
        }
        Some(self.piece(&choice))
    }

    /// The piece that counts tokens.
    pub(super) fn usage_piece(&self, tokens: usize) -> Value {
        let mut piece = self.piece(&Value::Null);
        piece["choices"] = json!([]);
        piece["usage"] = self.usage(tokens);
        piece
    }

    fn piece(&self, choice: &Value) -> Value {
        let object = match self.request.shape {
            Shape::Completion => "text_completion",
            Shape::Chat => "chat.completion.chunk",
        };
        let mut piece = self.head(object);
        piece["choices"] = json!([choice]);
        piece
    }

    fn head(&self, object: &str) -> Value {
        json!({"id": self.id, "object": object, "created": self.created, "model": self.served.name})
    }

    fn choice(&self, index: usize, reply: &Heard) -> Value {
        let mut choice = json!({"index": index, "logprobs": self.logprobs(&reply.tokens, 0)});
        match self.request.shape {
            Shape::Completion => choice["text"] = json!(reply.text),
            Shape::Chat => choice["message"] = json!({"role": "assistant", "content": reply.text}),
        }
        self.finish(&mut choice, &reply.tokens);
        if self.request.token_ids && self.request.shape == Shape::Completion {
            choice["prompt_token_ids"] = json!(*self.ask.prompts[index / self.ask.n]);
        }
        choice
    }

    /// How a reply ended, and its token ids.
    fn finish(&self, choice: &mut Value, tokens: &[Token]) {
        let (reason, stop) = match tokens.last().and_then(|token| token.end.as_ref()) {
            None => (None, None),
            Some(End::Turn) => (Some("stop"), None),
            Some(End::Stop(stop)) => (Some("stop"), Some(stop)),
            Some(End::Length) => (Some("length"), None),
        };
        choice["finish_reason"] = json!(reason);
        choice["stop_reason"] = json!(stop);
        if self.request.token_ids {
            choice["token_ids"] = tokens.iter().map(|token| json!(token.drawn.token)).collect();
        }
    }

    fn usage(&self, tokens: usize) -> Value {
        let prompts: usize = self.ask.prompts.iter().map(|prompt| prompt.len()).sum();
        json!({"prompt_tokens": prompts, "completion_tokens": tokens, "total_tokens": prompts + tokens})
    }

    /// The log-probabilities of tokens whose text begins at `offset`, where they were asked for.
    fn logprobs(&self, tokens: &[Token], offset: usize) -> Value {
        match (self.request.logprobs, self.request.shape) {
            (None, _) => Value::Null,
            (Some(_), Shape::Chat) => {
                let content = tokens.iter().map(|Token { drawn, .. }| {
                    let mut entry = self.entry(drawn.token, drawn.logprob);
                    entry["top_logprobs"] =
                        drawn.top.iter().map(|&(token, logprob)| self.entry(token, logprob)).collect();
                    entry
                });
                json!({"content": content.collect::<Vec<_>>()})
            }
            (Some(top), Shape::Completion) => self.columns(tokens, top, offset),
        }
    }

    fn entry(&self, token: u32, logprob: f32) -> Value {
        let text = self.tokenizer().decode(&[token]);
        // A token that is a part of a character has no text of its own.
        let bytes = (!text.contains('\u{fffd}')).then_some(text.as_bytes());
        json!({"token": self.name(token), "logprob": finite(logprob), "bytes": bytes})
    }

    fn columns(&self, tokens: &[Token], top: usize, mut offset: usize) -> Value {
        let (mut offsets, mut tops) = (Vec::new(), Vec::new());
        for token in tokens {
            offsets.push(offset);
            offset += token.text.chars().count();
            let named = token.drawn.top.iter().map(|&(token, logprob)| (self.name(token), finite(logprob)));
            tops.push(named.collect::<Map<_, _>>());
        }
        json!({
            "tokens": tokens.iter().map(|token| self.name(token.drawn.token)).collect::<Vec<_>>(),
            "token_logprobs": tokens.iter().map(|token| finite(token.drawn.logprob)).collect::<Vec<_>>(),
            "top_logprobs": (top > 0).then_some(tops),
            "text_offset": offsets,
        })
    }

    fn name(&self, token: u32) -> String {
        if self.request.names_are_ids {
            return format!("token_id:{token}");
        }
        let tokenizer = self.tokenizer();
        if token == tokenizer.end() { tokenizer.end_text().to_owned() } else { tokenizer.decode(&[token]) }
    }

    fn tokenizer(&self) -> &ChatTokenizer {
        self.served.student.tokenizer()
    }
}

/// JSON has no infinity; this is below every log-probability of a token that can be drawn.
fn finite(logprob: f32) -> Value {
    json!(f64::from(logprob).max(-9999.0))
}

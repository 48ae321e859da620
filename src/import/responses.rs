//! Items of the Responses API: messages, reasoning, function calls and their outputs.
//!
//! Guarantees that what stands between two outputs is one reply, so that several calls in one stay together.

use crate::trajectory::Dialect;

use super::RecordError;
use super::chat::{self, Manner};
use super::json::Json;
use super::steps::Steps;
use super::tools::Call;

/// The steps of `items`.
///
/// # Errors
/// When a call has no name, or an output none of them.
pub(super) fn steps(items: &[Json], manner: Manner) -> Result<Steps, RecordError> {
    let mut steps = Steps::default();
    let mut reply = Reply::default();
    for item in items {
        if item["type"].is("function_call_output") {
            reply.end(&mut steps, manner.dialect);
            let seen = chat::seen(&item["output"], manner);
            chat::claim(&mut steps, item["call_id"].text().as_deref(), seen)?;
        } else {
            reply.add(item).map_err(|reason| chat::fault(&steps, reason))?;
        }
    }
    reply.end(&mut steps, manner.dialect);
    Ok(steps)
}

/// Gives an output to its call.
pub(super) fn output(steps: &mut Steps, item: &Json, manner: Manner) {
    steps.see(item["call_id"].text().as_deref(), chat::seen(&item["output"], manner));
}

/// A reply that is being gathered.
#[derive(Default)]
pub(super) struct Reply {
    words: Vec<String>,
    calls: Vec<Call>,
}

impl Reply {
    /// Adds an item of the agent.
    pub(super) fn add(&mut self, item: &Json) -> Result<(), String> {
        if item["type"].is("function_call") {
            let id = item["call_id"].text().or_else(|| item["id"].text());
            self.calls.push(chat::function(item, id.map(Into::into))?);
        } else if item["type"].is("reasoning") {
            let texts = item["summary"].list().iter().chain(item["content"].list());
            self.words.extend(texts.filter_map(|part| part["text"].text()).map(Into::into));
        } else if !item["role"].is("user") && !item["role"].is("system") {
            self.words.push(chat::content(&item["content"]).into_owned());
        }
        Ok(())
    }

    /// Makes steps of what was gathered.
    pub(super) fn end(&mut self, steps: &mut Steps, dialect: Dialect) {
        let Self { words, calls } = std::mem::take(self);
        if !words.is_empty() || !calls.is_empty() {
            for words in &words {
                steps.say(words);
            }
            steps.reply("", calls, dialect);
        }
    }
}

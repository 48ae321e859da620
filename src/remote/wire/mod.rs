//! Questions and answers as servers write them.

pub(super) mod openai;
pub(super) mod sglang;

use serde_json::Value;

use super::budget::Usage;
use crate::policy::Sample;

/// A question that is ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    pub(super) path: &'static str,
    pub(super) body: Value,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answered {
    pub(super) samples: Vec<Sample>,
    /// Absent where the server does not count.
    pub(super) usage: Option<Usage>,
}

/// An answer that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It lacks what was asked for, and would again.
    Unusable(String),
    /// The server broke off.
    BrokenOff(String),
}

impl<T: Into<String>> From<T> for Fault {
    fn from(problem: T) -> Self {
        Self::Unusable(problem.into())
    }
}

/// Whether a reply was finished by who said it.
///
/// # Errors
/// When it ended in another way: then it is no reply of the policy's.
fn is_finished(reason: Option<&str>) -> Result<bool, Fault> {
    match reason {
        Some("stop") => Ok(true),
        // What a filter cut is as incomplete as what a limit cut.
        Some("length" | "content_filter") => Ok(false),
        Some(other @ ("abort" | "cancelled" | "canceled" | "error")) => {
            Err(Fault::BrokenOff(format!("a reply ended by `{other}`")))
        }
        other => Err(format!("a reply ended by `{}`", other.unwrap_or("nothing")).into()),
    }
}

/// Log-probabilities and tokens stand side by side, or one of them is absent.
fn check_lengths(sample: &Sample) -> Result<(), Fault> {
    let (tokens, logprobs) = (sample.tokens.len(), sample.logprobs.len());
    if tokens == 0 || logprobs == 0 || tokens == logprobs {
        return Ok(());
    }
    Err(format!("a reply has {tokens} tokens and {logprobs} log-probabilities").into())
}

/// A list of token ids.
fn ids(value: &Value) -> Option<Vec<u32>> {
    value.as_array()?.iter().map(|id| u32::try_from(id.as_u64()?).ok()).collect()
}

/// The message of an error, in the shapes that servers give it.
pub(super) fn error_message(body: &str) -> (String, Option<String>) {
    let value: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let error = if value["error"].is_object() { &value["error"] } else { &value };
    let message = [&error["message"], &value["detail"], &value["error"]].into_iter().find_map(Value::as_str);
    let message = message.map_or_else(|| body.trim().to_owned(), str::to_owned);
    let code = error["code"].as_str().map(str::to_owned);
    let shown: String = message.chars().filter(|letter| !letter.is_control()).take(500).collect();
    (shown, code)
}

/// Whether an error says that the prompt does not fit the model, which is no failure of the endpoint.
pub(super) fn is_too_long(status: u16, message: &str, code: Option<&str>) -> bool {
    let says = |words: &str| message.to_lowercase().contains(words);
    matches!(status, 400 | 413 | 422)
        && (code == Some("context_length_exceeded")
            || says("maximum context length")
            || says("longer than the model's context length")
            || says("exceeds the model's context"))
}

//! OpenAI's `/v1/completions` and `/v1/chat/completions`, with what a dialect adds.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Answered, Fault, Question, check_lengths, ids, is_finished};
use crate::policy::Sample;
use crate::remote::budget::Usage;
use crate::remote::dialect::Words;
use crate::remote::{Prompted, Query};

/// The question to a model.
pub(in crate::remote) fn question(words: Words, model: &str, query: &Query<'_>) -> Question {
    let sampling = query.sampling;
    let mut body = json!({
        "model": model,
        "n": query.n,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        // Signed, because many servers read 64 bits with a sign.
        "seed": query.seed.cast_signed(),
    });
    if let Some(key) = words.ids_key {
        body[key] = json!(true);
    }
    match query.prompt {
        Prompted::Tokens(tokens) => {
            body["prompt"] = json!(tokens);
            body["max_tokens"] = json!(sampling.max_tokens);
            if words.has_logprobs {
                // Those of the tokens that were drawn, and of no others.
                body["logprobs"] = json!(0);
            }
            Question { path: "/v1/completions", body }
        }
        Prompted::Messages(messages) => {
            body["messages"] = json!(messages);
            body[words.chat_limit] = json!(sampling.max_tokens);
            if words.has_logprobs {
                body["logprobs"] = json!(true);
            }
            Question { path: "/v1/chat/completions", body }
        }
    }
}

/// Reads the answer to it.
///
/// # Errors
/// What the answer lacks.
pub(in crate::remote) fn read(value: &Value, query: &Query<'_>) -> Result<Answered, Fault> {
    let mut choices: Vec<&Value> = value["choices"].as_array().ok_or("it has no `choices`")?.iter().collect();
    if choices.len() != query.n {
        return Err(format!("it has {} replies where {} were asked for", choices.len(), query.n).into());
    }
    choices.sort_by_key(|choice| choice["index"].as_u64());
    let samples = choices.into_iter().map(|choice| sample(value, choice, query)).collect::<Result<_, _>>()?;
    let count = |key: &str| value["usage"][key].as_u64();
    let usage = count("prompt_tokens").zip(count("completion_tokens"));
    Ok(Answered { samples, usage: usage.map(|(prompt, reply)| Usage { prompt, reply }) })
}

fn sample(value: &Value, choice: &Value, query: &Query<'_>) -> Result<Sample, Fault> {
    let (text, logprobs) = match query.prompt {
        Prompted::Tokens(_) => {
            let text = choice["text"].as_str().ok_or("a reply has no `text`")?.to_owned();
            (text, numbers(&choice["logprobs"]["token_logprobs"], |number| Some(number))?)
        }
        Prompted::Messages(_) => (
            said(&choice["message"])?,
            numbers(&choice["logprobs"]["content"], |entry| entry.get("logprob"))?,
        ),
    };
    let prompt = match query.prompt {
        Prompted::Tokens(tokens) => Arc::from(tokens),
        Prompted::Messages(_) => ids(&value["prompt_token_ids"]).unwrap_or_default().into(),
    };
    let tokens = ids(&choice["token_ids"]).unwrap_or_default();
    let finished = is_finished(choice["finish_reason"].as_str())?;
    let sample = Sample { prompt, tokens, logprobs, finished, ..Sample::from_text(text) };
    check_lengths(&sample)?;
    Ok(sample)
}

/// What an assistant said, with the thought that some servers set apart put back.
fn said(message: &Value) -> Result<String, Fault> {
    let content = match &message["content"] {
        Value::Null => "",
        content => content.as_str().ok_or("a message has content that is no text")?,
    };
    let thought = ["reasoning_content", "reasoning"].into_iter().find_map(|key| message[key].as_str());
    Ok(match thought {
        Some(thought) if !thought.is_empty() => format!("<think>{thought}</think>{content}"),
        _ => content.to_owned(),
    })
}

fn numbers(list: &Value, of: impl Fn(&Value) -> Option<&Value>) -> Result<Vec<f32>, Fault> {
    let Some(list) = list.as_array() else { return Ok(Vec::new()) };
    let number = |entry| of(entry).and_then(Value::as_f64).map(|number| number as f32);
    list.iter().map(number).collect::<Option<_>>().ok_or_else(|| "a log-probability is no number".into())
}

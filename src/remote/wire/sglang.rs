//! SGLang's `/generate`: token ids in, token ids and log-probabilities out, one reply a question.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Answered, Fault, Question, check_lengths, ids, is_finished};
use crate::policy::Sample;
use crate::remote::Query;
use crate::remote::budget::Usage;

/// The question for one reply to a prompt.
pub(in crate::remote) fn question(adapter: Option<&str>, prompt: &[u32], query: &Query<'_>) -> Question {
    let sampling = query.sampling;
    let mut body = json!({
        "input_ids": prompt,
        "return_logprob": true,
        "sampling_params": {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_new_tokens": sampling.max_tokens,
            "sampling_seed": query.seed,
        },
    });
    if let Some(adapter) = adapter {
        body["lora_path"] = json!(adapter);
    }
    Question { path: "/generate", body }
}

/// Reads the answer to it.
///
/// # Errors
/// What the answer lacks.
pub(in crate::remote) fn read(value: &Value, prompt: &[u32]) -> Result<Answered, Fault> {
    let about = &value["meta_info"];
    let pairs = about["output_token_logprobs"].as_array().ok_or("it has no `output_token_logprobs`")?;
    let pair = |pair: &Value| Some((u32::try_from(pair[1].as_u64()?).ok()?, pair[0].as_f64()? as f32));
    let pairs: Option<Vec<(u32, f32)>> = pairs.iter().map(pair).collect();
    let (tokens, logprobs): (Vec<u32>, Vec<f32>) =
        pairs.ok_or("an entry of `output_token_logprobs` is no [logprob, id]")?.into_iter().unzip();
    if ids(&value["output_ids"]).is_some_and(|ids| ids != tokens) {
        return Err("`output_ids` and `output_token_logprobs` name different tokens".into());
    }
    let text = value["text"].as_str().ok_or("it has no `text`")?.to_owned();
    let finished = is_finished(about["finish_reason"]["type"].as_str())?;
    let prompt = Arc::from(prompt);
    let sample = Sample { prompt, tokens, logprobs, finished, ..Sample::from_text(text) };
    check_lengths(&sample)?;
    let usage = about["prompt_tokens"].as_u64().zip(about["completion_tokens"].as_u64());
    let usage = usage.map(|(prompt, reply)| Usage { prompt, reply });
    Ok(Answered { samples: vec![sample], usage })
}

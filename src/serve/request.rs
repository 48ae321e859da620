//! Requests for replies: what they may say, and what it means to a student.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Body;
use super::refusal::Refusal;
use crate::chat::{Message, Role};
use crate::model::{SampleOptions, Student};

/// Replies to one prompt, at most.
const MAX_REPLIES: usize = 128;
/// Prompts of one request, at most.
const MAX_PROMPTS: usize = 64;
/// The most probable tokens that can be asked for, as OpenAI and vLLM have it.
const MAX_TOP: usize = 20;
/// Stops of a request, and bytes of one, at most.
const MAX_STOPS: (usize, usize) = (16, 256);
/// The reply of a completion that says nothing of its length, as OpenAI has it.
const DEFAULT_TOKENS: usize = 16;

/// A request for replies.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) model: Option<String>,
    pub(super) shape: Shape,
    /// Log-probabilities, with so many of the most probable tokens beside each.
    pub(super) logprobs: Option<usize>,
    pub(super) stream: Option<Stream>,
    /// Whether token ids are told, as vLLM tells them.
    pub(super) token_ids: bool,
    /// Whether tokens are named by their ids instead of their texts.
    pub(super) names_are_ids: bool,
    prompt: Prompted,
    n: usize,
    seed: u64,
    options: SampleOptions,
    max_tokens: Option<usize>,
    stops: Vec<String>,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Completion,
    Chat,
}

/// An answer in pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    /// Whether a last piece counts the tokens.
    pub(super) has_usage: bool,
}

/// What replies are asked for, in a student's tokens.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) prompts: Vec<Arc<[u32]>>,
    pub(super) n: usize,
    pub(super) seed: u64,
    pub(super) options: SampleOptions,
    pub(super) stops: Vec<String>,
    pub(super) top: usize,
}

#[derive(Debug)]
enum Prompted {
    Texts(Vec<String>),
    Tokens(Vec<Vec<u32>>),
    Messages(Vec<Message>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PromptBody {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    Lists(Vec<Vec<u32>>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StopBody {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageBody {
    role: String,
    content: ContentBody,
    /// Who of several speaks: nothing that a template here would show.
    #[serde(default, rename = "name")]
    _name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ContentBody {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Part {
    Text { text: String },
}

impl Request {
    /// Reads the body of `/v1/completions`.
    pub(super) fn completion(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut body = Body::new(bytes)?;
        let prompt = match body.need("prompt")? {
            PromptBody::Text(text) => Prompted::Texts(vec![text]),
            PromptBody::Texts(texts) => Prompted::Texts(texts),
            PromptBody::Tokens(tokens) => Prompted::Tokens(vec![tokens]),
            PromptBody::Lists(lists) => Prompted::Tokens(lists),
        };
        let logprobs: Option<usize> = body.take("logprobs")?;
        let max_tokens = Some(body.take("max_tokens")?.unwrap_or(DEFAULT_TOKENS));
        body.only("echo", &[json!(false)])?;
        body.only("best_of", &[json!(1)])?;
        body.only("suffix", &[json!("")])?;
        Self::shared(body, Shape::Completion, prompt, (logprobs, max_tokens))
    }

    /// Reads the body of `/v1/chat/completions`.
    pub(super) fn chat(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut body = Body::new(bytes)?;
        let messages: Vec<MessageBody> = body.need("messages")?;
        let messages = messages.into_iter().map(MessageBody::read).collect::<Result<Vec<_>, _>>()?;
        let wants: bool = body.take("logprobs")?.unwrap_or(false);
        let top: Option<usize> = body.take("top_logprobs")?;
        if top.is_some() && !wants {
            return Err(Refusal::key("top_logprobs", "`top_logprobs` needs `logprobs: true`"));
        }
        let older = body.take("max_tokens")?;
        let max_tokens = body.take("max_completion_tokens")?.or(older);
        for key in ["tools", "functions"] {
            body.only(key, &[json!([])])?;
        }
        body.only("tool_choice", &[json!("none"), json!("auto")])?;
        body.only("parallel_tool_calls", &[json!(true), json!(false)])?;
        body.only("modalities", &[json!(["text"])])?;
        let logprobs = wants.then(|| top.unwrap_or(0));
        Self::shared(body, Shape::Chat, Prompted::Messages(messages), (logprobs, max_tokens))
    }

    /// Reads what both say.
    fn shared(
        mut body: Body,
        shape: Shape,
        prompt: Prompted,
        (logprobs, max_tokens): (Option<usize>, Option<usize>),
    ) -> Result<Self, Refusal> {
        let options = SampleOptions {
            temperature: body.number("temperature", (0.0, 100.0), 1.0)?,
            top_p: top_p(&mut body)?,
            top_k: top_k(&mut body)?,
            min_p: body.number("min_p", (0.0, 1.0), 0.0)?,
            max_new_tokens: 0,
        };
        let stream = stream(&mut body)?;
        let request = Self {
            model: body.take("model")?,
            shape,
            logprobs,
            stream,
            token_ids: body.take("return_token_ids")?.unwrap_or(false),
            names_are_ids: body.take("return_tokens_as_token_ids")?.unwrap_or(false),
            prompt,
            n: body.count("n", (1, MAX_REPLIES), 1)?,
            seed: seed(&mut body)?,
            options,
            max_tokens,
            stops: stops(&mut body)?,
        };
        if logprobs.is_some_and(|top| top > MAX_TOP) {
            return Err(Refusal::key(
                "logprobs",
                format!("at most {MAX_TOP} of the most probable tokens are told"),
            ));
        }
        unsupported(&mut body)?;
        body.finish()?;
        Ok(request)
    }

    /// What it asks of a student.
    pub(super) fn ask(&self, student: &Student) -> Result<Ask, Refusal> {
        let prompts = self.prompts(student)?;
        if prompts.is_empty() || prompts.len() > MAX_PROMPTS {
            return Err(Refusal::key(
                "prompt",
                format!("a request has 1 to {MAX_PROMPTS} prompts, not {}", prompts.len()),
            ));
        }
        let limit = student.config().max_positions;
        let longest = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0);
        let wanted = self.max_tokens.unwrap_or(limit.saturating_sub(longest).max(1));
        if wanted == 0 {
            return Err(Refusal::key("max_tokens", "a reply has at least 1 token"));
        }
        for prompt in &prompts {
            if prompt.is_empty() {
                return Err(Refusal::key("prompt", "the prompt has no tokens"));
            }
            if prompt.len().saturating_add(wanted) > limit {
                return Err(Refusal::too_long(prompt.len(), wanted, limit));
            }
            student.network().check_tokens(prompt)?;
        }
        let options = SampleOptions { max_new_tokens: wanted, ..self.options };
        let (stops, top) = (self.stops.clone(), self.logprobs.unwrap_or(0));
        Ok(Ask { prompts, n: self.n, seed: self.seed, options, stops, top })
    }

    fn prompts(&self, student: &Student) -> Result<Vec<Arc<[u32]>>, Refusal> {
        let tokenizer = student.tokenizer();
        Ok(match &self.prompt {
            Prompted::Tokens(lists) => lists.iter().map(|tokens| tokens.as_slice().into()).collect(),
            Prompted::Messages(messages) => vec![tokenizer.encode_prompt(messages)?.into()],
            Prompted::Texts(texts) => texts
                .iter()
                .map(|text| tokenizer.encode_text(text).map(Arc::from))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl MessageBody {
    fn read(self) -> Result<Message, Refusal> {
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => {
                let message = format!("role `{other}` is not one of system, developer, user, assistant");
                return Err(Refusal::key("messages", message));
            }
        };
        let content = match self.content {
            ContentBody::Text(text) => text,
            ContentBody::Parts(parts) => parts.into_iter().map(|Part::Text { text }| text).collect(),
        };
        Ok(Message { role, content })
    }
}

fn top_p(body: &mut Body) -> Result<f64, Refusal> {
    match body.number("top_p", (0.0, 1.0), 1.0)? {
        0.0 => {
            Err(Refusal::key("top_p", "`top_p` is 0, not above 0; `top_k: 1` takes the most probable token"))
        }
        top_p => Ok(top_p),
    }
}

/// −1 and 0 both stand for all tokens.
fn top_k(body: &mut Body) -> Result<usize, Refusal> {
    let top_k: i64 = body.take("top_k")?.unwrap_or(0);
    match top_k {
        -1 => Ok(0),
        top_k => usize::try_from(top_k).map_err(|_| {
            Refusal::key("top_k", format!("`top_k` is {top_k}, not a count of tokens, or −1 or 0 for all"))
        }),
    }
}

/// A seed of 64 bits, with or without a sign; who names none gets another each time.
fn seed(body: &mut Body) -> Result<u64, Refusal> {
    let Some(value) = body.take::<Value>("seed")? else { return Ok(RandomState::new().hash_one("seed")) };
    let seed = value.as_u64().or(value.as_i64().map(i64::cast_unsigned));
    seed.ok_or_else(|| Refusal::key("seed", format!("`seed` is {value}, not an integer of 64 bits")))
}

fn stream(body: &mut Body) -> Result<Option<Stream>, Refusal> {
    let is_stream: bool = body.take("stream")?.unwrap_or(false);
    let options: Option<StreamOptions> = body.take("stream_options")?;
    match (is_stream, options) {
        (true, options) => {
            Ok(Some(Stream { has_usage: options.is_some_and(|options| options.include_usage) }))
        }
        (false, None) => Ok(None),
        (false, Some(_)) => Err(Refusal::key("stream_options", "`stream_options` needs `stream: true`")),
    }
}

fn stops(body: &mut Body) -> Result<Vec<String>, Refusal> {
    let stops = match body.take("stop")? {
        None => Vec::new(),
        Some(StopBody::One(stop)) => vec![stop],
        Some(StopBody::Several(stops)) => stops,
    };
    let (count, bytes) = MAX_STOPS;
    if stops.len() > count || stops.iter().any(|stop| stop.is_empty() || stop.len() > bytes) {
        return Err(Refusal::key("stop", format!("`stop` is up to {count} strings of 1 to {bytes} bytes")));
    }
    Ok(stops)
}

/// Keys that other servers act on: they may only ask for what happens anyway.
fn unsupported(body: &mut Body) -> Result<(), Refusal> {
    let zero = [json!(0), json!(0.0)];
    for key in ["frequency_penalty", "presence_penalty", "min_tokens"] {
        body.only(key, &zero)?;
    }
    for key in ["repetition_penalty", "length_penalty"] {
        body.only(key, &[json!(1), json!(1.0)])?;
    }
    for key in ["ignore_eos", "include_stop_str_in_output", "use_beam_search", "store"] {
        body.only(key, &[json!(false)])?;
    }
    for key in ["stop_token_ids", "bad_words"] {
        body.only(key, &[json!([])])?;
    }
    body.only("logit_bias", &[json!({})])?;
    body.only("response_format", &[json!({"type": "text"})])?;
    for key in ["user", "metadata", "request_id", "add_special_tokens"] {
        body.ignore(key);
    }
    Ok(())
}

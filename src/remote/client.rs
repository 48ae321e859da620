//! Calls: sent, tried again, counted.

use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::budget::{Budget, Usage};
use super::dialect::Dialect;
use super::endpoint::Endpoint;
use super::error::RemoteError;
use super::pauses::{pause, retry_after};
use super::wire::{Answered, Fault, Question, error_message, is_too_long, openai, sglang};
use super::{Prompted, Query};
use crate::policy::Sample;
use crate::seed;

/// Bytes of an answer.
const ANSWER: u64 = 256 << 20;
/// Tokens that a chat template may write around a message, and before the first.
const AROUND: (u64, u64) = (64, 512);

/// Connections that are kept for further calls.
const IDLE: usize = 64;
/// How long: uvicorn, below vLLM and SGLang, closes them after 5 seconds.
const IDLE_AGE: Duration = Duration::from_secs(4);

/// How calls are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it shows as `Authorization: Bearer KEY`.
    pub key: Option<Key>,
    /// What connecting may take.
    pub connecting: Duration,
    /// What a whole call may take.
    pub call: Duration,
    /// How often a call is tried.
    pub tries: usize,
}

impl Default for Options {
    fn default() -> Self {
        let (connecting, call) = (Duration::from_secs(10), Duration::from_secs(600));
        Self { key: None, connecting, call, tries: 6 }
    }
}

/// A key; no message shows it.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    /// A key.
    pub fn new(key: String) -> Self {
        Self(key)
    }

    /// Its bytes, to compare them with those of another.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Asks a model at an endpoint.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    endpoint: Endpoint,
    /// An adapter that was loaded there, which answers in the model's place.
    adapter: Option<String>,
    options: Options,
    budget: Budget,
}

/// A try that failed.
enum Failed {
    /// Another try would fail too.
    Finally(RemoteError),
    /// The prompt does not fit the model.
    TooLong,
    /// It may pass.
    Perhaps { problem: String, wait: Option<Duration> },
}

impl Client {
    /// A client of an endpoint; connects when it is asked.
    pub fn new(endpoint: Endpoint, options: Options, budget: Budget) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(options.connecting))
            .timeout_global(Some(options.call))
            .http_status_as_error(false)
            // A redirect would carry the key to where nobody sent it.
            .max_redirects(0)
            .max_idle_connections(IDLE)
            .max_idle_connections_per_host(IDLE)
            .max_idle_age(IDLE_AGE)
            .user_agent(concat!("apprentice/", env!("CARGO_PKG_VERSION")));
        // A proxy cannot reach what listens here.
        let config = if endpoint.is_loopback() { config.proxy(None) } else { config };
        Self { agent: config.build().into(), endpoint, adapter: None, options, budget }
    }

    /// Where it asks.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it may spend and has spent.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Lets an adapter answer that was loaded at the endpoint, or the model itself.
    pub(super) fn set_adapter(&mut self, adapter: Option<String>) {
        self.adapter = adapter;
    }

    /// How often a call is tried from now on.
    pub(super) fn set_tries(&mut self, tries: usize) {
        self.options.tries = tries;
    }

    /// Replies to a prompt, in the order of their seeds; none when it does not fit the model.
    ///
    /// # Errors
    /// When the endpoint gives no usable answer, or the budget does not bear one.
    pub fn replies(&self, query: &Query<'_>) -> Result<Vec<Sample>, RemoteError> {
        let dialect = self.endpoint.dialect;
        if let (Prompted::Tokens(_), false) = (query.prompt, dialect.words().takes_ids) {
            return Err(RemoteError::Cannot { dialect: dialect.name(), what: "take token ids" });
        }
        if !dialect.words().has_seeds {
            let one = |index| Query {
                n: 1,
                // Some mix it with positions in 64 bits with a sign.
                seed: seed::derive(query.seed, "sample", &[index as u64]) >> 33,
                ..*query
            };
            let replies: Result<Vec<_>, _> = (0..query.n).map(|index| self.ask(&one(index))).collect();
            return Ok(replies?.concat());
        }
        self.ask(query)
    }

    fn ask(&self, query: &Query<'_>) -> Result<Vec<Sample>, RemoteError> {
        match (self.endpoint.dialect, query.prompt) {
            (Dialect::Sglang, Prompted::Tokens(tokens)) => {
                let question = sglang::question(self.adapter.as_deref(), tokens, query);
                self.counted(query, &question, |value| sglang::read(value, tokens))
            }
            (dialect, _) => {
                let question = openai::question(dialect.words(), &self.model(), query);
                self.counted(query, &question, |value| openai::read(value, query))
            }
        }
    }

    fn model(&self) -> String {
        match (&self.adapter, self.endpoint.dialect) {
            (None, _) => self.endpoint.model.clone(),
            (Some(adapter), Dialect::Sglang) => format!("{}:{adapter}", self.endpoint.model),
            (Some(adapter), _) => adapter.clone(),
        }
    }

    /// A call within the budget.
    fn counted(
        &self,
        query: &Query<'_>,
        question: &Question,
        read: impl Fn(&Value) -> Result<Answered, Fault>,
    ) -> Result<Vec<Sample>, RemoteError> {
        let most = most(query);
        let hold = self.budget.hold(most)?;
        let Some(Answered { samples, usage }) = self.call(question, query.seed, read)? else {
            hold.settle(Usage::default());
            return Ok(Vec::new());
        };
        hold.settle(usage.unwrap_or(most));
        Ok(samples)
    }

    /// Sends until there is an answer; none when the prompt is too long.
    pub(super) fn call<T>(
        &self,
        question: &Question,
        seed: u64,
        read: impl Fn(&Value) -> Result<T, Fault>,
    ) -> Result<Option<T>, RemoteError> {
        let url = self.endpoint.at(question.path);
        let mut number = 1;
        loop {
            match self.try_once(&url, &question.body, &read) {
                Ok(answer) => return Ok(Some(answer)),
                Err(Failed::TooLong) => return Ok(None),
                Err(Failed::Finally(error)) => return Err(error),
                Err(Failed::Perhaps { problem, .. }) if number >= self.options.tries => {
                    return Err(RemoteError::Unreachable { url, tries: number, problem });
                }
                Err(Failed::Perhaps { problem, wait }) => {
                    let wait = wait.unwrap_or_else(|| pause(number, seed));
                    tracing::info!("{url}: {problem}; again in {wait:.1?}");
                    thread::sleep(wait);
                    number += 1;
                }
            }
        }
    }

    fn try_once<T>(
        &self,
        url: &str,
        body: &Value,
        read: impl Fn(&Value) -> Result<T, Fault>,
    ) -> Result<T, Failed> {
        let perhaps = |problem: String| Failed::Perhaps { problem, wait: None };
        let mut request = self.agent.post(url).content_type("application/json");
        if let Some(Key(key)) = &self.options.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let mut response = request.send(body.to_string()).map_err(|e| perhaps(e.to_string()))?;
        let status = response.status().as_u16();
        let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let wait = asked.and_then(|value| retry_after(value, SystemTime::now()));
        let bytes = response.body_mut().with_config().limit(ANSWER).read_to_vec();
        let text = String::from_utf8_lossy(&bytes.map_err(|e| perhaps(e.to_string()))?).into_owned();
        if !(200..300).contains(&status) {
            return Err(self.failure(url, (status, wait), &text));
        }
        // What is no JSON is a text: vLLM answers commands so.
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        read(&value).map_err(|fault| match fault {
            Fault::Unusable(problem) => {
                Failed::Finally(RemoteError::Unusable { url: url.to_owned(), problem })
            }
            Fault::BrokenOff(problem) => Failed::Perhaps { problem, wait },
        })
    }

    /// What an answer means that is not one.
    fn failure(&self, url: &str, (status, wait): (u16, Option<Duration>), text: &str) -> Failed {
        let (mut message, code) = error_message(text);
        if let Some(Key(key)) = &self.options.key {
            // Some servers say which key was wrong.
            message = message.replace(key.as_str(), "…");
        }
        if is_too_long(status, &message, code.as_deref()) {
            return Failed::TooLong;
        }
        let is_passing = matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504 | 529);
        // A quota that is used up is said with the status of too many requests.
        if is_passing && code.as_deref() != Some("insufficient_quota") {
            return Failed::Perhaps { problem: format!("status {status}: {message}"), wait };
        }
        Failed::Finally(RemoteError::Refused { url: url.to_owned(), status, message })
    }
}

/// What a call can take at most: a token has at least one byte.
fn most(query: &Query<'_>) -> Usage {
    let prompt = match query.prompt {
        Prompted::Tokens(tokens) => tokens.len() as u64,
        Prompted::Messages(messages) => {
            let (each, first) = AROUND;
            first + messages.iter().map(|message| message.content.len() as u64 + each).sum::<u64>()
        }
    };
    Usage { prompt, reply: (query.n * query.sampling.max_tokens) as u64 }
}

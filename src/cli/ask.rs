//! How models are asked: flags of every command in which a policy works, and policies behind endpoints.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::anyhow;

use super::failure::{Failure, FailureKind};
use crate::remote::budget::{Budget, Limits, Prices};
use crate::remote::{
    AdapterVersions, Client, Encode, Endpoint, Key, Options, RemoteError, RemotePolicy, Sampling,
    adapter_name,
};

/// Where the key of an endpoint is read from, and nowhere else, so that none is in a file, a log or a list of processes.
pub(super) const KEY: &str = "APPRENTICE_API_KEY";

/// Calls at an endpoint at once.
const CALLS: usize = 32;

/// How a model is asked
#[derive(Debug, clap::Args)]
pub(super) struct AskArgs {
    /// Divides the logits of a model's replies; 0 takes the most probable token
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub(super) temperature: f64,
    /// Tokens after which a model's reply is cut (default: 512)
    #[arg(long, value_name = "N")]
    pub(super) reply_tokens: Option<usize>,
    #[command(flatten)]
    endpoint: EndpointArgs,
}

/// How an endpoint is asked
#[derive(Debug, clap::Args)]
struct EndpointArgs {
    /// Tokens that may be read and written at the policy's endpoint
    #[arg(long, value_name = "N")]
    budget_tokens: Option<u64>,
    /// Money that may be spent at the policy's endpoint, counted by --price
    #[arg(long, value_name = "X", requires = "price")]
    budget_cost: Option<f64>,
    /// Price of a million tokens that the endpoint reads, and of a million that it writes
    #[arg(long, value_name = "READ,WRITTEN")]
    price: Option<Price>,
    /// Calls at the endpoint at once (default: 32)
    #[arg(long, value_name = "N")]
    calls: Option<usize>,
    /// Seconds that a call at the endpoint may take (default: 600)
    #[arg(long, value_name = "S")]
    call_seconds: Option<u64>,
    /// How often a call at the endpoint is tried before it counts as failed (default: 6)
    #[arg(long, value_name = "N")]
    call_tries: Option<usize>,
    /// Send the endpoint token ids, made with the tokenizer of this model directory
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Load this LoRA adapter at the endpoint, which sees the directory too, and let it answer
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy)]
struct Price(Prices);

impl FromStr for Price {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let price =
            |text: &str| text.trim().parse().ok().filter(|price: &f64| price.is_finite() && *price >= 0.0);
        let prices = text.split_once(',').and_then(|(read, written)| price(read).zip(price(written)));
        let (prompt, reply) = prices.ok_or("use READ,WRITTEN, such as 0.15,0.6")?;
        Ok(Self(Prices { prompt, reply }))
    }
}

impl AskArgs {
    /// The model of an endpoint as a policy.
    ///
    /// # Errors
    /// When a flag is wrong, or the endpoint cannot load the adapter.
    pub(super) fn remote(&self, endpoint: &Endpoint) -> Result<RemotePolicy, Failure> {
        self.check()?;
        let args = &self.endpoint;
        let prices = args.price.map(|Price(prices)| prices).unwrap_or_default();
        let budget = Budget::new(Limits { tokens: args.budget_tokens, cost: args.budget_cost, prices });
        let default = Options::default();
        let call = args.call_seconds.map_or(default.call, |seconds| Duration::from_secs(seconds.max(1)));
        let tries = args.call_tries.unwrap_or(default.tries).max(1);
        let options = Options { key: key()?, call, tries, ..default };
        let client = Client::new(endpoint.clone(), options, budget);
        let encode = args.tokenizer.as_deref().map(encoder).transpose()?;
        let default = Sampling::default();
        let max_tokens = self.reply_tokens.unwrap_or(default.max_tokens);
        let sampling = Sampling { temperature: self.temperature, max_tokens, ..default };
        let mut policy = RemotePolicy {
            client,
            sampling,
            encode,
            parallel: args.calls.unwrap_or(CALLS),
            adapters: AdapterVersions::default(),
        };
        if let Some(dir) = &args.adapter {
            let dir = fs_err::canonicalize(dir).map_err(Failure::input)?;
            let name = adapter_name("apprentice", 0, &dir).map_err(Failure::input)?;
            policy.adapters.swap(&mut policy.client, &name, &dir).map_err(failure)?;
        }
        Ok(policy)
    }

    /// Refuses flags that only endpoints know, for another policy.
    ///
    /// # Errors
    /// When one is there.
    pub(super) fn check_no_endpoint(&self, policy: &str) -> Result<(), Failure> {
        let args = &self.endpoint;
        let flags = [
            ("--budget-tokens", args.budget_tokens.is_some()),
            ("--budget-cost", args.budget_cost.is_some()),
            ("--price", args.price.is_some()),
            ("--calls", args.calls.is_some()),
            ("--call-seconds", args.call_seconds.is_some()),
            ("--call-tries", args.call_tries.is_some()),
            ("--tokenizer", args.tokenizer.is_some()),
            ("--adapter", args.adapter.is_some()),
        ];
        let Some((flag, _)) = flags.into_iter().find(|(_, is_there)| *is_there) else { return Ok(()) };
        Err(Failure::usage(anyhow!("`{flag}` says nothing to policy `{policy}`, which has no endpoint"))
            .with_hint("leave it out, or use a policy such as openai:URL#MODEL"))
    }

    /// Refuses numbers that cannot be.
    ///
    /// # Errors
    /// When one is there.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if !(0.0..=100.0).contains(&self.temperature) {
            return Err(Failure::usage(anyhow!("`--temperature {}` is not in 0..=100", self.temperature)));
        }
        if self.reply_tokens == Some(0) {
            return Err(Failure::usage(anyhow!("`--reply-tokens 0` leaves no room for a reply")));
        }
        Ok(())
    }
}

/// The key of the environment; an empty one is none.
pub(super) fn key() -> Result<Option<Key>, Failure> {
    match std::env::var(KEY) {
        Ok(key) if key.is_empty() => Ok(None),
        Ok(key) if key.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(Key::new(key))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        // The value is not shown.
        Ok(_) | Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::usage(anyhow!("`{KEY}` holds more than letters, digits and signs")))
        }
    }
}

/// Whose failure it is: an endpoint is a part of the host.
pub(super) fn failure(error: RemoteError) -> Failure {
    let kind = match error {
        RemoteError::Cannot { .. } => FailureKind::Usage,
        RemoteError::Prompt(_) => FailureKind::Input,
        _ => FailureKind::Host,
    };
    let hint = error.hint().map(str::to_owned);
    Failure { kind, source: error.into(), hint }
}

/// A failure of a policy; one of an endpoint knows what to do about it.
pub(super) fn policy_failure(error: anyhow::Error) -> Failure {
    match error.downcast::<RemoteError>() {
        Ok(error) => failure(error),
        Err(error) => Failure::host(error),
    }
}

#[cfg(feature = "train")]
fn encoder(dir: &Path) -> Result<Encode, Failure> {
    let tokenizer = crate::model::tokenizer::ChatTokenizer::load(dir).map_err(super::model::failure)?;
    Ok(Box::new(move |messages| Ok(tokenizer.encode_prompt(messages)?)))
}

#[cfg(not(feature = "train"))]
fn encoder(_dir: &Path) -> Result<Encode, Failure> {
    Err(Failure::usage(anyhow!("`--tokenizer` needs a program built with the feature `train`")))
}

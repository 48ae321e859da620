//! An endpoint as a policy: conversations in, replies out, many calls at once.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::adapter::AdapterVersions;
use super::budget::Usage;
use super::client::Client;
use super::error::RemoteError;
use super::{Prompted, Query, Sampling};
use crate::chat::Message;
use crate::policy::{Draw, Policy, Sample, SampleRequest};

/// Renders a conversation in the model's tokens.
pub type Encode = Box<dyn Fn(&[Message]) -> anyhow::Result<Vec<u32>> + Send + Sync>;

/// Answers with a model at an endpoint.
pub struct RemotePolicy {
    /// Who asks.
    pub client: Client,
    /// How replies are drawn.
    pub sampling: Sampling,
    /// Makes prompts of token ids; without it the server renders conversations.
    pub encode: Option<Encode>,
    /// Calls at once.
    pub parallel: usize,
    /// The adapter that answers, if one was loaded; unloaded in the end.
    pub adapters: AdapterVersions,
}

impl fmt::Debug for RemotePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemotePolicy").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Policy for RemotePolicy {
    fn name(&self) -> String {
        self.client.endpoint().to_string()
    }

    fn sample(&mut self, requests: &[SampleRequest]) -> anyhow::Result<Vec<Vec<Sample>>> {
        let next = AtomicUsize::new(0);
        let policy = &*self;
        let answered: Result<Vec<_>, RemoteError> = thread::scope(|scope| {
            let workers = self.parallel.clamp(1, requests.len().max(1));
            let workers: Vec<_> =
                (0..workers).map(|_| scope.spawn(|| policy.work(requests, &next))).collect();
            let join = |worker: thread::ScopedJoinHandle<'_, _>| {
                worker.join().expect("invariant: a worker that fails says so")
            };
            // All are waited for, so that no call is under way when this returns.
            workers.into_iter().map(join).collect::<Vec<_>>().into_iter().collect()
        });
        let mut replies = vec![Vec::new(); requests.len()];
        for (place, samples) in answered?.into_iter().flatten() {
            replies[place] = samples;
        }
        Ok(replies)
    }

    fn draw_like(&mut self, draw: Draw) {
        self.sampling.temperature = draw.temperature;
        self.sampling.max_tokens = draw.reply_tokens.unwrap_or(self.sampling.max_tokens);
    }

    fn account(&self) -> Option<String> {
        let budget = self.client.budget();
        let Usage { prompt, reply } = budget.spent();
        let tokens = format!("the endpoint read {prompt} tokens and wrote {reply}");
        Some(budget.cost().map_or(tokens.clone(), |cost| format!("{tokens}; that cost {cost:.4}")))
    }
}

impl Drop for RemotePolicy {
    fn drop(&mut self) {
        if let Err(error) = self.adapters.clear(&mut self.client) {
            tracing::warn!("an adapter stays loaded: {error}");
        }
    }
}

impl RemotePolicy {
    /// Takes requests that nobody has taken, until none is left or one fails.
    fn work(
        &self,
        requests: &[SampleRequest],
        next: &AtomicUsize,
    ) -> Result<Vec<(usize, Vec<Sample>)>, RemoteError> {
        let mut answered = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(request) = requests.get(place) else { return Ok(answered) };
            match self.ask(request) {
                Ok(samples) => answered.push((place, samples)),
                Err(error) => {
                    // What follows would be asked in vain.
                    next.store(requests.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    }

    fn ask(&self, request: &SampleRequest) -> Result<Vec<Sample>, RemoteError> {
        let tokens = self.encode.as_ref().map(|encode| encode(&request.messages)).transpose();
        let tokens = tokens.map_err(RemoteError::Prompt)?;
        let prompt = match &tokens {
            Some(tokens) => Prompted::Tokens(tokens),
            None => Prompted::Messages(&request.messages),
        };
        self.client.replies(&Query { prompt, n: request.n, seed: request.seed, sampling: self.sampling })
    }
}

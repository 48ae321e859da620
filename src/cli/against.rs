//! `apprentice model check --against`: whether a server computes what the trainer does.

use anyhow::anyhow;
use serde_json::{Value, json};

use super::ask;
use super::failure::Failure;
use crate::chat::{Message, Role};
use crate::model::Student;
use crate::model::tree::Packed;
use crate::policy::Sample;
use crate::remote::budget::Budget;
use crate::remote::mismatch::{Mismatch, Tolerance};
use crate::remote::{Client, Endpoint, Options, Prompted, Query, Sampling};

#[derive(Debug, clap::Args)]
pub(super) struct AgainstArgs {
    /// Compare the log-probabilities of a server's replies with this model's: vllm:URL#MODEL or sglang:URL#MODEL
    #[arg(long, value_name = "ENDPOINT")]
    pub(super) against: Option<Endpoint>,
    /// The mean difference of log-probabilities that is borne
    #[arg(long, value_name = "NATS", default_value_t = Tolerance::default().mean, requires = "against")]
    max_mean: f64,
    /// The k3 of server and trainer that is borne
    #[arg(long, value_name = "NATS", default_value_t = Tolerance::default().k3, requires = "against")]
    max_k3: f64,
}

/// What a server was found to do.
pub(super) struct Compared {
    pub(super) value: Value,
    pub(super) human: String,
    pub(super) is_close: bool,
}

/// What is asked: short, so that a check takes seconds, and of the kind that students are asked.
const PROBLEMS: [&str; 4] = [
    "The function `add` in `src/sum.py` returns the product of its arguments.",
    "fn main() { let x: u32 = -1; }\n\nIt does not compile. Say why.",
    "Tests fail with `IndexError: list index out of range` in `tail([])`.",
    "Write the numbers from 1 to 20, one a line.",
];
/// Replies to each.
const REPLIES: usize = 2;
/// Tokens of a reply.
const TOKENS: usize = 64;

impl AgainstArgs {
    /// Compares a student with the server, if one is named.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub(super) fn compare(&self, student: Option<&Student>) -> Result<Option<Compared>, Failure> {
        let Some(endpoint) = &self.against else { return Ok(None) };
        let Some(student) = student else {
            return Err(Failure::input(anyhow!(
                "`--against` needs the model's tokenizer beside its weights"
            )));
        };
        let options = Options { key: ask::key()?, ..Options::default() };
        let client = Client::new(endpoint.clone(), options, Budget::default());
        let (mut server, mut trainer) = (Vec::new(), Vec::new());
        for (number, problem) in PROBLEMS.into_iter().enumerate() {
            let messages = [Message { role: Role::User, content: problem.to_owned() }];
            let prompt = student.tokenizer().encode_prompt(&messages).map_err(super::model::failure)?;
            for sample in replies(&client, &prompt, number as u64)? {
                trainer.extend(logprobs_of(student, &prompt, &sample.tokens)?);
                server.extend(sample.logprobs);
            }
        }
        let Some(mismatch) = Mismatch::new(&server, &trainer) else {
            return Err(Failure::host(anyhow!("`{endpoint}` said nothing that could be compared"))
                .with_hint("let the model have room for a prompt and 64 tokens"));
        };
        Ok(Some(self.judge(endpoint, mismatch)))
    }

    fn judge(&self, endpoint: &Endpoint, mismatch: Mismatch) -> Compared {
        let verdict = mismatch.check(Tolerance { mean: self.max_mean, k3: self.max_k3 });
        let Mismatch { tokens, mean, max, k1, k3 } = mismatch;
        let human = format!(
            "{endpoint} differs over {tokens} tokens by {mean:.5} on average and {max:.5} at most; k1 {k1:.6}, k3 {k3:.6}\n{}",
            match &verdict {
                Ok(()) => "it computes what this model does".to_owned(),
                Err(far) => format!("it does not compute what this model does: {far}"),
            }
        );
        let value =
            json!({"endpoint": endpoint.to_string(), "mismatch": mismatch, "is_close": verdict.is_ok()});
        Compared { value, human, is_close: verdict.is_ok() }
    }
}

/// A server's replies to a prompt, with the log-probability of each token.
fn replies(client: &Client, prompt: &[u32], seed: u64) -> Result<Vec<Sample>, Failure> {
    // At temperature 1 it does not matter whether a server gives log-probabilities before or after the temperature.
    let sampling = Sampling { max_tokens: TOKENS, ..Sampling::default() };
    let query = Query { prompt: Prompted::Tokens(prompt), n: REPLIES, seed, sampling };
    let samples = client.replies(&query).map_err(ask::failure)?;
    let is_bare = |sample: &Sample| sample.tokens.is_empty() || sample.tokens.len() != sample.logprobs.len();
    if samples.iter().any(is_bare) {
        let error = anyhow!("`{}` gives no token ids with log-probabilities", client.endpoint());
        return Err(
            Failure::host(error).with_hint("use vLLM 0.10.2 or later, SGLang, or `apprentice model serve`")
        );
    }
    Ok(samples)
}

/// What the trainer's own pass gives for a reply.
fn logprobs_of(student: &Student, prompt: &[u32], reply: &[u32]) -> Result<Vec<f32>, Failure> {
    let sequence = [prompt, reply].concat();
    let packed = Packed::new([&sequence[..]]);
    let rows: Vec<u32> =
        (prompt.len() - 1..sequence.len() - 1).map(|position| packed.row(0, position)).collect();
    let logprobs = student.logprobs(&packed, &rows, reply, 1.0).map_err(super::model::failure)?;
    logprobs.to_vec1::<f32>().map_err(Failure::host)
}

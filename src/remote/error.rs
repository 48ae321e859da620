//! Endpoints that fail: never the fault of what a policy says.

/// A call that gave no reply.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Nobody answers, or not in time, or with errors of its own.
    #[error("`{url}` gave no answer in {tries} tries: {problem}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// How often.
        tries: usize,
        /// The last failure.
        problem: String,
    },
    /// It will not do what was asked, however often.
    #[error("`{url}` refused with status {status}: {message}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status of the answer.
        status: u16,
        /// What it said.
        message: String,
    },
    /// Its answer lacks what was asked for.
    #[error("`{url}` answered what cannot be used: {problem}")]
    Unusable {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A server of this kind cannot do it.
    #[error("a server of the kind `{dialect}` cannot {what}")]
    Cannot {
        /// The dialect's name.
        dialect: &'static str,
        /// What was to be done.
        what: &'static str,
    },
    /// The next call could cost more than is left.
    #[error("the budget does not bear another call: {spent}")]
    Budget {
        /// What was spent of what.
        spent: String,
    },
    /// The prompt could not be made.
    #[error("could not render a conversation: {0:#}")]
    Prompt(anyhow::Error),
}

impl RemoteError {
    /// What to do about it; starts with a verb.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable { .. } => "see that the server runs and that its address is right",
            Self::Refused { status: 401 | 403, .. } => "set APPRENTICE_API_KEY to the endpoint's key",
            Self::Refused { status: 404, .. } => {
                "name a model that the endpoint lists at /v1/models, after #"
            }
            Self::Refused { status: 400 | 422, .. } => {
                "name the server's kind before the URL: openai:, vllm:, sglang: or mistralrs:"
            }
            Self::Cannot { .. } => "use a server of vLLM's kind (vllm:), such as `apprentice model serve`",
            Self::Budget { .. } => "raise `--budget-tokens` or `--budget-cost`",
            Self::Refused { .. } | Self::Unusable { .. } | Self::Prompt(_) => return None,
        })
    }
}

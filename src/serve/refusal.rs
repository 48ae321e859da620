//! Requests that are refused, in the shape of OpenAI's errors.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::model::error::ModelError;

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// The key of the request that is wrong.
    pub(super) param: Option<String>,
    /// What clients branch on.
    pub(super) code: Option<&'static str>,
}

impl Refusal {
    /// A refusal of this status.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None }
    }

    /// A key of the request that is wrong.
    pub(super) fn key(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// A prompt that leaves no room for its reply.
    pub(super) fn too_long(prompt: usize, reply: usize, limit: usize) -> Self {
        let message = format!(
            "the prompt has {prompt} tokens and the reply may have {reply}, but the maximum context length is {limit} tokens"
        );
        Self { code: Some("context_length_exceeded"), ..Self::key("max_tokens", message) }
    }

    /// A name that is not served.
    pub(super) fn no_model(name: &str, served: &[String]) -> Self {
        let message = format!("there is no model `{name}`; served are: {}", served.join(", "));
        Self { status: StatusCode::NOT_FOUND, code: Some("model_not_found"), ..Self::key("model", message) }
    }

    /// What a client reads.
    pub(super) fn json(&self) -> Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}

impl From<ModelError> for Refusal {
    fn from(error: ModelError) -> Self {
        let status = match error {
            ModelError::Io(_) | ModelError::Tensor(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let message = format!("{:#}", anyhow::Error::new(error));
        Self::new(status, message)
    }
}

//! What can be wrong with a model's files, said with the file and what to do about it.

use std::path::PathBuf;

/// A model that cannot be read, made or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// `config.json` is not a model that is implemented here.
    #[error("`{}` does not describe a model that can be run here: {problem}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The key and what is wrong with it.
        problem: String,
    },
    /// The directory has no weights.
    #[error("`{}` has neither `model.safetensors` nor `model.safetensors.index.json` nor a GGUF file", dir.display())]
    NoWeights {
        /// The directory.
        dir: PathBuf,
    },
    /// Shards that the index names are not there.
    #[error("`{}` names shards that are missing: {}", index.display(), missing.join(", "))]
    MissingShards {
        /// The index.
        index: PathBuf,
        /// The missing files' names.
        missing: Vec<String>,
    },
    /// A file of weights is damaged, or does not hold what it should.
    #[error("`{}` is not the weights that `config.json` describes: {problem}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// The tensor and what is wrong with it.
        problem: String,
    },
    /// A file of the tokenizer is missing or unusable.
    #[error("`{}` is not a usable tokenizer: {problem}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The tokenizer has more tokens than the model has embeddings.
    #[error("the tokenizer has {tokens} tokens, but the model has only {vocab_size} embeddings")]
    Misfit {
        /// The tokenizer's tokens.
        tokens: usize,
        /// The model's embeddings.
        vocab_size: usize,
    },
    /// An adapter that does not fit.
    #[error("`{}` is no adapter of this model: {problem}", path.display())]
    Adapter {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A matrix that cannot be kept in blocks.
    #[error("`{name}` cannot be kept in blocks: {problem}")]
    Blocks {
        /// The parameter.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A token that the model has no embedding for.
    #[error("token {token} is not in the vocabulary of {vocab_size} tokens")]
    Token {
        /// The token.
        token: u32,
        /// The model's embeddings.
        vocab_size: usize,
    },
    /// A sequence that is longer than the model's positions.
    #[error("a sequence has {length} tokens, but the model has {limit} positions")]
    TooLong {
        /// Its tokens.
        length: usize,
        /// The model's `max_position_embeddings`.
        limit: usize,
    },
    /// A prompt without tokens.
    #[error("prompt {prompt} has no tokens")]
    EmptyPrompt {
        /// Which prompt, from 0.
        prompt: usize,
    },
    /// The tokenizer could not encode a text.
    #[error("could not encode a text of {bytes} bytes: {problem}")]
    Encode {
        /// The text's length.
        bytes: usize,
        /// What the tokenizer said.
        problem: String,
    },
    /// The chat template could not render a conversation.
    #[error("the chat template could not render a conversation of {messages} messages")]
    Template {
        /// Messages of the conversation.
        messages: usize,
        /// What the template engine said.
        #[source]
        source: minijinja::Error,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The tensor library failed.
    #[error("a tensor operation failed")]
    Tensor(#[from] candle_core::Error),
}

impl ModelError {
    /// What to do about it; starts with a verb.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Config { .. } => "use a Qwen2 or Qwen3 model in Hugging Face layout",
            Self::NoWeights { .. } => {
                "name the directory that holds config.json and the weights; convert .bin weights to safetensors first"
            }
            Self::MissingShards { .. } => "download the missing shards into the same directory",
            Self::Weights { .. } => {
                "download the file again, or take config.json and weights from the same model"
            }
            Self::Tokenizer { .. } => {
                "put the model's tokenizer.json and tokenizer_config.json beside its weights"
            }
            Self::Misfit { .. } => "take the tokenizer from the same model as the weights",
            Self::Adapter { .. } => "take a LoRA adapter that was trained on this very model",
            Self::Blocks { .. } => {
                "use blocks that divide its inputs: q8_0 and q4_0 have 32 values, q4_k has 256"
            }
            Self::Token { .. } => "encode the text with this model's own tokenizer",
            Self::TooLong { .. } => "shorten the context, or raise `max_position_embeddings`",
            Self::EmptyPrompt { .. } => "say something before asking for a reply",
            Self::Template { .. } => "replace `chat_template` in tokenizer_config.json",
            Self::Io(e) if e.kind() == std::io::ErrorKind::NotFound => {
                "name a model directory in Hugging Face layout: config.json, tokenizer.json and the weights"
            }
            Self::Encode { .. } | Self::Io(_) | Self::Tensor(_) => return None,
        })
    }
}

//! What each kind of server understands beyond OpenAI's words.
//!
//! Read in vLLM's `entrypoints/openai/completion/protocol.py` at 002032ee, SGLang's `srt/managers/io_struct.py` and
//! `srt/sampling/sampling_params.py`, mistral.rs 0.9.2.

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's own words and no others: texts in, texts out.
    OpenAi,
    /// vLLM, and `apprentice model serve`.
    Vllm,
    /// SGLang.
    Sglang,
    /// mistral.rs.
    MistralRs,
}

/// The paths that load and unload adapters.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdapterPaths {
    pub(super) load: &'static str,
    pub(super) unload: &'static str,
}

/// What a dialect can say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    name: &'static str,
    /// Whether a prompt may be token ids.
    pub(super) takes_ids: bool,
    /// The key that asks a completion for token ids, which come as `token_ids` and `prompt_token_ids`.
    pub(super) ids_key: Option<&'static str>,
    /// Whether each of several replies to a question has a seed of its own; else they are asked for one by one.
    pub(super) has_seeds: bool,
    /// Whether log-probabilities are asked for: some of OpenAI's models refuse the question.
    pub(super) has_logprobs: bool,
    /// What bounds the reply of a chat; OpenAI's newer models refuse the older key.
    pub(super) chat_limit: &'static str,
    pub(super) adapters: Option<AdapterPaths>,
}

const OPENAI: Words = Words {
    name: "openai",
    takes_ids: false,
    ids_key: None,
    has_seeds: true,
    has_logprobs: false,
    chat_limit: "max_completion_tokens",
    adapters: None,
};

const V1_ADAPTERS: AdapterPaths =
    AdapterPaths { load: "/v1/load_lora_adapter", unload: "/v1/unload_lora_adapter" };

const VLLM: Words = Words {
    name: "vllm",
    takes_ids: true,
    ids_key: Some("return_token_ids"),
    has_seeds: true,
    has_logprobs: true,
    chat_limit: "max_tokens",
    adapters: Some(V1_ADAPTERS),
};

/// Token ids go in and come out by `/generate`; its chat has texts only.
const SGLANG: Words = Words {
    name: "sglang",
    ids_key: None,
    has_seeds: false,
    adapters: Some(AdapterPaths { load: "/load_lora_adapter", unload: "/unload_lora_adapter" }),
    ..VLLM
};

/// Its answers name tokens by their texts.
const MISTRAL_RS: Words = Words { name: "mistralrs", takes_ids: false, ids_key: None, ..VLLM };

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Vllm, Self::Sglang, Self::MistralRs];

    /// The dialect of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name)
    }

    /// Its name in policies.
    pub fn name(self) -> &'static str {
        self.words().name
    }

    pub(super) fn words(self) -> Words {
        match self {
            Self::OpenAi => OPENAI,
            Self::Vllm => VLLM,
            Self::Sglang => SGLANG,
            Self::MistralRs => MISTRAL_RS,
        }
    }
}

//! The shape of a Qwen2 or Qwen3 model, as its `config.json` states it.
//!
//! Guarantees that an architecture this crate does not implement is refused by name, never run as
//! something near it. Keeps the file's other keys, so that a saved model carries them on.

use std::path::Path;

use serde_json::Value;

use super::error::ModelError;
use super::rotary::Yarn;

/// What a layer does beyond Qwen2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Biases on the query, key and value projections.
    Qwen2,
    /// No biases; queries and keys are normalised per head.
    Qwen3,
}

/// The shape of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct QwenConfig {
    /// Which layers it has.
    pub architecture: Architecture,
    /// Rows of the embedding, at least the tokenizer's tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated layer.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Added to the mean square before the root.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How rotary positions stretch over longer contexts, if they do.
    pub yarn: Option<Yarn>,
    /// Longest sequence.
    pub max_positions: usize,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// The whole file.
    raw: Value,
}

impl QwenConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// When the file is missing, is not JSON, or states a model that is not implemented here.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let text = fs_err::read_to_string(path)?;
        let raw: Value = serde_json::from_str(&text)
            .map_err(|e| ModelError::Config { path: path.to_owned(), problem: e.to_string() })?;
        Self::from_json(raw).map_err(|problem| ModelError::Config { path: path.to_owned(), problem })
    }

    /// Reads the value of a `config.json`.
    ///
    /// # Errors
    /// A sentence that names the key and what is wrong with it.
    pub fn from_json(raw: Value) -> Result<Self, String> {
        let fields = Fields(&raw);
        let architecture = fields.architecture()?;
        let heads = fields.count("num_attention_heads")?;
        let hidden_size = fields.count("hidden_size")?;
        let positions = fields.count_or("max_position_embeddings", 32_768)?;
        let yarn = fields.yarn(positions)?;
        let config = Self {
            architecture,
            vocab_size: fields.count("vocab_size")?,
            hidden_size,
            intermediate_size: fields.count("intermediate_size")?,
            layers: fields.count("num_hidden_layers")?,
            heads,
            kv_heads: fields.count_or("num_key_value_heads", heads)?,
            head_dim: fields.count_or("head_dim", hidden_size / heads)?,
            rms_norm_eps: raw["rms_norm_eps"].as_f64().unwrap_or(1e-6),
            rope_theta: fields.rope_theta(),
            yarn,
            max_positions: yarn.map_or(positions, |yarn| yarn.positions().max(positions)),
            tied: raw["tie_word_embeddings"].as_bool().unwrap_or(false),
            raw: Value::Null,
        };
        config.check()?;
        Ok(Self { raw, ..config })
    }

    /// The file's value.
    pub fn to_json(&self) -> &Value {
        &self.raw
    }

    /// The same shape with another number of embedding rows.
    #[must_use]
    pub fn with_vocab_size(mut self, vocab_size: usize) -> Self {
        self.vocab_size = vocab_size;
        self.raw["vocab_size"] = vocab_size.into();
        self
    }

    /// The same shape with other special tokens, as a saved model states them.
    #[must_use]
    pub fn with_special_tokens(mut self, end: u32, pad: u32) -> Self {
        self.raw["eos_token_id"] = end.into();
        self.raw["pad_token_id"] = pad.into();
        self
    }

    /// Width of all query heads.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Query heads that share a key head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Every parameter's name, as Hugging Face writes it, and its shape.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut shapes = vec![(EMBEDDING.to_owned(), vec![self.vocab_size, self.hidden_size])];
        for layer in 0..self.layers {
            for (name, shape) in self.layer_shapes() {
                shapes.push((format!("model.layers.{layer}.{name}"), shape));
            }
        }
        shapes.push((FINAL_NORM.to_owned(), vec![self.hidden_size]));
        if !self.tied {
            shapes.push((HEAD.to_owned(), vec![self.vocab_size, self.hidden_size]));
        }
        shapes
    }

    fn layer_shapes(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (hidden, gated) = (self.hidden_size, self.intermediate_size);
        let (query, kv) = (self.query_width(), self.kv_width());
        let mut shapes = vec![
            ("input_layernorm.weight", vec![hidden]),
            ("self_attn.q_proj.weight", vec![query, hidden]),
            ("self_attn.k_proj.weight", vec![kv, hidden]),
            ("self_attn.v_proj.weight", vec![kv, hidden]),
            ("self_attn.o_proj.weight", vec![hidden, query]),
            ("post_attention_layernorm.weight", vec![hidden]),
            ("mlp.gate_proj.weight", vec![gated, hidden]),
            ("mlp.up_proj.weight", vec![gated, hidden]),
            ("mlp.down_proj.weight", vec![hidden, gated]),
        ];
        shapes.extend(match self.architecture {
            Architecture::Qwen2 => vec![
                ("self_attn.q_proj.bias", vec![query]),
                ("self_attn.k_proj.bias", vec![kv]),
                ("self_attn.v_proj.bias", vec![kv]),
            ],
            Architecture::Qwen3 => vec![
                ("self_attn.q_norm.weight", vec![self.head_dim]),
                ("self_attn.k_norm.weight", vec![self.head_dim]),
            ],
        });
        shapes
    }

    fn check(&self) -> Result<(), String> {
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!(
                "`num_attention_heads` ({}) is not a multiple of `num_key_value_heads` ({})",
                self.heads, self.kv_heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) || self.head_dim == 0 {
            return Err(format!("a head has width {}, but rotary positions need an even one", self.head_dim));
        }
        Ok(())
    }
}

/// The embedding's name.
pub(crate) const EMBEDDING: &str = "model.embed_tokens.weight";
/// The last norm's name.
pub(crate) const FINAL_NORM: &str = "model.norm.weight";
/// The head's name, where it is not the embedding.
pub(crate) const HEAD: &str = "lm_head.weight";

struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn architecture(&self) -> Result<Architecture, String> {
        let config = self.0;
        let name = config["model_type"].as_str().unwrap_or("nothing");
        let architecture = match name {
            "qwen2" => Architecture::Qwen2,
            "qwen3" => Architecture::Qwen3,
            other => {
                return Err(format!("`model_type` is `{other}`; implemented are `qwen2` and `qwen3`"));
            }
        };
        if config["use_sliding_window"].as_bool() == Some(true) {
            return Err("`use_sliding_window` is true; only full attention is implemented".to_owned());
        }
        if architecture == Architecture::Qwen3 && config["attention_bias"].as_bool() == Some(true) {
            return Err("`attention_bias` is true; qwen3 is implemented without biases".to_owned());
        }
        match config["hidden_act"].as_str() {
            None | Some("silu") => Ok(architecture),
            Some(other) => Err(format!("`hidden_act` is `{other}`; implemented is `silu`")),
        }
    }

    /// transformers 5 writes `rope_parameters.rope_theta`, earlier versions `rope_theta` and `rope_scaling`.
    fn rope_theta(&self) -> f64 {
        let parameters = &self.0["rope_parameters"];
        parameters["rope_theta"].as_f64().or(self.0["rope_theta"].as_f64()).unwrap_or(10_000.0)
    }

    fn yarn(&self, positions: usize) -> Result<Option<Yarn>, String> {
        for scaling in [&self.0["rope_parameters"], &self.0["rope_scaling"]] {
            match scaling["rope_type"].as_str().or(scaling["type"].as_str()).unwrap_or("default") {
                "default" => {}
                "yarn" => return Yarn::from_json(scaling, positions).map(Some),
                other => {
                    return Err(format!(
                        "rotary scaling `{other}` is not implemented, only `default` and `yarn`"
                    ));
                }
            }
        }
        Ok(None)
    }

    fn count(&self, key: &str) -> Result<usize, String> {
        match self.0[key].as_u64() {
            Some(count) if count > 0 => Ok(count as usize),
            _ => Err(format!("`{key}` must be a positive integer, found {}", self.0[key])),
        }
    }

    fn count_or(&self, key: &str, default: usize) -> Result<usize, String> {
        if self.0[key].is_null() { Ok(default) } else { self.count(key) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "these values are exact")]

    use serde_json::json;

    use super::*;

    fn tiny() -> Value {
        json!({"model_type": "qwen2", "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true})
    }

    #[test]
    fn both_places_of_rope_theta_are_read() {
        let mut old = tiny();
        old["rope_theta"] = 5.0.into();
        assert_eq!(QwenConfig::from_json(old).unwrap().rope_theta, 5.0);
        let mut new = tiny();
        new["rope_parameters"] = json!({"rope_theta": 7.0, "rope_type": "default"});
        assert_eq!(QwenConfig::from_json(new).unwrap().rope_theta, 7.0);
    }

    #[test]
    fn unimplemented_models_are_refused_by_name() {
        let check = |key: &str, value: Value, expected: &str| {
            let mut raw = tiny();
            raw[key] = value;
            let problem = QwenConfig::from_json(raw).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        };
        check("model_type", json!("llama"), "`llama`");
        check("rope_parameters", json!({"rope_type": "yarn"}), "`factor`");
        check("rope_scaling", json!({"type": "yarn", "factor": 0.5}), "`factor`");
        check("rope_scaling", json!({"type": "yarn", "factor": 4, "short_factor": []}), "`short_factor`");
        check("rope_scaling", json!({"type": "longrope"}), "`longrope`");
        check("use_sliding_window", json!(true), "sliding");
        check("hidden_act", json!("gelu"), "`gelu`");
        check("num_key_value_heads", json!(3), "multiple");
        check("vocab_size", json!(0), "`vocab_size`");
    }

    #[test]
    fn a_tied_model_has_no_head_of_its_own() {
        let names: Vec<String> =
            QwenConfig::from_json(tiny()).unwrap().shapes().into_iter().map(|(name, _)| name).collect();
        assert!(!names.contains(&HEAD.to_owned()));
        assert_eq!(names.len(), 2 + 2 * 12);
    }
}

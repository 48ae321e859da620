//! How much memory passes take beside the parameters, from the shape of the work alone.
//!
//! Follows the passes on a CPU (`fused` and `decode`) buffer by buffer; whoever changes what they keep changes this. Says
//! nothing of the passes on a GPU, whose tensor library keeps what it likes.

use super::Prompt;
use super::config::{Architecture, QwenConfig};
use super::fused::{self, attention, head};
use super::lora::Tuning;
use super::network::Activations;
use super::precision::Precision;

/// Bytes of a value.
const VALUE: usize = 4;

/// What of a student is trained, and how the rest is kept.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// What is trained.
    pub tuning: &'a Tuning,
    /// How weights are kept.
    pub precision: Precision,
    /// What the forward pass keeps.
    pub activations: Activations,
}

impl Form<'_> {
    /// Values that training changes.
    pub fn trained(&self, config: &QwenConfig) -> u64 {
        match self.tuning {
            Tuning::Full => values(&config.shapes()) as u64,
            Tuning::Lora(lora) => values(&lora.shapes(config)) as u64,
        }
    }

    /// Bytes of the weights, adapters included.
    pub fn weight_bytes(&self, config: &QwenConfig) -> u64 {
        let of = |(name, shape): &(String, Vec<usize>)| self.precision.bytes(name, shape.iter().product());
        let base: u64 = config.shapes().iter().map(of).sum();
        match self.tuning {
            Tuning::Full => base,
            Tuning::Lora(_) => base + VALUE as u64 * self.trained(config),
        }
    }

    /// Bytes of the optimizer: two moments a value, and the value itself where it is kept as less than f32.
    pub fn optimizer_bytes(&self, config: &QwenConfig) -> u64 {
        let has_master = matches!(self.tuning, Tuning::Full) && self.precision != Precision::F32;
        (2 + u64::from(has_master)) * VALUE as u64 * self.trained(config)
    }

    /// Bytes of the f32 values of the layer that runs, where they are made for it.
    fn opened_bytes(&self, config: &QwenConfig) -> u64 {
        let is_open = matches!(self.tuning, Tuning::Full) && self.precision == Precision::F32;
        let layer = values(&config.shapes()).saturating_sub(config.vocab_size * config.hidden_size)
            / config.layers.max(1);
        if is_open { 0 } else { bytes(layer) }
    }
}

/// Values of the parameters.
pub fn parameters(config: &QwenConfig) -> u64 {
    values(&config.shapes()) as u64
}

fn values(shapes: &[(String, Vec<usize>)]) -> usize {
    shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// Bytes that a pass forward and back over `rows` tokens holds at most, of which the head is asked about `predictions`;
/// the gradients of the parameters come on top.
pub fn update_bytes(config: &QwenConfig, form: &Form<'_>, rows: usize, predictions: usize) -> u64 {
    let (hidden, gated) = (config.hidden_size, config.intermediate_size);
    let keeps = form.activations == Activations::Kept && fused::keeps_layers(config, rows);
    let kept_layers = if keeps { config.layers } else { 1 };
    let tape = (config.layers + 1) * rows * hidden + kept_layers * layer_values(config, rows);
    let keys_values = rows * 2 * config.kv_width();
    let partials = attention::partials(keys_values) * keys_values;
    let layer = rows * (4 * hidden + 3 * gated + config.query_width() + row_width(config)) + partials;
    // The normalised rows, their gradient, and a part of it for each part of the vocabulary.
    let head = (head::PARTS + 2) * predictions * hidden + rows * hidden;
    bytes(tape + layer.max(head)) + form.opened_bytes(config)
}

/// Bytes that sampling holds at most: `prompt_rows` tokens of prompts after sharing, then `replies` of at most
/// `reply_tokens` each.
pub fn sampling_bytes(config: &QwenConfig, prompt_rows: usize, replies: usize, reply_tokens: usize) -> u64 {
    // Every matrix is laid out again for few rows.
    let panels = VALUE as u64 * parameters(config);
    let keys_values = config.layers * 2 * config.kv_width();
    let prefill = prompt_rows * (config.layers * row_width(config) + 3 * config.hidden_size);
    let live = replies.min(rayon::current_num_threads() * Prompt::MOST_TOGETHER);
    let decoding = live * (reply_tokens * keys_values + config.vocab_size + 4 * config.intermediate_size);
    panels + bytes(prompt_rows * keys_values + prefill.max(decoding))
}

/// What the forward pass of a layer leaves for its backward pass.
fn layer_values(config: &QwenConfig, rows: usize) -> usize {
    let raw = match config.architecture {
        Architecture::Qwen2 => 0,
        Architecture::Qwen3 => config.query_width() + config.kv_width(),
    };
    let attention = row_width(config) + raw + config.query_width() + config.heads;
    rows * (attention + config.hidden_size + 2 * config.intermediate_size)
}

/// Queries, keys and values of a token.
fn row_width(config: &QwenConfig) -> usize {
    config.query_width() + 2 * config.kv_width()
}

fn bytes(values: usize) -> u64 {
    (values * VALUE) as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> QwenConfig {
        let raw = json!({
            "model_type": "qwen2", "vocab_size": 1000, "hidden_size": 64, "intermediate_size": 128,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true
        });
        QwenConfig::from_json(raw).unwrap()
    }

    const FULL: Form<'static> =
        Form { tuning: &Tuning::Full, precision: Precision::F32, activations: Activations::Kept };

    #[test]
    fn parameters_are_counted_once_and_more_tokens_take_more() {
        // The embedding, two layers of 64·(2·64 + 2·32 + 3·128) with biases and norms, the last norm.
        let layer = 64 * (2 * 64 + 2 * 32 + 3 * 128) + (64 + 2 * 32) + 2 * 64;
        assert_eq!(parameters(&config()), 64_000 + 2 * layer + 64);
        assert_eq!(FULL.weight_bytes(&config()), 4 * FULL.trained(&config()));
        let of = |rows| update_bytes(&config(), &FULL, rows, rows / 2);
        assert!(of(100) < of(1000), "{} {}", of(100), of(1000));
        assert!(sampling_bytes(&config(), 1, 1, 10) < sampling_bytes(&config(), 1, 8, 10));
    }

    #[test]
    fn adapters_are_all_that_is_trained_and_blocks_are_what_they_weigh() {
        let tuning = Tuning::Lora(crate::model::lora::LoraConfig { rank: 4, ..Default::default() });
        let form = Form { tuning: &tuning, precision: Precision::Q8_0, ..FULL };
        // Of each layer: 64 in; out 64, 32, 32, 64 (64 in), 128, 128, and 64 with 128 in.
        let trained = 2 * 4 * ((64 + 64) + 2 * (64 + 32) + (64 + 64) + 3 * (64 + 128));
        assert_eq!(form.trained(&config()), trained);
        assert_eq!(form.optimizer_bytes(&config()), 8 * trained);
        let matrices = 2 * 64 * (2 * 64 + 2 * 32 + 3 * 128);
        let rest = parameters(&config()) - matrices;
        assert_eq!(form.weight_bytes(&config()), matrices * 34 / 32 + 2 * rest + 4 * trained);
    }

    #[test]
    fn layers_that_run_again_take_less_than_layers_that_are_kept() {
        // Beyond the bound on kept values, twice the layers keep no more than their inputs.
        let mut deep = config();
        deep.layers = 512;
        let rows = 16_384;
        assert!(!fused::keeps_layers(&deep, rows));
        let kept = 512 * layer_values(&deep, rows) * VALUE;
        assert!(update_bytes(&deep, &FULL, rows, 1) < kept as u64);
        let again = Form { activations: Activations::Recomputed, ..FULL };
        assert!(update_bytes(&config(), &again, 100, 1) < update_bytes(&config(), &FULL, 100, 1));
    }
}

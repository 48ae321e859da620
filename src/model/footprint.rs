//! How much memory passes take beside the parameters, from the shape of the work alone.
//!
//! Follows the passes on a CPU (`fused` and `decode`) buffer by buffer; whoever changes what they keep changes this. Says
//! nothing of the passes on a GPU, whose tensor library keeps what it likes.

use super::Prompt;
use super::config::{Architecture, QwenConfig};
use super::fused::{self, attention, head};

/// Bytes of a value.
const VALUE: usize = 4;

/// Bytes of the parameters, in f32.
pub fn parameter_bytes(config: &QwenConfig) -> u64 {
    let values: usize = config.shapes().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    bytes(values)
}

/// Bytes that a pass forward and back over `rows` tokens holds at most, of which the head is asked about `predictions`;
/// the gradients of the parameters come on top.
pub fn update_bytes(config: &QwenConfig, rows: usize, predictions: usize) -> u64 {
    let (hidden, gated) = (config.hidden_size, config.intermediate_size);
    let kept_layers = if fused::keeps_layers(config, rows) { config.layers } else { 1 };
    let tape = (config.layers + 1) * rows * hidden + kept_layers * layer_values(config, rows);
    let keys_values = rows * 2 * config.kv_width();
    let partials = attention::partials(keys_values) * keys_values;
    let layer = rows * (4 * hidden + 3 * gated + config.query_width() + row_width(config)) + partials;
    // The normalised rows, their gradient, and a part of it for each part of the vocabulary.
    let head = (head::PARTS + 2) * predictions * hidden + rows * hidden;
    bytes(tape + layer.max(head))
}

/// Bytes that sampling holds at most: `prompt_rows` tokens of prompts after sharing, then `replies` of at most
/// `reply_tokens` each.
pub fn sampling_bytes(config: &QwenConfig, prompt_rows: usize, replies: usize, reply_tokens: usize) -> u64 {
    // Every matrix is laid out again for few rows.
    let panels = parameter_bytes(config);
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

    #[test]
    fn parameters_are_counted_once_and_more_tokens_take_more() {
        // The embedding, two layers of 64·(2·64 + 2·32 + 3·128) with biases and norms, the last norm.
        let layer = 64 * (2 * 64 + 2 * 32 + 3 * 128) + (64 + 2 * 32) + 2 * 64;
        assert_eq!(parameter_bytes(&config()), 4 * (64_000 + 2 * layer + 64));
        let (few, many) = (update_bytes(&config(), 100, 50), update_bytes(&config(), 1000, 500));
        assert!(few < many, "{few} {many}");
        assert!(sampling_bytes(&config(), 100, 1, 10) < sampling_bytes(&config(), 100, 8, 10));
    }

    #[test]
    fn layers_that_run_again_take_less_than_layers_that_are_kept() {
        // Beyond the bound on kept values, twice the layers keep no more than their inputs.
        let mut deep = config();
        deep.layers = 512;
        let rows = 16_384;
        assert!(!fused::keeps_layers(&deep, rows));
        let kept = 512 * layer_values(&deep, rows) * VALUE;
        assert!(update_bytes(&deep, rows, 1) < kept as u64);
    }
}

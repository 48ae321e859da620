//! Floating-point operations: what a training needs, and what a device can do.
//!
//! Operations are those that the gradient requires, after sharing: a token that several sequences share counts once, and
//! layers that run forward again to save memory count once. Attention is causal: a token costs what it attends to.

use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use super::update::Tokens;
use crate::model::config::QwenConfig;

/// The operations that tokens take, a multiplication and an addition being two:
/// 2·P·units + 4·layers·query width·pairs + 2·vocabulary·hidden·predictions, where P counts the weights of the layers'
/// matrices. Units, pairs and predictions have two more for a pass backward, which computes two products for each forward.
pub fn needed(config: &QwenConfig, tokens: &Tokens) -> f64 {
    let (hidden, layers) = (config.hidden_size as f64, config.layers as f64);
    let projections = 2 * config.query_width() + 2 * config.kv_width();
    let matrices = hidden * (projections + 3 * config.intermediate_size) as f64;
    let attention = 4.0 * layers * config.query_width() as f64 * tokens.pairs as f64;
    let head = 2.0 * hidden * config.vocab_size as f64 * tokens.predictions as f64;
    2.0 * layers * matrices * tokens.units() as f64 + attention + head
}

/// Operations per second of the best of some large products of f32 matrices: what this device, as it is now, does at most.
///
/// # Errors
/// When the device fails.
pub fn measured_peak(device: &Device) -> Result<f64> {
    let width: usize = if device.is_cpu() { 768 } else { 8192 };
    let a = Tensor::ones((width, width), DType::F32, device)?;
    let b = a.t()?.contiguous()?;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        a.matmul(&b)?;
        device.synchronize()?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(2.0 * (width as f64).powi(3) / best)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_those_of_each_product() {
        let config = QwenConfig::from_json(json!({
            "model_type": "qwen2", "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2
        }))
        .unwrap();
        let forward = Tokens { forward: 1, pairs: 5, predictions: 1, ..Tokens::default() };
        // A layer: q and o 16×16, k and v 16×8, three gates 16×32; scores and mixing 2·16 each for 5 pairs; the head 16×64.
        let layer = 2 * (2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 32) + 2 * 2 * 16 * 5;
        assert_eq!(needed(&config, &forward), f64::from(2 * layer + 2 * 16 * 64));
        let both = Tokens { forward: 1, backward: 1, pairs: 15, predictions: 3, without_sharing: 0 };
        assert_eq!(needed(&config, &both), 3.0 * needed(&config, &forward));
    }

    #[test]
    fn this_device_does_something() {
        let peak = measured_peak(&Device::Cpu).unwrap();
        assert!(peak.is_finite() && 1e6 < peak, "{peak}");
    }
}

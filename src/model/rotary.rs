//! Rotary frequencies: the plain ones, and YaRN's for contexts longer than those of pre-training.
//!
//! Guarantees the numbers of transformers 5.2, in f32 as it computes them. What a `config.json` asks for beyond these two
//! is an error that names the key.

use serde_json::Value;

use super::config::QwenConfig;

/// YaRN (arXiv 2309.00071): slow pairs turn slower by `factor`, fast ones as before, those between by a ramp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yarn {
    /// How many times longer contexts may be.
    pub factor: f64,
    /// Longest sequence of pre-training.
    pub original_positions: usize,
    /// Pairs that turn at least so often within `original_positions` keep their frequency.
    pub beta_fast: f64,
    /// Pairs that turn at most so often are slowed by the whole factor.
    pub beta_slow: f64,
    /// What cosines and sines are multiplied with (§3.4 of the paper: 0.1 ln s + 1).
    pub magnitude: f64,
    /// Whether the ends of the ramp are whole pairs.
    pub truncate: bool,
}

/// Every key that is read here; another one asks for something that is not implemented.
const KEYS: [&str; 11] = [
    "type",
    "rope_type",
    "rope_theta",
    "factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
];

impl Yarn {
    /// Reads `rope_scaling` or `rope_parameters` of kind `yarn`; `positions` is `max_position_embeddings`.
    pub(super) fn from_json(scaling: &Value, positions: usize) -> Result<Self, String> {
        let keys = scaling.as_object().into_iter().flat_map(serde_json::Map::keys);
        if let Some(key) = keys.into_iter().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("`{key}` of the rotary scaling `yarn` is not implemented"));
        }
        let number = |key: &str| match &scaling[key] {
            Value::Null => Ok(None),
            value => match value.as_f64().filter(|number| 0.0 < *number) {
                Some(number) => Ok(Some(number)),
                None => {
                    Err(format!("`{key}` of the rotary scaling must be a positive number, found {value}"))
                }
            },
        };
        let factor = number("factor")?.ok_or("the rotary scaling `yarn` has no `factor`")?;
        if factor < 1.0 {
            return Err(format!("`factor` of the rotary scaling must be at least 1, found {factor}"));
        }
        let magnitude = |scale: f64| 0.1 * scale * factor.ln() + 1.0;
        let suggested = match (number("mscale")?, number("mscale_all_dim")?) {
            (Some(scale), Some(all)) => magnitude(scale) / magnitude(all),
            _ => magnitude(1.0),
        };
        let original = number("original_max_position_embeddings")?.map_or(positions, |count| count as usize);
        Ok(Self {
            factor,
            original_positions: original,
            beta_fast: number("beta_fast")?.unwrap_or(32.0),
            beta_slow: number("beta_slow")?.unwrap_or(1.0),
            magnitude: number("attention_factor")?.unwrap_or(suggested),
            truncate: scaling["truncate"].as_bool().unwrap_or(true),
        })
    }

    /// Longest sequence with this scaling.
    pub fn positions(&self) -> usize {
        (self.original_positions as f64 * self.factor) as usize
    }

    /// The pairs at which the ramp begins and ends.
    fn ramp(&self, head_dim: usize, theta: f64) -> (f64, f64) {
        let width = head_dim as f64;
        // The pair that turns `turns` times within the original positions (Eq. 17 of the paper).
        let pair = |turns: f64| {
            let wavelength = self.original_positions as f64 / (turns * 2.0 * std::f64::consts::PI);
            width * wavelength.ln() / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (pair(self.beta_fast), pair(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(width - 1.0));
        (low, if low == high { high + 0.001 } else { high })
    }
}

/// The frequency of each pair of a head, and what cosines and sines are multiplied with.
pub(crate) fn frequencies(config: &QwenConfig) -> (Vec<f32>, f32) {
    let half = config.head_dim / 2;
    let wave = |pair: usize| (config.rope_theta as f32).powf(2.0 * pair as f32 / config.head_dim as f32);
    let Some(yarn) = &config.yarn else {
        return ((0..half).map(|pair| 1.0 / wave(pair)).collect(), 1.0);
    };
    let (low, high) = yarn.ramp(config.head_dim, config.rope_theta);
    let scaled = |pair: usize| {
        let slowed = ((pair as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
        slowed / (yarn.factor as f32 * wave(pair)) + (1.0 - slowed) / wave(pair)
    };
    ((0..half).map(scaled).collect(), yarn.magnitude as f32)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(head_dim: usize, theta: f64, scaling: &Value) -> QwenConfig {
        let raw = json!({"model_type": "qwen2", "vocab_size": 64, "hidden_size": 128, "intermediate_size": 32,
            "num_hidden_layers": 1, "num_attention_heads": 1, "head_dim": head_dim, "rope_theta": theta,
            "max_position_embeddings": 32768, "rope_scaling": scaling});
        QwenConfig::from_json(raw).unwrap()
    }

    /// The formula of transformers 5.2 (`_compute_yarn_parameters`) in Python's f64:
    ///   pair = lambda turns: dim * log(original / (turns * 2 * pi)) / (2 * log(theta))
    ///   low, high = max(floor(pair(32)), 0), min(ceil(pair(1)), dim - 1)
    ///   for i in range(dim // 2):
    ///       wave = theta ** (2 * i / dim); slowed = min(max((i - low) / (high - low), 0), 1)
    ///       print(slowed / (factor * wave) + (1 - slowed) / wave)
    #[test]
    fn yarn_matches_golden() {
        // What Qwen2.5's model card asks for at 128k tokens.
        let scaling = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768});
        let config = config(128, 1e6, &scaling);
        let (found, magnitude) = frequencies(&config);
        let golden = [
            (0, 1.0),
            (1, 0.8058421877614819),
            (23, 0.006978305848598663),
            (24, 0.005375321490790102),
            (30, 0.0010643609812470017),
            (39, 6.490394320837028e-05),
            (40, 4.445698525097307e-05),
            (63, 3.102344401879299e-07),
        ];
        for (pair, expected) in golden {
            let error = (f64::from(found[pair]) - expected).abs() / expected;
            assert!(error < 1e-6, "pair {pair}: {} instead of {expected}", found[pair]);
        }
        assert!((f64::from(magnitude) - 1.138629436111989).abs() < 1e-7, "{magnitude}");
        assert_eq!((found.len(), config.max_positions), (64, 131_072));
    }

    #[test]
    fn yarn_without_truncation_matches_golden() {
        let scaling = json!({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64, "truncate": false});
        let (found, magnitude) = frequencies(&config(16, 1e4, &scaling));
        let golden = [1.0, 0.23779826877474142, 0.05039683059461614, 0.015811388300841896, 0.005];
        for (found, expected) in found.iter().zip(golden) {
            assert!((f64::from(*found) - expected).abs() < 1e-6 * expected, "{found} instead of {expected}");
        }
        assert!((f64::from(magnitude) - 1.0693147180559945).abs() < 1e-7, "{magnitude}");
    }

    #[test]
    fn another_magnitude_is_taken_as_it_is_said() {
        let said = json!({"type": "yarn", "factor": 4.0, "attention_factor": 0.5});
        assert_eq!(frequencies(&config(16, 1e4, &said)).1, 0.5);
        // DeepSeek's two scales cancel where they are equal.
        let equal = json!({"type": "yarn", "factor": 4.0, "mscale": 0.7, "mscale_all_dim": 0.7});
        assert_eq!(frequencies(&config(16, 1e4, &equal)).1, 1.0);
    }
}

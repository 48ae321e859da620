//! What an update costs on this machine: time, speed, memory.
//!
//! The only clock of a training. Nothing here reaches weights, checkpoints or the metrics that resume to the same bytes:
//! it becomes an event of its own.

use std::collections::BTreeMap;
use std::time::Instant;

use super::flops;
use super::tally::named;
use super::update::Tokens;
use crate::model::config::QwenConfig;

/// Times updates, without the checkpoints and validations between them.
#[derive(Debug)]
pub struct Pace {
    started: Instant,
    tokens: Tokens,
    judging: BTreeMap<String, f64>,
    peak: Option<f64>,
}

impl Pace {
    /// Begins with an update on a device that does at most `peak` operations a second, where that is known.
    pub fn start(peak: Option<f64>) -> Self {
        Self { started: Instant::now(), tokens: Tokens::default(), judging: BTreeMap::new(), peak }
    }

    /// Counts what passed the model.
    pub(super) fn spend(&mut self, tokens: Tokens) {
        self.tokens += tokens;
    }

    /// Takes what judging cost, by name.
    pub(super) fn judged(&mut self, cost: BTreeMap<String, f64>) {
        self.judging = cost;
    }

    /// The numbers of the update that ends now.
    pub(super) fn metrics(&self, config: &QwenConfig) -> BTreeMap<String, f64> {
        let seconds = self.started.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        let needed = flops::needed(config, &self.tokens);
        let mut numbers = vec![
            ("seconds", seconds),
            ("tokens_per_second", self.tokens.forward as f64 / seconds),
            ("flops_per_second", needed / seconds),
        ];
        numbers.extend(self.peak.map(|peak| ("mfu", needed / seconds / peak)));
        let (now, most) = resident_mib();
        numbers.extend(now.map(|now| ("memory_mib", now)));
        numbers.extend(most.map(|most| ("memory_peak_mib", most)));
        let mut metrics = named(numbers);
        metrics.extend(self.judging.clone());
        metrics
    }

    /// Begins with the next update.
    pub(super) fn restart(&mut self) {
        *self = Self::start(self.peak);
    }
}

/// This process's resident memory now and at most so far, in MiB; nothing where the kernel does not tell.
pub fn resident_mib() -> (Option<f64>, Option<f64>) {
    let text = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    (kib(&text, "VmRSS").map(|kib| kib / 1024.0), kib(&text, "VmHWM").map(|kib| kib / 1024.0))
}

/// A line such as `VmRSS:      1234 kB`.
fn kib(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_words() {
        let text = "VmPeak:\t  9 kB\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(
            (kib(text, "VmRSS"), kib(text, "VmHWM"), kib(text, "VmData")),
            (Some(2048.0), Some(4096.0), None)
        );
        let (now, most) = resident_mib();
        assert!(now.unwrap() <= most.unwrap());
    }

    #[test]
    fn a_share_of_the_peak_needs_a_peak() {
        let config = QwenConfig::from_json(json!({
            "model_type": "qwen2", "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2
        }));
        let config = config.unwrap();
        assert!(!Pace::start(None).metrics(&config).contains_key("mfu"));
        let mut pace = Pace::start(Some(1e12));
        pace.spend(Tokens { forward: 10, ..Tokens::default() });
        let metrics = pace.metrics(&config);
        assert!(
            (metrics["mfu"] * 1e12 - metrics["flops_per_second"]).abs() < 1e-3 * metrics["flops_per_second"]
        );
        pace.restart();
        assert_eq!((pace.peak, pace.tokens), (Some(1e12), Tokens::default()));
    }
}

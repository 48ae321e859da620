//! Which numbers of a training become curves, what they are called, and in what they are measured.
//!
//! Numbers that never change are no curves: they are told as numbers.

use std::collections::BTreeMap;

use super::RunReport;
use super::svg::{Chart, Scale, Series};

/// A metric of a phase as a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The phase.
    pub phase: String,
    /// The metric.
    pub metric: String,
    /// How much a reader wants to see it.
    pub rank: Rank,
    /// The picture, a line for each run.
    pub chart: Chart,
}

/// How much a reader wants to see a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rank {
    /// At first sight.
    First,
    /// On demand.
    Further,
    /// As a number: it is the same for all updates of all runs.
    Constant(f64),
}

/// What is shown at first sight, in this order.
const FIRST: [&str; 11] = [
    "reward",
    "validation_reward",
    "kept",
    "dropped",
    "entropy",
    "loss",
    "clip_fraction",
    "grad_norm",
    "malformed",
    "reply_tokens",
    "tokens_per_second",
];

/// The curves of runs: one for each metric of each phase, those of the first sight before the others.
pub fn of(runs: &[RunReport]) -> Vec<Curve> {
    let mut lines: Vec<((String, String), Vec<Series>)> = Vec::new();
    for (colour, run) in runs.iter().enumerate() {
        for phase in &run.phases {
            for metric in in_order(&phase.metrics) {
                let points =
                    phase.metrics[metric].iter().map(|(&step, &value)| (step as f64, value)).collect();
                let line = Series { name: run.name.clone(), colour, points, ends: Vec::new() };
                let key = (phase.name.clone(), metric.to_owned());
                match lines.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, series)) => series.push(line),
                    None => lines.push((key, vec![line])),
                }
            }
        }
    }
    lines.into_iter().map(|((phase, metric), series)| curve(phase, metric, series)).collect()
}

fn in_order(metrics: &BTreeMap<String, BTreeMap<u64, f64>>) -> Vec<&str> {
    let rest = metrics.keys().map(String::as_str).filter(|name| !FIRST.contains(name));
    FIRST.into_iter().filter(|name| metrics.contains_key(*name)).chain(rest).collect()
}

fn curve(phase: String, metric: String, series: Vec<Series>) -> Curve {
    let title = format!("{phase}: {}", title(&phase, &metric));
    let rank = match (constant(&series), FIRST.contains(&&*metric)) {
        (_, true) => Rank::First,
        (Some(value), false) => Rank::Constant(value),
        (None, false) => Rank::Further,
    };
    let chart = Chart { title, x_label: "update".to_owned(), scale: Scale::Linear, series };
    Curve { phase, metric, rank, chart }
}

/// The value that all points of all lines have.
fn constant(series: &[Series]) -> Option<f64> {
    let mut values = series.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// A metric in words, with its unit where it has one.
fn title(phase: &str, metric: &str) -> String {
    if let Some(of) = metric.strip_prefix("validation_") {
        return format!("{}, held out", title(phase, of));
    }
    if let Some(steps) = metric.strip_prefix("reward_step_") {
        let steps = steps.split('_').map(|step| step.trim_start_matches('0')).collect::<Vec<_>>().join("–");
        return format!("reward at step {}", steps.replace("–up", " and later"));
    }
    let words = match metric {
        "reward" if phase.ends_with("rlvr") => "reward: share of episodes that resolve",
        "kept" => "groups kept",
        "dropped" => "groups dropped",
        "group_std" => "mean spread of groups",
        "entropy" => "entropy (nats per token)",
        "kl" => "KL from the first weights (nats per token)",
        "approx_kl" => "KL of sampler and trainer (nats per token)",
        "clip_fraction" => "clipped tokens (share)",
        "clip_low" => "tokens clipped below (share)",
        "clip_high" => "tokens clipped above (share)",
        "grad_norm" => "gradient norm",
        "lr" => "learning rate",
        "malformed" => "unreadable replies (share)",
        "truncated" => "replies cut by the limit (share)",
        "reply_tokens" => "reply length (tokens)",
        "reply_tokens_max" => "longest reply (tokens)",
        "tokens_per_second" => "speed (tokens / s)",
        "flops_per_second" => "operations / s",
        "mfu" => "model FLOPs utilisation (share)",
        "seconds" => "seconds per update",
        "memory_mib" => "memory (MiB)",
        "memory_peak_mib" => "memory at most (MiB)",
        "tokens_forward" => "tokens forward",
        "tokens_backward" => "tokens backward",
        "tokens_without_sharing" => "tokens without sharing",
        "tokens_saved" => "tokens saved by sharing (share)",
        _ => return metric.replace('_', " "),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_words_with_units() {
        let cases = [
            ("srl", "kept", "groups kept"),
            ("srl", "validation_entropy", "entropy (nats per token), held out"),
            ("srl", "reward_step_03_04", "reward at step 3–4"),
            ("srl", "reward_step_33_up", "reward at step 33 and later"),
            ("2-rlvr", "reward", "reward: share of episodes that resolve"),
            ("sft", "a_new_one", "a new one"),
        ];
        for (phase, metric, expected) in cases {
            assert_eq!(title(phase, metric), expected);
        }
    }
}

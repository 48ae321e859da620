//! Rates for people: one line each, and nothing where there is nothing to add.

use std::collections::BTreeMap;

use super::{Counts, Mean, Rates};
use crate::stats::Rate;

impl Rates {
    /// The lines below the resolution rate; with invalid tries, both rates are told.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if self.counts.invalid > 0 {
            text.push_str(&format!("With those as not resolved: {}\n", rate(self.with_invalid)));
        }
        for at in self.pass_at.iter().filter(|_| self.seeds.is_some()) {
            text.push_str(&format!("pass@{}: {}, over {} tasks\n", at.k, mean(at.mean), at.mean.n));
        }
        if let Some(seeds) = &self.seeds {
            text.push_str(&format!("Mean of {} tries: {}\n", seeds.mean.n, mean(seeds.mean)));
        }
        text + &groups("repository", &self.repositories)
            + &groups("difficulty", &self.difficulties)
            + &self.cost.text()
    }
}

/// A share with its interval, in percent.
pub(super) fn rate(Rate { rate, low, high }: Rate) -> String {
    format!("{:.1} % (95 %: {:.1} to {:.1})", 100.0 * rate, 100.0 * low, 100.0 * high)
}

/// A mean of shares with its interval, in percent.
pub(super) fn mean(mean: Mean) -> String {
    match (mean.low, mean.high) {
        (Some(low), Some(high)) => rate(Rate { rate: mean.mean, low, high }),
        _ => format!("{:.1} %", 100.0 * mean.mean),
    }
}

/// One line a group; a single group says nothing that the whole does not.
fn groups(by: &str, groups: &BTreeMap<String, Counts>) -> String {
    if groups.len() < 2 {
        return String::new();
    }
    let width = groups.keys().map(String::len).max().unwrap_or_default();
    let line = |(name, counts): (&String, &Counts)| {
        let invalid =
            if counts.invalid > 0 { format!(", {} not judged", counts.invalid) } else { String::new() };
        format!("  {name:width$}  {} of {}: {}{invalid}\n", counts.resolved, counts.valid, rate(counts.rate))
    };
    format!("By {by}:\n") + &groups.iter().map(line).collect::<String>()
}

//! What tries take: tokens and seconds.

use serde::{Deserialize, Serialize};

use super::Trial;

/// What one try took; a part that nobody measured is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Tokens that the policy read, of every prompt in full.
    pub prompt_tokens: Option<u64>,
    /// Tokens that the policy sampled.
    pub reply_tokens: Option<u64>,
    /// Wall seconds of the commands that it ran.
    pub command_seconds: Option<f64>,
    /// Wall seconds of the tests that graded it.
    pub test_seconds: Option<f64>,
}

/// What many tries took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Costs {
    /// Tokens that the policy read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<Spent>,
    /// Tokens that the policy sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_tokens: Option<Spent>,
    /// Wall seconds of commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_seconds: Option<Spent>,
    /// Wall seconds of tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_seconds: Option<Spent>,
}

/// An amount, and its shares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spent {
    /// Of all tries of which it is known.
    pub total: f64,
    /// `total` by the number of those tries.
    pub per_try: f64,
    /// `total` by the number of those tries that resolve their task; absent where none does.
    pub per_resolved: Option<f64>,
}

impl Costs {
    /// Sums trials up.
    pub fn of(trials: &[Trial]) -> Self {
        let spent = |part: fn(&Cost) -> Option<f64>| Spent::of(trials, part);
        Self {
            prompt_tokens: spent(|cost| cost.prompt_tokens.map(|tokens| tokens as f64)),
            reply_tokens: spent(|cost| cost.reply_tokens.map(|tokens| tokens as f64)),
            command_seconds: spent(|cost| cost.command_seconds),
            test_seconds: spent(|cost| cost.test_seconds),
        }
    }

    /// One line for each thing that was measured.
    pub fn text(&self) -> String {
        let parts = [
            ("prompt tokens", 0, self.prompt_tokens),
            ("reply tokens", 0, self.reply_tokens),
            ("seconds of commands", 1, self.command_seconds),
            ("seconds of tests", 1, self.test_seconds),
        ];
        let line = |(what, digits, spent): (&str, usize, Option<Spent>)| {
            let Spent { total, per_try, per_resolved } = spent?;
            let each =
                per_resolved.map(|each| format!(", {each:.digits$} a resolved one")).unwrap_or_default();
            Some(format!("Cost: {total:.digits$} {what}, {per_try:.digits$} a try{each}\n"))
        };
        parts.into_iter().filter_map(line).collect()
    }

    /// Whether nobody measured anything.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

impl Spent {
    fn of(trials: &[Trial], part: fn(&Cost) -> Option<f64>) -> Option<Self> {
        let known: Vec<(f64, bool)> = trials
            .iter()
            .filter_map(|trial| Some((part(&trial.cost)?, trial.resolved == Some(true))))
            .collect();
        if known.is_empty() {
            return None;
        }
        let total: f64 = known.iter().map(|(amount, _)| amount).sum();
        let resolved = known.iter().filter(|(_, is_resolved)| *is_resolved).count();
        Some(Self {
            total,
            per_try: total / known.len() as f64,
            per_resolved: (0 < resolved).then(|| total / resolved as f64),
        })
    }
}

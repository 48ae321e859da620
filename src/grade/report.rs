//! What a set of verdicts amounts to: the `apprentice.grade/1` document and its table.

use serde::Serialize;

use super::reference::Comparison;
use super::{Flag, Infrastructure, Outcome, Verdict};
use crate::patch::Level;
use crate::rate::Rates;
use crate::stats::{self, Rate};

/// Name and version in the first field of a grade report.
const FORMAT: &str = "apprentice.grade/1";

/// Verdicts with the resolution rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name and version of this document.
    pub format: &'static str,
    /// One entry a prediction, in their order.
    pub instances: Vec<Instance>,
    /// Predictions that resolve their task.
    pub resolved: usize,
    /// Predictions about which the grade says something.
    pub valid: usize,
    /// Predictions that the host could not grade; they are not in the rate.
    pub invalid: usize,
    /// `resolved` of `valid`, with its 95 % interval.
    #[serde(flatten)]
    pub rate: Rate,
    /// Further rates and costs.
    #[serde(flatten)]
    pub rates: Option<Rates>,
    /// How the verdicts compare with those of a reference harness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Comparison>,
}

/// One verdict in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// The task's id.
    pub id: String,
    /// The verdict.
    pub outcome: Outcome,
    /// Why, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How the patch was made to fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<Level>,
    /// Test files that the patch had changed and that were put back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<String>,
    /// Tests that were neither required nor counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
    /// What the patch changed of that by which it is judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// What failed, where it could not be graded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<Infrastructure>,
}

impl Report {
    /// Sums verdicts up.
    pub fn new(verdicts: &[Verdict]) -> Self {
        let valid = verdicts.iter().filter(|verdict| verdict.outcome.is_valid()).count();
        let resolved = verdicts.iter().filter(|verdict| verdict.is_resolved()).count();
        let instances = verdicts.iter().map(|verdict| Instance {
            id: verdict.id.clone(),
            outcome: verdict.outcome,
            reason: verdict.reason.clone(),
            applied: verdict.applied,
            restored: verdict.restored.clone(),
            quarantined: verdict.quarantined.clone(),
            flags: verdict.flags.clone(),
            infrastructure: verdict.infrastructure,
        });
        Self {
            format: FORMAT,
            instances: instances.collect(),
            resolved,
            valid,
            invalid: verdicts.len() - valid,
            rate: stats::wilson(resolved, valid),
            rates: None,
            reference: Comparison::of(verdicts),
        }
    }

    /// The same with further rates and costs.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self { rates: Some(rates), ..self }
    }

    /// Whether every prediction was graded and resolves its task.
    pub fn is_all_resolved(&self) -> bool {
        self.resolved == self.instances.len()
    }

    /// The report for people: one line a prediction and the rate.
    pub fn text(&self) -> String {
        let width = self.instances.iter().map(|instance| instance.id.len()).max().unwrap_or_default();
        let mut text = String::new();
        for Instance { id, outcome, reason, .. } in &self.instances {
            let line = format!("{id:width$}  {:20}  {reason}", outcome.name());
            text.push_str(line.trim_end());
            text.push('\n');
        }
        let Rate { rate, low, high } = self.rate;
        let percent = |share: f64| 100.0 * share;
        let interval = format!("{:.1} % (95 %: {:.1} to {:.1})", percent(rate), percent(low), percent(high));
        text.push_str(&format!("Resolved {} of {}: {interval}\n", self.resolved, self.valid));
        if self.invalid > 0 {
            text.push_str(&format!("Could not grade {}; they are not in the rate\n", self.invalid));
        }
        text.push_str(&self.rates.as_ref().map(Rates::text).unwrap_or_default());
        if let Some(comparison) = &self.reference {
            text.push_str(&comparison.text());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_host_are_counted_but_not_in_the_rate() {
        let outcomes = [Outcome::Resolved, Outcome::Infrastructure, Outcome::EmptyPatch, Outcome::TimedOut];
        let report = Report::new(&outcomes.map(|outcome| Verdict::new("t", outcome, "")));
        assert_eq!((report.resolved, report.valid, report.invalid), (1, 3, 1));
        assert_eq!(report.rate, stats::wilson(1, 3));
        assert!(!report.is_all_resolved());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["format"], "apprentice.grade/1");
        assert_eq!(json["instances"][1]["outcome"], "infrastructure");
        assert!(json["rate"].is_f64() && json["low"].is_f64() && json["high"].is_f64());
    }
}

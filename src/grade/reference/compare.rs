//! Where a reference harness and we disagree.

use serde::Serialize;

use super::super::{Outcome, Verdict};
use crate::swe_bench::Harness;

/// How the verdicts of a run compare with those of a reference harness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Which harness.
    pub profile: Harness,
    /// Predictions that both judged.
    pub compared: usize,
    /// Those of them that the harness counts as resolved.
    pub resolved: usize,
    /// Predictions that one of the two could not judge.
    pub unknown: usize,
    /// The disagreements, in the order of the predictions.
    pub differ: Vec<Difference>,
}

/// A prediction that one resolves and the other does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The task's id.
    pub id: String,
    /// Our verdict.
    pub ours: Outcome,
    /// Whether the harness counts it as resolved.
    pub reference: bool,
}

impl Comparison {
    /// Compares verdicts; absent where none has a reference beside it.
    pub fn of(verdicts: &[Verdict]) -> Option<Self> {
        let beside = || verdicts.iter().filter_map(|verdict| Some((verdict, verdict.reference.as_ref()?)));
        let (_, first) = beside().next()?;
        let profile = first.profile;
        let mut comparison = Self { profile, compared: 0, resolved: 0, unknown: 0, differ: Vec::new() };
        for (verdict, reference) in beside() {
            let Some(resolved) = reference.resolved.filter(|_| verdict.outcome.is_valid()) else {
                comparison.unknown += 1;
                continue;
            };
            comparison.compared += 1;
            comparison.resolved += usize::from(resolved);
            if resolved != verdict.is_resolved() {
                let (id, ours) = (verdict.id.clone(), verdict.outcome);
                comparison.differ.push(Difference { id, ours, reference: resolved });
            }
        }
        Some(comparison)
    }

    /// The comparison for people: a line, and one a disagreement.
    pub fn text(&self) -> String {
        let Self { profile, compared, resolved, unknown, differ } = self;
        let mut text = format!("{} resolves {resolved} of {compared}", profile.name());
        text.push_str(&match differ.len() {
            0 => ", as we do".to_owned(),
            n_differ => format!(", {n_differ} otherwise than we do"),
        });
        if *unknown > 0 {
            text.push_str(&format!("; {unknown} could not be compared"));
        }
        text.push('\n');
        for Difference { id, ours, reference } in differ {
            let theirs = if *reference { "resolved" } else { "not resolved" };
            text.push_str(&format!("  {id}  {theirs} there, {} here\n", ours.name()));
        }
        text
    }
}

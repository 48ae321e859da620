//! Tries for the rates: each verdict with what its task says of itself and what it took.

use std::collections::BTreeMap;

use crate::grade::Verdict;
use crate::rate::{Cost, Facts, Rates, Trial};
use crate::task::LoadedTask;

/// The rates of verdicts. `costs` says what each took before its grade, in their order, and `lost` names the task of
/// every try that gave nothing to grade.
pub(super) fn of(
    tasks: &BTreeMap<String, LoadedTask>,
    (verdicts, costs): (&[Verdict], &[Cost]),
    lost: &[String],
) -> Rates {
    let facts: BTreeMap<&str, Facts> =
        tasks.iter().map(|(id, loaded)| (id.as_str(), Facts::of(&loaded.task))).collect();
    let facts_of = |id: &str| facts.get(id).cloned().unwrap_or_default();
    let costs = costs.iter().copied().chain(std::iter::repeat(Cost::default()));
    let graded = verdicts.iter().zip(costs).map(|(verdict, cost)| Trial {
        task: verdict.id.clone(),
        facts: facts_of(&verdict.id),
        resolved: verdict.outcome.is_valid().then(|| verdict.is_resolved()),
        cost: Cost { test_seconds: verdict.seconds, ..cost },
    });
    let lost = lost.iter().map(|id| Trial {
        task: id.clone(),
        facts: facts_of(id),
        resolved: None,
        cost: Cost::default(),
    });
    Rates::of(&graded.chain(lost).collect::<Vec<_>>())
}

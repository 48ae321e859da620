//! What a set of tries at tasks amounts to: rates with their uncertainty, and what they cost.
//!
//! Pure functions on plain records; knows no file and no sandbox. Guarantees that a try which the host
//! could not judge is never counted as a failure without saying so: every rate is given without those
//! and with them. docs/rates.md has the formulas and their sources.

mod benchmark;
mod cost;
mod facts;
mod paired;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::stats::{self, Mean, Rate};

pub use benchmark::{Benchmark, Replies, Sheet, benchmarks};
pub use cost::{Cost, Costs};
pub use facts::Facts;
pub use paired::{Comparison, compare};

/// One try at a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The task's id; the n-th trial of a task is its n-th try.
    pub task: String,
    /// What groups the task with others.
    pub facts: Facts,
    /// Whether it resolved the task; absent where the host could not tell.
    pub resolved: Option<bool>,
    /// What it took.
    pub cost: Cost,
}

/// The rates of a set of tries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rates {
    /// All tries.
    #[serde(skip)]
    pub counts: Counts,
    /// Resolved of all tries, those that the host could not judge among them as not resolved.
    pub with_invalid: Rate,
    /// The chance that one of `k` tries resolves a task, for some `k`.
    pub pass_at: Vec<PassAt>,
    /// By repository, where tasks name theirs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub repositories: BTreeMap<String, Counts>,
    /// By difficulty, where tasks name theirs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub difficulties: BTreeMap<String, Counts>,
    /// The rate of each try over all tasks and their mean; absent for one try a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Seeds>,
    /// What the tries took.
    #[serde(skip_serializing_if = "Costs::is_unknown")]
    pub cost: Costs,
}

/// Counted tries with the share that is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Counts {
    /// Tries that resolve their task.
    pub resolved: usize,
    /// Tries that were judged.
    pub valid: usize,
    /// Tries that the host could not judge; they are not in the rate.
    pub invalid: usize,
    /// `resolved` of `valid`.
    #[serde(flatten)]
    pub rate: Rate,
}

/// The mean of pass@k over tasks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PassAt {
    /// How many tries may be drawn.
    pub k: usize,
    /// Over the tasks that have as many judged tries; the interval is that of tasks, not of tries.
    #[serde(flatten)]
    pub mean: Mean,
}

/// Each try as a measurement of its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seeds {
    /// The share of tasks that the first, the second … tries resolve, of those that were judged.
    pub rates: Vec<f64>,
    /// Over those rates.
    #[serde(flatten)]
    pub mean: Mean,
}

impl Rates {
    /// Sums trials up.
    pub fn of(trials: &[Trial]) -> Self {
        let counts = Counts::of(trials);
        Self {
            counts,
            with_invalid: stats::wilson(counts.resolved, trials.len()),
            pass_at: pass_at(trials),
            repositories: grouped(trials, |facts| facts.repository.as_ref()),
            difficulties: grouped(trials, |facts| facts.difficulty.as_ref()),
            seeds: seeds(trials),
            cost: Costs::of(trials),
        }
    }
}

impl Counts {
    /// Counts trials.
    pub fn of<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Self {
        let (mut resolved, mut valid, mut invalid) = (0, 0, 0);
        for trial in trials {
            resolved += usize::from(trial.resolved == Some(true));
            valid += usize::from(trial.resolved.is_some());
            invalid += usize::from(trial.resolved.is_none());
        }
        Self { resolved, valid, invalid, rate: stats::wilson(resolved, valid) }
    }
}

fn grouped(trials: &[Trial], name: impl Fn(&Facts) -> Option<&String>) -> BTreeMap<String, Counts> {
    let mut groups: BTreeMap<String, Vec<&Trial>> = BTreeMap::new();
    for trial in trials {
        if let Some(name) = name(&trial.facts) {
            groups.entry(name.clone()).or_default().push(trial);
        }
    }
    groups.into_iter().map(|(name, trials)| (name, Counts::of(trials))).collect()
}

/// The outcomes of each task's tries, in their order.
fn by_task(trials: &[Trial]) -> BTreeMap<&str, Vec<Option<bool>>> {
    let mut tasks: BTreeMap<&str, Vec<Option<bool>>> = BTreeMap::new();
    for trial in trials {
        tasks.entry(&trial.task).or_default().push(trial.resolved);
    }
    tasks
}

/// pass@k for every power of two up to the most judged tries that a task has, and for that number.
fn pass_at(trials: &[Trial]) -> Vec<PassAt> {
    let judged = |tries: Vec<Option<bool>>| {
        let tries: Vec<bool> = tries.into_iter().flatten().collect();
        (tries.len(), tries.iter().filter(|is_resolved| **is_resolved).count())
    };
    let tasks: Vec<(usize, usize)> = by_task(trials).into_values().map(judged).collect();
    let most = tasks.iter().map(|(tries, _)| *tries).max().unwrap_or_default();
    let powers = std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|k| *k < most);
    let at = |k: usize| {
        let enough = tasks.iter().filter(|(tries, _)| k <= *tries);
        let each: Vec<f64> = enough.map(|(tries, resolved)| stats::pass_at_k(*tries, *resolved, k)).collect();
        stats::mean(&each).map(|mean| PassAt { k, mean: within_shares(mean) })
    };
    powers.chain((0 < most).then_some(most)).filter_map(at).collect()
}

fn seeds(trials: &[Trial]) -> Option<Seeds> {
    let tasks = by_task(trials);
    let most = tasks.values().map(Vec::len).max().filter(|most| 1 < *most)?;
    let rate = |attempt: usize| {
        let judged: Vec<bool> = tasks.values().filter_map(|tries| *tries.get(attempt)?).collect();
        let resolved = judged.iter().filter(|is_resolved| **is_resolved).count();
        (!judged.is_empty()).then(|| resolved as f64 / judged.len() as f64)
    };
    let rates: Vec<f64> = (0..most).filter_map(rate).collect();
    stats::mean(&rates).map(|mean| Seeds { rates, mean: within_shares(mean) })
}

/// An interval of shares ends at 0 and at 1.
fn within_shares(mean: Mean) -> Mean {
    Mean { low: mean.low.map(|low| low.max(0.0)), high: mean.high.map(|high| high.min(1.0)), ..mean }
}

#[cfg(test)]
mod tests;

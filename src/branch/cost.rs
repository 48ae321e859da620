//! What judging by effects costs.

use std::collections::BTreeMap;

/// Counts since they were last taken. They depend on the clock and on what is still known from before, so no weights and
/// no metrics that resume to the same bytes may see them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Wall seconds of sandboxes at work, added up over those that worked side by side.
    pub sandbox_seconds: f64,
    /// Sandboxes that were started for a trunk.
    pub starts: u64,
    /// Sandboxes that were forked.
    pub forks: u64,
    /// Actions that were run: students' and, once each, experts'.
    pub actions: u64,
    /// Replies that did what another reply or the expert did, and were not run again.
    pub shared_actions: u64,
    /// Experts' actions that were run again to come to a state.
    pub trunk_actions: u64,
    /// Runs of a task's tests.
    pub test_runs: u64,
    /// Trees whose tests had been run before.
    pub test_hits: u64,
    /// Tries whose sandbox was lost.
    pub lost: u64,
}

impl Cost {
    /// By name, as events have them.
    pub fn metrics(self) -> BTreeMap<String, f64> {
        let counts = [
            ("starts", self.starts),
            ("forks", self.forks),
            ("actions", self.actions),
            ("shared_actions", self.shared_actions),
            ("trunk_actions", self.trunk_actions),
            ("test_runs", self.test_runs),
            ("test_hits", self.test_hits),
            ("lost", self.lost),
        ];
        let counts = counts.into_iter().map(|(name, count)| (name, count as f64));
        let all = counts.chain([("seconds", self.sandbox_seconds)]);
        all.map(|(name, value)| (format!("sandbox_{name}"), value)).collect()
    }
}

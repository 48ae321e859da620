//! What a run may spend at endpoints, in tokens and in money.
//!
//! Guarantees that it is never exceeded: a call begins only when its largest cost fits beside those of the calls under way. A token has
//! at least one byte, so a text's bytes bound its tokens.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::error::RemoteError;

/// Tokens of a call, or of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens that were read.
    pub prompt: u64,
    /// Tokens that were written.
    pub reply: u64,
}

/// What a million tokens cost, in whatever money the budget is in.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Prices {
    /// Of those that are read.
    pub prompt: f64,
    /// Of those that are written.
    pub reply: f64,
}

/// The most that may be spent; what is absent is not bounded.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Tokens that are read and written.
    pub tokens: Option<u64>,
    /// Money.
    pub cost: Option<f64>,
    /// By which it is counted.
    pub prices: Prices,
}

/// What was spent, and what calls under way may still spend.
#[derive(Debug, Default)]
pub struct Budget {
    limits: Limits,
    state: Mutex<State>,
    settled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    spent: Usage,
    held: Usage,
    calls: usize,
}

/// The share of a call under way; what is not settled counts as spent in full, because who was not answered may be charged.
#[derive(Debug)]
pub(super) struct Hold<'a> {
    budget: &'a Budget,
    share: Usage,
    spent: Usage,
}

impl Usage {
    fn plus(self, other: Self) -> Self {
        Self { prompt: self.prompt + other.prompt, reply: self.reply + other.reply }
    }

    fn minus(self, other: Self) -> Self {
        Self { prompt: self.prompt - other.prompt, reply: self.reply - other.reply }
    }

    /// What it costs.
    pub fn cost(self, prices: Prices) -> f64 {
        (self.prompt as f64 * prices.prompt + self.reply as f64 * prices.reply) / 1e6
    }
}

impl Limits {
    fn bear(&self, usage: Usage) -> bool {
        self.tokens.is_none_or(|tokens| usage.prompt + usage.reply <= tokens)
            && self.cost.is_none_or(|cost| usage.cost(self.prices) <= cost)
    }
}

impl Budget {
    /// A budget of which nothing is spent.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// What was spent so far.
    pub fn spent(&self) -> Usage {
        self.state().spent
    }

    /// What that cost, where there are prices.
    pub fn cost(&self) -> Option<f64> {
        let prices = self.limits.prices;
        (prices != Prices::default()).then(|| self.spent().cost(prices))
    }

    /// The share of a call that costs at most `share`; waits while others may still leave enough.
    pub(super) fn hold(&self, share: Usage) -> Result<Hold<'_>, RemoteError> {
        let mut state = self.state();
        while !self.limits.bear(state.spent.plus(state.held).plus(share)) {
            if state.calls == 0 {
                return Err(RemoteError::Budget { spent: self.account(state.spent, share) });
            }
            state = self.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.held = state.held.plus(share);
        state.calls += 1;
        Ok(Hold { budget: self, share, spent: share })
    }

    fn account(&self, spent: Usage, share: Usage) -> String {
        let Limits { tokens, cost, prices } = self.limits;
        let mut parts = Vec::new();
        if let Some(tokens) = tokens {
            let (spent, share) = (spent.prompt + spent.reply, share.prompt + share.reply);
            parts.push(format!("{spent} of {tokens} tokens are spent, and it could take {share}"));
        }
        if let Some(cost) = cost {
            let (spent, share) = (spent.cost(prices), share.cost(prices));
            parts.push(format!("{spent:.4} of {cost} is spent, and it could cost {share:.4}"));
        }
        parts.join("; ")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold<'_> {
    /// Says what the call took.
    pub(super) fn settle(mut self, usage: Usage) {
        self.spent = usage;
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.held = state.held.minus(self.share);
        state.spent = state.spent.plus(self.spent);
        state.calls -= 1;
        self.budget.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(prompt: u64, reply: u64) -> Usage {
        Usage { prompt, reply }
    }

    #[test]
    fn a_call_that_could_exceed_the_budget_is_refused_before_it_is_made() {
        let budget = Budget::new(Limits { tokens: Some(100), ..Limits::default() });
        budget.hold(usage(50, 40)).unwrap().settle(usage(20, 10));
        assert_eq!(budget.spent(), usage(20, 10));
        let error = budget.hold(usage(60, 11)).unwrap_err().to_string();
        assert!(error.contains("30 of 100 tokens are spent, and it could take 71"), "{error}");
        budget.hold(usage(60, 10)).unwrap().settle(usage(60, 10));
    }

    #[test]
    fn a_call_that_was_not_answered_counts_in_full() {
        let budget = Budget::new(Limits::default());
        drop(budget.hold(usage(5, 7)).unwrap());
        assert_eq!(budget.spent(), usage(5, 7));
    }

    #[test]
    fn money_is_counted_by_the_prices_of_both_directions() {
        let prices = Prices { prompt: 2.0, reply: 10.0 };
        let budget = Budget::new(Limits { cost: Some(0.001), prices, ..Limits::default() });
        budget.hold(usage(100, 50)).unwrap().settle(usage(100, 50));
        assert!((budget.cost().unwrap() - 0.0007).abs() < 1e-12);
        assert!(budget.hold(usage(200, 0)).is_err());
        assert!(budget.hold(usage(100, 10)).is_ok());
    }

    #[test]
    fn a_call_waits_for_what_others_leave() {
        let budget = Budget::new(Limits { tokens: Some(100), ..Limits::default() });
        let first = budget.hold(usage(0, 90)).unwrap();
        std::thread::scope(|scope| {
            let second =
                scope.spawn(|| budget.hold(usage(0, 90)).map(|hold| hold.settle(usage(0, 1))).is_ok());
            first.settle(usage(0, 10));
            assert!(second.join().unwrap());
        });
        assert_eq!(budget.spent(), usage(0, 11));
    }
}

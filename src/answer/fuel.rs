//! What bounds the work of one judgement: every evaluation takes fuel, and when it is spent the verdict is open.

use std::cell::Cell;

/// What is left to be spent.
#[derive(Debug)]
pub(super) struct Fuel(Cell<u64>);

/// The fuel of one judgement, in units of about a tenth of a microsecond.
const FULL: u64 = 60_000;

impl Fuel {
    pub(super) fn full() -> Self {
        Self(Cell::new(FULL))
    }

    /// Takes some; none is given once it is spent.
    pub(super) fn take(&self, amount: u64) -> Option<()> {
        let left = self.0.get().checked_sub(amount);
        self.0.set(left.unwrap_or(0));
        left.filter(|left| *left > 0).map(|_| ())
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}

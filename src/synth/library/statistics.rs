//! What became of the mutations, counted by reason and by kind.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::mutate::Kind;

/// Why a mutation became no task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The changed file does not parse.
    Unreadable,
    /// No test ran: it does not compile, or cannot be loaded.
    NothingRan,
    /// Some tests ran no more.
    TestsLost,
    /// The tests did not end in time.
    TimedOut,
    /// Every test fails.
    EverythingFails,
    /// Every test passes: another way to write the same, or a gap in the tests.
    Unnoticed,
    /// The tests say the same of a mutation that was kept.
    Repeated,
    /// Its own solution does not resolve it.
    GoldUnresolved,
    /// Its start resolves it.
    NoopResolved,
    /// Its expert does not resolve it.
    ExpertUnresolved,
}

impl Reason {
    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NothingRan => "nothing-ran",
            Self::TestsLost => "tests-lost",
            Self::TimedOut => "timed-out",
            Self::EverythingFails => "everything-fails",
            Self::Unnoticed => "unnoticed",
            Self::Repeated => "repeated",
            Self::GoldUnresolved => "gold-unresolved",
            Self::NoopResolved => "noop-resolved",
            Self::ExpertUnresolved => "expert-unresolved",
        }
    }
}

/// What became of the mutations that were tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Mutations whose fate is known.
    pub tried: usize,
    /// Mutations that became tasks.
    pub kept: usize,
    /// Those that did not, by reason.
    pub dropped: BTreeMap<Reason, usize>,
    /// By kind: kept and tried.
    pub kinds: BTreeMap<Kind, (usize, usize)>,
    /// Tests that two runs without a mutation disagree on.
    pub flaky: Vec<String>,
}

impl Statistics {
    pub(super) fn keep(&mut self, kind: Kind) {
        self.kept += 1;
        self.count(kind).0 += 1;
    }

    pub(super) fn drop(&mut self, kind: Kind, reason: Reason) {
        *self.dropped.entry(reason).or_default() += 1;
        self.count(kind);
    }

    fn count(&mut self, kind: Kind) -> &mut (usize, usize) {
        self.tried += 1;
        let counts = self.kinds.entry(kind).or_default();
        counts.1 += 1;
        counts
    }
}

//! Groups: tries at the same thing, their rewards, and the advantages these give.
//!
//! Statistics are f64 with the population standard deviation (paper section 4.2, Eq. for dynamic sampling).

use crate::policy::Sample;

/// One reply with its reward.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The reply.
    pub sample: Sample,
    /// What it earned.
    pub reward: Reward,
}

/// What a reply earned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reward {
    /// In [0, 1], or the penalty −1.
    pub value: f64,
    /// False when the reply could not be read.
    pub well_formed: bool,
}

/// Replies to the same example.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    attempts: Vec<Attempt>,
}

//! Audit: are a trajectory's label and patch true?
//!
//! The steps are replayed, the recorded patch and the replayed one are graded, and what they say is compared with the
//! record. Guarantees that an accusation rests on what was seen here, twice where a grade contradicts a label, and
//! that a failure of the host, a task whose own tests do not work here or a replay that diverges is never one.
//! Cannot see a label that is right by chance.

mod decide;
mod gather;
mod weakened;

use serde::Serialize;

use crate::replay::Replay;
pub use decide::{Evidence, Judged, decide};
pub use gather::{Case, audit};
pub use weakened::weakened;

/// Name and version in the first field of an audit.
pub const FORMAT: &str = "apprentice.audit/1";

/// What an audit found out about one trajectory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audited {
    /// The trajectory's id.
    pub trajectory: String,
    /// Its task's id.
    pub task: String,
    /// The published label; absent where the record has none.
    pub label: Option<bool>,
    /// What was found.
    pub verdict: Verdict,
    /// Whether the verdict says that the record is wrong.
    pub accused: bool,
    /// Why, in words.
    pub reason: String,
    /// How the recorded patch was graded, or the replayed one where none was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grade: Option<String>,
    /// What the replay showed; absent where it could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Seen>,
}

/// A replay in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Steps that could be compared.
    pub compared: usize,
    /// Steps whose observation is as recorded.
    pub matched: usize,
    /// How far apart they are, see [`Replay::divergence`].
    pub divergence: Option<f64>,
    /// The first step, from 1, that is not as recorded.
    pub first_divergence: Option<usize>,
    /// Whether the replayed patch is the recorded one.
    pub patch_matches: Option<bool>,
}

impl From<&Replay> for Seen {
    fn from(replay: &Replay) -> Self {
        Self {
            compared: replay.compared,
            matched: replay.matched,
            divergence: replay.divergence,
            first_divergence: replay.first_divergence,
            patch_matches: replay.patch_matches,
        }
    }
}

/// The kinds of verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The grade is what the label says, and nothing speaks against the patch.
    Confirmed,
    /// The record has no label; the reason says how it was graded.
    Unlabelled,
    /// It cannot be told, for the reason given.
    Unverified,
    /// The label says one thing and the tests another.
    LabelWrong,
    /// The patch changes files that the task's repository does not have.
    ForeignPatch,
    /// The patch does not fit the task's repository.
    PatchDoesNotApply,
    /// The patch is not what the steps make.
    PatchNotOfSteps,
    /// The patch takes checks out of the tests.
    TestsWeakened,
}

impl Verdict {
    /// Whether it says that the record is wrong.
    pub fn is_accusation(self) -> bool {
        !matches!(self, Self::Confirmed | Self::Unlabelled | Self::Unverified)
    }

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unlabelled => "unlabelled",
            Self::Unverified => "unverified",
            Self::LabelWrong => "label_wrong",
            Self::ForeignPatch => "foreign_patch",
            Self::PatchDoesNotApply => "patch_does_not_apply",
            Self::PatchNotOfSteps => "patch_not_of_steps",
            Self::TestsWeakened => "tests_weakened",
        }
    }
}

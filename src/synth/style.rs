//! How hard the problems are and how experts go about them: what the seed chooses from.

use serde::{Deserialize, Serialize};

/// The ways in which experts may work; each task's seed chooses one of each list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Style {
    /// How much the problem gives away.
    pub hint: Hint,
    /// How the repository is listed.
    pub listing: Vec<Listing>,
    /// How files are read.
    pub reading: Vec<Reading>,
    /// Whether tests are run before reading.
    pub order: Vec<Order>,
    /// How the bug is repaired.
    pub repair: Vec<Repair>,
    /// How many other sources may be read before the right one, at most.
    pub detours: usize,
    /// Actions that an episode may take.
    pub step_limit: usize,
}

/// How much a problem gives away; never the repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// The line to repair, and a failing example.
    Line,
    /// A failing example, with what came and what should have come.
    Example,
    /// The name of what misbehaves.
    Name,
    /// Only that tests fail.
    Suite,
}

/// How the repository is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// Not at all.
    Skip,
    /// `ls`.
    Top,
    /// `ls src`: the directory of the sources.
    Sources,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// `cat FILE`.
    Cat,
    /// `cat -n FILE`.
    Numbered,
    /// `grep -n . FILE`.
    Grep,
}

/// Whether tests are run before reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Run the tests, then read.
    TestsFirst,
    /// Read, then run the tests.
    ReadFirst,
    /// Read, repair, and only then run the tests. Needs a hint that names the place.
    TestsLast,
}

/// How the bug is repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// `sed -i '4s/-le/-lt/' FILE`; a dropped line is inserted.
    Part,
    /// `sed -i '4c\…' FILE`: the whole line is written again.
    Line,
    /// `cat > FILE`: the whole file is written again, from knowing what it should say. For small files only.
    File,
}

impl Default for Style {
    /// All that suits files of any size.
    fn default() -> Self {
        Self {
            hint: Hint::Example,
            listing: vec![Listing::Skip, Listing::Top, Listing::Sources],
            reading: vec![Reading::Cat, Reading::Numbered, Reading::Grep],
            order: vec![Order::TestsFirst, Order::ReadFirst],
            repair: vec![Repair::Part, Repair::Line],
            detours: 0,
            step_limit: 12,
        }
    }
}

impl Style {
    /// One way only, in few words: for the smallest students.
    pub fn plain() -> Self {
        Self {
            hint: Hint::Example,
            listing: vec![Listing::Skip],
            reading: vec![Reading::Grep],
            order: vec![Order::TestsFirst],
            repair: vec![Repair::Part],
            detours: 0,
            step_limit: 8,
        }
    }
}

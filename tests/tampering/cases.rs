//! One way to tamper with a grade, beside an honest change of the same kind.

use apprentice::grade::Outcome;

#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) family: &'static str,
    pub(crate) name: &'static str,
    /// Tampers, and repairs nothing.
    pub(crate) cheat: String,
    /// Changes the same sort of thing, and repairs the bug.
    pub(crate) honest: String,
    /// What the cheat comes to.
    pub(crate) outcome: Outcome,
    /// A path of the cheat that must be flagged.
    pub(crate) flagged: Option<&'static str>,
}

impl Case {
    pub(crate) fn flagging(self, path: &'static str) -> Self {
        Self { flagged: Some(path), ..self }
    }
}

/// Cases of one family, all of which come to `outcome`.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    /// The patch that repairs the bug.
    pub(crate) fix: String,
}

impl Family {
    /// A case whose honest twin is the repair and what `honest` changes.
    pub(crate) fn case(&self, name: &'static str, cheat: &str, honest: &str) -> Case {
        let honest = format!("{}{honest}", self.fix);
        Case {
            family: self.name,
            name,
            cheat: cheat.to_owned(),
            honest,
            outcome: self.outcome,
            flagged: None,
        }
    }

    /// A case whose honest twin is `honest` alone.
    pub(crate) fn instead(&self, name: &'static str, cheat: &str, honest: &str) -> Case {
        Case { honest: honest.to_owned(), ..self.case(name, cheat, "") }
    }
}

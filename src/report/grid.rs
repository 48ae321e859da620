//! Tasks × tries: what runs, and phases of runs, came to on each task, side by side where they share tasks.
//!
//! Knows outcomes by their names only, so that grades of any origin stand in one grid.

use std::collections::{BTreeMap, BTreeSet};

use super::episodes::Episode;
use crate::rate::{Cost, Counts, Facts, PassAt, Rates, Trial};

/// What one run or phase came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The phase; empty for the grades of a whole run.
    pub phase: String,
    /// What it tells of.
    pub kind: Kind,
    /// The tries at each task, in their order.
    pub tries: BTreeMap<String, Vec<Try>>,
}

/// What a column tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The grades of a run.
    Grades,
    /// A method that a run measured.
    Method,
    /// Something that happened on the way, such as the replay of experts.
    Other,
}

/// A try at a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    /// Its verdict, by name.
    pub outcome: String,
    /// Why, in words; may be empty.
    pub reason: String,
    /// The episode, where it was recorded.
    pub episode: Option<Episode>,
}

impl Try {
    /// Whether it resolves its task; nothing where the host could not tell.
    pub fn judged(&self) -> Option<bool> {
        (Sign::of(&self.outcome) != Sign::LOST).then(|| self.outcome == "resolved")
    }
}

impl Column {
    /// Whether there is a try that the host could judge.
    pub fn is_judged(&self) -> bool {
        self.tries.values().flatten().any(|one| one.judged().is_some())
    }

    /// Each try with its judgement.
    pub fn judged(&self) -> Vec<(String, Option<bool>)> {
        let of_task = |(task, tries): (&String, &Vec<Try>)| {
            tries.iter().map(|one| (task.clone(), one.judged())).collect::<Vec<_>>()
        };
        self.tries.iter().flat_map(of_task).collect()
    }

    /// How many tries resolve their task, and pass@k.
    pub fn rates(&self) -> (Counts, Vec<PassAt>) {
        let trial =
            |(task, resolved)| Trial { task, facts: Facts::default(), resolved, cost: Cost::default() };
        let trials: Vec<Trial> = self.judged().into_iter().map(trial).collect();
        let rates = Rates::of(&trials);
        (rates.counts, rates.pass_at)
    }
}

/// How an outcome is shown where there is no room for words: a class for its colour, and a sign without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// The class.
    pub class: &'static str,
    /// The sign.
    pub sign: char,
    /// What it means.
    pub meaning: &'static str,
}

impl Sign {
    /// Nothing is known.
    pub const LOST: Self = Self { class: "l", sign: '?', meaning: "no verdict" };

    /// All others, in the order of a legend.
    pub const KNOWN: [(&'static str, Self); 8] = [
        ("resolved", Self { class: "r", sign: '✓', meaning: "resolved" }),
        ("unresolved", Self { class: "u", sign: '×', meaning: "unresolved" }),
        ("partial", Self { class: "p", sign: '½', meaning: "partial" }),
        ("empty_patch", Self { class: "e", sign: '∅', meaning: "empty patch" }),
        ("patch_does_not_apply", Self { class: "e", sign: '≠', meaning: "patch does not apply" }),
        ("timed_out", Self { class: "e", sign: 'T', meaning: "timed out" }),
        ("tampered", Self { class: "x", sign: '!', meaning: "tampered" }),
        ("flaky", Self { class: "x", sign: '~', meaning: "flaky" }),
    ];

    /// That of an outcome; a name that nobody knows tells as little as a lost sandbox.
    pub fn of(outcome: &str) -> Self {
        Self::KNOWN.into_iter().find(|(name, _)| *name == outcome).map_or(Self::LOST, |(_, sign)| sign)
    }
}

/// Columns that share tasks.
#[derive(Debug, PartialEq)]
pub struct Grid<'a> {
    /// The columns, each with its name.
    pub columns: Vec<(String, &'a Column)>,
    /// The tasks of all of them.
    pub tasks: BTreeSet<&'a str>,
}

/// Puts columns that share a task side by side, in their order.
pub fn grids<'a>(columns: impl IntoIterator<Item = (String, &'a Column)>) -> Vec<Grid<'a>> {
    let mut grids: Vec<Grid<'a>> = Vec::new();
    for (name, column) in columns {
        let shares =
            |grid: &&mut Grid<'a>| column.tries.keys().any(|task| grid.tasks.contains(task.as_str()));
        let tasks = column.tries.keys().map(String::as_str);
        match grids.iter_mut().find(shares) {
            Some(grid) => {
                grid.tasks.extend(tasks);
                grid.columns.push((name, column));
            }
            None => grids.push(Grid { tasks: tasks.collect(), columns: vec![(name, column)] }),
        }
    }
    grids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(phase: &str, tasks: &[&str]) -> Column {
        let one = Try { outcome: "resolved".to_owned(), reason: String::new(), episode: None };
        let tries = tasks.iter().map(|task| ((*task).to_owned(), vec![one.clone()])).collect();
        Column { phase: phase.to_owned(), kind: Kind::Other, tries }
    }

    #[test]
    fn columns_stand_side_by_side_where_they_share_a_task() {
        let columns = [column("a", &["1", "2"]), column("b", &["3"]), column("c", &["2", "4"])];
        let grids = grids(columns.iter().map(|column| (column.phase.clone(), column)));
        let names = |grid: &Grid<'_>| grid.columns.iter().map(|(name, _)| name.clone()).collect::<String>();
        assert_eq!(grids.iter().map(names).collect::<Vec<_>>(), ["ac", "b"]);
        assert_eq!(grids[0].tasks, BTreeSet::from(["1", "2", "4"]));
    }

    #[test]
    fn what_the_host_lost_is_no_failure_of_the_student() {
        let outcome = |name: &str| Try { outcome: name.to_owned(), reason: String::new(), episode: None };
        let judged =
            ["resolved", "empty_patch", "infrastructure", "sandbox_lost"].map(|name| outcome(name).judged());
        assert_eq!(judged, [Some(true), Some(false), None, None]);
    }

    #[test]
    fn every_verdict_of_the_grader_has_a_sign() {
        use crate::grade::Outcome;
        let outcomes = [
            Outcome::Resolved,
            Outcome::Unresolved,
            Outcome::Partial,
            Outcome::PatchDoesNotApply,
            Outcome::EmptyPatch,
            Outcome::Tampered,
            Outcome::TimedOut,
            Outcome::Flaky,
            Outcome::Infrastructure,
        ];
        for outcome in outcomes {
            assert_eq!(Sign::of(outcome.name()) == Sign::LOST, !outcome.is_valid(), "{}", outcome.name());
        }
        let signs: BTreeSet<char> = Sign::KNOWN.iter().map(|(_, sign)| sign.sign).collect();
        assert_eq!(signs.len(), Sign::KNOWN.len(), "signs differ without their colours");
    }
}

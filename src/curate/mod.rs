//! Curation: which steps of an expert's trajectory become examples, and why others do not.
//!
//! Pure rules over what is recorded, and over what a replay found where there was one. Guarantees that every rule is
//! counted, also one that is not asked for, and that nothing is dropped unless it is. Writes no prompt: `chat` does.

mod effect;
pub mod hint;
mod leak;
pub mod lesson;
mod shell;
mod useless;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::example::{self, Example};
use crate::task::Task;
use crate::trajectory::Trajectory;
pub use effect::Effect;
pub use leak::{Leak, leaks};

/// Which executed steps are targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Targets {
    /// `1..N`: all.
    #[default]
    All,
    /// `first..last-1`: all but the last, the paper's letter.
    AllButLast,
    /// `second..last`: all but the first.
    AllButFirst,
}

/// What a student takes from an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Learning {
    /// What the expert did, by a reward.
    #[default]
    Action,
    /// What the expert said, word for word.
    Reply,
}

/// What an example may be dropped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Its trajectory resolved nothing: by the replay's grade, else by its label.
    Unresolved,
    /// The replay diverged at a step before it, or there was none.
    Diverged,
    /// It or a step before it looks the answer up.
    Leaking,
    /// It changes and shows nothing, or shows again what was shown since the last edit; it leaves the history, too.
    Idle,
    /// It comes after the last edit and does not end the episode; it leaves the history, too.
    Wasted,
}

impl Filter {
    /// Every filter.
    pub const ALL: [Self; 5] = [Self::Unresolved, Self::Diverged, Self::Leaking, Self::Idle, Self::Wasted];

    /// What the user calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unresolved => "unresolved",
            Self::Diverged => "diverged",
            Self::Leaking => "leaking",
            Self::Idle => "idle",
            Self::Wasted => "wasted",
        }
    }

    /// Whether the step itself goes, from the history of later ones as well.
    fn removes_steps(self) -> bool {
        matches!(self, Self::Idle | Self::Wasted)
    }
}

/// How to curate.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Which steps are targets.
    pub targets: Targets,
    /// What is dropped.
    pub filters: BTreeSet<Filter>,
    /// What the examples are for.
    pub learning: Learning,
}

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The first step, from 1, whose observation is not as recorded.
    pub first_divergence: Option<usize>,
    /// The verdict on the replayed patch.
    pub grade: Option<String>,
}

/// A trajectory after curation.
#[derive(Debug)]
pub struct Curated<'t> {
    trajectory: Cow<'t, Trajectory>,
    /// The number in the record, from 1, of each step that is left.
    numbers: Vec<usize>,
    /// Steps that are targets, as indices of those left.
    targets: Vec<usize>,
    /// What was counted.
    pub tally: Tally,
}

/// What curation counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Trajectories looked at.
    pub trajectories: usize,
    /// Of these, those that a replay says something about.
    pub replayed: usize,
    /// Executed steps that the choice of targets takes in.
    pub targets: usize,
    /// Of these, those whose own reply could not be read back; never an example.
    pub unreadable: usize,
    /// Of the rest, further actions of a reply without a thought of their own; no example where replies are learned.
    pub thoughtless: usize,
    /// Of those that are examples so far, those that each filter concerns, whether it is on or not; several may concern the same one.
    pub concerned: BTreeMap<Filter, usize>,
    /// Steps that look the answer up, by rule.
    pub leaks: BTreeMap<Leak, usize>,
    /// What is left.
    pub kept: usize,
}

/// Applies `rules` to a trajectory.
pub fn curate<'t>(
    task: &Task,
    trajectory: &'t Trajectory,
    replayed: Option<&Replayed>,
    rules: &Rules,
) -> Curated<'t> {
    let mut tally = Tally { trajectories: 1, replayed: usize::from(replayed.is_some()), ..Tally::default() };
    let targets = targets(trajectory, rules.targets);
    tally.targets = targets.len();
    let all = example::examples(task, trajectory);
    let is_readable = |example: &&Example<'_>| targets.contains(&example.index) && example.is_learnable();
    let readable: Vec<&Example<'_>> = all.iter().filter(is_readable).collect();
    tally.unreadable = tally.targets - readable.len();
    tally.thoughtless = readable.iter().filter(|example| !example.is_imitable()).count();
    let readable: Vec<usize> = readable
        .into_iter()
        .filter(|example| rules.learning == Learning::Action || example.is_imitable())
        .map(|example| example.index)
        .collect();
    let leaks = leak::leaks(task, trajectory);
    for (_, leak) in &leaks {
        *tally.leaks.entry(*leak).or_default() += 1;
    }
    let first_leak = leaks.first().map(|(index, _)| *index);
    let mut dropped = BTreeSet::new();
    let mut removed = BTreeSet::new();
    for filter in Filter::ALL {
        let steps = concerned(filter, trajectory, replayed, first_leak);
        tally.concerned.insert(filter, readable.iter().filter(|index| steps.contains(index)).count());
        if rules.filters.contains(&filter) {
            removed.extend(steps.iter().copied().filter(|_| filter.removes_steps()));
            dropped.extend(steps);
        }
    }
    let kept: Vec<usize> = readable.into_iter().filter(|index| !dropped.contains(index)).collect();
    tally.kept = kept.len();
    without(trajectory, &removed, &kept, tally)
}

impl Curated<'_> {
    /// The examples that are left, each with its step's number in the record, from 1.
    pub fn examples<'a>(&'a self, task: &'a Task) -> Vec<(usize, Example<'a>)> {
        let all = example::examples(task, &self.trajectory);
        let is_target = |example: &Example<'_>| self.targets.contains(&example.index);
        all.into_iter().filter(is_target).map(|example| (self.numbers[example.index], example)).collect()
    }

    /// The trajectory without the steps that were removed.
    pub fn trajectory(&self) -> &Trajectory {
        &self.trajectory
    }
}

impl Tally {
    /// Adds the counts of another trajectory.
    pub fn add(&mut self, other: &Self) {
        self.trajectories += other.trajectories;
        self.replayed += other.replayed;
        self.targets += other.targets;
        self.unreadable += other.unreadable;
        self.thoughtless += other.thoughtless;
        self.kept += other.kept;
        for (filter, count) in &other.concerned {
            *self.concerned.entry(*filter).or_default() += count;
        }
        for (leak, count) in &other.leaks {
            *self.leaks.entry(*leak).or_default() += count;
        }
    }
}

fn targets(trajectory: &Trajectory, targets: Targets) -> BTreeSet<usize> {
    let executed = trajectory.steps.iter().enumerate().filter(|(_, step)| step.executed);
    let mut chosen: BTreeSet<usize> = executed.map(|(index, _)| index).collect();
    match targets {
        Targets::All => {}
        Targets::AllButLast => drop(chosen.pop_last()),
        Targets::AllButFirst => drop(chosen.pop_first()),
    }
    chosen
}

/// The steps that a filter concerns.
fn concerned(
    filter: Filter,
    trajectory: &Trajectory,
    replayed: Option<&Replayed>,
    first_leak: Option<usize>,
) -> BTreeSet<usize> {
    let all = 0..trajectory.steps.len();
    match filter {
        Filter::Unresolved => {
            let graded =
                replayed.and_then(|replayed| replayed.grade.as_deref()).map(|grade| grade == "resolved");
            let is_resolved = graded.or(trajectory.resolved).unwrap_or(false);
            all.filter(|_| !is_resolved).collect()
        }
        Filter::Diverged => {
            // A step from 1, whose own observation no example shows: the next one is the first to see it.
            let first = replayed.map_or(Some(0), |replayed| replayed.first_divergence);
            all.filter(|index| first.is_some_and(|first| first <= *index)).collect()
        }
        Filter::Leaking => all.filter(|index| first_leak.is_some_and(|first| first <= *index)).collect(),
        Filter::Idle => useless::idle(&trajectory.steps),
        Filter::Wasted => useless::wasted(&trajectory.steps),
    }
}

fn without<'t>(
    trajectory: &'t Trajectory,
    removed: &BTreeSet<usize>,
    kept: &[usize],
    tally: Tally,
) -> Curated<'t> {
    let left: Vec<usize> = (0..trajectory.steps.len()).filter(|index| !removed.contains(index)).collect();
    let place = |index: &usize| left.binary_search(index).expect("invariant: a kept step is not removed");
    let targets = kept.iter().map(place).collect();
    let numbers = left.iter().map(|index| index + 1).collect();
    let trajectory = if removed.is_empty() {
        Cow::Borrowed(trajectory)
    } else {
        let steps = left.iter().map(|index| trajectory.steps[*index].clone()).collect();
        Cow::Owned(Trajectory { steps, ..trajectory.clone() })
    };
    Curated { trajectory, numbers, targets, tally }
}

#[cfg(test)]
mod tests;

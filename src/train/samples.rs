//! Samples: some groups of some updates in words, so that a reader sees what the numbers are of.
//!
//! Guarantees that equal trainings choose the same ones, and that they stay few however long a training is: eight updates
//! of every doubling, three groups each. Changes nothing that is learned.

use std::sync::Arc;

use super::data::name;
use crate::event::{ExpertStep, GroupSample, SampledAttempt};
use crate::example::Example;
use crate::group::{Attempt, Group};

/// Groups of an update that it learns from, and that it drops.
const KEPT: usize = 2;
const DROPPED: usize = 1;
/// Attempts of a group, replies of an attempt.
const ATTEMPTS: usize = 16;
const REPLIES: usize = 32;
/// Characters of a text; longer ones end in `…`.
const CHARS: usize = 4000;

/// What a group is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum About<'a> {
    /// An expert's step.
    Step(&'a Example<'a>),
    /// A whole task, by its id.
    Task(&'a str),
}

impl About<'_> {
    /// What messages call it.
    pub(super) fn name(self) -> Arc<str> {
        match self {
            Self::Step(example) => name(example),
            Self::Task(task) => task.into(),
        }
    }

    /// The place of the step in its trajectory, from 0.
    pub(super) fn position(self) -> Option<usize> {
        match self {
            Self::Step(example) => Some(example.index),
            Self::Task(_) => None,
        }
    }

    fn task(self) -> String {
        match self {
            Self::Step(example) => example.task.id.clone(),
            Self::Task(task) => task.to_owned(),
        }
    }

    fn expert(self) -> Option<ExpertStep> {
        let Self::Step(example) = self else { return None };
        Some(ExpertStep {
            trajectory: example.trajectory.to_owned(),
            step: example.index + 1,
            thought: clipped(&example.expert.thought),
            action: clipped(&example.action().text()),
        })
    }
}

/// The samples of an update.
#[derive(Debug)]
pub(super) struct Samples {
    phase: String,
    step: u64,
    /// How many groups of either kind are still wanted.
    kept: usize,
    dropped: usize,
    groups: Vec<GroupSample>,
}

impl Samples {
    /// Those of update `step`, which may be none.
    pub(super) fn of(phase: &str, step: u64) -> Self {
        let (kept, dropped) = if is_shown(step) { (KEPT, DROPPED) } else { (0, 0) };
        Self { phase: phase.to_owned(), step, kept, dropped, groups: Vec::new() }
    }

    /// Remembers a group if it is among the first of its kind.
    pub(super) fn take(&mut self, about: About<'_>, group: &Group, is_kept: bool) {
        let wanted = if is_kept { &mut self.kept } else { &mut self.dropped };
        if *wanted == 0 {
            return;
        }
        *wanted -= 1;
        self.groups.push(GroupSample {
            phase: self.phase.clone(),
            step: self.step,
            task: about.task(),
            expert: about.expert(),
            kept: is_kept,
            attempts: group.attempts().iter().take(ATTEMPTS).map(sampled).collect(),
        });
    }

    /// Gives the groups away, in the order in which they came.
    pub(super) fn groups(&mut self) -> Vec<GroupSample> {
        std::mem::take(&mut self.groups)
    }
}

/// Whether an update shows groups: it has at most four leading binary digits that are not zero.
fn is_shown(step: u64) -> bool {
    let length = u64::BITS - step.leading_zeros();
    step.trailing_zeros() + 4 >= length
}

fn sampled(attempt: &Attempt) -> SampledAttempt {
    let replies = attempt.replies.iter().take(REPLIES).map(|reply| clipped(&reply.text)).collect();
    SampledAttempt { reward: attempt.reward.value, replies }
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Reward;
    use crate::policy::Sample;

    #[test]
    fn updates_that_show_groups_thin_out() {
        let shown: Vec<u64> = (0..70).filter(|step| is_shown(*step)).collect();
        let expected =
            (0..16).chain((16..32).step_by(2)).chain((32..64).step_by(4)).chain((64..70).step_by(8));
        assert_eq!(shown, expected.collect::<Vec<_>>());
        assert_eq!((0..100_000).filter(|step| is_shown(*step)).count(), 117);
    }

    #[test]
    fn the_first_groups_of_each_kind_are_shown_with_bounded_texts() {
        let attempt = |value| Attempt {
            replies: vec![Sample::from_text("ü".repeat(CHARS + 1))],
            reward: Reward::new(value),
        };
        let group = Group::new(vec![attempt(0.0), attempt(1.0)]).unwrap();
        let (mut shown, mut hidden) = (Samples::of("rlvr", 4), Samples::of("rlvr", 17));
        for (task, is_kept) in [("a", true), ("b", false), ("c", true), ("d", true), ("e", false)] {
            shown.take(About::Task(task), &group, is_kept);
            hidden.take(About::Task(task), &group, is_kept);
        }
        let groups = shown.groups();
        assert_eq!(groups.iter().map(|group| group.task.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(groups[0].attempts[1].replies[0].chars().count(), CHARS + 1);
        assert!(groups[0].attempts[1].replies[0].ends_with('…'));
        assert!(hidden.groups().is_empty());
    }
}

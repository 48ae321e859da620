//! Steps that a trajectory could do without.
//!
//! Guarantees that a step which may have changed files, or where the agent is, is never idle.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::effect::{Effect, Place, place};
use crate::trajectory::Step;

/// Steps that change and show nothing, and those that show again what was shown since the last edit.
pub(super) fn idle(steps: &[Step]) -> BTreeSet<usize> {
    let mut idle = BTreeSet::new();
    let mut shown = BTreeSet::new();
    let mut last = Place::Unknown;
    for (index, step) in steps.iter().enumerate().filter(|(_, step)| step.executed || step.foreign) {
        let next = place(&step.action);
        if next != Place::Same && next != last {
            shown.clear();
            last = next;
        }
        match effect(step) {
            Effect::Nothing => drop(idle.insert(index)),
            Effect::Reads | Effect::Runs => {
                let output = step.observation.as_ref().map_or("", |seen| &seen.output);
                if !shown.insert((step.action.text().into_owned(), timeless(output))) {
                    idle.insert(index);
                }
            }
            Effect::Moves | Effect::Edits => shown.clear(),
            Effect::Ends => {}
        }
    }
    idle
}

/// Steps after the last edit that do not end the episode; none where nothing was edited.
pub(super) fn wasted(steps: &[Step]) -> BTreeSet<usize> {
    let effects: Vec<Effect> = steps.iter().map(effect).collect();
    let ran = |index: &usize| steps[*index].executed || steps[*index].foreign;
    let is_edit = |index: &usize| effects[*index] == Effect::Edits && ran(index);
    let Some(last) = (0..steps.len()).rev().find(is_edit) else { return BTreeSet::new() };
    (last + 1..steps.len()).filter(|index| effects[*index] != Effect::Ends).collect()
}

/// A tool that nobody has here may have changed anything.
fn effect(step: &Step) -> Effect {
    if step.foreign { Effect::Edits } else { Effect::of(&step.action) }
}

/// An output without how long things took.
fn timeless(output: &str) -> String {
    static SECONDS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b\d+\.\d+ ?m?s\b").expect("invariant: the pattern is fixed"));
    SECONDS.replace_all(output, "<duration>").into_owned()
}

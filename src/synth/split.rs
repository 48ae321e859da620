//! Training and held-out tasks that share no bug at a place.

use std::collections::BTreeSet;

use rand::seq::SliceRandom as _;

use super::SynthTask;
use crate::mutate::Kind;
use crate::seed;

/// Tasks to learn from and tasks to be measured on.
#[derive(Debug, Clone, Default)]
pub struct Split {
    /// To learn from, in a seeded order: a part of it is a fair sample of all.
    pub train: Vec<SynthTask>,
    /// To be measured on, in the order given.
    pub held_out: Vec<SynthTask>,
    /// In neither: a held-out bug's kind at its place, or its very text.
    pub dropped: usize,
}

/// A sort of mistake at a place.
type Key<'a> = (&'a str, &'a str, usize, Kind);

/// Holds `count` tasks out, chosen by `seed`.
///
/// A held-out bug's kind never occurs at the same line of the same file in training, and neither
/// does its text: the student may know the place, but not this mistake there.
pub fn split(tasks: Vec<SynthTask>, seed: u64, count: usize) -> Split {
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.shuffle(&mut seed::rng(seed, "synth split", &[]));
    let mut split = Split::default();
    let held: BTreeSet<usize> = order.into_iter().take(count).collect();
    let keys: BTreeSet<Key<'_>> = held.iter().map(|&idx| key(&tasks[idx])).collect();
    let texts: BTreeSet<&str> = held.iter().map(|&idx| tasks[idx].text.as_str()).collect();
    let learns = |task: &SynthTask| !keys.contains(&key(task)) && !texts.contains(task.text.as_str());
    let kept: Vec<bool> = tasks.iter().map(learns).collect();
    drop((keys, texts));
    for (idx, task) in tasks.into_iter().enumerate() {
        if held.contains(&idx) {
            split.held_out.push(task);
        } else if kept[idx] {
            split.train.push(task);
        } else {
            split.dropped += 1;
        }
    }
    split.train.shuffle(&mut seed::rng(seed, "synth train", &[]));
    split
}

fn key(task: &SynthTask) -> Key<'_> {
    (&task.repository, &task.bug.file, task.bug.line, task.bug.kind)
}

//! Finds the longest match in windows that only shrink, without looking at every pair of elements.
//!
//! For each element of `a` it keeps the longest run that ends there and may occur in its window. Windows of one
//! level do not overlap and later ones lie within earlier ones, so a run that is too long for one is so for all
//! after it: it is shortened when it is the longest of its window and does not fit, and never grows again.
//!
//! Guarantees O((n + m + s) log² (n + m)) time and O(n + m) words, with s the shortenings. When a run is
//! shortened for the k-th time before the last, its window's match is at least k long, and the matches of nested
//! windows do not overlap: hence s ≤ n √(2 min(n, m)) + n.

use super::automaton::{Automaton, Locus, NONE};
use super::occurrences::{Found, Occurrences};
use super::tournament::Tournament;
use super::{Block, Window};

pub(super) struct Index {
    occurrences: Occurrences,
    /// For each element of `a` the longest run that may end there, and where in `b` it was last seen.
    runs: Vec<Found>,
    /// The lengths of `runs`.
    lens: Tournament,
    /// What was last found for a state's runs, because many elements share a state in repetitive texts.
    answers: Vec<Answer>,
    windows: u32,
}

#[derive(Clone, Copy)]
struct Answer {
    window: u32,
    longest: u32,
    found: Option<Found>,
}

impl Index {
    pub(super) fn new(a: &[u32], seeds: &[u32]) -> Self {
        let automaton = Automaton::new(seeds);
        let runs: Vec<Found> =
            automaton.read(a).into_iter().map(|locus| Found { locus, end: NONE }).collect();
        let lens = Tournament::new(runs.iter().map(|run| run.locus.len));
        let answers = vec![Answer { window: 0, longest: 0, found: None }; automaton.states.len()];
        Self { occurrences: Occurrences::new(&automaton), runs, lens, answers, windows: 0 }
    }

    /// The longest run of seeds in the window, the first in `a` and then in `b`.
    pub(super) fn longest_match(&mut self, window: &Window) -> Block {
        self.windows += 1;
        while let Some((at, len)) = self.lens.first_longest(&window.a) {
            let run = self.runs[at];
            let longest = len.min((at + 1 - window.a.start) as u32);
            if longest == len && is_within(run, window) {
                return self.block(at, run.locus, window);
            }
            let found = self.longest_within(run.locus, longest, window);
            let shorter = found.map_or(0, |found| found.locus.len);
            self.runs[at] = found.unwrap_or(run);
            if shorter == len {
                return self.block(at, run.locus, window);
            }
            self.lens.shorten(at, shorter);
        }
        Block { a: window.a.start, b: window.b.start, len: 0 }
    }

    fn longest_within(&mut self, run: Locus, longest: u32, window: &Window) -> Option<Found> {
        let answer = &mut self.answers[run.state as usize];
        if (answer.window, answer.longest) != (self.windows, longest) {
            let found = self.occurrences.longest_within(run, longest, &window.b);
            *answer = Answer { window: self.windows, longest, found };
        }
        answer.found
    }

    fn block(&self, at: usize, run: Locus, window: &Window) -> Block {
        let end =
            self.occurrences.first_end(run, &window.b).expect("invariant: the run was seen in the window");
        let len = run.len as usize;
        Block { a: at + 1 - len, b: end as usize + 1 - len, len }
    }
}

/// Whether the run was last seen within the window.
fn is_within(run: Found, window: &Window) -> bool {
    let end = run.end as usize;
    end < window.b.end && window.b.start + run.locus.len as usize <= end + 1
}

//! Where the runs of a suffix automaton end, and the longest suffix of a run that occurs within a window.
//!
//! Guarantees O(n) work and memory before the first question, O(log n) for the ends of a run in a window, and
//! O(log² n) for the longest suffix.

use std::cell::OnceCell;
use std::ops::Range;

use super::automaton::{Automaton, Locus, NONE, ROOT, State};
use super::ordered::Ordered;

pub(super) struct Occurrences {
    nodes: Vec<Node>,
    /// The ends of every run; those of one state and all longer runs with it as suffix lie side by side.
    ends: Vec<u32>,
    /// Made when a state has more ends than a scan likes.
    ordered: OnceCell<Ordered>,
}

/// A state as a node of the tree of suffix links.
#[derive(Clone, Copy)]
struct Node {
    len: u32,
    link: u32,
    /// An ancestor far up, so that O(log n) steps reach every ancestor (Myers 1983, random-access stacks).
    leap: u32,
    depth: u32,
    /// Its ends: `ends[first..][..count]`.
    first: u32,
    count: u32,
}

/// A locus and where one of its occurrences ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) locus: Locus,
    pub(super) end: u32,
}

/// Up to here, measured, a scan beats the wavelet matrix.
const SCANNED: usize = 128;

impl Occurrences {
    pub(super) fn new(automaton: &Automaton) -> Self {
        let states = &automaton.states;
        let by_length = by_length(states);
        let mut nodes: Vec<Node> = states
            .iter()
            .map(|s| Node {
                len: s.len,
                link: s.link,
                leap: ROOT,
                depth: 0,
                first: 0,
                count: u32::from(s.end != NONE),
            })
            .collect();
        for &state in by_length.iter().rev().filter(|state| **state != ROOT) {
            let Node { link, count, .. } = nodes[state as usize];
            nodes[link as usize].count += count;
        }
        let mut ends = vec![0; nodes[ROOT as usize].count as usize];
        // Where the next child's ends begin.
        let mut free: Vec<u32> = vec![0; nodes.len()];
        for &state in &by_length {
            let at = state as usize;
            if state != ROOT {
                let parent = nodes[at].link as usize;
                nodes[at].first = free[parent];
                free[parent] += nodes[at].count;
                nodes[at].depth = nodes[parent].depth + 1;
                nodes[at].leap = leap_below(&nodes, nodes[at].link);
            }
            free[at] = nodes[at].first;
            if states[at].end != NONE {
                ends[free[at] as usize] = states[at].end;
                free[at] += 1;
            }
        }
        Self { nodes, ends, ordered: OnceCell::new() }
    }

    /// The longest suffix of the run, of at most `longest` symbols, that occurs within the window.
    pub(super) fn longest_within(&self, run: Locus, longest: u32, window: &Range<usize>) -> Option<Found> {
        let mut state = self.climb(run.state, |link| self.len(link) < longest);
        let fits = |state: u32| {
            let len = self.len(state).min(longest);
            let end = self.last_before(state, window.end)?;
            (window.start + len as usize <= end as usize + 1)
                .then_some(Found { locus: Locus { state, len }, end })
        };
        if let Some(found) = fits(state) {
            return Some(found);
        }
        // The parent's ends include its children's, and its runs are shorter: what fits stays so on the way up.
        state = self.climb(state, |link| fits(link).is_some());
        let shorter = fits(self.nodes[state as usize].link).expect("invariant: the empty run fits");
        // A part of the state's run may still fit, and be longer than what its parent stands for.
        let part = self
            .last_before(state, window.end)
            .filter(|end| window.start + shorter.locus.len as usize <= *end as usize);
        let found = part.map_or(shorter, |end| {
            let len = end + 1 - window.start as u32;
            Found { locus: Locus { state, len }, end }
        });
        (found.locus.len != 0).then_some(found)
    }

    /// Where the run first ends within the window, if it occurs there.
    pub(super) fn first_end(&self, run: Locus, window: &Range<usize>) -> Option<u32> {
        let from = window.start as u32 + run.len - 1;
        let stretch = self.stretch(run.state);
        if stretch.len() <= SCANNED {
            return self.ends[stretch].iter().filter(|end| from <= **end).min().copied();
        }
        let below = self.ordered().count_below(stretch.clone(), from);
        (below < stretch.len()).then(|| self.ordered().nth(stretch, below))
    }

    fn last_before(&self, state: u32, bound: usize) -> Option<u32> {
        let (bound, stretch) = (bound as u32, self.stretch(state));
        if stretch.len() <= SCANNED {
            // One more than the end, so that none is zero: branch-free.
            let last = self.ends[stretch].iter().map(|&end| if end < bound { end + 1 } else { 0 }).max()?;
            return last.checked_sub(1);
        }
        let below = self.ordered().count_below(stretch.clone(), bound);
        (below != 0).then(|| self.ordered().nth(stretch, below - 1))
    }

    /// The highest state from `state` upwards that can be reached while `stops` says no to the next; once it says
    /// yes, it says so for all above. The root is never left.
    fn climb(&self, mut state: u32, stops: impl Fn(u32) -> bool) -> u32 {
        while state != ROOT {
            let Node { link, leap, .. } = self.nodes[state as usize];
            if stops(link) {
                break;
            }
            state = if leap == link || stops(leap) { link } else { leap };
        }
        state
    }

    fn ordered(&self) -> &Ordered {
        self.ordered.get_or_init(|| Ordered::new(&self.ends))
    }

    fn stretch(&self, state: u32) -> Range<usize> {
        let node = self.nodes[state as usize];
        node.first as usize..(node.first + node.count) as usize
    }

    fn len(&self, state: u32) -> u32 {
        self.nodes[state as usize].len
    }
}

/// The leap of a child of `parent`.
fn leap_below(nodes: &[Node], parent: u32) -> u32 {
    let depth = |state: u32| nodes[state as usize].depth;
    let leap = nodes[parent as usize].leap;
    let beyond = nodes[leap as usize].leap;
    if depth(parent) - depth(leap) == depth(leap) - depth(beyond) { beyond } else { parent }
}

/// The states by the length of their longest run, shortest first: parents before children.
fn by_length(states: &[State]) -> Vec<u32> {
    let longest = states.iter().map(|state| state.len as usize).max().unwrap_or(0);
    let mut starts = vec![0; longest + 2];
    for state in states {
        starts[state.len as usize + 1] += 1;
    }
    for len in 0..=longest {
        starts[len + 1] += starts[len];
    }
    let mut sorted = vec![0; states.len()];
    for (at, state) in states.iter().enumerate() {
        let free: &mut usize = &mut starts[state.len as usize];
        sorted[*free] = at as u32;
        *free += 1;
    }
    sorted
}

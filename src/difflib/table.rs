//! The longest match in a window by dynamic programming over every pair of elements.
//!
//! Guarantees O(n m) time with a small constant, and O(m) memory that is made once.

use super::{Block, Window};

/// Two rows of the lengths of runs.
pub(super) struct Table {
    above: Vec<u32>,
    row: Vec<u32>,
}

impl Table {
    /// For windows that hold at most `longest` elements of `b`.
    pub(super) fn new(longest: usize) -> Self {
        Self { above: vec![0; longest + 1], row: vec![0; longest + 1] }
    }

    /// The longest run of seeds in the window, the first in `a` and then in `b`.
    pub(super) fn longest_match(&mut self, a: &[u32], seeds: &[u32], window: &Window) -> Block {
        let mut best = Block { a: window.a.start, b: window.b.start, len: 0 };
        let seeds = &seeds[window.b.clone()];
        // `above[j]` is the length of the run that ends before `a[i]` and `seeds[j]`.
        let (mut above, mut row) = (&mut self.above[..=seeds.len()], &mut self.row[..=seeds.len()]);
        above.fill(0);
        row[0] = 0;
        for i in window.a.clone() {
            let longest = advance(a[i], seeds, above, &mut row[1..]) as usize;
            if best.len < longest {
                let end = row[1..].iter().position(|&len| len as usize == longest);
                let end = end.expect("invariant: the row holds its maximum");
                best = Block { a: i + 1 - longest, b: window.b.start + end + 1 - longest, len: longest };
            }
            std::mem::swap(&mut above, &mut row);
        }
        best
    }
}

/// Fills the next row of run lengths and gives its maximum. Branch-free, so that it becomes vector code.
fn advance(element: u32, seeds: &[u32], above: &[u32], row: &mut [u32]) -> u32 {
    let mut longest = 0;
    for ((seed, before), len) in seeds.iter().zip(above).zip(row) {
        *len = if *seed == element { before + 1 } else { 0 };
        longest = longest.max(*len);
    }
    longest
}

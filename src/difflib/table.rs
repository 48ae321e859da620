//! The longest match in a window by dynamic programming over every pair of elements.
//!
//! Guarantees O(n m) time for a window of n by m, many pairs at a time, and O(n + m) memory, for
//! runs of at most 65,535.

use std::collections::HashMap;
use std::ops::Range;

use super::{Block, Window};

pub(super) struct Table {
    a: Vec<u16>,
    seeds: Vec<u16>,
    /// The seeds of the window between lanes of [`NO_SEED`].
    padded: Vec<u16>,
    /// The length of the run on each diagonal, the last row's first column first. A run keeps its place from row to
    /// row, so that what was just stored is loaded whole.
    runs: Vec<u16>,
}

/// Rows are whole multiples of what the compiler's vector loop takes at once: nothing is left for a slow one.
const LANES: usize = 64;

/// Characters beyond 16 bits are numbered in the order of their appearance by surrogates, which are no characters.
const SURROGATES: Range<u16> = 0xd800..0xdffe;
const NO_SEED: u16 = 0xdffe;
const NOT_IN_SEEDS: u16 = 0xdfff;

impl Table {
    /// None where the seeds have more characters than 16 bits can tell apart.
    pub(super) fn new(a: &[u32], seeds: &[u32]) -> Option<Self> {
        let mut surrogates: HashMap<u32, u16> = HashMap::new();
        let mut free = SURROGATES;
        let mut narrow_seed = |&seed: &u32| match u16::try_from(seed) {
            Ok(narrow) => Some(narrow),
            Err(_) if u32::from(char::MAX) < seed => Some(NO_SEED),
            Err(_) => match surrogates.get(&seed) {
                Some(known) => Some(*known),
                None => free.next().inspect(|new| _ = surrogates.insert(seed, *new)),
            },
        };
        let seeds = seeds.iter().map(&mut narrow_seed).collect::<Option<Vec<u16>>>()?;
        let known = |wide: &u32| surrogates.get(wide).copied().unwrap_or(NOT_IN_SEEDS);
        let a = a.iter().map(|wide| u16::try_from(*wide).unwrap_or_else(|_| known(wide))).collect();
        Some(Self { a, seeds, padded: Vec::new(), runs: Vec::new() })
    }

    /// The longest run of seeds in the window, the first in `a` and then in `b`.
    pub(super) fn longest_match(&mut self, window: &Window) -> Block {
        let (rows, columns) = (window.a.len(), window.b.len());
        self.padded.clear();
        self.padded.resize(LANES, NO_SEED);
        self.padded.extend_from_slice(&self.seeds[window.b.clone()]);
        self.padded.resize(columns + 2 * LANES, NO_SEED);
        self.runs.clear();
        self.runs.resize((rows + columns).next_multiple_of(LANES), 0);
        let (mut end, mut len) = (window.a.start, 0);
        for (row, i) in window.a.clone().enumerate() {
            // Where the first column's diagonal stands; whole vectors around the row.
            let first = rows - 1 - row;
            let before = first % LANES;
            let runs = &mut self.runs[first - before..(first + columns).next_multiple_of(LANES)];
            let seeds = &self.padded[LANES - before..][..runs.len()];
            let longest = usize::from(advance(self.a[i], seeds, runs));
            if len < longest {
                (end, len) = (i + 1, longest);
            }
        }
        let a = end - len;
        Block { a, b: window.b.start + self.first(&self.a[a..end], window), len }
    }

    /// Where the run first starts in the window. Later than the rows, because most rows of a long run raise the maximum.
    fn first(&self, run: &[u16], window: &Window) -> usize {
        if run.is_empty() {
            return 0;
        }
        let mut places = self.seeds[window.b.clone()].windows(run.len());
        places.position(|place| place == run).expect("invariant: the window holds the run")
    }
}

/// Takes the runs to the next row and gives the longest. Branch-free over whole vectors, so that it becomes vector code.
fn advance(element: u16, seeds: &[u16], runs: &mut [u16]) -> u16 {
    let mut longest = 0;
    for (seed, run) in seeds.iter().zip(runs) {
        *run = if *seed == element { *run + 1 } else { 0 };
        longest = longest.max(*run);
    }
    longest
}

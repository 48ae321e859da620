//! CPython's `difflib.SequenceMatcher(None, a, b, autojunk=…)` on Unicode code points.
//!
//! Guarantees the same matching blocks and a bit-equal `ratio` as CPython's, on every input. Not symmetric:
//! `a` and `b` keep CPython's roles. Knows no junk function, because nobody here passes one. Never quadratic, where
//! CPython's is cubic: small windows are searched by a table, large ones by an index; `index` says how the work grows.

mod automaton;
mod index;
mod occurrences;
mod ordered;
mod table;
mod tournament;

use std::collections::HashMap;
use std::ops::Range;

use index::Index;
use table::Table;

/// Python's heuristic for popular elements of `b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Autojunk {
    /// Python's default: once `b` has 200 elements, those that fill over 1 % of it cannot start a match.
    On,
    /// Every element counts, so that rewards do not jump at 200 characters.
    #[default]
    Off,
}

/// `a[a_start..][..len] == b[b_start..][..len]`, a maximal run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// Where it starts in `a`, in code points.
    pub a: usize,
    /// Where it starts in `b`, in code points.
    pub b: usize,
    /// Its code points.
    pub len: usize,
}

/// Twice the matched code points over all code points: 1 for equal texts, also for two empty ones.
pub fn ratio(a: &str, b: &str, autojunk: Autojunk) -> f64 {
    let total = a.chars().count() + b.chars().count();
    ratio_of(&matching_blocks(a, b, autojunk), total)
}

/// The ratio of texts that have `total` code points together and match in `blocks`.
pub fn ratio_of(blocks: &[Block], total: usize) -> f64 {
    if total == 0 {
        return 1.0;
    }
    let matched: usize = blocks.iter().map(|block| block.len).sum();
    // In this order: Python multiplies before it divides.
    2.0 * matched as f64 / total as f64
}

/// The runs that both texts share, in order, without Python's empty block at the end.
pub fn matching_blocks(a: &str, b: &str, autojunk: Autojunk) -> Vec<Block> {
    let [a, b] = [a, b].map(code_points);
    let tabled = if a.len() * b.len() <= NOT_INDEXED { usize::MAX } else { TABLED };
    Matcher::new(a, b, autojunk, tabled).blocks()
}

/// Joins blocks that touch in both texts.
fn joined(blocks: &[Block]) -> Vec<Block> {
    let mut joined: Vec<Block> = Vec::with_capacity(blocks.len());
    for block in blocks {
        match joined.last_mut() {
            Some(last) if last.a + last.len == block.a && last.b + last.len == block.b => {
                last.len += block.len;
            }
            _ => joined.push(*block),
        }
    }
    joined
}

#[derive(Debug, Clone)]
struct Window {
    a: Range<usize>,
    b: Range<usize>,
}

impl Window {
    fn pairs(&self) -> usize {
        self.a.len() * self.b.len()
    }
}

/// Texts of up to so many pairs of elements are, measured, searched sooner than indexed.
const NOT_INDEXED: usize = 1 << 18;

/// Beside an index, a window of up to so many pairs is, measured, searched sooner by the table. Bounds the work of many
/// small windows at O(n) times itself.
const TABLED: usize = 1 << 12;

fn code_points(text: &str) -> Vec<u32> {
    text.chars().map(u32::from).collect()
}

/// Both texts as numbers, and the two ways of searching them.
struct Matcher {
    a: Vec<u32>,
    b: Vec<u32>,
    /// `b` with what equals nothing in place of popular elements: what may start a match.
    seeds: Vec<u32>,
    /// None where `b` has more characters than it can hold.
    table: Option<Table>,
    /// Made for the first window that is too large for the table.
    index: Option<Index>,
    tabled: usize,
}

impl Matcher {
    /// With a table for windows of up to `tabled` pairs and an index for larger ones.
    fn new(a: Vec<u32>, b: Vec<u32>, autojunk: Autojunk, tabled: usize) -> Self {
        let seeds = match autojunk {
            Autojunk::On => without_popular(&b),
            Autojunk::Off => b.clone(),
        };
        let table = Table::new(&a, &seeds);
        Self { a, b, seeds, table, index: None, tabled }
    }

    fn blocks(&mut self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut pending = vec![Window { a: 0..self.a.len(), b: 0..self.b.len() }];
        while let Some(window) = pending.pop() {
            if window.pairs() == 0 {
                continue;
            }
            let block = self.longest_match(&window);
            if block.len == 0 {
                continue;
            }
            let left = Window { a: window.a.start..block.a, b: window.b.start..block.b };
            let right = Window { a: block.a + block.len..window.a.end, b: block.b + block.len..window.b.end };
            pending.extend([left, right]);
            blocks.push(block);
        }
        blocks.sort_unstable();
        joined(&blocks)
    }

    /// The longest run of seeds in the window, the first in `a` and then in `b`, grown over popular neighbours.
    fn longest_match(&mut self, window: &Window) -> Block {
        let seeded = match &mut self.table {
            Some(table) if window.pairs() <= self.tabled => table.longest_match(window),
            _ => {
                let index = self.index.get_or_insert_with(|| Index::new(&self.a, &self.seeds));
                index.longest_match(window)
            }
        };
        self.grown(seeded, window)
    }

    fn grown(&self, mut block: Block, window: &Window) -> Block {
        while window.a.start < block.a
            && window.b.start < block.b
            && self.a[block.a - 1] == self.b[block.b - 1]
        {
            block = Block { a: block.a - 1, b: block.b - 1, len: block.len + 1 };
        }
        while block.a + block.len < window.a.end
            && block.b + block.len < window.b.end
            && self.a[block.a + block.len] == self.b[block.b + block.len]
        {
            block.len += 1;
        }
        block
    }
}

/// Equal to no code point.
const BEYOND_UNICODE: u32 = char::MAX as u32 + 1;

/// `b` with a number of its own for each popular element, so that no run of `a` has it and none repeats.
fn without_popular(b: &[u32]) -> Vec<u32> {
    const SMALLEST: usize = 200;
    if b.len() < SMALLEST {
        return b.to_vec();
    }
    let mut counts: HashMap<u32, usize> = HashMap::new();
    for &element in b {
        *counts.entry(element).or_default() += 1;
    }
    let bound = b.len() / 100 + 1;
    let seed = |(at, &element)| if bound < counts[&element] { BEYOND_UNICODE + at as u32 } else { element };
    b.iter().enumerate().map(seed).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(a: &str, b: &str, autojunk: Autojunk, tabled: usize) -> Vec<Block> {
        Matcher::new(code_points(a), code_points(b), autojunk, tabled).blocks()
    }

    /// Whether the index, alone and together with the table, finds what the table finds.
    fn ways_agree(a: &str, b: &str) -> Result<(), TestCaseError> {
        for autojunk in [Autojunk::Off, Autojunk::On] {
            let expected = chosen(a, b, autojunk, usize::MAX);
            for tabled in [0, 60, 1000] {
                prop_assert_eq!(
                    &chosen(a, b, autojunk, tabled),
                    &expected,
                    "{:?} {} {:?} {:?}",
                    autojunk,
                    tabled,
                    a,
                    b
                );
            }
        }
        Ok(())
    }

    /// A text over the first `symbols` characters from `first` on, which lie below, within and beyond 16 bits.
    fn text(symbols: u32, first: u32, length: usize) -> impl Strategy<Value = String> {
        let symbol = (0..symbols).prop_map(move |at| char::from_u32(first + at).expect("a character"));
        prop::collection::vec(symbol, 0..length).prop_map(String::from_iter)
    }

    fn texts() -> impl Strategy<Value = (String, String)> {
        let alphabets = [(1, 0), (2, u32::from('a')), (3, 0), (20, 0x1f600), (5000, 0x4e00)];
        prop::sample::select(alphabets.to_vec()).prop_flat_map(|(symbols, first)| {
            let text = move || text(symbols, first, 450);
            (text(), text())
        })
    }

    /// What editing leaves: mostly the same runs, some gone, some twice, some new.
    fn edited() -> impl Strategy<Value = (String, String)> {
        let part = || text(4, u32::from('a'), 40);
        let edit = (part(), part(), 0..6_u8).prop_map(|(old, new, kind)| match kind {
            0 => (old, new),
            1 => (old, String::new()),
            2 => (String::new(), new),
            3 => (old.clone(), old.repeat(2)),
            _ => (old.clone(), old),
        });
        prop::collection::vec(edit, 0..25).prop_map(|edits| edits.into_iter().unzip())
    }

    fn periodic() -> impl Strategy<Value = (String, String)> {
        let text = || (text(3, u32::from('a'), 12), 0..60_usize, text(3, u32::from('a'), 5));
        let repeated = |(period, times, rest): (String, usize, String)| period.repeat(times) + &rest;
        (text(), text()).prop_map(move |(a, b)| (repeated(a), repeated(b)))
    }

    proptest! {
        #[test]
        fn index_equals_table_on_random_texts((a, b) in texts()) {
            ways_agree(&a, &b)?;
        }

        #[test]
        fn index_equals_table_on_edited_texts((a, b) in edited()) {
            ways_agree(&a, &b)?;
        }

        #[test]
        fn index_equals_table_on_periodic_texts((a, b) in periodic()) {
            ways_agree(&a, &b)?;
        }
    }

    #[test]
    fn roles_are_not_interchangeable() {
        // python3 -c "from difflib import SequenceMatcher as S; print(S(None,'tide','diet').ratio(), S(None,'diet','tide').ratio())"
        assert_eq!(ratio("tide", "diet", Autojunk::Off), 0.25);
        assert_eq!(ratio("diet", "tide", Autojunk::Off), 0.5);
    }

    #[test]
    fn empty_texts_are_equal_and_unlike_all_others() {
        assert_eq!(ratio("", "", Autojunk::Off), 1.0);
        assert_eq!(ratio("", "a", Autojunk::Off), 0.0);
    }

    #[test]
    fn elements_are_code_points_not_bytes() {
        assert_eq!(matching_blocks("naïve", "naive", Autojunk::Off).len(), 2);
        assert_eq!(ratio("äö", "äü", Autojunk::Off), 0.5);
    }

    #[test]
    fn more_characters_than_the_table_holds_are_indexed() {
        let b: String = (0..3000).filter_map(|at| char::from_u32(0x20000 + at)).collect();
        let a: String = b.chars().filter(|symbol| u32::from(*symbol) != 0x20000 + 1000).collect();
        let blocks = [Block { a: 0, b: 0, len: 1000 }, Block { a: 1000, b: 1001, len: 1999 }];
        assert_eq!(matching_blocks(&a, &b, Autojunk::Off), blocks);
    }

    #[test]
    fn touching_blocks_are_joined() {
        let blocks = matching_blocks("abxcd", "abxcd", Autojunk::Off);
        assert_eq!(blocks, [Block { a: 0, b: 0, len: 5 }]);
    }
}

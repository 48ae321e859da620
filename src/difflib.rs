//! CPython's `difflib.SequenceMatcher(None, a, b, autojunk=…)` on Unicode code points.
//!
//! Guarantees the same matching blocks and a bit-equal `ratio` as CPython's, on every input. Not symmetric:
//! `a` and `b` keep CPython's roles. Knows no junk function, because nobody here passes one.

use std::collections::HashMap;

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
    let mut matcher = Matcher::new(a, b, autojunk);
    let mut blocks = Vec::new();
    let mut pending = vec![Window { a: 0..matcher.a.len(), b: 0..matcher.b.len() }];
    while let Some(window) = pending.pop() {
        let block = matcher.longest_match(&window);
        if block.len == 0 {
            continue;
        }
        let left = Window { a: window.a.start..block.a, b: window.b.start..block.b };
        let right = Window { a: block.a + block.len..window.a.end, b: block.b + block.len..window.b.end };
        pending.extend([left, right].into_iter().filter(|w| !w.a.is_empty() && !w.b.is_empty()));
        blocks.push(block);
    }
    blocks.sort_unstable();
    joined(&blocks)
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

struct Window {
    a: std::ops::Range<usize>,
    b: std::ops::Range<usize>,
}

/// Both texts as small numbers, and the rows of the search.
struct Matcher {
    a: Vec<u32>,
    b: Vec<u32>,
    /// `b` with [`NEVER`] in place of popular elements: what may start a match.
    seeds: Vec<u32>,
    above: Vec<u32>,
    row: Vec<u32>,
}

/// Equal to no code point.
const NEVER: u32 = u32::MAX;

impl Matcher {
    fn new(a: &str, b: &str, autojunk: Autojunk) -> Self {
        let a: Vec<u32> = a.chars().map(u32::from).collect();
        let b: Vec<u32> = b.chars().map(u32::from).collect();
        let seeds = match autojunk {
            Autojunk::On => without_popular(&b),
            Autojunk::Off => b.clone(),
        };
        let width = b.len() + 1;
        Self { a, b, seeds, above: vec![0; width], row: vec![0; width] }
    }

    /// The longest run of seeds in the window, the first in `a` and then in `b`, grown over popular neighbours.
    fn longest_match(&mut self, window: &Window) -> Block {
        let mut best = Block { a: window.a.start, b: window.b.start, len: 0 };
        let seeds = &self.seeds[window.b.clone()];
        // `above[j]` is the length of the run that ends before `a[i]` and `seeds[j]`.
        let (mut above, mut row) = (&mut self.above[..=seeds.len()], &mut self.row[..=seeds.len()]);
        above.fill(0);
        row[0] = 0;
        for i in window.a.clone() {
            let longest = advance(self.a[i], seeds, above, &mut row[1..]) as usize;
            if best.len < longest {
                let end = row[1..].iter().position(|&len| len as usize == longest);
                let end = end.expect("invariant: the row holds its maximum");
                best = Block { a: i + 1 - longest, b: window.b.start + end + 1 - longest, len: longest };
            }
            std::mem::swap(&mut above, &mut row);
        }
        self.grown(best, window)
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

/// Fills the next row of run lengths and gives its maximum. Branch-free, so that it becomes vector code.
fn advance(element: u32, seeds: &[u32], above: &[u32], row: &mut [u32]) -> u32 {
    let mut longest = 0;
    for ((seed, before), len) in seeds.iter().zip(above).zip(row) {
        *len = if *seed == element { before + 1 } else { 0 };
        longest = longest.max(*len);
    }
    longest
}

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
    b.iter().map(|element| if bound < counts[element] { NEVER } else { *element }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn touching_blocks_are_joined() {
        let blocks = matching_blocks("abxcd", "abxcd", Autojunk::Off);
        assert_eq!(blocks, [Block { a: 0, b: 0, len: 5 }]);
    }
}

//! Order within any stretch of a sequence: how many numbers lie below a bound, which is the n-th smallest.
//!
//! Guarantees O(log n) for each question after O(n log n) work, in n log n bits: a wavelet matrix.

use std::ops::Range;

pub(super) struct Ordered {
    /// From the highest bit to the lowest; each level holds the sequence stably sorted by the bits above.
    levels: Vec<Level>,
}

struct Level {
    words: Vec<Word>,
    zeros: usize,
}

/// One bit of 64 numbers.
#[derive(Clone, Copy, Default)]
struct Word {
    bits: u64,
    ones_before: u32,
}

impl Ordered {
    pub(super) fn new(numbers: &[u32]) -> Self {
        let highest = numbers.iter().max().copied().unwrap_or(0);
        let bits = u32::BITS - highest.leading_zeros();
        let mut numbers = numbers.to_vec();
        let levels = (0..bits)
            .rev()
            .map(|bit| {
                let level = Level::new(&numbers, bit);
                let (zeros, ones): (Vec<u32>, Vec<u32>) =
                    numbers.iter().partition(|&number| number >> bit & 1 == 0);
                numbers = [zeros, ones].concat();
                level
            })
            .collect();
        Self { levels }
    }

    /// How many numbers of the stretch are below `bound`.
    pub(super) fn count_below(&self, mut stretch: Range<usize>, bound: u32) -> usize {
        if u64::from(bound) >> self.levels.len() != 0 {
            return stretch.len();
        }
        let mut below = 0;
        for (level, bit) in self.levels.iter().zip((0..self.levels.len()).rev()) {
            let zeros = level.zeros_of(&stretch);
            if bound >> bit & 1 == 0 {
                stretch = zeros;
            } else {
                below += zeros.len();
                stretch = level.ones_of(&stretch, &zeros);
            }
        }
        below
    }

    /// The number of the stretch that has `rank` numbers before it in ascending order.
    pub(super) fn nth(&self, mut stretch: Range<usize>, mut rank: usize) -> u32 {
        let mut number = 0;
        for level in &self.levels {
            let zeros = level.zeros_of(&stretch);
            number <<= 1;
            if rank < zeros.len() {
                stretch = zeros;
            } else {
                rank -= zeros.len();
                number |= 1;
                stretch = level.ones_of(&stretch, &zeros);
            }
        }
        number
    }
}

impl Level {
    fn new(numbers: &[u32], bit: u32) -> Self {
        let mut words = vec![Word::default(); numbers.len() / 64 + 1];
        for (at, number) in numbers.iter().enumerate() {
            words[at / 64].bits |= u64::from(number >> bit & 1) << (at % 64);
        }
        let mut ones = 0;
        for word in &mut words {
            word.ones_before = ones;
            ones += word.bits.count_ones();
        }
        Self { words, zeros: numbers.len() - ones as usize }
    }

    fn zeros_before(&self, at: usize) -> usize {
        let word = self.words[at / 64];
        let within = word.bits & ((1 << (at % 64)) - 1);
        at - (word.ones_before + within.count_ones()) as usize
    }

    /// Where the stretch's numbers without the bit stand on the next level.
    fn zeros_of(&self, stretch: &Range<usize>) -> Range<usize> {
        self.zeros_before(stretch.start)..self.zeros_before(stretch.end)
    }

    /// Where those with the bit stand.
    fn ones_of(&self, stretch: &Range<usize>, zeros: &Range<usize>) -> Range<usize> {
        self.zeros + stretch.start - zeros.start..self.zeros + stretch.end - zeros.end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn answers_are_those_of_a_sorted_copy(
            numbers in prop::collection::vec(0..300_u32, 1..200),
            from in 0..200_usize, to in 0..200_usize, bound in 0..600_u32,
        ) {
            let (from, to) = (from.min(to).min(numbers.len()), from.max(to).min(numbers.len()));
            let ordered = Ordered::new(&numbers);
            let mut sorted = numbers[from..to].to_vec();
            sorted.sort_unstable();
            prop_assert_eq!(ordered.count_below(from..to, bound), sorted.iter().filter(|n| **n < bound).count());
            for (rank, &number) in sorted.iter().enumerate() {
                prop_assert_eq!(ordered.nth(from..to, rank), number);
            }
        }
    }
}

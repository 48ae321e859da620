//! The first largest of a stretch of numbers that fall.
//!
//! Guarantees O(log n) for a question and for a change.

use std::ops::Range;

pub(super) struct Tournament {
    /// A tree in an array: the entrants from `entrants` on, the winner of `2 i` and `2 i + 1` at `i`. An entrant is
    /// its number above the bits of its place from behind, so that the larger one is the larger number or the first.
    players: Vec<u64>,
    entrants: usize,
}

impl Tournament {
    pub(super) fn new(numbers: impl ExactSizeIterator<Item = u32>) -> Self {
        let entrants = numbers.len();
        let mut players = vec![0; entrants];
        players.extend(numbers.enumerate().map(|(at, number)| player(at, number)));
        for at in (1..entrants).rev() {
            players[at] = players[2 * at].max(players[2 * at + 1]);
        }
        Self { players, entrants }
    }

    /// The first largest number of the stretch and its place, unless all are zero.
    pub(super) fn first_longest(&self, stretch: &Range<usize>) -> Option<(usize, u32)> {
        let (mut from, mut to) = (stretch.start + self.entrants, stretch.end + self.entrants);
        let mut winner = 0;
        while from < to {
            if from % 2 == 1 {
                winner = self.players[from].max(winner);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                winner = self.players[to].max(winner);
            }
            (from, to) = (from / 2, to / 2);
        }
        let number = (winner >> 32) as u32;
        (number != 0).then_some(((u32::MAX - winner as u32) as usize, number))
    }

    pub(super) fn shorten(&mut self, at: usize, number: u32) {
        let mut node = at + self.entrants;
        self.players[node] = player(at, number);
        while 1 < node {
            node /= 2;
            let winner = self.players[2 * node].max(self.players[2 * node + 1]);
            if self.players[node] == winner {
                break;
            }
            self.players[node] = winner;
        }
    }
}

fn player(at: usize, number: u32) -> u64 {
    u64::from(number) << 32 | u64::from(u32::MAX - at as u32)
}

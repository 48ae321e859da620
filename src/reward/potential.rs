//! Potentials: how far a repository is on the way to a resolved task.
//!
//! A step's outcome is the difference of two potentials, so the outcomes along a path add up to the difference of its ends
//! (potential-based shaping, Ng, Harada and Russell 1999): no detour is worth more than the way.

/// The share that the tests which must start to pass have together; those that must keep passing have the rest. They are
/// what the task is about, and a repair must be worth more than leaving all alone.
const TELLING: f64 = 0.75;

/// Tests that are as the task expects them, and all that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passing {
    /// Of those that must start to pass.
    pub telling: (usize, usize),
    /// Of those that must keep passing.
    pub keeping: (usize, usize),
}

impl Passing {
    /// In [0, 1], 1 where every test is as expected; nothing where the task names no test.
    pub fn potential(self) -> Option<f64> {
        let share = |(passing, all): (usize, usize)| (0 < all).then(|| passing as f64 / all as f64);
        match (share(self.telling), share(self.keeping)) {
            (Some(telling), Some(keeping)) => Some(TELLING * telling + (1.0 - TELLING) * keeping),
            (telling, keeping) => telling.or(keeping),
        }
    }
}

/// What a step did to the outcome, in [−1, 1].
pub fn outcome(before: f64, after: f64) -> f64 {
    after - before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn potential(telling: (usize, usize), keeping: (usize, usize)) -> f64 {
        Passing { telling, keeping }.potential().unwrap()
    }

    #[test]
    fn a_potential_is_one_only_where_every_test_is_as_expected() {
        assert_eq!(potential((2, 2), (8, 8)), 1.0);
        assert_eq!(potential((0, 2), (8, 8)), 0.25);
        assert_eq!(potential((1, 2), (4, 8)), 0.5);
        assert_eq!((potential((1, 2), (0, 0)), potential((0, 0), (3, 4))), (0.5, 0.75));
        assert_eq!(Passing::default().potential(), None);
    }

    #[test]
    fn outcomes_along_a_path_add_up_to_the_difference_of_its_ends() {
        // Nothing, a test is broken, one starts to pass, the broken one is repaired, all pass.
        let path = [((0, 2), (8, 8)), ((0, 2), (7, 8)), ((1, 2), (7, 8)), ((1, 2), (8, 8)), ((2, 2), (8, 8))];
        let potentials = path.map(|(telling, keeping)| potential(telling, keeping));
        let sum: f64 = potentials.windows(2).map(|step| outcome(step[0], step[1])).sum();
        assert!((sum - 0.75).abs() < 1e-12, "{sum}");
    }
}

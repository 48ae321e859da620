//! Arithmetic and geometric sequences.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{Problem, Work};

/// A term of an arithmetic sequence.
pub(super) fn term(rng: &mut ChaCha8Rng) -> Problem {
    let (first, step, n) = (rng.random_range(1..=40), rng.random_range(2..=15), rng.random_range(8..=60));
    let last = first + (n - 1) * step;
    arithmetic(first, step, n).problem(
        format!(
            "An arithmetic sequence begins {first}, {}, {}. What is its term number {n}?",
            first + step,
            first + 2 * step
        ),
        last,
    )
}

/// The sum of an arithmetic sequence.
pub(super) fn sum(rng: &mut ChaCha8Rng) -> Problem {
    let (first, step, n) = (rng.random_range(1..=20), rng.random_range(2..=9), rng.random_range(6..=30));
    let last = first + (n - 1) * step;
    let total = n * (first + last) / 2;
    arithmetic(first, step, n)
        .step("Add first and last", format!("{first} + {last} = {}", first + last))
        .step("Take the pairs", format!("{n} * {} / 2 = {total}", first + last))
        .problem(
            format!(
                "An arithmetic sequence begins {first}, {}, {}. What is the sum of its first {n} terms?",
                first + step,
                first + 2 * step
            ),
            total,
        )
}

/// How to get to a term.
fn arithmetic(first: i64, step: i64, n: i64) -> Work {
    Work::new()
        .step("Find the difference", format!("{} - {first} = {step}", first + step))
        .step("Count the differences", format!("{n} - 1 = {}", n - 1))
        .step("Multiply", format!("{} * {step} = {}", n - 1, (n - 1) * step))
        .step("Add", format!("{first} + {} = {}", (n - 1) * step, first + (n - 1) * step))
}

/// A term of a geometric sequence.
pub(super) fn geometric(rng: &mut ChaCha8Rng) -> Problem {
    let (first, ratio, n) = (rng.random_range(2..=40), rng.random_range(2..=4), rng.random_range(5..=7));
    let mut value = first * ratio * ratio;
    let mut work = Work::new().step("Find the ratio", format!("{} / {first} = {ratio}", first * ratio));
    for place in 4..=n {
        let next = value * ratio;
        work = work.step(&format!("Term {place}"), format!("{value} * {ratio} = {next}"));
        value = next;
    }
    work.problem(
        format!(
            "A geometric sequence begins {first}, {}, {}. What is its term number {n}?",
            first * ratio,
            first * ratio * ratio
        ),
        value,
    )
}

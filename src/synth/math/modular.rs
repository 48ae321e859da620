//! Remainders: of sums, products and powers.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{Problem, Work};

/// `a + b` modulo `m`.
pub(super) fn sum(rng: &mut ChaCha8Rng) -> Problem {
    let (a, b) = (rng.random_range(100..=999), rng.random_range(100..=999));
    let m = rng.random_range(5..=19);
    let (p, q) = (a % m, b % m);
    Work::new()
        .step("Reduce the first number", remainder(a, m))
        .step("Reduce the second number", remainder(b, m))
        .step("Add", format!("{p} + {q} = {}", p + q))
        .step("Reduce the sum", remainder(p + q, m))
        .problem(format!("What is the remainder of {a} + {b} when divided by {m}?"), (a + b) % m)
}

/// `a * b` modulo `m`.
pub(super) fn product(rng: &mut ChaCha8Rng) -> Problem {
    let (a, b) = (rng.random_range(20..=199), rng.random_range(20..=199));
    let m = rng.random_range(5..=19);
    let (p, q) = (a % m, b % m);
    Work::new()
        .step("Reduce the first factor", remainder(a, m))
        .step("Reduce the second factor", remainder(b, m))
        .step("Multiply", format!("{p} * {q} = {}", p * q))
        .step("Reduce the product", remainder(p * q, m))
        .problem(format!("What is the remainder of {a} * {b} when divided by {m}?"), a * b % m)
}

/// `a^n` modulo `m`, one factor at a time.
pub(super) fn power(rng: &mut ChaCha8Rng) -> Problem {
    let (a, n, m) = (rng.random_range(2..=19), rng.random_range(3..=5), rng.random_range(6..=23));
    let mut value = a % m;
    let mut work = Work::new().step("Reduce the base", remainder(a, m));
    for exponent in 2..=n {
        let next = value * (a % m);
        let body = format!("{value} * {} = {next}, and {}", a % m, remainder(next, m));
        work = work.step(&format!("Power {exponent}"), body);
        value = next % m;
    }
    work.problem(format!("What is the remainder of {a}^{n} when divided by {m}?"), value)
}

/// `12 = 1 * 7 + 5`, so the remainder is 5.
fn remainder(number: i64, m: i64) -> String {
    let (times, rest) = (number / m, number % m);
    format!("{number} = {times} * {m} + {rest}, so the remainder is {rest}")
}

//! Linear equations in one and two unknowns.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{Problem, Work};

/// `+ 3` or `- 3`.
fn signed(number: i64) -> String {
    format!("{} {}", if number < 0 { '-' } else { '+' }, number.abs())
}

/// `ax + b = c`.
pub(super) fn one_side(rng: &mut ChaCha8Rng) -> Problem {
    let (a, x, b) = (rng.random_range(2..=12), rng.random_range(-12..=12), rng.random_range(1..=30));
    let c = a * x + b;
    Work::new()
        .step("Isolate the term", format!("{a}x = {c} - {b} = {}", c - b))
        .step("Divide", format!("x = {} / {a} = {x}", c - b))
        .problem(format!("Solve for x: {a}x + {b} = {c}."), x)
}

/// `ax + b = cx + d`.
pub(super) fn both_sides(rng: &mut ChaCha8Rng) -> Problem {
    let (c, more) = (rng.random_range(2..=9), rng.random_range(2..=9));
    let (x, b) = (rng.random_range(-9..=9), rng.random_range(1..=30));
    let (a, d) = (c + more, more * x + b);
    Work::new()
        .step("Collect the unknown", format!("{a} - {c} = {more}, so {more}x + {b} = {d}"))
        .step("Isolate the term", format!("{more}x = {d} - {b} = {}", d - b))
        .step("Divide", format!("x = {} / {more} = {x}", d - b))
        .problem(format!("Solve for x: {a}x + {b} = {c}x {}.", signed(d)), x)
}

/// `a(x + b) = c`.
pub(super) fn brackets(rng: &mut ChaCha8Rng) -> Problem {
    let (a, x, b) = (rng.random_range(2..=9), rng.random_range(-9..=12), rng.random_range(1..=15));
    let c = a * (x + b);
    Work::new()
        .step("Expand", format!("{a} * {b} = {}, so {a}x + {} = {c}", a * b, a * b))
        .step("Isolate the term", format!("{a}x = {c} - {} = {}", a * b, a * x))
        .step("Divide", format!("x = {} / {a} = {x}", a * x))
        .problem(format!("Solve for x: {a}(x + {b}) = {c}."), x)
}

/// Two numbers by their sum and difference.
pub(super) fn sum_and_difference(rng: &mut ChaCha8Rng) -> Problem {
    let (small, apart) = (rng.random_range(3..=60), rng.random_range(2..=40));
    let (large, sum) = (small + apart, 2 * small + apart);
    Work::new()
        .step("Add the equations", format!("twice the larger number is {sum} + {apart} = {}", 2 * large))
        .step("Halve", format!("the larger number is {} / 2 = {large}", 2 * large))
        .step("Find the other", format!("the smaller number is {sum} - {large} = {small}"))
        .step("Multiply", format!("{large} * {small} = {}", large * small))
        .problem(
            format!("Two numbers have the sum {sum} and the difference {apart}. What is their product?"),
            large * small,
        )
}

/// A rectangle by its perimeter and how its sides differ.
pub(super) fn rectangle(rng: &mut ChaCha8Rng) -> Problem {
    let (width, more) = (rng.random_range(2..=40), rng.random_range(1..=20));
    let (length, perimeter) = (width + more, 2 * (2 * width + more));
    let half = perimeter / 2;
    Work::new()
        .step("Halve the perimeter", format!("length and width together are {perimeter} / 2 = {half}"))
        .step("Take the difference away", format!("twice the width is {half} - {more} = {}", 2 * width))
        .step(
            "Find the sides",
            format!("the width is {} / 2 = {width}, the length is {width} + {more} = {length}", 2 * width),
        )
        .step("Multiply", format!("{length} * {width} = {}", length * width))
        .problem(
            format!(
                "A rectangle has the perimeter {perimeter}. Its length is {more} more than its width. What is its area?"
            ),
            length * width,
        )
}

//! Fractions: sums, differences, products, quotients, parts of a whole.

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::ratio::{Ratio, gcd, lcm};
use super::{Problem, Work};

/// A proper fraction in lowest terms.
fn proper(rng: &mut ChaCha8Rng) -> Ratio {
    let bottom = rng.random_range(2..=15);
    Ratio::new(rng.random_range(1..bottom), bottom)
}

/// The last step: a fraction as it came out, in lowest terms.
fn reduced(work: Work, top: i64, bottom: i64) -> Work {
    let divisor = gcd(top, bottom);
    let value = Ratio::new(top, bottom);
    let body = match divisor {
        1 => format!("{top} and {bottom} have no common factor, so the fraction stays {value}"),
        _ => format!("both are divisible by {divisor}, so {top}/{bottom} = {value}"),
    };
    work.step("Reduce", body)
}

/// `a/b + c/d`.
pub(super) fn sum(rng: &mut ChaCha8Rng) -> Problem {
    let (left, right) = (proper(rng), proper(rng));
    let (work, [a, b], common) = on_a_common_denominator(left, right);
    let work = work.step("Add", format!("{a} + {b} = {}, which gives {}/{common}", a + b, a + b));
    reduced(work, a + b, common).problem(format!("Compute {left} + {right}."), left + right)
}

/// `a/b - c/d`.
pub(super) fn difference(rng: &mut ChaCha8Rng) -> Problem {
    let (left, right) = (proper(rng), proper(rng));
    let (work, [a, b], common) = on_a_common_denominator(left, right);
    let work = work.step("Subtract", format!("{a} - {b} = {}, which gives {}/{common}", a - b, a - b));
    reduced(work, a - b, common).problem(format!("Compute {left} - {right}."), left - right)
}

/// The first steps of both: what two fractions are over their common denominator.
fn on_a_common_denominator(left: Ratio, right: Ratio) -> (Work, [i64; 2], i64) {
    let common = lcm(left.bottom, right.bottom);
    let tops @ [a, b] = [left, right].map(|ratio| ratio.top * (common / ratio.bottom));
    let work = Work::new()
        .step("Find the common denominator", format!("it is {common}"))
        .step("Rewrite", format!("{left} = {a}/{common} and {right} = {b}/{common}"));
    (work, tops, common)
}

/// `a/b * c/d`.
pub(super) fn product(rng: &mut ChaCha8Rng) -> Problem {
    let (left, right) = (proper(rng), proper(rng));
    let (top, bottom) = (left.top * right.top, left.bottom * right.bottom);
    let work = Work::new()
        .step("Multiply the numerators", format!("{} * {} = {top}", left.top, right.top))
        .step("Multiply the denominators", format!("{} * {} = {bottom}", left.bottom, right.bottom));
    reduced(work, top, bottom).problem(format!("Compute {left} * {right}."), left * right)
}

/// `a/b` divided by `c/d`.
pub(super) fn quotient(rng: &mut ChaCha8Rng) -> Problem {
    let (left, right) = (proper(rng), proper(rng));
    let (top, bottom) = (left.top * right.bottom, left.bottom * right.top);
    let work = Work::new()
        .step("Invert the divisor", format!("it becomes {}/{}", right.bottom, right.top))
        .step("Multiply the numerators", format!("{} * {} = {top}", left.top, right.bottom))
        .step("Multiply the denominators", format!("{} * {} = {bottom}", left.bottom, right.top));
    reduced(work, top, bottom).problem(format!("Compute {left} divided by {right}."), left / right)
}

/// What is left of a whole after two parts.
pub(super) fn left_over(rng: &mut ChaCha8Rng) -> Problem {
    let (first, second) = (rng.random_range(2..=9), rng.random_range(2..=9));
    let whole = first * second * rng.random_range(2..=20);
    let (a, rest) = (whole / first, whole - whole / first);
    // `rest` is whole · (first − 1) / first, and so divisible by `second`.
    let (b, left) = (rest / second, rest - rest / second);
    Work::new()
        .step("First part", format!("{whole} / {first} = {a}"))
        .step("What is left", format!("{whole} - {a} = {rest}"))
        .step("Second part", format!("{rest} / {second} = {b}"))
        .step("What is left then", format!("{rest} - {b} = {left}"))
        .problem(
            format!("Of {whole} coins, 1/{first} are spent, and then 1/{second} of the rest. How many coins are left?"),
            left,
        )
}

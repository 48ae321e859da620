//! Exact numbers: rationals whose size is bounded, so that no operation takes long.
//!
//! What would grow beyond [`MAX_BITS`] is refused, and stays an expression that is judged modulo a prime.

use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// The largest numerator or denominator that is written out.
pub(super) const MAX_BITS: u64 = 1024;

/// The bits of the larger part.
pub(super) fn bits(number: &BigRational) -> u64 {
    number.numer().bits().max(number.denom().bits())
}

/// An integer.
pub(super) fn integer(value: i64) -> BigRational {
    BigRational::from_integer(BigInt::from(value))
}

/// The number unless it is too large.
fn bounded(number: BigRational) -> Option<BigRational> {
    (bits(&number) <= MAX_BITS).then_some(number)
}

/// Their sum, if it is of bounded size.
pub(super) fn sum(left: &BigRational, right: &BigRational) -> Option<BigRational> {
    bounded(left + right)
}

/// Their product, if it is of bounded size.
pub(super) fn product(left: &BigRational, right: &BigRational) -> Option<BigRational> {
    bounded(left * right)
}

/// `base ^ exponent` where that is a rational of bounded size: integer powers and exact roots.
pub(super) fn power(base: &BigRational, exponent: &BigRational) -> Option<BigRational> {
    if exponent.is_integer() {
        return whole_power(base, exponent.numer());
    }
    let degree = exponent.denom().to_u32().filter(|degree| *degree <= 64)?;
    whole_power(&root(base, degree)?, exponent.numer())
}

fn whole_power(base: &BigRational, exponent: &BigInt) -> Option<BigRational> {
    if base.is_one() || exponent.is_zero() {
        // 0^0 is left to who asks for it: it has no value here.
        return (!base.is_zero()).then(BigRational::one);
    }
    if base.is_zero() {
        return exponent.is_positive().then(BigRational::zero);
    }
    if (-base).is_one() {
        return Some(if exponent.is_even() { BigRational::one() } else { base.clone() });
    }
    let size = exponent.abs().to_u64().filter(|size| size.saturating_mul(bits(base) - 1) <= MAX_BITS)?;
    let power = num_traits::pow(base.clone(), usize::try_from(size).ok()?);
    bounded(if exponent.is_negative() { power.recip() } else { power })
}

/// The exact real root of a degree, if it is rational. Odd roots of negative numbers are real.
fn root(base: &BigRational, degree: u32) -> Option<BigRational> {
    if base.is_negative() && degree.is_multiple_of(2) {
        return None;
    }
    let exact = |part: &BigInt| {
        let root = part.nth_root(degree);
        (num_traits::pow(root.clone(), degree as usize) == *part).then_some(root)
    };
    Some(BigRational::new(exact(base.numer())?, exact(base.denom())?))
}

/// The number that a decimal literal writes: digits with at most one point.
pub(super) fn decimal(text: &str) -> Option<BigRational> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = [whole, part].concat();
    if digits.is_empty() || digits.len() > 1200 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value = BigInt::parse_bytes(digits.as_bytes(), 10)?;
    Some(BigRational::new(value, num_traits::pow(BigInt::from(10), part.len())))
}

/// The number of digits in a base from 2 to 36.
pub(super) fn in_base(digits: &str, base: u32) -> Option<BigRational> {
    let is_digit = |digit: char| digit.is_digit(base);
    if !(2..=36).contains(&base) || digits.is_empty() || digits.len() > 800 || !digits.chars().all(is_digit) {
        return None;
    }
    BigInt::parse_bytes(digits.as_bytes(), base).map(BigRational::from_integer)
}

/// A decimal whose last digits repeat: `0.1` and `6` for 0.1666….
pub(super) fn repeating(start: &str, period: &str) -> Option<BigRational> {
    let places = start.split_once('.')?.1.len();
    let first = decimal(start)?;
    let digits = decimal(period)?;
    if period.contains('.') || places > 200 || period.len() > 200 {
        return None;
    }
    let ten = BigInt::from(10);
    let nines = num_traits::pow(ten.clone(), period.len()) - 1;
    let scale = num_traits::pow(ten, places) * nines;
    Some(first + digits / BigRational::from_integer(scale))
}

/// Whether a number is a small non-negative integer, and which.
pub(super) fn small(number: &BigRational) -> Option<u64> {
    if number.is_integer() && number.numer().sign() != Sign::Minus { number.numer().to_u64() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(numerator: i64, denominator: i64) -> BigRational {
        BigRational::new(BigInt::from(numerator), BigInt::from(denominator))
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal("0.1"), Some(ratio(1, 10)));
        assert_eq!(decimal("17."), Some(ratio(17, 1)));
        assert_eq!(repeating("0.1", "6"), Some(ratio(1, 6)));
        assert_eq!(in_base("2516", 8), Some(ratio(1358, 1)));
        assert_eq!(in_base("19", 8), None);
    }

    #[test]
    fn powers_are_exact_or_refused() {
        assert_eq!(power(&ratio(9, 4), &ratio(-3, 2)), Some(ratio(8, 27)));
        assert_eq!(power(&ratio(-8, 1), &ratio(1, 3)), Some(ratio(-2, 1)));
        assert_eq!(power(&ratio(2, 1), &ratio(1, 2)), None);
        assert_eq!(power(&ratio(10, 1), &ratio(10_000_000_000, 1)), None);
        assert_eq!(power(&ratio(0, 1), &ratio(0, 1)), None);
    }
}

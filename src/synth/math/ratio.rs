//! Exact fractions, in lowest terms.

use std::fmt;
use std::ops::{Add, Div, Mul, Sub};

/// A fraction with a positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ratio {
    pub(super) top: i64,
    pub(super) bottom: i64,
}

impl Ratio {
    /// `top / bottom`; `bottom` is not 0.
    pub(super) fn new(top: i64, bottom: i64) -> Self {
        let divisor = gcd(top, bottom).max(1) * bottom.signum();
        Self { top: top / divisor, bottom: bottom / divisor }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bottom {
            1 => write!(f, "{}", self.top),
            bottom => write!(f, "{}/{bottom}", self.top),
        }
    }
}

impl Add for Ratio {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.top * other.bottom + other.top * self.bottom, self.bottom * other.bottom)
    }
}

impl Sub for Ratio {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + Self { top: -other.top, ..other }
    }
}

impl Mul for Ratio {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self::new(self.top * other.top, self.bottom * other.bottom)
    }
}

impl Div for Ratio {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        Self::new(self.top * other.bottom, self.bottom * other.top)
    }
}

/// The greatest common divisor.
pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

/// The least common multiple of two positive numbers.
pub(super) fn lcm(a: i64, b: i64) -> i64 {
    a / gcd(a, b) * b
}

//! Real numbers as balls: a midpoint of bounded precision and a radius that holds every error made.
//!
//! A ball always contains the true value. Operations that have no value on a ball, or none that is known, say which.

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Signed, ToPrimitive, Zero};

/// Bits of a midpoint.
pub(super) const PRECISION: u64 = 256;
/// Bits of a radius.
const RADIUS: u64 = 30;
/// The largest binary exponent; beyond it a number is out of reach.
const MAX_EXPONENT: i64 = 1 << 40;

/// Why there is no ball.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// No real value here: a root of a negative number, a pole.
    Undefined,
    /// Larger than any number that is looked at.
    Huge,
    /// The radius is too large to tell.
    Vague,
    /// Nothing that is evaluated.
    Unknown,
}

/// The numbers from `(middle − radius)·2^exponent` to `(middle + radius)·2^exponent`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ball {
    pub(super) middle: BigInt,
    pub(super) radius: BigUint,
    pub(super) exponent: i64,
}

impl Ball {
    pub(super) fn integer(value: i64) -> Self {
        Self { middle: BigInt::from(value), radius: BigUint::zero(), exponent: 0 }
    }

    /// Rounds to the bounded precision, outwards.
    pub(super) fn rounded(middle: BigInt, radius: BigUint, exponent: i64) -> Result<Self, Stop> {
        let excess = middle.bits().saturating_sub(PRECISION).max(radius.bits().saturating_sub(RADIUS));
        let exponent = exponent + excess as i64;
        if MAX_EXPONENT < exponent {
            return Err(Stop::Huge);
        }
        if exponent < -MAX_EXPONENT {
            return Err(Stop::Vague);
        }
        if excess == 0 {
            return Ok(Self { middle, radius, exponent });
        }
        // Both shifts lose less than one unit each.
        Ok(Self { middle: middle >> excess, radius: (radius >> excess) + 2_u32, exponent })
    }

    pub(super) fn ratio(over: &BigInt, under: &BigInt) -> Result<Self, Stop> {
        let over = Self::rounded(over.clone(), BigUint::zero(), 0)?;
        if under.is_one() {
            return Ok(over);
        }
        over.times(&Self::rounded(under.clone(), BigUint::zero(), 0)?.inverse()?)
    }

    pub(super) fn is_exact_zero(&self) -> bool {
        self.middle.is_zero() && self.radius.is_zero()
    }

    pub(super) fn has_zero(&self) -> bool {
        *self.middle.magnitude() <= self.radius
    }

    /// The sign of all its numbers.
    pub(super) fn sign(&self) -> Option<i8> {
        if self.is_exact_zero() {
            return Some(0);
        }
        if self.has_zero() {
            return None;
        }
        Some(if self.middle.is_negative() { -1 } else { 1 })
    }

    /// The integer that it is exactly.
    pub(super) fn whole(&self) -> Option<BigInt> {
        if !self.radius.is_zero() || 200 < self.exponent {
            return None;
        }
        if 0 <= self.exponent {
            return Some(&self.middle << self.exponent as u64);
        }
        let shift = self.exponent.unsigned_abs();
        if self.middle.is_zero() {
            return Some(BigInt::zero());
        }
        (shift <= self.middle.trailing_zeros().unwrap_or(0)).then(|| &self.middle >> shift)
    }

    /// The binary exponent of its largest number.
    pub(super) fn top(&self) -> i64 {
        let bits = self.middle.bits().max(self.radius.bits());
        if bits == 0 { i64::MIN } else { self.exponent + bits as i64 }
    }

    /// The binary exponent of its radius.
    pub(super) fn blur(&self) -> i64 {
        if self.radius.is_zero() { i64::MIN } else { self.exponent + self.radius.bits() as i64 }
    }

    pub(super) fn negative(&self) -> Self {
        Self { middle: -&self.middle, ..self.clone() }
    }

    pub(super) fn absolute(&self) -> Self {
        Self { middle: self.middle.abs(), ..self.clone() }
    }

    pub(super) fn plus(&self, other: &Self) -> Result<Self, Stop> {
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        if high.is_exact_zero() {
            return Ok(low.clone());
        }
        let gap = (high.exponent - low.exponent) as u64;
        // The higher is shifted down to the lower's place, as far as its precision reaches; the rest is rounded off.
        let shift = gap.min(2 * PRECISION + 8);
        let left_out = gap - shift;
        let middle = (&high.middle << shift) + shifted(&low.middle, left_out);
        let rounding = u32::from(left_out > 0) * 2;
        let radius = (&high.radius << shift) + (&low.radius >> left_out.min(4096)) + rounding;
        Self::rounded(middle, radius, low.exponent + left_out as i64)
    }

    pub(super) fn minus(&self, other: &Self) -> Result<Self, Stop> {
        self.plus(&other.negative())
    }

    pub(super) fn times(&self, other: &Self) -> Result<Self, Stop> {
        let radius = self.middle.magnitude() * &other.radius
            + other.middle.magnitude() * &self.radius
            + &self.radius * &other.radius;
        Self::rounded(&self.middle * &other.middle, radius, self.exponent + other.exponent)
    }

    pub(super) fn inverse(&self) -> Result<Self, Stop> {
        if self.has_zero() {
            return Err(if self.is_exact_zero() { Stop::Undefined } else { Stop::Vague });
        }
        let size = self.middle.magnitude();
        let shift = size.bits() + PRECISION;
        let one = BigInt::one() << shift;
        let middle = &one / &self.middle;
        let radius = if self.radius.is_zero() {
            BigUint::from(1_u32)
        } else {
            (one.magnitude() * &self.radius) / (size * (size - &self.radius)) + 2_u32
        };
        Self::rounded(middle, radius, -(shift as i64) - self.exponent)
    }

    /// Both ends of the ball, with more bits than a midpoint has.
    fn ends(&self) -> (BigInt, BigInt) {
        let radius = BigInt::from(self.radius.clone());
        (&self.middle - &radius, &self.middle + &radius)
    }

    /// The root of a degree of what is positive.
    pub(super) fn root(&self, degree: u32) -> Result<Self, Stop> {
        let (low, high) = self.ends();
        if high.is_negative() {
            return Err(Stop::Undefined);
        }
        if self.is_exact_zero() {
            return Ok(self.clone());
        }
        if low.is_negative() {
            return Err(Stop::Vague);
        }
        // The exponent becomes a multiple of the degree, and the number long enough.
        let wanted = u64::from(degree) * (PRECISION + 8);
        let mut shift = wanted.saturating_sub(self.middle.bits());
        let uneven = (self.exponent - shift as i64).rem_euclid(i64::from(degree));
        shift += uneven as u64;
        let (low, high) = ((low << shift).nth_root(degree), (high << shift).nth_root(degree) + 1_u32);
        let radius = ((&high - &low) >> 1_u32).magnitude() + 1_u32;
        Self::rounded((low + high) >> 1_u32, radius, (self.exponent - shift as i64) / i64::from(degree))
    }

    /// A power by squaring.
    pub(super) fn power(&self, exponent: u64) -> Result<Self, Stop> {
        let (mut power, mut square, mut left) = (Self::integer(1), self.clone(), exponent);
        while left > 0 {
            if left % 2 == 1 {
                power = power.times(&square)?;
            }
            left /= 2;
            if left > 0 {
                square = square.times(&square)?;
            }
        }
        Ok(power)
    }

    /// The largest integer below, where the ball does not straddle one.
    pub(super) fn floor(&self) -> Result<Self, Stop> {
        let (low, high) = self.ends();
        if 0 <= self.exponent {
            return if self.radius.is_zero() { Ok(self.clone()) } else { Err(Stop::Vague) };
        }
        let shift = self.exponent.unsigned_abs();
        if 8192 < shift {
            return Err(Stop::Vague);
        }
        let (low, high) = (low >> shift, high >> shift);
        if low == high { Self::rounded(low, BigUint::zero(), 0) } else { Err(Stop::Vague) }
    }

    /// The midpoint at a fixed place, where that is of bounded size: `value·2^places`.
    pub(super) fn fixed(&self, places: i64) -> Result<BigInt, Stop> {
        let shift = self.exponent + places;
        match shift {
            0..=1024 => Ok(&self.middle << shift as u64),
            1025.. => Err(Stop::Huge),
            _ => Ok(shifted(&self.middle, shift.unsigned_abs())),
        }
    }

    /// The ball around a value at a fixed place.
    pub(super) fn placed(value: BigInt, radius: u64, places: i64) -> Result<Self, Stop> {
        Self::rounded(value, BigUint::from(radius), -places)
    }

    /// The ball with a radius of another's size added: the error of a function whose slope is at most one.
    pub(super) fn blurred(&self, by: &Self) -> Result<Self, Stop> {
        let error = Self { middle: BigInt::zero(), radius: by.radius.clone(), exponent: by.exponent };
        self.plus(&error)
    }

    /// The nearest machine number, for choices that need no precision.
    pub(super) fn approximate(&self) -> f64 {
        let excess = self.middle.bits().saturating_sub(60);
        let mantissa = (&self.middle >> excess).to_f64().unwrap_or(0.0);
        let exponent = (self.exponent + excess as i64).clamp(-2000, 2000);
        mantissa * 2_f64.powi(exponent as i32)
    }
}

/// Shifted down; far enough, nothing is left.
fn shifted(value: &BigInt, by: u64) -> BigInt {
    if value.bits() + 1 < by {
        return BigInt::zero();
    }
    value >> by
}

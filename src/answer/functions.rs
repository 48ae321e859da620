//! Elementary functions of balls: argument reduction, a series at a fixed place, and the error of both in the radius.

use num_bigint::{BigInt, BigUint};
use num_traits::{One, Signed as _, ToPrimitive, Zero};

use super::ball::{Ball, PRECISION, Stop};

/// Bits behind the point of the series: the precision and room for what rounding takes.
const PLACES: i64 = PRECISION as i64 + 64;
/// How far a series may be off, in units of its last place: one for each term and each halving, and more.
const SLACK: u64 = 1 << 24;

/// The constants that reductions need.
#[derive(Debug)]
pub(super) struct Constants {
    pi: BigInt,
    ln2: BigInt,
}

impl Constants {
    /// Computes them: π by Machin's formula, ln 2 by artanh(1/3).
    pub(super) fn new() -> Self {
        let one = BigInt::one() << PLACES as u64;
        let pi = (arc(&one, 5, true) * 4 - arc(&one, 239, true)) * 4;
        Self { pi, ln2: arc(&one, 3, false) * 2 }
    }

    pub(super) fn pi(&self) -> Result<Ball, Stop> {
        Ball::placed(self.pi.clone(), SLACK, PLACES)
    }

    pub(super) fn exponential(&self, x: &Ball) -> Result<Ball, Stop> {
        if 44 < x.top() {
            return Err(if x.sign() == Some(1) { Stop::Huge } else { Stop::Vague });
        }
        if -1 < x.blur() {
            return Err(Stop::Vague);
        }
        let fixed = x.fixed(PLACES)?;
        let twos = div_round(&fixed, &self.ln2);
        // ln 2 is off by a few units of the last place, `twos` times as much: that goes to the radius.
        let rest = &fixed - &twos * &self.ln2;
        let halvings = 8_u64;
        let small = rest >> halvings;
        let one = BigInt::one() << PLACES as u64;
        let mut sum = one.clone() + &small;
        let mut term = small.clone();
        for index in 2..60 {
            term = ((&term * &small) >> PLACES as u64) / index;
            if term.is_zero() {
                break;
            }
            sum += &term;
        }
        for _ in 0..halvings {
            sum = (&sum * &sum) >> PLACES as u64;
        }
        let slack = SLACK.saturating_add(twos.magnitude().to_u64().unwrap_or(u64::MAX).saturating_mul(64));
        let ball = Ball::placed(sum, slack, PLACES)?;
        let shift = twos.to_i64().ok_or(Stop::Huge)?;
        let middle = Ball { exponent: ball.exponent + shift, ..ball };
        if x.radius.is_zero() {
            return Ball::rounded(middle.middle, middle.radius, middle.exponent);
        }
        // |e^(x+r) − e^x| ≤ 2·r·e^x for r < 1.
        let error = Ball {
            middle: BigInt::from(x.radius.clone()),
            radius: BigUint::zero(),
            exponent: x.exponent + 1,
        };
        let error = middle.absolute().times(&error)?;
        let whole = Ball {
            middle: BigInt::zero(),
            radius: (error.middle.magnitude() + &error.radius) + 1_u32,
            exponent: error.exponent,
        };
        middle.plus(&Ball::rounded(whole.middle, whole.radius, whole.exponent)?)
    }

    pub(super) fn logarithm(&self, x: &Ball) -> Result<Ball, Stop> {
        match x.sign() {
            Some(1) => {}
            Some(_) => return Err(Stop::Undefined),
            None => return Err(Stop::Vague),
        }
        // x = m·2^k with m between 1/2 and 1, and m = y^256 with y close to 1.
        let bits = x.middle.bits() as i64;
        let twos = x.exponent + bits;
        let scaled = Ball { exponent: -bits, ..x.clone() };
        let mut root = scaled;
        for _ in 0..8 {
            root = root.root(2)?;
        }
        let one = Ball::integer(1);
        let ratio = root.minus(&one)?.times(&root.plus(&one)?.inverse()?)?;
        let square = ratio.times(&ratio)?;
        let (mut power, mut sum) = (ratio.clone(), ratio);
        for index in 1..24 {
            power = power.times(&square)?;
            sum = sum.plus(&power.times(&Ball::ratio(&BigInt::one(), &BigInt::from(2 * index + 1))?)?)?;
        }
        // The ratio is below 2^-9, so what is left out is below 2^-430.
        let tail = Ball { middle: BigInt::zero(), radius: BigUint::one(), exponent: -420 };
        let sum = sum.plus(&tail)?.times(&Ball::integer(512))?;
        let ln2 = Ball::placed(self.ln2.clone(), SLACK, PLACES)?;
        sum.plus(&ln2.times(&Ball::integer(twos))?)
    }

    /// Sine and cosine.
    pub(super) fn circle(&self, x: &Ball) -> Result<(Ball, Ball), Stop> {
        if 40 < x.top() {
            return Err(Stop::Vague);
        }
        let fixed = x.fixed(PLACES)?;
        let quarter: BigInt = &self.pi >> 1_u32;
        let turns = div_round(&fixed, &quarter);
        let rest = &fixed - ((&turns * &self.pi) >> 1_u32);
        let (sine, cosine) = (wave(&rest, 1), wave(&rest, 0));
        let slack = SLACK.saturating_add(turns.magnitude().to_u64().unwrap_or(u64::MAX).saturating_mul(64));
        let sine = Ball::placed(sine, slack, PLACES)?.blurred(x)?;
        let cosine = Ball::placed(cosine, slack, PLACES)?.blurred(x)?;
        let quadrant: BigInt = ((turns % 4_i32) + 4_i32) % 4_i32;
        Ok(match quadrant.to_u8() {
            Some(0) => (sine, cosine),
            Some(1) => (cosine, sine.negative()),
            Some(2) => (sine.negative(), cosine.negative()),
            _ => (cosine.negative(), sine),
        })
    }

    pub(super) fn arctangent(&self, x: &Ball) -> Result<Ball, Stop> {
        let one = Ball::integer(1);
        // Beyond one the angle is a right one without that of the inverse.
        if 1.0 < x.approximate().abs() {
            let half_pi = self.pi()?.times(&Ball { exponent: -1, ..one.clone() })?;
            let rest = arctangent_small(&x.inverse()?)?;
            let half_pi = if x.middle.is_negative() { half_pi.negative() } else { half_pi };
            return half_pi.minus(&rest);
        }
        arctangent_small(x)
    }

    /// The angle whose sine is given.
    pub(super) fn arcsine(&self, x: &Ball) -> Result<Ball, Stop> {
        let one = Ball::integer(1);
        let rest = one.minus(&x.times(x)?)?;
        match rest.sign() {
            Some(-1) => Err(Stop::Undefined),
            Some(0) => {
                let half_pi = self.pi()?.times(&Ball { exponent: -1, ..one })?;
                Ok(if x.middle.is_negative() { half_pi.negative() } else { half_pi })
            }
            Some(_) => self.arctangent(&x.times(&rest.root(2)?.inverse()?)?),
            None => Err(Stop::Vague),
        }
    }
}

/// The arctangent of a number up to one.
fn arctangent_small(x: &Ball) -> Result<Ball, Stop> {
    let one = Ball::integer(1);
    let mut small = x.clone();
    // atan x = 2·atan(x / (1 + √(1 + x²))).
    for _ in 0..8 {
        let square = small.times(&small)?.plus(&one)?;
        small = small.times(&square.root(2)?.plus(&one)?.inverse()?)?;
    }
    let square = small.times(&small)?.negative();
    let (mut power, mut sum) = (small.clone(), small);
    for index in 1..20 {
        power = power.times(&square)?;
        sum = sum.plus(&power.times(&Ball::ratio(&BigInt::one(), &BigInt::from(2 * index + 1))?)?)?;
    }
    if sum.is_exact_zero() {
        return Ok(sum);
    }
    // Below 2^-7 at most, so that what is left out is below 2^-280 of it.
    let tail = Ball { middle: BigInt::zero(), radius: BigUint::one(), exponent: sum.top() - 280 };
    sum.plus(&tail)?.times(&Ball::integer(256))
}

/// arctan(1/n) or artanh(1/n) at a fixed place.
fn arc(one: &BigInt, inverse: u32, is_alternating: bool) -> BigInt {
    let square = BigInt::from(inverse * inverse);
    let mut power: BigInt = one / inverse;
    let (mut sum, mut index) = (power.clone(), 1_u32);
    while !power.is_zero() {
        power /= &square;
        let term = &power / (2 * index + 1);
        if is_alternating && index % 2 == 1 {
            sum -= term;
        } else {
            sum += term;
        }
        index += 1;
    }
    sum
}

/// The series of the sine (`first` = 1) or the cosine (0) at a fixed place, for |x| < 1.
fn wave(x: &BigInt, first: u32) -> BigInt {
    let square: BigInt = (x * x) >> PLACES as u64;
    let mut term = if first == 1 { x.clone() } else { BigInt::one() << PLACES as u64 };
    let mut sum = term.clone();
    let mut index = first;
    while !term.is_zero() && index < 200 {
        term = -((&term * &square) >> PLACES as u64) / ((index + 1) * (index + 2));
        sum += &term;
        index += 2;
        // Shifting down rounds towards −∞ and never reaches zero from below.
        if term.magnitude().is_one() {
            break;
        }
    }
    sum
}

fn div_round(value: &BigInt, by: &BigInt) -> BigInt {
    let half: BigInt = by >> 1_u32;
    num_integer::Integer::div_floor(&(value + half), by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(ball: &Ball, value: f64) -> bool {
        (ball.approximate() - value).abs() < 1e-12 * value.abs().max(1.0) && ball.blur() < -200
    }

    fn ratio(over: i64, under: i64) -> Ball {
        Ball::ratio(&BigInt::from(over), &BigInt::from(under)).unwrap()
    }

    #[test]
    fn functions_agree_with_the_machines_own() {
        let constants = Constants::new();
        for (over, under) in [(1_i64, 3_i64), (-7, 5), (10, 1), (-25, 2), (1, 1000), (355, 113)] {
            let (x, value) = (ratio(over, under), over as f64 / under as f64);
            let (sine, cosine) = constants.circle(&x).unwrap();
            assert!(near(&sine, value.sin()) && near(&cosine, value.cos()), "sin {value}");
            let power = constants.exponential(&x).unwrap();
            assert!(
                (power.approximate() / value.exp() - 1.0).abs() < 1e-12 && power.blur() < power.top() - 200
            );
            assert!(near(&constants.arctangent(&x).unwrap(), value.atan()), "atan {value}");
            let square = x.times(&x).unwrap();
            assert!(near(&constants.logarithm(&square).unwrap(), (value * value).ln()), "ln {value}");
        }
        assert!(near(&constants.arcsine(&ratio(-3, 5)).unwrap(), (-0.6_f64).asin()));
        assert!(near(&ratio(2, 1).root(3).unwrap(), 2_f64.cbrt()));
    }

    #[test]
    fn identities_hold_to_the_precision() {
        let constants = Constants::new();
        let x = ratio(17, 7);
        let round = constants.logarithm(&constants.exponential(&x).unwrap()).unwrap().minus(&x).unwrap();
        assert!(round.has_zero() && round.blur() < -200, "{round:?}");
        let (sine, cosine) = constants.circle(&x).unwrap();
        let one = sine.times(&sine).unwrap().plus(&cosine.times(&cosine).unwrap()).unwrap();
        let rest = one.minus(&Ball::integer(1)).unwrap();
        assert!(rest.has_zero() && rest.blur() < -200);
    }
}

//! Expressions evaluated at rational points in ball arithmetic, for what has no exact form.
//!
//! Different balls prove different values. Balls that meet count as equal only where their radius is 2⁻¹²⁸ of the
//! largest number met on the way: there is no absolute threshold. Points at which a side has no real value do not count.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive};

use super::ball::{Ball, Stop};
use super::expr::{Constant, Expr, Function};
use super::fuel::Fuel;
use super::functions::Constants;
use super::modular::mix;
use super::number;

/// What the values say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Equal,
    Different,
    Nothing,
}

/// Points at which both must agree.
const POINTS: u32 = 3;
/// Where points lie, in turn.
const PLACES: [Place; 4] = [Place::Around, Place::Positive, Place::Within, Place::Whole];
const TRIES: u64 = 5;
/// Bits by which the radius must be smaller than the largest number met.
const SHARP: i64 = 128;

/// The fuel that π and ln 2 take.
const CONSTANTS: u64 = 150;

/// A region of points.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Between −4 and 4.
    Around,
    /// Between 0 and 8.
    Positive,
    /// Between 0 and 1.
    Within,
    /// Small positive integers.
    Whole,
}

/// Compares two expressions.
pub(super) fn compare(left: &Expr, right: &Expr, seed: u64, fuel: &Fuel) -> Said {
    if fuel.take(CONSTANTS).is_none() {
        return Said::Nothing;
    }
    if left.is_complex() || right.is_complex() {
        return compare_complex(left, right, fuel);
    }
    let constants = Constants::new();
    let is_constant = left.symbols().is_empty() && right.symbols().is_empty();
    let mut agreed = 0;
    for (place_idx, place) in PLACES.into_iter().enumerate() {
        for point in 0..TRIES {
            let seed = mix(seed ^ mix(point + 100 * place_idx as u64));
            let mut at = Point { seed, place, constants: &constants, fuel, top: i64::MIN };
            match at.compare(left, right) {
                Said::Different => return Said::Different,
                Said::Equal => agreed += 1,
                Said::Nothing => {}
            }
            if agreed == POINTS || (is_constant && agreed == 1) {
                return Said::Equal;
            }
            if is_constant || fuel.is_spent() {
                return Said::Nothing;
            }
        }
    }
    Said::Nothing
}

/// Compares constants that contain `i`, by their parts.
fn compare_complex(left: &Expr, right: &Expr, fuel: &Fuel) -> Said {
    let constants = Constants::new();
    let mut at = Point { seed: 0, place: Place::Around, constants: &constants, fuel, top: i64::MIN };
    if !left.symbols().is_empty() || !right.symbols().is_empty() {
        return Said::Nothing;
    }
    let (Ok((re, im)), Ok((other_re, other_im))) = (at.complex(left), at.complex(right)) else {
        return Said::Nothing;
    };
    match (at.said(&re, &other_re), at.said(&im, &other_im)) {
        (Said::Different, _) | (_, Said::Different) => Said::Different,
        (Said::Equal, Said::Equal) => Said::Equal,
        _ => Said::Nothing,
    }
}

/// The order of two real constants, where it can be told.
pub(super) fn order(left: &Expr, right: &Expr, fuel: &Fuel) -> Option<std::cmp::Ordering> {
    if let (Expr::Number(left), Expr::Number(right)) = (left, right) {
        return Some(left.cmp(right));
    }
    let sign = sign(&left.clone().minus(right.clone()), fuel)?;
    Some(sign.cmp(&0))
}

/// The sign of a real constant, where it can be told.
pub(super) fn sign(expr: &Expr, fuel: &Fuel) -> Option<i8> {
    fuel.take(CONSTANTS)?;
    let constants = Constants::new();
    let mut at = Point { seed: 0, place: Place::Around, constants: &constants, fuel, top: i64::MIN };
    if !expr.symbols().is_empty() || expr.is_complex() {
        return None;
    }
    at.value(expr).ok()?.sign()
}

/// The nearest machine number of a real constant.
pub(super) fn approximate(expr: &Expr, fuel: &Fuel) -> Option<f64> {
    fuel.take(CONSTANTS)?;
    let constants = Constants::new();
    let mut at = Point { seed: 0, place: Place::Around, constants: &constants, fuel, top: i64::MIN };
    if !expr.symbols().is_empty() || expr.is_complex() {
        return None;
    }
    at.value(expr).ok().map(|value| value.approximate())
}

/// A point with what evaluation needs.
struct Point<'a> {
    seed: u64,
    place: Place,
    constants: &'a Constants,
    fuel: &'a Fuel,
    /// The binary exponent of the largest number met.
    top: i64,
}

type Real = Result<Ball, Stop>;

impl Point<'_> {
    fn compare(&mut self, left: &Expr, right: &Expr) -> Said {
        match (self.value(left), self.value(right)) {
            (Ok(left), Ok(right)) => self.said(&left, &right),
            // A number that is out of reach is none within it.
            (Ok(_), Err(Stop::Huge)) | (Err(Stop::Huge), Ok(_)) => Said::Different,
            _ => Said::Nothing,
        }
    }

    fn said(&self, left: &Ball, right: &Ball) -> Said {
        let Ok(difference) = left.minus(right) else { return Said::Nothing };
        if !difference.has_zero() {
            return Said::Different;
        }
        let is_sharp = difference.is_exact_zero() || difference.blur() < self.top.saturating_sub(SHARP);
        if is_sharp { Said::Equal } else { Said::Nothing }
    }

    fn value(&mut self, expr: &Expr) -> Real {
        self.fuel.take(8).ok_or(Stop::Unknown)?;
        let value = match expr {
            Expr::Number(number) => Ball::ratio(number.numer(), number.denom()),
            Expr::Constant(Constant::Pi) => self.constants.pi(),
            Expr::Constant(Constant::E) => self.constants.exponential(&Ball::integer(1)),
            Expr::Symbol(name) => Ok(self.symbol(name)),
            Expr::Sum(items) => {
                items.iter().try_fold(Ball::integer(0), |sum, item| sum.plus(&self.value(item)?))
            }
            Expr::Product(items) => {
                items.iter().try_fold(Ball::integer(1), |product, item| product.times(&self.value(item)?))
            }
            Expr::Power(base, exponent) => self.power(base, exponent),
            Expr::Call(function, arguments) => self.call(function, arguments),
            Expr::Constant(Constant::I | Constant::Infinity) => Err(Stop::Unknown),
            Expr::Undefined => Err(Stop::Undefined),
        }?;
        self.top = self.top.max(value.top());
        Ok(value)
    }

    /// The value of a symbol: a rational that depends on its name and the point.
    fn symbol(&self, name: &str) -> Ball {
        let hash = name.bytes().fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        let fraction = i64::try_from(hash >> 44).unwrap_or(0) + 1;
        let (middle, exponent) = match self.place {
            Place::Around => (fraction - (1 << 19), -17),
            Place::Positive => (fraction, -17),
            Place::Within => (fraction, -21),
            Place::Whole => (2 + fraction % 11, 0),
        };
        Ball { middle: BigInt::from(middle), radius: 0_u32.into(), exponent }
    }

    fn power(&mut self, base: &Expr, exponent: &Expr) -> Real {
        if let Expr::Number(power) = exponent {
            let under = power.denom().to_u32().filter(|under| *under <= 64);
            let over = power.numer().magnitude().to_u64().filter(|over| *over <= 1 << 20);
            if let (Some(over), Some(under)) = (over, under) {
                let base = self.value(base)?;
                self.fuel.take(16).ok_or(Stop::Unknown)?;
                let root = if under == 1 { base } else { self.root(&base, under)? };
                let raised = root.power(over)?;
                return if power.is_negative() { raised.inverse() } else { Ok(raised) };
            }
        }
        let (base, exponent) = (self.value(base)?, self.value(exponent)?);
        if let Some(whole) =
            exponent.whole().and_then(|whole| whole.to_i64()).filter(|whole| whole.abs() < 1 << 20)
        {
            self.fuel.take(16).ok_or(Stop::Unknown)?;
            let raised = base.power(whole.unsigned_abs())?;
            return if whole < 0 { raised.inverse() } else { Ok(raised) };
        }
        self.fuel.take(800).ok_or(Stop::Unknown)?;
        match base.sign() {
            Some(1) => self.constants.exponential(&self.constants.logarithm(&base)?.times(&exponent)?),
            Some(0) if exponent.sign() == Some(1) => Ok(Ball::integer(0)),
            None => Err(Stop::Vague),
            Some(_) => Err(Stop::Undefined),
        }
    }

    /// The real root: of a negative number where the degree is odd.
    fn root(&mut self, base: &Ball, degree: u32) -> Real {
        self.fuel.take(40).ok_or(Stop::Unknown)?;
        if degree % 2 == 1 && base.sign() == Some(-1) {
            return Ok(base.negative().root(degree)?.negative());
        }
        base.root(degree)
    }

    fn call(&mut self, function: &Function, arguments: &[Expr]) -> Real {
        self.fuel.take(400).ok_or(Stop::Unknown)?;
        let values = arguments.iter().map(|item| self.value(item)).collect::<Result<Vec<Ball>, Stop>>()?;
        let constants = self.constants;
        match (function, values.as_slice()) {
            (Function::Sin, [x]) => Ok(constants.circle(x)?.0),
            (Function::Cos, [x]) => Ok(constants.circle(x)?.1),
            (Function::Tan, [x]) => {
                let (sine, cosine) = constants.circle(x)?;
                sine.times(&cosine.inverse()?)
            }
            (Function::Asin, [x]) => constants.arcsine(x),
            (Function::Acos, [x]) => {
                let half_pi = constants.pi()?.times(&Ball { exponent: -1, ..Ball::integer(1) })?;
                half_pi.minus(&constants.arcsine(x)?)
            }
            (Function::Atan, [x]) => constants.arctangent(x),
            (Function::Ln, [x]) => constants.logarithm(x),
            (Function::Abs, [x]) => Ok(x.absolute()),
            (Function::Floor, [x]) => x.floor(),
            (Function::Ceiling, [x]) => Ok(x.negative().floor()?.negative()),
            (Function::Sinh | Function::Cosh | Function::Tanh, [x]) => hyperbolic(constants, function, x),
            (Function::Factorial, [x]) => self.falling(x, None),
            (Function::Binomial, [of, chosen]) => self.falling(of, Some(chosen)),
            _ => Err(Stop::Unknown),
        }
    }

    /// A factorial, or a binomial coefficient, of small integers.
    fn falling(&self, of: &Ball, chosen: Option<&Ball>) -> Real {
        let small = |ball: &Ball| {
            ball.whole().and_then(|whole| whole.to_i64()).filter(|whole| (0..3000).contains(whole))
        };
        let total = small(of).ok_or(Stop::Undefined)?;
        let count = chosen.map_or(Some(total), small).ok_or(Stop::Undefined)?;
        self.fuel.take(2 * count.unsigned_abs()).ok_or(Stop::Unknown)?;
        let mut product = Ball::integer(1);
        for index in 0..count {
            product = product.times(&Ball::integer(total - index))?;
            if chosen.is_some() {
                product = product.times(&Ball::ratio(&BigInt::one(), &BigInt::from(index + 1))?)?;
            }
        }
        Ok(product)
    }

    /// A complex constant: real and imaginary part.
    fn complex(&mut self, expr: &Expr) -> Result<(Ball, Ball), Stop> {
        let zero = || Ball::integer(0);
        match expr {
            _ if !expr.is_complex() => self.value(expr).map(|value| (value, zero())),
            Expr::Constant(Constant::I) => Ok((zero(), Ball::integer(1))),
            Expr::Sum(items) => items.iter().try_fold((zero(), zero()), |(re, im), item| {
                let (other_re, other_im) = self.complex(item)?;
                Ok((re.plus(&other_re)?, im.plus(&other_im)?))
            }),
            Expr::Product(items) => items.iter().try_fold((Ball::integer(1), zero()), |product, item| {
                multiplied(&product, &self.complex(item)?)
            }),
            Expr::Power(base, exponent) => {
                let Expr::Number(power) = exponent.as_ref() else { return Err(Stop::Unknown) };
                let size = number::small(&power.abs()).filter(|size| *size < 200).ok_or(Stop::Unknown)?;
                let base = self.complex(base)?;
                let mut raised = (Ball::integer(1), zero());
                for _ in 0..size {
                    self.fuel.take(8).ok_or(Stop::Unknown)?;
                    raised = multiplied(&raised, &base)?;
                }
                if !power.is_negative() {
                    return Ok(raised);
                }
                let (re, im) = raised;
                let scale = re.times(&re)?.plus(&im.times(&im)?)?.inverse()?;
                Ok((re.times(&scale)?, im.negative().times(&scale)?))
            }
            _ => Err(Stop::Unknown),
        }
    }
}

fn multiplied(left: &(Ball, Ball), right: &(Ball, Ball)) -> Result<(Ball, Ball), Stop> {
    let re = left.0.times(&right.0)?.minus(&left.1.times(&right.1)?)?;
    let im = left.0.times(&right.1)?.plus(&left.1.times(&right.0)?)?;
    Ok((re, im))
}

fn hyperbolic(constants: &Constants, function: &Function, x: &Ball) -> Real {
    let (up, down) = (constants.exponential(x)?, constants.exponential(&x.negative())?);
    let half = Ball { exponent: -1, ..Ball::integer(1) };
    let (sine, cosine) = (up.minus(&down)?.times(&half)?, up.plus(&down)?.times(&half)?);
    match function {
        Function::Sinh => Ok(sine),
        Function::Cosh => Ok(cosine),
        _ => sine.times(&cosine.inverse()?),
    }
}

//! Expressions evaluated at random points modulo a large prime.
//!
//! Sums, products, integer powers, factorials, square roots of small rationals and `i` are mapped by a homomorphism:
//! different values prove different expressions, equal values at several points that they are equal but for a
//! chance of less than one in 2⁵⁰. Other functions get arbitrary values that depend on their arguments alone:
//! equal values still prove equality, different ones nothing.

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};

use super::expr::{Constant, Expr, Function};
use super::fuel::Fuel;
use super::number;

/// A prime that is 1 modulo 8 and modulo every prime in [`ROOTED`], so that −1 and all of them are squares.
const PRIME: u64 = 2_302_565_994_373_925_281;
/// Primes and a square root of each; by quadratic reciprocity all are squares modulo [`PRIME`].
const ROOTED: [(u64, u64); 14] = [
    (2, 95_462_639_459_488_285),
    (3, 960_953_903_198_083_706),
    (5, 546_244_750_815_257_758),
    (7, 642_736_133_453_770_508),
    (11, 853_239_900_322_083_312),
    (13, 1_016_027_806_993_009_764),
    (17, 649_349_583_827_480_662),
    (19, 382_329_290_016_519),
    (23, 781_283_957_402_994_337),
    (29, 353_352_787_078_952_675),
    (31, 1_018_146_152_341_361_800),
    (37, 746_876_073_414_910_829),
    (41, 712_187_623_882_292_524),
    (43, 136_733_582_217_151_450),
];
/// A square root of −1.
const UNIT: u64 = 128_045_008_038_375_491;
/// Points at which both sides must agree.
const POINTS: u64 = 3;
/// Points that are tried where some are poles.
const TRIES: u64 = 8;
/// The largest factorial that is multiplied out.
const MAX_FACTORIAL: u64 = 10_000;

/// What the values say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Equal,
    Different,
    /// Different where functions have arbitrary values, or no point at which both have a value.
    Nothing,
}

/// Compares two expressions.
pub(super) fn compare(left: &Expr, right: &Expr, seed: u64, fuel: &Fuel) -> Said {
    let mut agreed = 0;
    for point in 0..TRIES {
        let mut field = Field { seed: mix(seed ^ point.wrapping_mul(0x9E37_79B9)), is_exact: true, fuel };
        let (Ok(one), Ok(other)) = (field.value(left), field.value(right)) else {
            if fuel.is_spent() {
                return Said::Nothing;
            }
            continue;
        };
        if one != other {
            return if field.is_exact { Said::Different } else { Said::Nothing };
        }
        agreed += 1;
        if agreed == POINTS {
            return Said::Equal;
        }
    }
    Said::Nothing
}

/// No value at this point: a pole, or no fuel.
struct Pole;

struct Field<'a> {
    seed: u64,
    /// Whether everything so far was mapped by the homomorphism.
    is_exact: bool,
    fuel: &'a Fuel,
}

impl Field<'_> {
    fn value(&mut self, expr: &Expr) -> Result<u64, Pole> {
        self.fuel.take(1).ok_or(Pole)?;
        match expr {
            Expr::Number(number) => self.rational(number),
            Expr::Constant(Constant::I) => Ok(UNIT),
            Expr::Constant(constant) => Ok(self.atom(&format!("{constant:?}"))),
            Expr::Symbol(name) => Ok(self.atom(name)),
            Expr::Sum(items) => items.iter().try_fold(0, |sum, item| Ok(add(sum, self.value(item)?))),
            Expr::Product(items) => {
                items.iter().try_fold(1, |product, item| Ok(times(product, self.value(item)?)))
            }
            Expr::Power(base, exponent) => self.power(base, exponent),
            Expr::Call(function, arguments) => self.call(function, arguments),
            Expr::Undefined => Err(Pole),
        }
    }

    fn rational(&self, number: &BigRational) -> Result<u64, Pole> {
        self.fuel.take(number::bits(number) / 256).ok_or(Pole)?;
        let (over, under) = (reduced(number.numer(), PRIME), reduced(number.denom(), PRIME));
        Ok(times(over, self.inverse(under)?))
    }

    fn inverse(&self, value: u64) -> Result<u64, Pole> {
        if value == 0 {
            return Err(Pole);
        }
        self.raised(value, PRIME - 2)
    }

    fn raised(&self, base: u64, exponent: u64) -> Result<u64, Pole> {
        self.fuel.take(4).ok_or(Pole)?;
        Ok(raise(base, exponent))
    }

    fn power(&mut self, base: &Expr, exponent: &Expr) -> Result<u64, Pole> {
        if let Expr::Number(power) = exponent {
            if power.is_integer() {
                let base = self.value(base)?;
                if base == 0 {
                    return if power.is_positive() { Ok(0) } else { Err(Pole) };
                }
                return self.raised(base, reduced(power.numer(), PRIME - 1));
            }
            if let (Expr::Number(base), Some(2)) = (base, power.denom().to_u64())
                && let Some(root) = root_of(base)
            {
                return self.raised(root, reduced(power.numer(), PRIME - 1));
            }
        }
        let arguments = [self.value(base)?, self.value(exponent)?];
        Ok(self.arbitrary("^", &arguments))
    }

    fn call(&mut self, function: &Function, arguments: &[Expr]) -> Result<u64, Pole> {
        if let (Function::Factorial, [Expr::Number(count)]) = (function, arguments)
            && let Some(count) = number::small(count).filter(|count| *count <= MAX_FACTORIAL)
        {
            self.fuel.take(count / 8).ok_or(Pole)?;
            return Ok((2..=count).fold(1, times));
        }
        let values = arguments.iter().map(|item| self.value(item)).collect::<Result<Vec<u64>, Pole>>()?;
        Ok(self.arbitrary(&format!("{function:?}"), &values))
    }

    fn atom(&self, name: &str) -> u64 {
        let start = mix(self.seed);
        1 + name.bytes().fold(start, |hash, byte| mix(hash ^ u64::from(byte))) % (PRIME - 1)
    }

    fn arbitrary(&mut self, name: &str, arguments: &[u64]) -> u64 {
        self.is_exact = false;
        1 + arguments.iter().fold(self.atom(name), |hash, value| mix(hash ^ value)) % (PRIME - 1)
    }
}

/// The image of the square root of a rational, if its prime factors are small.
fn root_of(number: &BigRational) -> Option<u64> {
    let factors = |part: &BigInt| {
        let mut rest = part.abs().to_u64().filter(|rest| *rest != 0)?;
        let mut image = 1;
        for (prime, root) in ROOTED {
            while rest % prime == 0 {
                rest /= prime;
                image = times(image, root);
            }
        }
        (rest == 1).then_some(image)
    };
    let (over, under) = (factors(number.numer())?, factors(number.denom())?);
    let size = times(over, raise(under, PRIME - 2));
    Some(if number.is_negative() { times(size, UNIT) } else { size })
}

fn reduced(value: &BigInt, modulus: u64) -> u64 {
    value.mod_floor(&BigInt::from(modulus)).to_u64().unwrap_or(0)
}

fn add(left: u64, right: u64) -> u64 {
    (left + right) % PRIME
}

fn times(left: u64, right: u64) -> u64 {
    u64::try_from(u128::from(left) * u128::from(right) % u128::from(PRIME)).unwrap_or(0)
}

fn raise(mut base: u64, mut exponent: u64) -> u64 {
    let mut power = 1;
    while exponent > 0 {
        if exponent % 2 == 1 {
            power = times(power, base);
        }
        base = times(base, base);
        exponent /= 2;
    }
    power
}

/// Stirs 64 bits (the finalizer of `SplitMix64`).
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_roots() {
        assert!(ROOTED.iter().all(|(prime, root)| times(*root, *root) == *prime));
        assert_eq!(times(UNIT, UNIT), PRIME - 1);
        // 2^(p−1) = 1, as for a prime.
        assert_eq!(raise(2, PRIME - 1), 1);
    }

    #[test]
    fn factorials_are_told_apart_exactly() {
        let one_over = |count: i64| {
            let factorial = Expr::call(Function::Factorial, vec![Expr::integer(count)]);
            Expr::integer(1).over(factorial)
        };
        assert_eq!(compare(&one_over(2004), &one_over(2006), 1, &Fuel::full()), Said::Different);
        assert_eq!(compare(&one_over(2004), &one_over(2004), 1, &Fuel::full()), Said::Equal);
    }
}

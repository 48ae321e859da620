//! The profile for measured quantities: an answer that rounds to the gold answer at the gold's significant digits.
//!
//! Only for gold answers written as decimals (`1.6`, `4.5e33`, `4.5 \times 10^{33}`); integers stay exact. The answer
//! may differ by half a unit of the gold's last digit, and by one per cent at most.

use num_rational::BigRational;
use num_traits::{Signed, Zero};

use super::expr::Expr;
use super::number;
use super::value::Value;

/// Whether an answer is the gold answer at its digits.
pub(super) fn is_within(text: &str, gold: &Value, answer: &Value) -> bool {
    let (Some(gold), Some(answer), Some(digits)) = (amount(gold), amount(answer), digits(text)) else {
        return false;
    };
    if gold.is_zero() {
        return false;
    }
    let error = (gold - answer).abs();
    let one_percent = gold.abs() / number::integer(100);
    half_unit(gold, digits).is_some_and(|half| error <= half) && error <= one_percent
}

fn amount(value: &Value) -> Option<&BigRational> {
    match value {
        Value::Scalar(Expr::Number(number)) | Value::Quantity(Expr::Number(number), _) => Some(number),
        Value::Relation(sides, signs) if signs == &['='] => amount(&sides[1]),
        _ => None,
    }
}

/// The significant digits of the first decimal in a text; none for an integer.
fn digits(text: &str) -> Option<usize> {
    let is_part = |letter: &char| letter.is_ascii_digit() || *letter == '.';
    let mantissa: String = text.chars().skip_while(|letter| !is_part(letter)).take_while(is_part).collect();
    let is_scaled = text.contains("10^") || text.contains(['e', 'E']);
    if !mantissa.contains('.') && !is_scaled {
        return None;
    }
    let written: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = written.trim_start_matches('0').len();
    (digits > 0).then_some(digits)
}

/// Half a unit of the last of so many significant digits.
fn half_unit(gold: &BigRational, digits: usize) -> Option<BigRational> {
    let ten = number::integer(10);
    let (mut unit, size) = (number::integer(1), gold.abs());
    // The unit of the first digit is the power of ten that is not larger than the number.
    for _ in 0..1200 {
        if unit > size {
            unit = number::product(&unit, &ten.recip())?;
        } else if number::product(&unit, &ten)? <= size {
            unit = number::product(&unit, &ten)?;
        } else {
            break;
        }
    }
    let last = number::power(&ten, &number::integer(i64::try_from(digits).ok()? - 1))?;
    Some(unit / last / number::integer(2))
}

//! Units of measurement after a number: names in one form, powers, quotients, and exact factors between them.
//!
//! A word that is no known unit is a unit of its own (`5 apples`), which equals no other.

use std::collections::BTreeMap;

use num_rational::BigRational;
use num_traits::{One, ToPrimitive};

use super::number;
use super::token::{Bracket, Token};

/// What a number counts: a factor and the powers of base units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) scale: BigRational,
    pub(super) powers: BTreeMap<String, i32>,
}

/// Spellings, their base unit, and the factor to it.
const KNOWN: &[(&[&str], &str, i64, i64)] = &[
    (&["m", "meter", "meters", "metre", "metres"], "meter", 1, 1),
    (&["cm", "centimeter", "centimeters", "centimetre", "centimetres"], "meter", 1, 100),
    (&["mm", "millimeter", "millimeters", "millimetre", "millimetres"], "meter", 1, 1000),
    (&["km", "kilometer", "kilometers", "kilometre", "kilometres"], "meter", 1000, 1),
    (&["nm", "nanometer", "nanometers"], "meter", 1, 1_000_000_000),
    (&["in", "inch", "inches"], "meter", 127, 5000),
    (&["ft", "foot", "feet"], "meter", 381, 1250),
    (&["yd", "yard", "yards"], "meter", 1143, 1250),
    (&["mi", "mile", "miles"], "meter", 201_168, 125),
    (&["s", "sec", "secs", "second", "seconds"], "second", 1, 1),
    (&["ms", "millisecond", "milliseconds"], "second", 1, 1000),
    (&["min", "mins", "minute", "minutes"], "second", 60, 1),
    (&["h", "hr", "hrs", "hour", "hours"], "second", 3600, 1),
    (&["day", "days"], "second", 86_400, 1),
    (&["week", "weeks"], "second", 604_800, 1),
    (&["year", "years", "yr", "yrs"], "year", 1, 1),
    (&["g", "gram", "grams"], "gram", 1, 1),
    (&["kg", "kilogram", "kilograms"], "gram", 1000, 1),
    (&["mg", "milligram", "milligrams"], "gram", 1, 1000),
    (&["lb", "lbs", "pound", "pounds"], "pound", 1, 1),
    (&["oz", "ounce", "ounces"], "ounce", 1, 1),
    (&["L", "l", "liter", "liters", "litre", "litres"], "liter", 1, 1),
    (&["mL", "ml", "milliliter", "milliliters"], "liter", 1, 1000),
    (&["$", "dollar", "dollars", "usd"], "dollar", 1, 1),
    (&["cent", "cents"], "dollar", 1, 100),
    (&["%", "percent", "pct", "percentage"], "percent", 1, 1),
    (&["°", "degree", "degrees", "deg"], "degree", 1, 1),
    (&["rad", "radian", "radians"], "radian", 1, 1),
    (&["K", "kelvin", "kelvins"], "kelvin", 1, 1),
    (&["N", "newton", "newtons"], "newton", 1, 1),
    (&["J", "joule", "joules"], "joule", 1, 1),
    (&["kJ"], "joule", 1000, 1),
    (&["W", "watt", "watts"], "watt", 1, 1),
    (&["V", "volt", "volts"], "volt", 1, 1),
    (&["Hz", "hertz"], "hertz", 1, 1),
    (&["eV"], "electronvolt", 1, 1),
    (&["mol", "mole", "moles"], "mole", 1, 1),
    (&["Pa", "pascal", "pascals"], "pascal", 1, 1),
    (&["unit", "units"], "unit", 1, 1),
    (&["sqft"], "sqft", 1, 1),
];

/// The unit of tokens that are nothing else.
pub(super) fn unit(tokens: &[Token]) -> Option<Unit> {
    let mut found = Unit { scale: BigRational::one(), powers: BTreeMap::new() };
    let (mut at, mut sign) = (0, 1);
    while let Some(token) = tokens.get(at) {
        at += 1;
        let part = match token {
            Token::Text(text) => described(text)?,
            Token::Word(word) => known(word).or_else(|| noun(word).filter(|_| 4 <= word.chars().count()))?,
            Token::Sign(sign @ ('%' | '°' | '$')) => known(&sign.to_string())?,
            Token::Sign('^') => match &tokens[at..] {
                [Token::Open(Bracket::Group), Token::Text(text), Token::Close(_), ..] if is_ordinal(text) => {
                    at += 3;
                    continue;
                }
                rest => {
                    at += degree(rest)?;
                    known("°")?
                }
            },
            Token::Sign('/') if at < tokens.len() && 1 < at => {
                sign = -1;
                continue;
            }
            Token::Name(name) if sign < 0 || tokens.len() > 1 && at > 1 => known(name)?,
            _ => return None,
        };
        let (power, used) = exponent(&tokens[at..]);
        at += used;
        found.multiply(&part, power * sign)?;
    }
    Some(found)
}

fn is_ordinal(text: &str) -> bool {
    ["th", "st", "nd", "rd"].contains(&text)
}

/// How many tokens `°` takes after `^`.
fn degree(tokens: &[Token]) -> Option<usize> {
    let group = [Token::Open(Bracket::Group), Token::Sign('°'), Token::Close(Bracket::Group)];
    match tokens.first()? {
        Token::Sign('°') => Some(1),
        _ if tokens.starts_with(&group) => Some(3),
        _ => None,
    }
}

/// The exponent that follows, and how many tokens it takes.
fn exponent(tokens: &[Token]) -> (i32, usize) {
    let whole = |value: &BigRational| value.is_integer().then(|| value.numer().to_i32()).flatten();
    match tokens {
        [Token::Sign('^'), Token::Number(value), ..] => whole(value).map_or((1, 0), |power| (power, 2)),
        [Token::Sign('^'), Token::Open(_), Token::Number(value), Token::Close(_), ..] => {
            whole(value).map_or((1, 0), |power| (power, 4))
        }
        [Token::Sign('^'), Token::Open(_), Token::Sign('-'), Token::Number(value), Token::Close(_), ..] => {
            whole(value).map_or((1, 0), |power| (-power, 5))
        }
        _ => (1, 0),
    }
}

/// The unit that words describe, such as `square inches` or `meters per second`.
fn described(text: &str) -> Option<Unit> {
    let mut found = Unit { scale: BigRational::one(), powers: BTreeMap::new() };
    if ["if", "where", "for", "when", "or", "and", "is", "to"]
        .iter()
        .any(|word| text.split(' ').any(|part| part == *word))
    {
        return None;
    }
    let spaced = text.replace('/', " / ").replace('.', " ");
    let (mut sign, mut power) = (1, 1);
    for word in spaced.split_whitespace() {
        match word {
            "per" | "/" => sign = -1,
            "square" | "sq" => power = 2,
            "cubic" => power = 3,
            "of" | "the" | "a" => {}
            ordinal if is_ordinal(ordinal) => {}
            other => {
                let (name, raised) = other.split_once('^').unwrap_or((other, "1"));
                let raised: i32 = raised.parse().ok().filter(|raised: &i32| raised.abs() < 10)?;
                let part = known(name).or_else(|| noun(name))?;
                found.multiply(&part, sign * power * raised)?;
                power = 1;
            }
        }
    }
    Some(found)
}

fn known(name: &str) -> Option<Unit> {
    let of = |spelling: &str| {
        let row = KNOWN.iter().find(|(names, _, _, _)| names.contains(&spelling))?;
        let scale = number::integer(row.2) / number::integer(row.3);
        Some(Unit { scale, powers: BTreeMap::from([(row.1.to_owned(), 1)]) })
    };
    match name {
        "mph" => of("mile").and_then(|mile| mile.over(&of("hour")?)),
        "kph" | "kmh" => of("km").and_then(|mile| mile.over(&of("hour")?)),
        _ => of(name).or_else(|| of(&name.to_lowercase())),
    }
}

/// A word that counts itself, in the singular.
fn noun(word: &str) -> Option<Unit> {
    let word = word.to_lowercase();
    let is_word = word.chars().all(|letter| letter.is_alphabetic() || letter == '-');
    let singular = word.strip_suffix('s').filter(|rest| 2 < rest.len()).unwrap_or(&word).to_owned();
    is_word.then(|| Unit { scale: BigRational::one(), powers: BTreeMap::from([(singular, 1)]) })
}

impl Unit {
    /// Whether it is nothing but a base unit.
    pub(super) fn is(&self, base: &str) -> bool {
        self.powers.len() == 1 && self.powers.get(base) == Some(&1)
    }

    fn over(mut self, other: &Self) -> Option<Self> {
        self.multiply(other, -1)?;
        Some(self)
    }

    fn multiply(&mut self, other: &Self, power: i32) -> Option<()> {
        if 9 < power.abs() {
            return None;
        }
        self.scale =
            number::product(&self.scale, &number::power(&other.scale, &number::integer(power.into()))?)?;
        for (name, own) in &other.powers {
            *self.powers.entry(name.clone()).or_insert(0) += own * power;
        }
        self.powers.retain(|_, power| *power != 0);
        Some(())
    }
}

//! Whether two answers are equal, by their kinds.
//!
//! Symmetric. A tuple is no set and no closed interval; it is an open interval only against a set of real numbers.

use super::Verdict;
use super::expr::Expr;
use super::number;
use super::region;
use super::relation;
use super::rule::Rule;
use super::scalar::{self, Context, Outcome, verdict};
use super::units::Unit;
use super::value::{Joint, Value};

/// Compares two answers.
pub(super) fn compare(left: &Value, right: &Value, context: &Context) -> Outcome {
    if context.fuel.take(1).is_none() {
        return (Verdict::Undecided, Rule::Bounds);
    }
    if let (Value::Scalar(left), Value::Scalar(right)) = (left, right) {
        return scalar::compare(left, right, context);
    }
    if (region::is_region(left) || region::is_region(right))
        && let Some(verdict) = region::compare(left, right, context)
    {
        return (verdict, Rule::Region);
    }
    if let Some(outcome) = one_sided(left, right, context).or_else(|| one_sided(right, left, context)) {
        return outcome;
    }
    alike(left, right, context)
}

/// Kinds that may stand against any other.
fn one_sided(left: &Value, right: &Value, context: &Context) -> Option<Outcome> {
    match (left, right) {
        (Value::Choice(letter, value), Value::Choice(other, other_value)) => {
            let is_same = letter == other && compare(value, other_value, context).0 == Verdict::Equal;
            Some((verdict(is_same), Rule::Choice))
        }
        // Against a letter the letter counts, whatever its value.
        (Value::Choice(letter, _), Value::Scalar(Expr::Symbol(name)))
            if ("A"..="F").contains(&name.as_str()) =>
        {
            Some((verdict(letter == name), Rule::Choice))
        }
        (Value::Choice(_, value), other) => Some((compare(value, other, context).0, Rule::Choice)),
        (Value::Relation(..), Value::Relation(..)) => Some(relation::compare(left, right, context)),
        (Value::Relation(sides, signs), other) => match relation::named(sides, signs) {
            Some((_, value)) => Some((compare(value, other, context).0, Rule::Named)),
            None => Some(closed(sides, signs, other, context)),
        },
        (Value::Quantity(amount, unit), Value::Scalar(other)) => {
            Some(without_unit(amount, unit, other, context))
        }
        // Conditions that a comma joins may all be meant, or any.
        (Value::List(items, Joint::Comma), other)
            if region::is_region(other) && items.iter().all(region::is_region) =>
        {
            Some((Verdict::Undecided, Rule::Region))
        }
        // One entry is that entry.
        (Value::Set(items) | Value::List(items, _), other)
            if items.len() == 1 && !matches!(other, Value::Set(_) | Value::List(..)) =>
        {
            Some((compare(&items[0], other, context).0, Rule::Set))
        }
        _ => None,
    }
}

/// A true equation of numbers, such as `10 + 15 = 25`, is worth its last side.
fn closed(sides: &[Value], signs: &[char], other: &Value, context: &Context) -> Outcome {
    let is_number = |side: &Value| matches!(side, Value::Scalar(expr) if expr.symbols().is_empty());
    let is_true = signs.iter().all(|sign| *sign == '=')
        && sides.iter().all(is_number)
        && sides.windows(2).all(|pair| compare(&pair[0], &pair[1], context).0 == Verdict::Equal);
    match sides.last() {
        Some(last) if is_true => (compare(last, other, context).0, Rule::Named),
        _ => (Verdict::NotEqual, Rule::Kind),
    }
}

/// Two answers of one kind.
fn alike(left: &Value, right: &Value, context: &Context) -> Outcome {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => (verdict(left == right), Rule::Words),
        (Value::Quantity(amount, unit), Value::Quantity(other, other_unit)) => {
            if unit.powers != other_unit.powers {
                return (Verdict::NotEqual, Rule::Unit);
            }
            let scaled = |amount: &Expr, unit: &Unit| {
                Expr::product(vec![amount.clone(), Expr::Number(unit.scale.clone())])
            };
            (scalar::compare(&scaled(amount, unit), &scaled(other, other_unit), context).0, Rule::Unit)
        }
        (Value::Tuple(left), Value::Tuple(right))
        | (Value::Bracketed(left), Value::Bracketed(right))
        | (Value::Ratio(left), Value::Ratio(right)) => (in_order(left, right, context), Rule::Entries),
        (Value::Matrix(delimiter, left), Value::Matrix(other, right)) => {
            let is_shape = delimiter == other
                && left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| left.len() == right.len());
            if !is_shape {
                return (Verdict::NotEqual, Rule::Entries);
            }
            (in_order(&left.concat(), &right.concat(), context), Rule::Entries)
        }
        (Value::Set(left) | Value::List(left, _), Value::Set(right) | Value::List(right, _)) => {
            (in_any_order(left, right, context), Rule::Set)
        }
        (Value::Ratio(parts), Value::Scalar(other)) | (Value::Scalar(other), Value::Ratio(parts)) => {
            ratio(parts, other, context)
        }
        _ => (Verdict::NotEqual, Rule::Kind),
    }
}

/// `3:2` against `3/2`.
fn ratio(parts: &[Value], other: &Expr, context: &Context) -> Outcome {
    let [Value::Scalar(over), Value::Scalar(under)] = parts else { return (Verdict::NotEqual, Rule::Kind) };
    let quotient = over.clone().over(under.clone());
    (scalar::compare(&quotient, other, context).0, Rule::Entries)
}

/// A number with a unit against one without: the same number; a percentage and an angle also by what they are worth.
fn without_unit(amount: &Expr, unit: &Unit, other: &Expr, context: &Context) -> Outcome {
    let plain = scalar::compare(amount, other, context);
    let (worth, rule) = if unit.is("percent") {
        (amount.clone().over(Expr::Number(number::integer(100))), Rule::Percent)
    } else if unit.is("degree") {
        let half_turn = Expr::Constant(super::expr::Constant::Pi).over(Expr::integer(180));
        (Expr::product(vec![amount.clone(), half_turn]), Rule::Unit)
    } else {
        return (plain.0, Rule::UnitLeftOut);
    };
    match plain.0 {
        Verdict::Equal => (Verdict::Equal, Rule::UnitLeftOut),
        _ => (scalar::compare(&worth, other, context).0, rule),
    }
}

fn in_order(left: &[Value], right: &[Value], context: &Context) -> Verdict {
    if left.len() != right.len() {
        return Verdict::NotEqual;
    }
    all(left.iter().zip(right).map(|(left, right)| compare(left, right, context).0))
}

/// Every entry of one is in the other.
fn in_any_order(left: &[Value], right: &[Value], context: &Context) -> Verdict {
    let one = all(left.iter().map(|item| among(item, right, context)));
    if one == Verdict::NotEqual {
        return one;
    }
    all([one, all(right.iter().map(|item| among(item, left, context)))].into_iter())
}

fn among(item: &Value, items: &[Value], context: &Context) -> Verdict {
    let mut is_open = false;
    for other in items {
        match compare(item, other, context).0 {
            Verdict::Equal => return Verdict::Equal,
            Verdict::Undecided => is_open = true,
            _ => {}
        }
    }
    if is_open { Verdict::Undecided } else { Verdict::NotEqual }
}

/// Unequal where one is, open where one is open, equal otherwise.
fn all(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut found = Verdict::Equal;
    for verdict in verdicts {
        match verdict {
            Verdict::NotEqual => return Verdict::NotEqual,
            Verdict::Undecided => found = Verdict::Undecided,
            _ => {}
        }
    }
    found
}

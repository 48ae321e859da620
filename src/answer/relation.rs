//! Equations and inequalities: the value that one names, and two that have the same solutions by a constant factor.

use super::compare;
use super::expr::{Expr, Function};
use super::rule::Rule;
use super::scalar::{self, Context, Outcome, verdict};
use super::value::Value;
use super::{Verdict, numeric};

/// The name and the value of `x = 5`, `7 = n`, `f(x) = x^2`, `(x, y) = (1, 2)` or `x ∈ S`.
pub(super) fn named<'a>(sides: &'a [Value], signs: &[char]) -> Option<(&'a Value, &'a Value)> {
    if !signs.iter().all(|sign| ['=', '≈', '∈'].contains(sign)) {
        return None;
    }
    let (first, last) = (sides.first()?, sides.last()?);
    let is_named = |name: &Value, value: &Value| is_name(name) && !mentions(value, name);
    if is_named(first, last) {
        return Some((first, last));
    }
    (sides.len() == 2 && is_named(last, first)).then_some((last, first))
}

fn is_name(value: &Value) -> bool {
    match value {
        Value::Scalar(Expr::Symbol(_) | Expr::Call(Function::Named(_), _)) => true,
        Value::Tuple(items) => items.iter().all(is_name),
        // A word, such as `Area = 5`.
        Value::Text(words) => words.chars().count() < 40,
        // `dM/dt = …`.
        Value::Scalar(Expr::Product(_)) => is_derivative(value),
        _ => false,
    }
}

/// A quotient of products of symbols whose parts begin with `d`.
fn is_derivative(value: &Value) -> bool {
    let Value::Scalar(Expr::Product(factors)) = value else { return false };
    let d = Expr::symbol("d");
    // d/d cancels nowhere: over and under each have one.
    let has = factors
        .iter()
        .any(|factor| *factor == d || matches!(factor, Expr::Power(base, _) if base.symbols().contains("d")));
    has && factors.iter().all(|factor| factor.symbols().len() <= 2 && !matches!(factor, Expr::Number(_)))
}

/// Whether a value contains the symbol that names it.
fn mentions(value: &Value, name: &Value) -> bool {
    match (value, name) {
        (Value::Scalar(expr), Value::Scalar(Expr::Symbol(name))) => expr.symbols().contains(name),
        (Value::Scalar(expr), Value::Scalar(call)) => expr.children().contains(&call) || expr == call,
        _ => false,
    }
}

/// Compares two relations.
pub(super) fn compare(left: &Value, right: &Value, context: &Context) -> Outcome {
    let (Value::Relation(sides, signs), Value::Relation(other_sides, other_signs)) = (left, right) else {
        return (Verdict::NotEqual, Rule::Kind);
    };
    let proportional = proportional((sides, signs), (other_sides, other_signs), context);
    if let Some(Verdict::Equal) = proportional {
        return (Verdict::Equal, Rule::Relation);
    }
    match (named(sides, signs), named(other_sides, other_signs)) {
        (Some((name, value)), Some((other_name, other_value))) => {
            // Two of the same thing, or one that is only called otherwise as a whole: f(x) = … and y = ….
            let is_same = match (name, other_name) {
                (Value::Scalar(Expr::Symbol(y)), Value::Scalar(Expr::Call(..)))
                | (Value::Scalar(Expr::Call(..)), Value::Scalar(Expr::Symbol(y))) => verdict(y == "y"),
                _ => compare::compare(name, other_name, context).0,
            };
            if is_same != Verdict::Equal {
                return (is_same, Rule::Named);
            }
            (compare::compare(value, other_value, context).0, Rule::Named)
        }
        _ => (proportional.unwrap_or(Verdict::Undecided), Rule::Relation),
    }
}

type Sides<'a> = (&'a [Value], &'a [char]);

/// Whether both say that a multiple of the same expression is zero, or has the same sign.
fn proportional(left: Sides<'_>, right: Sides<'_>, context: &Context) -> Option<Verdict> {
    let ((difference, sign), (other, other_sign)) = (difference(left)?, difference(right)?);
    if sign != other_sign {
        return Some(Verdict::NotEqual);
    }
    let names = difference.symbols();
    if names != other.symbols() {
        return Some(Verdict::NotEqual);
    }
    if names.is_empty() {
        return None;
    }
    let zero = Expr::integer(0);
    // At points where neither is zero, their quotient is the factor, if there is one.
    for point in 0..3 {
        let at = |expr: &Expr| {
            names.iter().enumerate().fold(expr.clone(), |expr, (idx, name)| {
                expr.with(name, &Expr::integer(7 + 5 * i64::try_from(idx).unwrap_or(0) + 11 * point))
            })
        };
        let (factor, other_factor) = (at(&difference), at(&other));
        let is_zero = |expr: &Expr| {
            scalar::compare(expr, &zero, context).0 != Verdict::NotEqual || *expr == Expr::Undefined
        };
        if is_zero(&factor) || is_zero(&other_factor) {
            continue;
        }
        if sign != '=' && sign != '≠' {
            let product =
                numeric::sign(&factor, &context.fuel)? * numeric::sign(&other_factor, &context.fuel)?;
            if product < 0 {
                return Some(verdict(false));
            }
        }
        let left = Expr::product(vec![difference, other_factor]);
        let right = Expr::product(vec![other, factor]);
        return Some(scalar::compare(&left, &right, context).0);
    }
    Some(Verdict::Undecided)
}

/// What is compared with zero, and how; `<` and `≤` are turned round.
fn difference((sides, signs): Sides<'_>) -> Option<(Expr, char)> {
    let ([Value::Scalar(left), Value::Scalar(right)], [sign]) = (sides, signs) else { return None };
    match sign {
        '<' => Some((right.clone().minus(left.clone()), '>')),
        '≤' => Some((right.clone().minus(left.clone()), '≥')),
        '=' | '≠' | '>' | '≥' => Some((left.clone().minus(right.clone()), *sign)),
        _ => None,
    }
}

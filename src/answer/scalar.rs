//! Whether two expressions have the same value: exactly, then modulo a prime, then in ball arithmetic.

use super::expr::Expr;
use super::fuel::Fuel;
use super::rule::Rule;
use super::{Verdict, modular, numeric};

/// What a comparison says, and by which rule.
pub(super) type Outcome = (Verdict, Rule);

/// What comparisons share: a seed for points that depends on both answers, and fuel.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) seed: u64,
    pub(super) fuel: Fuel,
}

/// Equal or not.
pub(super) fn verdict(is_equal: bool) -> Verdict {
    if is_equal { Verdict::Equal } else { Verdict::NotEqual }
}

/// Compares two expressions.
pub(super) fn compare(left: &Expr, right: &Expr, context: &Context) -> Outcome {
    if context.fuel.take(1).is_none() {
        return (Verdict::Undecided, Rule::Bounds);
    }
    match (left, right) {
        (Expr::Undefined, _) | (_, Expr::Undefined) => return (Verdict::NotEqual, Rule::NoValue),
        (Expr::Number(left), Expr::Number(right)) => return (verdict(left == right), Rule::Rational),
        (left, right) if left == right => return (Verdict::Equal, Rule::Canonical),
        (left, right) if left.is_infinite() || right.is_infinite() => {
            return (Verdict::NotEqual, Rule::Canonical);
        }
        _ => {}
    }
    match modular::compare(left, right, context.seed, &context.fuel) {
        modular::Said::Equal => return (Verdict::Equal, Rule::Modular),
        modular::Said::Different => return (Verdict::NotEqual, Rule::Modular),
        modular::Said::Nothing => {}
    }
    match numeric::compare(left, right, context.seed, &context.fuel) {
        numeric::Said::Equal => (Verdict::Equal, Rule::Balls),
        numeric::Said::Different => (Verdict::NotEqual, Rule::Balls),
        numeric::Said::Nothing => (Verdict::Undecided, Rule::Bounds),
    }
}

/// Compares by value alone.
pub(super) fn is_equal(left: &Expr, right: &Expr, context: &Context) -> bool {
    compare(left, right, context).0 == Verdict::Equal
}

//! Sets of real numbers: intervals, points, inequalities in one variable, unions, intersections and differences.
//!
//! Two sets are compared on the cells between all their ends: each end and each gap lies in both or in neither.

use std::cmp::Ordering;

use super::expr::{Constant, Expr};
use super::scalar::{self, Context};
use super::value::{Interval, Joint, Operation, Value};
use super::{Verdict, numeric};

/// A set of real numbers.
enum Region {
    All,
    Within(Interval),
    Points(Vec<Expr>),
    Operation(Operation, Box<Region>, Box<Region>),
}

/// The most ends that two sets may have together.
const MAX_ENDS: usize = 64;

/// Whether a value can only be meant as a set of real numbers.
pub(super) fn is_region(value: &Value) -> bool {
    match value {
        Value::Interval(_) | Value::Operation(..) | Value::Reals => true,
        Value::Relation(_, signs) => {
            signs.iter().all(|sign| ['<', '>', '≤', '≥', '≠', '∈', '∉'].contains(sign))
        }
        Value::List(items, Joint::Or | Joint::And) => items.iter().all(is_region),
        _ => false,
    }
}

/// Compares two values as sets of real numbers; nothing where one is none.
pub(super) fn compare(left: &Value, right: &Value, context: &Context) -> Option<Verdict> {
    if let (Some(one), Some(other)) = (variable(left), variable(right))
        && one != other
    {
        return Some(Verdict::NotEqual);
    }
    let (left, right) = (region(left)?, region(right)?);
    let mut ends = Vec::new();
    left.ends(&mut ends);
    right.ends(&mut ends);
    let sorted = sorted(&ends, context)?;
    let is_same = |cell: i64| {
        let at = Cell { index: cell, ends: &sorted, context };
        Some(at.is_in(&left)? == at.is_in(&right)?)
    };
    for cell in 0..=2 * sorted.len() as i64 {
        match is_same(cell) {
            Some(true) => {}
            Some(false) => return Some(Verdict::NotEqual),
            None => return Some(Verdict::Undecided),
        }
    }
    Some(Verdict::Equal)
}

/// The name of the variable of an inequality.
fn variable(value: &Value) -> Option<&str> {
    match value {
        Value::Relation(sides, _) => sides.iter().find_map(|side| match side {
            Value::Scalar(Expr::Symbol(name)) => Some(name.as_str()),
            _ => None,
        }),
        Value::List(items, _) => items.iter().find_map(variable),
        _ => None,
    }
}

fn region(value: &Value) -> Option<Region> {
    match value {
        Value::Reals => Some(Region::All),
        Value::Interval(interval) => Some(Region::Within(interval.clone())),
        Value::Tuple(ends) => between(ends, true),
        Value::Bracketed(ends) => between(ends, false),
        Value::Scalar(point) => constant(point).map(|point| Region::Points(vec![point])),
        Value::Set(items) => items.iter().map(scalar).collect::<Option<Vec<Expr>>>().map(Region::Points),
        Value::Operation(kind, left, right) => {
            Some(Region::Operation(*kind, Box::new(region(left)?), Box::new(region(right)?)))
        }
        Value::Relation(sides, signs) => inequality(sides, signs),
        Value::List(items, joint @ (Joint::And | Joint::Or)) => {
            let kind = if *joint == Joint::And { Operation::Intersection } else { Operation::Union };
            let mut regions = items.iter().map(region);
            let first = regions.next()??;
            regions.try_fold(first, |left, right| {
                Some(Region::Operation(kind, Box::new(left), Box::new(right?)))
            })
        }
        _ => None,
    }
}

fn constant(expr: &Expr) -> Option<Expr> {
    (expr.symbols().is_empty() && !expr.is_complex() && *expr != Expr::Undefined).then(|| expr.clone())
}

fn scalar(value: &Value) -> Option<Expr> {
    match value {
        Value::Scalar(expr) => constant(expr),
        _ => None,
    }
}

fn between(ends: &[Value], is_open: bool) -> Option<Region> {
    let [low, high] = ends else { return None };
    let (low, high) = (scalar(low)?, scalar(high)?);
    Some(Region::Within(Interval { low, high, is_low_open: is_open, is_high_open: is_open }))
}

/// A chain of inequalities around one variable, each of which bounds it.
fn inequality(sides: &[Value], signs: &[char]) -> Option<Region> {
    let place = sides.iter().position(|side| matches!(side, Value::Scalar(Expr::Symbol(_))))?;
    if let (['∈'], [_, set]) = (signs, sides) {
        return region(set);
    }
    if sides.len() > 3 || (sides.len() == 3 && place != 1) {
        return None;
    }
    let bound = |sign: char, side: &Value, is_left: bool| {
        let end = scalar(side)?;
        // The sign as it stands with the variable before it.
        let sign = match (sign, is_left) {
            ('<', true) => '>',
            ('>', true) => '<',
            ('≤', true) => '≥',
            ('≥', true) => '≤',
            (sign, _) => sign,
        };
        Some(bounded(sign, end)).flatten()
    };
    let left = place.checked_sub(1).map(|before| bound(signs[before], &sides[before], true));
    let right = sides.get(place + 1).map(|side| bound(signs[place], side, false));
    match (left, right) {
        (Some(left), Some(right)) => {
            Some(Region::Operation(Operation::Intersection, Box::new(left?), Box::new(right?)))
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => None,
    }
}

fn bounded(sign: char, end: Expr) -> Option<Region> {
    let infinity = Expr::Constant(Constant::Infinity);
    let is_open = ['<', '>'].contains(&sign);
    Some(match sign {
        '<' | '≤' => Region::Within(Interval {
            low: infinity.negative(),
            high: end,
            is_low_open: true,
            is_high_open: is_open,
        }),
        '>' | '≥' => {
            Region::Within(Interval { low: end, high: infinity, is_low_open: is_open, is_high_open: true })
        }
        '≠' => {
            Region::Operation(Operation::Without, Box::new(Region::All), Box::new(Region::Points(vec![end])))
        }
        _ => return None,
    })
}

impl Region {
    /// Its finite ends.
    fn ends(&self, found: &mut Vec<Expr>) {
        match self {
            Self::All => {}
            Self::Within(interval) => {
                found.extend(
                    [&interval.low, &interval.high].into_iter().filter(|end| !end.is_infinite()).cloned(),
                );
            }
            Self::Points(points) => found.extend(points.iter().filter(|end| !end.is_infinite()).cloned()),
            Self::Operation(_, left, right) => {
                left.ends(found);
                right.ends(found);
            }
        }
    }
}

/// The ends in ascending order, each once.
fn sorted(ends: &[Expr], context: &Context) -> Option<Vec<Expr>> {
    if MAX_ENDS < ends.len() {
        return None;
    }
    let mut sorted: Vec<Expr> = Vec::new();
    for end in ends {
        let mut place = 0;
        let mut is_known = false;
        for other in &sorted {
            match order(end, other, context)? {
                Ordering::Equal => is_known = true,
                Ordering::Greater => place += 1,
                Ordering::Less => {}
            }
        }
        if !is_known {
            sorted.insert(place, end.clone());
        }
    }
    Some(sorted)
}

fn order(left: &Expr, right: &Expr, context: &Context) -> Option<Ordering> {
    if left == right || scalar::is_equal(left, right, context) {
        return Some(Ordering::Equal);
    }
    numeric::order(left, right, &context.fuel)
}

/// A place among sorted ends: odd ones are ends, even ones the gaps around them.
struct Cell<'a> {
    index: i64,
    ends: &'a [Expr],
    context: &'a Context,
}

impl Cell<'_> {
    fn is_in(&self, region: &Region) -> Option<bool> {
        match region {
            Region::All => Some(true),
            Region::Within(interval) => {
                let (low, high) = (self.place(&interval.low)?, self.place(&interval.high)?);
                let is_above = low < self.index || (low == self.index && !interval.is_low_open);
                let is_below = self.index < high || (high == self.index && !interval.is_high_open);
                Some(is_above && is_below)
            }
            Region::Points(points) => {
                for point in points {
                    if self.place(point)? == self.index && self.index % 2 == 1 {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Region::Operation(kind, left, right) => {
                let (left, right) = (self.is_in(left)?, self.is_in(right)?);
                Some(match kind {
                    Operation::Union => left || right,
                    Operation::Intersection => left && right,
                    Operation::Without => left && !right,
                })
            }
        }
    }

    /// The cell of an end; infinite ones lie beyond the outermost gaps.
    fn place(&self, end: &Expr) -> Option<i64> {
        if end.is_infinite() {
            // −∞ is a product with a negative number.
            let is_negative = matches!(end, Expr::Product(_));
            return Some(if is_negative { -1 } else { 2 * self.ends.len() as i64 + 1 });
        }
        let known =
            self.ends.iter().position(|other| order(end, other, self.context) == Some(Ordering::Equal))?;
        Some(2 * known as i64 + 1)
    }
}

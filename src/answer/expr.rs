//! Expressions of numbers, constants, symbols and functions, in a canonical order.
//!
//! The constructors fold exact numbers of bounded size, flatten sums and products and sort them, so that equal
//! trees are equal answers. What has no value (`1/0`, `0^0`) becomes [`Expr::Undefined`] and stays so.

use std::collections::BTreeSet;

use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

use super::number;

/// A constant with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Constant {
    Pi,
    E,
    I,
    Infinity,
}

/// A function of one or more arguments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Function {
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Ln,
    Abs,
    Floor,
    Ceiling,
    Factorial,
    Binomial,
    /// A function that is only known by its name, such as `f`.
    Named(String),
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Expr {
    Number(BigRational),
    Constant(Constant),
    Symbol(String),
    Sum(Vec<Expr>),
    Product(Vec<Expr>),
    Power(Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
    Undefined,
}

impl Expr {
    pub(super) fn integer(value: i64) -> Self {
        Self::Number(number::integer(value))
    }

    pub(super) fn symbol(name: &str) -> Self {
        Self::Symbol(name.to_owned())
    }

    pub(super) fn sum(items: Vec<Self>) -> Self {
        let mut terms = Vec::with_capacity(items.len());
        let mut total = BigRational::zero();
        for item in items.into_iter().flat_map(|item| match item {
            Self::Sum(inner) => inner,
            other => vec![other],
        }) {
            match item {
                Self::Undefined => return Self::Undefined,
                Self::Number(value) => match number::sum(&total, &value) {
                    Some(sum) => total = sum,
                    None => terms.push(Self::Number(value)),
                },
                other => terms.push(other),
            }
        }
        if !total.is_zero() {
            terms.push(Self::Number(total));
        }
        terms.sort();
        match terms.len() {
            0 => Self::integer(0),
            1 => terms.remove(0),
            _ => Self::Sum(terms),
        }
    }

    pub(super) fn product(items: Vec<Self>) -> Self {
        let mut factors = Vec::with_capacity(items.len());
        let mut total = BigRational::one();
        for item in items.into_iter().flat_map(|item| match item {
            Self::Product(inner) => inner,
            other => vec![other],
        }) {
            match item {
                Self::Undefined => return Self::Undefined,
                Self::Number(value) => match number::product(&total, &value) {
                    Some(product) => total = product,
                    None => factors.push(Self::Number(value)),
                },
                other => factors.push(other),
            }
        }
        let is_infinite = factors.contains(&Self::Constant(Constant::Infinity));
        if total.is_zero() {
            return if is_infinite { Self::Undefined } else { Self::integer(0) };
        }
        if is_infinite {
            // ∞ keeps the sign of what multiplies it.
            total = total.signum();
        }
        if !total.is_one() {
            factors.push(Self::Number(total));
        }
        factors.sort();
        match factors.len() {
            0 => Self::integer(1),
            1 => factors.remove(0),
            _ => Self::Product(factors),
        }
    }

    pub(super) fn power(base: Self, exponent: Self) -> Self {
        if base == Self::Undefined || exponent == Self::Undefined {
            return Self::Undefined;
        }
        if let (Self::Number(base), Self::Number(exponent)) = (&base, &exponent) {
            if base.is_zero() && !exponent.is_positive() {
                return Self::Undefined;
            }
            if let Some(power) = number::power(base, exponent) {
                return Self::Number(power);
            }
            if base.is_negative() && *exponent == number::integer(1) / number::integer(2) {
                let size = Self::power(Self::Number(-base), Self::Number(exponent.clone()));
                return Self::product(vec![Self::Constant(Constant::I), size]);
            }
        }
        if let Self::Number(exponent) = &exponent {
            if exponent.is_one() {
                return base;
            }
            if exponent.is_zero() {
                return Self::integer(1);
            }
            if let (Self::Power(inner, first), true) = (&base, exponent.is_integer())
                && let Self::Number(first) = first.as_ref()
                && let Some(both) = number::product(first, exponent)
            {
                return Self::power(inner.as_ref().clone(), Self::Number(both));
            }
        }
        if let (Self::Constant(Constant::E), Some(angle)) = (&base, exponent.imaginary_part()) {
            let sine = Self::Call(Function::Sin, vec![angle.clone()]);
            let cosine = Self::Call(Function::Cos, vec![angle]);
            return Self::sum(vec![cosine, Self::product(vec![Self::Constant(Constant::I), sine])]);
        }
        Self::Power(Box::new(base), Box::new(exponent))
    }

    pub(super) fn negative(self) -> Self {
        Self::product(vec![Self::integer(-1), self])
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self::sum(vec![self, other.negative()])
    }

    pub(super) fn over(self, other: Self) -> Self {
        Self::product(vec![self, Self::power(other, Self::integer(-1))])
    }

    pub(super) fn root(self, degree: Self) -> Self {
        Self::power(self, Self::integer(1).over(degree))
    }

    pub(super) fn call(function: Function, arguments: Vec<Self>) -> Self {
        if arguments.contains(&Self::Undefined) {
            return Self::Undefined;
        }
        if let [Self::Number(value)] = arguments.as_slice() {
            match function {
                Function::Abs => return Self::Number(value.abs()),
                Function::Floor => return Self::Number(value.floor()),
                Function::Ceiling => return Self::Number(value.ceil()),
                Function::Factorial if number::small(value).is_none() => return Self::Undefined,
                Function::Factorial => {
                    if let Some(product) = factorial(value) {
                        return Self::Number(product);
                    }
                }
                _ => {}
            }
        }
        Self::Call(function, arguments)
    }

    /// What `i` multiplies, where the expression is `i` times something real.
    fn imaginary_part(&self) -> Option<Self> {
        let unit = Self::Constant(Constant::I);
        match self {
            Self::Constant(Constant::I) => Some(Self::integer(1)),
            Self::Product(factors) => {
                let rest: Vec<Self> = factors.iter().filter(|factor| **factor != unit).cloned().collect();
                let is_one = rest.len() + 1 == factors.len() && !rest.iter().any(Self::is_complex);
                is_one.then(|| Self::product(rest))
            }
            _ => None,
        }
    }

    /// Whether `i` occurs.
    pub(super) fn is_complex(&self) -> bool {
        *self == Self::Constant(Constant::I) || self.children().iter().any(|child| child.is_complex())
    }

    /// Whether it is ∞ or −∞.
    pub(super) fn is_infinite(&self) -> bool {
        match self {
            Self::Constant(Constant::Infinity) => true,
            Self::Product(factors) => factors.contains(&Self::Constant(Constant::Infinity)),
            _ => false,
        }
    }

    pub(super) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Sum(items) | Self::Product(items) | Self::Call(_, items) => items.iter().collect(),
            Self::Power(base, exponent) => vec![base.as_ref(), exponent.as_ref()],
            _ => Vec::new(),
        }
    }

    /// The names of its symbols.
    pub(super) fn symbols(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![self];
        while let Some(next) = waiting.pop() {
            if let Self::Symbol(name) = next {
                found.insert(name.clone());
            }
            waiting.extend(next.children());
        }
        found
    }

    /// How many parts it has, itself included.
    pub(super) fn size(&self) -> usize {
        1 + self.children().into_iter().map(Self::size).sum::<usize>()
    }

    /// The expression with `value` for a symbol.
    pub(super) fn with(&self, symbol: &str, value: &Self) -> Self {
        let inside = |items: &[Self]| items.iter().map(|item| item.with(symbol, value)).collect();
        match self {
            Self::Symbol(name) if name == symbol => value.clone(),
            Self::Sum(items) => Self::sum(inside(items)),
            Self::Product(items) => Self::product(inside(items)),
            Self::Power(base, exponent) => {
                Self::power(base.with(symbol, value), exponent.with(symbol, value))
            }
            Self::Call(function, items) => Self::call(function.clone(), inside(items)),
            other => other.clone(),
        }
    }
}

/// A factorial that is small enough to be written out.
fn factorial(value: &BigRational) -> Option<BigRational> {
    let count = number::small(value).filter(|count| *count <= 400)?;
    (1..=count).try_fold(BigRational::one(), |product, factor| {
        number::product(&product, &number::integer(i64::try_from(factor).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_answers_have_one_tree() {
        let x = || Expr::symbol("x");
        let left = Expr::sum(vec![Expr::integer(1), x(), Expr::integer(2)]);
        let right = Expr::sum(vec![x(), Expr::integer(3)]);
        assert_eq!(left, right);
        assert_eq!(x().minus(Expr::integer(0)), x());
        assert_ne!(Expr::product(vec![x(), Expr::integer(2)]), x());
    }

    #[test]
    fn what_has_no_value_is_undefined() {
        assert_eq!(Expr::integer(1).over(Expr::integer(0)), Expr::Undefined);
        assert_eq!(Expr::power(Expr::integer(0), Expr::integer(0)), Expr::Undefined);
        assert_eq!(Expr::call(Function::Factorial, vec![Expr::integer(-1)]), Expr::Undefined);
    }
}

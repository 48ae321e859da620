//! What sympy's readers make of an answer, as far as verdicts show: `π`, `e` and `i` are symbols, a letter before a bracket is a
//! function, what follows the first comma is not read, and braces with commas are a set.

use crate::answer::Verdict;
use crate::answer::expr::Expr;
use crate::answer::fuel::Fuel;
use crate::answer::numeric;
use crate::answer::parse;
use crate::answer::scalar::{self, Context};
use crate::answer::token::{self, Token};

/// An answer as sympy's readers give it.
pub(super) enum Symbolic {
    Expression(Expr),
    /// Both sides of an equation or inequality.
    Relation(Expr, Expr),
    /// A set as Python writes it.
    Set(Vec<String>),
}

impl Symbolic {
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
            && inner.contains(',')
        {
            return set(inner);
        }
        let is_unknown = ["{,}", "\\cfrac", "\\math", "\\text"].iter().any(|part| text.contains(part));
        if !text.is_ascii() || is_unknown || text.contains([';', '~', '&']) {
            return None;
        }
        let plain = respelled(text);
        let tokens = token::tokens(&plain).ok()?;
        let tokens = &tokens[..end(&tokens)?];
        let sign = |token: &Token| matches!(token, Token::Sign('=' | '<' | '>' | '≤' | '≥'));
        match outside(tokens, sign) {
            None => Some(Self::Expression(expression(tokens)?)),
            Some(at) => {
                let (left, right) = (expression(&tokens[..at])?, expression(&tokens[at + 1..])?);
                Some(Self::Relation(left, right))
            }
        }
    }
}

/// A ratio is a division.
fn expression(tokens: &[Token]) -> Option<Expr> {
    let divided = |token: &Token| match token {
        Token::Sign(':') => Token::Sign('/'),
        other => other.clone(),
    };
    let tokens: Vec<Token> = tokens.iter().map(divided).collect();
    parse::expression(&tokens).ok()
}

/// The letters apart, and names for what is no constant to the reader.
fn respelled(text: &str) -> String {
    let mut plain = String::with_capacity(2 * text.len());
    // They read a text once more with its doubled backslashes halved; an empty exponent is none.
    let letters: Vec<char> = text.replace("\\\\", "\\").replace("^{}", "").chars().collect();
    let mut at = 0;
    while let Some(letter) = letters.get(at).copied() {
        if letter == '\\' {
            let name: String =
                letters[at + 1..].iter().take_while(|letter| letter.is_ascii_alphabetic()).collect();
            match name.as_str() {
                "pi" => plain.push_str("p_{i}"),
                // Without a base both are the natural logarithm.
                "log" if letters.get(at + 4) != Some(&'_') => plain.push_str("\\ln"),
                _ => {
                    // No number is mixed.
                    let is_mixed = name == "frac" && plain.ends_with(|last: char| last.is_ascii_digit());
                    plain.push_str(if is_mixed { "*" } else { "" });
                    plain.push('\\');
                    plain.push_str(&name);
                }
            }
            at += 1 + name.len();
            if name.is_empty() {
                plain.extend(letters.get(at));
                at += 1;
            }
            plain.push(' ');
            continue;
        }
        at += 1;
        if !letter.is_ascii_alphabetic() {
            plain.push(letter);
            continue;
        }
        let is_application = letters.get(at) == Some(&'(');
        let index = if is_application { "f_{" } else { "" };
        plain.push_str(index);
        plain.push(letter);
        plain.push_str(if is_application { "}" } else { "" });
        if ['e', 'i'].contains(&letter) && !is_application && letters.get(at) != Some(&'_') {
            plain.push_str("_{0}");
        }
        plain.push(' ');
    }
    let plain = plain.trim_end().trim_end_matches('\\');
    plain.strip_suffix("^{").unwrap_or(plain).to_owned()
}

/// Where reading ends: at the first comma outside brackets, which must not come first.
fn end(tokens: &[Token]) -> Option<usize> {
    match outside(tokens, |token| matches!(token, Token::Sign(',' | token::ROW))) {
        None => Some(tokens.len()),
        Some(at) => (at > 0).then_some(at),
    }
}

/// The first token outside brackets that is wanted.
fn outside(tokens: &[Token], is_wanted: impl Fn(&Token) -> bool) -> Option<usize> {
    let mut depth = 0_i32;
    tokens.iter().position(|token| {
        match token {
            Token::Open(_) => depth += 1,
            Token::Close(_) => depth -= 1,
            _ => {}
        }
        depth == 0 && is_wanted(token)
    })
}

/// A Python set: its entries as they are written, sorted, each once.
fn set(inner: &str) -> Option<Symbolic> {
    let (mut entries, mut depth, mut entry) = (Vec::new(), 0_i32, String::new());
    for letter in inner.chars() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '\\' => return None,
            _ => {}
        }
        if letter == ',' && depth == 0 {
            entries.push(std::mem::take(&mut entry));
        } else {
            entry.push(letter);
        }
    }
    // A comma may stand at the end and nowhere else.
    if !entry.is_empty() {
        entries.push(entry);
    }
    if entries.iter().any(String::is_empty) {
        return None;
    }
    entries.sort();
    entries.dedup();
    Some(Symbolic::Set(entries))
}

/// Whether sympy finds two answers equal, or numbers within 1e-4.
pub(super) fn is_equal(left: &Symbolic, right: &Symbolic) -> bool {
    let context = Context { seed: 7, fuel: Fuel::full() };
    let same = |left: &Expr, right: &Expr| scalar::compare(left, right, &context).0 == Verdict::Equal;
    match (left, right) {
        (Symbolic::Set(left), Symbolic::Set(right)) => left == right,
        (Symbolic::Expression(left), Symbolic::Expression(right)) => {
            same(left, right) || near(left, right, &context)
        }
        (Symbolic::Relation(left, right), Symbolic::Relation(other_left, other_right)) => {
            let difference = left.clone().minus(right.clone());
            let other = other_left.clone().minus(other_right.clone());
            same(&difference, &other) || same(&difference, &other.negative())
        }
        _ => false,
    }
}

fn near(left: &Expr, right: &Expr, context: &Context) -> bool {
    let value = |expr: &Expr| numeric::approximate(expr, &context.fuel).filter(|value| value.is_finite());
    let (Some(left), Some(right)) = (value(left), value(right)) else { return false };
    left == right || (left - right).abs() <= 1e-4 * left.abs().max(right.abs())
}

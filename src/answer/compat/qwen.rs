//! Qwen2.5-Math's harness: its extraction, and equality by string, by number within 1e-4 and a factor of 100, by parts, and
//! symbolically.

use std::sync::LazyLock;

use regex::Regex;

use super::Said;
use super::notation::{self, Symbolic};
use super::qwen_normal::{MAX_BYTES, normal};

static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"-?\d*\.?\d+").expect("invariant: the pattern is valid"));
static LETTER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b[A-E]\b").expect("invariant: the pattern is valid"));
static BRACKETED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[(\[].+[)\]]").expect("invariant: the pattern is valid"));

/// How deep parts are compared within parts.
const MAX_DEPTH: usize = 8;

/// Judges a reply.
pub(super) fn judge(gold: &str, reply: &str) -> Said {
    let extracted = extracted(reply);
    let gold = normal(gold);
    let rule = if MAX_BYTES < extracted.len().max(gold.len()) { None } else { rule(&extracted, &gold, 0) };
    Said { is_accepted: rule.is_some(), rule: rule.unwrap_or("different"), extracted }
}

/// The answer in a reply, in their spelling.
fn extracted(reply: &str) -> String {
    let found = if let Some((_, rest)) =
        reply.split_once("final answer is $").filter(|_| reply.contains("$. I hope"))
    {
        rest.split("$. I hope").next().unwrap_or_default().trim().to_owned()
    } else if let Some((_, rest)) = reply.rsplit_once("boxed") {
        boxed(rest)
    } else if let Some((_, rest)) =
        reply.rsplit_once("he answer is").or_else(|| reply.rsplit_once("final answer is"))
    {
        rest.trim().to_owned()
    } else if let Some((_, rest)) = reply.split_once("答案是") {
        rest.split("答案是")
            .next()
            .unwrap_or_default()
            .trim()
            .split("\n\n")
            .next()
            .unwrap_or_default()
            .to_owned()
    } else {
        let numbers = reply.replace(',', "");
        NUMBER.find_iter(&numbers).last().map(|number| number.as_str().to_owned()).unwrap_or_default()
    };
    let joined = found.lines().map(str::trim_start).collect::<String>();
    let joined = joined.strip_prefix(':').unwrap_or(&joined);
    let joined = joined.strip_suffix('.').unwrap_or(joined);
    normal(joined.strip_suffix('/').unwrap_or(joined))
}

/// What is in the braces, or up to the next `$`.
fn boxed(rest: &str) -> String {
    let Some(inner) = rest.strip_prefix('{') else {
        return rest.split('$').next().unwrap_or_default().trim().to_owned();
    };
    let mut depth = 1_usize;
    let is_inside = |letter: &char| {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth > 0
    };
    inner.chars().take_while(is_inside).collect()
}

/// The rule by which two answers are equal.
fn rule(answer: &str, gold: &str, depth: usize) -> Option<&'static str> {
    if MAX_DEPTH < depth {
        return None;
    }
    if answer.trim().to_lowercase() == gold.trim().to_lowercase() {
        return Some("same string");
    }
    if ["A", "B", "C", "D", "E"].contains(&gold) && choice(answer) == gold {
        return Some("choice letter");
    }
    if let (Some(answer), Some(gold)) = (number(answer), number(gold)) {
        let is_near = [gold / 100.0, gold, gold * 100.0].into_iter().any(|gold| near(gold, answer));
        return is_near.then_some("number within 1e-4, or a hundredth, or a hundredfold");
    }
    if answer.is_empty() {
        return None;
    }
    if unbracketed(answer, gold) {
        return Some("same string without brackets");
    }
    if by_parts(answer, gold, depth) {
        return Some("every part");
    }
    let (sides, gold_sides) = (answer.split_once('='), gold.split_once('='));
    match (sides, gold_sides) {
        (Some((left, right)), Some((gold_left, gold_right)))
            if !right.contains('=') && !gold_right.contains('=') =>
        {
            let difference = format!("{left}-({right})");
            let gold_difference = format!("{gold_left}-({gold_right})");
            if symbolic(&difference, &gold_difference)
                || symbolic(&format!("-({difference})"), &gold_difference)
            {
                return Some("equations by their difference");
            }
        }
        (Some(_), None) if short_value(sides).is_some_and(|value| rule(value, gold, depth + 1).is_some()) => {
            return Some("value of a short equation");
        }
        (None, Some(_))
            if short_value(gold_sides).is_some_and(|value| rule(answer, value, depth + 1).is_some()) =>
        {
            return Some("value of a short equation");
        }
        _ => {}
    }
    symbolic(answer, gold).then_some("symbolic")
}

/// The right side of an equation whose left side is at most two letters.
fn short_value<'a>(sides: Option<(&'a str, &'a str)>) -> Option<&'a str> {
    let (name, value) = sides?;
    (name.trim().chars().count() <= 2 && !value.contains('=')).then_some(value)
}

/// The last letter from A to E that stands alone.
fn choice(answer: &str) -> String {
    let upper = answer.to_uppercase();
    LETTER.find_iter(&upper).last().map(|letter| letter.as_str().to_owned()).unwrap_or_default()
}

/// What Python's `float` reads, with commas left out, or a percentage.
fn number(text: &str) -> Option<f64> {
    let plain = text.replace(',', "");
    python_float(&plain).or_else(|| {
        let amount = plain.strip_suffix('%')?;
        python_float(amount.strip_suffix('\\').unwrap_or(amount)).map(|amount| amount / 100.0)
    })
}

/// Python allows `_` between digits.
fn python_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let letters: Vec<char> = text.chars().collect();
    let is_joint = |at: usize| {
        let digit = |at: Option<&char>| at.is_some_and(char::is_ascii_digit);
        at > 0 && digit(letters.get(at - 1)) && digit(letters.get(at + 1))
    };
    if letters.iter().enumerate().any(|(at, letter)| *letter == '_' && !is_joint(at)) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

fn near(left: f64, right: f64) -> bool {
    left == right || (left - right).abs() <= 1e-4 * left.abs().max(right.abs())
}

fn unbracketed(answer: &str, gold: &str) -> bool {
    let is_in = |text: &str, open: char, close: char| text.starts_with(open) && text.ends_with(close);
    let is_other_pair = (is_in(answer, '[', ']') && !gold.starts_with('('))
        || (is_in(answer, '(', ')') && !gold.starts_with('['));
    let bare = |text: &str| {
        let text = if is_other_pair { text.trim_matches(['[', ']', '(', ')']) } else { text };
        text.replace(['{', '}', '(', ')'], "").to_lowercase()
    };
    bare(answer) == bare(gold)
}

/// Tuples by their entries and matrices by their cells.
fn by_parts(answer: &str, gold: &str, depth: usize) -> bool {
    let all = |left: Vec<&str>, right: Vec<&str>| {
        left.len() == right.len()
            && left.iter().zip(right).all(|(left, right)| rule(left, right, depth + 1).is_some())
    };
    if BRACKETED.is_match(answer) && BRACKETED.is_match(gold) {
        let parts = |text: &'_ str| {
            let mut letters = text.chars();
            letters.next();
            letters.next_back();
            letters.as_str().to_owned()
        };
        let (answer, gold) = (parts(answer), parts(gold));
        if all(answer.split(',').collect(), gold.split(',').collect()) {
            return true;
        }
    }
    let inside =
        |text: &str| Some(text.strip_prefix("\\begin{pmatrix}")?.strip_suffix("\\end{pmatrix}")?.to_owned());
    let (Some(answer), Some(gold)) = (inside(answer), inside(gold)) else { return false };
    let rows = |text: &str| -> Vec<String> {
        text.split("\\\\").map(str::trim).filter(|row| !row.is_empty()).map(str::to_owned).collect()
    };
    let (rows, gold_rows) = (rows(&answer), rows(&gold));
    let is_by_cell = rows.len() == gold_rows.len()
        && rows
            .iter()
            .zip(&gold_rows)
            .all(|(row, gold)| all(row.split('&').collect(), gold.split('&').collect()));
    is_by_cell || rounded_cells(&rows, &gold_rows)
}

/// Matrices of numbers are also equal to three decimals.
fn rounded_cells(rows: &[String], gold: &[String]) -> bool {
    let cells = |rows: &[String]| -> Option<Vec<Vec<i64>>> {
        let cell = |cell: &str| number(cell).map(|value| (value * 1e3).round() as i64);
        rows.iter().map(|row| row.split('&').map(cell).collect()).collect()
    };
    matches!((cells(rows), cells(gold)), (Some(left), Some(right)) if left == right)
}

fn symbolic(answer: &str, gold: &str) -> bool {
    let (Some(answer), Some(gold)) = (Symbolic::read(answer), Symbolic::read(gold)) else { return false };
    notation::is_equal(&answer, &gold)
}

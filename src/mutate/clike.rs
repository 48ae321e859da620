//! A light scanner of Python and of languages with braces: operators, numbers and truth values.
//!
//! Knows strings and line comments. Does not know types, block comments or templates, so operators
//! count only where spaces stand on both sides.

use super::token::{Class, Source};

/// Finds the tokens of a file whose line comments begin with `comment`.
pub(super) fn scan<'a>(text: &'a str, comment: &str) -> Source<'a> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        at = step(text, at, comment, &mut found);
    }
    Source::new(text, found)
}

/// Reads what stands at `at` and says where the next thing begins.
fn step(text: &str, at: usize, comment: &str, found: &mut Vec<(usize, usize, Class)>) -> usize {
    let rest = &text[at..];
    let byte = text.as_bytes()[at];
    if rest.starts_with(comment) {
        return at + rest.find('\n').unwrap_or(rest.len());
    }
    if let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote)) {
        return at + string_len(rest, quote);
    }
    if byte.is_ascii_alphanumeric() || byte == b'_' {
        let len = rest.bytes().position(|b| !b.is_ascii_alphanumeric() && b != b'_').unwrap_or(rest.len());
        let after = text.as_bytes().get(at + len).copied().unwrap_or(0);
        if let Some(class) = word_class(&rest[..len], after, &text[..at]) {
            found.push((at, at + len, class));
        }
        return at + len;
    }
    if let Some((operator, class)) = operator(rest, &text[..at]) {
        found.push((at, at + operator, class));
        return at + operator;
    }
    at + rest.chars().next().map_or(1, char::len_utf8)
}

fn string_len(rest: &str, quote: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = quote.len();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            _ if rest.as_bytes()[at..].starts_with(quote.as_bytes()) => return at + quote.len(),
            // A lone quote (a lifetime, an apostrophe) opens nothing.
            b'\n' if quote.len() == 1 => return 1,
            _ => at += 1,
        }
    }
    // Escapes may overshoot; stay on a character's boundary.
    rest.len()
}

fn word_class(word: &str, after: u8, before: &str) -> Option<Class> {
    let is_member = before.ends_with('.') || after == b'.';
    match word {
        "and" | "or" => Some(Class::Boolean),
        "True" | "False" | "true" | "false" => Some(Class::Literal),
        _ if word.len() < 10 && word.bytes().all(|b| b.is_ascii_digit()) && !is_member => Some(Class::Number),
        _ => None,
    }
}

fn operator(rest: &str, before: &str) -> Option<(usize, Class)> {
    const OPERATORS: [(&str, Class); 13] = [
        ("<= ", Class::Comparison),
        (">= ", Class::Comparison),
        ("== ", Class::Comparison),
        ("!= ", Class::Comparison),
        ("< ", Class::Comparison),
        ("> ", Class::Comparison),
        ("&& ", Class::Boolean),
        ("|| ", Class::Boolean),
        ("+ ", Class::Arithmetic),
        ("- ", Class::Arithmetic),
        ("* ", Class::Arithmetic),
        ("/ ", Class::Arithmetic),
        ("% ", Class::Arithmetic),
    ];
    let (text, class) = OPERATORS.iter().find(|(text, _)| rest.starts_with(text))?;
    before.ends_with(' ').then_some((text.len() - 1, *class))
}

//! The operators: what each sort of token may wrongly become.
//!
//! Guarantees not to touch what makes a loop end, except by one upwards: such a mistake would only
//! be found by its deadline. Other endless loops are possible, and the tests' deadline finds them.

use super::token::{Class, Source, Token};
use crate::mutate::{Kind, Mutation, Slip};

/// Every mutation of a file; several may give the same text.
pub(super) fn mutations(source: &Source<'_>) -> Vec<Mutation> {
    let mut found = Vec::new();
    for (idx, token) in source.tokens.iter().enumerate() {
        let steers = steers_a_loop(source, token.line);
        for (kind, to) in of_token(source, idx) {
            if !steers || is_step_up(token, kind, &to) {
                found.push(replacement(source, token.line, kind, (token.column, token.text), &to));
            }
        }
    }
    for line in 0..source.lines.len() {
        if !steers_a_loop(source, line) {
            found.extend(swapped_operands(source, line));
            found.extend(of_line(source, line));
        }
    }
    found
}

fn of_token(source: &Source<'_>, idx: usize) -> Vec<(Kind, String)> {
    let token = &source.tokens[idx];
    match token.class {
        Class::Comparison => listed(Kind::Comparison, comparisons(token.text)),
        Class::Arithmetic => listed(Kind::Operator, arithmetic(token.text)),
        Class::Boolean => listed(Kind::Boolean, boolean(token.text)),
        Class::Number => numbers(token.text),
        Class::Literal => others(source, token, Kind::Constant),
        Class::Variable | Class::Target | Class::Positional => others(source, token, Kind::Variable),
        Class::Word | Class::Not => Vec::new(),
    }
}

fn listed(kind: Kind, texts: &[&str]) -> Vec<(Kind, String)> {
    texts.iter().map(|text| (kind, (*text).to_owned())).collect()
}

fn comparisons(text: &str) -> &'static [&'static str] {
    match text {
        "-lt" => &["-le", "-gt"],
        "-le" => &["-lt", "-gt"],
        "-gt" => &["-ge", "-lt"],
        "-ge" => &["-gt", "-lt"],
        "-eq" => &["-ne"],
        "-ne" => &["-eq"],
        "-n" => &["-z"],
        "-z" => &["-n"],
        "=" | "==" => &["!="],
        "!=" => &["="],
        "<" => &["<=", ">"],
        "<=" => &["<", ">"],
        ">" => &[">=", "<"],
        ">=" => &[">", "<"],
        _ => &[],
    }
}

fn arithmetic(text: &str) -> &'static [&'static str] {
    match text {
        "+" => &["-", "*"],
        "-" => &["+"],
        "*" => &["+", "-"],
        "/" => &["%", "*"],
        "%" => &["/", "*"],
        _ => &[],
    }
}

fn boolean(text: &str) -> &'static [&'static str] {
    match text {
        "&&" => &["||"],
        "||" => &["&&"],
        "and" => &["or"],
        "or" => &["and"],
        _ => &[],
    }
}

fn numbers(text: &str) -> Vec<(Kind, String)> {
    let Ok(number) = text.parse::<i64>() else { return Vec::new() };
    let mut found = vec![(Kind::OffByOne, (number + 1).to_string())];
    if number > 0 {
        found.push((Kind::OffByOne, (number - 1).to_string()));
    }
    match number {
        10.. => found.push((Kind::Constant, (number / 10).to_string())),
        2..10 => found.push((Kind::Constant, (number * 10).to_string())),
        _ => {}
    }
    found
}

/// The name (or literal) of the function that comes next after this one, in the order in which the
/// function first says them, going round. One is enough: a wrong name is nearly always noticed.
fn others(source: &Source<'_>, token: &Token<'_>, kind: Kind) -> Vec<(Kind, String)> {
    let (first, end) = function_around(source, token.line);
    let mut names: Vec<&str> = Vec::new();
    for other in source.tokens.iter().filter(|t| (first..end).contains(&t.line)) {
        if is_alike(other.class, token.class) && !names.contains(&other.text) {
            names.push(other.text);
        }
    }
    let at = names.iter().position(|name| *name == token.text).unwrap_or(0);
    match names.len() {
        0 | 1 => Vec::new(),
        n => vec![(kind, names[(at + 1) % n].to_owned())],
    }
}

fn is_alike(a: Class, b: Class) -> bool {
    let name = |class| matches!(class, Class::Variable | Class::Target);
    a == b || name(a) && name(b)
}

/// The lines of the function that holds `line`; of the whole file when none does.
fn function_around(source: &Source<'_>, line: usize) -> (usize, usize) {
    let is_head = |text: &str| !text.starts_with([' ', '\t', '}', '#']) && text.contains("()");
    let first = (0..=line).rev().find(|&l| is_head(source.lines[l])).unwrap_or(0);
    let end = (line + 1..source.lines.len()).find(|&l| is_head(source.lines[l]));
    (first, end.unwrap_or(source.lines.len()))
}

/// Whether this line of a `while` or `until` loop assigns what the loop's condition reads.
fn steers_a_loop(source: &Source<'_>, line: usize) -> bool {
    let Some(target) = source.on_line(line).iter().find(|t| t.class == Class::Target) else { return false };
    let mut indent = indent_of(source.lines[line]);
    for above in (0..line).rev() {
        let text = source.lines[above];
        if text.trim().is_empty() || indent_of(text) >= indent {
            continue;
        }
        indent = indent_of(text);
        let is_loop = ["while", "until"].iter().any(|word| text.trim_start().starts_with(word));
        if is_loop && source.on_line(above).iter().any(|t| t.text == target.text) {
            return true;
        }
    }
    false
}

fn is_step_up(token: &Token<'_>, kind: Kind, to: &str) -> bool {
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    kind == Kind::OffByOne && number(to) > number(token.text)
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Turns `a - b` into `b - a`, where the order matters.
fn swapped_operands(source: &Source<'_>, line: usize) -> Vec<Mutation> {
    let operand = |t: &Token<'_>| matches!(t.class, Class::Variable | Class::Number | Class::Positional);
    let text = source.lines[line];
    let swap = |window: &[Token<'_>]| {
        let [left, operator, right] = window else { return None };
        let is_ordered = operator.class == Class::Arithmetic && ["-", "/", "%"].contains(&operator.text);
        let start = with_dollar(text, left);
        let from = &text[start..right.column + right.text.len()];
        let (a, b) = (
            &text[start..left.column + left.text.len()],
            &text[with_dollar(text, right)..right.column + right.text.len()],
        );
        let middle = format!(" {} ", operator.text);
        let is_plain = from == format!("{a}{middle}{b}") && a != b;
        (operand(left) && operand(right) && is_ordered && is_plain)
            .then(|| replacement(source, line, Kind::Swapped, (start, from), &format!("{b}{middle}{a}")))
    };
    source.on_line(line).windows(3).filter_map(swap).collect()
}

fn with_dollar(line: &str, token: &Token<'_>) -> usize {
    let has_dollar = line[..token.column].ends_with('$');
    token.column - usize::from(has_dollar)
}

/// Mutations of a line as a whole: dropped, its arguments swapped, its condition turned around.
fn of_line(source: &Source<'_>, line: usize) -> Vec<Mutation> {
    let text = source.lines[line];
    let mut found: Vec<Mutation> = Vec::new();
    if is_statement(source, line) {
        found.push(Mutation { after: None, ..replacement(source, line, Kind::Dropped, (0, text), "") });
    }
    found.extend(swapped_arguments(source, line));
    found.extend(negated(source, line));
    found
}

const KEYWORDS: [&str; 25] = [
    "if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "in", "{",
    "}", "function", "def", "class", "try", "except", "finally", "with", "import", "from", "pub",
];

/// Whether the line is a statement by itself whose loss leaves a file that still reads.
fn is_statement(source: &Source<'_>, line: usize) -> bool {
    let text = source.lines[line].trim();
    let Some(first) = text.split([' ', '(', ';', '=']).next().filter(|word| !word.is_empty()) else {
        return false;
    };
    let neighbour = |idx: Option<usize>| idx.and_then(|i| source.lines.get(i)).map_or("", |line| line.trim());
    let (before, after) = (neighbour(line.checked_sub(1)), neighbour(Some(line + 1)));
    let starts_whole = !before.ends_with(['\\', ',', '(']);
    let ends_whole = !text.ends_with([')', '\\', '|', '&', '{']) || text.ends_with("))");
    let leads =
        ["then", "do", "else"].contains(&before) || before.ends_with("; then") || before.ends_with("; do");
    let closes = ["fi", "done", "else", "esac", ";;"].iter().any(|word| after.starts_with(word));
    let is_only = leads && closes;
    let is_code = first.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !text.ends_with(";;");
    is_code && starts_whole && ends_whole && !is_only && !KEYWORDS.contains(&first)
}

/// Turns `join "$a" "$b"` into `join "$b" "$a"`.
fn swapped_arguments(source: &Source<'_>, line: usize) -> Option<Mutation> {
    const FIXED: [&str; 8] = ["echo", "printf", "shift", "return", "exit", "local", "set", "["];
    let text = source.lines[line];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [command, first, second] = words[..] else { return None };
    let is_call = command.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_plain = |word: &str| {
        let bare = word.trim_matches('"').trim_start_matches('$');
        !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let fits = is_call && !KEYWORDS.contains(&command) && !FIXED.contains(&command) && first != second;
    if !fits || !is_plain(first) || !is_plain(second) {
        return None;
    }
    let from = format!("{first} {second}");
    let column = text.find(&from)?;
    Some(replacement(source, line, Kind::Swapped, (column, &from), &format!("{second} {first}")))
}

/// Turns an `if` around.
fn negated(source: &Source<'_>, line: usize) -> Option<Mutation> {
    let text = source.lines[line];
    let not = "! ";
    let start = indent_of(text);
    let keyword = ["if ", "elif "].iter().find(|word| text[start..].starts_with(**word))?;
    let column = start + keyword.len();
    let rest = &text[column..];
    if let Some(negated) = rest.strip_prefix(not) {
        let word = negated.split(' ').next()?;
        return Some(replacement(source, line, Kind::Negation, (column, &format!("{not}{word}")), word));
    }
    // A chain of `&&` would bind the negation to its first part only, which is a bug as well.
    let word = rest.split(' ').next()?;
    Some(replacement(source, line, Kind::Negation, (column, word), &format!("{not}{word}")))
}

fn replacement(
    source: &Source<'_>,
    line: usize,
    kind: Kind,
    (column, from): (usize, &str),
    to: &str,
) -> Mutation {
    let before = source.lines[line];
    let after = format!("{}{to}{}", &before[..column], &before[column + from.len()..]);
    Mutation {
        file: String::new(),
        line: line + 1,
        kind,
        before: before.to_owned(),
        after: Some(after),
        slip: Some(Slip { column, from: from.to_owned(), to: to.to_owned() }),
    }
}

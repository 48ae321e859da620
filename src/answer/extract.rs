//! The answer in a reply.
//!
//! What follows the last thought counts. There, in this order: the last complete box (several that are only joined by
//! commas or `and` are one list), what follows the last "final answer is" or "answer:", and the last line, if it is
//! mathematics or ends with some. Never a number from anywhere. A thought that never ends has no answer.

use std::sync::LazyLock;

use regex::Regex;

use super::spelling;
use super::token::{self, Token};
use super::value::{self, Value};

/// The longest answer that is taken, in characters.
const MAX_CHARS: usize = 4000;
/// Commands that frame an answer.
pub(super) const BOXES: [&str; 3] = ["boxed", "fbox", "framebox"];
/// Words at the end of the last line that are tried as an answer.
const MAX_WORDS: usize = 12;

static PHRASE: LazyLock<Regex> = LazyLock::new(|| {
    let phrase = r"(?i)(?:\banswers?\b[\s*_]*(?:is|are|:|=|：)|答案[是为：:]|\b(?:option|choice)\b[\s*_]*is)[\s*_:：]*";
    Regex::new(phrase).expect("invariant: the pattern is valid")
});
static MATHEMATICS: LazyLock<Regex> = LazyLock::new(|| {
    let mathematics = r"(?s)\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|\$([^$\n]+?[^\\$]|[^\\$])\$";
    Regex::new(mathematics).expect("invariant: the pattern is valid")
});
static JOINED: LazyLock<Regex> = LazyLock::new(|| {
    let joiner = r"^[\s$,;]*(?:\b(?:and|or)\b)?[\s$,;]*$|^\\[)\]][\s,]*(?:and|or)?[\s,]*\\[(\[]$";
    Regex::new(joiner).expect("invariant: the pattern is valid")
});

/// The answer of a reply.
pub fn answer(reply: &str) -> Option<String> {
    let said = said(reply)?;
    let found = boxed(said).or_else(|| announced(said)).or_else(|| last_line(said))?;
    let found = found.trim();
    (!found.is_empty()).then(|| found.chars().take(MAX_CHARS).collect())
}

/// What is said after the last thought.
fn said(reply: &str) -> Option<&str> {
    let after = reply.rsplit_once("</think>").map_or(reply, |(_, after)| after);
    (!after.contains("<think>")).then_some(after)
}

/// The content of the last box, with those before it that belong to the same list.
fn boxed(text: &str) -> Option<String> {
    let mut boxes = boxes(text, &BOXES);
    let (mut start, _, content) = boxes.pop()?;
    let mut contents = vec![content];
    while let Some((before, end, content)) = boxes.pop() {
        let between = &text[end..start];
        if between.trim().is_empty() || !JOINED.is_match(between) {
            break;
        }
        contents.insert(0, content);
        start = before;
    }
    Some(contents.join(", "))
}

/// Where each complete box starts and ends, and what is in it.
pub(super) fn boxes(text: &str, commands: &[&str]) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    for (start, mark) in text.match_indices('\\') {
        let after = &text[start + mark.len()..];
        let Some(rest) = commands.iter().find_map(|name| after.strip_prefix(name)) else {
            continue;
        };
        let trimmed = rest.trim_start_matches([' ', '\t']);
        let open = text.len() - trimmed.len();
        match trimmed.strip_prefix('{') {
            Some(_) => {
                let letters: Vec<char> = trimmed.chars().take(2 * MAX_CHARS).collect();
                let end = spelling::closing(&letters, 0);
                if end == letters.len() {
                    continue;
                }
                let content: String = letters[1..end].iter().collect();
                found.push((start, open + content.len() + 2, content));
            }
            None if trimmed.len() < rest.len() => {
                let word = trimmed.split([' ', '\n', '$', ',', '.']).next().unwrap_or_default();
                if !word.is_empty() {
                    found.push((start, open + word.len(), word.to_owned()));
                }
            }
            None => {}
        }
    }
    // A box within a box is part of the outer one.
    let mut outer: Vec<(usize, usize, String)> = Vec::new();
    for found in found {
        if outer.last().is_none_or(|last| last.1 <= found.0) {
            outer.push(found);
        }
    }
    outer
}

/// What follows the last announcement, to the end of its sentence.
fn announced(text: &str) -> Option<String> {
    let rest = &text[PHRASE.find_iter(text).last()?.end()..];
    let line = rest.trim_start().lines().next()?;
    if let Some(found) =
        MATHEMATICS.captures(rest).filter(|found| found.get(0).is_some_and(|all| all.start() < 3))
    {
        return inner(&found);
    }
    let end = line.find(". ").unwrap_or(line.len());
    Some(cleaned(&line[..end]).to_owned())
}

fn inner(found: &regex::Captures<'_>) -> Option<String> {
    found.iter().skip(1).flatten().next().map(|inner| inner.as_str().to_owned())
}

/// Without marks of emphasis and a full stop at its end.
fn cleaned(text: &str) -> &str {
    text.trim().trim_matches(['*', '_', ' ']).trim_end_matches(['.', '!']).trim_matches(['*', '_', ' '])
}

/// The last line, if it is mathematics or ends with it.
fn last_line(text: &str) -> Option<String> {
    let text = text.trim_end();
    if let Some(found) = MATHEMATICS.captures_iter(text).last()
        && found.get(0).is_some_and(|all| !text[all.end()..].contains('\n'))
    {
        return inner(&found);
    }
    let line = cleaned(text.lines().last()?);
    if is_mathematics(line) {
        return Some(line.to_owned());
    }
    let starts: Vec<usize> = line.match_indices(' ').map(|(at, _)| at + 1).collect();
    let ends = starts.iter().rev().take(MAX_WORDS).rev().map(|start| &line[*start..]);
    ends.into_iter().find(|end| is_mathematics(end)).map(str::to_owned)
}

/// Whether a text reads as a value without a word in it.
fn is_mathematics(text: &str) -> bool {
    let Ok(tokens) = token::tokens(text) else { return false };
    let has_word = tokens.iter().any(|token| matches!(token, Token::Word(_)));
    !has_word && matches!(value::read(text), Ok(value) if !matches!(value, Value::Text(_)))
}

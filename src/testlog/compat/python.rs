//! Text as Python cuts and matches it, which is what the reference parsers are defined by.
//!
//! Guarantees Python's white space (also `\x1c` to `\x1f`), its line ends and its `re` syntax for the
//! patterns written here. Has neither look-around nor back references.

use std::sync::OnceLock;

use regex::Regex;

/// A pattern in Python's syntax, compiled when it is first used.
pub(super) struct Pattern {
    source: &'static str,
    regex: OnceLock<Regex>,
}

impl Pattern {
    /// A pattern that is not yet compiled.
    pub(super) const fn new(source: &'static str) -> Self {
        Self { source, regex: OnceLock::new() }
    }

    /// The compiled pattern.
    pub(super) fn regex(&self) -> &Regex {
        self.regex.get_or_init(|| {
            Regex::new(&with_python_space(self.source)).expect("invariant: the pattern is valid")
        })
    }
}

/// Writes out `\s` and `\S`: Python counts four separators more than Unicode as white space.
fn with_python_space(source: &str) -> String {
    let mut text = String::with_capacity(source.len() + 32);
    let mut in_class = false;
    let mut chars = source.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            in_class = (in_class || char == '[') && char != ']';
            text.push(char);
            continue;
        }
        match (chars.next(), in_class) {
            (Some('s'), true) => text.push_str(r"\s\x1c-\x1f"),
            (Some('s'), false) => text.push_str(r"[\s\x1c-\x1f]"),
            (Some('S'), _) => text.push_str(r"[^\s\x1c-\x1f]"),
            (escaped, _) => {
                text.push(char);
                text.extend(escaped);
            }
        }
    }
    text
}

/// Whether `str.isspace` holds for a character.
pub(super) fn is_space(char: char) -> bool {
    char.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&char)
}

/// `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.rstrip()`.
pub(super) fn rstrip(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// `str.split()`.
pub(super) fn words(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// How many characters of white space a line starts with.
pub(super) fn indent(line: &str) -> usize {
    line.chars().take_while(|char| is_space(*char)).count()
}

/// `str.splitlines()`.
pub(super) fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(end) = rest.find(is_line_end) else { return Some(std::mem::take(&mut rest)) };
        let line = &rest[..end];
        let width = if rest[end..].starts_with("\r\n") {
            2
        } else {
            rest[end..].chars().next().map_or(0, char::len_utf8)
        };
        rest = &rest[end + width..];
        Some(line)
    })
}

fn is_line_end(char: char) -> bool {
    matches!(
        char,
        '\n' | '\r' | '\x0b' | '\x0c' | '\x1c' | '\x1d' | '\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// What follows the first `mark`, or all of the text.
pub(super) fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map_or(text, |(_, after)| after)
}

/// What follows the last `mark`, or all of the text.
pub(super) fn after_last<'a>(text: &'a str, mark: &str) -> &'a str {
    text.rsplit_once(mark).map_or(text, |(_, after)| after)
}

/// What stands before the first `mark`, or all of the text.
pub(super) fn before<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map_or(text, |(before, _)| before)
}

/// What stands before the last `mark`, or all of the text.
pub(super) fn before_last<'a>(text: &'a str, mark: &str) -> &'a str {
    text.rsplit_once(mark).map_or(text, |(before, _)| before)
}

/// Removes terminal control sequences, as the references do.
pub(super) fn without_escapes(text: &str) -> String {
    static ESCAPE: Pattern = Pattern::new(r"\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])");
    ESCAPE.regex().replace_all(text, "").into_owned()
}

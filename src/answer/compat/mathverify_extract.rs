//! Where math-verify finds the answer of a reply: by priority, and within one from the end. It knows no thoughts.

use std::sync::LazyLock;

use regex::Regex;

use crate::answer::extract;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("invariant: the pattern is valid")
}

/// Mathematics between its marks.
const MARKED: &str = r"\$\$(?s:.+?)\$\$|\\\[(?s:.+?)\\\]|\\\((?s:.+?)\\\)|\$[^$\n]*[^$\n\\]\$";
/// A number, or numbers with operators between them. Digits are ASCII, which keeps the automaton small.
const PLAIN: &str = concat!(
    r"-?(?:[0-9]{1,3}(?:[ ,][0-9][0-9][0-9])+|[0-9]+)?(?:[.,]?[0-9]+)",
    r"(?: ?[-+*/^] ?\(?-?[0-9]+(?:\.[0-9]+)?\)?)*(?: ?(?:%|percent|pct))?"
);

static HOPED: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"[Ff]inal [Aa]nswer is:? *((?:{MARKED})|{PLAIN})\.[ \n]*I hope")));
static ANYWHERE: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"({MARKED})|(?:^|[ \t\r\n*:=(])({PLAIN})")));

/// Letters between "answer" and what follows it.
const GAP: usize = 50;
/// How much of a reply's end is searched, in bytes, and how much for one answer, in letters.
const MAX_TAIL: usize = 4000;
const MAX_HEAD: usize = 600;

/// What was found.
pub(super) enum Found {
    /// LaTeX, without its marks.
    Marked(String),
    /// A number or an expression of numbers.
    Plain(String),
}

/// The answer of a reply.
pub(super) fn found(reply: &str) -> Option<Found> {
    if let Some(hoped) = HOPED.captures_iter(tail(reply, MAX_TAIL)).last().and_then(|found| found.get(1)) {
        return Some(kind(hoped.as_str()));
    }
    if let Some(boxed) = boxed(reply) {
        return Some(Found::Marked(boxed));
    }
    announced(reply).or_else(|| {
        let last = ANYWHERE.find_iter(tail(reply, MAX_TAIL)).last()?;
        first(last.as_str()).map(|(_, found)| found)
    })
}

/// What follows the last "answer" that something follows.
fn announced(reply: &str) -> Option<Found> {
    let lower = tail(reply, MAX_TAIL).to_ascii_lowercase();
    let said = &reply[reply.len() - lower.len()..];
    let mut places: Vec<usize> = lower.match_indices("answer").map(|(at, word)| at + word.len()).collect();
    while let Some(place) = places.pop() {
        let rest = &said[place..];
        if let Some((_, found)) = first(rest).filter(|(at, _)| rest[..*at].chars().count() <= GAP) {
            return Some(found);
        }
    }
    None
}

/// The first answer in a text, and where it starts.
fn first(text: &str) -> Option<(usize, Found)> {
    let head = text.char_indices().nth(MAX_HEAD).map_or(text, |(end, _)| &text[..end]);
    let found = ANYWHERE.captures(head)?;
    let part = found.get(1).or(found.get(2))?;
    Some((part.start(), kind(part.as_str())))
}

/// The last bytes of a text, from the start of a character.
fn tail(text: &str, bytes: usize) -> &str {
    let start = text.len().saturating_sub(bytes);
    let start = (start..=text.len()).find(|start| text.is_char_boundary(*start)).unwrap_or(text.len());
    &text[start..]
}

fn kind(text: &str) -> Found {
    let bare = ["$$", "$"].iter().find_map(|mark| text.strip_prefix(mark)?.strip_suffix(mark));
    let bare = bare.or_else(|| text.strip_prefix("\\[")?.strip_suffix("\\]"));
    match bare.or_else(|| text.strip_prefix("\\(")?.strip_suffix("\\)")) {
        Some(inner) => Found::Marked(inner.to_owned()),
        None => Found::Plain(text.to_owned()),
    }
}

/// The last box, joined with those that stand close before it.
fn boxed(reply: &str) -> Option<String> {
    let mut boxes = extract::boxes(reply, &["boxed"]);
    let (mut start, _, last) = boxes.pop()?;
    let mut contents = vec![last];
    while let Some((before, end, content)) = boxes.pop() {
        let between = &reply[end..start];
        let length = between.chars().count();
        let is_joined = ["and", "or", ",", ";"].iter().any(|joint| between.contains(joint));
        if !(length < 10 || (length < 70 && is_joined)) {
            break;
        }
        contents.insert(0, content);
        start = before;
    }
    Some(contents.join(","))
}

//! Where math-verify finds the answer of a reply: by priority, and within one from the end. It knows no thoughts.

use std::sync::LazyLock;

use regex::Regex;

use crate::answer::extract;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("invariant: the pattern is valid")
}

/// Mathematics between its marks.
const MARKED: &str = r"\$\$(?s:.+?)\$\$|\\\[(?s:.+?)\\\]|\\\((?s:.+?)\\\)|\$[^$\n]*[^$\n\\]\$";
/// A number, or numbers with operators between them, behind a space, a sign of emphasis or the start.
const PLAIN: &str = r"-?(?:\d{1,3}(?:[ ,]\d{3})+|\d+)?(?:[.,]?\d+)(?:\s?[-+*/^]\s?\(?-?\d+(?:\.\d+)?\)?)*(?:\s?(?:%|percent|pct))?";

static HOPED: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"(?i)final answer is:?\s*((?:{MARKED})|{PLAIN})\.\s*I hope")));
static ANNOUNCED: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"(?i)answer(?s:.{{0,50}}?)(?:({MARKED})|(?:^|[\s*:=(])({PLAIN}))")));
static ANYWHERE: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"({MARKED})|(?:^|[\s*:=(])({PLAIN})")));

/// What was found.
pub(super) enum Found {
    /// LaTeX, without its marks.
    Marked(String),
    /// A number or an expression of numbers.
    Plain(String),
}

/// The answer of a reply.
pub(super) fn found(reply: &str) -> Option<Found> {
    if let Some(hoped) = HOPED.captures_iter(reply).last().and_then(|found| found.get(1)) {
        return Some(kind(hoped.as_str()));
    }
    if let Some(boxed) = boxed(reply) {
        return Some(Found::Marked(boxed));
    }
    let last = |pattern: &Regex| {
        pattern
            .captures_iter(reply)
            .last()
            .and_then(|found| found.get(1).or(found.get(2)).map(|part| kind(part.as_str())))
    };
    last(&ANNOUNCED).or_else(|| last(&ANYWHERE))
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

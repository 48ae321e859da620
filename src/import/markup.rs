//! Actions written into a reply's text: `<function=…>` calls and fenced blocks.
//!
//! Guarantees that the text outside the action is kept for the thought and that a value may hold anything,
//! closing tags included: it ends at the closing tag after which the next parameter or the call's end stands.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem;
use regex::Regex;
use serde_json::{Map, Value};

use super::tools::Call;

const OPEN: &str = "<function=";
const CLOSE: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const PARAMETER_END: &str = "</parameter>";

/// How a format's own reader trims the values of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trim {
    /// One line end at each side.
    LineEnds,
    /// All space at both sides (R2E-Gym, which so loses indentation).
    Space,
}

/// A reply taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parts<'a> {
    /// The text before and after what was called.
    pub thought: Cow<'a, str>,
    /// What was called, in order.
    pub calls: Vec<Call>,
}

/// Where a tag stands first; one that is made once, as most texts are short.
struct Tag(LazyLock<memmem::Finder<'static>>);

impl Tag {
    fn find(&self, text: &str) -> Option<usize> {
        self.0.find(text.as_bytes())
    }
}

static FIND_OPEN: Tag = Tag(LazyLock::new(|| memmem::Finder::new(OPEN)));
static FIND_PARAMETER: Tag = Tag(LazyLock::new(|| memmem::Finder::new(PARAMETER)));
static FIND_PARAMETER_END: Tag = Tag(LazyLock::new(|| memmem::Finder::new(PARAMETER_END)));

/// The calls in `text`; absent when there is none.
pub(super) fn calls(text: &str, trim: Trim) -> Option<Parts<'_>> {
    let start = FIND_OPEN.find(text)?;
    let mut rest = &text[start..];
    let mut calls = Vec::new();
    while let Some(inner) = rest.strip_prefix(OPEN) {
        let (body, after) = call_body(inner);
        calls.extend(call(body, trim));
        rest = after;
        if rest.trim_start().starts_with(OPEN) {
            rest = rest.trim_start();
        }
    }
    let (before, after) = (text[..start].trim_end(), rest.trim());
    let thought =
        if after.is_empty() { Cow::Borrowed(before) } else { Cow::Owned(format!("{before}\n\n{after}")) };
    (!calls.is_empty()).then_some(Parts { thought, calls })
}

/// Splits what follows an opening tag into the call and what stands after it. The call ends where another one
/// begins, else at the last closing tag, else (a stop word cut it off) with the text.
fn call_body(inner: &str) -> (&str, &str) {
    static NEXT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"</function>\s*<function=[A-Za-z_]").expect("invariant: the pattern is fixed")
    });
    let has_another = FIND_OPEN.find(inner).is_some();
    let next = if has_another { NEXT.find(inner).map(|found| found.start()) } else { None };
    let end = next.or_else(|| memmem::rfind(inner.as_bytes(), CLOSE.as_bytes()));
    match end {
        Some(end) => (&inner[..end], &inner[end + CLOSE.len()..]),
        None => (inner.trim_end().strip_suffix("</function").unwrap_or(inner), ""),
    }
}

fn call(body: &str, trim: Trim) -> Option<Call> {
    let (name, mut rest) = body.split_once('>')?;
    let name = name.trim();
    if name.is_empty() || name.contains(['\n', '<']) {
        return None;
    }
    let mut arguments = Map::new();
    while let Some(at) = FIND_PARAMETER.find(rest) {
        let (key, value, after) = parameter(&rest[at + PARAMETER.len()..]);
        let value = match trim {
            Trim::LineEnds => without_line_ends(value),
            Trim::Space => value.trim(),
        };
        arguments.insert(key.trim().to_owned(), typed(key.trim(), value));
        rest = after;
    }
    Some(Call { name: name.to_owned(), arguments, ..Call::default() })
}

/// Name, value and what follows. `<parameter=command=view</parameter>` is read as it was meant.
fn parameter(text: &str) -> (&str, &str, &str) {
    let angle = text.find('>');
    let head = &text[..angle.unwrap_or_default()];
    let (key, inner) = match (angle, head.find('=')) {
        (Some(_), Some(equals)) if head.contains("</parameter") => (&text[..equals], &text[equals + 1..]),
        (Some(angle), _) => (&text[..angle], &text[angle + 1..]),
        (None, _) => (text, ""),
    };
    let mut from = 0;
    while let Some(found) = FIND_PARAMETER_END.find(&inner[from..]) {
        let end = from + found;
        let after = &inner[end + PARAMETER_END.len()..];
        let next = after.trim_start();
        if next.is_empty() || next.starts_with(PARAMETER) || next.starts_with(CLOSE) {
            return (key, &inner[..end], after);
        }
        from = end + PARAMETER_END.len();
    }
    // No closing tag stands where it should: the last one that is there.
    match inner.rfind(PARAMETER_END) {
        Some(end) => (key, &inner[..end], ""),
        None => (key, inner, ""),
    }
}

fn without_line_ends(value: &str) -> &str {
    let value = value.strip_prefix('\n').unwrap_or(value);
    value.strip_suffix('\n').unwrap_or(value)
}

/// Numbers and lists are written as text; the tools' schemas say which parameters are meant so.
fn typed(key: &str, value: &str) -> Value {
    let is_typed =
        matches!(key, "view_range" | "insert_line" | "timeout" | "line_number" | "start_line" | "end_line");
    let parsed = || {
        serde_json::from_str(value.trim()).ok().filter(|value: &Value| value.is_number() || value.is_array())
    };
    if is_typed { parsed() } else { None }.unwrap_or_else(|| Value::String(value.to_owned()))
}

/// A fenced block and the text around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The word after the opening fence.
    pub language: &'a str,
    /// Its lines, without the last line end.
    pub body: &'a str,
    /// The text before it.
    pub before: &'a str,
    /// The text after it.
    pub after: &'a str,
}

/// The fenced blocks of `text`, in order. Fences stand at the beginning of a line.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    static FENCE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)^```([^\n`]*)$").expect("invariant: the pattern is fixed"));
    let mut found = Vec::new();
    let mut open: Option<(usize, usize, &str)> = None;
    for fence in FENCE.captures_iter(text) {
        let (Some(whole), Some(language)) = (fence.get(0), fence.get(1)) else { continue };
        match open.take() {
            // A block's lines may be none: then its end is before its beginning.
            Some((start, body, language)) => found.push(Block {
                language,
                body: text.get(body..whole.start().saturating_sub(1)).unwrap_or_default(),
                before: &text[..start],
                after: &text[whole.end()..],
            }),
            None => open = Some((whole.start(), (whole.end() + 1).min(text.len()), language.as_str().trim())),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Call {
        let mut found = calls(text, Trim::LineEnds).unwrap().calls;
        assert_eq!(found.len(), 1, "{text}");
        found.remove(0)
    }

    #[test]
    fn values_may_hold_the_tags_that_close_them() {
        let call = one(
            "<function=str_replace_editor>\n<parameter=command>create</parameter>\n<parameter=file_text>\na</parameter> b\n</function>\nc\n</parameter>\n</function>",
        );
        assert_eq!(call.arguments["file_text"], "a</parameter> b\n</function>\nc");
        assert_eq!(call.arguments["command"], "create");
    }

    #[test]
    fn what_a_stop_word_cut_off_and_what_is_malformed_is_read_as_meant() {
        let cut = "<function=execute_bash>\n<parameter=command>ls</parameter>\n";
        assert_eq!(one(cut).arguments["command"], "ls");
        assert_eq!(one(&format!("{cut}</function")).arguments["command"], "ls");
        let odd = one(
            "<function=str_replace_editor>\n<parameter=command=view</parameter>\n<parameter=path>/a</parameter>\n</function>",
        );
        assert_eq!((&odd.arguments["command"], &odd.arguments["path"]), (&"view".into(), &"/a".into()));
    }

    #[test]
    fn text_around_a_call_is_the_thought() {
        let parts = calls("before\n\n<function=submit>\n</function>\nafter", Trim::LineEnds).unwrap();
        assert_eq!(parts.thought, "before\n\nafter");
        assert_eq!(parts.calls[0].name, "submit");
        assert_eq!(calls("a <function=", Trim::LineEnds), None);
    }

    #[test]
    fn several_calls_stand_in_order() {
        let text = "<function=a>\n</function>\n<function=b>\n<parameter=x>1</parameter></function>";
        let names: Vec<String> =
            calls(text, Trim::LineEnds).unwrap().calls.into_iter().map(|call| call.name).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn numbers_and_lists_are_typed_and_text_is_not() {
        let call = one(
            "<function=e>\n<parameter=view_range>[1, -1]</parameter>\n<parameter=insert_line>3</parameter>\n<parameter=new_str>3</parameter>\n</function>",
        );
        assert_eq!(call.arguments["view_range"], serde_json::json!([1, -1]));
        assert_eq!((&call.arguments["insert_line"], &call.arguments["new_str"]), (&3.into(), &"3".into()));
    }

    #[test]
    fn blocks_have_their_language_and_surroundings() {
        let found = blocks("a\n```bash\nls\n\ncd\n```\nb\n```\n```\n```open");
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].language, found[0].body, found[0].before, found[1].body),
            ("bash", "ls\n\ncd", "a\n", "")
        );
    }
}

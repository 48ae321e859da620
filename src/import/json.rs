//! JSON as an importer needs it: a tree over the record's own text, strings decoded when they are read.
//!
//! Most of a record is never looked at (SWE-agent stores every prompt in every step), so a string costs no
//! more than finding its end until somebody asks for it, and prompts are checked but not taken apart before. Guarantees that no text panics and that nesting is
//! bounded. Takes what Python writes and JSON forbids: `NaN`, `Infinity`, halves of surrogate pairs (they
//! become U+FFFD) and control characters in strings. An escape that means nothing stays as it is.

use std::borrow::Cow;
use std::ops::Index;

use memchr::memchr;
use serde_json::{Map, Value};

use super::escapes::{decoded, find_in_word, printed};

/// Levels of lists and objects; more is refused, as the recursion of every reader is bounded.
const MOST_LEVELS: usize = 128;
/// Long values of steps and events that are seldom needed: prompts and responses. Below a record's own level they
/// wait until somebody opens them.
const LATER: &[&str] = &["messages", "query", "model_response"];
/// The first level of objects where they wait.
const LATER_LEVEL: usize = 3;

/// A JSON value that borrows its text.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`, and what is absent.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as written, or `NaN` and its kin.
    Number(&'a str),
    /// A string.
    Text(Raw<'a>),
    /// A list.
    List(Vec<Json<'a>>),
    /// An object, in the order of its keys.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
    /// The checked text of a list or object that waits for [`Json::opened`].
    Later(&'a str),
}

/// What stands between a string's quotes, escapes and all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong.
    pub reason: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, as serde_json counts.
    pub column: usize,
    /// Whether the text just ends.
    pub truncated: bool,
}

static NULL: Json<'static> = Json::Null;

impl<'a> Json<'a> {
    /// Reads one value and nothing after it but space.
    ///
    /// # Errors
    /// Where and why the text is not JSON.
    pub fn parse(text: &'a str) -> Result<Self, JsonError> {
        let mut scanner = Scanner { text, at: 0, too_deep: false, later: LATER_LEVEL };
        let value = scanner.value(0);
        scanner.skip_space();
        match value {
            Some(value) if scanner.at == text.len() => Ok(value),
            _ => Err(scanner.error()),
        }
    }

    /// The value of `key`, the last one where it stands twice.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        let Self::Object(entries) = self else { return None };
        entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value itself; one that waited is taken apart now.
    pub fn opened(&self) -> Cow<'_, Json<'a>> {
        let Self::Later(text) = self else { return Cow::Borrowed(self) };
        let mut scanner = Scanner { text, at: 0, too_deep: false, later: usize::MAX };
        Cow::Owned(scanner.value(0).unwrap_or(Json::Null))
    }

    /// Whether the object has `key`, be its value null.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The value at a path of keys with dots between them.
    pub fn at(&self, path: &str) -> &Json<'a> {
        path.split('.').fold(self, |value, key| &value[key])
    }

    /// The string, decoded.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(raw) => Some(decoded(raw.0)),
            _ => None,
        }
    }

    /// The string, decoded, without the carriage returns that a terminal writes before line ends.
    pub fn printed(&self) -> Option<String> {
        match self {
            Self::Text(raw) => Some(printed(raw.0)),
            _ => None,
        }
    }

    /// Whether it is this string; `text` has no escapes.
    pub fn is(&self, text: &str) -> bool {
        matches!(self, Self::Text(raw) if raw.0 == text)
    }

    /// What stands between the quotes, not decoded: enough to look for a plain word.
    pub fn raw(&self) -> &'a str {
        match self {
            Self::Text(raw) => raw.0,
            _ => "",
        }
    }

    /// The items of a list; none when it is something else.
    pub fn list(&self) -> &[Json<'a>] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// The entries of an object; none when it is something else.
    pub fn entries(&self) -> &[(Cow<'a, str>, Json<'a>)] {
        match self {
            Self::Object(entries) => entries,
            _ => &[],
        }
    }

    /// The number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The truth that a label states: a truth value, or a number that is 0 or not.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Number(_) => self.number().filter(|number| number.is_finite()).map(|number| number > 0.0),
            _ => None,
        }
    }

    /// Whether it is a string.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Whether it is null or absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::Later(text) => {
                if text.starts_with('[') {
                    "a list"
                } else {
                    "an object"
                }
            }
        }
    }

    /// The same value on its own; a number that no float holds becomes null.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(text) => serde_json::from_str(text).unwrap_or_default(),
            Self::Text(raw) => Value::String(decoded(raw.0).into_owned()),
            Self::List(items) => Value::Array(items.iter().map(Json::to_value).collect()),
            Self::Object(_) => Value::Object(self.to_map()),
            Self::Later(_) => self.opened().to_value(),
        }
    }

    /// The same object on its own; empty when it is something else.
    pub fn to_map(&self) -> Map<String, Value> {
        self.entries().iter().map(|(key, value)| (key.clone().into_owned(), value.to_value())).collect()
    }
}

impl<'a> Index<&str> for Json<'a> {
    type Output = Json<'a>;

    fn index(&self, key: &str) -> &Json<'a> {
        self.get(key).unwrap_or(&NULL)
    }
}

impl<'a> Index<usize> for Json<'a> {
    type Output = Json<'a>;

    fn index(&self, index: usize) -> &Json<'a> {
        self.list().get(index).unwrap_or(&NULL)
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    too_deep: bool,
    /// The level from which an object's lists and objects wait.
    later: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes `byte` if it is next after space.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, level: usize) -> Option<Json<'a>> {
        self.skip_space();
        match self.peek()? {
            b'"' => Some(Json::Text(Raw(self.string()?))),
            b'{' | b'[' if level == MOST_LEVELS => {
                self.too_deep = true;
                None
            }
            b'{' => self.object(level + 1),
            b'[' => self.items(level + 1),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            b'N' => self.word("NaN", Json::Number("NaN")),
            b'I' => self.word("Infinity", Json::Number("inf")),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Option<Json<'a>> {
        let found = self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found.then_some(value)
    }

    fn number(&mut self) -> Option<Json<'a>> {
        let start = self.at;
        if self.text.as_bytes()[start..].starts_with(b"-Infinity") {
            return self.word("-Infinity", Json::Number("-inf"));
        }
        while let Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') = self.peek() {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        let is_number = text.parse::<f64>().is_ok() && !text.starts_with('+');
        is_number.then_some(Json::Number(text))
    }

    /// What stands between the quotes: from a quote to the next one with an even number of backslashes before it.
    fn string(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut from = start;
        loop {
            let Some(found) = find_quote(&bytes[from..]) else {
                self.at = bytes.len();
                return None;
            };
            let end = from + found;
            let escapes = bytes[start..end].iter().rev().take_while(|&&byte| byte == b'\\').count();
            if escapes % 2 == 0 {
                self.at = end + 1;
                return Some(&self.text[start..end]);
            }
            from = end + 1;
        }
    }

    fn items(&mut self, level: usize) -> Option<Json<'a>> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take(b']') {
            return Some(Json::List(items));
        }
        loop {
            items.push(self.value(level)?);
            if self.take(b']') {
                return Some(Json::List(items));
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    fn object(&mut self, level: usize) -> Option<Json<'a>> {
        self.at += 1;
        let mut entries = Vec::new();
        if self.take(b'}') {
            return Some(Json::Object(entries));
        }
        loop {
            self.skip_space();
            if self.peek()? != b'"' {
                return None;
            }
            let key = decoded(self.string()?);
            if !self.take(b':') {
                return None;
            }
            let value = if level < self.later || !LATER.contains(&&*key) {
                self.value(level)
            } else {
                self.entry(level)
            };
            entries.push((key, value?));
            if self.take(b'}') {
                return Some(Json::Object(entries));
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    /// A value that waits, if it is a list or an object.
    fn entry(&mut self, level: usize) -> Option<Json<'a>> {
        self.skip_space();
        if !matches!(self.peek(), Some(b'{' | b'[')) {
            return self.value(level);
        }
        let start = self.at;
        self.skip(level)?;
        Some(Json::Later(&self.text[start..self.at]))
    }

    /// Checks a value as [`Scanner::value`] does and keeps nothing of it.
    fn skip(&mut self, level: usize) -> Option<()> {
        self.skip_space();
        let close = match self.peek()? {
            b'"' => return self.string().map(drop),
            b'{' => b'}',
            b'[' => b']',
            _ => return self.value(level).map(drop),
        };
        if level == MOST_LEVELS {
            self.too_deep = true;
            return None;
        }
        self.at += 1;
        if self.take(close) {
            return Some(());
        }
        loop {
            if close == b'}' {
                self.skip_space();
                if self.peek()? != b'"' {
                    return None;
                }
                self.string()?;
                if !self.take(b':') {
                    return None;
                }
            }
            self.skip(level + 1)?;
            if self.take(close) {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    /// What is wrong here: serde_json's words where it stumbles over the same place.
    fn error(&self) -> JsonError {
        let truncated = self.text.len() <= self.at;
        let before = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1) + 1;
        // What serde_json refuses before this place is taken here (`NaN`), and not what is wrong.
        let is_here = |error: &serde_json::Error| {
            error.is_eof() == truncated && (line, column) <= (error.line(), error.column() + 1)
        };
        let found = serde_json::from_str::<serde::de::IgnoredAny>(self.text).err();
        if let Some(error) = found.filter(|error| !self.too_deep && is_here(error)) {
            let (line, column) = (error.line(), error.column());
            return JsonError { reason: error.to_string(), line, column, truncated };
        }
        let what = match (self.too_deep, truncated) {
            (true, _) => format!("more than {MOST_LEVELS} levels of lists and objects"),
            (false, true) => "the text ends in the middle of a value".to_owned(),
            (false, false) => "unexpected character".to_owned(),
        };
        JsonError { reason: format!("{what} at line {line} column {column}"), line, column, truncated }
    }
}

/// Where the first quote is. Keys and most words end before a search would have begun.
fn find_quote(bytes: &[u8]) -> Option<usize> {
    let in_word = bytes.first_chunk().and_then(|word| find_in_word(b'"', word));
    in_word.or_else(|| memchr(b'"', bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_reads_is_read_alike() {
        for text in [
            r#" {"a": [1, -2.5e3, true, false, null, "x\ny\"\\", {}], "b": {"c": []}, "ü": "\u00fc\ud83d\ude00\/"} "#,
            r#""plain""#,
            "[]",
            r#"["\\", "\\\"", "\b\f\r\t"]"#,
            r#"{"a": [{"messages": [{"c": [{"d": [1, {"e": "x\""}], "f": {}}, []]}], "query": {"h": null}}]}"#,
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Json::parse(text).unwrap().to_value(), expected, "{text}");
        }
    }

    #[test]
    fn what_python_writes_is_read() {
        let read = Json::parse(r#"{"a": NaN, "b": -Infinity, "c": "x\ud800y\udc00", "d": 1e999}"#).unwrap();
        assert_eq!(read["c"].text().unwrap(), "x\u{fffd}y\u{fffd}");
        assert_eq!(
            (read["a"].truth(), read["b"].to_value(), read["d"].to_value()),
            (None, Value::Null, Value::Null)
        );
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        let refused = |text: &str| {
            let error = Json::parse(text).unwrap_err();
            (error.line, error.column, error.truncated)
        };
        assert_eq!(refused("{\"a\":\n  \"b"), (2, 4, true));
        assert_eq!(refused("[1, x]"), (1, 5, false));
        assert_eq!(refused("[1] 2"), (1, 5, false));
        assert_eq!(refused(""), (1, 0, true));
        assert_eq!(refused("[NaN, \0]"), (1, 7, false));
        assert_eq!(refused("{\"a\": [{\"query\": [{\"c\": [1 2]}]}]}"), (1, 28, false));
        let deep = "[".repeat(100_000);
        assert!(Json::parse(&deep).unwrap_err().reason.contains("levels"));
    }

    #[test]
    fn a_key_that_stands_twice_has_its_last_value() {
        assert!(Json::parse(r#"{"a": 1, "a": "x"}"#).unwrap()["a"].is("x"));
    }
}

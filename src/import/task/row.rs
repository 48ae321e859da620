//! A row of a data set, asked by keys.
//!
//! Lists may be lists, the JSON text of one, or the text of one as Python prints it: data sets differ, and so do their
//! JSON and Parquet versions. Errors name the key.

use serde_json::{Map, Value};

/// A row.
pub(super) struct Row<'a>(&'a Map<String, Value>);

impl<'a> Row<'a> {
    pub(super) fn new(row: &'a Map<String, Value>) -> Self {
        Self(row)
    }

    /// Whether `key` holds anything but null.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// The text of `key`, if it is text.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// The text of `key`.
    pub(super) fn need(&self, key: &str) -> Result<&'a str, String> {
        match self.get(key) {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text),
            Some(Value::String(_)) => Err(format!("{key}: it is empty")),
            Some(other) => Err(format!("{key}: must be text, found {}", kind(other))),
            None => Err(format!("missing field `{key}`")),
        }
    }

    /// A text or number, as text.
    pub(super) fn scalar(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The texts of a list; none where the key is absent or empty.
    pub(super) fn list(&self, key: &str) -> Result<Vec<String>, String> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => texts(items).map_err(|found| not_texts(key, found)),
            Some(Value::String(text)) => {
                let text = text.trim();
                if text.is_empty() {
                    return Ok(Vec::new());
                }
                match serde_json::from_str::<Value>(text) {
                    Ok(Value::Array(items)) => texts(&items).map_err(|found| not_texts(key, found)),
                    _ => python_list(text)
                        .ok_or_else(|| format!("{key}: must be a list, found a text that holds none")),
                }
            }
            Some(other) => Err(format!("{key}: must be a list, found {}", kind(other))),
        }
    }

    /// A command, or commands one after another.
    pub(super) fn commands(&self, key: &str) -> Result<Vec<String>, String> {
        let commands = match self.get(key) {
            Some(Value::String(text)) if !text.trim_start().starts_with('[') => vec![text.clone()],
            _ => self.list(key)?,
        };
        Ok(commands.into_iter().filter(|command| !command.trim().is_empty()).collect())
    }

    /// The object of `key`, or the JSON text of one.
    pub(super) fn object(&self, key: &str) -> Result<Map<String, Value>, String> {
        match self.get(key) {
            Some(Value::Object(object)) => Ok(object.clone()),
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(Value::Object(object)) => Ok(object),
                Ok(other) => Err(format!("{key}: must hold an object, found {}", kind(&other))),
                Err(error) => Err(format!("{key}: not JSON: {error}")),
            },
            Some(other) => Err(format!("{key}: must be an object, found {}", kind(other))),
            None => Err(format!("missing field `{key}`")),
        }
    }

    /// The objects of a list; none where the key is absent.
    pub(super) fn objects(&self, key: &str) -> Result<Vec<Value>, String> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) if items.iter().all(Value::is_object) => Ok(items.clone()),
            Some(_) => Err(format!("{key}: must be a list of objects")),
        }
    }

    /// The row without one of its keys.
    pub(super) fn without(&self, key: &str) -> Map<String, Value> {
        self.0
            .iter()
            .filter(|(name, _)| *name != key)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// The id under whatever name data sets have for it.
    pub(super) fn id(&self) -> Option<String> {
        self.text("instance_id").or_else(|| self.text("id")).map(str::to_owned)
    }

    /// The repository as `owner/name`, where the row says it.
    pub(super) fn repo(&self) -> Option<String> {
        match (self.text("org"), self.text("repo")) {
            (Some(org), Some(repo)) => Some(format!("{org}/{repo}")),
            (None, Some(repo)) => Some(repo.to_owned()),
            (_, None) => self.text("repo_name").map(str::to_owned),
        }
    }

    /// Its first keys, in words.
    pub(super) fn described(&self) -> String {
        let keys: Vec<String> = self.0.keys().take(6).map(|key| format!("`{key}`")).collect();
        format!("the keys {}", keys.join(", "))
    }

    /// The row as JSON with all keys in order.
    pub(super) fn canonical(&self) -> String {
        let mut row = Value::Object(self.0.clone());
        row.sort_all_objects();
        row.to_string()
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn not_texts(key: &str, found: &Value) -> String {
    format!("{key}: must be a list of texts, found {} in it", kind(found))
}

fn texts(items: &[Value]) -> Result<Vec<String>, &Value> {
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or(item)).collect()
}

/// A list of strings as Python's `repr` writes it.
fn python_list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (item, after) = python_string(rest)?;
        items.push(item);
        rest = match after.trim_start() {
            "" => "",
            after => after.strip_prefix(',')?.trim_start(),
        };
    }
    Some(items)
}

/// A string literal at the beginning, and what follows it.
fn python_string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|char| matches!(char, '\'' | '"'))?;
    let mut item = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => match chars.next()?.1 {
                'n' => item.push('\n'),
                't' => item.push('\t'),
                'r' => item.push('\r'),
                'x' => {
                    let code: String = [chars.next()?.1, chars.next()?.1].into_iter().collect();
                    item.push(char::from(u8::from_str_radix(&code, 16).ok()?));
                }
                other => item.push(other),
            },
            char if char == quote => return Some((item, &text[at + 1..])),
            char => item.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(value: &str) -> Result<Vec<String>, String> {
        let Value::Object(row) = serde_json::from_str(&format!(r#"{{"l": {value}}}"#)).unwrap() else {
            unreachable!("an object is written above")
        };
        Row::new(&row).list("l")
    }

    #[test]
    fn lists_are_read_from_json_its_text_and_pythons() {
        let both = Ok(vec!["a".to_owned(), "b'c".to_owned()]);
        assert_eq!(list(r#"["a", "b'c"]"#), both);
        assert_eq!(list(r#""[\"a\", \"b'c\"]""#), both);
        assert_eq!(list(r#""['a', \"b'c\"]""#), both);
        assert_eq!(list(r#""['a\\\\n', 'b\\n',]""#), Ok(vec!["a\\n".to_owned(), "b\n".to_owned()]));
        assert_eq!((list("null"), list("\"\""), list("\"[]\"")), (Ok(vec![]), Ok(vec![]), Ok(vec![])));
    }

    #[test]
    fn what_is_no_list_of_texts_names_its_key() {
        assert_eq!(list("7"), Err("l: must be a list, found a number".to_owned()));
        assert_eq!(list("[7]"), Err("l: must be a list of texts, found a number in it".to_owned()));
        assert_eq!(list("\"['a'\""), Err("l: must be a list, found a text that holds none".to_owned()));
        assert_eq!(list("\"['a' 'b']\""), Err("l: must be a list, found a text that holds none".to_owned()));
    }

    #[test]
    fn the_same_row_has_one_text_whatever_the_order_of_its_keys() {
        let canonical = |text: &str| {
            let row: Map<String, Value> = serde_json::from_str(text).unwrap();
            Row::new(&row).canonical()
        };
        assert_eq!(
            canonical(r#"{"b": 1, "a": {"d": 2, "c": 3}}"#),
            canonical(r#"{"a":{"c":3,"d":2},"b":1}"#)
        );
        assert_ne!(canonical(r#"{"a": 1}"#), canonical(r#"{"a": 2}"#));
    }
}

//! Calls of editors: the line an agent wrote, or a tool call's arguments, as words.
//!
//! Every dialect's call becomes a name, its words in the order of the original's signature, its
//! flags and its body. Does not know what a call does.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::trajectory::{Dialect, EditorCall};

use super::words;

/// A call, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Call {
    /// The command, such as `open`; for `str_replace_editor` its sub-command, such as `view`.
    pub name: String,
    /// Its words in the order of its signature.
    pub words: Vec<String>,
    /// Its flags (`str_replace_editor`).
    pub flags: BTreeMap<String, String>,
    /// The lines before `end_of_edit`.
    pub body: Option<String>,
}

/// The commands of the windowed editors and the names of their arguments in order.
const WINDOWED: &[(&str, &[&str])] = &[
    ("open", &["path", "line_number"]),
    ("goto", &["line_number"]),
    ("scroll_up", &[]),
    ("scroll_down", &[]),
    ("create", &["filename"]),
    ("set_cursors", &["start_line", "end_line"]),
    ("edit", &["search", "replace", "replace-all"]),
    ("insert", &["text", "line"]),
    ("find_file", &["file_name", "dir"]),
    ("search_dir", &["search_term", "dir"]),
    ("search_file", &["search_term", "file"]),
];

const END: &str = "end_of_edit";

/// Whether `text` is a call of an editor of `dialect`, rather than a line for the shell.
pub fn is_call(dialect: Dialect, text: &str) -> bool {
    let name = text.split_whitespace().next().unwrap_or_default();
    let known = match dialect {
        Dialect::SweAgentStrReplace | Dialect::OpenHands => name == "str_replace_editor",
        _ => WINDOWED.iter().any(|(known, _)| *known == name),
    };
    let belongs = match (name, dialect) {
        ("set_cursors", dialect) => dialect == Dialect::SweAgentCursors,
        ("insert", dialect) => dialect == Dialect::SweAgentReplace,
        _ => true,
    };
    known && belongs && read_text(dialect, text).is_ok()
}

/// Reads a call from its arguments where it has them, else from its text.
///
/// # Errors
/// What is wrong with the text, for the agent to read.
pub fn read_call(call: &EditorCall) -> Result<Call, String> {
    if call.arguments.is_empty() { read_text(call.dialect, &call.text) } else { Ok(read_arguments(call)) }
}

fn read_text(dialect: Dialect, text: &str) -> Result<Call, String> {
    let (head, body) = match dialect {
        Dialect::SweAgentRange | Dialect::SweAgentCursors if text.trim_start().starts_with("edit") => {
            let (head, rest) = text.trim_start().split_once('\n').unwrap_or((text.trim(), ""));
            (head, Some(body_of(rest)))
        }
        _ => (text, None),
    };
    let mut words = words::split(head).ok_or_else(|| format!("cannot read the call: {head}"))?.into_iter();
    let name = words.next().ok_or("the call is empty")?;
    let words: Vec<String> = words.collect();
    if matches!(dialect, Dialect::SweAgentStrReplace | Dialect::OpenHands) {
        sub_command(words)
    } else {
        Ok(Call { name, words, body, ..Call::default() })
    }
}

/// The lines before the end marker; all of them when it is missing.
fn body_of(rest: &str) -> String {
    let mut body = String::new();
    for line in rest.split_inclusive('\n') {
        if line.trim_end_matches(['\n', '\r']) == END {
            break;
        }
        body.push_str(line);
    }
    body
}

fn sub_command(words: Vec<String>) -> Result<Call, String> {
    let mut call = Call::default();
    let mut words = words.into_iter().peekable();
    call.name = words
        .next()
        .ok_or("str_replace_editor: error: the following arguments are required: command, path")?;
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else {
            call.words.push(word);
            continue;
        };
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), value.to_owned()),
            None if flag == "view_range" => {
                let first = words.next().unwrap_or_default();
                (flag.to_owned(), format!("{first} {}", words.next().unwrap_or_default()))
            }
            None => (flag.to_owned(), words.next().unwrap_or_default()),
        };
        call.flags.insert(flag, value);
    }
    Ok(call)
}

fn read_arguments(call: &EditorCall) -> Call {
    let name = call.text.split_whitespace().next().unwrap_or_default().to_owned();
    let arguments = &call.arguments;
    if matches!(call.dialect, Dialect::SweAgentStrReplace | Dialect::OpenHands) {
        return sub_command_arguments(arguments);
    }
    if let ("edit", Some(body)) = (name.as_str(), arguments.get("replacement_text")) {
        let range =
            || Some(format!("{}:{}", word(arguments.get("start_line")?), word(arguments.get("end_line")?)));
        let words = arguments.get("line_range").map(word).or_else(range).into_iter().collect();
        return Call { name, words, body: Some(with_line_end(word(body))), ..Call::default() };
    }
    let known = WINDOWED.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, names)| names);
    let value = |key: &&str| arguments.get(*key).or_else(|| arguments.get(&key.replace('-', "_")));
    let words = known.iter().map_while(value).map(word).collect();
    Call { name, words, ..Call::default() }
}

fn sub_command_arguments(arguments: &Map<String, Value>) -> Call {
    let mut call = Call::default();
    for (key, value) in arguments {
        match key.as_str() {
            _ if value.is_null() => {}
            "command" => call.name = word(value),
            "path" => call.words = vec![word(value)],
            key => drop(call.flags.insert(key.to_owned(), word(value))),
        }
    }
    call
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

fn with_line_end(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

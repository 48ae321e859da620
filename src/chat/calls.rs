//! Tool calls in a reply's text: `<tool_call>{"name":"bash","arguments":{"command":"ls"}}</tool_call>`.
//!
//! Guarantees that what is written of an action reads back as one of the same text, which is what rewards compare.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::scaffold::Tool;
use crate::trajectory::{Action, Dialect, EditorCall};

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// The argument that holds an editor's call as one line.
const LINE: &str = "line";

/// Whether a text is meant as a call.
pub(super) fn is_call(text: &str) -> bool {
    text.trim_start().starts_with(OPEN)
}

/// The call that an action is.
pub(super) fn written(action: &Action) -> String {
    let one = |key: &str, value: &str| Map::from_iter([(key.to_owned(), Value::from(value))]);
    let (name, arguments) = match action {
        Action::Bash { command } => ("bash", one("command", command)),
        Action::Submit => ("submit", Map::new()),
        Action::Answer { text } => ("answer", one("text", text)),
        Action::Editor(EditorCall { dialect: Dialect::SearchReplace, text, .. }) => {
            ("search_replace", one("blocks", text))
        }
        Action::Editor(EditorCall { dialect: Dialect::NamedFiles, text, .. }) => {
            ("name_files", one("paths", text))
        }
        Action::Editor(EditorCall { text, arguments, .. }) if arguments.is_empty() => {
            ("str_replace_editor", one(LINE, text))
        }
        Action::Editor(EditorCall { arguments, .. }) => ("str_replace_editor", arguments.clone()),
    };
    let call = Call { name: name.to_owned(), arguments };
    let json = serde_json::to_string(&call).expect("invariant: a map of strings is JSON");
    format!("{OPEN}\n{json}\n{CLOSE}")
}

/// The action that a call asks for, and its tool; none when it cannot be read.
pub(super) fn read(text: &str) -> Option<(Tool, Action)> {
    let json = text.trim().strip_prefix(OPEN)?.strip_suffix(CLOSE)?;
    let Call { name, arguments } = serde_json::from_str(json).ok()?;
    let only = |key: &str| arguments.get(key)?.as_str().map(str::to_owned).filter(|_| arguments.len() == 1);
    let editor = |dialect, text| Action::Editor(EditorCall { dialect, text, arguments: Map::new() });
    Some(match name.as_str() {
        "bash" => (Tool::Bash, Action::Bash { command: only("command")? }),
        "submit" => (Tool::Submit, Action::Submit),
        "search_replace" => (Tool::SearchReplace, editor(Dialect::SearchReplace, only("blocks")?)),
        "name_files" => (Tool::NameFiles, editor(Dialect::NamedFiles, only("paths")?)),
        "str_replace_editor" => {
            let action = if let Some(line) = only(LINE) {
                editor(Dialect::Ours, line)
            } else {
                let text = line(&arguments)?;
                Action::Editor(EditorCall { dialect: Dialect::Ours, text, arguments })
            };
            (Tool::StrReplaceEditor, action)
        }
        _ => return None,
    })
}

/// An editor's call as the line that a student would write.
fn line(arguments: &Map<String, Value>) -> Option<String> {
    let said = |key: &str| arguments.get(key)?.as_str();
    let mut line = format!("str_replace_editor {} {}", said("command")?, quoted(said("path")?));
    for (key, value) in arguments.iter().filter(|(key, _)| !["command", "path"].contains(&key.as_str())) {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => quoted(text),
            Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        };
        line.push_str(&format!(" --{key} {value}"));
    }
    Some(line)
}

/// `text` as one word of a line.
fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editor(dialect: Dialect, text: &str) -> Action {
        Action::Editor(EditorCall { dialect, text: text.to_owned(), arguments: Map::new() })
    }

    #[test]
    fn what_is_written_reads_back() {
        for action in [
            Action::bash("grep -n \"x\" a\nls"),
            Action::Submit,
            editor(Dialect::Ours, "str_replace_editor view /a --view_range 1 2"),
            editor(Dialect::SearchReplace, "### a\n<<<<<<< SEARCH\n"),
            editor(Dialect::NamedFiles, "a\nb"),
        ] {
            assert_eq!(read(&written(&action)).unwrap().1, action);
        }
    }

    #[test]
    fn an_editors_arguments_become_the_line_of_the_call() {
        let call = r#"<tool_call>{"name":"str_replace_editor","arguments":{"command":"insert","insert_line":3,
            "new_str":"it's","path":"/a b"}}</tool_call>"#;
        let (tool, action) = read(call).unwrap();
        let line = r"str_replace_editor insert '/a b' --insert_line 3 --new_str 'it'\''s'";
        assert_eq!((tool, action.text().as_ref()), (Tool::StrReplaceEditor, line));
        assert_eq!(read(&written(&action)).unwrap().1, action);
    }

    #[test]
    fn what_is_no_call_of_a_tool_is_not_read() {
        for text in [
            "ls",
            "<tool_call>ls</tool_call>",
            r#"<tool_call>{"name":"rm"}</tool_call>"#,
            r#"<tool_call>{"name":"bash"}</tool_call>"#,
            r#"<tool_call>{"name":"bash","arguments":{"command":"ls"}}"#,
            r#"<tool_call>{"name":"bash","arguments":{"command":"ls"}}</tool_call> and more"#,
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}

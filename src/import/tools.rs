//! Tool calls of all scaffolds, and the one canonical action that each of them is.
//!
//! Guarantees that a call becomes a shell script, an editor's call, the end, a thought, or is kept apart as
//! something that no sandbox can run: then its step is marked as not executed, and as foreign where it ran when it was
//! recorded (browsers, notebooks, keys for a running program). Tools that read or write whole files become the editor's calls or plain scripts.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::trajectory::{Action, Dialect, EditorCall};

/// A tool's call as it was recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Call {
    /// The tool.
    pub name: String,
    /// What it was called with.
    pub arguments: Map<String, Value>,
    /// What its result names.
    pub id: Option<String>,
}

/// What a call means here.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning {
    /// Something to do.
    Act(Action),
    /// Only words.
    Thought(String),
    /// Something that was done and cannot be done here; kept as it was written.
    Foreign(Action),
    /// Something that nobody could do; kept as it was written.
    Apart(Action),
}

#[derive(Clone, Copy)]
enum Tool {
    Shell,
    Editor,
    End,
    Think,
    Plan,
    Read,
    Write,
    Replace,
    Glob,
    Grep,
    List,
    Notebook,
}

/// Every tool that is known, by the names that scaffolds give it.
const TOOLS: &[(Tool, &[&str])] = &[
    (Tool::Shell, SHELL),
    (Tool::Editor, &["str_replace_editor", "str_replace_based_edit_tool", "file_editor"]),
    (
        Tool::End,
        &[
            "submit",
            "finish",
            "exit",
            "exit_forfeit",
            "attempt_completion",
            "mark_task_complete",
            "task_complete",
        ],
    ),
    (Tool::Think, &["think", "Think", "sequentialthinking"]),
    (
        Tool::Plan,
        &["task_tracker", "todo_write", "todowrite", "TodoWrite", "todoread", "TodoRead", "update_plan"],
    ),
    (Tool::Read, &["read", "Read", "read_file", "view_file"]),
    (Tool::Write, &["write", "Write", "write_file", "create_file"]),
    (Tool::Replace, &["edit", "Edit", "str_replace", "replace", "edit_file"]),
    (Tool::Glob, &["glob", "Glob", "find_by_name"]),
    (Tool::Grep, &["grep", "Grep", "search", "grep_search"]),
    (Tool::List, &["list", "LS", "ls", "list_dir", "list_directory"]),
    (Tool::Notebook, &["execute_ipython_cell", "run_ipython", "ipython", "python"]),
];

const SHELL: &[&str] = &[
    "bash",
    "Bash",
    "execute_bash",
    "terminal",
    "run",
    "shell",
    "run_command",
    "bash_command",
    "run_shell_command",
    "exec_command",
    "execute_command",
];

/// What `call` means for an agent whose `str_replace_editor` is of `dialect`.
pub(super) fn meaning(call: Call, dialect: Dialect) -> Meaning {
    let known = TOOLS.iter().find(|(_, names)| names.contains(&call.name.as_str()));
    let Some((tool, _)) = known else { return stranger(&call) };
    let done = match tool {
        Tool::Shell => return shell(call),
        Tool::Editor => return Meaning::Act(editor(call.arguments, dialect)),
        Tool::End => Some(Action::Submit),
        Tool::Think => return Meaning::Thought(argument(&call, &["thought", "content"]).unwrap_or_default()),
        Tool::Plan => return Meaning::Thought(plan(&call)),
        Tool::Read => read(&call),
        Tool::Write => write(&call),
        Tool::Replace => replace(&call),
        Tool::Glob => glob(&call),
        Tool::Grep => grep(&call),
        Tool::List => argument(&call, PATH).map(|path| Action::bash(format!("ls -A -- {}", quoted(&path)))),
        Tool::Notebook => return notebook(&call),
    };
    match done {
        Some(action) => Meaning::Act(action),
        None if call.arguments.is_empty() => apart(&call),
        // Somebody else's tool of that name takes other arguments.
        None => stranger(&call),
    }
}

/// What the agent says with its last call.
pub(super) fn parting_words(call: &Call) -> Option<String> {
    let is_end =
        TOOLS.iter().any(|(tool, names)| matches!(tool, Tool::End) && names.contains(&call.name.as_str()));
    if is_end { argument(call, &["message", "result", "summary", "final_thought"]) } else { None }
}

const PATH: &[&str] = &["file_path", "path", "filePath", "target_file", "absolute_path"];

/// The first of `names` that is given and not null, as text.
fn argument(call: &Call, names: &[&str]) -> Option<String> {
    let value = names.iter().find_map(|name| call.arguments.get(*name).filter(|value| !value.is_null()))?;
    Some(match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    })
}

fn number(call: &Call, names: &[&str]) -> Option<i64> {
    argument(call, names)?.trim().parse().ok()
}

fn apart(call: &Call) -> Meaning {
    Meaning::Apart(as_written(call))
}

/// A call that only its own scaffold can answer; it cannot have answered arguments that are no JSON.
fn stranger(call: &Call) -> Meaning {
    let is_readable =
        call.arguments.len() != 1 || !call.arguments.get("arguments").is_some_and(Value::is_string);
    if is_readable { Meaning::Foreign(as_written(call)) } else { apart(call) }
}

fn as_written(call: &Call) -> Action {
    let arguments = Value::Object(call.arguments.clone());
    Action::bash(format!("{} {arguments}", call.name))
}

fn shell(mut call: Call) -> Meaning {
    let names = ["command", "cmd", "script", "code", "commands"];
    let given = names.iter().find(|name| call.arguments.get(**name).is_some_and(|value| !value.is_null()));
    let command = match given.and_then(|name| call.arguments.get_mut(*name)) {
        Some(Value::Array(words)) => match command_line(words) {
            Some(command) => command,
            None => return stranger(&call),
        },
        Some(Value::String(text)) => std::mem::take(text),
        _ => match argument(&call, &["keystrokes"]) {
            Some(keys) => return keystrokes(&keys),
            None => return apart(&call),
        },
    };
    let is_input = call.arguments.get("is_input").is_some_and(|value| *value == true || *value == "true");
    if is_input || is_control(&command) {
        Meaning::Foreign(Action::Bash { command })
    } else {
        Meaning::Act(Action::Bash { command: there(&call, command) })
    }
}

/// The script, run in the directory that the call names. One that is named from the directory of the call is left again:
/// the next call names its own from where this one began.
fn there(call: &Call, command: String) -> String {
    let named = argument(call, &["workdir", "cwd", "directory"]);
    match named.as_deref().map(str::trim) {
        None | Some("" | "." | "./") => command,
        Some(directory) if directory.starts_with('/') => format!("cd -- {} && {command}", quoted(directory)),
        Some(directory) => format!("(cd -- {} && {command}\n)", quoted(directory)),
    }
}

/// Nothing, which asks for more output, and keys that reach for a running program.
fn is_control(command: &str) -> bool {
    const KEYS: &[&str] = &["", "c-c", "c-z", "c-d", "ctrl+c", "ctrl+z", "ctrl+d", "^c"];
    let command = command.trim();
    KEYS.iter().any(|keys| keys.eq_ignore_ascii_case(command))
}

/// A line typed with its return key is a command; other keys are not.
fn keystrokes(keys: &str) -> Meaning {
    let command = keys.strip_suffix('\n').unwrap_or(keys);
    let action = Action::bash(command);
    if is_control(command) || !keys.ends_with('\n') { Meaning::Foreign(action) } else { Meaning::Act(action) }
}

/// The script behind an argument vector: what a shell is given, or the words as a line; none where they are not all words.
fn command_line(words: &[Value]) -> Option<String> {
    let words: Vec<&str> = words.iter().map(Value::as_str).collect::<Option<_>>()?;
    Some(match words.as_slice() {
        ["bash" | "/bin/bash" | "sh", "-lc" | "-c", script] => (*script).to_owned(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    })
}

/// A call of `str_replace_editor`, with the line that SWE-agent's shell would have been sent.
pub(super) fn editor(arguments: Map<String, Value>, dialect: Dialect) -> Action {
    let mut text = "str_replace_editor".to_owned();
    for value in ["command", "path"].iter().filter_map(|name| arguments.get(*name)) {
        text.push(' ');
        quote(&word(value), &mut text);
    }
    for name in ["file_text", "view_range", "old_str", "new_str", "insert_line"] {
        match arguments.get(name).filter(|value| !value.is_null()) {
            Some(Value::Array(items)) => {
                text.push_str(&format!(" --{name} "));
                text.push_str(&items.iter().map(word).collect::<Vec<_>>().join(" "));
            }
            Some(value) => {
                text.push_str(&format!(" --{name} "));
                quote(&word(value), &mut text);
            }
            // SWE-agent leaves a space for each option that is not given.
            None if dialect == Dialect::SweAgentStrReplace => text.push(' '),
            None => {}
        }
    }
    text.truncate(text.trim_end().len());
    Action::Editor(EditorCall { dialect, text, arguments })
}

fn word(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
}

/// `text` as one word of a shell's line, as Python's `shlex.quote` writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 2);
    quote(text, &mut line);
    line
}

/// Adds `text` to `line` as one word.
fn quote(text: &str, line: &mut String) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%+=:,./-_".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return line.push_str(text);
    }
    line.push('\'');
    let mut pieces = text.split('\'');
    line.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        line.push_str("'\"'\"'");
        line.push_str(piece);
    }
    line.push('\'');
}

/// The tasks of a plan, one a line.
fn plan(call: &Call) -> String {
    let lists = ["task_list", "todos", "plan"];
    let Some(Value::Array(tasks)) = lists.iter().find_map(|name| call.arguments.get(*name)) else {
        return String::new();
    };
    let line = |task: &Value| {
        let title = ["title", "content", "step"].iter().find_map(|key| task[*key].as_str())?;
        Some(format!("- [{}] {title}", task["status"].as_str().unwrap_or("todo")))
    };
    tasks.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

fn view(path: String, range: Option<(i64, i64)>) -> Action {
    let mut arguments = Map::new();
    arguments.insert("command".to_owned(), "view".into());
    arguments.insert("path".to_owned(), path.into());
    if let Some((first, last)) = range {
        arguments.insert("view_range".to_owned(), vec![first, last].into());
    }
    editor(arguments, Dialect::OpenHands)
}

fn read(call: &Call) -> Option<Action> {
    let path = argument(call, PATH)?;
    let first = number(call, &["offset", "start_line", "start"]);
    let last =
        number(call, &["limit"]).map(|limit| first.unwrap_or(1).saturating_add(limit).saturating_sub(1));
    let last = last.or_else(|| number(call, &["end_line", "end"]));
    let whole = first.is_none_or(|first| first <= 1) && last.is_none_or(|last| last < 0);
    Some(view(path, (!whole).then_some((first.unwrap_or(1).max(1), last.unwrap_or(-1)))))
}

/// A whole file, byte for byte, its directory made.
fn write(call: &Call) -> Option<Action> {
    let (path, content) = (argument(call, PATH)?, argument(call, &["content", "contents", "file_text"])?);
    let path = quoted(&path);
    let content = format!("'{}'", content.replace('\'', r"'\''"));
    Some(Action::bash(format!("mkdir -p -- \"$(dirname -- {path})\" && printf %s {content} > {path}")))
}

fn replace(call: &Call) -> Option<Action> {
    let path = argument(call, PATH)?;
    let old = argument(call, &["old_string", "oldString", "old_str", "old_text"])?;
    let new = argument(call, &["new_string", "newString", "new_str", "new_text"])?;
    let all = ["replace_all", "replaceAll"]
        .iter()
        .any(|name| call.arguments.get(*name) == Some(&Value::Bool(true)));
    if all {
        return Some(replace_all(&path, &old, &new));
    }
    let mut arguments = Map::new();
    for (name, value) in
        [("command", "str_replace".to_owned()), ("path", path), ("old_str", old), ("new_str", new)]
    {
        arguments.insert(name.to_owned(), value.into());
    }
    Some(editor(arguments, Dialect::OpenHands))
}

/// The editor replaces one place only, so this is a script.
fn replace_all(path: &str, old: &str, new: &str) -> Action {
    let script = "import sys\npath, old, new = sys.argv[1:]\ntext = open(path, newline=\"\").read()\nopen(path, \"w\", newline=\"\").write(text.replace(old, new))";
    Action::bash(format!("python3 -c {} {} {} {}", quoted(script), quoted(path), quoted(old), quoted(new)))
}

fn glob(call: &Call) -> Option<Action> {
    let pattern = argument(call, &["pattern", "glob_pattern"])?;
    let base =
        argument(call, &["path", "search_directory", "target_directory"]).unwrap_or_else(|| ".".to_owned());
    // The star of `find` crosses directories, so `**/` is a star.
    let whole = format!("{}/{}", base.trim_end_matches('/'), pattern.replace("**/", "*"));
    Some(Action::bash(format!("find {} -type f -path {}", quoted(&base), quoted(&whole))))
}

fn grep(call: &Call) -> Option<Action> {
    let pattern = argument(call, &["pattern", "search_term", "query", "regex"])?;
    let path = argument(call, &["path", "directory"]).unwrap_or_else(|| ".".to_owned());
    let mut words = vec!["grep -rnI".to_owned()];
    if call.arguments.contains_key("pattern") || call.arguments.contains_key("regex") {
        words.push("-E".to_owned());
    }
    if call.arguments.get("-i") == Some(&Value::Bool(true)) {
        words.push("-i".to_owned());
    }
    if argument(call, &["output_mode"]).as_deref() == Some("files_with_matches") {
        words.push("-l".to_owned());
    }
    words.extend(argument(call, &["glob", "include"]).map(|glob| format!("--include={}", quoted(&glob))));
    words.extend(["--".to_owned(), quoted(&pattern), quoted(&path)]);
    Some(Action::bash(words.join(" ")))
}

/// A cell needs the kernel that the cells before it ran in.
fn notebook(call: &Call) -> Meaning {
    let Some(code) = argument(call, &["code", "command"]) else { return apart(call) };
    Meaning::Foreign(Action::bash(format!("python3 - <<'CELL'\n{code}\nCELL")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(name: &str, arguments: Value) -> Meaning {
        let Value::Object(arguments) = arguments else { panic!("an object") };
        meaning(Call { name: name.to_owned(), arguments, id: None }, Dialect::OpenHands)
    }

    /// Tool, arguments, the text of the action.
    #[test]
    fn every_tool_becomes_what_a_sandbox_runs() {
        for (name, arguments, text) in [
            ("bash", json!({"command": "ls\ncd x"}), "ls\ncd x"),
            ("execute_bash", json!({"cmd": "ls"}), "ls"),
            ("shell", json!({"command": ["bash", "-lc", "a | b"]}), "a | b"),
            ("shell", json!({"command": ["echo", "a b"]}), "echo 'a b'"),
            ("bash", json!({"command": null, "cmd": "ls"}), "ls"),
            ("shell", json!({"command": ["bash", "-lc", "ls"], "workdir": "/a b"}), "cd -- '/a b' && ls"),
            ("run_shell_command", json!({"command": "ls", "directory": "src"}), "(cd -- src && ls\n)"),
            ("exec_command", json!({"cmd": "ls", "cwd": null, "workdir": "."}), "ls"),
            ("bash_command", json!({"keystrokes": "ls -la\n", "duration": 0.1}), "ls -la"),
            ("file_editor", json!({"command": "view", "path": "/a"}), "str_replace_editor view /a"),
            ("finish", json!({}), "submit"),
            ("Read", json!({"file_path": "/a b"}), "str_replace_editor view '/a b'"),
            (
                "read",
                json!({"filePath": "/a", "offset": 3, "limit": 2}),
                "str_replace_editor view /a --view_range 3 4",
            ),
            (
                "Write",
                json!({"file_path": "/a/b", "content": "it's\n"}),
                "mkdir -p -- \"$(dirname -- /a/b)\" && printf %s 'it'\\''s\n' > /a/b",
            ),
            (
                "Edit",
                json!({"file_path": "/a", "old_string": "x", "new_string": ""}),
                "str_replace_editor str_replace /a --old_str x --new_str ''",
            ),
            ("Glob", json!({"pattern": "**/*.py", "path": "/r"}), "find /r -type f -path '/r/**.py'"),
            ("search", json!({"search_term": "a b", "path": "."}), "grep -rnI -- 'a b' ."),
            (
                "Grep",
                json!({"pattern": "x|y", "glob": "*.py", "-i": true}),
                "grep -rnI -E -i --include='*.py' -- 'x|y' .",
            ),
            ("LS", json!({"path": "/r"}), "ls -A -- /r"),
        ] {
            let Meaning::Act(action) = of(name, arguments) else { panic!("{name} acts") };
            assert_eq!(action.text(), text, "{name}");
        }
    }

    #[test]
    fn words_are_thoughts() {
        assert_eq!(of("think", json!({"thought": "hm"})), Meaning::Thought("hm".to_owned()));
        let plan = json!({"command": "plan", "task_list": [{"id": "1", "title": "look", "status": "done"}]});
        assert_eq!(of("task_tracker", plan), Meaning::Thought("- [done] look".to_owned()));
    }

    #[test]
    fn what_only_its_own_scaffold_could_run_is_foreign() {
        for (name, arguments, text) in [
            ("bash", json!({"command": ""}), ""),
            ("execute_bash", json!({"command": "C-c", "is_input": "true"}), "C-c"),
            ("execute_bash", json!({"command": "y", "is_input": true}), "y"),
            ("bash", json!({"command": "ctrl+c"}), "ctrl+c"),
            ("bash_command", json!({"keystrokes": "q"}), "q"),
            ("browser", json!({"code": "goto('x')"}), "browser {\"code\":\"goto('x')\"}"),
            ("execute_ipython_cell", json!({"code": "1 + 1"}), "python3 - <<'CELL'\n1 + 1\nCELL"),
            ("shell", json!({"command": ["sleep", 5]}), "shell {\"command\":[\"sleep\",5]}"),
            ("edit_file", json!({"code_edit": "x"}), "edit_file {\"code_edit\":\"x\"}"),
        ] {
            let Meaning::Foreign(action) = of(name, arguments) else { panic!("{name} is foreign") };
            assert_eq!(action.text(), text, "{name}");
        }
    }

    #[test]
    fn what_nobody_could_run_is_kept_apart() {
        for (name, arguments, text) in [
            ("bash", json!({}), "bash {}"),
            ("read", json!({}), "read {}"),
            ("browser", json!({"arguments": "{\"code"}), "browser {\"arguments\":\"{\\\"code\"}"),
        ] {
            let Meaning::Apart(action) = of(name, arguments) else { panic!("{name} is apart") };
            assert_eq!(action.text(), text, "{name}");
        }
    }

    #[test]
    fn swe_agents_line_has_a_space_for_each_option_left_out() {
        let arguments = json!({"command": "str_replace", "path": "/a", "old_str": "it's", "new_str": "b"});
        let Action::Editor(call) =
            editor(arguments.as_object().unwrap().clone(), Dialect::SweAgentStrReplace)
        else {
            panic!("an editor's call")
        };
        assert_eq!(call.text, "str_replace_editor str_replace /a   --old_str 'it'\"'\"'s' --new_str b");
    }
}

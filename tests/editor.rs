//! The editors on real files: OpenHands' says what the original said, ours has none of its faults.
//!
//! `editor/openhands.json` was made by `editor/openhands.py`, which asks the published package.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "editor/host_files.rs"]
mod host_files;
#[path = "editor/ours.rs"]
mod ours;

use std::collections::BTreeMap;

use apprentice::editor::{self, State};
use apprentice::trajectory::{Dialect, EditorCall, EditorSetup};
use serde::Deserialize;
use serde_json::{Map, Value};

use host_files::HostFiles;

#[derive(Deserialize)]
struct Table {
    root: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    files: BTreeMap<String, Option<Body>>,
    calls: Vec<Asked>,
    changed: BTreeMap<String, String>,
}

/// A file's bytes as characters from 0 to 255; absent for a directory.
#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Plain(String),
    Repeated { piece: String, times: usize, rest: String },
}

#[derive(Deserialize)]
struct Asked {
    arguments: Map<String, Value>,
    /// Absent where the original breaks down.
    said: Option<String>,
}

impl Body {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Plain(text) => bytes(text),
            Self::Repeated { piece, times, rest } => [bytes(piece).repeat(*times), bytes(rest)].concat(),
        }
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn table() -> Table {
    serde_json::from_str(include_str!("editor/openhands.json")).unwrap()
}

/// What we say otherwise than the original, each with its reason in docs/editors.md.
const EXCEPTIONS: &[&str] = &["one byte a character"];

fn call(dialect: Dialect, arguments: Map<String, Value>) -> EditorCall {
    EditorCall { dialect, text: "str_replace_editor".to_owned(), arguments }
}

#[tokio::test]
async fn openhands_editor_says_byte_for_byte_what_the_original_said() {
    let table = table();
    let (mut n_calls, mut n_broken, mut wrong) = (0, 0, Vec::new());
    for case in &table.cases {
        if EXCEPTIONS.contains(&case.name.as_str()) {
            continue;
        }
        let mut files = HostFiles::new(&table.root);
        for (path, body) in &case.files {
            files.put(path, body.as_ref().map(Body::bytes).as_deref());
        }
        let mut state = State::new(EditorSetup::default());
        for asked in &case.calls {
            let call = call(Dialect::OpenHands, asked.arguments.clone());
            let said = editor::perform(&mut files, &mut state, &call).await.unwrap();
            n_calls += 1;
            match &asked.said {
                None => n_broken += 1,
                Some(recorded) if said.output == *recorded => {
                    assert_eq!(said.code == 0, !recorded.starts_with("ERROR:\n"), "{}", case.name);
                }
                Some(recorded) => wrong.push(format!(
                    "{}: {:?}\n{}",
                    case.name,
                    asked.arguments,
                    similar::TextDiff::from_lines(recorded, &said.output).unified_diff()
                )),
            }
        }
        for (path, text) in &case.changed {
            if files.get(path) != bytes(text) {
                wrong.push(format!("{}: `{path}` holds {:?}, not {text:?}", case.name, files.get(path)));
            }
        }
        for (path, body) in case.files.iter().filter(|(path, _)| !case.changed.contains_key(*path)) {
            let Some(body) = body else { continue };
            assert!(files.get(path) == body.bytes(), "{}: `{path}` changed", case.name);
        }
    }
    assert!(wrong.is_empty(), "{} of {n_calls}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(240 <= n_calls && n_broken < 6, "{n_calls} calls, {n_broken} break the original");
}

#[tokio::test]
async fn an_insertion_of_openhands_takes_the_execute_bit() {
    let mut files = HostFiles::new("/root");
    files.put("run.sh", Some(b"a\n"));
    files.mode("run.sh", 0o755);
    let arguments =
        serde_json::json!({"command": "insert", "path": "/root/run.sh", "insert_line": 0, "new_str": "x"});
    let call = call(Dialect::OpenHands, arguments.as_object().unwrap().clone());
    editor::perform(&mut files, &mut State::default(), &call).await.unwrap();
    assert_eq!(files.mode_of("run.sh"), 0o600);
}

#[tokio::test]
async fn a_line_is_read_as_its_arguments_are() {
    let arguments = serde_json::json!({"command": "str_replace", "path": "/root/a b", "old_str": "it's\n", "new_str": ""});
    let with = call(Dialect::OpenHands, arguments.as_object().unwrap().clone());
    let line = EditorCall {
        text: "str_replace_editor str_replace '/root/a b' --old_str 'it'\"'\"'s\n' --new_str ''".to_owned(),
        ..call(Dialect::OpenHands, Map::new())
    };
    assert_eq!(editor::read_call(&line), editor::read_call(&with));
    assert!(editor::is_call(Dialect::OpenHands, &line.text) && editor::is_call(Dialect::Ours, &line.text));
}

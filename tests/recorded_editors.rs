//! Editor calls of the recorded SWE-smith and OpenHands runs, made again: the same observations, byte for byte.
//!
//! Only what a recording shows is known of its files. A line that nobody has shown yet is taken from the observation
//! under test, and counted; every other byte must follow from what was there before. docs/editors.md has the table.
//! Reads the records as they are, without the importers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

#[path = "editor/host_files.rs"]
#[expect(dead_code, reason = "shared with another test, which needs more of it")]
mod host_files;

use std::collections::BTreeMap;
use std::path::PathBuf;

use apprentice::editor::{self, State};
use apprentice::trajectory::{Dialect, EditorCall};
use serde_json::{Map, Value};

use host_files::HostFiles;

fn fixtures() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures"));
    let root =
        std::env::var_os("APPRENTICE_FIXTURES").map_or_else(beside, PathBuf::from).join("trajectories");
    if !root.is_dir() {
        println!("skipped: ../shared is not here");
        return None;
    }
    Some(root)
}

/// A call and what was seen after it.
type Recorded = (Map<String, Value>, String);

/// The editor calls of a conversation whose actions are written as XML.
fn xml_calls(record: &Value) -> Vec<Recorded> {
    let messages = record["messages"].as_array().unwrap();
    let text = |message: &Value| message["content"].as_str().unwrap().to_owned();
    let pairs = messages.windows(2).filter(|pair| pair[0]["role"] == "assistant");
    pairs.filter_map(|pair| Some((xml_arguments(&text(&pair[0]))?, text(&pair[1])))).collect()
}

fn xml_arguments(said: &str) -> Option<Map<String, Value>> {
    let (_, call) = said.split_once("<function=str_replace_editor>")?;
    let (call, _) = call.rsplit_once("</function>")?;
    let parameters = call.split("<parameter=").skip(1).map(|part| {
        let (name, value) = part.split_once('>').unwrap();
        let (value, _) = value.rsplit_once("</parameter>").unwrap();
        // Values of several lines stand between two line ends.
        let value = value.strip_prefix('\n').and_then(|value| value.strip_suffix('\n')).unwrap_or(value);
        (name.to_owned(), Value::from(value))
    });
    Some(parameters.collect())
}

/// Files as far as a recording has shown them: an absent line is one that nobody has seen.
#[derive(Default)]
struct Seen(BTreeMap<String, Vec<Option<String>>>);

const UNSEEN: &str = "\u{1}unseen";

impl Seen {
    /// Takes lines that are not known yet from an observation; gives how many.
    fn learn(&mut self, arguments: &Map<String, Value>, observation: &str) -> usize {
        let numbered = observation.lines().filter_map(|line| {
            let (number, text) = line.split_once('\t').unwrap_or((line, ""));
            Some((number.trim().parse::<usize>().ok().filter(|_| number.starts_with(' '))?, text))
        });
        let numbered: Vec<(usize, &str)> = numbered.collect();
        let (Some(&(first, _)), Some(path)) = (numbered.first(), arguments["path"].as_str()) else {
            return 0;
        };
        let shown = numbered.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n");
        let argument = |name| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        // What stood there before the edit.
        let before = match argument("command") {
            "str_replace" => shown.replacen(argument("new_str"), argument("old_str"), 1),
            _ => shown,
        };
        let lines = self.0.entry(path.to_owned()).or_default();
        let before: Vec<&str> = before.split('\n').collect();
        // A range shows nothing of the end of its file.
        let spare =
            usize::from(arguments.get("view_range").is_some() || argument("command") == "str_replace");
        if lines.len() < first - 1 + before.len() {
            lines.resize(first - 1 + before.len() + spare, None);
        }
        let mut learnt = 0;
        for (line, text) in lines[first - 1..].iter_mut().zip(before) {
            if line.is_none() {
                *line = Some(text.to_owned());
                learnt += 1;
            }
        }
        learnt
    }

    fn text(&self, path: &str) -> Option<String> {
        let line =
            |(at, line): (usize, &Option<String>)| line.clone().unwrap_or_else(|| format!("{UNSEEN} {at}"));
        Some(self.0.get(path)?.iter().enumerate().map(line).collect::<Vec<_>>().join("\n"))
    }

    fn set(&mut self, path: &str, text: &str) {
        let line = |line: &str| (!line.starts_with(UNSEEN)).then(|| line.to_owned());
        self.0.insert(path.to_owned(), text.split('\n').map(line).collect());
    }
}

/// How many calls there are, and how many of them needed no line of their own observation.
async fn replayed(calls: Vec<Recorded>) -> (usize, usize) {
    let mut files = HostFiles::new("/testbed");
    let (mut seen, mut state) = (Seen::default(), State::default());
    let (mut n_calls, mut n_foretold) = (0, 0);
    for (arguments, observation) in calls {
        let path = arguments["path"].as_str().unwrap().to_owned();
        let inside = path.strip_prefix("/testbed/").unwrap().to_owned();
        let recorded =
            observation.strip_prefix("OBSERVATION:\n").unwrap_or(&observation).replace("\r\n", "\n");
        let learnt = seen.learn(&arguments, &recorded);
        if let Some(text) = seen.text(&path) {
            files.put(&inside, Some(text.as_bytes()));
        }
        let call = EditorCall { dialect: Dialect::SweAgentStrReplace, text: String::new(), arguments };
        let said = editor::perform(&mut files, &mut state, &call).await.unwrap().output;
        // The conversation was written without the white space at an observation's end.
        assert_eq!(said.trim_end(), recorded.trim_end(), "{:?}", call.arguments);
        seen.set(&path, &String::from_utf8(files.get(&inside)).unwrap());
        n_calls += 1;
        n_foretold += usize::from(learnt == 0);
    }
    (n_calls, n_foretold)
}

#[tokio::test]
async fn the_editor_of_swe_smith_says_what_its_conversations_recorded() {
    let Some(root) = fixtures() else { return };
    let text = fs_err::read_to_string(root.join("swe-smith/xml.jsonl")).unwrap();
    let mut counts = Vec::new();
    for line in text.lines() {
        counts.push(replayed(xml_calls(&serde_json::from_str(line).unwrap())).await);
    }
    assert_eq!(counts, [(17, 4), (30, 19), (9, 8)]);
}

/// The arguments of an editor's call (absent for a command), the action, and what was seen after it.
type Happened = (Option<Map<String, Value>>, Value, String);

/// The editor calls of an OpenHands event stream, and its commands, with what came back.
fn events(root: &std::path::Path, name: &str) -> Vec<Happened> {
    let text = fs_err::read_to_string(root.join("openhands").join(name)).unwrap();
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let observation =
        |id: &Value| events.iter().find(|event| event["cause"] == *id && event.get("observation").is_some());
    let actions = events.iter().filter(|event| event["source"] == "agent" && event.get("action").is_some());
    let called = actions.filter_map(|action| {
        let call = &action["tool_call_metadata"]["model_response"]["choices"][0]["message"]["tool_calls"][0];
        let arguments = call["function"]["arguments"].as_str()?;
        let is_edit = call["function"]["name"] == "str_replace_editor";
        let seen = observation(&action["id"])?["content"].as_str()?.to_owned();
        Some((is_edit.then(|| serde_json::from_str(arguments).unwrap()), action["args"].clone(), seen))
    });
    called.collect()
}

#[tokio::test]
async fn the_editor_of_openhands_says_what_its_events_recorded() {
    let Some(root) = fixtures() else { return };
    let mut files = HostFiles::new("/workspace");
    files.put("game_2048.py", Some(b""));
    let mut state = State::default();
    let mut n_calls = 0;
    for (arguments, action, seen) in events(&root, "wrong_initial_state.json") {
        let Some(arguments) = arguments else {
            editor::Files::run(&mut files, action["command"].as_str().unwrap()).await.unwrap();
            continue;
        };
        let call = EditorCall { dialect: Dialect::OpenHands, text: String::new(), arguments };
        assert_eq!(editor::perform(&mut files, &mut state, &call).await.unwrap().output, seen);
        n_calls += 1;
    }
    assert_eq!(n_calls, 2);
}

/// The one exception: an event holds what OpenHands showed its user in the place of the editor's text.
#[tokio::test]
async fn an_event_of_a_creation_holds_a_diff_for_the_user() {
    let Some(root) = fixtures() else { return };
    let recorded = events(&root, "basic.json");
    let [(Some(arguments), _, seen)] = recorded.as_slice() else { panic!("{recorded:?}") };
    let call = EditorCall { dialect: Dialect::OpenHands, text: String::new(), arguments: arguments.clone() };
    let mut files = HostFiles::new("/workspace");
    let said = editor::perform(&mut files, &mut State::default(), &call).await.unwrap().output;
    assert_eq!(said, "File created successfully at: /workspace/game_2048.py");
    assert!(seen.starts_with("--- /workspace/game_2048.py\n+++ /workspace/game_2048.py\n@@ -0,0 "), "{seen}");
    let added: Vec<&str> = seen.lines().filter_map(|line| line.strip_prefix('+')).skip(1).collect();
    let written = String::from_utf8(files.get("game_2048.py")).unwrap();
    let wanted: Vec<&str> = written.lines().filter(|line| !line.trim().is_empty()).collect();
    let added: Vec<&str> = added.into_iter().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(added, wanted);
}

//! Importers: every recorded file is read whole, and each family's records become the actions that they mean.
//!
//! The recorded files are other projects' and no part of this repository; the records in this file are ours,
//! written after the shapes of theirs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::path::{Path, PathBuf};

use apprentice::import::{self, Options, Reject};
use apprentice::trajectory::{Action, End, Trajectory};
use serde_json::{Value, json};

#[path = "import/actions.rs"]
mod actions;
#[path = "import/families.rs"]
mod families;
#[path = "import/files.rs"]
mod files;
#[path = "import/fuzz.rs"]
mod fuzz;
#[path = "import/mini.rs"]
mod mini;

fn fixtures() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures"));
    let root = std::env::var_os("APPRENTICE_FIXTURES").map_or_else(beside, PathBuf::from);
    let found = root.join("trajectories");
    if !found.is_dir() {
        println!("skipped: ../shared is not here");
        return None;
    }
    Some(found)
}

/// Reads a file that must hold no bad record.
fn read(path: &Path) -> Vec<Trajectory> {
    let imported = import::read_file(path, Options::default()).unwrap();
    assert_eq!(imported.rejects, [], "{}", path.display());
    imported.trajectories
}

/// What a file with this name and content gives.
fn written(name: &str, content: impl AsRef<[u8]>) -> (Vec<Trajectory>, Vec<Reject>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs_err::write(&path, content).unwrap();
    let imported = import::read_file(&path, Options::default()).unwrap();
    (imported.trajectories, imported.rejects)
}

/// The one trajectory of a record, which must be recognized as of `format`.
fn one(format: &str, record: &serde_json::Value) -> Trajectory {
    let (mut trajectories, rejects) = written("record.jsonl", record.to_string());
    assert_eq!(rejects, []);
    assert_eq!(trajectories.len(), 1);
    assert_eq!(trajectories[0].source.format, format);
    trajectories.remove(0)
}

/// The actions as text.
fn actions(trajectory: &Trajectory) -> Vec<String> {
    trajectory.steps.iter().map(|step| step.action.text().into_owned()).collect()
}

fn outputs(trajectory: &Trajectory) -> Vec<&str> {
    trajectory
        .steps
        .iter()
        .map(|step| step.observation.as_ref().map_or("-", |seen| seen.output.as_str()))
        .collect()
}

fn executed(trajectory: &Trajectory) -> Vec<bool> {
    trajectory.steps.iter().map(|step| step.executed).collect()
}

fn say(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

/// A tool call as the chat API writes it.
fn call(id: &str, name: &str, arguments: &Value) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments.to_string()}})
}

fn calls(content: &str, calls: &[Value]) -> Value {
    json!({"role": "assistant", "content": content, "tool_calls": calls})
}

fn result(id: &str, content: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": content})
}

const TASK: &str =
    "<uploaded_files>\n/testbed\n</uploaded_files>\n<pr_description>\nIt breaks.\n</pr_description>";
const PATCH: &str = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";

fn editor_calls(trajectory: &Trajectory) -> usize {
    trajectory.steps.iter().filter(|step| matches!(step.action, Action::Editor(_))).count()
}

/// File, format, and of each of its records the steps and the editor calls.
///
/// The list beside the recordings counts an action and its observation as two for two of OpenHands' streams
/// (3 and 7 events that are no messages); a step holds both.
type Recorded = (&'static str, &'static str, &'static [(usize, usize)]);

const RECORDED: &[Recorded] = &[
    ("swe-agent/history-only.traj", "swe-agent", &[(5, 3)]),
    ("swe-agent/humanevalfix-python-0.traj", "swe-agent", &[(5, 2)]),
    ("swe-agent/marshmallow-1867.default.from_source.traj", "swe-agent", &[(14, 7)]),
    ("swe-agent/marshmallow-1867.default_sys-env_cursors_window100.traj", "swe-agent", &[(12, 7)]),
    ("swe-agent/marshmallow-1867.default_sys-env_window100.traj", "swe-agent", &[(11, 6)]),
    ("swe-agent/marshmallow-1867.function_calling.traj", "swe-agent", &[(11, 6)]),
    ("swe-agent/marshmallow-1867.function_calling_replace.traj", "swe-agent", &[(11, 6)]),
    ("swe-agent/marshmallow-1867.function_calling_replace_from_source.traj", "swe-agent", &[(13, 6)]),
    ("swe-agent/marshmallow-1867.xml_sys-env_cursors_window100.traj", "swe-agent", &[(12, 7)]),
    ("swe-agent/marshmallow-1867.xml_sys-env_window100.traj", "swe-agent", &[(11, 6)]),
    ("swe-smith/pydantic-pr_8316.traj", "swe-agent", &[(22, 9)]),
    ("swe-smith/xml.jsonl", "swe-smith", &[(37, 17), (44, 30), (22, 9)]),
    ("mini-swe-agent/github_issue.v1.traj.json", "mini-swe-agent", &[(10, 0)]),
    ("mini-swe-agent/github_issue.v2.traj.json", "mini-swe-agent", &[(10, 0)]),
    ("mini-swe-agent/local.v2.traj.json", "mini-swe-agent", &[(2, 0)]),
    ("openhands/basic.json", "openhands-events", &[(2, 1)]),
    ("openhands/basic_interactions.json", "openhands-events", &[(1, 0)]),
    ("openhands/wrong_initial_state.json", "openhands-events", &[(4, 2)]),
];

#[test]
fn every_recorded_file_gives_its_steps() {
    let Some(root) = fixtures() else { return };
    for (file, format, expected) in RECORDED {
        let trajectories = read(&root.join(file));
        let counts: Vec<_> = trajectories.iter().map(|t| (t.steps.len(), editor_calls(t))).collect();
        assert_eq!(counts, *expected, "{file}");
        for trajectory in &trajectories {
            assert_eq!(trajectory.source.format, *format, "{file}");
            assert_eq!(trajectory.end, End::Submitted, "{file}");
            assert_eq!(trajectory.steps.last().unwrap().action, Action::Submit, "{file}");
            assert!(
                trajectory.problem.as_ref().is_some_and(|problem| !problem.contains("<pr_desc")),
                "{file}"
            );
            assert!(trajectory.steps.iter().all(|step| step.executed), "{file}");
        }
    }
}

#[test]
fn the_directory_of_recordings_is_imported_without_a_reject() {
    let Some(root) = fixtures() else { return };
    let files = import::files(std::slice::from_ref(&root)).unwrap();
    assert_eq!(files.len(), RECORDED.len());
    let all: usize = files.iter().map(|file| read(file).len()).sum();
    assert_eq!(all, 20);
}

#[test]
fn streams_of_events_hold_the_messages_actions_and_observations_that_their_list_counts() {
    let Some(root) = fixtures() else { return };
    for (file, listed) in [("basic", 3), ("basic_interactions", 1), ("wrong_initial_state", 7)] {
        let text = fs_err::read_to_string(root.join(format!("openhands/{file}.json"))).unwrap();
        let events: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let counted = events.iter().filter(|event| event["action"] != "message").count();
        let trajectory = &read(&root.join(format!("openhands/{file}.json")))[0];
        let seen = trajectory.steps.iter().filter(|step| step.observation.is_some()).count();
        assert_eq!((counted, trajectory.steps.len() + seen), (listed, listed), "{file}");
    }
}

#[test]
fn one_run_in_two_casts_gives_the_same_actions() {
    let Some(root) = fixtures() else { return };
    let native = &read(&root.join("swe-smith/pydantic-pr_8316.traj"))[0];
    let cast = &read(&root.join("swe-smith/xml.jsonl"))[2];
    assert_eq!(native.steps.len(), cast.steps.len());
    for (index, (native, cast)) in native.steps.iter().zip(&cast.steps).enumerate() {
        assert_eq!(native.action, cast.action, "step {}", index + 1);
        assert_eq!(native.thought, cast.thought, "step {}", index + 1);
        // The cast cuts long observations, and leaves out what the last step printed.
        let Some(seen) = &cast.observation else { continue };
        let own = &native.observation.as_ref().unwrap().output;
        assert!(own.starts_with(&seen.output), "step {}:\n{own}\n{}", index + 1, seen.output);
    }
    assert_eq!(native.problem, cast.problem);
    assert_eq!(native.source.workdir, cast.source.workdir);
}

#[test]
fn recorded_fields_reach_the_trajectory() {
    let Some(root) = fixtures() else { return };
    let smith = &read(&root.join("swe-smith/xml.jsonl"))[0];
    assert_eq!((smith.task.as_str(), smith.source.record), ("pandas-dev__pandas.95280573.pr_53652", Some(1)));
    assert_eq!(
        (smith.source.tools.as_deref(), smith.source.workdir.as_deref()),
        (Some("xml"), Some("/testbed"))
    );
    let mini = &read(&root.join("mini-swe-agent/github_issue.v2.traj.json"))[0];
    assert!(mini.source.fresh_shells && mini.patch.as_ref().unwrap().starts_with("diff --git a/tests/"));
    assert!(mini.problem.as_ref().unwrap().starts_with("GitHub Issue: SyntaxError"));
    let exits: Vec<_> = mini.steps.iter().map(|step| step.observation.as_ref().unwrap().exit).collect();
    assert_eq!(exits[0], Some(apprentice::trajectory::Exit::Code(1)));
    let events = &read(&root.join("openhands/wrong_initial_state.json"))[0];
    assert_eq!(
        events.steps[0].thought,
        "I'll help you rename the file. First, let me check if the file exists and its location."
    );
    assert_eq!(events.steps[1].action.text(), "mv /workspace/game_2048.py /workspace/2048.py");
    let basic = &read(&root.join("openhands/basic.json"))[0];
    let shown = &basic.steps[0].observation.as_ref().unwrap().output;
    assert_eq!(shown, "File created successfully at: /workspace/game_2048.py");
}

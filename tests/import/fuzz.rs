//! Fuzzing: records of every family, broken in every way, never panic and never take unbounded memory.
//!
//! Cases are seeded, so a failure is found again. `APPRENTICE_FUZZ_SECONDS=600 cargo test --test import fuzz --
//! --nocapture` goes on for that long over all importers and says how many cases each had.

use std::collections::BTreeMap;

use apprentice::import::{FORMATS, Json, Origin, RecordError};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::fixtures;

/// Small records of every family, by us, and the recorded ones where they are at hand.
fn seeds() -> Vec<String> {
    let call = json!({"id": "1", "type": "function", "function": {"name": "bash", "arguments": "{\"command\": \"ls\"}"}});
    let chat = json!([
        {"role": "user", "content": "It breaks."}, {"role": "assistant", "content": "Look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "OBSERVATION:\na\n[Command finished with exit code 0]"},
        {"role": "assistant", "content": "x <function=str_replace_editor>\n<parameter=command>view</parameter>\n<parameter=path>./a</parameter>\n</function>"},
        {"role": "user", "content": "Exit code: 0\nExecution output of [x]:\n[STDOUT]\n\na\n\n[STDERR]\n\n"},
        {"role": "assistant", "content": "End\n```bash\necho COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\n```"},
    ]);
    let records = [
        json!({"messages": chat, "traj_id": "t", "resolved": true, "patch": "diff --git a/a b/a\n"}),
        json!({"messages": chat.to_string(), "traj_id": "t"}),
        json!({"messages": chat, "run_id": "r", "test_result": {"git_patch": "diff --git"}}),
        json!({"messages": chat, "trajectory_format": "mini-swe-agent-1.1", "info": {"submission": "x"}}),
        json!({"messages": [{"object": "response", "output": [{"type": "function_call", "call_id": "1", "name": "bash", "arguments": "{}"}]}, {"type": "function_call_output", "call_id": "1", "output": "x"}], "trajectory_format": "mini-swe-agent-1.1"}),
        json!({"trajectory": chat, "trajectory_id": "t", "resolved": 1}),
        json!({"trajectory": [{"role": "ai", "text": "x\n```\nls\n```", "system_prompt": null}, {"role": "user", "text": "a\n(Open file: n/a)\n(Current directory: /r)\nbash-$"}], "target": true}),
        json!({"trajectory_steps": [{"thought": "", "action": "<function=execute_bash>\n<parameter=cmd>ls</parameter>\n</function>", "observation": "Exit code: 0\nExecution output of [x]:\na"}], "reward": 1.0}),
        json!({"trajectory": [{"action": "ls", "observation": "a", "thought": "", "response": "", "state": "{\"working_dir\": \"/r\"}\n"}], "history": [{"role": "assistant", "content": "x", "action": "ls", "tool_calls": [call]}], "info": {"submission": "diff --git a/a b/a\n"}, "replay_config": "{}", "attempts": []}),
        json!({"responses_create_params": {"input": "x"}, "response": {"output": [{"type": "function_call", "call_id": "1", "name": "Read", "arguments": "{\"file_path\": \"a\", \"offset\": 9223372036854775807}"}, {"type": "function_call_output", "call_id": "1", "output": "x"}]}}),
        json!({"schema_version": "ATIF-v1.7", "agent": {"name": "x"}, "steps": [{"step_id": 1, "source": "agent", "message": "x", "tool_calls": [{"tool_call_id": "1", "function_name": "bash", "arguments": {"command": "ls"}}], "observation": {"results": [{"source_call_id": "1", "content": "x"}]}}]}),
        json!({"history": [{"id": 1, "source": "agent", "action": "run", "args": {"command": "ls"}}, {"id": 2, "source": "agent", "observation": "run", "cause": 1, "content": "x", "extras": {"exit_code": 0}}]}),
        json!({"format": "apprentice.trajectory/1", "id": "a", "task": "t", "steps": [{"action": {"kind": "bash", "command": "ls"}}], "end": "unknown"}),
        chat,
    ];
    let mut seeds: Vec<String> = records.iter().map(Value::to_string).collect();
    let recorded = [
        "openhands/wrong_initial_state.json",
        "mini-swe-agent/local.v2.traj.json",
        "swe-agent/history-only.traj",
    ];
    if let Some(root) = fixtures() {
        seeds.extend(recorded.iter().map(|file| fs_err::read_to_string(root.join(file)).unwrap()));
        let smith = fs_err::read_to_string(root.join("swe-smith/xml.jsonl")).unwrap();
        seeds.extend(smith.lines().take(1).map(|line| line.chars().take(60_000).collect()));
    }
    seeds
}

/// One way to break a record; the numbers choose where.
#[derive(Debug, Clone)]
enum Break {
    Drop(usize),
    Twice(usize),
    Retype(usize, usize),
    Reword(usize, String),
    Cut(usize),
    Bytes(usize, Vec<u8>),
    Splice(usize, usize, usize),
}

fn breaks() -> impl Strategy<Value = Vec<Break>> {
    let text = prop_oneof![
        "\\PC{0,20}",
        "(<function=|</function>|<parameter=|</parameter>|```|bash|\n|>|=|x|\\\\u[dD]8[0-9a-f]{2}|<returncode>|<output>){0,12}",
        "(OBSERVATION:|\\[Command finished with exit code |\\(Open file: |-?[0-9]{1,25}|\\]|\\)|\n|\r\n|ü|\u{0}){0,8}",
    ];
    let one = prop_oneof![
        any::<usize>().prop_map(Break::Drop),
        any::<usize>().prop_map(Break::Twice),
        (any::<usize>(), 0_usize..8).prop_map(|(at, kind)| Break::Retype(at, kind)),
        (any::<usize>(), text).prop_map(|(at, text)| Break::Reword(at, text)),
        any::<usize>().prop_map(Break::Cut),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 0..8))
            .prop_map(|(at, bytes)| Break::Bytes(at, bytes)),
        (any::<usize>(), any::<usize>(), any::<usize>())
            .prop_map(|(from, to, at)| Break::Splice(from, to, at)),
    ];
    prop::collection::vec(one, 1..5)
}

/// Every value below `value`, itself included, counted in order; `visit` may change the one that is meant.
fn at(value: &mut Value, left: &mut usize, visit: &mut dyn FnMut(&mut Value)) -> bool {
    if *left == 0 {
        visit(value);
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| at(item, left, visit)),
        Value::Object(entries) => entries.values_mut().any(|item| at(item, left, visit)),
        _ => false,
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(entries) => entries.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

fn change(value: &mut Value, place: usize, visit: &mut dyn FnMut(&mut Value)) {
    let mut left = place % count(value);
    at(value, &mut left, visit);
}

fn retyped(kind: usize) -> Value {
    match kind {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(1e300),
        4 => json!(""),
        5 => json!([]),
        6 => json!({}),
        _ => json!([[{"role": "assistant", "content": [{"text": "```\nls\n```"}]}]]),
    }
}

fn broken(seed: &str, breaks: &[Break]) -> Vec<u8> {
    let mut bytes = seed.as_bytes().to_vec();
    for each in breaks {
        let structured =
            matches!(each, Break::Drop(_) | Break::Twice(_) | Break::Retype(..) | Break::Reword(..));
        if let (true, Ok(mut value)) = (structured, serde_json::from_slice::<Value>(&bytes)) {
            restructure(&mut value, each);
            bytes = value.to_string().into_bytes();
        } else {
            rewrite(&mut bytes, each);
        }
    }
    bytes
}

fn restructure(value: &mut Value, change_by: &Break) {
    match change_by {
        Break::Drop(place) => change(value, *place, &mut |value| match value {
            Value::Array(items) => drop(items.pop()),
            Value::Object(entries) => {
                let key = entries.keys().nth(*place % entries.len().max(1)).cloned();
                key.map(|key| entries.remove(&key));
            }
            other => *other = Value::Null,
        }),
        Break::Twice(place) => change(value, *place, &mut |value| {
            if let Value::Array(items) = value {
                items.extend(items.clone());
            }
        }),
        Break::Retype(place, kind) => change(value, *place, &mut |value| *value = retyped(*kind)),
        Break::Reword(place, text) => change(value, *place, &mut |value| match value {
            Value::String(old) => {
                let middle = (0..=old.len() / 2).rev().find(|at| old.is_char_boundary(*at)).unwrap_or(0);
                old.insert_str(middle, text);
            }
            other => *other = Value::String(text.clone()),
        }),
        _ => {}
    }
}

fn rewrite(bytes: &mut Vec<u8>, change_by: &Break) {
    let length = bytes.len().max(1);
    match change_by {
        Break::Cut(at) => bytes.truncate(at % length),
        Break::Bytes(at, new) => {
            let at = (at % length).min(bytes.len());
            bytes.splice(at..at, new.iter().copied());
        }
        Break::Splice(from, to, at) => {
            let (from, to, at) = (from % length, to % length, at % length);
            let part = bytes.get(from.min(to)..from.max(to)).unwrap_or_default();
            let part: Vec<u8> = part.iter().copied().take(4096).collect();
            bytes.splice(at.min(bytes.len())..at.min(bytes.len()), part);
        }
        _ => {}
    }
}

/// Reads `bytes` by every importer. Nothing may panic, and what comes out may not outgrow what went in.
fn read(bytes: &[u8], counts: &mut BTreeMap<&'static str, (u64, u64)>) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(record) = Json::parse(text) else { return };
    let origin = Origin { file: "fuzz.jsonl".into(), line: Some(1), task: None };
    for format in FORMATS {
        format.recognizes(&record);
        let (cases, readable) = counts.entry(format.name()).or_default();
        *cases += 1;
        match format.parse(&record, &origin) {
            Ok(trajectories) => {
                *readable += 1;
                let size: usize = trajectories.iter().map(|t| serde_json::to_vec(t).unwrap().len()).sum();
                assert!(size < 100_000 + bytes.len() * 16, "{} bytes became {size}", bytes.len());
            }
            Err(error) => assert!(!matches!(error, RecordError::TooLarge { .. })),
        }
    }
}

#[test]
fn broken_records_never_panic_and_never_grow() {
    let seconds: u64 =
        std::env::var("APPRENTICE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let seeds = seeds();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (strategy, mut counts) = (breaks(), BTreeMap::new());
    let started = std::time::Instant::now();
    // The bounded form, which is the same every time, and the long one, which ends by its clock.
    let mut rounds = 0;
    while rounds < 100 || started.elapsed().as_secs() < seconds {
        for seed in &seeds {
            let breaks = strategy.new_tree(&mut runner).unwrap().current();
            let bytes = broken(seed, &breaks);
            let outcome =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&bytes, &mut counts)));
            assert!(outcome.is_ok(), "{breaks:?}\n{}", String::from_utf8_lossy(&bytes));
        }
        rounds += 1;
    }
    for (format, (cases, readable)) in &counts {
        println!("{format}: {cases} cases, {readable} readable");
    }
    assert!(counts.values().all(|(cases, _)| 100 < *cases));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_file_is_read_or_refused(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'{'), Just(b'"'), Just(b'['), Just(b'\n'), Just(b',')], 0..300), name in "r\\.(json|jsonl|traj|yaml|parquet|jsonl\\.gz)") {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs_err::write(&path, &bytes).unwrap();
        let read = apprentice::import::read_file(&path, apprentice::import::Options::default());
        prop_assert!(read.is_err() || read.unwrap().trajectories.is_empty());
    }
}

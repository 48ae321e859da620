//! `trajectory examples` and `trajectory export`: what the options choose, count and leave out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use serde_json::{Value, json};

/// A line of our own format.
fn line(id: &str, steps: &[(&str, &str)]) -> Value {
    let step = |(command, seen): &(&str, &str)| {
        let action = match *command {
            "submit" => json!({"kind": "submit"}),
            answer if answer.contains("**") => json!({"kind": "answer", "text": answer}),
            command => json!({"kind": "bash", "command": command}),
        };
        json!({"thought": "So.", "action": action, "observation": {"output": seen}})
    };
    json!({
        "format": "apprentice.trajectory/1", "id": id, "task": "owner__repo-1", "problem": "Fix it.", "end": "submitted",
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

const STEPS: &[(&str, &str)] =
    &[("ls", "a.py"), ("ls", "a.py"), ("sed -i s/1/2/ a.py", ""), ("git log --all", "x"), ("submit", "")];

fn write(dir: &Path, lines: &[Value]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs_err::write(dir.join("in.jsonl"), text).unwrap();
}

/// Runs the command and gives its code, its summary and the lines that it wrote.
fn examples(dir: &Path, more: &[&str]) -> (i32, Value, Vec<Value>) {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_apprentice"));
    command
        .current_dir(dir)
        .args(["--json", "trajectory", "examples", "in.jsonl", "--out", "out.jsonl"])
        .args(more);
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines = apprentice::fsio::read_json_lines(&dir.join("out.jsonl")).unwrap_or_default();
    (output.status.code().unwrap(), serde_json::from_str(&stdout).unwrap(), lines)
}

fn numbers(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["step"].as_u64().unwrap()).collect()
}

#[test]
fn everything_is_counted_and_nothing_left_out_unless_asked() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[line("a", STEPS)]);
    let (code, summary, lines) = examples(dir.path(), &[]);
    assert_eq!((code, numbers(&lines)), (0, vec![1, 2, 3, 4, 5]));
    let counted: Vec<(&str, u64)> = summary["filters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|filter| (filter["filter"].as_str().unwrap(), filter["examples"].as_u64().unwrap()))
        .collect();
    assert_eq!(counted, [("unresolved", 5), ("diverged", 5), ("leaking", 2), ("idle", 1), ("wasted", 1)]);
    assert_eq!(summary["leaks"], json!({"future-commits": 1}));
    assert_eq!(lines[4]["messages"].as_array().unwrap().len(), 2 + 2 * 4);
}

#[test]
fn what_has_no_thought_of_its_own_is_no_reply_to_learn() {
    let dir = tempfile::tempdir().unwrap();
    let mut record = line("a", STEPS);
    record["steps"][1]["continues"] = json!(true);
    record["steps"][1]["thought"] = json!("");
    write(dir.path(), &[record]);
    let (_, summary, lines) = examples(dir.path(), &[]);
    assert_eq!((numbers(&lines), &summary["thoughtless"]), (vec![1, 3, 4, 5], &json!(1)));
    assert_eq!(lines[1]["messages"].as_array().unwrap().len(), 2 + 2 * 2);
}

#[test]
fn filters_targets_and_context_choose() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[line("a", STEPS)]);
    let chosen = |more: &[&str]| numbers(&examples(dir.path(), more).2);
    assert_eq!(chosen(&["--drop", "idle,wasted"]), [1, 3, 5]);
    assert_eq!(chosen(&["--drop", "leaking"]), [1, 2, 3]);
    assert_eq!(chosen(&["--targets", "first..last-1"]), [1, 2, 3, 4]);
    assert_eq!(chosen(&["--targets", "second..last"]), [2, 3, 4, 5]);
    let (_, _, lines) = examples(dir.path(), &["--context", "last:2"]);
    assert_eq!(lines[4]["messages"].as_array().unwrap().len(), 2 + 2 * 2);
    let (_, _, lines) = examples(dir.path(), &["--scope", "wrapped"]);
    assert_eq!(lines[0]["compared"], "<function=bash>\n<parameter=command>ls</parameter>\n</function>");
}

#[test]
fn a_replay_says_where_examples_end() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[line("a", STEPS), line("b", STEPS)]);
    let replay = json!({"format": "apprentice.replay/1", "trajectory": "a", "first_divergence": 2, "grade": "resolved"});
    fs_err::write(dir.path().join("replays.jsonl"), format!("{replay}\n")).unwrap();
    let (_, summary, lines) = examples(dir.path(), &["--replays", ".", "--drop", "unresolved,diverged"]);
    assert_eq!((numbers(&lines), &summary["replayed"]), (vec![1, 2], &json!(1)));
    for (key, value) in [("grade_error", "the sandbox was lost"), ("format", "apprentice.replay/9")] {
        let mut refused = replay.clone();
        refused[key] = json!(value);
        fs_err::write(dir.path().join("replays.jsonl"), format!("{refused}\n")).unwrap();
        let (code, failure, _) = examples(dir.path(), &["--replays", ".", "--drop", "unresolved"]);
        assert_eq!(code, 3, "{failure}");
        assert!(failure["error"].as_str().unwrap().contains(value), "{failure}");
    }
}

#[test]
fn the_next_steps_title_is_told_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[line("a", &[("1. **Halve** it", ""), ("2. **Add up**: 3", "")])]);
    let (_, _, lines) = examples(dir.path(), &["--hint"]);
    let last = |line: &Value| line["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    assert_eq!(last(&lines[0]), "Fix it.\n\nThe next step: 1. Halve");
    let told = "Fix it.\n\nSolution so far:\n\n1. **Halve** it\n\nThe next step: 2. Add up";
    assert_eq!(last(&lines[1]), told);
}

#[test]
fn nothing_left_is_said_with_the_counts() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[line("a", STEPS)]);
    let (code, failure, _) = examples(dir.path(), &["--drop", "unresolved"]);
    assert_eq!(code, 4);
    assert!(failure["error"].as_str().unwrap().contains("unresolved        5  left out"), "{failure}");
    assert!(!dir.path().join("out.jsonl").exists());
}

#[test]
fn a_bad_line_is_named_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("in.jsonl"), format!("{}\n{{\"a\": 1}}\n", line("a", STEPS))).unwrap();
    let (code, failure, _) = examples(dir.path(), &[]);
    assert_eq!(code, 3);
    assert!(failure["error"].as_str().unwrap().contains("in.jsonl: line 2: "), "{failure}");
    assert!(!dir.path().join("out.jsonl").exists());
}

#[test]
fn whole_records_are_not_filtered() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[line("a", STEPS)]);
    let export = |more: &[&str]| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_apprentice"));
        command
            .current_dir(dir.path())
            .args(["trajectory", "export", "in.jsonl"])
            .args(more)
            .output()
            .unwrap()
    };
    for (format, flag, value) in [
        ("atif", "--drop", "idle"),
        ("native", "--targets", "second..last"),
        ("native", "--thoughts", "off"),
        ("sft", "--context", "last:2"),
        ("sft", "--scope", "wrapped"),
        ("sft", "--rows", "jsonl"),
        ("trl", "--thoughts", "plain"),
        ("trl", "--rows", "jsonl"),
    ] {
        let refused = export(&["--to", format, "--out", "a.jsonl", flag, value]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{format} {flag}: {said}");
        assert!(said.contains(&format!("`{flag}` does nothing in `{format}`")), "{said}");
    }
    assert_eq!(export(&["--to", "sft", "--out", "a.jsonl", "--hint"]).status.code(), Some(2));
    assert_eq!(
        export(&["--to", "sft", "--out", "a.jsonl", "--drop", "idle", "--observation-chars", "2"])
            .status
            .code(),
        Some(0)
    );
    assert!(
        fs_err::read_to_string(dir.path().join("a.jsonl")).unwrap().contains("[… 2 characters left out …]")
    );
    assert_eq!(export(&["--to", "atif", "--out", "records"]).status.code(), Some(0));
    assert!(dir.path().join("records/a.json").is_file());
    let unknown = export(&["--to", "verll", "--out", "x"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("hint: use one of: native, atif, sft, trl, verl")
    );
}

#[cfg(feature = "train")]
mod tokens {
    use std::collections::BTreeSet;

    use apprentice::chat::Message;
    use apprentice::model::tokenizer::{ChatTokenizer, Pieces};

    use super::*;

    fn model(dir: &Path) -> ChatTokenizer {
        let texts = (0..40).map(|n| format!("sed -i s/{n}/2/ a.py and So. Fix it."));
        let tokenizer = ChatTokenizer::train(texts, 400, Pieces::Words).unwrap();
        fs_err::create_dir(dir.join("model")).unwrap();
        tokenizer.save(&dir.join("model")).unwrap();
        tokenizer
    }

    #[test]
    fn tokens_are_counted_with_and_without_what_examples_share() {
        let dir = tempfile::tempdir().unwrap();
        let tokenizer = model(dir.path());
        write(dir.path(), &[line("a", STEPS)]);
        let (_, summary, lines) = examples(dir.path(), &["--model", "model"]);
        let mut prefixes = BTreeSet::new();
        let (mut total, mut longest) = (0, 0);
        for line in &lines {
            let messages: Vec<Message> = serde_json::from_value(line["messages"].clone()).unwrap();
            let prompt = tokenizer.encode_prompt(&messages).unwrap();
            let reply = tokenizer.encode_reply(line["reply"].as_str().unwrap()).unwrap();
            assert_eq!(
                (&line["prompt_tokens"], &line["reply_tokens"]),
                (&json!(prompt.len()), &json!(reply.len()))
            );
            let sequence = [prompt, reply].concat();
            total += sequence.len();
            longest = longest.max(sequence.len());
            prefixes.extend((1..=sequence.len()).map(|n| sequence[..n].to_vec()));
        }
        let tokens = &summary["tokens"];
        assert_eq!(
            (&tokens["total"], &tokens["shared"], &tokens["longest"]),
            (&json!(total), &json!(prefixes.len()), &json!(longest))
        );
        assert!(2 * prefixes.len() < total);
    }

    #[test]
    fn a_limit_drops_whole_oldest_steps_and_counts_them() {
        let dir = tempfile::tempdir().unwrap();
        model(dir.path());
        write(dir.path(), &[line("a", STEPS)]);
        let (_, _, whole) = examples(dir.path(), &["--model", "model"]);
        let limit = whole[3]["prompt_tokens"].to_string();
        let (_, summary, cut) = examples(dir.path(), &["--model", "model", "--max-tokens", &limit]);
        assert_eq!((cut.len(), &cut[3]), (5, &whole[3]));
        let lost = cut[4]["lost_steps"].as_u64().unwrap();
        assert!(0 < lost && cut[4]["prompt_tokens"].as_u64() <= whole[3]["prompt_tokens"].as_u64(), "{lost}");
        assert_eq!(cut[4]["messages"].as_array().unwrap().len() as u64, 2 + 2 * (4 - lost));
        let first = |line: &Value| line["messages"].as_array().unwrap()[..2].to_vec();
        assert_eq!(first(&cut[4]), first(&whole[4]));
        assert_eq!(
            (&summary["tokens"]["shortened"], &summary["tokens"]["lost_steps"]),
            (&json!(1), &json!(lost))
        );
        let (code, _, _) = examples(dir.path(), &["--model", "model", "--max-tokens", "3"]);
        assert_eq!(code, 4);
    }
}

//! `apprentice rollout`: interrupted and continued, and under each scaffold, in namespaces.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

const TASK: &str = "format: apprentice.task/1\nid: t\nkind: code\nproblem: write two into src/a\nsandbox: shell\n\
                    repo: {path: repo}\n\
                    gold: \"--- a/src/a\\n+++ b/src/a\\n@@ -1 +1 @@\\n-one\\n+two\\n\"\n\
                    tests: {command: 'grep -q two src/a && echo \"ok 1 - a\"', parser: tap, fail_to_pass: [a]}\n";
const EDIT: &str = "### src/a\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE";

/// A directory with a task and what a policy says on it.
fn ground(actions: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(dir.path().join("tasks/t/repo/src")).unwrap();
    fs_err::write(dir.path().join("tasks/t/task.yaml"), TASK).unwrap();
    fs_err::write(dir.path().join("tasks/t/repo/src/a"), "one\n").unwrap();
    let replies: Vec<String> =
        actions.iter().map(|action| format!("<think>Go on.</think>\n{action}")).collect();
    let script = json!({"task": "t", "replies": replies});
    fs_err::write(dir.path().join("script.jsonl"), format!("{script}\n")).unwrap();
    dir
}

/// Says what a command said, or that it is skipped because sandboxes cannot be had here.
fn run(verb: &str, dir: &Path, more: &[&str]) -> Option<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
    command.current_dir(dir).args([
        "--json",
        verb,
        "--policy",
        "scripted:script.jsonl",
        "--sandbox",
        "namespaces",
    ]);
    command.args(["--cache", "cache", "--out", "run", "--parallel", "4"]).args(more);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(5) && said.contains("namespaces") {
        let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
        assert!(!required.contains("namespaces"), "{said}");
        println!("skipped: no sandboxes in namespaces here");
        return None;
    }
    Some(output)
}

fn lines(dir: &Path, name: &str) -> Vec<Value> {
    let text = fs_err::read_to_string(dir.join("run").join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_resumed_rollout_keeps_what_is_over_and_begins_what_is_missing() {
    let ground = ground(&["echo two > src/a", "submit"]);
    let dir = ground.path();
    let Some(output) = run("rollout", dir, &["--samples", "5"]) else { return };
    assert!(output.status.success(), "{output:?}");
    let whole = ["trajectories.jsonl", "episodes.jsonl", "samples.jsonl"].map(|name| lines(dir, name));
    let ids = |lines: &[Value]| lines.iter().map(|line| line["id"].clone()).collect::<Vec<_>>();
    for file in &whole {
        assert_eq!(ids(file), ["t.0", "t.1", "t.2", "t.3", "t.4"]);
    }
    // As if it had been killed: two episodes never said that they are over, and the last line is half.
    let path = dir.join("run/episodes.jsonl");
    let text = fs_err::read_to_string(&path).unwrap();
    let kept: Vec<&str> = text.split_inclusive('\n').collect();
    fs_err::write(&path, [kept[4], kept[0], kept[2], &kept[1][..9]].concat()).unwrap();

    let taken = run("rollout", dir, &["--samples", "5"]).unwrap();
    assert_eq!(taken.status.code(), Some(2), "{taken:?}");
    let other = run("rollout", dir, &["--samples", "6", "--resume"]).unwrap();
    assert_eq!(other.status.code(), Some(2), "{other:?}");
    let output = run("eval", dir, &["--samples", "5", "--resume"]).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["rate"]), (Some(0), &json!(1.0)), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("3 of 5 episodes are over and stay"), "{said}");
    assert_eq!(said.matches("   Ran t ").count(), 2, "{said}");
    let again = ["trajectories.jsonl", "episodes.jsonl", "samples.jsonl"].map(|name| lines(dir, name));
    for (again, whole) in again.iter().zip(&whole) {
        assert_eq!(ids(again), ids(whole));
        for kept in [0, 2, 4] {
            assert_eq!(again[kept], whole[kept]);
        }
    }
    assert_eq!(lines(dir, "predictions.jsonl").len(), 5);
}

#[test]
fn every_scaffold_resolves_a_task_by_its_own_tools() {
    let edit = "str_replace_editor str_replace src/a --old_str one --new_str two";
    let flows: [(&str, &[&str]); 4] = [
        ("bash", &["echo two > src/a", "submit"]),
        ("editor", &["str_replace_editor view src/a", edit, "submit"]),
        ("oracle-edit", &[EDIT]),
        ("localize-edit", &["src/a", EDIT]),
    ];
    for (name, actions) in flows {
        let ground = ground(actions);
        let Some(output) = run("eval", ground.path(), &["--scaffold", name]) else { return };
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        let trajectory = lines(ground.path(), "trajectories.jsonl").remove(0);
        assert_eq!(
            (&trajectory["end"], trajectory["steps"].as_array().unwrap().len()),
            (&json!("submitted"), actions.len())
        );
        let manifest: Value =
            serde_json::from_slice(&fs_err::read(ground.path().join("run/manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest["recipe"]["scaffold"]["scaffold"], name);
    }
}

#[test]
fn a_scaffold_that_is_no_scaffold_is_refused_with_its_key() {
    let ground = ground(&["submit"]);
    fs_err::write(ground.path().join("mine.yaml"), "format: apprentice.scaffold/1\nnaem: mine\n").unwrap();
    let Some(output) = run("rollout", ground.path(), &["--scaffold", "mine.yaml"]) else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("unknown field `naem`") && said.contains("did you mean `name`?"), "{said}");
}

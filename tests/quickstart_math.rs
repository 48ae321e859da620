//! The quickstart of mathematics through the program, with everything small.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "train")]

use std::path::Path;

use serde_json::{Value, json};

/// Changes of the plan that make a run a matter of seconds.
const SMALL: [&str; 18] = [
    "tasks.train=26",
    "tasks.new_numbers=13",
    "tasks.new_templates=7",
    "model.vocabulary=400",
    "model.hidden=16",
    "model.layers=1",
    "model.heads=2",
    "model.kv_heads=1",
    "model.intermediate=32",
    "base.budget={steps: 4}",
    "sft.budget={compute: 12000}",
    "rlvr.budget={compute: 12000}",
    "srl.budget={compute: 12000}",
    "srl_rlvr.srl.budget={compute: 6000}",
    "srl_rlvr.rlvr.budget={compute: 6000}",
    "groups.group_size=2",
    "measure.steps=3",
    "measure.reply_tokens=24",
];

/// Runs the program and gives its exit code and what it printed as JSON.
fn quickstart(dir: &Path, arguments: &[&str]) -> (i32, Value) {
    let mut command = assert_cmd::Command::cargo_bin("apprentice").unwrap();
    command.current_dir(dir).args(["--json", "quickstart", "--domain", "math"]).args(arguments);
    let output = command.output().unwrap();
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    (output.status.code().unwrap(), serde_json::from_slice(&said).unwrap())
}

#[test]
fn every_method_is_measured_on_both_kinds_of_held_out_problems_and_a_run_goes_on_to_the_same_table() {
    let dir = tempfile::tempdir().unwrap();
    let mut arguments: Vec<&str> = SMALL.iter().flat_map(|change| ["--set", change]).collect();
    arguments.extend(["--out", "run", "--seed", "3"]);
    let (code, said) = quickstart(dir.path(), &arguments);
    assert_eq!((code, &said["format"]), (0, &json!("apprentice.quickstart/1")), "{said}");
    let rows = said["rows"].as_array().unwrap();
    let told: Vec<[&Value; 3]> =
        rows.iter().map(|row| [&row["method"], &row["set"], &row["tasks"]]).collect();
    let expected: Vec<Value> = ["base", "sft", "rlvr", "srl", "srl-rlvr"]
        .iter()
        .flat_map(|method| [json!([method, "new-numbers", 13]), json!([method, "new-templates", 7])])
        .collect();
    assert_eq!(json!(told), json!(expected));
    assert!(rows.iter().all(|row| row["tokens_per_reply"].as_f64().unwrap() > 0.0));

    let run = dir.path().join("run");
    for kept in ["tasks/train/trajectories.jsonl", "rollouts/measure sft new-numbers.jsonl", "report.html"] {
        assert!(run.join(kept).is_file(), "{kept}");
    }
    // A run that was killed in its last stage has all checkpoints but that stage's.
    fs_err::remove_dir_all(run.join("srl-rlvr-2")).unwrap();
    let (code, again) = quickstart(dir.path(), &arguments);
    assert_eq!((code, &again["rows"]), (0, &said["rows"]));
    let (code, failure) = quickstart(dir.path(), &["--out", "run", "--seed", "4"]);
    assert_eq!(code, 2, "{failure}");
}

#[test]
fn what_mathematics_does_not_have_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let (code, failure) = quickstart(dir.path(), arguments);
        assert_eq!(code, 2, "{failure}");
        (failure["error"].as_str().unwrap().to_owned(), failure["hint"].as_str().unwrap().to_owned())
    };
    let told = refused(&["--sandbox", "docker"]);
    assert_eq!(told, ("`--domain math` runs no sandbox".to_owned(), "leave `--sandbox` out".to_owned()));
    let (error, hint) = refused(&["--set", "tasks.repositories=3"]);
    assert_eq!(error, "the plan has no key `tasks.repositories`");
    assert!(hint.contains("recipes/quickstart-math.yaml"), "{hint}");
}

//! Certificates and rates at the command line.

use std::path::Path;
use std::process::Command;

use apprentice::task_dir;
use serde_json::Value;

use super::{ADDER, ADDS, Desk, SHELL};

struct Said {
    code: Option<i32>,
    result: Value,
    told: String,
}

impl Desk {
    fn say(&self, words: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
        command.current_dir(self.dir.path()).args(["--json"]).args(words).env_remove("RUST_LOG");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, told) = (text(&output.stdout), text(&output.stderr));
        let result = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{told}"));
        Said { code: output.status.code(), result, told }
    }

    fn say_here(&self, words: &[&str]) -> Said {
        let sandboxes = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandboxes");
        let more = ["--tasks", "tasks", "--cache", "cache", "--sandbox", "namespaces", "--sandboxes"];
        self.say(&[words, &more, &[sandboxes.to_str().unwrap()]].concat())
    }
}

/// A desk with a fair task and an unfair one below `tasks`.
async fn furnished() -> Option<Desk> {
    let desk = Desk::new("shell").await?;
    let unfair = SHELL.replace("fail_to_pass: [adds], pass_to_pass: [zero]", "fail_to_pass: [zero]");
    for (id, yaml) in [("fair", SHELL), ("unfair", &unfair)] {
        let task = desk.task(id, ADDER, ADDS, yaml);
        task_dir::save(&task.task, &desk.dir.path().join("tasks")).unwrap();
        fs_err::rename(task.dir.join("repo"), desk.dir.path().join("tasks").join(id).join("repo")).unwrap();
    }
    Some(desk)
}

fn each<'a>(said: &'a Said, key: &str) -> Vec<&'a Value> {
    said.result["tasks"].as_array().unwrap().iter().map(|row| &row[key]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_kept_shown_and_not_repeated_until_the_task_changes() {
    let Some(desk) = furnished().await else { return };
    let listed =
        || each(&desk.say(&["task", "list"]), "certificate").into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(listed(), [Value::Null, Value::Null]);
    let check = ["task", "check", "--runs", "1"];
    let first = desk.say_here(&check);
    assert_eq!(
        (first.code, each(&first, "certified")),
        (Some(1), vec![&Value::Bool(true), &Value::Bool(false)])
    );
    assert_eq!(each(&first, "reason")[1], "doing nothing resolves it");
    assert_eq!(each(&first, "skipped"), [false, false]);
    assert_eq!(listed(), ["certified", "faulty"]);
    let second = desk.say_here(&check);
    assert_eq!(
        (second.code, each(&second, "skipped")),
        (Some(1), vec![&Value::Bool(true), &Value::Bool(true)])
    );
    assert_eq!(each(&desk.say_here(&[&check[..], &["--again", "fair"]].concat()), "skipped"), [false]);

    fs_err::write(desk.dir.path().join("tasks/fair/repo/README"), "new\n").unwrap();
    assert_eq!(listed(), ["stale", "faulty"]);
    let graded = desk.say_here(&["grade", "--predictions", "gold"]);
    let warnings: Vec<&str> = graded.told.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("`fair` no longer fits") && warnings[1].contains("`unfair` names faults"));
    assert_eq!(each(&desk.say_here(&check), "skipped"), [false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_tells_every_rate_and_two_runs_are_compared() {
    let Some(desk) = furnished().await else { return };
    let gold = desk.say_here(&["eval", "--policy", "gold", "--samples", "2", "--out", "gold"]).result;
    assert_eq!(
        (&gold["format"], &gold["resolved"], &gold["rate"]),
        (&"apprentice.grade/1".into(), &4.into(), &1.0.into())
    );
    assert_eq!((&gold["with_invalid"]["rate"], &gold["pass_at"][1]["k"]), (&1.0.into(), &2.into()));
    assert_eq!(gold["seeds"]["rates"], serde_json::json!([1.0, 1.0]));
    assert!(gold["cost"]["test_seconds"]["per_resolved"].as_f64().unwrap() > 0.0);
    assert_eq!(gold["instances"].as_array().unwrap().len(), 4);

    let noop = desk.say_here(&["eval", "--policy", "noop", "--samples", "2", "--out", "noop"]).result;
    assert_eq!((&noop["rate"], &noop["low"].is_f64()), (&0.5.into(), &true));
    let report = desk.say(&["report", "gold", "noop"]).result;
    let compared = &report["comparisons"][0];
    assert_eq!((&compared["tasks"], &compared["first_only"]), (&2.into(), &serde_json::json!(["fair"])));
    assert!((compared["p"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{compared}");
}

//! `task import` as a user meets it, and an imported task graded in an image like those of its data set.
//!
//! The image is made once of the `python` sandbox's own, `apprentice sandbox build python --sandbox docker`, and stays.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const GOLD: &str = "diff --git a/adder.py b/adder.py\n--- a/adder.py\n+++ b/adder.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n\
                    -    return a - b\n+    return a + b\n";
const TESTS: &str = "diff --git a/tests/test_adder.py b/tests/test_adder.py\n--- a/tests/test_adder.py\n\
                     +++ b/tests/test_adder.py\n@@ -3,3 +3,7 @@\n \n def test_zero():\n     assert add(1, 0) == 1\n+\n+\n\
                     +def test_add():\n+    assert add(1, 2) == 3\n";

fn row(id: &str) -> Value {
    json!({
        "repo": "psf/requests", "instance_id": id, "base_commit": "c0", "patch": GOLD, "test_patch": TESTS,
        "problem_statement": "`add` subtracts.", "version": "2.31", "image": IMAGE,
        "FAIL_TO_PASS": "[\"tests/test_adder.py::test_add\"]", "PASS_TO_PASS": "[\"tests/test_adder.py::test_zero\"]",
    })
}

/// A row that says itself how its tests run.
fn self_contained(id: &str) -> Value {
    let script = format!(
        "#!/bin/bash\nset -uxo pipefail\nsource /opt/miniconda3/bin/activate\nconda activate testbed\ncd /testbed\n\
         git status\ngit show\ngit checkout c0 tests/test_adder.py\ngit apply -v - <<'EOF_1'\n{TESTS}EOF_1\n\
         : '>>>>> Start Test Output'\npytest -rA tests/test_adder.py\n: '>>>>> End Test Output'\n\
         git checkout c0 tests/test_adder.py\n"
    );
    let mut row = row(id);
    let more = json!({"eval_script": script, "log_parser": "parse_log_pytest", "eval_type": "pass_and_fail"});
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

fn write(path: &Path, rows: &[Value]) {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs_err::write(path, lines.join("\n")).unwrap();
}

fn apprentice(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apprentice"))
        .args(arguments)
        .current_dir(dir)
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .output()
        .unwrap()
}

fn said(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn a_row_that_cannot_be_imported_ends_the_import_and_leaves_the_directory_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let broken = json!({"instance_id": "o__r-2", "repo": "o/r", "FAIL_TO_PASS": [], "problem_statement": "p", "test_patch": "x"});
    write(&dir.path().join("rows.jsonl"), &[row("o__r-1"), broken]);
    let output = apprentice(dir.path(), &["task", "import", "rows.jsonl", "--out", "tasks", "--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let error = said(&output)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("line 2: o__r-2: how `o/r`  runs its tests is not known"), "{error}");
    assert_eq!(fs_err::read_dir(dir.path().join("tasks")).unwrap().count(), 0);
    let output =
        apprentice(dir.path(), &["task", "import", "rows.jsonl", "--out", "tasks", "--json", "--keep-going"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let value = said(&output);
    assert_eq!((&value["tasks"], &value["imported"]), (&json!(["o__r-1"]), &json!(1)));
    assert_eq!((&value["refused"][0]["id"], &value["refused_count"]), (&json!("o__r-2"), &json!(1)));
    let refused = fs_err::read_to_string(dir.path().join("tasks/refused.jsonl")).unwrap();
    let refused: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!((&refused["line"], &refused["file"]), (&json!(2), &json!("rows.jsonl")));
    let listed = apprentice(dir.path(), &["task", "list", "--tasks", "tasks", "--json"]);
    assert_eq!(said(&listed)["tasks"][0]["id"], "o__r-1");
}

#[test]
fn the_same_id_in_two_rows_is_one_task_and_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("rows.jsonl"), &[row("o__r-1"), row("o__r-1")]);
    let output =
        apprentice(dir.path(), &["task", "import", "rows.jsonl", "--out", "tasks", "--json", "--keep-going"]);
    assert_eq!(said(&output)["refused"][0]["reason"], "its id stands in an earlier row");
    write(&dir.path().join("none.jsonl"), &[json!({"a": 1})]);
    let output =
        apprentice(dir.path(), &["task", "import", "none.jsonl", "--out", "none", "--json", "--keep-going"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(dir.path().join("none/refused.jsonl").is_file());
}

const IMAGE: &str = "apprentice-import-test:1";

/// Makes the image unless it is there; false where Docker or the `python` sandbox's image is not.
fn is_image_there() -> bool {
    let docker = |arguments: &[&str]| Command::new("docker").args(arguments).stderr(Stdio::null()).output();
    let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default().contains("docker");
    let Some(images) =
        docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().filter(|out| out.status.success())
    else {
        assert!(!required, "docker is required");
        println!("skipped: there is no docker");
        return false;
    };
    let images = String::from_utf8(images.stdout).unwrap();
    if images.lines().any(|image| image == IMAGE) {
        return true;
    }
    let Some(python) = images.lines().find(|image| image.starts_with("apprentice/python:")) else {
        println!("skipped: there is no image of `apprentice sandbox build python --sandbox docker`");
        return false;
    };
    let mut build =
        Command::new("docker").args(["build", "-q", "-t", IMAGE, "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let dockerfile = DOCKERFILE.replace("PYTHON", python);
    build.stdin.take().unwrap().write_all(dockerfile.as_bytes()).unwrap();
    assert!(build.wait().unwrap().success(), "the image cannot be built");
    true
}

/// What images of the SWE-bench family look like from inside: root's repository in /testbed, conda, pytest.
const DOCKERFILE: &str = "FROM PYTHON\nUSER root\nRUN mkdir -p /testbed/tests /opt/miniconda3/bin \\\n\
    && printf 'conda() { :; }\\nexport CONDA_DEFAULT_ENV=testbed\\n' > /opt/miniconda3/bin/activate \\\n\
    && { command -v pytest || ln -s \"$(command -v pytest-3)\" /usr/local/bin/pytest; } \\\n\
    && cd /testbed && touch conftest.py \\\n\
    && printf 'def add(a, b):\\n    return a - b\\n' > adder.py \\\n\
    && printf 'from adder import add\\n\\n\\ndef test_zero():\\n    assert add(1, 0) == 1\\n' > tests/test_adder.py \\\n\
    && git init -q && git add -A && git -c user.name=n -c user.email=n@example.org commit -qm base\n";

#[test]
fn an_imported_task_is_resolved_by_its_solution_and_not_by_doing_nothing() {
    if !is_image_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("rows.jsonl"), &[row("psf__requests-1"), self_contained("psf__requests-2")]);
    let output = apprentice(dir.path(), &["task", "import", "rows.jsonl", "--out", "tasks"]);
    assert!(output.status.success(), "{output:?}");
    for (prediction, outcome) in [("gold", "resolved"), ("noop", "unresolved")] {
        let arguments = [
            "grade",
            "--tasks",
            "tasks",
            "--predictions",
            prediction,
            "--sandbox",
            "docker",
            "--out",
            prediction,
            "--json",
        ];
        let output = apprentice(dir.path(), &arguments);
        let verdicts = fs_err::read_to_string(dir.path().join(prediction).join("grades.jsonl"));
        let verdicts = verdicts.unwrap_or_else(|_| panic!("{output:?}"));
        let verdicts: Vec<Value> = verdicts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(verdicts.len(), 2);
        for verdict in &verdicts {
            assert_eq!(verdict["outcome"], outcome, "{verdict}");
            assert_eq!(verdict["pass_to_pass"], json!({"tests/test_adder.py::test_zero": "passed"}));
        }
    }
}

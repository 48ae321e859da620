//! Rows made by hand, one of each data set's shape, and what becomes of them.

use std::ops::ControlFlow;

use serde_json::{Map, Value, json};

use super::{FORMATS, Options, Own, each, format, sniff, task};
use crate::import::task::row::Row;
use crate::patch::{File, Mode, Patch, apply};
use crate::task::{Ending, Expect, Parser, Repo, SandboxChoice, Task};

mod files;

const GOLD: &str = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n";
const TESTS: &str = "diff --git a/tests/test_m.py b/tests/test_m.py\n--- a/tests/test_m.py\n+++ b/tests/test_m.py\n@@ -1 +1 @@\n-a\n+b\n";

/// `base` with the entries of `changes` instead of or beside its own; null removes one.
fn with(mut base: Value, changes: &Value) -> Map<String, Value> {
    let row = base.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        row.insert(key.clone(), value.clone());
    }
    row.retain(|_, value| !value.is_null());
    row.clone()
}

fn classic() -> Value {
    json!({
        "repo": "psf/requests", "instance_id": "psf__requests-7", "base_commit": "c0", "patch": GOLD,
        "test_patch": TESTS, "problem_statement": "It is wrong.", "hints_text": "h", "created_at": "2020-01-02T03:04:05Z",
        "version": "2.31", "FAIL_TO_PASS": "[\"tests/test_m.py::f\"]",
        "PASS_TO_PASS": "[\"tests/test_m.py::p\", \"tests/test_m.py::f\"]", "environment_setup_commit": "c1",
    })
}

fn import(row: &Map<String, Value>) -> Task {
    let task = task(row, &Options::default()).unwrap();
    assert_eq!(Task::parse(&task.to_yaml(), "t").unwrap(), task, "it does not survive its file");
    task
}

fn dataset(row: &Map<String, Value>) -> &'static str {
    sniff(&Row::new(row)).unwrap().name
}

/// Why each change of `base` is refused.
fn refusals(base: &Value, cases: &[(Value, &str)]) {
    for (changes, reason) in cases {
        let said = task(&with(base.clone(), changes), &Options::default());
        assert_eq!(said.err().as_deref(), Some(*reason), "{changes}");
    }
}

fn image(task: &Task) -> &str {
    task.repo.as_ref().unwrap().image.as_deref().unwrap()
}

fn sandbox(task: &Task) -> (&str, Option<&str>, Option<&str>) {
    let SandboxChoice { like, workdir, user, .. } = task.sandbox.as_ref().unwrap();
    (like, workdir.as_deref(), user.as_deref())
}

fn seconds(task: &Task) -> Option<f64> {
    task.limits.unwrap().test_seconds
}

#[test]
fn a_classic_row_of_swe_bench_becomes_a_task_in_its_image() {
    let row = with(classic(), &json!({"difficulty": "<15 min fix"}));
    assert_eq!(dataset(&row), "swe-bench");
    let task = import(&row);
    assert_eq!((task.id.as_str(), task.problem.as_str()), ("psf__requests-7", "It is wrong."));
    assert_eq!(image(&task), "swebench/sweb.eval.x86_64.psf_1776_requests-7:latest");
    assert_eq!(sandbox(&task), ("python", None, Some("root")));
    assert_eq!(task.setup, ["source /opt/miniconda3/bin/activate testbed"]);
    assert_eq!((task.gold.as_deref(), seconds(&task)), (Some(GOLD), Some(1800.0)));
    assert_eq!(task.difficulty.as_deref(), Some("<15 min fix"));
    assert_eq!(task.created_at.as_deref(), Some("2020-01-02T03:04:05Z"));
    let origin = task.origin.as_ref().unwrap();
    assert_eq!((origin.dataset.as_str(), origin.repo.as_str()), ("swe-bench", "psf/requests"));
    let tests = task.tests.as_ref().unwrap();
    assert_eq!(tests.parser, Parser::Compat("swebench.parse_log_pytest_options".to_owned()));
    assert_eq!((tests.patch.as_deref(), tests.version.as_deref()), (Some(TESTS), Some("2.31")));
    assert_eq!(
        (&tests.fail_to_pass[..], &tests.pass_to_pass[..]),
        (&["tests/test_m.py::f".to_owned()][..], &["tests/test_m.py::p".to_owned()][..])
    );
    assert_eq!(
        tests.command,
        "set -uxo pipefail\nsource /opt/miniconda3/bin/activate\nconda activate testbed\npython -m pip install .\n\
         : '>>>>> Start Test Output'\npytest -rA tests/test_m.py\ncode=$?\n: '>>>>> End Test Output'\nexit \"$code\"\n"
    );
}

#[test]
fn a_self_contained_row_of_swe_bench_needs_no_table() {
    let script = format!(
        "#!/bin/bash\nset -uxo pipefail\ncd /testbed\ngit checkout c0 tests/test_m.py\n\
         git apply -v - <<'EOF_114329324912'\n{TESTS}EOF_114329324912\nnpm run build\n\
         : '>>>>> Start Test Output'\nnpm test\n: '>>>>> End Test Output'\ngit checkout c0 tests/test_m.py\n"
    );
    let row = with(
        classic(),
        &json!({
            "repo": "chartjs/Chart.js", "image": "swebench/sweb.eval.x86_64.chartjs_1776_chart.js-7", "eval_script": script,
            "log_parser": "parse_log_chart_js", "eval_type": "fail_only", "image_assets": "{\"problem_statement\": [\"u\"]}",
            "language": null,
        }),
    );
    assert_eq!(dataset(&row), "swe-bench");
    let task = import(&row);
    assert_eq!(image(&task), "swebench/sweb.eval.x86_64.chartjs_1776_chart.js-7");
    assert_eq!((sandbox(&task).0, task.setup.len()), ("shell", 0));
    let said = with(Value::Object(row.clone()), &json!({"language": "JavaScript"}));
    assert_eq!(sandbox(&import(&said)).0, "node");
    let tests = task.tests.unwrap();
    assert_eq!(tests.expect, Expect::FailOnly);
    assert_eq!(tests.parser, Parser::Compat("swebench.parse_log_chart_js".to_owned()));
    assert_eq!(tests.patch.as_deref(), Some(TESTS));
    assert!(tests.command.starts_with("set -uxo pipefail\ncd /testbed\nnpm run build\n: '>>>>> Start"));
    refusals(
        &Value::Object(row),
        &[
            (json!({"eval_type": "other"}), "eval_type: `other` is not known"),
            (json!({"log_parser": null}), "missing field `log_parser`"),
            (
                json!({"log_parser": "parse_log_x"}),
                "log_parser: no parser of swebench is called `parse_log_x`",
            ),
            (json!({"eval_script": "pytest"}), "eval_script: it does not mark where its tests start and end"),
            (
                json!({"image_assets": "{\"test_patch\": [\"https://a/b.png\"]}"}),
                "image_assets: its tests need files of which the row has the addresses only",
            ),
        ],
    );
}

#[test]
fn a_row_of_swe_bench_that_cannot_be_graded_is_refused_with_its_reason() {
    refusals(
        &classic(),
        &[
            (json!({"FAIL_TO_PASS": "[]"}), "FAIL_TO_PASS is empty: nothing would tell a repair"),
            (json!({"FAIL_TO_PASS": 7}), "FAIL_TO_PASS: must be a list, found a number"),
            (json!({"problem_statement": null}), "missing field `problem_statement`"),
            (
                json!({"repo": "o/r"}),
                "how `o/r` 2.31 runs its tests is not known; only rows with an `eval_script` say it themselves",
            ),
            (json!({"test_patch": "diff --git a/a.md b/a.md\n"}), "test_patch: it changes no test file"),
            (
                json!({"patch": "--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n"}),
                "patch: the patch writes outside of the repository: `../x`",
            ),
            (json!({"instance_id": "../x"}), "id: `../x` is not a name of letters, digits and `._-+@`"),
        ],
    );
    let nobody = with(json!({"a": 1, "b": 2}), &json!({}));
    let said = task(&nobody, &Options::default()).unwrap_err();
    assert!(said.starts_with("no known data set has the keys `a`, `b`; known are nemo-gym, "), "{said}");
    let trajectory = with(classic(), &json!({"trajectory": []}));
    let said = task(&trajectory, &Options::default()).unwrap_err();
    assert_eq!(said, "it is a trajectory, not a task; use `apprentice trajectory import`");
}

#[test]
fn a_row_of_swe_gym_has_the_image_and_the_command_of_its_fork() {
    let row = with(
        classic(),
        &json!({
            "repo": "getmoto/moto", "instance_id": "getmoto__moto-7", "version": "5.0",
            "FAIL_TO_PASS": ["tests/test_m.py::f"], "PASS_TO_PASS": [], "environment_setup_commit": null,
        }),
    );
    assert_eq!(dataset(&row), "swe-gym");
    let task = import(&row);
    assert_eq!(image(&task), "xingyaoww/sweb.eval.x86_64.getmoto_s_moto-7:latest");
    let tests = task.tests.unwrap();
    assert_eq!(tests.parser, Parser::Compat("swegym.parse_log_moto".to_owned()));
    assert!(tests.command.contains("\npytest -n0 -rA tests/test_m.py\n"), "{}", tests.command);
    assert!(!tests.command.contains("install"), "{}", tests.command);
    let named = Options { format: format("swe-gym"), ..Options::default() };
    let other = with(classic(), &json!({}));
    assert!(super::task(&other, &named).unwrap_err().starts_with("how `psf/requests` 2.31 runs"));
}

fn smith() -> Value {
    json!({
        "instance_id": "pallets__markupsafe.620c06c9.func_basic__abcd1234", "repo": "swesmith/pallets__markupsafe.620c06c9",
        "patch": GOLD, "FAIL_TO_PASS": ["tests/test_m.py::f"], "PASS_TO_PASS": ["tests/test_n.py::p"],
        "image_name": "swebench/swesmith.x86_64.pallets_1776_markupsafe.620c06c9", "problem_statement": "It is wrong.",
    })
}

#[test]
fn the_solution_of_a_planted_bug_is_its_reverse() {
    let row = with(smith(), &json!({}));
    assert_eq!(dataset(&row), "swe-smith");
    let task = import(&row);
    let repo = task.repo.as_ref().unwrap();
    assert_eq!(repo.git.as_deref(), Some("https://github.com/swesmith/pallets__markupsafe.620c06c9.git"));
    assert_eq!(repo.patch.as_deref(), Some(GOLD));
    let gold = Patch::parse(task.gold.as_deref().unwrap()).unwrap();
    let bug = File { bytes: b"a = 2\n".to_vec(), mode: Mode::File };
    let mended = apply(&gold, &[("m.py".to_owned(), bug)].into()).unwrap();
    assert_eq!(mended.edits[0].after.as_ref().unwrap().bytes, b"a = 1\n");
    let choice = task.sandbox.as_ref().unwrap();
    assert_eq!(choice.image.as_deref(), Some("swebench/swesmith.x86_64.pallets_1776_markupsafe.620c06c9"));
    assert_eq!(
        (choice.like.as_str(), choice.memory_mib, seconds(&task)),
        ("python", Some(10_240), Some(900.0))
    );
    let tests = task.tests.unwrap();
    assert_eq!(tests.restore, ["tests/test_m.py", "tests/test_n.py"]);
    assert_eq!(tests.parser, Parser::Compat("swesmith.python.PythonProfile.log_parser".to_owned()));
    assert!(tests.command.ends_with("pytest --disable-warnings --color=no --tb=no --verbose"));
    refusals(
        &smith(),
        &[
            (
                json!({"problem_statement": ""}),
                "problem_statement: it is empty; the data set has bugs without a statement, which nobody can be asked \
                 to repair",
            ),
            (
                json!({"instance_id": "o__r.12345678.bug__1"}),
                "how `o__r.12345678` runs its tests is not known",
            ),
            (json!({"patch": "nothing"}), "patch: the text holds no diff"),
        ],
    );
}

fn r2e() -> Value {
    let lines = json!([
        {"content": "a = 1", "type": "deleted"}, {"content": "a = 2", "type": "added"},
    ]);
    let diff = |path: &str| {
        json!({
            "old_file_content": "a = 1\n", "new_file_content": "a = 2\n", "header": {"file": {"path": path}},
            "index_line": {"old_commit_hash": "aa", "new_commit_hash": "bb", "mode": "100644"},
            "minus_file": {"path": format!("a/{path}")}, "plus_file": {"path": format!("b/{path}")},
            "hunks": [{
                "descriptor": {
                    "old_range": {"start": 1, "length": null}, "new_range": {"start": 1, "length": null}, "section": "",
                },
                "line_group": {"all_lines": lines},
            }],
        })
    };
    let commit = json!({
        "file_diffs": [diff("m.py"), diff("tests/test_m.py"), diff("notes.txt")], "old_commit_hash": "aa",
        "new_commit_hash": "bb", "commit_message": "m", "commit_date": "2020-01-01T00:00:00",
    });
    json!({
        "repo_name": "pillow", "docker_image": "namanjain12/pillow_final:c0ffee", "commit_hash": "c0ffee",
        "parsed_commit_content": commit.to_string(),
        "execution_result_content": json!({
            "test_file_codes": ["def test_a():\n    pass\n"], "test_file_names": ["test_1.py"],
        }).to_string(),
        "modified_files": ["m.py"], "num_non_test_files": 1, "prompt": "",
        "problem_statement": "[ISSUE]\nIt is wrong.\n[/ISSUE]",
        "expected_output_json": "{\"T.test_a\": \"PASSED\", \"T.\\u001b[1mtest_b\\u001b[0m - why\": \"FAILED\"}",
    })
}

#[test]
fn a_row_of_r2e_gym_expects_each_ending_and_hides_its_tests() {
    let row = with(r2e(), &json!({}));
    assert_eq!(dataset(&row), "r2e-gym");
    let task = import(&row);
    assert_eq!((task.id.as_str(), task.problem.as_str()), ("pillow-c0ffee", "It is wrong."));
    assert_eq!(image(&task), "namanjain12/pillow_final:c0ffee");
    let gold = "diff --git a/m.py b/m.py\nindex aa..bb 100644\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n";
    assert_eq!((task.gold.as_deref(), seconds(&task)), (Some(gold), Some(300.0)));
    assert!(task.setup[0].starts_with("rm -rf /r2e_tests "), "{:?}", task.setup);
    let tests = task.tests.unwrap();
    let expected = [("T.test_a", Ending::Passed), ("T.test_b", Ending::Failed)];
    let expected = expected.map(|(id, ending)| (id.to_owned(), ending)).into();
    assert_eq!(tests.expect, Expect::Exact(expected));
    assert_eq!(tests.parser, Parser::Compat("r2egym.parse_log_pytest".to_owned()));
    let patch = Patch::parse(tests.patch.as_deref().unwrap()).unwrap();
    assert_eq!(patch.paths(), ["r2e_tests/test_1.py"]);
    refusals(
        &r2e(),
        &[
            (
                json!({"expected_output_json": "{\"a\": \"ODD\"}"}),
                "expected_output_json: `\"ODD\"` is no status",
            ),
            (
                json!({"expected_output_json": "{}"}),
                "tests.expect.exact: it is empty, so nothing would tell a repair; name a test",
            ),
            (json!({"docker_image": null}), "missing field `docker_image`"),
            (
                json!({"execution_result_content": "{\"test_file_names\": [\"a\"]}"}),
                "execution_result_content: 1 names of test files for 0 texts",
            ),
        ],
    );
}

#[test]
fn a_row_of_swe_rebench_brings_its_commands() {
    let row = with(
        classic(),
        &json!({
            "repo": "o/r", "instance_id": "o__r-7", "docker_image": "swerebench/sweb.eval.x86_64.o_1776_r-7", "license_name": "MIT",
            "FAIL_TO_PASS": ["tests/test_m.py::f"], "PASS_TO_PASS": [],
            "install_config": {
                "python": "3.9", "install": "pip install -e .", "pre_install": ["apt-get update"], "test_cmd": "pytest -rA --tb=no",
                "log_parser": "parse_log_pytest_v2",
            },
            "meta": {"llm_score": {"difficulty_score": 2}},
        }),
    );
    assert_eq!(dataset(&row), "swe-rebench");
    let task = import(&row);
    assert_eq!(image(&task), "swerebench/sweb.eval.x86_64.o_1776_r-7");
    assert_eq!((task.license.as_deref(), task.difficulty.as_deref()), (Some("MIT"), Some("2")));
    let tests = task.tests.as_ref().unwrap();
    assert_eq!(tests.parser, Parser::Compat("swebench.parse_log_pytest_v2".to_owned()));
    assert!(
        tests.command.contains(
            "\npip install -e .\n: '>>>>> Start Test Output'\npytest -rA --tb=no tests/test_m.py\n"
        )
    );
    refusals(
        &Value::Object(row),
        &[
            (json!({"install_config": {"install": "x"}}), "install_config: missing field `test_cmd`"),
            (
                json!({"install_config": {"test_cmd": "x", "log_parser": "def parse(log):\n  return {}"}}),
                "log_parser: it is Python source, which is not run on the host",
            ),
        ],
    );
}

#[test]
fn a_row_of_swe_rebench_v2_works_in_the_directory_of_its_name() {
    let row = with(
        classic(),
        &json!({
            "repo": "Own/Lib-c", "instance_id": "own__lib-c-7", "created_at": 1_609_298_073_000_i64, "language": "c",
            "image_name": "docker.io/swerebenchv2/own-lib-c:7-c0", "FAIL_TO_PASS": ["t1"], "PASS_TO_PASS": ["t2"],
            "install_config": {"base_image_name": "c:latest", "log_parser": "parse_log_cpp", "test_cmd": ["make", "make check"]},
            "meta": {"llm_metadata": [{"difficulty": "medium"}]},
        }),
    );
    assert_eq!(dataset(&row), "swe-rebench-v2");
    let task = import(&row);
    assert_eq!(sandbox(&task), ("c", Some("/Lib-c"), Some("root")));
    assert_eq!((task.difficulty.as_deref(), task.language.as_deref()), (Some("medium"), Some("c")));
    assert_eq!(task.created_at.as_deref(), Some("1609298073000"));
    let tests = task.tests.as_ref().unwrap();
    assert_eq!((tests.command.as_str(), &tests.expect), ("set -e\nmake\nmake check\n", &Expect::Lists));
    assert_eq!(tests.parser, Parser::Compat("rebenchv2.parse_log_cpp".to_owned()));
    refusals(
        &Value::Object(row),
        &[
            (
                json!({"install_config": {"log_parser": "parse_log_none", "test_cmd": "x"}}),
                "log_parser: no parser of rebenchv2 is called `parse_log_none`",
            ),
            (
                json!({"install_config": {"log_parser": "parse_log_cpp"}}),
                "install_config: test_cmd: it is empty",
            ),
            (json!({"repo": "lib"}), "repo: it is not `owner/name`"),
        ],
    );
}

fn multi() -> Value {
    let ran = json!({"run": "NONE", "test": "FAIL", "fix": "PASS"});
    json!({
        "org": "Cli", "repo": "cli", "number": 7, "state": "closed", "title": "pr", "body": "how it was mended",
        "base": {"label": "cli:trunk", "ref": "trunk", "sha": "c0"},
        "resolved_issues": [{"number": 6, "title": "wrong", "body": "It is wrong."}],
        "fix_patch": GOLD.replace("m.py", "m.go"), "test_patch": TESTS.replace("m.py", "m_test.go"),
        "f2p_tests": {"TestF": ran}, "n2p_tests": {"TestN": ran}, "s2p_tests": {"TestOfAnother": null}, "p2p_tests": {"TestP": ran},
        "fix_patch_result": {"passed_count": 3, "failed_tests": ["TestOther"]},
    })
}

#[test]
fn a_row_of_multi_swe_bench_wants_all_that_passed_with_the_fix() {
    let row = with(multi(), &json!({}));
    assert_eq!(dataset(&row), "multi-swe-bench");
    let task = import(&row);
    assert_eq!((task.id.as_str(), image(&task)), ("Cli__cli-7", "mswebench/cli_m_cli:pr-7"));
    assert_eq!(sandbox(&task), ("go", Some("/home/cli"), Some("root")));
    assert_eq!(task.problem, "wrong\n\nIt is wrong.");
    assert_eq!(task.origin.as_ref().unwrap().repo, "Cli/cli");
    let tests = task.tests.unwrap();
    assert_eq!(
        (&tests.fail_to_pass[..], &tests.pass_to_pass[..]),
        (&["TestF".to_owned(), "TestN".to_owned()][..], &["TestP".to_owned()][..])
    );
    assert_eq!(tests.command, "bash /home/run.sh");
    assert_eq!(tests.parser, Parser::Compat("swebench.parse_log_gotest".to_owned()));
    refusals(
        &multi(),
        &[
            (
                json!({"lang": "java"}),
                "its log is read by a Python class of the harness, made for this repository; only those of Go and Rust \
                 read an ordinary log",
            ),
            (
                json!({"f2p_tests": {}, "n2p_tests": {}}),
                "f2p_tests, s2p_tests and n2p_tests are empty: nothing would tell a repair",
            ),
            (
                json!({"fix_patch_result": {"failed_tests": ["TestF"]}}),
                "fix_patch_result: `TestF` must pass and is among its failed tests",
            ),
            (json!({"number": null}), "missing field `number`"),
        ],
    );
}

#[test]
fn a_row_of_swe_bench_live_rebuilds_tests_and_prints() {
    let row = with(
        classic(),
        &json!({
            "repo": "o/r", "instance_id": "o__r-7", "rebuild_cmds": ["pip install ."], "test_cmds": ["pytest -rA > log"],
            "print_cmds": ["cat log"], "log_parser": "pytest", "FAIL_TO_PASS": ["tests/test_m.py::f"], "PASS_TO_PASS": [],
        }),
    );
    assert_eq!(dataset(&row), "swe-bench-live");
    let task = import(&row);
    assert_eq!(image(&task), "starryzhang/sweb.eval.x86_64.o_1776_r-7");
    assert_eq!(seconds(&task), Some(9000.0));
    let tests = task.tests.unwrap();
    assert_eq!(tests.command, "{\npip install .\npytest -rA > log\n} > /dev/null 2>&1\ncat log\n");
    let mut direct = row.clone();
    direct.remove("print_cmds");
    assert_eq!(import(&direct).tests.unwrap().command, "pip install .\npytest -rA > log\n");
    refusals(
        &Value::Object(row),
        &[
            (
                json!({"log_parser": "def parser(log: str) -> dict:\n    return {}"}),
                "log_parser: it is Python source, which is not run on the host",
            ),
            (json!({"log_parser": null}), "missing field `log_parser`"),
            (
                json!({"docker_image": "starryzhang/sweb.eval.win.o_1776_r-7"}),
                "docker_image: it runs on Windows only",
            ),
            (json!({"test_cmds": []}), "test_cmds: it is empty"),
        ],
    );
}

#[test]
fn a_row_of_swe_bench_pro_needs_the_scripts_of_its_repository() {
    let row = with(
        classic(),
        &json!({
            "repo": "o/r", "instance_id": "instance_o__r-c0", "FAIL_TO_PASS": null, "PASS_TO_PASS": null,
            "fail_to_pass": "['tests/test_m.py | f', \"tests/test_m.py | it's\"]", "pass_to_pass": "[]",
            "before_repo_set_cmd": "git checkout c0\ngit checkout c1 -- tests", "selected_test_files_to_run": "['tests/test_m.py']",
            "dockerhub_tag": "o.r-o__r-c0", "repo_language": "Python", "requirements": "Do this.", "interface": "f()",
            "instance_dockerfile": "FROM x\nENV A=1 B=2\nENV OLD its value\n",
            "run_script": "echo ran $1\n", "parser": "import json, sys\n\
                tests = [{'name': 'n ' + open(sys.argv[1]).read().strip(), 'status': 'PASSED'}, {'name': 's', 'status': 'SKIPPED'}]\n\
                json.dump({'tests': tests}, open(sys.argv[3], 'w'))\n",
        }),
    );
    assert_eq!(dataset(&row), "swe-bench-pro");
    let task = import(&row);
    assert_eq!(image(&task), "jefzda/sweap-images:o.r-o__r-c0");
    assert_eq!(sandbox(&task).1, Some("/app"));
    assert_eq!(task.problem, "It is wrong.\n\nRequirements:\nDo this.\n\nNew interfaces introduced:\nf()");
    let tests = task.tests.unwrap();
    assert_eq!(tests.fail_to_pass, ["tests/test_m.py | f", "tests/test_m.py | it's"]);
    assert!(tests.command.starts_with("export A=1 B=2\nexport OLD='its value'\n"), "{}", tests.command);
    // What it prints is read by the parser that the task names.
    let ran = std::process::Command::new("bash").args(["-c", &tests.command]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "[PASSED] n ran tests/test_m.py\n");
    let reason = "it does not say how its tests run: add `run_scripts/instance_o__r-c0/run_script.sh` and `parser.py` of \
                  the data set's repository as `run_script` and `parser`";
    refusals(
        &Value::Object(row),
        &[(json!({"run_script": null}), reason), (json!({"parser": null}), reason)],
    );
}

#[test]
fn a_wrapped_row_is_the_task_of_the_row_inside() {
    let wrapped = |name: &str, inner: &Value| {
        let metadata = json!({
            "instance_id": "x", "dataset_name": name, "split": "train", "problem_statement": "p",
            "instance_dict": inner.to_string(),
        });
        with(json!({"responses_create_params": {"input": [], "metadata": metadata}}), &json!({}))
    };
    let verified = wrapped("princeton-nlp/SWE-bench_Verified", &classic());
    assert_eq!(dataset(&verified), "nemo-gym");
    assert_eq!(import(&verified), import(&with(classic(), &json!({}))));
    assert_eq!(import(&wrapped("R2E-Gym/R2E-Gym-Subset", &r2e())).id, "pillow-c0ffee");
    let flat = with(classic(), &json!({"responses_create_params": {"input": []}}));
    assert_eq!(import(&flat).tests, import(&verified).tests);
    let refused = |row: &Map<String, Value>| task(row, &Options::default()).unwrap_err();
    assert_eq!(refused(&wrapped("other", &classic())), "dataset_name: no importer reads the rows of `other`");
    let empty = with(json!({"responses_create_params": {"metadata": {}}}), &json!({}));
    assert_eq!(refused(&empty), "responses_create_params.metadata: it holds no `instance_dict`");
    let bare = wrapped("princeton-nlp/SWE-bench_Verified", &json!("x"));
    assert_eq!(refused(&bare), "instance_dict: must hold an object, found a text");
}

#[test]
fn a_repository_of_the_users_is_tested_with_pytest() {
    let own = |repo| Some(Own { repo, sandbox: "python".to_owned() });
    let options = Options { own: own(None), setup: vec!["make".to_owned()], ..Options::default() };
    let task = super::task(&with(classic(), &json!({})), &options).unwrap();
    let repo = task.repo.as_ref().unwrap();
    assert_eq!(repo.git.as_deref(), Some("https://github.com/psf/requests.git"));
    assert_eq!(repo.base_commit.as_deref(), Some("c0"));
    assert_eq!((task.setup.as_slice(), task.sandbox.unwrap().is_plain()), (&["make".to_owned()][..], true));
    let tests = task.tests.unwrap();
    assert_eq!(tests.command, "python3 -m pytest -rA -p no:cacheprovider tests/test_m.py");
    assert_eq!(tests.parser, Parser::Pytest);
    let path = Repo { path: Some("/r".to_owned()), ..Repo::default() };
    let options = Options { own: own(Some(path.clone())), ..Options::default() };
    assert_eq!(super::task(&with(classic(), &json!({})), &options).unwrap().repo, Some(path));
    let exact = with(r2e(), &json!({}));
    assert_eq!(
        super::task(&exact, &options).unwrap_err(),
        "its tests are not pytest's: it has a map of endings"
    );
    let django = with(classic(), &json!({"FAIL_TO_PASS": ["test_x (a.B)"]}));
    assert_eq!(super::task(&django, &options).unwrap_err(), "its tests are not pytest's: `test_x (a.B)`");
}

#[test]
fn every_form_is_found_by_its_name() {
    for known in FORMATS {
        assert!(std::ptr::eq(format(known.name).unwrap(), known));
    }
    assert!(format("swe").is_none());
}

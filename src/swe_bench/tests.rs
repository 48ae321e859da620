//! The rules on the fixtures of the reference harnesses.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::grading::{EvalType, Expected};
use super::log::Parser;
use super::report::{self, Kept, RunReport};
use super::{Harness, chain, classic, infra, prediction, script};
use crate::testlog::compat::Context;
use crate::testlog::fixture;

fn load(file: &str) -> Option<Value> {
    fixture(&format!("grading/{file}")).map(|text| serde_json::from_str(&text).unwrap())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// What a harness says of a case, in the words of the fixture.
fn verdict(harness: Harness, case: &Value) -> Value {
    let name = match harness {
        // Its fixtures were all read with the parser of its Python profile.
        Harness::SweSmith => "swesmith.python.PythonProfile.log_parser",
        _ => text(case, "log_parser"),
    };
    let parser = Parser { name, context: Context::default() };
    let [fail_to_pass, pass_to_pass] = ["FAIL_TO_PASS", "PASS_TO_PASS"].map(|key| strings(&case[key]));
    let eval_type: EvalType = serde_json::from_value(case["eval_type"].clone()).unwrap();
    let expected = Expected { fail_to_pass: &fail_to_pass, pass_to_pass: &pass_to_pass, eval_type };
    // The harnesses read the log of a missing patch too where they are asked to.
    match report::grade(harness, parser, &expected, (Some(""), text(case, "log"))) {
        Ok(graded) => serde_json::json!({
            "found": graded.refusal.is_none(),
            "resolution": graded.resolution,
            "report": graded.report,
        }),
        Err(error) => serde_json::json!({ "error": error.to_string() }),
    }
}

#[test]
fn every_log_has_the_verdict_that_the_harnesses_gave() {
    let Some(fixtures) = load("grading_fixtures.json") else { return };
    let cases = fixtures["cases"].as_array().unwrap();
    let mut different = Vec::new();
    for case in cases {
        for (harness, key) in [
            (Harness::SweBench5, "v5_0_2"),
            (Harness::SweBench4, "v4_1_0"),
            (Harness::SweSmith, "swesmith_0_0_9"),
        ] {
            let (ours, theirs) = (verdict(harness, case), &case[key]);
            let is_same = match theirs["error"].as_str() {
                Some(error) => text(&ours, "error").ends_with(error),
                None => ["found", "resolution"].iter().all(|part| ours[*part] == theirs[*part]),
            };
            if !is_same {
                different.push(format!("{} in {key}: {ours}, expected {theirs}", text(case, "name")));
            }
        }
    }
    println!("{} logs, three harnesses", cases.len());
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert_eq!(cases.len(), 84);
}

#[test]
fn every_report_of_an_instance_is_the_one_that_the_harness_wrote() {
    let Some(fixtures) = load("grading_fixtures.json") else { return };
    for case in fixtures["cases"].as_array().unwrap() {
        let [fail_to_pass, pass_to_pass] = ["FAIL_TO_PASS", "PASS_TO_PASS"].map(|key| strings(&case[key]));
        let eval_type: EvalType = serde_json::from_value(case["eval_type"].clone()).unwrap();
        let expected = Expected { fail_to_pass: &fail_to_pass, pass_to_pass: &pass_to_pass, eval_type };
        let parser = Parser { name: text(case, "log_parser"), context: Context::default() };
        let patch = case["model_patch"].as_str();
        let graded =
            report::grade(Harness::SweBench5, parser, &expected, (patch, text(case, "log"))).unwrap();
        assert_eq!(
            serde_json::to_value(graded.report).unwrap(),
            case["v5_0_2"]["report"],
            "{}",
            case["name"]
        );
    }
}

#[test]
fn signs_of_a_broken_environment_are_those_that_the_harness_finds() {
    let Some(fixtures) = load("grading_fixtures.json") else { return };
    let cases = fixtures["infra"].as_array().unwrap();
    for case in cases {
        let sign = infra::sign(text(case, "text")).map(|sign| vec![sign.reason, sign.tier.name()]);
        assert_eq!(serde_json::to_value(sign).unwrap(), case["class"], "{}", case["text"]);
    }
    assert_eq!(cases.len(), 26);
}

#[test]
fn every_eval_script_is_rewritten_and_built_as_the_harness_does() {
    let Some(fixtures) = load("eval_script_fixtures.json") else { return };
    let rows = fixtures.as_array().unwrap();
    for row in rows {
        let (v4, id) = (text(row, "eval_script_v4"), text(row, "instance_id"));
        assert_eq!(script::recorded(v4), text(row, "eval_script_with_exit_code"), "{id}");
        let run = classic::run(text(row, "repo"), text(row, "version")).unwrap_or_else(|| {
            // Of another language: its commands are those of the row.
            let lines = script::parse(v4);
            let at = |mark: &str| lines.iter().position(|line| line.contains(mark)).unwrap();
            let test = &lines[at(super::START) + 1..at(super::END)];
            script::Run::Other {
                build: Vec::new(),
                test: test.iter().map(|line| (*line).to_owned()).collect(),
            }
        });
        let classic = script::Classic {
            repo: text(row, "repo"),
            base_commit: text(row, "base_commit"),
            test_patch: text(row, "test_patch"),
        };
        assert_eq!(script::build(&classic, &run).unwrap(), v4, "{id}");
    }
    assert_eq!(rows.len(), 22);
}

#[test]
fn a_script_without_an_end_marker_records_nothing_and_one_with_two_records_the_first() {
    let script = "#!/bin/bash\nset -uxo pipefail\necho a\nset -uxo pipefail\n";
    assert_eq!(script::recorded(script), "#!/bin/bash\nset -uxo pipefail\necho a\n");
    let twice = script::with_exit_code(vec![super::END.to_owned(), super::END.to_owned()]);
    let code = "echo \">>>>> Test Exit Code: $SWEBENCH_TEST_EXIT_CODE\"";
    assert_eq!(twice, ["SWEBENCH_TEST_EXIT_CODE=$?", super::END, code, super::END]);
}

#[test]
fn the_report_of_a_run_is_the_one_that_the_harness_wrote() {
    let Some(fixture) = load("report_fixture.json") else { return };
    let predictions = prediction::read(&fixture["predictions"].to_string()).unwrap();
    let dataset = strings(&fixture["dataset_ids"]);
    let report = RunReport::new(dataset.iter().map(String::as_str), &predictions, |id| {
        let files = &fixture["files"][id];
        let text = |file: &str| files[file].as_str().map(str::to_owned);
        Kept { report: text("report.json"), logs: text("test_output.txt").into_iter().collect() }
    });
    assert_eq!(serde_json::to_value(&report).unwrap(), fixture["report"]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&serde_json::to_value(&report).unwrap()), keys(&fixture["report"]));
    assert_eq!(report::file_name(&predictions, "run1").as_deref(), fixture["report_file_name"].as_str());
}

/// A repository with the fixture's files, committed.
fn repository(base: &Value) -> tempfile::TempDir {
    let outer = tempfile::tempdir().unwrap();
    let tree = outer.path().join("testbed");
    for (path, text) in base.as_object().unwrap() {
        fs_err::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
        fs_err::write(tree.join(path), text.as_str().unwrap()).unwrap();
    }
    let commit = "git init -q . && git config user.name n && git config user.email e@x && git add -A && git commit -qm base";
    assert_eq!(bash(&tree, commit), 0);
    outer
}

/// Runs a script with the settings of git that an image has: none of the user's.
fn bash(dir: &Path, script: &str) -> i32 {
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C.UTF-8");
    command.output().unwrap().status.code().unwrap()
}

/// The first twelve letters of the SHA-1 of every file below `tree` but git's, of links by their targets.
fn hashes(tree: &Path) -> BTreeMap<String, String> {
    let script = "find . -path ./.git -prune -o \\( -type f -o -type l \\) -print0 | while IFS= read -r -d '' f; do \
                  if [ -L \"$f\" ]; then h=$(readlink -n \"$f\" | sha1sum); else h=$(sha1sum < \"$f\"); fi; \
                  printf '%s %s\\0' \"${h:0:12}\" \"${f#./}\"; done > ../hashes";
    assert_eq!(bash(tree, script), 0);
    let listed = fs_err::read_to_string(tree.join("../hashes")).unwrap();
    let entry = |line: &str| line.split_once(' ').map(|(hash, path)| (path.to_owned(), hash.to_owned()));
    listed.split('\0').filter_map(entry).collect()
}

/// The versions that the fixtures were made with.
fn has_the_tools_of(fixtures: &Value) -> bool {
    let version = |tool: &str| {
        let done = Command::new(tool).arg("--version").output().ok()?;
        String::from_utf8_lossy(&done.stdout).lines().next().map(str::to_owned)
    };
    ["git", "patch"].iter().all(|tool| {
        let (here, there) = (version(tool), text(fixtures, tool));
        let is_same = here.as_deref() == Some(there);
        if !is_same {
            println!("skipped: {tool} is {here:?}, the fixtures are of {there}");
        }
        is_same
    })
}

#[test]
fn every_patch_is_applied_as_the_chains_of_the_harnesses_do() {
    let Some(fixtures) = load("patch_fixtures.json").filter(has_the_tools_of) else { return };
    let cases = fixtures["cases"].as_array().unwrap();
    let mut different = Vec::new();
    for case in cases {
        for (harness, key) in [(Harness::SweBench5, "v5"), (Harness::SweBench4, "v4")] {
            let outer = repository(&fixtures["base_tree"]);
            let tree = outer.path().join("testbed");
            fs_err::write(outer.path().join("patch.diff"), text(case, "patch")).unwrap();
            if case["pre_applied"] == true {
                assert_eq!(bash(&tree, "git apply ../patch.diff"), 0);
            }
            let (mut exits, mut applied) = (Vec::new(), None);
            for attempt in chain::attempts(harness, "../patch.diff") {
                let exit = bash(&tree, &attempt.script);
                exits.push((attempt.name, exit));
                if exit == 0 {
                    applied = Some(attempt.name);
                    break;
                }
            }
            let expected = &case[key];
            let steps: Vec<(&str, i64)> = expected["steps"]
                .as_array()
                .unwrap()
                .iter()
                .map(|step| (text(step, "cmd"), step["rc"].as_i64().unwrap()))
                .collect();
            let ours: Vec<(&str, i64)> =
                exits.iter().map(|(name, exit)| (*name, i64::from(*exit))).take(steps.len()).collect();
            let hook = tree.join(".git/hooks/post-checkout").exists();
            let is_same = ours == steps
                && applied == expected["applied_by"].as_str()
                && serde_json::to_value(hashes(&tree)).unwrap() == expected["tree"]
                && expected["hook_written"] == hook;
            if !is_same {
                different.push(format!(
                    "{} in {key}: {exits:?} {:?}\n{expected}",
                    case["name"],
                    hashes(&tree)
                ));
            }
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    assert_eq!(cases.len(), 45);
}

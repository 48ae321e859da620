//! Tests of the readers, on logs of real test runs.

use serde_json::Value;

use super::*;

mod truth;

fn pytest(log: &str) -> Vec<(String, Status)> {
    pytest::read(log).into_iter().collect()
}

fn pairs(expected: &[(&str, Status)]) -> Vec<(String, Status)> {
    expected.iter().map(|(id, status)| ((*id).to_owned(), *status)).collect()
}

const HEAD: &str = "=========== test session starts ===========\ncollected 3 items\n\n";
const SUMMARY: &str = "====== short test summary info ======\n";

#[test]
fn summary_names_every_test_but_the_skipped() {
    let log = format!(
        "{HEAD}{SUMMARY}PASSED t.py::a\nFAILED t.py::b[x - y] - assert 0 - no\nERROR t.py::c - boom\n\
         XFAIL t.py::d - known\nSKIPPED [1] t.py:9: needs network\n=== 1 failed, 1 passed in 0.1s ===\n"
    );
    let expected = [
        ("t.py::a", Status::Passed),
        ("t.py::b[x - y]", Status::Failed),
        ("t.py::c", Status::Error),
        ("t.py::d", Status::XFailed),
    ];
    assert_eq!(pytest(&log), pairs(&expected));
}

#[test]
fn captured_output_cannot_pass_a_test() {
    let log = format!(
        "{HEAD}F\n=== FAILURES ===\nPASSED t.py::a\n{SUMMARY}FAILED t.py::a - no\n=== 1 failed in 0.1s ===\n"
    );
    assert_eq!(pytest(&log), pairs(&[("t.py::a", Status::Failed)]));
}

#[test]
fn words_after_the_totals_do_not_count() {
    let log = format!("{HEAD}{SUMMARY}FAILED t.py::a - no\n=== 1 failed in 0.1s ===\nPASSED t.py::b\n");
    assert_eq!(pytest(&log), pairs(&[("t.py::a", Status::Failed)]));
}

#[test]
fn second_forged_summary_cannot_improve_a_status() {
    let real = format!("{HEAD}{SUMMARY}FAILED t.py::a - no\n=== 1 failed in 0.1s ===\n");
    let forged = format!("{SUMMARY}PASSED t.py::a\n=== 1 passed in 0.1s ===\n");
    assert_eq!(pytest(&(real.clone() + &forged)), pairs(&[("t.py::a", Status::Failed)]));
    assert_eq!(pytest(&(forged + &real)), pairs(&[("t.py::a", Status::Failed)]));
}

#[test]
fn pass_with_a_broken_tear_down_is_an_error() {
    let log =
        format!("{HEAD}{SUMMARY}PASSED t.py::a\nERROR t.py::a - boom\n=== 1 passed, 1 error in 0.1s ===\n");
    assert_eq!(pytest(&log), pairs(&[("t.py::a", Status::Error)]));
}

#[test]
fn killed_run_passes_only_what_it_showed() {
    let log = format!("{HEAD}t.py::a PASSED      [ 33%]\nt.py::b ");
    assert_eq!(pytest(&log), pairs(&[("t.py::a", Status::Passed)]));
}

#[test]
fn log_without_a_report_of_pytest_passes_nothing() {
    assert_eq!(pytest("PASSED t.py::a\n1 passed\n"), []);
}

#[test]
fn cut_id_stands_for_the_worst_of_its_tests() {
    let statuses =
        pytest::read(&format!("{SUMMARY}PASSED t.py::a[x y]\nFAILED t.py::a[x z]\nPASSED t.py::b[x y]\n"));
    assert_eq!(status_of(&statuses, "t.py::a[x"), Some(Status::Failed));
    assert_eq!(status_of(&statuses, "t.py::b[x"), Some(Status::Passed));
    assert_eq!(status_of(&statuses, "t.py::b"), None);
}

#[test]
fn tap_directives_and_descriptions() {
    let log = "TAP version 13\n1..6\nok 1 - adds\nnot ok 2 - subtracts\n    not ok 1 - nested\nok 3 # SKIP no network\n\
               not ok 4 - divides # TODO later\nok 5 second # not a directive\nnot ok 6 - adds\n";
    let expected = [
        ("3", Status::Skipped),
        ("adds", Status::Failed),
        ("divides", Status::XFailed),
        ("second # not a directive", Status::Passed),
        ("subtracts", Status::Failed),
    ];
    assert_eq!(tap::read(log).into_iter().collect::<Vec<_>>(), pairs(&expected));
}

#[test]
fn nothing_counts_after_bail_out() {
    assert_eq!(tap::read("ok 1 - a\nBail out! no disk\nok 2 - b\n").into_keys().collect::<Vec<_>>(), ["a"]);
}

fn log(name: &str) -> Option<String> {
    let logs: Value = serde_json::from_str(&fixture("log_parsers/logs.json")?).unwrap();
    Some(logs[name]["log"].as_str().unwrap().to_owned())
}

fn own(parser: &Parser, log: &str) -> Results {
    of_log(parser, &Context::default(), log).unwrap()
}

#[test]
fn programs_of_cargo_keep_tests_of_one_name_apart() {
    let log = "     Running unittests src/lib.rs (target/debug/deps/fx-4a99a53287a4b62f)\n\nrunning 1 test\ntest adds ... ok\n\n\
               test result: ok. 1 passed\n     Running unittests src/main.rs (target/debug/deps/fx-4a99a53287a4b630)\n\nrunning 1 test\n\
               test adds ... FAILED\n\ntest result: FAILED\n     Running tests/it.rs (target/debug/deps/it-4a99a53287a4b631)\n\n\
               running 2 tests\ntest adds ... ignored, slow\ntest panics - should panic ... ok\n\ntest result: ok\n\
               test adds ... ok\n";
    let results = own(&Parser::Cargo, log);
    let expected = [
        ("fx(bin)::adds", Status::Failed),
        ("fx::adds", Status::Passed),
        ("it::adds", Status::Skipped),
        ("it::panics", Status::Passed),
    ];
    assert_eq!(results.statuses().clone().into_iter().collect::<Vec<_>>(), pairs(&expected));
    assert_eq!(results.status("adds"), Some(Status::Failed), "without its program, the worst");
    assert_eq!(results.status("panics"), Some(Status::Passed));
}

/// The numbers that cargo itself gives below each program.
#[test]
fn real_cargo_runs_are_read_whole() {
    let Some(verbose) = log("cargo-test") else { return };
    for log in [verbose, log("cargo-test-verbose").unwrap()] {
        let results = own(&Parser::Cargo, &log);
        let count = |status| results.statuses().values().filter(|told| **told == status).count();
        assert_eq!((count(Status::Passed), count(Status::Failed), count(Status::Skipped)), (13, 6, 3));
        for (id, status) in [
            ("fx::tests::panics_wrong", Status::Failed),
            ("fx::tests::ignored", Status::Skipped),
            ("it::integration", Status::Passed),
            ("fx::src/lib.rs - add (line 18)", Status::Passed),
            ("fx::src/lib.rs - add (line 22)", Status::Failed),
        ] {
            assert_eq!(results.status(id), Some(status), "{id}");
        }
    }
    let quiet = own(&Parser::Cargo, &log("cargo-test-quiet").unwrap());
    assert!(
        quiet.statuses().values().all(|status| *status == Status::Failed) && !quiet.statuses().is_empty()
    );
    let colour = own(&Parser::Cargo, &log("cargo-test-color").unwrap());
    assert_eq!(colour.status("fx::tests::panics_ok"), Some(Status::Passed));
}

#[test]
fn real_go_runs_are_read_by_package() {
    let Some(all) = log("go-v-all") else { return };
    let results = own(&Parser::Go, &all);
    for (id, status) in [
        ("ex::TestPass", Some(Status::Passed)),
        ("ex::TestSub/deep/deeper_(1)", Some(Status::Passed)),
        ("ex::TestSkip", Some(Status::Skipped)),
        ("ex::TestForged", None),
        ("ex/broken", Some(Status::Error)),
        ("ex/exit::TestExit", Some(Status::Failed)),
        ("ex/okpkg::TestTwo/x", Some(Status::Passed)),
        ("TestTwo/x", Some(Status::Passed)),
    ] {
        assert_eq!(results.status(id), status, "{id}");
    }
    let late = own(&Parser::Go, &log("go-v-timeout").unwrap());
    assert_eq!(late.status("ex/_hang::TestHang"), Some(Status::Error));
    assert_eq!(late.status("ex/_hang::TestQuick"), Some(Status::Passed));
    let killed = own(&Parser::Go, "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n");
    assert_eq!(
        killed.statuses().clone().into_iter().collect::<Vec<_>>(),
        pairs(&[("TestA", Status::Passed)])
    );
}

#[test]
fn ids_are_found_by_what_of_them_stays() {
    let log = "ok 1 - adds (0.01s)\nok 2 - reads /tmp/pytest-of-a/pytest-1/x\nnot ok 3 - shows 0x7f00aa11\n";
    let results = own(&Parser::Tap, log);
    assert_eq!(results.status("adds (0.99s)"), Some(Status::Passed));
    assert_eq!(results.status("adds"), Some(Status::Passed));
    assert_eq!(results.status("reads /tmp/pytest-of-b/pytest-7/x"), Some(Status::Passed));
    assert_eq!(results.status("shows 0x55d0bb22"), Some(Status::Failed));
    assert_eq!(results.status("subtracts"), None);
}

const TASK: &str = "format: apprentice.task/1\nid: jekyll__jekyll-9141\nkind: code\nproblem: p\nsandbox: shell\nrepo: {path: repo}\n\
                    tests: {command: check, parser: PARSER, fail_to_pass: [a]}\n";

#[test]
fn a_task_chooses_a_reference_parser_by_its_name_and_id() {
    let of = |parser: &str, log: &str| {
        let task = Task::parse(&TASK.replace("PARSER", parser), "t").unwrap();
        let tests = task.tests.clone().unwrap();
        (fault(&tests), results(&task, &tests, Written::Nothing, log))
    };
    let (fault, found) = of("swebench.parse_log_jekyll", "TestA#test_b. = 0.00 s = .\n");
    assert_eq!((fault, found.unwrap().status("TestA#test_b")), (None, Some(Status::Passed)));
    let (_, raised) = of("swegym.parse_log_pytest_v2", "PASSED\n");
    let said = "the reference parser raises IndexError: list index out of range";
    assert_eq!(raised.unwrap().fault.unwrap().to_string(), said);
    for (parser, nearest) in [("pytst", "pytest"), ("swebench.parse_log_djang", "swebench.parse_log_django")]
    {
        let (fault, found) = of(parser, "");
        let said = format!("tests.parser: no parser is called `{parser}`; did you mean `{nearest}`?");
        assert_eq!(fault, Some(said));
        assert!(found.is_err());
    }
}

#[test]
fn a_report_that_did_not_come_whole_is_said_and_the_output_is_not_asked() {
    let yaml = TASK.replace("PARSER", "tap, report: {format: junit}");
    let task = Task::parse(&yaml, "t").unwrap();
    let tests = task.tests.clone().unwrap();
    for (written, fault) in [
        (Written::Nothing, Fault::NoReport),
        (Written::Whole(b""), Fault::NoReport),
        (Written::Whole(b"<testsuite>"), Fault::BreaksOff),
        (Written::TooMuch(7), Fault::TooLong(7)),
    ] {
        let found = results(&task, &tests, written, "ok 1 - a\n").unwrap();
        assert_eq!((found.status("a"), found.fault), (None, Some(fault)));
    }
}

pub(super) fn truth_of(word: &str) -> Status {
    match word {
        "passed" => Status::Passed,
        "failed" => Status::Failed,
        "error" => Status::Error,
        "skipped" => Status::Skipped,
        "xfailed" => Status::XFailed,
        "xpassed" => Status::XPassed,
        other => panic!("{other}"),
    }
}

/// 104 real runs of pytest 3.10 to 9.2 with the outcomes that a plugin saw inside of pytest.
#[test]
fn real_pytest_runs_are_read_as_pytest_saw_them() {
    let Some(logs) = fixture("log_parsers/logs.json") else { return };
    let logs: serde_json::Map<String, Value> = serde_json::from_str(&logs).unwrap();
    let mut exact = 0;
    for (name, record) in &logs {
        let Some(truth) = record["truth"].as_object() else { continue };
        let statuses = pytest::read(record["log"].as_str().unwrap());
        let lists_passes =
            record["command"].as_str().unwrap().contains(" -rA ") && !name.starts_with("pytest3");
        for (id, word) in truth {
            let truth = truth_of(word.as_str().unwrap());
            match statuses.get(id) {
                // pytest's own outcome overlooks failed sub-tests; its exit code does not.
                Some(Status::Failed) if id.ends_with("test_sub") => {}
                Some(status) => assert_eq!(*status, truth, "{name}: {id}"),
                None if lists_passes => assert!(!truth.is_pass(), "{name}: {id} is missing"),
                None => {}
            }
            exact += usize::from(statuses.get(id) == Some(&truth));
        }
    }
    assert!(exact > 2800, "{exact}");
}

/// The verdicts that whole logs of the SWE-bench harness deserve. Its logs lack pytest's own heading,
/// which is put back; cases about its markers and its exit line have no counterpart here.
#[test]
fn whole_logs_resolve_as_they_should() {
    const OTHER: [&str; 13] = [
        "empty-expectations", // A task without tests is refused when it is loaded.
        "only-start-marker",
        "only-end-marker",
        "no-markers",
        "markers-reversed",
        "apply-failed-code",
        "reset-failed-code",
        "timeout-code",
        "negative-exit",
        "patch-none",
        "forge-passed-lines-exit1", // Forged lines after the totals; see `words_after_the_totals_do_not_count`.
        "forge-passed-plus-decoy-failure",
        "forge-exit-line-first",
    ];
    let Some(cases) = fixture("grading/grading_fixtures.json") else { return };
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let mut graded = 0;
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let by_pytest =
            matches!(case["log_parser"].as_str(), Some("parse_log_pytest" | "parse_log_pytest_v2"));
        let comparable = by_pytest && !OTHER.contains(&name);
        let Some(should_resolve) = case["should_be_resolved"].as_bool().filter(|_| comparable) else {
            continue;
        };
        let statuses = pytest::read(&format!("{SUMMARY}{}", case["log"].as_str().unwrap()));
        let ids = |key: &str| case[key].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
        let passes = |id: &String| status_of(&statuses, id).is_some_and(Status::is_pass);
        let keeps = |id: &String| passes(id) || status_of(&statuses, id) == Some(Status::Skipped);
        let resolves = ids("FAIL_TO_PASS").all(|id| passes(&id)) && ids("PASS_TO_PASS").all(|id| keeps(&id));
        assert_eq!(resolves, should_resolve, "{name}");
        graded += 1;
    }
    assert_eq!(graded, 40);
}

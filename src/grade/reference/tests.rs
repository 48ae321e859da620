//! Reference verdicts on our logs and on runs of their own.

mod decisions;

use std::time::Duration;

use super::*;
use crate::sandbox::scripted::{Reply, ScriptedBackend};
use crate::sandbox::spec::SandboxSpec;
use crate::swe_bench::row;
use crate::trajectory::Observation;

const ROW: &str = r##"{"instance_id": "o__r-1", "repo": "o/r", "version": "1", "log_parser": "parse_log_pytest",
    "eval_script": "#!/bin/bash\nset -uxo pipefail\n: '>>>>> Start Test Output'\npytest -rA\n: '>>>>> End Test Output'\n",
    "FAIL_TO_PASS": "[\"t.py::a\"]", "PASS_TO_PASS": ["t.py::b"]}"##;
const PASSED: &str = "PASSED t.py::a\nPASSED t.py::b\n";

fn tests() -> Tests {
    let yaml =
        "command: pytest -rA\nparser: pytest\nfail_to_pass: [\"t.py::a\"]\npass_to_pass: [\"t.py::b\"]\n";
    serde_yaml_ng::from_str(yaml).unwrap()
}

fn verdict(outcome: Outcome, exit: Option<Exit>, log: &str) -> Verdict {
    Verdict { exit, log: log.to_owned(), ..Verdict::new("o__r-1", outcome, "") }
}

fn of(verdict: &Verdict, patch: &str) -> (Option<bool>, Source) {
    let row = row_of("o__r-1", &tests());
    let reference = of_our_log(Harness::SweBench5, &row, &tests(), (patch, verdict));
    (reference.resolved, reference.from)
}

#[test]
fn what_our_run_printed_is_judged_by_the_harness_and_what_was_not_run_is_not() {
    let exit = |code| Some(Exit::Code(code));
    let cases = [
        (verdict(Outcome::Unresolved, exit(0), PASSED), "p", (Some(true), Source::OurLog)),
        (verdict(Outcome::Resolved, exit(1), PASSED), "p", (Some(false), Source::OurLog)),
        (verdict(Outcome::Unresolved, Some(Exit::Signal(9)), PASSED), "p", (Some(false), Source::OurLog)),
        (verdict(Outcome::TimedOut, Some(Exit::TimedOut), PASSED), "p", (Some(false), Source::Nothing)),
        (verdict(Outcome::EmptyPatch, None, ""), "", (Some(false), Source::Nothing)),
        (verdict(Outcome::PatchDoesNotApply, None, ""), "p", (None, Source::Nothing)),
        (verdict(Outcome::Infrastructure, None, ""), "p", (None, Source::Nothing)),
    ];
    for (verdict, patch, expected) in cases {
        assert_eq!(of(&verdict, patch), expected, "{:?}", verdict.outcome);
    }
}

#[test]
fn a_command_that_prints_the_markers_itself_is_not_marked_again() {
    let tests = Tests { command: format!(": '{START}'; pytest"), ..tests() };
    let log = format!("+ : '{START}'\n{PASSED}+ : '{END}'\n");
    let marked = marked(&tests, &verdict(Outcome::Resolved, Some(Exit::Code(3)), &log));
    assert_eq!(marked, format!("{log}\n{EXIT_CODE}: 3\n"));
}

async fn own_run(backend: &ScriptedBackend, harness: Harness) -> anyhow::Result<Reference> {
    let spec = SandboxSpec::load("shell", std::path::Path::new("no directory")).unwrap();
    let rows = row::read(ROW).unwrap();
    run(Bench { backend, spec: &spec, deadline: Duration::from_secs(60) }, harness, &rows[0], "a patch").await
}

fn ends(output: &str, code: i32) -> Reply {
    Reply::from(Observation::new(output, code))
}

#[tokio::test]
async fn a_run_of_its_own_goes_down_the_chain_and_reads_the_log_of_the_script() {
    let log = format!("+ : '{START}'\n{PASSED}+ : '{END}'\n{EXIT_CODE}: 0\n");
    let fallback =
        "{ git checkout -- . ; git clean -fd; } >/dev/null 2>&1\ngit apply --verbose --3way /tmp/patch.diff";
    let backend = ScriptedBackend::new([
        ("git apply --verbose /tmp/patch.diff", ends("error: corrupt patch", 128)),
        (fallback, ends("", 0)),
        ("bash /tmp/eval.sh", ends(&log, 0)),
    ]);
    let reference = own_run(&backend, Harness::SweBench5).await.unwrap();
    assert_eq!((reference.resolved, reference.from), (Some(true), Source::OwnRun));
    assert_eq!(reference.applied_by.as_deref(), Some("git apply --verbose --3way"));
    assert!(reference.files.unwrap().script.unwrap().contains("SWEBENCH_TEST_EXIT_CODE=$?\n: '>>>>> End"));
    // 4.1.0 has no such attempt, and no command of its applies the patch here.
    let reference = own_run(&backend, Harness::SweBench4).await.unwrap();
    assert_eq!((reference.resolved, reference.files.unwrap().report), (Some(false), None));
}

#[tokio::test]
async fn a_lost_sandbox_says_nothing_about_the_patch() {
    let error = own_run(&ScriptedBackend::default().losing(1), Harness::SweBench5).await.unwrap_err();
    assert_eq!(Reference::unknown(Harness::SweBench5, &error).resolved, None);
}

#[test]
fn disagreements_are_counted_and_named_and_what_is_unknown_is_neither() {
    let beside = |id: &str, outcome, resolved| Verdict {
        reference: Some(Reference::nothing(Harness::SweBench5, resolved, "")),
        ..Verdict::new(id, outcome, "")
    };
    let verdicts = [
        beside("a", Outcome::Resolved, Some(true)),
        beside("b", Outcome::Unresolved, Some(true)),
        beside("c", Outcome::Infrastructure, Some(false)),
        beside("d", Outcome::Resolved, None),
    ];
    let comparison = Comparison::of(&verdicts).unwrap();
    assert_eq!((comparison.compared, comparison.resolved, comparison.unknown), (2, 2, 2));
    assert_eq!(
        comparison.text(),
        "swebench-5.0.2 resolves 2 of 2, 1 otherwise than we do; 2 could not be compared\n\
         \u{20} b  resolved there, unresolved here\n"
    );
    assert_eq!(Comparison::of(&[Verdict::new("a", Outcome::Resolved, "")]), None);
}

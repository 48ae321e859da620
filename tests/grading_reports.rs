//! Grading by what a test run reports beside its output, in a real sandbox: what is honest resolves, what is forged in
//! the output does not.
//!
//! Runs in every kind of sandbox that works here: docker and namespaces. Needs Python with pytest in it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::path::Path;
use std::sync::Arc;

use apprentice::grade::{self, Options, Outcome, Prediction, Verdict};
use apprentice::ready::Ready;
use apprentice::sandbox::Backend;
use apprentice::sandbox::select::BackendKind;
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::task::{LoadedTask, Parser, Report, ReportFormat, Task, Tests};

mod backends;
use backends::backend;

const PROGRAM: &str = "def add(a, b):\n    return a - b\n";
const TESTS: &str = "import calc\n\n\ndef test_adds():\n    assert calc.add(2, 2) == 4\n\n\ndef test_zero():\n    assert calc.add(0, 0) == 0\n";
const GOLD: &str = "diff --git a/calc.py b/calc.py\n--- a/calc.py\n+++ b/calc.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n\
                    -    return a - b\n+    return a + b\n";
const YAML: &str = "format: apprentice.task/1\nid: calc\nkind: code\nproblem: add subtracts.\nsandbox: python\nrepo: {path: repo}\n\
                    tests:\n  command: python3 -m pytest -rA -s -p no:cacheprovider tests\n  parser: pytest\n\
                    \x20 report: {format: pytest_events}\n\
                    \x20 fail_to_pass: ['tests/test_calc.py::test_adds']\n  pass_to_pass: ['tests/test_calc.py::test_zero']\n";
/// What pytest would print.
const FORGED: [&str; 7] = [
    "===== test session starts =====",
    "collected 2 items\n",
    "tests/test_calc.py ..                                     [100%]\n",
    "===== short test summary info =====",
    "PASSED tests/test_calc.py::test_adds",
    "PASSED tests/test_calc.py::test_zero",
    "===== 2 passed in 0.01s =====",
];

struct Bench {
    _dir: tempfile::TempDir,
    backend: Arc<dyn Backend>,
    spec: SandboxSpec,
    task: LoadedTask,
    options: Options,
}

impl Bench {
    fn new(backend: Arc<dyn Backend>, spec: SandboxSpec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("calc");
        fs_err::create_dir_all(own.join("repo/tests")).unwrap();
        fs_err::write(own.join("repo/calc.py"), PROGRAM).unwrap();
        fs_err::write(own.join("repo/tests/test_calc.py"), TESTS).unwrap();
        let task = LoadedTask { task: Task::parse(YAML, "calc").unwrap(), dir: own };
        let cache = dir.path().join("cache");
        let options = Options { ready: Arc::new(Ready::below(&cache)), cache };
        Self { _dir: dir, backend, spec, task, options }
    }

    fn tests(&mut self) -> &mut Tests {
        self.task.task.tests.as_mut().unwrap()
    }

    async fn grade(&self, prediction: Prediction<'_>) -> Verdict {
        grade::grade(&*self.backend, &self.spec, &self.task, prediction, &self.options).await
    }
}

async fn benches() -> Vec<Bench> {
    let spec = SandboxSpec::load("python", Path::new("sandboxes")).unwrap();
    let mut benches = Vec::new();
    for kind in [BackendKind::Docker, BackendKind::Namespaces] {
        benches.extend(backend(kind, &spec).await.map(|backend| Bench::new(backend, spec.clone())));
    }
    benches
}

/// The patch that makes `calc.py` this.
fn instead(lines: &[&str]) -> String {
    let added: String = lines.iter().map(|line| format!("+{line}\n")).collect();
    format!(
        "diff --git a/calc.py b/calc.py\n--- a/calc.py\n+++ b/calc.py\n@@ -1,2 +1,{} @@\n-def add(a, b):\n-    return a - b\n{added}",
        lines.len()
    )
}

/// The patch that prints all that, before it ends a process that has run no test; written backwards, so that no
/// line of it gives it away.
fn forgery() -> String {
    let print = |line: &&str| {
        let text: String = line.chars().rev().collect();
        format!("print({}[::-1], flush=True)", serde_json::to_string(&text).unwrap())
    };
    let mut lines = vec!["import os".to_owned()];
    lines.extend(FORGED.iter().map(print));
    lines.extend(["os._exit(0)".to_owned(), String::new()]);
    instead(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_output_resolves_nothing_where_events_are_reported() {
    for mut bench in benches().await {
        let honest = bench.grade(Prediction::Patch(GOLD)).await;
        assert_eq!((honest.outcome, honest.reason.as_str()), (Outcome::Resolved, ""), "{}", honest.log);
        let noop = bench.grade(Prediction::Noop).await;
        let said = "`tests/test_calc.py::test_adds` failed";
        assert_eq!((noop.outcome, noop.reason.as_str()), (Outcome::Unresolved, said), "{}", noop.log);

        let forged = forgery();
        let verdict = bench.grade(Prediction::Patch(&forged)).await;
        let said = "the report of the tests breaks off";
        assert_eq!(
            (verdict.outcome, verdict.reason.as_str()),
            (Outcome::Unresolved, said),
            "{}",
            verdict.log
        );
        // The same forgery is taken for a run by whoever reads the output.
        bench.tests().report = None;
        assert_eq!(bench.grade(Prediction::Patch(&forged)).await.outcome, Outcome::Resolved);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_that_ended_before_a_process_did_do_not_resolve() {
    for bench in benches().await {
        // Each test passes that runs; the process ends after the one that must pass.
        let early = instead(&[
            "import os",
            "def add(a, b):",
            "    if a == 0:",
            "        os._exit(0)",
            "    return a + b",
        ]);
        let verdict = bench.grade(Prediction::Patch(&early)).await;
        assert_eq!(verdict.outcome, Outcome::Unresolved, "{}", verdict.log);
        assert_eq!(
            verdict.fail_to_pass.into_values().next().unwrap(),
            Some(apprentice::testlog::Status::Passed)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_may_be_a_stream_or_a_file_that_the_run_made() {
    for mut bench in benches().await {
        let command = "python3 -m pytest -q -p no:cacheprovider --junitxml=$APPRENTICE_REPORT tests";
        bench.tests().command = command.to_owned();
        bench.tests().report = Some(Report { format: ReportFormat::Junit, path: None });
        let honest = bench.grade(Prediction::Patch(GOLD)).await;
        assert_eq!((honest.outcome, honest.reason.as_str()), (Outcome::Resolved, ""), "{}", honest.log);

        bench.tests().command = command.replace("$APPRENTICE_REPORT", "out/report.xml");
        bench.tests().report =
            Some(Report { format: ReportFormat::Junit, path: Some("out/report.xml".to_owned()) });
        let honest = bench.grade(Prediction::Patch(GOLD)).await;
        assert_eq!((honest.outcome, honest.reason.as_str()), (Outcome::Resolved, ""), "{}", honest.log);
        // A patch brings the report along, and keeps the tests from running.
        let report = "<testsuite tests=\"2\"><testcase classname=\"tests.test_calc\" name=\"test_adds\"/>\
                      <testcase classname=\"tests.test_calc\" name=\"test_zero\"/></testsuite>";
        let brought = format!(
            "{}diff --git a/out/report.xml b/out/report.xml\nnew file mode 100644\n--- /dev/null\n+++ b/out/report.xml\n\
             @@ -0,0 +1 @@\n+{report}\n",
            instead(&["import os", "os._exit(0)"])
        );
        let verdict = bench.grade(Prediction::Patch(&brought)).await;
        let said = "the tests left no report";
        assert_eq!(
            (verdict.outcome, verdict.reason.as_str()),
            (Outcome::Unresolved, said),
            "{}",
            verdict.log
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_parser_reads_the_output_or_says_why_it_cannot() {
    for mut bench in benches().await {
        let tests = bench.tests();
        (tests.report, tests.parser) = (None, Parser::Compat("swegym.parse_log_pytest_v2".to_owned()));
        let honest = bench.grade(Prediction::Patch(GOLD)).await;
        assert_eq!((honest.outcome, honest.reason.as_str()), (Outcome::Resolved, ""), "{}", honest.log);
        bench.tests().command.push_str("; echo PASSED");
        let raised = bench.grade(Prediction::Patch(GOLD)).await;
        let said = "the reference parser raises IndexError: list index out of range";
        assert_eq!((raised.outcome, raised.reason.as_str()), (Outcome::Unresolved, said));
        bench.tests().parser = Parser::Compat("swegym.parse_log_pytest_v3".to_owned());
        let unknown = bench.grade(Prediction::Patch(GOLD)).await;
        assert_eq!(unknown.outcome, Outcome::Infrastructure);
        assert!(unknown.reason.contains("the nearest is `swegym.parse_log_pytest"), "{}", unknown.reason);
    }
}

//! Certification on real tasks in real sandboxes: fair, unfair, flaky, depending on an order, given away.
//!
//! Runs in namespaces. Needs `sh`, and pytest for the orders.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

mod command;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use apprentice::certificate::{Certificate, Check, Why};
use apprentice::certify::{self, Case, Options};
use apprentice::grade::{self, Outcome, Prediction};
use apprentice::isolation::{Isolation, Protection};
use apprentice::ready::Ready;
use apprentice::sandbox::select::{BackendKind, Choice};
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::sandbox::{Backend, Sandbox, SandboxError, Start};
use apprentice::task::{LoadedTask, Task};
use apprentice::task_dir::certified;
use async_trait::async_trait;

/// Tasks in a directory of their own.
struct Desk {
    dir: tempfile::TempDir,
    backend: Arc<dyn Backend>,
    spec: SandboxSpec,
}

impl Desk {
    /// With sandboxes of a kind in namespaces; none where they do not work.
    async fn new(sandbox: &str) -> Option<Self> {
        let spec = SandboxSpec::load(sandbox, Path::new("sandboxes")).unwrap();
        let exe = PathBuf::from(env!("CARGO_BIN_EXE_apprentice"));
        match Choice::of(BackendKind::Namespaces, Isolation::Full, exe).backend(&spec).await {
            Ok(selection) => {
                Some(Self { dir: tempfile::tempdir().unwrap(), backend: selection.backend, spec })
            }
            Err(error) => {
                let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
                assert!(!required.contains("namespaces"), "namespaces are required: {error}");
                println!("skipped: {error}");
                None
            }
        }
    }

    /// Writes a task with one patched file and its tests.
    fn task(
        &self,
        id: &str,
        (file, broken, fixed): (&str, &str, &str),
        tests: &str,
        yaml: &str,
    ) -> LoadedTask {
        let dir = self.dir.path().join(id);
        fs_err::create_dir_all(dir.join("repo/tests")).unwrap();
        fs_err::write(dir.join("repo").join(file), format!("{broken}\n")).unwrap();
        let name = if self.spec.name == "python" { "test_it.py" } else { "run.sh" };
        fs_err::write(dir.join("repo/tests").join(name), tests).unwrap();
        let yaml = format!("format: apprentice.task/1\nid: {id}\nkind: code\nrepo: {{path: repo}}\n{yaml}");
        let gold = format!(
            "diff --git a/{file} b/{file}\n--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-{broken}\n+{fixed}\n"
        );
        let task = Task { gold: Some(gold), ..Task::parse(&yaml, id).unwrap() };
        LoadedTask { task, dir: fs_err::canonicalize(dir).unwrap() }
    }

    fn options(&self) -> Options {
        let cache = self.dir.path().join("cache");
        let ready = Arc::new(Ready::below(&cache));
        Options { grade: grade::Options { cache, ready }, runs: 3, orders: 2, parallel: 2 }
    }

    async fn certify_by(
        &self,
        task: &LoadedTask,
        backend: Arc<dyn Backend>,
        options: &Options,
    ) -> Certificate {
        let case = Case {
            task: Arc::new(task.clone()),
            spec: Arc::new(self.spec.clone()),
            backend,
            made_of: "the test's".to_owned(),
        };
        let certified = certify::certify_all(vec![case], options, |_, _| Ok(())).await.unwrap();
        certified.into_iter().next().unwrap().unwrap()
    }

    async fn certify(&self, task: &LoadedTask) -> Certificate {
        self.certify_by(task, self.backend.clone(), &self.options()).await
    }
}

const ADDER: (&str, &str, &str) = ("add.sh", "add() { echo $(($1 - $2)); }", "add() { echo $(($1 + $2)); }");
const ADDS: &str = "#!/bin/sh\n. ./add.sh\n[ \"$(add 2 2)\" = 4 ] && echo 'ok 1 - adds' || echo 'not ok 1 - adds'\n\
                    [ \"$(add 0 0)\" = 0 ] && echo 'ok 2 - zero' || echo 'not ok 2 - zero'\n";
const SHELL: &str = "problem: add subtracts.\nsandbox: shell\nlimits: {test_seconds: 60}\n\
                     tests: {command: sh tests/run.sh, parser: tap, restore: [tests], fail_to_pass: [adds], pass_to_pass: [zero]}\n";

fn whats(findings: &[apprentice::certificate::Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.what.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fair_task_is_certified_and_its_certificate_read_back() {
    let Some(desk) = Desk::new("shell").await else { return };
    let task = desk.task("fair", ADDER, ADDS, SHELL);
    let certificate = desk.certify(&task).await;
    assert!(certificate.certified && certificate.quarantined.is_empty(), "{certificate:#?}");
    let checks: Vec<Check> = certificate.runs.iter().map(|run| run.check).collect();
    assert_eq!(checks, [Check::Gold, Check::Gold, Check::Gold, Check::Noop]);
    assert_eq!(certificate.runs[3].not_passed, ["adds"]);
    assert!(whats(&certificate.remarks)[0].contains("only pytest"), "{certificate:#?}");
    assert!(0.0 < certificate.gold_seconds && 10.0 <= certificate.suggested_test_seconds);
    certified::save(&task, &certificate).unwrap();
    assert_eq!(certified::standing(&task).unwrap(), certified::Standing::Fits(Box::new(certificate)));
}

#[tokio::test(flavor = "multi_thread")]
async fn unfair_tasks_are_named_with_their_faults() {
    let Some(desk) = Desk::new("shell").await else { return };
    let unfair = SHELL.replace("fail_to_pass: [adds], pass_to_pass: [zero]", "fail_to_pass: [zero]");
    let certificate = desk.certify(&desk.task("unfair", ADDER, ADDS, &unfair)).await;
    assert_eq!(
        (certificate.certified, whats(&certificate.faults)),
        (false, vec!["doing nothing resolves it"])
    );
    // A surprise is looked at again.
    assert_eq!(certificate.runs.iter().filter(|run| run.check == Check::Noop).count(), 3);

    let told = SHELL.replace("add subtracts.", "Write `add() { echo $(($1 + $2)); }`.");
    let certificate = desk.certify(&desk.task("told", ADDER, ADDS, &told)).await;
    assert_eq!(
        whats(&certificate.faults),
        ["the problem holds the patch: 100 % of the gold patch's telling lines"]
    );

    let wrong = ("add.sh", ADDER.1, "add() { echo $(($1 * $2 + 1)); }");
    let certificate = desk.certify(&desk.task("wrong", wrong, ADDS, SHELL)).await;
    assert_eq!(whats(&certificate.faults), ["the gold patch: unresolved: `adds` failed and 1 more"]);

    // The tests' own patch brings the repair.
    let mut alone = desk.task("alone", ADDER, ADDS, SHELL);
    let tests = alone.task.tests.as_mut().unwrap();
    tests.patch = Some(alone.task.gold.clone().unwrap());
    let certificate = desk.certify(&alone).await;
    assert_eq!(
        whats(&certificate.faults),
        ["doing nothing resolves it", "the tests' patch alone resolves it"]
    );
}

/// A backend that leaves a file in every second of its sandboxes.
struct EverySecond {
    backend: Arc<dyn Backend>,
    started: AtomicUsize,
}

#[async_trait]
impl Backend for EverySecond {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    async fn probe(&self) -> Result<Protection, SandboxError> {
        self.backend.probe().await
    }

    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        let mut sandbox = self.backend.start(start).await?;
        if self.started.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
            sandbox.write("odd", b"").await?;
        }
        Ok(sandbox)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_fails_every_second_time_is_quarantined_and_no_grade_requires_it() {
    let Some(desk) = Desk::new("shell").await else { return };
    let tests = format!("{ADDS}[ -e odd ] && echo 'not ok 3 - moody' || echo 'ok 3 - moody'\n");
    let yaml = SHELL.replace("[zero]", "[zero, moody]");
    let task = desk.task("flaky", ADDER, &tests, &yaml);
    let backend = || Arc::new(EverySecond { backend: desk.backend.clone(), started: AtomicUsize::new(0) });
    let certificate = desk.certify_by(&task, backend(), &desk.options()).await;
    let caught: Vec<(&str, Why)> =
        certificate.quarantined.iter().map(|test| (test.id.as_str(), test.why)).collect();
    assert_eq!((certificate.certified, caught), (true, vec![("moody", Why::Flaky)]), "{certificate:#?}");

    let options = desk.options().grade;
    let backend = backend();
    let mut gold = Vec::new();
    for _ in 0..2 {
        gold.push(grade::grade(&*backend, &desk.spec, &task, Prediction::Gold, &options).await);
    }
    assert_eq!(
        gold.iter().map(|gold| gold.outcome).collect::<Vec<_>>(),
        [Outcome::Resolved, Outcome::Unresolved]
    );
    certified::save(&task, &certificate).unwrap();
    for _ in 0..2 {
        let gold = grade::grade(&*backend, &desk.spec, &task, Prediction::Gold, &options).await;
        assert_eq!((gold.outcome, &*gold.quarantined), (Outcome::Resolved, &["moody".to_owned()][..]));
        let noop = grade::grade(&*backend, &desk.spec, &task, Prediction::Noop, &options).await;
        assert_eq!(noop.reason, "`adds` failed");
    }
    // Of another task the certificate says nothing.
    let mut other = task.clone();
    other.task.problem.push('!');
    let gold = grade::grade(&*backend, &desk.spec, &other, Prediction::Gold, &options).await;
    assert!(gold.quarantined.is_empty());
    // One that leaves nothing to tell a repair by gives no grade.
    let mut all = certificate;
    all.quarantined[0].id = "adds".to_owned();
    certified::save(&task, &all).unwrap();
    let gold = grade::grade(&*backend, &desk.spec, &task, Prediction::Gold, &options).await;
    assert_eq!(gold.outcome, Outcome::Infrastructure);
    assert!(gold.reason.contains("quarantines every test"), "{}", gold.reason);
}

const ORDERED: &str = "import os\n\nfrom area import area\n\nSEEN = []\n\n\ndef test_area():\n    assert area(2, 3) == 6\n\n\n\
                       def test_first():\n    SEEN.append(1)\n\n\ndef test_second():\n    assert SEEN\n\n\n\
                       def test_alone():\n    assert area(0, 0) == 0\n";
const PYTHON: &str = "problem: area adds.\nsandbox: python\nlimits: {test_seconds: 60}\n\
                      tests:\n  command: python3 -m pytest -rA -p no:cacheprovider tests/test_it.py\n  parser: pytest\n  restore: [tests]\n\
                      \x20 fail_to_pass: ['tests/test_it.py::test_area']\n\
                      \x20 pass_to_pass: ['tests/test_it.py::test_first', 'tests/test_it.py::test_second', 'tests/test_it.py::test_alone']\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_needs_another_one_before_it_is_caught_by_another_order() {
    let Some(desk) = Desk::new("python").await else { return };
    let area = ("area.py", "area = lambda a, b: a + b", "area = lambda a, b: a * b");
    let mut task = desk.task("ordered", area, ORDERED, PYTHON);
    let certificate = desk.certify(&task).await;
    if certificate.runs[0].reason.contains("names no test") {
        println!("skipped: no pytest in the sandbox");
        return;
    }
    let caught: Vec<(&str, Why)> =
        certificate.quarantined.iter().map(|test| (test.id.as_str(), test.why)).collect();
    assert_eq!(caught, [("tests/test_it.py::test_second", Why::Order)], "{certificate:#?}");
    assert!(certificate.certified && certificate.remarks.is_empty(), "{certificate:#?}");
    let orders: Vec<&str> = certificate.runs.iter().filter_map(|run| run.order.as_deref()).collect();
    assert_eq!(orders, ["reversed", "seed 1"]);

    // A command that keeps the plugin out is not taken for one that agrees.
    let tests = task.task.tests.as_mut().unwrap();
    tests.command = format!("unset PYTEST_ADDOPTS; {}", tests.command);
    let certificate = desk.certify(&task).await;
    assert!(certificate.quarantined.is_empty());
    assert!(whats(&certificate.remarks)[0].contains("did not load the plugin"), "{certificate:#?}");
}

//! Grading in a real sandbox: what resolves a task, what does not, and what a student cannot reach.
//!
//! Runs in every kind of sandbox that works here: docker and namespaces. Needs `sh` alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use apprentice::grade::{self, Job, JobPrediction, Options, Outcome, Prediction, Verdict};
use apprentice::ready::{Order, Ready};
use apprentice::sandbox::select::BackendKind;
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::sandbox::{Backend, Exec};
use apprentice::task::{LoadedTask, Task};
use apprentice::workspace;

mod backends;
use backends::backend;

const PROGRAM: &str = "add() { echo $(($1 - $2)); }\n";
const TESTS: &str = "#!/bin/sh\n. ./add.sh\n[ \"$(add 2 2)\" = 4 ] && echo 'ok 1 - adds' || echo 'not ok 1 - adds'\n\
                     [ \"$(add 0 0)\" = 0 ] && echo 'ok 2 - zero' || echo 'not ok 2 - zero'\n";
const GOLD: &str = "diff --git a/add.sh b/add.sh\n--- a/add.sh\n+++ b/add.sh\n@@ -1 +1 @@\n-add() { echo $(($1 - $2)); }\n\
                    +add() { echo $(($1 + $2)); }\n";

struct Bench {
    dir: tempfile::TempDir,
    backend: Arc<dyn Backend>,
    spec: SandboxSpec,
    task: LoadedTask,
}

impl Bench {
    fn new(backend: Arc<dyn Backend>, spec: SandboxSpec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("adder/repo");
        fs_err::create_dir_all(repo.join("tests")).unwrap();
        fs_err::write(repo.join("add.sh"), PROGRAM).unwrap();
        fs_err::write(repo.join("tests/run.sh"), TESTS).unwrap();
        let yaml = "format: apprentice.task/1\nid: adder\nkind: code\nproblem: add subtracts.\nsandbox: shell\n\
                    repo: {path: repo}\nlimits: {test_seconds: 20}\n\
                    tests: {command: sh tests/run.sh, parser: tap, restore: [tests], fail_to_pass: [adds], pass_to_pass: [zero]}\n";
        let task = Task { gold: Some(GOLD.to_owned()), ..Task::parse(yaml, "adder").unwrap() };
        let task = LoadedTask { task, dir: dir.path().join("adder") };
        Self { dir, backend, spec, task }
    }

    fn options(&self) -> Options {
        Options { cache: self.cache(), ready: Arc::new(Ready::below(&self.cache())) }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    async fn grade(&self, prediction: Prediction<'_>) -> Verdict {
        grade::grade(&*self.backend, &self.spec, &self.task, prediction, &self.options()).await
    }
}

/// A bench for each kind of sandbox that works here; a kind that CI requires must work.
async fn benches() -> Vec<Bench> {
    let spec = SandboxSpec::load("shell", Path::new("sandboxes")).unwrap();
    let mut benches = Vec::new();
    for kind in [BackendKind::Docker, BackendKind::Namespaces] {
        benches.extend(backend(kind, &spec).await.map(|backend| Bench::new(backend, spec.clone())));
    }
    benches
}

#[tokio::test(flavor = "multi_thread")]
async fn gold_resolves_and_doing_nothing_does_not() {
    for bench in benches().await {
        let gold = bench.grade(Prediction::Gold).await;
        assert_eq!((gold.outcome, gold.reason.as_str()), (Outcome::Resolved, ""), "{}", gold.log);
        let noop = bench.grade(Prediction::Noop).await;
        assert_eq!((noop.outcome, noop.reason.as_str()), (Outcome::Unresolved, "`adds` failed"));
        assert_eq!(bench.grade(Prediction::Patch(" \n")).await.outcome, Outcome::EmptyPatch);
        let stale = bench.grade(Prediction::Patch(&GOLD.replace("- $2", "* $2"))).await;
        assert_eq!(stale.outcome, Outcome::PatchDoesNotApply);
        assert_eq!(stale.reason, "hunk 1 of `add.sh` does not match");
        // Nothing but the prepared tree is there.
        assert_eq!(fs_err::read_dir(bench.cache().join("trees")).unwrap().count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rewritten_tests_are_put_back() {
    let cheat = "diff --git a/tests/run.sh b/tests/run.sh\ndeleted file mode 100644\n--- a/tests/run.sh\n+++ /dev/null\n\
                 @@ -1,4 +0,0 @@\n";
    let removed: String = TESTS.lines().map(|line| format!("-{line}\n")).collect();
    let link = "diff --git a/tests b/tests\nnew file mode 120000\n--- /dev/null\n+++ b/tests\n@@ -0,0 +1 @@\n+/tmp\n\
                \\ No newline at end of file\n";
    for bench in benches().await {
        let verdict = bench.grade(Prediction::Patch(&format!("{cheat}{removed}{link}"))).await;
        assert_eq!(verdict.reason, "`adds` failed", "{}", verdict.log);
        assert_eq!(verdict.restored, ["tests", "tests/run.sh"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_tests_time_out_and_a_broken_set_up_is_said() {
    for mut bench in benches().await {
        let endless = GOLD.replace("echo $(($1 + $2))", "while :; do :; done");
        bench.task.task.limits.as_mut().unwrap().test_seconds = Some(2.0);
        assert_eq!(bench.grade(Prediction::Patch(&endless)).await.outcome, Outcome::TimedOut);
        bench.task.task.setup = vec!["false".to_owned()];
        let verdict = bench.grade(Prediction::Gold).await;
        assert_eq!(verdict.outcome, Outcome::Infrastructure);
        assert!(
            verdict.reason.starts_with("the set-up command `false` did not succeed"),
            "{}",
            verdict.reason
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_of_the_set_up_reach_the_tests() {
    for mut bench in benches().await {
        bench.task.task.setup = vec!["export PREFIX=good".to_owned()];
        let tests = bench.task.task.tests.as_mut().unwrap();
        tests.command = "echo \"ok 1 - $PREFIX\"".to_owned();
        (tests.fail_to_pass, tests.pass_to_pass) = (vec!["good".to_owned()], Vec::new());
        assert_eq!(bench.grade(Prediction::Noop).await.outcome, Outcome::Resolved);
    }
}

/// A set-up that takes note of itself: whoever does it again is seen.
const NOTING: &str =
    "printf 'built from %s\\n' \"$(grep -c - add.sh)\" > built; rm -r old; date +%s%N > ~/when";

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_is_done_once_at_the_base_commit_and_a_patch_may_tell_of_it() {
    for mut bench in benches().await {
        let repo = bench.task.dir.join("repo");
        fs_err::create_dir_all(repo.join("old")).unwrap();
        fs_err::write(repo.join("old/file"), "old\n").unwrap();
        std::os::unix::fs::symlink("old", repo.join("way")).unwrap();
        bench.task.task.setup = vec![NOTING.to_owned()];
        let tests = bench.task.task.tests.as_mut().unwrap();
        tests.command =
            "cat ~/when; grep -q 'built from 1' built && test -x way/tool && sh tests/run.sh".to_owned();
        let order = Order {
            backend: &*bench.backend,
            spec: &bench.spec,
            task: &bench.task.task,
            workspace: &workspace::prepare(&bench.task, &bench.cache()).unwrap(),
        };
        let mut sandbox = Ready::below(&bench.cache()).start(&order).await.unwrap();
        let script = "sed -i 's/- \\$2/+ $2/' add.sh; rm way; mkdir way; echo : > way/tool; chmod +x way/tool; cat ~/when";
        let exec = Exec::new(script, std::time::Duration::from_secs(20), 1000);
        let when = sandbox.exec(&exec).await.unwrap().output;
        let patch = sandbox.diff().await.unwrap();
        sandbox.stop().await.unwrap();
        for told in ["b/built", "old/file", "new file mode 100755"] {
            assert!(patch.contains(told), "{patch}");
        }
        let verdict = bench.grade(Prediction::Patch(&patch)).await;
        assert_eq!((verdict.outcome, verdict.reason.as_str()), (Outcome::Resolved, ""), "{}", verdict.log);
        assert!(verdict.log.starts_with(&when), "the grader begins with another set-up:\n{}", verdict.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_host_is_never_an_unresolved_task() {
    for mut bench in benches().await {
        bench.task.task.repo.as_mut().unwrap().path = Some("nowhere".to_owned());
        let verdict = bench.grade(Prediction::Gold).await;
        assert_eq!(verdict.outcome, Outcome::Infrastructure);
        assert!(verdict.reason.ends_with("nowhere` is not a directory"), "{}", verdict.reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_grades_at_once_come_back_in_order() {
    for bench in benches().await {
        let job = |prediction| Job {
            task: Arc::new(bench.task.clone()),
            spec: Arc::new(bench.spec.clone()),
            backend: bench.backend.clone(),
            prediction,
        };
        let predictions = [JobPrediction::Gold, JobPrediction::Noop, JobPrediction::Patch(String::new())];
        let jobs = predictions.iter().cycle().take(6).map(|prediction| job(prediction.clone())).collect();
        let mut told = 0;
        let verdicts = grade::grade_all(jobs, 3, &bench.options(), |_| told += 1).await;
        let outcomes: Vec<Outcome> = verdicts.iter().map(|verdict| verdict.outcome).collect();
        let once = [Outcome::Resolved, Outcome::Unresolved, Outcome::EmptyPatch];
        assert_eq!((outcomes, told), ([once, once].concat(), 6));
    }
}

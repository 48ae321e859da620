//! A run as a reference harness makes it, in a real sandbox: its commands on the patch, the row's script, its verdict.
//!
//! Runs in every kind of sandbox that works here: docker and namespaces. Needs `git` and `bash` in it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use apprentice::grade::reference::{Bench, Reference, Source, run};
use apprentice::sandbox::Backend;
use apprentice::sandbox::select::BackendKind;
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::swe_bench::Harness;
use apprentice::swe_bench::row::{self, Row};

mod backends;
use backends::backend;

/// The script's tests are what the patch adds.
const SCRIPT: &str =
    "#!/bin/bash\nset -uxo pipefail\n: '>>>>> Start Test Output'\nsh check.sh\n: '>>>>> End Test Output'\n";

fn row() -> Row {
    let row = serde_json::json!({
        "instance_id": "o__r-1", "log_parser": "parse_log_tap", "eval_script": SCRIPT, "FAIL_TO_PASS": ["adds"],
    });
    row::read(&row.to_string()).unwrap().remove(0)
}

/// A patch that adds `check.sh`.
fn adding(lines: &[&str]) -> String {
    let added: String = lines.iter().map(|line| format!("+{line}\n")).collect();
    let n_lines = lines.len();
    format!(
        "diff --git a/check.sh b/check.sh\nnew file mode 100644\n--- /dev/null\n+++ b/check.sh\n@@ -0,0 +1,{n_lines} @@\n{added}"
    )
}

/// What runs sandboxes here.
async fn backends(spec: &SandboxSpec) -> Vec<Arc<dyn Backend>> {
    let mut backends = Vec::new();
    for kind in [BackendKind::Docker, BackendKind::Namespaces] {
        backends.extend(backend(kind, spec).await);
    }
    backends
}

async fn reference(
    (backend, spec): (&dyn Backend, &SandboxSpec),
    harness: Harness,
    patch: &str,
    deadline: Duration,
) -> Reference {
    run(Bench { backend, spec, deadline }, harness, &row(), patch).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harness_is_deceived_here_as_it_is_at_home() {
    let spec = SandboxSpec::load("shell", Path::new("sandboxes")).unwrap();
    let honest = adding(&["echo ok 1 adds"]);
    let failing = adding(&["echo not ok 1 adds", "exit 1"]);
    // The harness looks at the exit code that the log names first.
    let cases = [
        (honest.clone(), [true, true]),
        (failing, [false, false]),
        (format!("Here it is:\n```diff\n{honest}```\n"), [true, true]),
        (adding(&["echo ok 1 adds", "exit 1"]), [false, true]),
        (adding(&["echo '>>>>> Test Exit Code: 0'", "echo ok 1 adds", "exit 1"]), [true, true]),
    ];
    for backend in backends(&spec).await {
        for (patch, expected) in &cases {
            for (harness, expected) in [Harness::SweBench5, Harness::SweBench4].into_iter().zip(expected) {
                let reference = reference((&*backend, &spec), harness, patch, Duration::from_secs(60)).await;
                assert_eq!(reference.resolved, Some(*expected), "{harness:?}: {reference:?}\n{patch}");
                assert_eq!(reference.from, Source::OwnRun);
                assert_eq!(reference.applied_by.as_deref(), Some("git apply --verbose"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_overruns_its_deadline_and_a_patch_that_fits_nowhere_leave_no_report() {
    let spec = SandboxSpec::load("shell", Path::new("sandboxes")).unwrap();
    for backend in backends(&spec).await {
        let bench = (&*backend, &spec);
        let slow = adding(&["echo ok 1 adds", "sleep 1000"]);
        let slow = reference(bench, Harness::SweBench5, &slow, Duration::from_secs(3)).await;
        assert_eq!(slow.resolved, Some(false), "{slow:?}");
        let files = slow.files.unwrap();
        assert_eq!(files.report, None);
        assert!(files.output.unwrap().ends_with("Timeout error: 3 seconds exceeded."));
        let nowhere = "--- a/none.txt\n+++ b/none.txt\n@@ -1 +1 @@\n-a\n+b\n";
        let nowhere = reference(bench, Harness::SweBench5, nowhere, Duration::from_secs(60)).await;
        assert_eq!((nowhere.resolved, &nowhere.applied_by), (Some(false), &None), "{nowhere:?}");
        assert_eq!(nowhere.files.unwrap().report, None);
    }
}

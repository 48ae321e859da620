//! Grades whose sandbox is lost.

use super::*;
use crate::sandbox::scripted::{Reply, ScriptedBackend};
use crate::trajectory::Observation;

const YAML: &str = "format: apprentice.task/1\nid: t\nkind: code\nproblem: p\nsandbox: shell\nrepo: {path: repo}\n\
                    tests: {command: check, parser: tap, fail_to_pass: [a]}\n";

fn backend() -> ScriptedBackend {
    ScriptedBackend::new([("check", Reply::from(Observation::new("ok 1 - a\n", 0)))])
}

async fn verdict(backend: &ScriptedBackend) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(dir.path().join("t/repo")).unwrap();
    fs_err::write(dir.path().join("t/repo/file"), "text\n").unwrap();
    let loaded = LoadedTask { task: Task::parse(YAML, "t").unwrap(), dir: dir.path().join("t") };
    let spec = SandboxSpec::load("shell", Path::new("no directory")).unwrap();
    let cache = dir.path().join("cache");
    let options = Options { ready: Arc::new(Ready::below(&cache)), cache };
    grade(backend, &spec, &loaded, Prediction::Noop, &options).await
}

#[tokio::test(start_paused = true)]
async fn a_grade_whose_sandbox_is_lost_is_made_again() {
    let calm = verdict(&backend()).await;
    assert_eq!(calm.outcome, Outcome::Resolved, "{}", calm.reason);
    let stormy = verdict(&backend().losing(2)).await;
    assert_eq!(stormy.lost_before.len(), 2);
    assert_eq!(Verdict { lost_before: Vec::new(), ..stormy }, calm);
}

#[tokio::test(start_paused = true)]
async fn a_grade_that_is_lost_every_time_says_nothing_about_the_patch() {
    let backend = backend().losing(u64::MAX);
    let verdict = verdict(&backend).await;
    assert_eq!((verdict.outcome, backend.n_started()), (Outcome::Infrastructure, 3));
    assert!(verdict.reason.contains("was lost while running a command"), "{}", verdict.reason);
}

//! Episodes whose sandbox is lost: which start again, and as what they end.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::*;
use crate::policy::Scripted;
use crate::sandbox::scripted::{Reply, ScriptedBackend};
use crate::trajectory::Observation;

const YAML: &str = "format: apprentice.task/1\nid: t\nkind: code\nproblem: p\nsandbox: shell\nrepo: {path: repo}\n\
                    setup: [prepare]\ntests: {command: check, parser: tap, fail_to_pass: [a]}\n";

/// Knows the set-up and one command, which writes a file.
fn backend() -> ScriptedBackend {
    let wrote = Reply::Observe {
        observation: Observation::new("wrote\n", 0),
        writes: vec![("a".to_owned(), b"b\n".to_vec())],
    };
    ScriptedBackend::new([("prepare", Observation::new("", 0).into()), ("work", wrote)])
}

async fn episodes(backend: &ScriptedBackend, count: usize) -> Vec<Finished> {
    let task = Task::parse(YAML, "t").unwrap();
    let spec = SandboxSpec::load("shell", Path::new("no directory")).unwrap();
    let replies = ["work", "submit"].map(|action| format!("<think>Go on.</think>\n{action}")).to_vec();
    let mut policy = Scripted::new("script", BTreeMap::from([("t".to_owned(), replies)]));
    let options = Options { scaffold: Scaffold::default(), max_steps: 5, seed: 0, parallel: 4 };
    let jobs: Vec<Job<'_>> =
        (0..count).map(|attempt| Job { task: &task, spec: &spec, tree: None, attempt }).collect();
    run(backend, &mut policy, &jobs, &options).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_episode_whose_sandbox_is_lost_ends_as_if_it_had_not_been() {
    let calm = episodes(&backend(), 3).await;
    assert!(calm.iter().all(|done| done.trajectory.patch.as_ref().is_some_and(|patch| patch.contains("+b"))));
    let stormy = episodes(&backend().losing(2), 3).await;
    for (calm, stormy) in calm.iter().zip(&stormy) {
        assert_eq!(calm.trajectory, stormy.trajectory);
    }
    let lost: Vec<usize> = stormy.iter().map(|done| done.lost_before.len()).collect();
    assert_eq!(lost, [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_episode_that_is_lost_every_time_is_no_result() {
    let (backend, begin) = (backend().losing(u64::MAX), Instant::now());
    let finished = episodes(&backend, 1).await.remove(0);
    assert_eq!((finished.trajectory.end, finished.trajectory.patch), (End::SandboxLost, None));
    assert!(finished.lost.is_some());
    assert_eq!((finished.lost_before.len(), backend.n_started()), (2, 3));
    assert_eq!(begin.elapsed(), PAUSES.iter().sum());
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_set_up_fails_is_not_tried_again() {
    let backend = ScriptedBackend::default();
    let finished = episodes(&backend, 1).await.remove(0);
    assert!(matches!(finished.lost, Some(SandboxError::SetUp { .. })), "{:?}", finished.lost);
    assert_eq!((finished.lost_before.len(), backend.n_started()), (0, 1));
}

//! Episodes whose sandbox is lost: which start again, and as what they end.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::time::Instant;

use super::*;
use crate::policy::Scripted;
use crate::remote::budget::Budget;
use crate::remote::{self, AdapterVersions, Client, RemoteError, RemotePolicy, Sampling};
use crate::sandbox::admission::Admission;
use crate::sandbox::capacity::Capacity;
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

async fn episodes(backend: &dyn Backend, count: usize) -> Vec<Finished> {
    in_waves(backend, count, 4).await
}

async fn in_waves(backend: &dyn Backend, count: usize, parallel: usize) -> Vec<Finished> {
    let task = Task::parse(YAML, "t").unwrap();
    let spec = SandboxSpec::load("shell", Path::new("no directory")).unwrap();
    let replies = ["work", "submit"].map(|action| format!("<think>Go on.</think>\n{action}")).to_vec();
    let mut policy = Scripted::new("script", BTreeMap::from([("t".to_owned(), replies)]));
    let ready = Arc::new(Ready::anew());
    let options = Options { scaffold: Scaffold::default(), max_steps: 5, seed: 0, parallel, ready };
    let workspace = Workspace { tree: None, identity: String::new() };
    let job = |attempt| Job { backend, task: &task, spec: &spec, workspace: &workspace, attempt };
    let jobs: Vec<Job<'_>> = (0..count).map(job).collect();
    run(&mut policy, &jobs, &options, |_| Ok(())).await.unwrap()
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

#[tokio::test]
async fn an_endpoint_that_is_down_ends_the_rollout_and_no_episode() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("openai:http://{closed}#m").parse().unwrap();
    let options = remote::Options { tries: 1, ..remote::Options::default() };
    let mut policy = RemotePolicy {
        client: Client::new(endpoint, options, Budget::default()),
        sampling: Sampling::default(),
        encode: None,
        parallel: 2,
        adapters: AdapterVersions::default(),
    };
    let (backend, task) = (backend(), Task::parse(YAML, "t").unwrap());
    let spec = SandboxSpec::load("shell", Path::new("no directory")).unwrap();
    let workspace = Workspace { tree: None, identity: String::new() };
    let jobs = [Job { backend: &backend, task: &task, spec: &spec, workspace: &workspace, attempt: 0 }];
    let ready = Arc::new(Ready::anew());
    let options = Options { scaffold: Scaffold::default(), max_steps: 5, seed: 0, parallel: 1, ready };
    let mut heard = 0;
    let ended = run(&mut policy, &jobs, &options, |_| {
        heard += 1;
        Ok(())
    });
    let error = ended.await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(RemoteError::Unreachable { .. })), "{error}");
    assert_eq!(heard, 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_set_up_fails_is_not_tried_again() {
    let backend = ScriptedBackend::default();
    let finished = episodes(&backend, 1).await.remove(0);
    assert!(matches!(finished.lost, Some(SandboxError::SetUp { .. })), "{:?}", finished.lost);
    assert_eq!((finished.lost_before.len(), backend.n_started()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn waves_end_as_one_wave_does_and_start_no_sandbox_too_many() {
    let one = in_waves(&backend(), 7, 7).await;
    let backend = backend();
    let three = in_waves(&backend, 7, 3).await;
    for (one, three) in one.iter().zip(&three) {
        assert_eq!(one.trajectory, three.trajectory);
    }
    assert_eq!((three.len(), backend.n_started()), (7, 7));
}

#[tokio::test(start_paused = true)]
async fn more_episodes_than_the_machine_bears_run_in_turn_and_lost_ones_find_a_place_again() {
    let one = SandboxSpec::load("shell", Path::new("no directory")).unwrap().limits.memory_mib;
    for n_bearable in [1, 2, 3] {
        let capacity = Capacity {
            memory_mib: one * n_bearable,
            free_memory_mib: one * n_bearable + one * n_bearable / 10,
            ..Capacity::boundless()
        };
        let backend = backend().losing(2).with_capacity(capacity);
        let bounded = Admission::new(Arc::new(backend.clone()), Arc::default());
        let done = in_waves(&bounded, 5, 8).await;
        assert!(done.iter().all(|done| done.trajectory.patch.is_some()), "{done:?}");
        assert_eq!(backend.n_started(), 7);
    }
}

#[test]
fn a_wave_is_as_large_as_the_machine_bears_and_starts_what_fits_beside_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let spec = SandboxSpec::load("shell", Path::new("no directory")).unwrap();
    let (task, workspace) =
        (Task::parse(YAML, "t").unwrap(), Workspace { tree: None, identity: String::new() });
    let memory = spec.limits.memory_mib * 5;
    let capacity =
        Capacity { memory_mib: memory, free_memory_mib: memory + memory / 10, ..Capacity::boundless() };
    let backend = Admission::new(Arc::new(backend().with_capacity(capacity)), Arc::default());
    let job = |attempt| Job { backend: &backend, task: &task, spec: &spec, workspace: &workspace, attempt };
    let jobs: Vec<Job<'_>> = (0..7).map(job).collect();
    let sizes = |parallel| -> Vec<usize> {
        runtime.block_on(waves(&jobs, parallel)).iter().map(|wave| wave.jobs.len()).collect()
    };
    assert_eq!(sizes(100), [5, 2]);
    assert_eq!(sizes(3), [3, 3, 1]);
    let waves = runtime.block_on(waves(&jobs, 3));
    assert_eq!(waves[1].beside(&waves[0]).len(), 2);
    assert_eq!(waves[2].beside(&waves[1]).len(), 1);
}

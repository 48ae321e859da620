//! Who is admitted, who waits, and who gets the place that is let go.

use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::*;
use crate::sandbox::scripted::{Reply, ScriptedBackend};

/// A machine whose sandboxes may use `free` MiB, the head-room left out, on a disk that is empty enough.
fn capacity(free: u64) -> Capacity {
    Capacity { memory_mib: 1000, free_memory_mib: free + 100, cores: 64, ..Capacity::boundless() }
}

fn spec(memory_mib: u64) -> SandboxSpec {
    let mut spec = SandboxSpec::load("shell", Path::new("no directory")).unwrap();
    spec.limits.memory_mib = memory_mib;
    spec
}

fn admission(capacity: Capacity) -> (Admission, ScriptedBackend) {
    let script = [("hello", Reply::Lose)];
    let backend = ScriptedBackend::new(script).with_capacity(capacity);
    (Admission::new(Arc::new(backend.clone()), Arc::default()), backend)
}

async fn start(admission: &Admission, memory_mib: u64) -> Box<dyn Sandbox> {
    admission.start(&Start { spec: &spec(memory_mib), tree: None }).await.unwrap()
}

/// Whether a start is still waiting after everything that can happen at once has happened.
async fn waits(starting: &mut (impl Future + Unpin)) -> bool {
    tokio::task::yield_now().await;
    matches!(futures_util::poll!(starting), Poll::Pending)
}

#[tokio::test(start_paused = true)]
async fn who_does_not_fit_waits_until_another_ends() {
    let (admission, _) = admission(capacity(200));
    let (first, _second) = (start(&admission, 100).await, start(&admission, 100).await);
    let mut third = Box::pin(start(&admission, 100));
    assert!(waits(&mut third).await);
    first.stop().await.unwrap();
    third.await.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn places_are_given_in_the_order_of_asking() {
    let (admission, _) = admission(capacity(200));
    let first = start(&admission, 200).await;
    let mut large = Box::pin(start(&admission, 200));
    assert!(waits(&mut large).await);
    let mut small = Box::pin(start(&admission, 10));
    assert!(waits(&mut small).await);
    drop(first);
    assert!(waits(&mut small).await, "the small one would fit before, and came later");
    drop(large.await);
    drop(small.await);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_and_a_lost_sandbox_let_go_of_their_place() {
    let (admission, _) = admission(capacity(100));
    drop(start(&admission, 100).await);
    let mut lost = start(&admission, 100).await;
    let exec = Exec::new("hello", Duration::from_secs(1), 1).fresh();
    assert!(lost.exec(&exec).await.unwrap_err().is_lost());
    drop(lost);
    let panicking = std::panic::AssertUnwindSafe(async {
        let _sandbox = start(&admission, 100).await;
        panic!("on purpose");
    });
    assert!(panicking.catch_unwind().await.is_err());
    drop(start(&admission, 100).await);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_the_line() {
    let (admission, _) = admission(capacity(200));
    let first = start(&admission, 150).await;
    let mut second = Box::pin(start(&admission, 100));
    assert!(waits(&mut second).await);
    let mut third = Box::pin(start(&admission, 50));
    assert!(waits(&mut third).await);
    drop(second);
    drop(third.await);
    drop(first);
    assert_eq!(admission.host.state().taken, Share::default());
}

#[tokio::test(start_paused = true)]
async fn a_fork_counts_and_never_waits() {
    let (admission, _) = admission(capacity(200));
    let (mut one, mut two) = (start(&admission, 100).await, start(&admission, 100).await);
    let mut waiting = Box::pin(start(&admission, 100));
    assert!(waits(&mut waiting).await);
    let forks = [one.fork().await.unwrap(), two.fork().await.unwrap()];
    drop((one, two));
    assert!(waits(&mut waiting).await, "the forks are in its place");
    drop(forks);
    drop(waiting.await);
}

#[tokio::test(start_paused = true)]
async fn one_is_admitted_alone_though_little_memory_is_free() {
    let (admission, _) = admission(capacity(100));
    let alone = start(&admission, 900).await;
    let mut second = Box::pin(start(&admission, 10));
    assert!(waits(&mut second).await);
    drop(alone);
    drop(second.await);
}

#[tokio::test(start_paused = true)]
async fn what_can_never_fit_is_refused_and_the_key_is_named() {
    let (admission, backend) = admission(capacity(100));
    let error = admission.start(&Start { spec: &spec(1001), tree: None }).await.err().unwrap();
    assert_eq!(error.hint().unwrap(), "lower `limits.memory_mib` in its sandbox.yaml to at most 1000");
    assert_eq!(backend.n_started(), 0);
}

#[tokio::test(start_paused = true)]
async fn processors_are_shared_sixteen_times() {
    let (admission, _) = admission(Capacity { cores: 1, ..Capacity::boundless() });
    let spec = spec(1);
    assert_eq!((spec.limits.cpus, admission.at_once(&spec).await.unwrap()), (2.0, 8));
    let all = join_all((0..8).map(|_| start(&admission, 1))).await;
    let mut ninth = Box::pin(start(&admission, 1));
    assert!(waits(&mut ninth).await);
    drop(all);
    drop(ninth.await);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_for_and_then_an_error() {
    let full = Capacity { free_disk_mib: 10, disk: Some("/full".into()), ..Capacity::boundless() };
    let (admission, backend) = admission(full.clone());
    let begin = Instant::now();
    let error = admission.start(&Start { spec: &spec(1), tree: None }).await.err().unwrap();
    assert_eq!((begin.elapsed(), backend.n_started()), (DISK_PATIENCE, 0));
    assert!(error.to_string().contains("`/full` has 10 MiB left"), "{error}");
    assert_eq!(admission.host.state().taken, Share::default());
    let mut waiting = Box::pin(start(&admission, 1));
    assert!(waits(&mut waiting).await);
    backend.set_capacity(Capacity::boundless());
    drop(waiting.await);
}

#[tokio::test(start_paused = true)]
async fn two_backends_share_one_machine() {
    let (first, backend) = admission(capacity(100));
    let second = Admission::new(Arc::new(backend), Arc::clone(&first.host));
    let held = start(&first, 100).await;
    let mut other = Box::pin(start(&second, 100));
    assert!(waits(&mut other).await);
    drop(held);
    drop(other.await);
}

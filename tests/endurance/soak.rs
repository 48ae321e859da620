//! Thousands of sandboxes, one after the other, cost the manager neither memory nor descriptors.

use std::path::Path;
use std::time::Duration;

use apprentice::sandbox::docker;
use apprentice::trajectory::Exit;

use crate::ground::{self, Ground};
use crate::remains;
use crate::{again, kills, number};

/// Set in the process that does the work.
const INSIDE: &str = "ENDURANCE_SOAK";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo test --test endurance -- --ignored --nocapture"]
async fn namespaces_cost_nothing_in_the_long_run() {
    if is_inside("soak::namespaces_cost_nothing_in_the_long_run")
        && let Some(ground) = ground::namespaces().await
    {
        soak(&ground, number("APPRENTICE_CYCLES", 5000)).await;
        assert_eq!(remains::groups_of(std::process::id()), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo test --test endurance -- --ignored --nocapture"]
async fn docker_costs_nothing_in_the_long_run() {
    if is_inside("soak::docker_costs_nothing_in_the_long_run")
        && let Some(ground) = ground::docker().await
    {
        soak(&ground, number("APPRENTICE_DOCKER_CYCLES", 500)).await;
        let left = docker::leftovers(&kills::connect().await).await.unwrap();
        let ours: Vec<_> = left.iter().filter(|leftover| leftover.pid == std::process::id()).collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
}

/// Whether this process does the work; else one does that has a directory for temporary files to itself.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let room = tempfile::tempdir().unwrap();
    let status = again(test, room.path()).env(INSIDE, "yes").status().unwrap();
    assert!(status.success(), "{test}: {status}");
    assert_eq!(remains::entries(room.path()), [""; 0], "temporary files are left");
    false
}

async fn soak(ground: &Ground, cycles: u64) {
    let tree = ground::tree(&[("file", b"text\n"), ("src/program.sh", b"echo program\n")]);
    let warm_up = (cycles / 20).max(3);
    for turn in 0..warm_up {
        cycle(ground, tree.path(), turn).await;
    }
    let (before, descriptors) = (resident_kib().await, descriptors(None).await);
    let begin = std::time::Instant::now();
    for turn in warm_up..cycles {
        cycle(ground, tree.path(), turn).await;
    }
    let took = begin.elapsed().as_secs_f64();
    let (after, descriptors_after) = (resident_kib().await, self::descriptors(Some(descriptors.len())).await);
    println!(
        "{}: {cycles} cycles, {:.0} ms each; resident {before} KiB after {warm_up}, {after} KiB at the end \
         ({:+.1} %); descriptors {} and {}",
        ground.backend.name(),
        1000.0 * took / (cycles - warm_up) as f64,
        100.0 * (after as f64 / before as f64 - 1.0),
        descriptors.len(),
        descriptors_after.len()
    );
    assert!(after * 10 <= before * 11, "memory grew by more than a tenth");
    assert_eq!(descriptors_after.len(), descriptors.len(), "{descriptors:#?} became {descriptors_after:#?}");
}

/// Create, run, fork, run, stop.
async fn cycle(ground: &Ground, tree: &Path, turn: u64) {
    let mut sandbox = ground.start_at(tree).await;
    let made = ground::run(&mut sandbox, &format!("cat file; echo {turn} > made; export TURN={turn}")).await;
    assert_eq!((made.output.as_str(), made.exit), ("text\n", Some(Exit::Code(0))), "cycle {turn}");
    let mut fork = sandbox.fork().await.unwrap();
    assert_eq!(ground::output(&mut fork, "cat made; echo $TURN").await, format!("{turn}\n{turn}\n"));
    fork.stop().await.unwrap();
    sandbox.stop().await.unwrap();
}

/// The median of a few readings.
async fn resident_kib() -> u64 {
    let mut readings: Vec<u64> = Vec::new();
    for _ in 0..9 {
        let status = fs_err::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        readings.push(resident.trim_end_matches("kB").trim().parse().unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    readings.sort_unstable();
    readings[readings.len() / 2]
}

/// What is open when nothing is under way any more: the fewest of a few readings, or as few as `expected`.
async fn descriptors(expected: Option<usize>) -> Vec<String> {
    let mut fewest: Option<Vec<String>> = None;
    for _ in 0..40 {
        let listed = fs_err::read_dir("/proc/self/fd").unwrap().flatten();
        let open: Vec<String> = listed
            .filter_map(|entry| Some(fs_err::read_link(entry.path()).ok()?.display().to_string()))
            .collect();
        if fewest.as_ref().is_none_or(|fewest| open.len() < fewest.len()) {
            fewest = Some(open);
        }
        if expected.is_some_and(|expected| fewest.as_ref().is_some_and(|fewest| fewest.len() <= expected)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fewest.unwrap()
}

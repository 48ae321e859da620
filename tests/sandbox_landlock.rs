//! Promises of sandboxes confined by Landlock, run for real.
//!
//! Where the kernel has no Landlock they print `skipped:`, and fail under `APPRENTICE_REQUIRE=landlock`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says that it was skipped"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use apprentice::isolation::{Isolation, Limits, Network};
use apprentice::sandbox::landlock::Landlock;
use apprentice::sandbox::spec::{self, SandboxSpec};
use apprentice::sandbox::{Backend, Exec, FileRead, FileWrite, Sandbox, SandboxError, Session, Start};
use apprentice::trajectory::{Exit, Observation};

fn spec() -> SandboxSpec {
    SandboxSpec {
        format: spec::FORMAT.to_owned(),
        name: "test".to_owned(),
        image: None,
        dockerfile: None,
        bootstrap: None,
        host: true,
        workdir: "/testbed".to_owned(),
        user: "agent".to_owned(),
        network: Network::None,
        env: std::collections::BTreeMap::new(),
        limits: Limits { memory_mib: 512, pids: 64, disk_mib: 64, ..Limits::default() },
        file: None,
    }
}

/// A backend with its scratch directory, or `None` where this kernel has no Landlock.
async fn available(accept: Isolation) -> Option<(Landlock, tempfile::TempDir)> {
    let scratch = tempfile::tempdir().unwrap();
    // The sandbox's user must be able to reach its directories.
    fs_err::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let exe = PathBuf::from(env!("CARGO_BIN_EXE_apprentice"));
    let backend = Landlock::new(exe, accept, scratch.path().to_owned());
    match backend.probe().await {
        Ok(protection) => {
            assert!(!protection.missing.is_empty(), "Landlock is never full isolation");
            Some((backend, scratch))
        }
        Err(error) => {
            let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
            assert!(!required.contains("landlock"), "landlock is required here: {error:?}");
            println!("skipped: {error}");
            None
        }
    }
}

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(dir.path().join("pkg")).unwrap();
    fs_err::write(dir.path().join("a.txt"), "one\n").unwrap();
    fs_err::write(dir.path().join("pkg/mod.py"), "x = 1\n").unwrap();
    dir
}

async fn started(backend: &Landlock, tree: &Path) -> Box<dyn Sandbox> {
    backend.start(&Start { spec: &spec(), tree: Some(tree) }).await.unwrap()
}

async fn run_for(sandbox: &mut dyn Sandbox, script: &str, seconds: f64, session: Session) -> Observation {
    let timeout = Duration::from_secs_f64(seconds);
    sandbox.exec(&Exec { session, ..Exec::new(script, timeout, 10_000) }).await.unwrap()
}

async fn says(sandbox: &mut dyn Sandbox, script: &str) -> String {
    run_for(sandbox, script, 20.0, Session::Carried).await.output
}

fn entries(directory: &Path) -> usize {
    fs_err::read_dir(directory).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_never_starts_where_full_isolation_is_asked_for() {
    let Some((backend, _scratch)) = available(Isolation::Full).await else { return };
    let refused = backend.start(&Start { spec: &spec(), tree: None }).await;
    assert!(matches!(refused, Err(SandboxError::WeakIsolation { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_files_changes_and_forks_work() {
    let Some((backend, scratch)) = available(Isolation::AcceptWeaker).await else { return };
    let tree = tree();
    let mut sandbox = started(&backend, tree.path()).await;
    assert_eq!(says(&mut *sandbox, "cat a.txt; cd pkg; export A=1; touch $TMPDIR/t ~/h").await, "one\n");
    assert_eq!(
        says(&mut *sandbox, "basename $PWD; diff <(echo a) <(echo a) && echo same").await,
        "pkg\nsame\n"
    );
    assert_eq!(sandbox.read("a.txt").await.unwrap(), FileRead::File(b"one\n".to_vec()));
    assert_eq!(sandbox.write("new/file", b"bytes").await.unwrap(), FileWrite::Written);
    let outside = tree.path().join("a.txt");
    assert!(matches!(sandbox.read(&outside.to_string_lossy()).await.unwrap(), FileRead::Refused(_)));
    assert!(matches!(sandbox.write("/tmp/x", b"").await.unwrap(), FileWrite::Refused(_)));
    let mut child = sandbox.fork().await.unwrap();
    assert_eq!(
        says(&mut *child, "basename $PWD; echo $A; cat ../new/file; rm ../a.txt; ls $TMPDIR").await,
        "pkg\n1\nbytest\n"
    );
    assert_eq!(says(&mut *sandbox, "cat ../a.txt").await, "one\n");
    let paths: Vec<String> = child.changes().await.unwrap().into_iter().map(|change| change.path).collect();
    assert_eq!(paths, ["a.txt", "new/file"]);
    child.stop().await.unwrap();
    sandbox.stop().await.unwrap();
    assert_eq!(entries(scratch.path()), 0);
    assert_eq!(fs_err::read_to_string(tree.path().join("a.txt")).unwrap(), "one\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_out_of_reach() {
    let Some((backend, _scratch)) = available(Isolation::AcceptWeaker).await else { return };
    let tree = tree();
    let mut sandbox = started(&backend, tree.path()).await;
    let tree_file = tree.path().join("a.txt");
    for script in [
        "cat /etc/shadow".to_owned(),
        "ls /root".to_owned(),
        "ls /home".to_owned(),
        "touch /tmp/apprentice-escape".to_owned(),
        format!("cat {}", tree_file.display()),
        format!("kill -9 {}", std::process::id()),
        format!("cat /proc/{}/environ", std::process::id()),
        "exec 3<>/dev/tcp/127.0.0.1/22".to_owned(),
        "unshare -Ur true".to_owned(),
    ] {
        let observation = run_for(&mut *sandbox, &script, 5.0, Session::Carried).await;
        assert_ne!(observation.exit, Some(Exit::Code(0)), "{script}: {}", observation.output);
    }
    sandbox.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_hosts_that_cannot_be_held_is_a_refusal_with_a_remedy() {
    let Some((backend, _scratch)) = available(Isolation::AcceptWeaker).await else { return };
    let list = vec!["pypi.org".to_owned()].try_into().unwrap();
    let spec = SandboxSpec { network: Network::Allow(list), ..spec() };
    match backend.start(&Start { spec: &spec, tree: None }).await.map(drop) {
        Err(error @ SandboxError::Unavailable { .. }) => {
            assert!(error.hint().unwrap().contains("network: none"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_fresh_commands_and_the_end_leave_no_process() {
    let Some((backend, _scratch)) = available(Isolation::AcceptWeaker).await else { return };
    let tree = tree();
    let mut sandbox = started(&backend, tree.path()).await;
    let mark = |number: u32| format!("{}.5", 5000 + 10 * std::process::id() + number);
    let late = format!("setsid sleep {} & sleep 60", mark(1));
    assert_eq!(run_for(&mut *sandbox, &late, 0.5, Session::Carried).await.exit, Some(Exit::TimedOut));
    assert_eq!(running(&mark(1)), 0);
    let bomb = "b() { b | b & b; }; b";
    assert!(run_for(&mut *sandbox, bomb, 1.0, Session::Carried).await.exit.is_some());
    run_for(&mut *sandbox, &format!("setsid sleep {} & true", mark(2)), 5.0, Session::Fresh).await;
    assert_eq!(running(&mark(2)), 0);
    says(&mut *sandbox, &format!("setsid sleep {} & true", mark(3))).await;
    assert_eq!(running(&mark(3)), 1);
    drop(sandbox);
    let start = std::time::Instant::now();
    while running(&mark(3)) > 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "a process remains");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn running(mark: &str) -> usize {
    let line = format!("sleep\0{mark}\0");
    let runs = |entry: &std::fs::DirEntry| {
        fs_err::read_to_string(entry.path().join("cmdline")).is_ok_and(|found| found == line)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(runs).count()
}

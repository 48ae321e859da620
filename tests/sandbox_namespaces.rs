//! Attacks and promises of sandboxes in namespaces, run for real.
//!
//! Where the host refuses namespaces they print `skipped:`, and fail under `APPRENTICE_REQUIRE=namespaces`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says that it was skipped"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use apprentice::isolation::{Isolation, Limits, Network};
use apprentice::patch::Mode;
use apprentice::sandbox::namespaces::Namespaces;
use apprentice::sandbox::spec::{self, SandboxSpec};
use apprentice::sandbox::{Backend, Exec, FileRead, FileWrite, Sandbox, Session, Start};
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
        env: [("GREETING".to_owned(), "hello there".to_owned())].into(),
        limits: Limits { memory_mib: 256, pids: 64, disk_mib: 128, ..Limits::default() },
        file: None,
    }
}

/// A backend, or `None` where this host refuses namespaces.
async fn available() -> Option<Namespaces> {
    let exe = PathBuf::from(env!("CARGO_BIN_EXE_apprentice"));
    let backend = Namespaces::new(exe, Isolation::AcceptWeaker);
    match backend.probe().await {
        Ok(_) => Some(backend),
        Err(error) => {
            let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
            assert!(!required.contains("namespaces"), "namespaces are required here: {error:?}");
            println!("skipped: {error}");
            None
        }
    }
}

/// A repository at its starting point.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write("a.txt", "one\n");
    write("b.txt", "two\n");
    write("pkg/mod.py", "x = 1\n");
    write("pkg/other.py", "y = 1\n");
    write("old/deep/gone.txt", "bye\n");
    write(".git/HEAD", "ref: refs/heads/main\n");
    dir
}

async fn started(backend: &Namespaces, tree: &Path) -> Box<dyn Sandbox> {
    backend.start(&Start { spec: &spec(), tree: Some(tree) }).await.unwrap()
}

async fn run(sandbox: &mut dyn Sandbox, script: &str) -> Observation {
    run_for(sandbox, script, 20.0, Session::Carried).await
}

async fn run_for(sandbox: &mut dyn Sandbox, script: &str, seconds: f64, session: Session) -> Observation {
    let timeout = Duration::from_secs_f64(seconds);
    sandbox.exec(&Exec { session, ..Exec::new(script, timeout, 10_000) }).await.unwrap()
}

async fn says(sandbox: &mut dyn Sandbox, script: &str) -> String {
    run(sandbox, script).await.output
}

macro_rules! sandboxed {
    ($name:ident, |$sandbox:ident| $body:block) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let Some(backend) = available().await else { return };
            let tree = tree();
            let mut owned = started(&backend, tree.path()).await;
            let $sandbox = &mut *owned;
            $body
            owned.stop().await.unwrap();
        }
    };
}

sandboxed!(commands_run_in_the_work_directory_with_their_own_environment, |sandbox| {
    let said = says(sandbox, "pwd; cat a.txt; echo $GREETING; echo err >&2").await;
    assert_eq!(said, "/testbed\none\nhello there\nerr\n");
    assert_eq!(says(sandbox, "whoami; echo $HOME; cd ~ && touch x && ls").await, "agent\n/home/agent\nx\n");
    assert_eq!(says(sandbox, "cd; cat; yes | head -1; env | grep -c CARGO").await, "y\n0\n");
});

sandboxed!(exits_and_messages_are_those_of_bash, |sandbox| {
    assert_eq!(run(sandbox, "exit 7").await.exit, Some(Exit::Code(7)));
    assert_eq!(run(sandbox, "kill -SEGV $$").await.exit, Some(Exit::Signal(11)));
    let unknown = run(sandbox, "no-such-command").await;
    assert_eq!(unknown.output, "bash: line 1: no-such-command: command not found\n");
    assert_eq!(unknown.exit, Some(Exit::Code(127)));
});

sandboxed!(directory_variables_and_functions_carry_and_fresh_ignores_them, |sandbox| {
    run(sandbox, "cd pkg; export A=1; f() { echo f$A; }").await;
    assert_eq!(says(sandbox, "pwd; f").await, "/testbed/pkg\nf1\n");
    let fresh = run_for(sandbox, "pwd; echo ${A-none}", 5.0, Session::Fresh).await;
    assert_eq!(fresh.output, "/testbed\nnone\n");
});

sandboxed!(scripts_of_ten_megabytes_run, |sandbox| {
    let script = format!(": '{}'\necho done", "x".repeat(10 << 20));
    assert_eq!(says(sandbox, &script).await, "done\n");
});

sandboxed!(output_keeps_its_first_and_last_half, |sandbox| {
    let observation = run(sandbox, "seq 1 1000000").await;
    assert!(observation.output.starts_with("1\n2\n") && observation.output.ends_with("999999\n1000000\n"));
    assert!(observation.output.len() < 10_100);
    assert_eq!(observation.omitted_bytes, 6_888_896 - 10_000);
});

sandboxed!(deadline_kills_a_grandchild_that_left_its_session, |sandbox| {
    let script = "setsid sh -c 'trap \"\" TERM HUP; while :; do date +%s%N > /tmp/alive; done' & sleep 60";
    let start = Instant::now();
    let observation = run_for(sandbox, script, 0.5, Session::Carried).await;
    assert_eq!(observation.exit, Some(Exit::TimedOut));
    assert!(start.elapsed() < Duration::from_secs(5));
    let said =
        says(sandbox, "a=$(cat /tmp/alive); sleep 0.2; [ \"$a\" = \"$(cat /tmp/alive)\" ] && echo same")
            .await;
    assert_eq!(said, "same\n");
    assert_eq!(says(sandbox, "pgrep -c sh; :").await, "1\n", "only this shell runs");
});

sandboxed!(background_processes_outlive_carried_commands_but_not_fresh_ones, |sandbox| {
    let start = Instant::now();
    assert_eq!(says(sandbox, "sleep 77 & echo started").await, "started\n");
    run_for(sandbox, "nohup setsid sleep 78 & true", 5.0, Session::Fresh).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(says(sandbox, "pgrep -fa '^sleep 7' | cut -d' ' -f2-").await, "sleep 77\n");
});

sandboxed!(host_secrets_are_not_there, |sandbox| {
    for path in [
        "/etc/shadow",
        "/root/.bashrc",
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/sys/kernel",
        "/var/log",
    ] {
        let seen = says(sandbox, &format!("cat {path} 2>&1")).await;
        assert!(seen.contains("No such file"), "{path}: {seen}");
    }
    assert_eq!(
        says(sandbox, "ls -A /home; ls -A /tmp /var/tmp /dev/shm | tr -d '\\n'").await,
        "agent\n/dev/shm:/tmp:/var/tmp:"
    );
    let host = std::process::id();
    // In a container this process may be number 1, which every sandbox has too.
    let signalled = says(sandbox, &format!("kill -0 {host} 2>&1")).await;
    assert!(host == 1 || signalled.contains("No such process"), "{signalled}");
    assert!(says(sandbox, "ls /proc/1/fd 2>&1").await.contains("denied"));
    assert!(says(sandbox, "kill -9 1; kill -0 1 && echo lives").await.contains("lives"));
});

sandboxed!(only_the_own_loopback_is_reachable, |sandbox| {
    assert!(says(sandbox, "exec 3<>/dev/tcp/192.0.2.1/80").await.contains("unreachable"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(says(sandbox, &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")).await.contains("refused"));
    let own = "import socket\ns = socket.create_server(('127.0.0.1', 0))\nsocket.create_connection(s.getsockname())\nprint('ok')";
    assert_eq!(says(sandbox, &format!("/usr/bin/python3 -c \"{own}\"")).await, "ok\n");
});

sandboxed!(host_files_cannot_be_written_and_privileges_not_regained, |sandbox| {
    let attacks = [
        "touch /usr/x",
        "touch /etc/x",
        "touch /x",
        "mount -t tmpfs x /tmp",
        "unshare -Ur true",
        "chroot / true",
        "mknod /tmp/n c 1 3",
        "echo x > /proc/sys/kernel/core_pattern",
    ];
    for script in attacks {
        let observation = run(sandbox, script).await;
        assert_ne!(observation.exit, Some(Exit::Code(0)), "{script}: {}", observation.output);
        assert_ne!(observation.exit, Some(Exit::Code(127)), "{script}: {}", observation.output);
    }
    let status = says(sandbox, "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status").await;
    let none = "0000000000000000";
    assert_eq!(status, format!("CapEff:\t{none}\nCapBnd:\t{none}\nNoNewPrivs:\t1\nSeccomp:\t2\n"));
});

sandboxed!(bombs_are_contained, |sandbox| {
    let forks = run_for(sandbox, "b() { b | b & b; }; b", 2.0, Session::Carried).await;
    assert!(forks.exit.is_some());
    let after = run_for(sandbox, "true", 5.0, Session::Fresh).await;
    assert!(after.exit.is_some());
    let memory = run(sandbox, "/usr/bin/python3 -c 'x = bytearray(1 << 31)'").await;
    assert!(matches!(memory.exit, Some(Exit::OutOfMemory | Exit::Code(1))), "{memory:?}");
    let disk = run(sandbox, "head -c 1G /dev/zero > big; rm -f big").await;
    let disk_2 = run(sandbox, "head -c 1G /dev/zero > /tmp/big; rm /tmp/big").await;
    for disk in [disk, disk_2] {
        let full = disk.output.contains("No space left") || disk.output.contains("File size limit");
        assert!(full || disk.exit == Some(Exit::OutOfMemory), "{disk:?}");
    }
    assert_eq!(says(sandbox, "echo still here").await, "still here\n");
});

sandboxed!(changes_are_what_differs_from_the_tree, |sandbox| {
    run(sandbox, "echo 1 >> a.txt; rm b.txt; rm -r old; mkdir old; echo n > old/new; chmod +x pkg/mod.py")
        .await;
    run(sandbox, "ln -s /etc/shadow link; echo g > .git/x; touch pkg/other.py; mkfifo pipe").await;
    let changes = sandbox.changes().await.unwrap();
    let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["a.txt", "b.txt", "link", "old/deep/gone.txt", "old/new", "pkg/mod.py"]);
    assert_eq!(changes[0].after.as_ref().unwrap().bytes, b"one\n1\n");
    assert_eq!(changes[1].after, None);
    assert_eq!(changes[2].after.as_ref().unwrap().bytes, b"/etc/shadow");
    assert_eq!(changes[3].before.as_ref().unwrap().bytes, b"bye\n");
    assert_eq!(changes[5].after.as_ref().unwrap().mode, Mode::Executable);
});

sandboxed!(files_are_read_and_written_inside_only, |sandbox| {
    assert_eq!(sandbox.read("a.txt").await.unwrap(), FileRead::File(b"one\n".to_vec()));
    assert_eq!(sandbox.read("pkg").await.unwrap(), FileRead::Directory);
    assert_eq!(sandbox.read("none/at/all").await.unwrap(), FileRead::Missing);
    assert_eq!(sandbox.read("a.txt/below").await.unwrap(), FileRead::Missing);
    run(sandbox, "ln -s ../../../../etc/shadow up; mkfifo pipe; echo '#!' > run.sh; chmod 755 run.sh").await;
    assert_eq!(sandbox.read("up").await.unwrap(), FileRead::Missing);
    assert!(matches!(sandbox.read("pipe").await.unwrap(), FileRead::Refused(_)));
    assert!(matches!(sandbox.read("/proc/1/root/a").await.unwrap(), FileRead::Refused(_)));
    assert_eq!(sandbox.write("new/dir/file", b"bytes\0").await.unwrap(), FileWrite::Written);
    assert_eq!(sandbox.read("/testbed/new/dir/file").await.unwrap(), FileRead::File(b"bytes\0".to_vec()));
    assert_eq!(sandbox.write("/tmp/x", b"t").await.unwrap(), FileWrite::Written);
    assert_eq!(sandbox.write("run.sh", b"echo ran").await.unwrap(), FileWrite::Written);
    assert_eq!(says(sandbox, "cat /tmp/x; ./run.sh; stat -c %U new/dir/file").await, "tran\nagent\n");
    assert!(matches!(sandbox.write("/usr/x", b"").await.unwrap(), FileWrite::Refused(_)));
    assert!(matches!(sandbox.write("pkg", b"").await.unwrap(), FileWrite::Refused(_)));
});

sandboxed!(forks_start_from_the_parents_state_and_go_their_own_ways, |sandbox| {
    run(sandbox, "rm b.txt; rm -r old; mkdir old; echo n > old/new; echo t > /tmp/t; sleep 99 &").await;
    run(sandbox, "cd pkg; export A=1; f() { echo f; }").await;
    let mut child = sandbox.fork().await.unwrap();
    let said = says(&mut *child, "pwd; echo $A; f; cat /tmp/t; ls .. ../old; pgrep sleep").await;
    assert_eq!(said, "/testbed/pkg\n1\nf\nt\n..:\na.txt\nold\npkg\n\n../old:\nnew\n");
    run(&mut *child, "echo child > ../a.txt; rm /tmp/t").await;
    run(sandbox, "echo parent > ../c.txt").await;
    assert_eq!(says(sandbox, "cat ../a.txt /tmp/t").await, "one\nt\n");
    assert_eq!(says(&mut *child, "ls ../c.txt 2>&1 | wc -l; cat ../a.txt").await, "1\nchild\n");
    let changes = child.changes().await.unwrap();
    let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["a.txt", "b.txt", "old/deep/gone.txt", "old/new"]);
    let mut grandchild = child.fork().await.unwrap();
    child.stop().await.unwrap();
    assert_eq!(says(&mut *grandchild, "cat ../a.txt; ls ../old").await, "child\nnew\n");
    grandchild.stop().await.unwrap();
});

#[tokio::test(flavor = "multi_thread")]
async fn stop_and_drop_leave_no_process_mount_or_group() {
    let Some(backend) = available().await else { return };
    let tree = tree();
    let mut stopped = started(&backend, tree.path()).await;
    let mut dropped = started(&backend, tree.path()).await;
    let ids = [stopped.id().to_owned(), dropped.id().to_owned()];
    let mark = format!("{}.25", 4000 + std::process::id());
    for sandbox in [&mut stopped, &mut dropped] {
        run(&mut **sandbox, &format!("setsid sleep {mark} & true")).await;
    }
    assert_eq!(running(&mark), 2);
    stopped.stop().await.unwrap();
    assert_eq!(running(&mark), 1);
    drop(dropped);
    let start = Instant::now();
    while running(&mark) > 0 || ids.iter().any(|id| group_exists(id)) {
        assert!(start.elapsed() < Duration::from_secs(5), "something of {ids:?} remains");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("testbed"));
}

fn running(mark: &str) -> usize {
    let line = format!("sleep\0{mark}\0");
    let runs = |entry: &std::fs::DirEntry| {
        fs_err::read_to_string(entry.path().join("cmdline")).is_ok_and(|found| found == line)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(runs).count()
}

fn group_exists(id: &str) -> bool {
    let name = format!("apprentice-{id}");
    let found = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-maxdepth", "6", "-type", "d", "-name", &name])
        .output()
        .unwrap();
    !found.stdout.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sandboxes_run_at_once() {
    let Some(backend) = available().await else { return };
    let tree = tree();
    let (backend, path) = (&backend, tree.path());
    let one = |number: usize| async move {
        let mut sandbox = started(backend, path).await;
        let said = says(&mut *sandbox, &format!("echo {number} > n; sleep 0.1; cat n")).await;
        sandbox.stop().await.unwrap();
        said
    };
    let said = futures_util::future::join_all((0..8).map(one)).await;
    let expected: Vec<String> = (0..8).map(|number| format!("{number}\n")).collect();
    assert_eq!(said, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_root_replaces_the_hosts() {
    let Some(backend) = available().await else { return };
    let root = tempfile::tempdir().unwrap();
    let host = |path: &str| root.path().join(path);
    for directory in ["bin", "etc", "testbed"] {
        fs_err::create_dir_all(host(directory)).unwrap();
    }
    fs_err::write(host("etc/mark"), "mine\n").unwrap();
    fs_err::write(host("testbed/inside"), "from the root\n").unwrap();
    let spec = SandboxSpec { host: false, ..spec() };
    let backend = backend.with_rootfs("test", root.path().to_owned());
    let mut sandbox = backend.start(&Start { spec: &spec, tree: None }).await.unwrap();
    assert_eq!(sandbox.read("/etc/mark").await.unwrap(), FileRead::File(b"mine\n".to_vec()));
    assert_eq!(sandbox.read("inside").await.unwrap(), FileRead::File(b"from the root\n".to_vec()));
    assert_eq!(sandbox.read("/usr/bin/env").await.unwrap(), FileRead::Missing);
    assert_eq!(sandbox.write("inside", b"changed").await.unwrap(), FileWrite::Written);
    assert_eq!(sandbox.changes().await.unwrap().len(), 1);
    assert_eq!(fs_err::read_to_string(host("testbed/inside")).unwrap(), "from the root\n");
    sandbox.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_several_owners_is_copied_and_can_be_written() {
    let Some(backend) = available().await else { return };
    let tree = tree();
    if std::os::unix::fs::chown(tree.path().join("a.txt"), Some(54_321), Some(54_321)).is_err() {
        println!("skipped: only root can give files away");
        return;
    }
    let mut sandbox = started(&backend, tree.path()).await;
    let said =
        says(&mut *sandbox, "echo more >> a.txt; rm b.txt; cat a.txt; stat -c %U a.txt pkg/mod.py .").await;
    assert_eq!(said, "one\nmore\nagent\nagent\nagent\n");
    let mut child = sandbox.fork().await.unwrap();
    assert_eq!(says(&mut *child, "cat a.txt; echo again >> a.txt").await, "one\nmore\n");
    let changes = sandbox.changes().await.unwrap();
    let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["a.txt", "b.txt"]);
    child.stop().await.unwrap();
    sandbox.stop().await.unwrap();
    assert_eq!(fs_err::read_to_string(tree.path().join("a.txt")).unwrap(), "one\n");
}

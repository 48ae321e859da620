//! What is done once, what is done again, and what every sandbox finds.

use futures_util::future::join_all;

use super::*;
use crate::sandbox::scripted::{Reply, ScriptedBackend};
use crate::trajectory::Observation;

const YAML: &str = "format: apprentice.task/1\nid: t\nkind: code\nproblem: p\nsandbox: shell\nrepo: {path: repo}\n\
                    setup: [install]\ntests: {command: check, parser: tap, fail_to_pass: [a]}\n";

struct Bench {
    dir: tempfile::TempDir,
    backend: ScriptedBackend,
    spec: SandboxSpec,
    task: Task,
    workspace: Workspace,
}

impl Bench {
    /// A bench whose set-up gives this.
    fn new(observation: Observation) -> Self {
        let installed = Reply::Observe { observation, writes: vec![("made".to_owned(), b"m\n".to_vec())] };
        Self {
            dir: tempfile::tempdir().unwrap(),
            backend: ScriptedBackend::new([("install", installed)]),
            spec: SandboxSpec::load("shell", Path::new("no directory")).unwrap(),
            task: Task::parse(YAML, "t").unwrap(),
            workspace: Workspace { tree: None, identity: "one".to_owned() },
        }
    }

    fn ready(&self) -> Ready {
        Ready::below(self.dir.path())
    }

    fn order(&self) -> Order<'_> {
        Order { backend: &self.backend, spec: &self.spec, task: &self.task, workspace: &self.workspace }
    }

    /// How many sandboxes of `count` starts did the set-up: each such one is one start more.
    async fn n_started(&self, ready: &Ready, count: usize) -> u64 {
        let (order, before) = (self.order(), self.backend.n_started());
        for sandbox in join_all((0..count).map(|_| ready.start(&order))).await {
            let mut sandbox = sandbox.unwrap();
            let changes = sandbox.changes().await.unwrap();
            assert_eq!(changes.iter().map(|change| change.path.as_str()).collect::<Vec<_>>(), ["made"]);
        }
        self.backend.n_started() - before
    }
}

#[tokio::test]
async fn many_at_once_and_a_later_process_share_one_set_up() {
    let bench = Bench::new(Observation::new("", 0));
    assert_eq!(bench.n_started(&bench.ready(), 8).await, 9);
    assert_eq!(bench.n_started(&bench.ready(), 3).await, 3);
}

#[tokio::test]
async fn another_repository_or_sandbox_or_command_is_another_start() {
    let mut bench = Bench::new(Observation::new("", 0));
    assert_eq!(bench.n_started(&bench.ready(), 1).await, 2);
    bench.workspace.identity = "two".to_owned();
    assert_eq!(bench.n_started(&bench.ready(), 1).await, 2);
    bench.spec.user = "root".to_owned();
    assert_eq!(bench.n_started(&bench.ready(), 1).await, 2);
    bench.task.setup.push("install".to_owned());
    assert_eq!(bench.n_started(&bench.ready(), 1).await, 2);
    assert_eq!(bench.n_started(&bench.ready(), 1).await, 1);
}

#[tokio::test]
async fn a_set_up_that_fails_is_an_error_and_not_kept() {
    let bench = Bench::new(Observation::new("no such package\n", 3));
    for n_started in 1..=2 {
        let error = bench.ready().start(&bench.order()).await.err().unwrap();
        assert!(matches!(&error, SandboxError::SetUp { reason, .. } if reason.ends_with("no such package")));
        assert_eq!(bench.backend.n_started(), n_started);
    }
}

#[tokio::test]
async fn a_set_up_that_leaves_a_process_is_done_in_every_sandbox() {
    let daemon = Observation { background: vec!["server --listen".to_owned()], ..Observation::new("", 0) };
    let bench = Bench::new(daemon);
    let said = std::sync::Arc::new(Mutex::new(Vec::new()));
    let ready = bench.ready().telling({
        let said = said.clone();
        move |line| said.lock().unwrap().push(line.to_owned())
    });
    assert_eq!(bench.n_started(&ready, 3).await, 3);
    assert_eq!(
        *said.lock().unwrap(),
        ["      Set up t in every sandbox: it leaves a process running, `server --listen`"]
    );
}

#[tokio::test]
async fn nothing_is_kept_where_that_is_turned_off() {
    let bench = Bench::new(Observation::new("", 0));
    assert_eq!(bench.n_started(&Ready::anew(), 3).await, 3);
    assert_eq!(fs_err::read_dir(bench.dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_to_costs_time_and_a_warning_only() {
    let bench = Bench::new(Observation::new("", 0));
    // A file in place of a directory refuses root, too.
    fs_err::create_dir(bench.dir.path().join("starts")).unwrap();
    fs_err::write(bench.dir.path().join("starts/locks"), "").unwrap();
    let said = std::sync::Arc::new(Mutex::new(Vec::new()));
    let ready = bench.ready().telling({
        let said = said.clone();
        move |line| said.lock().unwrap().push(line.to_owned())
    });
    assert_eq!(bench.n_started(&ready, 3).await, 3);
    let said = said.lock().unwrap();
    assert!(
        matches!(&said[..], [line] if line.starts_with("warning: the set-up of t is not kept: ")),
        "{said:?}"
    );
}

//! Many replays and audits over sandboxes that are lost, or that cannot be forked: never a result, never an accusation.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use apprentice::audit::{self, Case, Verdict};
use apprentice::isolation::Protection;
use apprentice::ready::Ready;
use apprentice::replay::{self, Options, Ran, Work};
use apprentice::sandbox::scripted::{Reply, ScriptedBackend};
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::sandbox::tree::Compared;
use apprentice::sandbox::{Backend, Exec, FileRead, FileWrite, Sandbox, SandboxError, Start};
use apprentice::task::{LoadedTask, Task};
use apprentice::trajectory::{Action, End, FORMAT, Observation, Source, Step, Trajectory};
use async_trait::async_trait;

const YAML: &str = "format: apprentice.task/1\nid: t\nkind: code\nproblem: p\nsandbox: shell\nrepo: {path: repo}\n\
                    tests: {command: check, parser: tap, fail_to_pass: [a], pass_to_pass: [b]}\n";
const PATCH: &str = "diff --git a/file b/file\n--- a/file\n+++ b/file\n@@ -1 +1 @@\n-text\n+better\n";

struct Desk {
    dir: tempfile::TempDir,
    task: Arc<LoadedTask>,
    spec: Arc<SandboxSpec>,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("t/repo")).unwrap();
        fs_err::write(dir.path().join("t/repo/file"), "text\n").unwrap();
        let task = LoadedTask { task: Task::parse(YAML, "t").unwrap(), dir: dir.path().join("t") };
        let spec = SandboxSpec::load("shell", std::path::Path::new("no directory")).unwrap();
        Self { dir, task: Arc::new(task), spec: Arc::new(spec) }
    }

    fn options(&self) -> Options {
        let cache = self.dir.path().join("cache");
        Options { ready: Arc::new(Ready::below(&cache)), cache, parallel: 2 }
    }

    /// A trajectory for each list of commands; each prints its own name.
    fn works(&self, backend: &Arc<dyn Backend>, lists: &[&str]) -> Vec<Work> {
        let of = |(at, list): (usize, &&str)| {
            let step = |command| {
                Step::new("", Action::bash(command)).seeing(Observation::recorded(format!("{command}\n")))
            };
            let trajectory = Trajectory {
                format: FORMAT.to_owned(),
                id: at.to_string(),
                task: "t".to_owned(),
                source: Source::default(),
                problem: None,
                steps: list.split(' ').map(step).chain([Step::new("", Action::Submit)]).collect(),
                end: End::Submitted,
                patch: Some(PATCH.to_owned()),
                answer: None,
                resolved: Some(true),
            };
            let (task, spec) = (Arc::clone(&self.task), Arc::clone(&self.spec));
            Work { trajectory: Arc::new(trajectory), task, spec, backend: Arc::clone(backend) }
        };
        lists.iter().enumerate().map(of).collect()
    }
}

fn scripted() -> ScriptedBackend {
    let prints = |name: &str| (name.to_owned(), Reply::from(Observation::new(format!("{name}\n"), 0)));
    let writes = Reply::Observe {
        observation: Observation::new("w\n", 0),
        writes: vec![("file".to_owned(), b"better\n".to_vec())],
    };
    let tests = Reply::from(Observation::new("not ok 1 - a\nok 2 - b\n", 0));
    let replies = ["a", "b", "c", "d"].map(prints);
    let replies = replies.into_iter().chain([("w".to_owned(), writes), ("check".to_owned(), tests)]);
    // How a grader makes way for the files that it writes then; over files in memory nothing is in the way.
    ScriptedBackend::new(replies).answering("set -e\nway() {", Reply::from(Observation::new("", 0)))
}

const LISTS: [&str; 4] = ["a b w", "a b c w", "a d", "a b w"];

async fn run(desk: &Desk, backend: Arc<dyn Backend>) -> (Vec<Ran>, Vec<usize>) {
    let mut told = Vec::new();
    let works = desk.works(&backend, &LISTS);
    let ran = replay::run_all(&works, &desk.options(), |number, _| told.push(number)).await;
    (ran, told)
}

#[tokio::test(start_paused = true)]
async fn replays_are_told_in_order_and_share_what_they_begin_with() {
    let (desk, backend) = (Desk::new(), scripted());
    let (ran, told) = run(&desk, Arc::new(backend.clone())).await;
    assert_eq!(told, [0, 1, 2, 3]);
    let ran: Vec<_> = ran.iter().map(|ran| ran.as_ref().unwrap()).collect();
    assert!(ran.iter().all(|replay| replay.first_divergence.is_none()), "{ran:?}");
    assert_eq!(
        ran.iter().map(|replay| replay.patch_matches).collect::<Vec<_>>(),
        [true, true, false, true].map(Some)
    );
    // The first and the last are alike to their ends, submission included.
    assert_eq!(ran.iter().map(|replay| replay.shared_steps).collect::<Vec<_>>(), [4, 2, 1, 4]);
    // One start and two forks.
    assert_eq!(backend.n_started(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_replay_whose_sandbox_is_lost_is_made_again() {
    let desk = Desk::new();
    let timeless = |ran: Vec<Ran>| -> Vec<_> {
        ran.into_iter().map(|ran| replay::Replay { shared_steps: 0, ..ran.unwrap() }).collect()
    };
    let calm = timeless(run(&desk, Arc::new(scripted())).await.0);
    for n_lost in 1..=4 {
        let stormy = timeless(run(&desk, Arc::new(scripted().losing(n_lost))).await.0);
        assert_eq!(stormy, calm, "{n_lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_is_lost_every_time_is_an_error_and_never_an_accusation() {
    let desk = Desk::new();
    let backend: Arc<dyn Backend> = Arc::new(scripted().losing(u64::MAX));
    let (ran, told) = run(&desk, Arc::clone(&backend)).await;
    assert_eq!((ran.iter().filter(|ran| ran.is_err()).count(), told.len()), (4, 4));
    let case = |work: Work| Case { spec: Arc::clone(&work.spec), work };
    let cases: Vec<Case> = desk.works(&backend, &LISTS).into_iter().map(case).collect();
    let audited = audit::audit(&cases, &desk.options(), |_| ()).await;
    assert_eq!(audited.len(), 4);
    for audited in audited {
        assert_eq!((audited.verdict, audited.accused), (Verdict::Unverified, false), "{}", audited.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_label_is_accused_where_the_sandboxes_hold() {
    let desk = Desk::new();
    let backend: Arc<dyn Backend> = Arc::new(scripted());
    let case = |work: Work| Case { spec: Arc::clone(&work.spec), work };
    let cases: Vec<Case> = desk.works(&backend, &LISTS).into_iter().map(case).collect();
    let audited = audit::audit(&cases, &desk.options(), |_| ()).await;
    let verdicts: Vec<Verdict> = audited.iter().map(|audited| audited.verdict).collect();
    let (wrong, other) = (Verdict::LabelWrong, Verdict::PatchNotOfSteps);
    assert_eq!(verdicts, [wrong, wrong, other, wrong]);
}

/// Sandboxes that cannot be forked.
struct Forkless(ScriptedBackend);

struct ForklessSandbox(Box<dyn Sandbox>);

#[async_trait]
impl Backend for Forkless {
    fn name(&self) -> &'static str {
        "forkless"
    }

    async fn probe(&self) -> Result<Protection, SandboxError> {
        self.0.probe().await
    }

    async fn start(&self, start: &Start<'_>) -> Result<Box<dyn Sandbox>, SandboxError> {
        Ok(Box::new(ForklessSandbox(self.0.start(start).await?)))
    }
}

#[async_trait]
impl Sandbox for ForklessSandbox {
    fn id(&self) -> &str {
        self.0.id()
    }

    async fn exec(&mut self, exec: &Exec<'_>) -> Result<Observation, SandboxError> {
        self.0.exec(exec).await
    }

    async fn read(&mut self, path: &str) -> Result<FileRead, SandboxError> {
        self.0.read(path).await
    }

    async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<FileWrite, SandboxError> {
        self.0.write(path, bytes).await
    }

    async fn compare(&mut self) -> Result<Compared, SandboxError> {
        self.0.compare().await
    }

    async fn fork(&mut self) -> Result<Box<dyn Sandbox>, SandboxError> {
        let (backend, hint) = ("forkless", "use another".to_owned());
        Err(SandboxError::Unavailable { backend, reason: "it has no forks".to_owned(), hint })
    }

    async fn stop(self: Box<Self>) -> Result<(), SandboxError> {
        self.0.stop().await
    }
}

#[tokio::test(start_paused = true)]
async fn trajectories_of_sandboxes_without_forks_are_replayed_each_alone() {
    let (desk, backend) = (Desk::new(), scripted());
    let (ran, _) = run(&desk, Arc::new(Forkless(backend.clone()))).await;
    assert!(ran.iter().all(|ran| ran.as_ref().unwrap().first_divergence.is_none()));
    assert!(backend.n_started() <= 4, "{}", backend.n_started());
}

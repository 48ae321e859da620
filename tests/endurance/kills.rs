//! A manager that is killed at any moment leaves nothing that the next manager does not clear up, and the
//! next manager touches nothing of others.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use apprentice::isolation::Isolation;
use apprentice::sandbox::docker::DockerBackend;
use apprentice::sandbox::{Sandbox, SandboxError, Session};
use bollard::Docker;
use futures_util::future::join_all;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::ground::{self, Ground};
use crate::remains::{self, ROUND, Traces};
use crate::{again, number, program};

/// How many sandboxes a manager keeps busy.
const SANDBOXES: usize = 16;
/// Every fourth of them writes to its container's own layer, so that forks make images.
const ON_DISK: usize = 4;
/// How long clearing up may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tells a manager where the repository of its sandboxes is.
const TREE: &str = "ENDURANCE_TREE";
const STARTED: &str = "started";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo test --test endurance -- --ignored --nocapture"]
async fn killed_managers_leave_nothing_in_docker() {
    let Some(ground) = ground::docker().await else { return };
    let docker = connect().await;
    let foreign = Foreign::start(&docker, ground.spec.image.as_ref().unwrap()).await;
    let rounds = Rounds {
        ground,
        docker: Some(docker.clone()),
        manager: "kills::manager_in_docker",
        starting: Duration::from_secs(5),
        longest: Duration::from_secs(12),
    };
    rounds.run(&[Sweeper::Start, Sweeper::Prune]).await;
    assert!(foreign.is_running().await, "a foreign container was touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo test --test endurance -- --ignored --nocapture"]
async fn killed_managers_leave_nothing_in_namespaces() {
    let Some(ground) = ground::namespaces().await else { return };
    let longest = Duration::from_millis(1500);
    // Its containers come and go, and their mounts are not ours.
    let docker = DockerBackend::connect(Isolation::Full).await.ok().map(|backend| backend.docker().clone());
    let starting = Duration::from_millis(150);
    let manager = "kills::manager_in_namespaces";
    let rounds = Rounds { ground, docker, manager, starting, longest };
    rounds.run(&[Sweeper::Run]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the manager that the others kill"]
async fn manager_in_docker() {
    if let Some(tree) = tree_of_manager() {
        let (memory, disk) = (ground::docker().await.unwrap(), ground::docker_on_disk().await.unwrap());
        keep_busy([memory, disk], &tree).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the manager that the others kill"]
async fn manager_in_namespaces() {
    if let Some(tree) = tree_of_manager() {
        let grounds = [ground::namespaces().await.unwrap(), ground::namespaces().await.unwrap()];
        keep_busy(grounds, &tree).await;
    }
}

fn tree_of_manager() -> Option<PathBuf> {
    let tree = std::env::var_os(TREE).map(PathBuf::from);
    if tree.is_none() {
        println!("skipped: only the tests of killed managers start this");
    }
    tree
}

/// Starts all sandboxes at once and never ends.
async fn keep_busy(mut grounds: [Ground; 2], tree: &Path) {
    let round = std::env::var(ROUND).unwrap();
    for ground in &mut grounds {
        ground.spec.env.insert(ROUND.to_owned(), round.clone());
    }
    let sandboxes = (0..SANDBOXES).map(|idx| {
        let ground = &grounds[usize::from(idx % ON_DISK == ON_DISK - 1)];
        async move {
            let mut sandbox = ground.start_at(tree).await;
            println!("{STARTED}");
            for turn in 0.. {
                work(&mut sandbox, turn).await.unwrap();
            }
        }
    });
    join_all(sandboxes).await;
}

/// Commands of both kinds, background processes, writes and forks.
async fn work(sandbox: &mut Box<dyn Sandbox>, turn: usize) -> Result<(), SandboxError> {
    let carried = "export TURN=$((TURN + 1)); cd /tmp; setsid sleep 900 & sleep 900 & echo $TURN > turn-$TURN; \
                   (sleep 0.05; echo late >> late) & sleep 0.1";
    sandbox.exec(&ground::command(carried)).await?;
    let fresh = apprentice::sandbox::Exec {
        session: Session::Fresh,
        ..ground::command("seq 3000 | sort -r | head -n 1; (setsid sleep 900 &)")
    };
    sandbox.exec(&fresh).await?;
    sandbox.write("written", &vec![b'x'; 64 << 10]).await?;
    if turn % 3 == 1 {
        let mut fork = sandbox.fork().await?;
        fork.exec(&ground::command("cat written | wc -c; sleep 900 & echo $TURN")).await?;
        fork.stop().await?;
    }
    Ok(())
}

/// How the next manager comes.
#[derive(Debug, Clone, Copy)]
enum Sweeper {
    /// A backend of this process starts a sandbox.
    Start,
    /// `apprentice sandbox prune`.
    Prune,
    /// `apprentice sandbox run`, in namespaces.
    Run,
}

struct Rounds {
    ground: Ground,
    docker: Option<Docker>,
    /// The test that is the manager.
    manager: &'static str,
    /// About how long all its sandboxes take to start; half of the kills come before.
    starting: Duration,
    /// The latest moment of a kill.
    longest: Duration,
}

impl Rounds {
    async fn run(&self, sweepers: &[Sweeper]) {
        let (kills, seed) = (number("APPRENTICE_KILLS", 100), number("APPRENTICE_SEED", 0));
        println!("{}: {kills} kills, APPRENTICE_SEED={seed}", self.manager);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let tree = ground::tree(&[("file", b"text\n"), ("src/program.sh", b"echo program\n")]);
        let mut ours = self.ground.start_at(tree.path()).await;
        let (mut worst, mut running) = (Duration::ZERO, Vec::new());
        for round in 0..kills {
            let latest = if random.random_bool(0.5) { self.starting } else { self.longest };
            let delay = latest.mul_f64(random.random_range(0.02..1.0));
            let sweeper = sweepers[round as usize % sweepers.len()];
            let (n_running, took) = self.round(&format!("{seed}-{round}"), delay, sweeper, tree.path()).await;
            let said = ground::output(&mut ours, "echo alive").await;
            assert_eq!(said, "alive\n", "the sandbox of a living manager was touched");
            worst = worst.max(took);
            running.push(n_running);
        }
        ours.stop().await.unwrap();
        let starting = running.iter().filter(|n| **n < SANDBOXES).count();
        println!(
            "{}: {kills} kills ({starting} while starting, {} when all were busy), clean after at most {:.1} s",
            self.manager,
            running.len() - starting,
            worst.as_secs_f64()
        );
    }

    /// Kills one manager; gives how many sandboxes it had started, and how long clearing up took.
    async fn round(&self, round: &str, delay: Duration, sweeper: Sweeper, tree: &Path) -> (usize, Duration) {
        let room = tempfile::tempdir().unwrap();
        let mounts = remains::mounts();
        let mut manager = Manager::start(self.manager, round, tree, room.path());
        tokio::time::sleep(delay).await;
        let descendants = remains::descendants(manager.child.id());
        let n_running = manager.kill();
        let begin = Instant::now();
        let pid = manager.child.id();
        let docker = self.docker.as_ref();
        let round = round.to_owned();
        let traces = Traces { docker, pid, round, descendants, mounts, room: room.path() };
        let at_once = traces.remains().await.counts();
        self.sweep(sweeper, tree).await;
        let mut left = traces.remains().await;
        while !left.is_empty() {
            assert!(begin.elapsed() < PATIENCE, "left {} s after the kill: {left:#?}", PATIENCE.as_secs());
            tokio::time::sleep(Duration::from_millis(50)).await;
            left = traces.remains().await;
        }
        let took = begin.elapsed();
        println!(
            "round {}: killed after {:.2} s with {n_running} running; at once {at_once:?} (containers, images, \
             processes, groups, mounts, files); {sweeper:?}: clean after {:.2} s",
            traces.round,
            delay.as_secs_f64(),
            took.as_secs_f64()
        );
        (n_running, took)
    }

    async fn sweep(&self, sweeper: Sweeper, tree: &Path) {
        let arguments: &[&str] = match sweeper {
            Sweeper::Start => {
                let next = ground::docker().await.unwrap();
                return next.start_at(tree).await.stop().await.unwrap();
            }
            Sweeper::Prune => &["sandbox", "prune"],
            Sweeper::Run => &[
                "sandbox",
                "run",
                "shell",
                "--sandbox",
                "namespaces",
                "--accept-weaker-isolation",
                "--",
                "true",
            ],
        };
        let done = tokio::process::Command::new(program()).args(arguments).output().await.unwrap();
        assert!(done.status.success(), "{sweeper:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// A process with sandboxes.
struct Manager {
    child: Child,
    n_running: Arc<AtomicUsize>,
}

impl Manager {
    fn start(test: &str, round: &str, tree: &Path, room: &Path) -> Self {
        let mut command = again(test, room);
        command.env(TREE, tree).env(ROUND, round);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let n_running = Arc::new(AtomicUsize::new(0));
        let counter = n_running.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The first may stand behind what the harness says.
                counter.fetch_add(line.matches(STARTED).count(), Ordering::Relaxed);
            }
        });
        Self { child, n_running }
    }

    /// Kills it; gives how many sandboxes it had started.
    fn kill(&mut self) -> usize {
        assert_eq!(self.child.try_wait().unwrap(), None, "the manager ended by itself");
        self.child.kill().unwrap();
        let n_running = self.n_running.load(Ordering::Relaxed);
        self.child.wait().unwrap();
        n_running
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // It may have been killed already, as planned.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) async fn connect() -> Docker {
    DockerBackend::connect(Isolation::Full).await.unwrap().docker().clone()
}

/// A container of the same image that is none of ours.
struct Foreign {
    docker: Docker,
    name: String,
}

impl Foreign {
    async fn start(docker: &Docker, image: &str) -> Self {
        let name = format!("endurance-foreign-{}", std::process::id());
        let options = bollard::query_parameters::CreateContainerOptions {
            name: Some(name.clone()),
            ..Default::default()
        };
        let body = bollard::models::ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec!["sleep".to_owned(), "100000".to_owned()]),
            network_disabled: Some(true),
            stop_signal: Some("SIGKILL".to_owned()),
            ..Default::default()
        };
        docker.create_container(Some(options), body).await.unwrap();
        let foreign = Self { docker: docker.clone(), name };
        docker.start_container(&foreign.name, None).await.unwrap();
        foreign
    }

    async fn is_running(&self) -> bool {
        let seen = self.docker.inspect_container(&self.name, None).await.unwrap();
        seen.state.and_then(|state| state.running) == Some(true)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let removed = Command::new("docker").args(["rm", "-f", &self.name]).output();
        if !removed.is_ok_and(|done| done.status.success()) {
            println!("`{}` is left: docker rm -f {}", self.name, self.name);
        }
    }
}

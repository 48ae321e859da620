//! An engine that is restarted in mid-run changes no result: what was interrupted is made again.
//!
//! The engine is a daemon of our own, with its own directory, socket and images.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;
use futures_util::StreamExt;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{ground, kills, program};

const TASKS: usize = 6;
const PROGRAM: &str = "add() { echo $(($1 - $2)); }\n";
const TESTS: &str = "#!/bin/sh\n. ./add.sh\nsleep 1\n[ \"$(add 2 2)\" = 4 ] && echo 'ok 1 - adds' || echo 'not ok 1 - adds'\n\
                     [ \"$(add 0 0)\" = 0 ] && echo 'ok 2 - zero' || echo 'not ok 2 - zero'\n";
/// How long the engine stays away.
const AWAY: Duration = Duration::from_secs(2);
/// How long after a line it stops: the next sandbox is at work then.
const SOON: Duration = Duration::from_millis(900);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo test --test endurance -- --ignored --nocapture"]
async fn an_engine_that_is_restarted_in_mid_run_changes_no_result() {
    let Some(ground) = ground::docker().await else { return };
    let image = ground.spec.image.unwrap();
    let mut engine = match Engine::begin().await {
        Ok(engine) => engine,
        Err(reason) => return ground::skip("engine", &reason),
    };
    engine.give(&image).await;
    let bench = Bench::new(&engine, &image);

    let calm = bench.run("eval", "calm", None, &mut engine).await;
    println!("{}: {}", engine.driver, calm.result.trim_end());
    assert_eq!(calm.warnings, [""; 0], "nothing was lost");
    assert!(calm.result.contains("\"resolved\":8"), "two of three repairs are right");
    for (verb, name, storm) in [
        ("eval", "early", ("   Ran ", 2)),
        ("eval", "middle", ("   Ran ", 8)),
        ("eval", "late", ("   Graded ", 4)),
        ("grade", "grade", ("   Graded ", 2)),
    ] {
        let stormy = bench.run(verb, name, Some(storm), &mut engine).await;
        println!("{name}: {} tries were lost and made again", stormy.warnings.len());
        for warning in &stormy.warnings {
            println!("  {warning}");
        }
        bench.compare(name, &calm, &stormy);
    }
}

/// What a command said.
struct Said {
    result: String,
    warnings: Vec<String>,
}

struct Bench {
    room: tempfile::TempDir,
    host: String,
}

impl Bench {
    fn new(engine: &Engine, image: &str) -> Self {
        let room = tempfile::tempdir().unwrap();
        let (spec, tasks) = (room.path().join("sandboxes/shell"), room.path().join("tasks"));
        fs_err::create_dir_all(&spec).unwrap();
        let yaml = format!("format: apprentice.sandbox/1\nname: shell\nimage: {image}\n");
        fs_err::write(spec.join("sandbox.yaml"), yaml).unwrap();
        let mut scripts = String::new();
        for idx in 0..TASKS {
            let repo = tasks.join(format!("adder-{idx}/repo"));
            fs_err::create_dir_all(repo.join("tests")).unwrap();
            fs_err::write(repo.join("add.sh"), PROGRAM).unwrap();
            fs_err::write(repo.join("tests/run.sh"), TESTS).unwrap();
            let yaml = format!(
                "format: apprentice.task/1\nid: adder-{idx}\nkind: code\nproblem: add subtracts.\nsandbox: shell\n\
                 repo: {{path: repo}}\nlimits: {{test_seconds: 60}}\n\
                 tests: {{command: sh tests/run.sh, parser: tap, restore: [tests], fail_to_pass: [adds], \
                 pass_to_pass: [zero]}}\n"
            );
            fs_err::write(repo.parent().unwrap().join("task.yaml"), yaml).unwrap();
            // Every third repair is wrong, so that an unresolved task is among them.
            let sign = if idx % 3 == 2 { "|" } else { "+" };
            let actions = [
                "sleep 1; cat add.sh".to_owned(),
                format!("sed -i 's/- \\$2/{sign} $2/' add.sh; sleep 1"),
                "submit".to_owned(),
            ];
            let replies = actions.map(|action| format!("<think>Go on.</think>\n{action}"));
            let script = serde_json::json!({"task": format!("adder-{idx}"), "replies": replies});
            writeln!(scripts, "{script}").unwrap();
        }
        fs_err::write(room.path().join("scripts.jsonl"), scripts).unwrap();
        Self { room, host: engine.host() }
    }

    fn command(&self, verb: &str, name: &str) -> Command {
        let mut command = Command::new(program());
        command.env("DOCKER_HOST", &self.host).current_dir(self.room.path());
        command.args([
            verb,
            "--json",
            "--sandbox",
            "docker",
            "--tasks",
            "tasks",
            "--cache",
            "cache",
            "--parallel",
            "2",
        ]);
        command.args(["--out", name]);
        match verb {
            "eval" => command.args(["--policy", "scripted:scripts.jsonl", "--samples", "2"]),
            _ => command.args(["--predictions", "calm/predictions.jsonl"]),
        };
        command
    }

    /// Runs a command, and restarts the engine soon after the given line was seen so many times.
    async fn run(&self, verb: &str, name: &str, storm: Option<(&str, usize)>, engine: &mut Engine) -> Said {
        let mut command = tokio::process::Command::from(self.command(verb, name));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut n_seen, mut warnings, mut all) = (0, Vec::new(), Vec::new());
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((begin, count)) = storm
                && line.starts_with(begin)
            {
                n_seen += 1;
                if n_seen == count {
                    tokio::time::sleep(SOON).await;
                    engine.restart().await;
                }
            }
            if line.starts_with("warning:") {
                warnings.push(line.clone());
            }
            all.push(line);
        }
        let Output { status, stdout, .. } = child.wait_with_output().await.unwrap();
        assert_eq!(status.code(), Some(1), "two tasks are unresolved: {all:#?}");
        Said { result: String::from_utf8(stdout).unwrap(), warnings }
    }

    fn compare(&self, name: &str, calm: &Said, stormy: &Said) {
        // What it cost differs from run to run.
        let result = |said: &Said| {
            let mut result: serde_json::Value = serde_json::from_str(&said.result).unwrap();
            result.as_object_mut().unwrap().remove("cost");
            result
        };
        assert_eq!(result(calm), result(stormy), "{name}");
        // Only `grade` notes what decided on a verdict, to find it again.
        let bare = |line: &str| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().remove("input");
            value
        };
        let read = |run: &str, file: &str| -> Vec<serde_json::Value> {
            let text = fs_err::read_to_string(self.room.path().join(run).join(file)).unwrap();
            text.lines().map(bare).collect()
        };
        let files: &[&str] =
            if name == "grade" { &["grades.jsonl"] } else { &["grades.jsonl", "predictions.jsonl"] };
        for file in files {
            assert_eq!(read("calm", file), read(name, file), "{name}: {file}");
        }
        assert!(!stormy.warnings.is_empty(), "{name}: nothing was under way when the engine stopped");
    }
}

/// A daemon of our own.
struct Engine {
    room: tempfile::TempDir,
    driver: &'static str,
    child: Child,
}

impl Engine {
    /// Starts one with the first storage driver that works here.
    async fn begin() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start an engine".to_owned());
        }
        let mut reason = String::new();
        for driver in ["overlay2", "fuse-overlayfs", "vfs"] {
            let room = tempfile::tempdir().unwrap();
            let child =
                daemon(room.path(), driver).map_err(|error| format!("dockerd cannot be started: {error}"))?;
            let mut engine = Self { room, driver, child };
            match engine.wait().await {
                Ok(()) => return Ok(engine),
                Err(error) => reason = format!("{reason}{driver}: {error}; "),
            }
        }
        Err(reason)
    }

    fn socket(&self) -> PathBuf {
        self.room.path().join("engine.sock")
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn docker(&self) -> Docker {
        Docker::connect_with_unix(&self.host(), 120, bollard::API_DEFAULT_VERSION).unwrap()
    }

    /// Waits until it answers.
    async fn wait(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                let log = fs_err::read_to_string(self.room.path().join("log")).unwrap_or_default();
                return Err(format!("it ended with {status}: {}", log.lines().last().unwrap_or_default()));
            }
            let docker = Docker::connect_with_unix(&self.host(), 5, bollard::API_DEFAULT_VERSION);
            if let Ok(docker) = docker
                && docker.ping().await.is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("it does not answer".to_owned())
    }

    /// Copies an image of the host's engine.
    async fn give(&self, image: &str) {
        let host = kills::connect().await;
        let mut exported = std::pin::pin!(host.export_image(image));
        let mut archive = Vec::new();
        while let Some(piece) = exported.next().await {
            archive.extend_from_slice(&piece.unwrap());
        }
        let options = bollard::query_parameters::ImportImageOptions::default();
        let docker = self.docker().negotiate_version().await.unwrap();
        let mut loaded =
            std::pin::pin!(docker.import_image(options, bollard::body_full(archive.into()), None));
        while let Some(said) = loaded.next().await {
            said.unwrap();
        }
        docker.inspect_image(image).await.unwrap();
    }

    /// Stops it, and starts it again after a while.
    async fn restart(&mut self) {
        let begin = Instant::now();
        self.stop();
        println!("the engine stopped within {:.1} s", begin.elapsed().as_secs_f64());
        tokio::time::sleep(AWAY).await;
        self.child = daemon(self.room.path(), self.driver).unwrap();
        self.wait().await.unwrap();
    }

    fn stop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It may have ended by itself.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        self.child.wait().unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn daemon(room: &Path, driver: &str) -> std::io::Result<Child> {
    let configuration = room.join("daemon.json");
    fs_err::write(&configuration, "{}")?;
    let log = fs_err::OpenOptions::new().create(true).append(true).open(room.join("log"))?;
    let path = |name: &str| room.join(name);
    // In a network of its own: a daemon without a bridge removes the one that another daemon made.
    Command::new("unshare")
        .args(["--net", "dockerd", "--config-file"])
        .arg(configuration)
        .arg("--data-root")
        .arg(path("data"))
        .arg("--exec-root")
        .arg(path("exec"))
        .arg("--pidfile")
        .arg(path("pid"))
        .arg("--host")
        .arg(format!("unix://{}", path("engine.sock").display()))
        .args(["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"])
        .args(["--storage-driver", driver])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.into_file())
        .spawn()
}

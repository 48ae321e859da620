//! Graders that are killed at any moment: the same command goes on with what is left, every prediction has one
//! grade at the end, and no sandbox is left.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use apprentice::sandbox::select::BackendKind;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::remains::{self, ROUND, Remains, Traces};
use crate::{ground, number, program};

const TASKS: usize = 24;
const PROGRAM: &str = "add() { echo $(($1 - $2)); }\n";
const TESTS: &str = "echo 1..2\n. ./add.sh\nsleep 0.2\n[ \"$(add 2 2)\" = 4 ] && echo 'ok 1 - adds' || echo 'not ok 1 - adds'\n\
                     [ \"$(add 0 0)\" = 0 ] && echo 'ok 2 - zero' || echo 'not ok 2 - zero'\n";
/// How long clearing up may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo test --test endurance killed_graders -- --ignored --nocapture"]
async fn killed_graders_grade_every_prediction_once_in_namespaces() {
    if ground::namespaces().await.is_some() {
        storm(BackendKind::Namespaces).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo test --test endurance killed_graders -- --ignored --nocapture"]
async fn killed_graders_grade_every_prediction_once_in_docker() {
    if ground::docker().await.is_some() {
        storm(BackendKind::Docker).await;
    }
}

async fn storm(kind: BackendKind) {
    let kills = number("APPRENTICE_KILLS", 20);
    let seed = number("APPRENTICE_SEED", 1);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let bench = Bench::new(kind);
    let begin = Instant::now();
    bench.to_the_end("calm", "calm");
    let calm = begin.elapsed();
    let (mut killed, mut runs, mut n_found) = (0, 0, Vec::new());
    let mut dead = Vec::new();
    while killed < kills {
        runs += 1;
        let out = format!("stormy-{runs}");
        // The kills of a run fall into about its length, so that most lives add a grade or two.
        while killed < kills {
            let delay = calm.mul_f64(random.random_range(0.0..0.35));
            let round = format!("{seed}-{killed}");
            let mut child =
                bench.command(&out, &round).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            tokio::time::sleep(delay).await;
            let descendants = remains::descendants(child.id());
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            dead.push((child.id(), round, descendants));
            n_found.push(bench.whole_lines(&out));
        }
        bench.to_the_end(&out, "end");
        assert_eq!(bench.grades("calm"), bench.grades(&out), "{out}");
    }
    for (pid, round, descendants) in dead {
        cleared(Traces {
            docker: None,
            pid,
            round,
            descendants,
            mounts: BTreeSet::new(),
            room: bench.room.path(),
        })
        .await;
    }
    println!(
        "{kind}: {TASKS} predictions, {:.1} s undisturbed; {killed} kills in {runs} runs, with so many grades made by \
         then: {n_found:?}; nothing left",
        calm.as_secs_f64()
    );
}

/// Waits until nothing is left of a grader.
async fn cleared(traces: Traces<'_>) {
    let begin = Instant::now();
    loop {
        let Remains { processes, groups, .. } = traces.remains().await;
        if processes.is_empty() && groups.is_empty() {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "left of {}: {processes:#?} {groups:#?}", traces.pid);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

struct Bench {
    room: tempfile::TempDir,
    kind: BackendKind,
}

impl Bench {
    fn new(kind: BackendKind) -> Self {
        let room = tempfile::tempdir().unwrap();
        let spec = fs_err::read_to_string("sandboxes/shell/sandbox.yaml").unwrap();
        write(&room.path().join("sandboxes/shell/sandbox.yaml"), &spec);
        let mut predictions = String::new();
        for idx in 0..TASKS {
            let task = room.path().join(format!("tasks/adder-{idx:02}"));
            write(&task.join("repo/add.sh"), PROGRAM);
            write(&task.join("repo/tests/run.sh"), TESTS);
            let yaml = format!(
                "format: apprentice.task/1\nid: adder-{idx:02}\nkind: code\nproblem: add subtracts.\nsandbox: shell\n\
                 repo: {{path: repo}}\nlimits: {{test_seconds: 60}}\n\
                 tests: {{command: sh tests/run.sh, parser: tap, fail_to_pass: [adds], pass_to_pass: [zero]}}\n"
            );
            write(&task.join("task.yaml"), &yaml);
            // Every third repair is wrong, so that an unresolved task is among them.
            let sign = if idx % 3 == 2 { "|" } else { "+" };
            let fixed = PROGRAM.replace('-', sign);
            let patch = format!("--- a/add.sh\n+++ b/add.sh\n@@ -1 +1 @@\n-{PROGRAM}+{fixed}");
            let row = serde_json::json!({"instance_id": format!("adder-{idx:02}"), "model_patch": patch});
            writeln!(predictions, "{row}").unwrap();
        }
        write(&room.path().join("predictions.jsonl"), &predictions);
        Self { room, kind }
    }

    fn command(&self, out: &str, round: &str) -> Command {
        let mut command = Command::new(program());
        command.current_dir(self.room.path()).env(ROUND, round);
        command.args(["grade", "--tasks", "tasks", "--predictions", "predictions.jsonl", "--cache", "cache"]);
        command.args(["--parallel", "2", "--accept-weaker-isolation", "--sandbox", &self.kind.to_string()]);
        command.args(["--out", out]);
        command
    }

    fn to_the_end(&self, out: &str, round: &str) {
        let done = self.command(out, round).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "a third is unresolved: {said}");
    }

    /// The grades of a run, each checked to be there once and to tell of its own prediction.
    fn grades(&self, out: &str) -> Vec<Value> {
        let text = fs_err::read_to_string(self.room.path().join(out).join("grades.jsonl")).unwrap();
        let grades: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ids: Vec<String> = grades.iter().map(|grade| grade["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, (0..TASKS).map(|idx| format!("adder-{idx:02}")).collect::<Vec<_>>(), "{out}");
        grades
    }

    /// How many grades a killed run has kept; none is there twice.
    fn whole_lines(&self, out: &str) -> usize {
        let path = self.room.path().join(out).join("grades.jsonl");
        let text = fs_err::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
        let inputs: BTreeSet<String> = lines
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["input"].to_string())
            .collect();
        assert_eq!(inputs.len(), lines.len(), "a prediction was graded twice");
        lines.len()
    }
}

fn write(path: &Path, text: &str) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

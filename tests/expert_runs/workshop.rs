//! A directory with synthesised tasks, and the program that works there.

use std::path::{Path, PathBuf};
use std::process::Output;

use apprentice::isolation::Isolation;
use apprentice::sandbox::select::{BackendKind, Choice};
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::synth::{self, Bench, Options, SynthTask};
use apprentice::trajectory::{Action, Observation, Step, Trajectory};
use serde_json::Value;

pub(crate) struct Workshop {
    dir: tempfile::TempDir,
    pub(crate) tasks: Vec<SynthTask>,
}

impl Workshop {
    /// Some tasks of each embedded repository; absent where this host refuses namespaces.
    pub(crate) async fn new(count: usize) -> Option<Self> {
        let spec = SandboxSpec::load("shell", Path::new("sandboxes")).unwrap();
        let exe = PathBuf::from(env!("CARGO_BIN_EXE_apprentice"));
        let choice = Choice::of(BackendKind::Namespaces, Isolation::AcceptWeaker, exe);
        let backend = match choice.backend(&spec).await {
            Ok(selection) => selection.backend,
            Err(error) => {
                let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
                assert!(!required.contains("namespaces"), "namespaces are required here: {error}");
                println!("skipped: {error}");
                return None;
            }
        };
        let (repositories, bench) = (synth::repositories(), Bench::new(&*backend, &spec));
        let options = Options { count: Some(count), ..Options::default() };
        let tasks = synth::synthesise(&repositories, &bench, &options, &|_, _| ()).await.unwrap().tasks;
        let dir = tempfile::tempdir().unwrap();
        synth::write(&dir.path().join("tasks"), &repositories, &tasks).unwrap();
        Some(Self { dir, tasks })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, trajectories: &[Trajectory]) {
        apprentice::fsio::write_json_lines(&self.path(name), trajectories).unwrap();
    }

    /// Runs `apprentice --json trajectory …` on the tasks.
    pub(crate) fn trajectory(&self, verb: &str, more: &[&str]) -> Output {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_apprentice"));
        command.current_dir(self.dir.path()).args(["--json", "trajectory", verb]).args(more);
        command.args([
            "--tasks",
            "tasks",
            "--cache",
            "cache",
            "--sandbox",
            "namespaces",
            "--accept-weaker-isolation",
        ]);
        command.output().unwrap()
    }
}

/// The JSON lines that a command printed.
pub(crate) fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The repository's files as the embedded source has them.
pub(crate) fn file(task: &SynthTask, path: &str) -> String {
    synth::repository(&task.repository).unwrap().files[path].clone()
}

/// A change of one file as a patch in git's format.
pub(crate) fn file_patch(path: &str, before: &str, after: &str) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    let hunks = diff.unified_diff().header(&format!("a/{path}"), &format!("b/{path}")).to_string();
    format!("diff --git a/{path} b/{path}\n{hunks}")
}

/// Puts a step before the last one, which submits.
pub(crate) fn insert_step(trajectory: &mut Trajectory, command: &str) {
    let step = Step::new("One more thing.", Action::bash(command)).seeing(Observation::new("", 0));
    let at = trajectory.steps.len() - 1;
    trajectory.steps.insert(at, step);
}

/// The step that repairs, the one before the last test.
pub(crate) fn repair(trajectory: &Trajectory) -> usize {
    trajectory.steps.len() - 3
}

/// An attempt that writes a note and repairs nothing, recorded and labelled as it was.
pub(crate) fn failing(task: &SynthTask) -> Trajectory {
    let mut attempt = Trajectory { id: format!("failing-{}", task.task.id), ..task.expert.clone() };
    let readme = file(task, "README.md");
    let at = repair(&attempt);
    attempt.steps[at] = Step::new("Say so.", Action::bash("echo 'It was wrong.' >> README.md"))
        .seeing(Observation::new("", 0));
    let is_test = |step: &&Step| step.action == attempt.steps[at + 1].action;
    let seen = attempt.steps[..at].iter().find(is_test).unwrap().observation.clone();
    attempt.steps[at + 1].observation = seen;
    attempt.patch = Some(file_patch("README.md", &readme, &format!("{readme}It was wrong.\n")));
    attempt.resolved = Some(false);
    attempt
}

//! Synthesis over the embedded repositories: every bug is caught, every expert repairs its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod synth_host;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use apprentice::mutate::Kind;
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::synth::{self, Bench, Hint, Options, Order, Repair, Style, SynthTask, Synthesis};
use apprentice::trajectory::{Action, Exit};
use synth_host::HostBackend;

fn spec() -> SandboxSpec {
    serde_json::from_value(
        serde_json::json!({"format": "apprentice.sandbox/1", "name": "shell", "host": true}),
    )
    .unwrap()
}

fn synthesise(options: &Options) -> Synthesis {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let spec = spec();
    let bench = Bench::new(&HostBackend, &spec);
    runtime.block_on(synth::synthesise(&synth::repositories(), &bench, options, &|_, _| {})).unwrap()
}

fn everything() -> &'static Synthesis {
    static ALL: OnceLock<Synthesis> = OnceLock::new();
    ALL.get_or_init(|| synthesise(&Options::default()))
}

fn run(shell: &str, script: &str, dir: &Path) -> (String, Option<i32>) {
    let output = Command::new(shell).args(["-c", script]).current_dir(dir).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.code())
}

#[test]
fn every_embedded_suite_passes_in_sh_and_bash() {
    for repository in synth::repositories() {
        let dir = tempfile::tempdir().unwrap();
        repository.write_to(dir.path()).unwrap();
        for shell in ["sh", "bash"] {
            let (output, code) = run(shell, &format!("{shell} tests/run.sh"), dir.path());
            assert_eq!(code, Some(0), "{} in {shell}: {output}", repository.name);
            assert!(!output.contains("not ok"), "{output}");
        }
    }
}

#[test]
fn the_embedded_files_are_those_of_the_directory() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tasks");
    for repository in synth::repositories() {
        let opened = synth::open(&root.join(&repository.name).join("repo"), "sh tests/run.sh").unwrap();
        assert_eq!(opened.files, repository.files, "{}", repository.name);
    }
    let names: BTreeSet<String> = synth::repositories().into_iter().map(|r| r.name).collect();
    let with_repo = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        path.join("repo").is_dir().then(|| path.file_name().unwrap().to_string_lossy().into_owned())
    };
    let on_disk: BTreeSet<String> = std::fs::read_dir(root).unwrap().filter_map(with_repo).collect();
    assert_eq!(names, on_disk);
}

#[test]
fn enough_tasks_of_every_kind_are_caught() {
    let all = everything();
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    for task in &all.tasks {
        *kinds.entry(task.bug.kind).or_default() += 1;
    }
    println!("{:?} {kinds:?}", all.counts);
    assert!(all.tasks.len() >= 500, "{:?}", all.counts);
    assert_eq!(all.counts.tried, all.counts.caught + all.counts.unnoticed + all.counts.broken);
    assert_eq!(kinds.len(), Kind::SHELL.len(), "{kinds:?}");
    let ids: BTreeSet<&str> = all.tasks.iter().map(|t| t.task.id.as_str()).collect();
    assert_eq!(ids.len(), all.tasks.len());
    let (mut chars, mut steps) = (0, 0);
    for task in &all.tasks {
        steps += task.expert.steps.len();
        chars += task.task.problem.len();
        for step in &task.expert.steps {
            chars += step.thought.len() + step.action.text().len();
            chars += step.observation.as_ref().map_or(0, |o| o.output.len());
        }
    }
    let n = all.tasks.len();
    println!("{n} tasks, {} characters and {:.1} steps a trajectory", chars / n, steps as f64 / n as f64);
}

/// Runs an expert on the host and compares what it says it saw with what is there.
fn follow(task: &SynthTask) {
    let dir = tempfile::tempdir().unwrap();
    let repository = synth::repository(&task.repository).unwrap();
    repository.write_to(dir.path()).unwrap();
    std::fs::write(dir.path().join(&task.bug.file), &task.text).unwrap();
    for step in &task.expert.steps {
        let Action::Bash { command } = &step.action else { continue };
        let (output, code) = run("bash", command, dir.path());
        let recorded = step.observation.as_ref().unwrap();
        assert_eq!(output, recorded.output, "{}: {command}", task.task.id);
        assert_eq!(code.map(Exit::Code), recorded.exit, "{}: {command}", task.task.id);
        assert!(step.thought.split(' ').count() <= 12, "{}", step.thought);
    }
    let after = std::fs::read_to_string(dir.path().join(&task.bug.file)).unwrap();
    assert_eq!(after, repository.files[&task.bug.file], "{}", task.task.id);
}

#[test]
fn every_expert_repairs_its_bug_and_sees_what_it_says() {
    std::thread::scope(|scope| {
        for chunk in everything().tasks.chunks(160) {
            scope.spawn(|| chunk.iter().for_each(follow));
        }
    });
}

#[test]
fn experts_of_one_style_repair_their_bugs_too() {
    let whole_files = Style {
        hint: Hint::Line,
        order: vec![Order::TestsLast],
        repair: vec![Repair::File],
        ..Style::plain()
    };
    for style in [Style::plain(), whole_files] {
        let few = synthesise(&Options { style, count: Some(2), seed: 3, ..Options::default() });
        assert_eq!(few.tasks.len(), 2 * synth::repositories().len());
        few.tasks.iter().for_each(follow);
    }
}

#[test]
fn patches_plant_and_repair_the_bug() {
    for task in everything().tasks.iter().step_by(7) {
        let dir = tempfile::tempdir().unwrap();
        let repository = synth::repository(&task.repository).unwrap();
        repository.write_to(dir.path()).unwrap();
        let file = dir.path().join(&task.bug.file);
        let apply = |patch: &str| {
            std::fs::write(dir.path().join("a.patch"), patch).unwrap();
            let (output, code) = run("sh", "git apply a.patch", dir.path());
            assert_eq!(code, Some(0), "{output}\n{patch}");
            std::fs::read_to_string(&file).unwrap()
        };
        assert_eq!(apply(task.task.repo.as_ref().unwrap().patch.as_ref().unwrap()), task.text);
        assert_eq!(apply(task.task.gold.as_ref().unwrap()), repository.files[&task.bug.file]);
    }
}

#[test]
fn problems_tell_the_symptom_and_not_the_repair() {
    for task in &everything().tasks {
        let problem = &task.task.problem;
        assert!(problem.contains("should print"), "{problem}");
        assert!(!problem.contains(&task.bug.before), "{problem}");
        assert!(problem.len() < 120, "{problem}");
    }
}

#[test]
fn the_same_seed_gives_the_same_tasks_and_another_does_not() {
    let few = |seed| synthesise(&Options { seed, count: Some(2), ..Options::default() }).tasks;
    assert_eq!(few(1), few(1));
    assert_ne!(few(1), few(2));
}

#[test]
fn held_out_bugs_never_occur_in_training() {
    for seed in 0..5 {
        let split = synth::split(everything().tasks.clone(), seed, 60);
        assert_eq!(split.held_out.len(), 60);
        assert!(split.train.len() >= 200, "{}", split.train.len());
        let place = |t: &SynthTask| (t.repository.clone(), t.bug.file.clone(), t.bug.line, t.bug.kind);
        let seen: BTreeSet<_> = split.train.iter().map(place).collect();
        let texts: BTreeSet<&str> = split.train.iter().map(|t| t.text.as_str()).collect();
        for task in &split.held_out {
            assert!(!seen.contains(&place(task)), "{}", task.task.id);
            assert!(!texts.contains(task.text.as_str()), "{}", task.task.id);
        }
        assert_eq!(split.train.len() + split.held_out.len() + split.dropped, everything().tasks.len());
    }
}

#[test]
fn written_tasks_read_back_with_their_repositories() {
    let dir = tempfile::tempdir().unwrap();
    let tasks = &everything().tasks[..5];
    synth::write(dir.path(), &synth::repositories(), tasks).unwrap();
    for task in tasks {
        let home = dir.path().join(&task.task.id);
        let text = std::fs::read_to_string(home.join("task.yaml")).unwrap();
        let read: apprentice::task::Task = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(read, task.task);
        assert!(home.join(read.repo.unwrap().path.unwrap()).join(&task.bug.file).is_file());
    }
    let lines = std::fs::read_to_string(dir.path().join("trajectories.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 5);
}

//! Certified tasks from libraries, as a user has them made: by the command, in sandboxes.
//!
//! Prints `skipped:` where the host has no namespaces, and where the cache below `CARGO_TARGET_TMPDIR` has no root file
//! system of the language (`XDG_CACHE_HOME=target/tmp/cache apprentice sandbox build node go --sandbox namespaces`);
//! fails there under `APPRENTICE_REQUIRE=namespaces` and `rootfs`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use apprentice::task::Task;
use apprentice::trajectory::{Action, Trajectory};
use serde_json::Value;

/// What a command said.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }
}

fn say(arguments: &[&str]) -> Said {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    fs_err::create_dir_all(&cache).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
    let output = command.env("XDG_CACHE_HOME", cache).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

const SANDBOXES: [&str; 3] = ["--sandbox", "namespaces", "--accept-weaker-isolation"];

/// A library and how its tests are run.
struct Library {
    root: &'static str,
    sandbox: &'static str,
    tests: &'static str,
    /// What a host without its sandbox lacks.
    needs: &'static str,
}

const SHELL: Library =
    Library { root: "tasks/money/repo", sandbox: "shell", tests: "sh tests/run.sh", needs: "namespaces" };
const JAVASCRIPT: Library = Library {
    root: "tests/synth_repositories/javascript",
    sandbox: "node",
    tests: "node --test --test-reporter=tap",
    needs: "rootfs",
};
const GO: Library = Library {
    root: "tests/synth_repositories/go",
    sandbox: "go",
    tests: "go test -v ./... 2>&1 | sed -E 's/^--- PASS: ([^ ]+) .*/ok - \\1/; s/^--- FAIL: ([^ ]+) .*/not ok - \\1/'",
    needs: "rootfs",
};

/// Makes `count` tasks; nothing where the host has no such sandbox.
fn synthesise(library: &Library, count: usize, parallel: usize) -> Option<(tempfile::TempDir, Value)> {
    let out = tempfile::tempdir().unwrap();
    let (count, parallel) = (count.to_string(), parallel.to_string());
    let place =
        ["--repo", library.root, "--sandbox-name", library.sandbox, "--out", out.path().to_str().unwrap()];
    let how = ["--test-command", library.tests, "--count", &count, "--parallel", &parallel, "--json"];
    let said = say(&[&["task", "synth"][..], &place, &how, &SANDBOXES].concat());
    if said.code == Some(5) {
        let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == library.needs), "{}{}", said.stdout, said.stderr);
        println!("skipped: {} has no sandbox here: {}{}", library.sandbox, said.stdout, said.stderr);
        return None;
    }
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    Some((out, said.json()))
}

fn tasks(out: &Path) -> BTreeMap<PathBuf, String> {
    let entries = fs_err::read_dir(out).unwrap().map(|entry| entry.unwrap().path().join("task.yaml"));
    let files = entries.filter(|path| path.is_file());
    files
        .map(|path| (path.strip_prefix(out).unwrap().to_owned(), fs_err::read_to_string(&path).unwrap()))
        .collect()
}

fn experts(out: &Path) -> Vec<Trajectory> {
    let text = fs_err::read_to_string(out.join("trajectories.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What must hold of every library's tasks.
fn check(out: &Path, said: &Value, count: usize) {
    let tasks = tasks(out);
    assert_eq!(tasks.len(), count, "{said}");
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    let dropped: usize = said["dropped"].as_object().unwrap().values().map(number).sum();
    assert_eq!(number(&said["tried"]), count + dropped, "{said}");
    for text in tasks.values() {
        let task = Task::parse(text, "t").unwrap();
        let (gold, tests) = (task.gold.unwrap(), task.tests.unwrap());
        for line in gold.lines().filter(|line| line.starts_with(['+', '-']) && line.trim().len() > 12) {
            assert!(!task.problem.contains(line[1..].trim()), "{}: {line}\n{}", task.id, task.problem);
        }
        assert!(!tests.fail_to_pass.is_empty() && !tests.pass_to_pass.is_empty(), "{}", task.id);
        assert!(
            !tests.restore.iter().any(|test| gold.contains(&format!("b/{test}"))),
            "a test was mutated: {gold}"
        );
    }
    for expert in experts(out) {
        let seen = expert.steps.iter().filter(|step| step.observation.is_some()).count();
        assert_eq!((expert.resolved, seen + 1), (Some(true), expert.steps.len()), "{}", expert.id);
        assert_eq!(expert.steps.last().unwrap().action, Action::Submit);
    }
    let said = say(&[&["task", "check", "--tasks", out.to_str().unwrap()][..], &SANDBOXES].concat());
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
}

#[test]
fn a_library_gives_certified_tasks_and_the_same_ones_however_many_work() {
    let Some((alone, said)) = synthesise(&SHELL, 4, 1) else { return };
    check(alone.path(), &said, 4);
    let (together, _) = synthesise(&SHELL, 4, 3).unwrap();
    assert_eq!(tasks(alone.path()), tasks(together.path()));
}

#[test]
fn javascript_gives_certified_tasks() {
    let Some((out, said)) = synthesise(&JAVASCRIPT, 6, 2) else { return };
    check(out.path(), &said, 6);
}

#[test]
fn go_gives_certified_tasks() {
    let Some((out, said)) = synthesise(&GO, 4, 2) else { return };
    check(out.path(), &said, 4);
}

#[test]
fn tests_that_do_not_pass_by_themselves_are_the_users_failure() {
    let broken = Library { tests: "echo not ok - a", ..SHELL };
    let out = tempfile::tempdir().unwrap();
    let place =
        ["--repo", broken.root, "--out", out.path().to_str().unwrap(), "--test-command", broken.tests];
    let said = say(&[&["task", "synth"][..], &place, &SANDBOXES].concat());
    match said.code {
        Some(5) => println!("skipped: no namespaces here: {}", said.stderr),
        code => {
            assert_eq!(code, Some(3), "{}", said.stderr);
            assert!(said.stderr.contains("no test of `repo` passes without a mutation"), "{}", said.stderr);
            assert!(said.stderr.contains("check `--test-command` and `--parser`"), "{}", said.stderr);
        }
    }
}

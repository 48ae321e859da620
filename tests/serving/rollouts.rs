//! `rollout` and `eval` with a policy behind an endpoint.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::service::{Service, model, program};

/// A task that needs no more than a shell.
const TASK: &str = "format: apprentice.task/1\nid: t\nkind: code\nproblem: write b into the file a\nsandbox: shell\n\
                    repo: {path: repo}\n\
                    tests: {command: 'echo \"ok 1 - a\"', parser: tap, fail_to_pass: [a]}\n";

/// Says what a command said, or that it is skipped because sandboxes cannot be had here.
fn run(verb: &str, out: &Path, policy: &str, more: &[&str]) -> Option<Output> {
    let tasks = out.join("tasks");
    fs_err::create_dir_all(tasks.join("t/repo")).unwrap();
    fs_err::write(tasks.join("t/task.yaml"), TASK).unwrap();
    fs_err::write(tasks.join("t/repo/a"), "a\n").unwrap();
    let mut command = program(&["--json", verb, "--policy", policy, "--sandbox", "namespaces", "--tasks"]);
    command
        .arg(&tasks)
        .args(["--steps", "2", "--samples", "3", "--cache"])
        .arg(out.join("cache"))
        .arg("--out")
        .arg(out.join("run"))
        .args(more);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let cannot = output.status.code() == Some(5) && said.contains("namespaces");
    if cannot {
        let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
        assert!(!required.contains("namespaces"), "{said}");
        return None;
    }
    Some(output)
}

/// The episodes that a rollout left, without the policy's name and what depends on the clock.
fn episodes(out: &Path) -> Vec<Value> {
    let text = fs_err::read_to_string(out.join("run/trajectories.jsonl")).unwrap();
    let mut episodes: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for episode in &mut episodes {
        episode["source"] = Value::Null;
    }
    episodes
}

#[test]
fn a_rollout_through_the_server_is_that_of_the_checkpoint() {
    let service = Service::start();
    let dir = |name: &str| tempfile::Builder::new().prefix(name).tempdir().unwrap();
    let (own, served) = (dir("own"), dir("served"));
    let tokens = ["--reply-tokens", "40", "--temperature", "0.7"];
    let Some(output) = run("rollout", own.path(), &format!("checkpoint:{}", model().display()), &tokens)
    else {
        println!("skipped: no sandboxes in namespaces here");
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let policy = format!("vllm:{}#{}", service.url, service.models[0]);
    let output = run("rollout", served.path(), &policy, &tokens).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(episodes(own.path()), episodes(served.path()));
    assert_eq!(episodes(own.path()).len(), 3);
    assert!(String::from_utf8_lossy(&output.stderr).contains("the endpoint read "));
}

#[test]
fn an_endpoint_that_is_down_is_no_grade() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let policy = format!("openai:http://{closed}#m");
    let Some(output) = run("eval", dir.path(), &policy, &["--call-tries", "1"]) else {
        println!("skipped: no sandboxes in namespaces here");
        return;
    };
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said["error"].as_str().unwrap().contains("gave no answer in 1 tries"), "{said}");
    assert!(said["hint"].as_str().unwrap().contains("server runs"), "{said}");
    let episodes = fs_err::read_to_string(dir.path().join("run/trajectories.jsonl")).unwrap_or_default();
    assert_eq!(episodes, "");
}

#[test]
fn flags_of_endpoints_are_refused_for_other_policies() {
    let dir = tempfile::tempdir().unwrap();
    let output = run("rollout", dir.path(), "noop", &["--budget-tokens", "5"]).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("`--budget-tokens` says nothing to policy `noop`"), "{said}");
}

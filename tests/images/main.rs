//! Images from a real registry: pulled by tag and by digest, kept to the end of a command, removed for room.
//!
//! Needs Docker and `docker-registry` (Debian's package), which listens on the loopback; an engine takes
//! registries there without TLS. `APPRENTICE_REQUIRE=registry` makes their absence a failure. Leaves no image.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

mod registry;

#[expect(dead_code, clippy::unused_async, reason = "shared with the contract, which uses more of it")]
#[path = "../sandbox_contract/ground.rs"]
mod ground;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use apprentice::isolation::Isolation;
use apprentice::sandbox::docker::DockerBackend;
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::sandbox::{Backend, Start};
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CommitContainerOptions, RemoveContainerOptions, TagImageOptions};
use registry::{Line, Registry, noise, remove, specify};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

/// A registry, and a user with a cache directory and sandboxes of his own.
struct Bench {
    registry: Registry,
    room: tempfile::TempDir,
}

/// What a command said.
struct Said {
    code: Option<i32>,
    json: Vec<Value>,
    stderr: String,
}

impl Bench {
    async fn begin() -> Option<Self> {
        let backend = match DockerBackend::connect(Isolation::Full).await {
            Ok(backend) => backend,
            Err(error) => {
                ground::skip("registry", &format!("docker is not reachable: {error}"));
                return None;
            }
        };
        match Registry::begin(backend.docker().clone()).await {
            Ok(registry) => Some(Self { registry, room: tempfile::tempdir().unwrap() }),
            Err(reason) => {
                ground::skip("registry", &reason);
                None
            }
        }
    }

    fn sandboxes(&self) -> PathBuf {
        self.room.path().join("sandboxes")
    }

    /// Names the image `name` of the registry as that of the sandbox `sandbox`.
    fn specify(&self, sandbox: &str, name: &str) {
        specify(&self.sandboxes(), sandbox, &format!("{}/{name}", self.registry.address()));
    }

    fn command(&self, words: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_apprentice"));
        command
            .args(words)
            .current_dir(self.room.path())
            .env("XDG_CACHE_HOME", self.room.path().join("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, words: &[&str]) -> Said {
        let done = self.command(words).output().await.unwrap();
        let stdout = String::from_utf8(done.stdout).unwrap();
        Said {
            code: done.status.code(),
            json: stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            stderr: String::from_utf8(done.stderr).unwrap(),
        }
    }

    /// Builds sandboxes, and gives how each image was had.
    async fn build(&self, names: &[&str]) -> Vec<Value> {
        let said = self.run(&[&["sandbox", "build", "--json"], names].concat()).await;
        assert_eq!(said.code, Some(0), "{:?} {}", said.json, said.stderr);
        said.json
    }

    /// The names of the pulled images that `sandbox prune` removes, or would with `--dry-run`.
    async fn prune(&self, words: &[&str]) -> Vec<String> {
        let said = self.run(&[&["sandbox", "prune", "--json", "--keep-free", "100%"], words].concat()).await;
        assert_eq!(said.code, Some(0), "{:?} {}", said.json, said.stderr);
        let removed = said.json[0]["removed"].as_array().unwrap();
        let pulled = removed.iter().filter(|one| one["kind"] == "pulled");
        let name = |one: &Value| one["names"][0].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        pulled.map(name).collect()
    }

    async fn has(&self, name: &str) -> bool {
        self.registry.docker.inspect_image(name).await.is_ok()
    }

    /// Puts the contract's image, in which bash runs, into the registry with a variable; gives its digest.
    async fn put_shell(&self, name: &str, version: &str) -> String {
        let image = ground::docker().await.unwrap().spec.image.unwrap();
        let docker = &self.registry.docker;
        let body = ContainerCreateBody {
            image: Some(image),
            cmd: Some(vec!["/bin/true".to_owned()]),
            ..ContainerCreateBody::default()
        };
        let id = docker.create_container(None, body).await.unwrap().id;
        let local = format!("{}/{name}", self.registry.address());
        let (repo, tag) = local.rsplit_once(':').unwrap();
        let options = CommitContainerOptions {
            container: Some(id.clone()),
            repo: Some(repo.to_owned()),
            tag: Some(tag.to_owned()),
            ..CommitContainerOptions::default()
        };
        let config = bollard::models::ContainerConfig {
            env: Some(vec![format!("VERSION={version}")]),
            ..bollard::models::ContainerConfig::default()
        };
        docker.commit_container(options, config).await.unwrap();
        docker.remove_container(&id, None::<RemoveContainerOptions>).await.unwrap();
        self.registry.push(name).await
    }
}

fn how(build: &Value) -> &str {
    build["how"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_pulled_by_tag_and_by_digest_and_found_again_without_its_registry() {
    let Some(mut bench) = Bench::begin().await else { return };
    let address = bench.registry.address();
    let (by_tag, by_digest) =
        (bench.registry.put("a:1", b"by tag").await, bench.registry.put("b:1", b"by digest").await);
    bench.specify("tagged", "a:1");
    bench.specify("pinned", &format!("b@{by_digest}"));
    bench.specify("both", &format!("a:1@{by_tag}"));
    let built = bench.build(&["tagged", "pinned"]).await;
    assert_eq!((how(&built[0]), how(&built[1])), ("was pulled", "was pulled"));
    assert_eq!(built[0]["digest"], format!("{address}/a@{by_tag}"));
    assert_eq!(built[0]["image"], format!("{address}/a:1"));
    assert_eq!(built[1]["digest"], format!("{address}/b@{by_digest}"));
    assert!(!bench.has(&format!("{address}/a:1")).await, "no name of the user's is made");
    bench.registry.stop();
    for build in bench.build(&["tagged", "pinned", "both"]).await {
        assert_eq!(how(&build), "was there");
    }
    bench.specify("missing", "c:1");
    let said = bench.run(&["sandbox", "build", "missing", "--json"]).await;
    assert_eq!(said.code, Some(5));
    assert!(said.json[0]["error"].as_str().unwrap().contains("/c:1` could not be pulled"), "{:?}", said.json);
    bench.specify("wrong", "a@sha256:12");
    let said = bench.run(&["sandbox", "build", "wrong", "--json"]).await;
    assert!(said.json[0]["error"].as_str().unwrap().contains("64 hexadecimal digits"), "{:?}", said.json);
    bench.prune(&[]).await;
    assert_eq!(bench.registry.left(&address).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_pull_at_once_both_have_it() {
    let Some(bench) = Bench::begin().await else { return };
    bench.registry.put("a:1", &noise(20 << 20, 1)).await;
    bench.specify("a", "a:1");
    bench.specify("same", "a:1");
    let (left, right) = tokio::join!(bench.build(&["a", "same"]), bench.build(&["same", "a"]));
    for build in left.iter().chain(&right) {
        assert_eq!(build["digest"], left[0]["digest"]);
    }
    assert!(left.iter().chain(&right).any(|build| how(build) == "was pulled"));
    assert_eq!(bench.prune(&[]).await, ["a:1"]);
    assert_eq!(bench.registry.left(&bench.registry.address()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_dies_in_mid_pull_is_waited_for() {
    let Some(mut bench) = Bench::begin().await else { return };
    bench.registry.put("a:1", &noise(8 << 20, 2)).await;
    let line = Line::to(&bench.registry, 4 << 20).await;
    specify(&bench.sandboxes(), "a", &format!("{}/a:1", line.address()));
    let mut child = bench.command(&["sandbox", "build", "a", "--json"]).spawn().unwrap();
    line.has_stopped().await;
    bench.registry.stop();
    line.go_on();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(child.try_wait().unwrap(), None, "it waits");
    bench.registry.start().await.unwrap();
    let done = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("was pulled"), "{said}");
    assert_eq!(bench.prune(&[]).await, ["a:1"]);
    assert_eq!(bench.registry.left(&line.address()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_in_mid_pull_claims_nothing() {
    let Some(bench) = Bench::begin().await else { return };
    bench.registry.put("a:1", &noise(8 << 20, 3)).await;
    let line = Line::to(&bench.registry, 4 << 20).await;
    specify(&bench.sandboxes(), "a", &format!("{}/a:1", line.address()));
    let mut child = bench.command(&["sandbox", "build", "a"]).spawn().unwrap();
    line.has_stopped().await;
    child.kill().await.unwrap();
    line.go_on();
    // What the user pulls now is his, whatever the killed process had begun.
    bench.registry.pull_by_hand("a:1").await;
    assert_eq!(bench.prune(&["--dry-run"]).await, [""; 0]);
    assert_eq!(how(&bench.build(&["a"]).await[0]), "was pulled");
    assert_eq!(bench.prune(&[]).await, [""; 0]);
    assert!(bench.has(&format!("{}/a:1", bench.registry.address())).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_used_for_longest_goes_first_and_what_is_anothers_stays() {
    let Some(bench) = Bench::begin().await else { return };
    let (address, docker) = (bench.registry.address(), bench.registry.docker.clone());
    let mut digest = String::new();
    for name in ["old", "recent", "used", "held", "named", "users", "digests"] {
        digest = bench.registry.put(&format!("{name}:1"), name.as_bytes()).await;
        bench.specify(name, &format!("{name}:1"));
    }
    bench.registry.pull_by_hand("users:1").await;
    bench.registry.pull_by_hand(&format!("digests@{digest}")).await;
    bench.build(&["digests"]).await;
    for name in ["recent", "old", "used", "held", "named", "recent"] {
        bench.build(&[name]).await;
    }
    assert_eq!(how(&bench.build(&["users"]).await[0]), "was there");
    assert_eq!(bench.prune(&["--dry-run"]).await, ["old:1", "used:1", "held:1", "named:1", "recent:1"]);

    // A container that never ran, a process of ours, and a name that the user gave.
    let id = |name: &str| {
        let local = format!("{address}/{name}:1");
        let spec = SandboxSpec::load(name, &bench.sandboxes()).unwrap();
        let docker = docker.clone();
        async move {
            let found = apprentice::sandbox::docker::images::local(&docker, &spec).await.unwrap();
            found.unwrap_or_else(|| panic!("{local} is gone")).id
        }
    };
    let body = ContainerCreateBody {
        image: Some(id("used").await),
        cmd: Some(vec!["/none".to_owned()]),
        ..ContainerCreateBody::default()
    };
    let container = docker.create_container(None, body).await.unwrap().id;
    let notes = bench.room.path().join("cache/apprentice/images");
    let backend = DockerBackend::connect(Isolation::Full).await.unwrap().with_notes(notes);
    let spec = SandboxSpec::load("held", &bench.sandboxes()).unwrap();
    let held = backend.image(&spec, &|_| ()).await.unwrap();
    let tag = TagImageOptions { repo: Some(format!("{address}/mine")), tag: Some("1".to_owned()) };
    docker.tag_image(&id("named").await, Some(tag)).await.unwrap();

    assert_eq!(bench.prune(&["--dry-run"]).await, ["old:1", "recent:1"]);
    assert_eq!(bench.prune(&[]).await, ["old:1", "recent:1"]);
    for name in ["used", "held", "named", "users"] {
        id(name).await;
    }
    docker.remove_container(&container, None::<RemoveContainerOptions>).await.unwrap();
    drop((held, backend));
    remove(&docker, &format!("{address}/mine:1")).await;
    let mut gone = bench.prune(&[]).await;
    gone.sort();
    assert_eq!(gone, ["held:1", "named:1", "used:1"]);
    for name in ["users:1".to_owned(), format!("digests@{digest}")] {
        assert!(bench.has(&format!("{address}/{name}")).await, "the user pulled {name}");
    }
}

/// Two tasks, of which the first one takes seconds.
fn write_tasks(room: &Path, sandbox: &str) {
    let mut scripts = String::new();
    for (task, command) in [("a-slow", "sleep 6; echo is $VERSION"), ("b-later", "echo is $VERSION")] {
        let repo = room.join("tasks").join(task).join("repo");
        fs_err::create_dir_all(&repo).unwrap();
        fs_err::write(repo.join("file"), task).unwrap();
        let yaml = format!(
            "format: apprentice.task/1\nid: {task}\nkind: code\nproblem: say it.\nsandbox: {sandbox}\n\
             repo: {{path: repo}}\n\
             tests: {{command: \"true\", parser: tap, fail_to_pass: [a], pass_to_pass: []}}\n"
        );
        fs_err::write(repo.parent().unwrap().join("task.yaml"), yaml).unwrap();
        let replies = [command, "submit"].map(|action| format!("<think>Go on.</think>\n{action}"));
        scripts.push_str(&format!("{}\n", serde_json::json!({"task": task, "replies": replies})));
    }
    fs_err::write(room.join("scripts.jsonl"), scripts).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_moves_in_mid_run_changes_nothing() {
    let Some(bench) = Bench::begin().await else { return };
    let address = bench.registry.address();
    let second = bench.put_shell("shell:1", "two").await;
    let first = bench.put_shell("shell:1", "one").await;
    assert_ne!(first, second);
    bench.specify("moving", "shell:1");
    write_tasks(bench.room.path(), "moving");
    let words = ["rollout", "--sandbox", "docker", "--policy", "scripted:scripts.jsonl", "--out", "run"];
    let mut child = bench.command(&words).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let is_pulled = line.starts_with("pulled ");
        said.push(line);
        if is_pulled {
            assert!(
                !said.iter().any(|line| line.contains("Ran")),
                "images come before the first episode: {said:?}"
            );
            // The tag moves in the registry and, by the user's hand, in the engine.
            bench.put_shell("shell:1", "two").await;
            bench.registry.pull_by_hand("shell:1").await;
        }
    }
    assert!(child.wait().await.unwrap().success(), "{said:?}");
    let read = |file: &str| fs_err::read_to_string(bench.room.path().join("run").join(file)).unwrap();
    let trajectories = read("trajectories.jsonl");
    assert_eq!(trajectories.matches("is one").count(), 2, "{trajectories}");
    let manifest: Value = serde_json::from_str(&read("manifest.json")).unwrap();
    assert_eq!(manifest["digests"]["sandboxes"]["moving"], format!("{address}/shell@{first}"));
    assert_eq!(manifest["protection"]["backend"], "docker");

    let words = ["sandbox", "run", "moving", "--sandbox", "docker", "--json", "--", "echo is $VERSION"];
    let next = bench.run(&words).await;
    assert_eq!(next.json[0]["output"], "is two\n", "{}", next.stderr);
    assert_eq!(bench.prune(&[]).await, ["shell:1"], "with what was made ready from it");
    remove(&bench.registry.docker, &format!("{address}/shell:1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_was_removed_is_made_ready_again() {
    let Some(bench) = Bench::begin().await else { return };
    bench.put_shell("shell:1", "again").await;
    bench.specify("again", "shell:1");
    let notes = bench.room.path().join("cache/apprentice/images");
    let backend = DockerBackend::connect(Isolation::Full).await.unwrap();
    let backend = backend.with_notes(notes).with_exe(env!("CARGO_BIN_EXE_apprentice").into());
    let spec = SandboxSpec::load("again", &bench.sandboxes()).unwrap();
    let docker = &bench.registry.docker;
    let image = backend.image(&spec, &|_| ()).await.unwrap().id.clone();
    let tree = ground::tree(&[("file", b"content")]);
    for _ in 0..2 {
        let start = Start { spec: &spec, tree: Some(tree.path()) };
        let mut sandbox = backend.start(&start).await.unwrap();
        assert_eq!(ground::output(&mut sandbox, "cat file; echo $VERSION").await, "contentagain\n");
        sandbox.stop().await.unwrap();
        let all = docker.list_images(None::<bollard::query_parameters::ListImagesOptions>).await.unwrap();
        for made in all.iter().filter(|made| made.labels.get("apprentice.base") == Some(&image)) {
            remove(docker, &made.id).await;
        }
        remove(docker, &image).await;
        assert!(docker.inspect_image(&image).await.is_err(), "it is gone");
    }
    // The digest is the same one, though the tag has moved.
    bench.put_shell("shell:1", "moved").await;
    let mut sandbox = backend.start(&Start { spec: &spec, tree: Some(tree.path()) }).await.unwrap();
    assert_eq!(ground::output(&mut sandbox, "echo $VERSION").await, "again\n");
    sandbox.stop().await.unwrap();
    drop(backend);
    bench.prune(&[]).await;
    assert_eq!(bench.registry.left(&bench.registry.address()).await, [""; 0]);
}

//! The command line as a user meets it: help, JSON, exit codes, and what it says to bad input.
//!
//! Guarantees that `docs/commands.md` is the program's help. After a change of help, write it again with
//! `APPRENTICE_UPDATE=1 cargo test --test cli`. Tests that need Docker stand with the sandboxes.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, or says that it is skipped"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// What a command said, with the test's own directory taken out.
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A directory to work in, and commands that run there.
struct Desk {
    directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    fn say(&self, arguments: &[&str]) -> Said {
        self.said(command(program()).args(arguments))
    }

    fn said(&self, command: &mut Command) -> Said {
        let Output { status, stdout, stderr } = command.current_dir(self.directory.path()).output().unwrap();
        let here = fs_err::canonicalize(self.directory.path()).unwrap();
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap().replace(here.to_str().unwrap(), "[dir]").trim_end().to_owned()
        };
        Said { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Said {
    /// The failure as a user reads it: the exit code and stderr; stdout must be silent.
    fn failure(&self) -> String {
        assert_eq!(self.stdout, "", "a failure says nothing on stdout: {}", self.stderr);
        format!("exit {}\n{}", self.code.unwrap_or(-1), self.stderr)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_apprentice")
}

/// A command without what this shell's environment would change.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG")
        .env_remove("APPRENTICE_REQUIRE");
    command
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A step of a native trajectory.
fn trajectory(id: &str) -> Value {
    json!({
        "format": "apprentice.trajectory/1", "id": id, "task": "t", "end": "submitted",
        "steps": [{"thought": "look", "action": {"kind": "bash", "command": "ls"}}],
    })
}

mod help {
    use super::*;

    /// The help of a command and of those below it, depth first.
    fn pages(desk: &Desk, path: &[String], pages: &mut String) {
        let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let said = desk.say(&arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}");
        let name =
            ["apprentice"].into_iter().chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        let text: Vec<&str> = said.stdout.lines().map(str::trim_end).collect();
        write!(pages, "## {name}\n\n```text\n{}\n```\n\n", text.join("\n")).unwrap();
        for below in commands(&said.stdout) {
            self::pages(desk, &[path, &[below]].concat(), pages);
        }
    }

    /// The names under `Commands:`.
    fn commands(help: &str) -> Vec<String> {
        let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let entries = lines.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
        let names = entries.filter_map(|line| line.split_whitespace().next());
        names.filter(|name| *name != "help").map(str::to_owned).collect()
    }

    #[test]
    fn the_documentation_is_the_help() {
        let mut shown =
            "# Commands\n\nWhat `--help` says, written by `APPRENTICE_UPDATE=1 cargo test --test cli`.\n\n"
                .to_owned();
        pages(&Desk::new(), &[], &mut shown);
        let path = root().join("docs/commands.md");
        if std::env::var_os("APPRENTICE_UPDATE").is_some() {
            fs_err::write(&path, &shown).unwrap();
        }
        let documented = fs_err::read_to_string(&path).unwrap();
        assert!(
            documented == shown,
            "docs/commands.md is not the help; write it again with APPRENTICE_UPDATE=1"
        );
    }

    #[test]
    fn every_command_says_what_it_does_in_an_imperative_without_a_full_stop() {
        let help = Desk::new().say(&["--help"]).stdout;
        for name in commands(&help) {
            let first = Desk::new().say(&[&name, "--help"]).stdout.lines().next().unwrap().to_owned();
            assert!(first.starts_with(char::is_uppercase) && !first.ends_with('.'), "{name}: {first}");
        }
    }

    #[test]
    fn an_unknown_command_is_a_usage_failure() {
        let said = Desk::new().say(&["trian"]);
        assert_eq!(said.code, Some(2));
        assert!(said.stderr.contains("'train'"), "{}", said.stderr);
    }
}

mod report {
    use super::*;

    /// A run directory as `eval` leaves it.
    fn run(desk: &Desk, events: &[Value]) {
        let manifest = json!({
            "format": "apprentice.manifest/1", "argv": ["apprentice", "eval"], "recipe": null, "seeds": {},
            "digests": {}, "protection": null, "isolation": "full", "versions": {},
        });
        desk.write("run/manifest.json", &manifest.to_string());
        let lines: String = events.iter().map(|event| event.to_string() + "\n").collect();
        desk.write("run/events.jsonl", &lines);
    }

    fn event(mut fields: Value) -> Value {
        let mut event = json!({"format": "apprentice.event/1", "at": "2026-01-31T23:59:59.000Z"});
        event.as_object_mut().unwrap().append(fields.as_object_mut().unwrap());
        event
    }

    fn measured() -> Value {
        event(json!({
            "event": "method_measured", "method": "srl", "tasks": 4, "resolved": 3, "rate": 0.75, "low": 0.3, "high": 0.95,
            "reward": 0.9, "tokens_per_reply": 20.0,
        }))
    }

    #[test]
    fn a_run_becomes_a_table_and_a_page() {
        let desk = Desk::new();
        run(&desk, &[measured()]);
        let said = desk.say(&["report", "run"]);
        insta::assert_snapshot!(said.stdout, @r"
        method  resolved   rate  95% interval  step reward  tokens/reply
        srl          3/4  75.0%    30.0–95.0%        0.900          20.0

        Wrote run/report.html and 0 curves
        ");
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
        assert!(desk.read("run/report.html").starts_with("<!doctype html>"));
    }

    #[test]
    fn json_opens_with_its_format() {
        let desk = Desk::new();
        run(&desk, &[measured()]);
        let said = desk.say(&["--json", "report", "run", "--out", "page.html"]);
        assert!(
            said.stdout.starts_with(r#"{"format":"apprentice.report/1","page":"page.html""#),
            "{}",
            said.stdout
        );
        assert_eq!(said.json()["runs"][0]["rows"][0]["method"], "srl");
    }

    #[test]
    fn a_directory_without_a_run_is_an_input_failure() {
        insta::assert_snapshot!(Desk::new().say(&["report", "nowhere"]).failure(), @r"
        exit 3
        error: `nowhere` is not a run directory: it has no manifest.json
        hint: give the directory that a command wrote with `--out`
        ");
    }

    #[test]
    fn a_failure_under_json_is_json_with_the_same_exit_code() {
        let said = Desk::new().say(&["--json", "report", "nowhere"]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(3), ""));
        assert_eq!(said.json()["hint"], "give the directory that a command wrote with `--out`");
    }

    #[test]
    fn a_damaged_line_is_named() {
        let desk = Desk::new();
        run(&desk, &[measured(), event(json!({"event": "unheard_of"}))]);
        let failure = desk.say(&["report", "run"]).failure();
        assert!(failure.starts_with("exit 3\nerror: `run/events.jsonl` line 2 is damaged"), "{failure}");
    }
}

mod bad_input {
    use super::*;

    #[test]
    fn truncated_json_is_named_by_file_and_line_and_nothing_is_written() {
        let desk = Desk::new();
        let whole = trajectory("a").to_string();
        desk.write("experts.jsonl", &format!("{whole}\n{}", &whole[..60]));
        let failure = desk.say(&["trajectory", "import", "experts.jsonl", "--out", "out.jsonl"]).failure();
        assert!(failure.starts_with("exit 3\nerror: could not import `experts.jsonl`\n"), "{failure}");
        assert!(failure.contains("line 2") && failure.contains("\nhint: "), "{failure}");
        assert!(!desk.path("out.jsonl").exists());
    }

    #[test]
    fn with_keep_going_the_rest_is_imported_and_the_rejects_are_listed() {
        let desk = Desk::new();
        let whole = trajectory("a").to_string();
        desk.write("experts.jsonl", &format!("{}\n{whole}\n", &whole[..60]));
        let said = desk.say(&["trajectory", "import", "experts.jsonl", "--out", "out.jsonl", "--keep-going"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        assert_eq!(desk.read("out.jsonl").lines().count(), 1);
        assert_eq!(desk.read("rejects.jsonl").lines().count(), 1);
    }

    #[test]
    fn an_unknown_format_is_named_with_its_line() {
        let desk = Desk::new();
        desk.write("experts.jsonl", "{\"format\": \"apprentice.trajectory/9\", \"steps\": []}\n");
        let failure = desk.say(&["trajectory", "import", "experts.jsonl", "--out", "out.jsonl"]).failure();
        assert!(failure.starts_with("exit 3\n"), "{failure}");
        assert!(failure.contains("line 1") && failure.contains("apprentice.trajectory/9"), "{failure}");
    }

    #[test]
    fn an_unknown_name_of_a_format_lists_the_known_ones() {
        let desk = Desk::new();
        desk.write("experts.jsonl", &trajectory("a").to_string());
        let arguments = ["trajectory", "import", "experts.jsonl", "--from", "swe", "--out", "out.jsonl"];
        let failure = desk.say(&arguments).failure();
        assert!(
            failure.starts_with("exit 2\nerror: `swe` is no format of trajectories\nhint: use one of: "),
            "{failure}"
        );
    }

    #[test]
    fn a_directory_without_trajectories_is_an_empty_selection() {
        let desk = Desk::new();
        fs_err::create_dir(desk.path("experts")).unwrap();
        let said = desk.say(&["trajectory", "import", "experts", "--out", "out.jsonl"]);
        assert_eq!(said.code, Some(4), "{}", said.stderr);
    }

    #[test]
    fn a_task_without_tests_is_refused_with_its_file() {
        let desk = Desk::new();
        desk.write(
            "tasks/t/task.yaml",
            "format: apprentice.task/1\nid: t\nkind: code\nproblem: it is wrong\nsandbox: shell\nrepo: {path: repo}\n",
        );
        let failure = desk.say(&["task", "check", "--tasks", "tasks"]).failure();
        assert!(failure.starts_with("exit 3\n"), "{failure}");
        assert!(failure.contains("tasks/t/task.yaml") && failure.contains("tests"), "{failure}");
    }

    #[test]
    fn an_unknown_task_is_a_usage_failure() {
        let said = Desk::new().say(&[
            "task",
            "show",
            "nothing-like-it",
            "--tasks",
            root().join("tasks").to_str().unwrap(),
        ]);
        assert_eq!(said.code, Some(2), "{}", said.stderr);
    }

    #[test]
    fn an_unknown_sandbox_is_a_usage_failure() {
        let said = Desk::new().say(&["sandbox", "run", "shel", "--", "true"]);
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains("`shel`") && said.stderr.contains("hint: "), "{}", said.stderr);
    }
}

#[cfg(feature = "train")]
mod bad_models_and_recipes {
    use super::*;

    #[test]
    fn a_missing_shard_is_named() {
        let desk = Desk::new();
        desk.write("model/config.json", r#"{"model_type": "qwen2", "vocab_size": 8, "hidden_size": 8, "intermediate_size": 16,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64,
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": true}"#);
        desk.write(
            "model/model.safetensors.index.json",
            r#"{"metadata": {}, "weight_map": {"model.embed_tokens.weight": "model-00001-of-00002.safetensors"}}"#,
        );
        let failure = desk.say(&["model", "check", "model"]).failure();
        assert!(
            failure.starts_with("exit 3\n") && failure.contains("model-00001-of-00002.safetensors"),
            "{failure}"
        );
    }

    #[test]
    fn a_misspelt_key_is_named_with_the_nearest_known_one() {
        let desk = Desk::new();
        let recipe = fs_err::read_to_string(root().join("recipes/srl.yaml")).unwrap();
        desk.write("srl.yaml", &recipe.replace("\nseed: ", "\nsede: "));
        let failure = desk.say(&["train", "srl.yaml", "--out", "run"]).failure();
        assert!(failure.starts_with("exit 2\n"), "{failure}");
        assert!(
            failure.contains("srl.yaml") && failure.contains("`sede`") && failure.contains("`seed`"),
            "{failure}"
        );
        assert!(!desk.path("run").exists());
    }
}

/// Hosts that lack something, made of namespaces that this test owns.
mod hosts {
    use super::*;

    /// Whether a user namespace can be made here; says so, or fails where it must be.
    fn can_unshare() -> bool {
        let probe = Command::new("unshare").args(["-Urm", "true"]).output();
        if probe.is_ok_and(|probe| probe.status.success()) {
            return true;
        }
        let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "namespaces"), "user namespaces are required");
        println!("skipped: no user namespaces here");
        false
    }

    /// Runs a script in a user namespace of its own; `$0` is the program.
    fn unshared(desk: &Desk, script: &str) -> Said {
        desk.said(command("unshare").args(["-Urm", "sh", "-c", script, program()]))
    }

    #[test]
    fn without_docker_the_failure_names_the_remedy() {
        let desk = Desk::new();
        let mut run = command(program());
        run.args(["sandbox", "run", "shell", "--sandbox", "docker", "--", "true"]);
        let failure = desk.said(run.env("DOCKER_HOST", "unix:///nonexistent.sock")).failure();
        assert!(failure.starts_with("exit 5\n"), "{failure}");
        assert!(failure.to_lowercase().contains("docker") && failure.contains("\nhint: "), "{failure}");
    }

    #[test]
    fn without_user_namespaces_the_failure_names_the_remedy() {
        if !can_unshare() {
            return;
        }
        // The outer namespace allows one inner one, in which the program runs as an ordinary user.
        let script = "echo 1 > /proc/sys/user/max_user_namespaces \
                      && exec unshare -U --map-user=1000 --map-group=1000 \
                      \"$0\" sandbox run shell --sandbox namespaces -- true";
        let failure = unshared(&Desk::new(), script).failure();
        assert!(failure.starts_with("exit 5\nerror: namespaces sandboxes are not available"), "{failure}");
        assert!(failure.contains("\nhint: ") && failure.contains("user.max_user_namespaces"), "{failure}");
    }

    #[test]
    fn a_full_disk_is_named_and_the_earlier_file_survives() {
        if !can_unshare() {
            return;
        }
        let desk = Desk::new();
        desk.write("small.jsonl", &trajectory("a").to_string());
        let many: String = (0..400).map(|n| trajectory(&format!("t{n}")).to_string() + "\n").collect();
        desk.write("large.jsonl", &many);
        fs_err::create_dir(desk.path("disk")).unwrap();
        let script = "mount -t tmpfs -o size=16k tmpfs disk \
                      && \"$0\" -q trajectory import small.jsonl --out disk/out.jsonl > /dev/null \
                      && { \"$0\" trajectory import large.jsonl --out disk/out.jsonl; echo \"exit $?\" >&2; wc -l < disk/out.jsonl; }";
        let said = unshared(&desk, script);
        assert!(said.stderr.contains("disk/out.jsonl") && said.stderr.ends_with("exit 5"), "{}", said.stderr);
        assert!(said.stderr.contains("No space left on device"), "{}", said.stderr);
        assert_eq!(said.stdout.trim(), "1", "the file of the first import is whole");
    }
}

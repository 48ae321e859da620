//! Root file systems as a user meets them: made, listed, used, removed.
//!
//! What a sandbox does in one is in the contract. The test that makes one prints `skipped:` where
//! namespaces, mmdebstrap or its mirror are missing, and fails there under `APPRENTICE_REQUIRE=rootfs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

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

/// Runs the program with `cache` as the user's cache directory.
fn say(cache: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apprentice"));
    let output = command.env("XDG_CACHE_HOME", cache).current_dir(cache).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

const NAMESPACES: [&str; 2] = ["--sandbox", "namespaces"];

#[test]
fn a_command_runs_in_the_root_that_build_made_and_cannot_write_to_it() {
    // Where the contract keeps its own.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    fs_err::create_dir_all(&cache).unwrap();
    let run = |script: &str| {
        let first = ["sandbox", "run", "shell", "--accept-weaker-isolation"];
        say(&cache, &[&first[..], &NAMESPACES, &["--", script]].concat())
    };
    let built = say(&cache, &[&["sandbox", "build", "shell", "--json"][..], &NAMESPACES].concat());
    let ran = run("whoami; . /etc/os-release; echo $ID; touch /usr/x 2>&1; cat /etc/hostname");
    if built.code != Some(0) || ran.code != Some(0) {
        let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "rootfs"), "{}{}", built.stderr, ran.stderr);
        println!("skipped: no sandbox with a root of its own: {}{}", built.stderr, ran.stderr);
        return;
    }
    let root = built.json()["rootfs"].as_str().unwrap().to_owned();
    assert!(ran.stderr.contains("root file system"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "agent\ndebian\ntouch: cannot touch '/usr/x': Read-only file system\nsandbox\n");
    assert!(Path::new(&root).join("usr/bin/git").is_file());
    assert!(!Path::new(&root).join("usr/x").exists());
    let listed = say(&cache, &["sandbox", "list", "--json"]).json();
    let kinds = listed["kinds"].as_array().unwrap();
    let shell = kinds.iter().find(|kind| kind["name"] == "shell").unwrap();
    assert_eq!(shell["rootfs"], json!(root));
    assert_eq!(run("exit 3").code, Some(1));
}

#[test]
fn without_a_root_or_the_hosts_programs_the_error_names_the_command_that_makes_one() {
    let cache = tempfile::tempdir().unwrap();
    let said = say(cache.path(), &["sandbox", "run", "go", "--sandbox", "namespaces", "--", "true"]);
    assert_eq!(said.code, Some(5));
    assert!(said.stderr.contains("`apprentice sandbox build go --sandbox namespaces`"), "{}", said.stderr);
}

#[test]
fn prune_removes_a_root_that_nothing_names_and_leaves_others() {
    let cache = tempfile::tempdir().unwrap();
    let put = |id: &str, record: &str| {
        let place = cache.path().join("apprentice/rootfs").join(id);
        fs_err::create_dir_all(place.join("root/usr")).unwrap();
        fs_err::write(place.join("rootfs.json"), record).unwrap();
        place
    };
    let record = r#"{"format":"apprentice.rootfs/1","sandbox":"shell","file":null}"#;
    let old = put("0123456789ab", record);
    let other = put("ba9876543210", r#"{"format":"apprentice.rootfs/2","sandbox":"shell","file":null}"#);
    let killed = put(".making-0123456789ab-x", "");
    let removed = |said: Said| -> Vec<String> {
        let removed = said.json()["removed"].as_array().unwrap().clone();
        let roots = removed.iter().filter(|one| one["kind"] == "rootfs");
        roots.map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let expected = [".making-0123456789ab-x", "0123456789ab"];
    assert_eq!(removed(say(cache.path(), &["sandbox", "prune", "--dry-run", "--json"])), expected);
    assert!(old.exists() && killed.exists());
    assert_eq!(removed(say(cache.path(), &["sandbox", "prune", "--json"])), expected);
    assert!(!old.exists() && !killed.exists() && other.exists());
}

#[test]
fn nothing_is_built_for_landlock() {
    let cache = tempfile::tempdir().unwrap();
    let said = say(cache.path(), &["sandbox", "build", "shell", "--sandbox", "landlock"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
}

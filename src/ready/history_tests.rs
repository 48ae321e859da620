//! Repositories that tell of the future, before and after their history is cut.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::history::{INVENTORY, SCRUB, inventory};
use crate::workspace::Inventory;

/// A repository with the answer in every place that git has.
struct Poisoned {
    dir: tempfile::TempDir,
    base: String,
}

const SECRET: &str = "the answer";

impl Poisoned {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut poisoned = Self { dir, base: String::new() };
        for name in ["elsewhere", "work"] {
            fs_err::create_dir_all(poisoned.dir.path().join(name)).unwrap();
        }
        // A store that another repository borrows from.
        poisoned.git("elsewhere", &["init", "-q", "-b", "store"]);
        fs_err::write(poisoned.dir.path().join("elsewhere/f"), format!("{SECRET} in a store\n")).unwrap();
        poisoned.git("elsewhere", &["add", "."]);
        poisoned.git("elsewhere", &["commit", "-q", "-m", "stored"]);
        poisoned.git("work", &["init", "-q", "-b", "feature"]);
        poisoned.write("f", "zero\n");
        poisoned.commit("before");
        poisoned.write("f", "one\n");
        poisoned.write("run.sh", "#!/bin/sh\n");
        poisoned.write(".gitignore", "*.log\n");
        poisoned.commit("base");
        poisoned.base = poisoned.git("work", &["rev-parse", "HEAD"]);
        poisoned
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    fn write(&self, path: &str, text: &str) {
        fs_err::write(self.work().join(path), text).unwrap();
    }

    fn commit(&self, message: &str) {
        self.git("work", &["add", "-A"]);
        self.git("work", &["commit", "-q", "-m", message]);
    }

    fn git(&self, place: &str, args: &[&str]) -> String {
        let known = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "protocol.file.allow=always"];
        let mut git = Command::new("git");
        git.args(known).args(args).current_dir(self.dir.path().join(place)).env("HOME", self.dir.path());
        let output = git.env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Puts the answer into loose objects, packs, references, reflog, stash, notes, a remote, a worktree, a submodule,
    /// an unreachable object, another store, and leaves the repository at its base.
    fn poison(&self) {
        let work = |args: &[&str]| self.git("work", args);
        self.write("f", &format!("{SECRET} in a pack\n"));
        self.commit("fix");
        work(&["tag", "-a", "v2", "-m", SECRET]);
        work(&["gc", "-q"]);
        self.write("f", &format!("{SECRET} loose\n"));
        self.commit("more");
        work(&["notes", "add", "-m", SECRET]);
        work(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
        self.write("f", &format!("{SECRET} in a stash\n"));
        work(&["stash", "-q"]);
        self.write("loose", &format!("{SECRET}, unreachable\n"));
        work(&["hash-object", "-w", "loose"]);
        fs_err::remove_file(self.work().join("loose")).unwrap();
        work(&["submodule", "--quiet", "add", "../elsewhere", "sub"]);
        work(&["commit", "-q", "-m", "submodule"]);
        work(&["worktree", "add", "-q", "../tree", "v2"]);
        work(&["remote", "add", "origin", "https://example.org/answer.git"]);
        self.write(
            ".git/objects/info/alternates",
            &format!("{}/elsewhere/.git/objects\n", self.dir.path().display()),
        );
        work(&["fetch", "-q", "../elsewhere", "store"]);
        work(&["checkout", "-q", &self.base]);
        self.write(".git/ORIG_HEAD", &work(&["rev-parse", "feature"]));
        self.write(".git/hooks/post-checkout", "#!/bin/sh\n");
        // A clone beside the files, and one that the checkout of the base left.
        self.git("work", &["clone", "-q", "../elsewhere", "vendored"]);
    }

    fn bash(&self, script: &str) -> (String, bool) {
        let mut bash = Command::new("bash");
        let output = bash.arg("-c").arg(script).current_dir(self.work()).output().unwrap();
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        (words + &String::from_utf8_lossy(&output.stderr), output.status.success())
    }

    fn scrub(&self, base: &str) -> (String, bool) {
        self.bash(&format!("base='{base}'\n{SCRUB}"))
    }
}

/// Whether the answer can be read in any file below a directory, packed or not.
fn tells(dir: &Path) -> bool {
    let script = format!(
        "grep -rl '{SECRET}' .; find . -name .git -prune | while read -r git; do \
         git -c safe.directory='*' --git-dir=$git cat-file --batch-all-objects --batch | grep -aq '{SECRET}' && echo $git; done"
    );
    let output = Command::new("bash").arg("-c").arg(script).current_dir(dir).output().unwrap();
    !output.stdout.is_empty()
}

#[test]
fn nothing_beyond_the_base_is_left_in_any_place_that_git_has() {
    let poisoned = Poisoned::new();
    poisoned.poison();
    assert!(tells(&poisoned.work()) && Inventory::of(&poisoned.work()).unwrap().leak().is_some());
    let before = inventory(&poisoned.bash(INVENTORY).0);
    assert!(before.leak().is_some());
    poisoned.write("f", "one\nnot committed\n");

    let (words, done) = poisoned.scrub(&poisoned.base);
    assert!(done, "{words}");
    assert_eq!(Inventory::of(&poisoned.work()).unwrap().leak(), None);
    let listed = inventory(&poisoned.bash(INVENTORY).0);
    assert_eq!(listed.leak(), None);
    assert_eq!(listed.objects.len(), listed.reachable.len());
    assert!(5 <= listed.objects.len(), "{listed:?}");
    assert!(!poisoned.dir.path().join("tree").exists(), "a worktree is a checkout of another commit");
    assert!(!poisoned.dir.path().join("elsewhere/.git/objects").exists(), "the store that was borrowed from");
    // The files of a clone and of a submodule stay: they are files of the image.
    for place in ["vendored", "sub"] {
        fs_err::remove_dir_all(poisoned.work().join(place)).unwrap();
    }
    assert!(!tells(&poisoned.work()));
}

#[test]
fn git_works_in_what_is_left() {
    let poisoned = Poisoned::new();
    poisoned.poison();
    let root = poisoned.git("work", &["rev-parse", &format!("{}^{{tree}}", poisoned.base)]);
    for place in ["vendored", "sub"] {
        fs_err::remove_dir_all(poisoned.work().join(place)).unwrap();
    }
    assert!(poisoned.scrub(&poisoned.base).1);
    let git = |args: &[&str]| poisoned.git("work", args);
    assert_eq!(git(&["rev-parse", "HEAD"]), poisoned.base, "the commit keeps its name");
    assert_eq!(git(&["rev-parse", "HEAD^{tree}"]), root);
    assert_eq!(git(&["log", "--all", "--format=%s"]), "base");
    assert_eq!(git(&["status", "--porcelain"]), "");
    assert_eq!(git(&["diff", "HEAD"]), "");
    assert!(git(&["blame", "f"]).ends_with("one"));
    git(&["fsck", "--full", "--strict"]);
    poisoned.write("f", "two\n");
    assert_eq!(git(&["status", "--porcelain"]), "M f");
    git(&["stash"]);
    git(&["stash", "pop"]);
    poisoned.commit("the student's");
    assert_eq!(git(&["log", "--format=%s"]), "the student's\nbase");
    assert_eq!(git(&["diff", "--stat", "HEAD~1", "--", "f"]).lines().count(), 2);
    assert!(!poisoned.bash("git show v2").1 && !poisoned.bash("git show feature").1);
}

#[test]
fn a_work_directory_may_be_a_worktree_of_a_repository_elsewhere() {
    let poisoned = Poisoned::new();
    poisoned.poison();
    let (words, done) =
        poisoned.bash(&format!("cd ../tree; git checkout -q {0}; base={0}\n{SCRUB}", poisoned.base));
    assert!(done, "{words}");
    assert_eq!(Inventory::of(&poisoned.dir.path().join("tree")).unwrap().leak(), None);
    assert!(!poisoned.work().exists(), "the checkout that it was a worktree of");
}

#[test]
fn the_head_is_the_base_where_nobody_names_one() {
    let poisoned = Poisoned::new();
    assert!(poisoned.scrub("").1);
    assert_eq!(poisoned.git("work", &["rev-parse", "HEAD"]), poisoned.base);
}

#[test]
fn what_cannot_be_cut_is_said_and_left_alone() {
    let poisoned = Poisoned::new();
    poisoned.poison();
    let (words, done) = poisoned.scrub(&"f".repeat(40));
    assert_eq!((words.trim(), done), ("the repository does not hold the base commit", false));
    fs_err::create_dir(poisoned.work().join("inner")).unwrap();
    let (words, done) = poisoned.bash(&format!("cd inner\nbase=\n{SCRUB}"));
    assert!(words.contains("above the work directory") && !done, "{words}");
    assert_eq!(poisoned.git("work", &["rev-parse", "HEAD"]), poisoned.base);
    poisoned.write(".git/HEAD", "nonsense\n");
    let (words, done) = poisoned.scrub("");
    assert!(words.contains("cannot be read") && !done, "{words}");
}

#[test]
fn who_has_no_git_has_no_repository() {
    let poisoned = Poisoned::new();
    poisoned.poison();
    let path =
        "mkdir ../bin; for tool in find rm; do ln -s \"$(type -P $tool)\" ../bin; done; PATH=$PWD/../bin";
    let (words, done) = poisoned.bash(&format!("{path}\nbase=\n{SCRUB}"));
    assert!(done, "{words}");
    assert_eq!(inventory(&poisoned.bash(INVENTORY).0).repositories.len(), 0);
}

#[test]
fn a_work_directory_without_a_repository_needs_none() {
    let poisoned = Poisoned::new();
    fs_err::remove_dir_all(poisoned.work().join(".git")).unwrap();
    assert!(poisoned.scrub("").1);
    let listed = inventory(&poisoned.bash(INVENTORY).0);
    assert_eq!((listed.repositories.len(), listed.leak()), (0, None));
}

/// A repository of the host's making is looked at in the same way.
#[test]
fn each_place_alone_is_found() {
    let poisons: [(&str, &str); 9] = [
        ("a commit", "git commit -q --allow-empty -m x; git update-ref HEAD HEAD~"),
        ("a reflog", "mkdir -p .git/logs; echo x > .git/logs/HEAD"),
        ("an object", "echo x | git hash-object -w --stdin"),
        ("a tag", "git tag v2"),
        ("packed references", "git pack-refs --all; git tag v2; git pack-refs --all"),
        ("FETCH_HEAD", "echo x > .git/FETCH_HEAD"),
        ("a hook", "mkdir -p .git/hooks; echo x > .git/hooks/pre-commit"),
        ("alternates", "mkdir -p .git/objects/info; echo /x > .git/objects/info/alternates"),
        ("a nested repository", "git init -q nested"),
    ];
    for (name, script) in poisons {
        let poisoned = Poisoned::new();
        assert!(poisoned.scrub("").1);
        assert_eq!(Inventory::of(&poisoned.work()).unwrap().leak(), None);
        let known = "export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e GIT_CONFIG_NOSYSTEM=1";
        let (words, done) =
            poisoned.bash(&format!("{known}; git config core.logAllRefUpdates false; {script}"));
        assert!(done, "{name}: {words}");
        assert!(Inventory::of(&poisoned.work()).unwrap().leak().is_some(), "{name} on the host");
        assert!(inventory(&poisoned.bash(INVENTORY).0).leak().is_some(), "{name} in a sandbox");
    }
}

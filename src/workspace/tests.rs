//! Tests of work directories, on repositories made by git.

use std::process::Command;

use super::files::Branch;
use super::*;
use crate::patch::Level;
use crate::task::Task;

const FIX: &str = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-one\n+two\n";

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        for (path, text) in [("repo/f", "one\n"), ("repo/sub/g", "g\n"), ("repo/.gitignore", "sub\n")] {
            let path = place.path(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    fn task(&self, repo: &str) -> LoadedTask {
        let yaml = format!(
            "format: apprentice.task/1\nid: t\nkind: code\nproblem: p\nsandbox: s\nrepo: {repo}\n\
             tests: {{command: ./run, parser: tap, fail_to_pass: [adds]}}\n"
        );
        LoadedTask { task: Task::parse(&yaml, "t").unwrap(), dir: self.dir.path().to_owned() }
    }

    fn prepare(&self, repo: &str) -> anyhow::Result<PathBuf> {
        Ok(prepare(&self.task(repo), &self.cache())?.tree.unwrap())
    }

    fn git(&self, args: &[&str]) -> String {
        let identity = ["-c", "user.name=n", "-c", "user.email=e@x"];
        let output =
            Command::new("git").args(identity).args(args).current_dir(self.path("repo")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn text(path: impl AsRef<Path>) -> String {
    fs_err::read_to_string(path.as_ref()).unwrap()
}

fn commits(tree: &Path) -> (String, usize) {
    let repo = git2::Repository::open(tree).unwrap();
    let mut walk = repo.revwalk().unwrap();
    walk.push_glob("*").unwrap();
    (repo.head().unwrap().target().unwrap().to_string(), walk.count())
}

#[test]
fn directory_becomes_one_commit_of_all_files() {
    let place = Place::new();
    let tree = place.prepare("{path: repo}").unwrap();
    assert_eq!(text(tree.join("sub/g")), "g\n");
    // An ignored file is committed too, and nothing else differs.
    let repo = git2::Repository::open(&tree).unwrap();
    assert!(repo.statuses(None).unwrap().is_empty());
    // The id is the same on every machine: no clock, no configuration, no order of the disk.
    assert_eq!(commits(&tree), ("cf7cc6e526989a9e5394322ba7627ba9b6404552".to_owned(), 1));
}

#[test]
fn prepared_tree_is_found_again_and_rebuilt_when_the_source_changes() {
    let place = Place::new();
    let first = place.prepare("{path: repo}").unwrap();
    assert_eq!(place.prepare("{path: repo}").unwrap(), first);
    fs_err::write(place.path("repo/f"), "other\n").unwrap();
    let second = place.prepare("{path: repo}").unwrap();
    assert_eq!((text(first.join("f")), text(second.join("f"))), ("one\n".to_owned(), "other\n".to_owned()));
}

#[test]
fn patch_makes_another_starting_point() {
    let place = Place::new();
    let patch = serde_json::to_string(FIX).unwrap();
    let tree = place.prepare(&format!("{{path: repo, patch: {patch}}}")).unwrap();
    assert_eq!(text(tree.join("f")), "two\n");
    assert_eq!(text(place.path("repo/f")), "one\n");
    let error = place.prepare(&format!("{{path: repo/sub, patch: {patch}}}")).unwrap_err();
    assert_eq!(error.chain().last().unwrap().to_string(), "`repo.patch` does not apply: `f` does not exist");
}

#[test]
fn later_history_of_a_clone_is_not_there() {
    let place = Place::new();
    place.git(&["init", "-q"]);
    place.git(&["add", "-f", "."]);
    place.git(&["commit", "-q", "-m", "base"]);
    let base = place.git(&["rev-parse", "HEAD"]);
    fs_err::write(place.path("repo/f"), "the fix\n").unwrap();
    place.git(&["commit", "-q", "-a", "-m", "fix"]);
    place.git(&["bundle", "create", "-q", "../b.bundle", "HEAD"]);
    for repo in
        [format!("{{git: repo, base_commit: {base}}}"), format!("{{bundle: b.bundle, base_commit: {base}}}")]
    {
        let tree = place.prepare(&repo).unwrap();
        assert_eq!((text(tree.join("f")).as_str(), commits(&tree).1), ("one\n", 1));
    }
    let absent = "f".repeat(40);
    let error = place.prepare(&format!("{{git: repo, base_commit: {absent}}}")).unwrap_err();
    assert!(
        format!("{error:#}").ends_with(&format!("does not hold the commit `{absent}`; fetch it there")),
        "{error:#}"
    );
}

#[test]
fn archive_is_unpacked_without_its_top_directory() {
    let place = Place::new();
    let tar = |args: &[&str]| {
        assert!(Command::new("tar").args(args).current_dir(place.dir.path()).status().unwrap().success());
    };
    tar(&["-czf", "a.tar.gz", "repo"]);
    let tree = place.prepare("{archive: a.tar.gz}").unwrap();
    assert_eq!(text(tree.join("f")), "one\n");
    let gold = FIX.replace("-one", "-zero").replace("+two", "+one");
    let repo = place.task("{archive: a.tar.gz}").task.repo.unwrap();
    let back = reversed_archive_patch(&repo, place.dir.path(), &place.cache(), &gold).unwrap();
    let tree = place
        .prepare(&format!("{{archive: a.tar.gz, patch: {}}}", serde_json::to_string(&back).unwrap()))
        .unwrap();
    assert_eq!(text(tree.join("f")), "zero\n");
}

#[test]
fn two_that_prepare_at_once_share_one_tree() {
    let place = Place::new();
    let task = place.task("{path: repo}");
    let trees: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| prepare(&task, &place.cache()).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(trees.iter().all(|tree| *tree == trees[0]));
    // Only the tree: what the losers built is gone.
    assert_eq!(fs_err::read_dir(place.cache().join("trees")).unwrap().count(), 1);
}

/// Applies a patch to a copy of `tree`; gives the copy too.
fn patched(tree: &Path, text: &str) -> (Branch, Result<Level, PatchFailure>) {
    let branch = Branch::empty(tree.parent().unwrap()).unwrap();
    commit::copy(tree, &branch.tree()).unwrap();
    let done = files::patch_tree(&branch.tree(), &Patch::parse(text).unwrap()).unwrap();
    (branch, done)
}

#[test]
fn a_patch_writes_files_and_removes_directories_that_become_empty() {
    let place = Place::new();
    let tree = place.prepare("{path: repo}").unwrap();
    let delete = "diff --git a/sub/g b/sub/g\ndeleted file mode 100644\n--- a/sub/g\n+++ /dev/null\n@@ -1 +0,0 @@\n-g\n";
    let (branch, done) = patched(&tree, &format!("{FIX}{delete}"));
    assert_eq!(done, Ok(Level::Exact));
    assert_eq!(text(branch.tree().join("f")), "two\n");
    assert!(!branch.tree().join("sub").exists() && tree.join("sub/g").exists());
}

#[test]
fn patch_does_not_write_through_a_link_of_the_tree() {
    let place = Place::new();
    std::os::unix::fs::symlink(place.path("elsewhere"), place.path("repo/link")).unwrap();
    fs_err::create_dir(place.path("elsewhere")).unwrap();
    let patch = "diff --git a/link/x b/link/x\nnew file mode 100644\n--- /dev/null\n+++ b/link/x\n@@ -0,0 +1 @@\n+x\n";
    let (_branch, done) = patched(&place.prepare("{path: repo}").unwrap(), patch);
    assert_eq!(done.unwrap_err().to_string(), "`link/x` lies behind a symbolic link");
    assert_eq!(fs_err::read_dir(place.path("elsewhere")).unwrap().count(), 0);
}

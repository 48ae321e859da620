//! A student's patch out of a real sandbox, and what a student finds of an image's history.
//!
//! Runs in every kind of sandbox that works here: docker and namespaces. Needs git in them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use apprentice::act::Actor;
use apprentice::extract::Extracted;
use apprentice::patch::{Level, Patch, Why, apply};
use apprentice::ready::{Order, Ready};
use apprentice::sandbox::SandboxError;
use apprentice::sandbox::select::BackendKind;
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::task::{LoadedTask, Task};
use apprentice::trajectory::{Action, Exit};
use apprentice::workspace::{self, Workspace};

mod backends;
use backends::backend;

const IDENTITY: &str =
    "export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e@x GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e@x\n";

fn task(repo: &str, setup: &str, dir: &Path) -> LoadedTask {
    let yaml = format!(
        "format: apprentice.task/1\nid: t\nkind: code\nproblem: p\nsandbox: shell\nrepo: {repo}\nsetup: {setup}\n\
         tests: {{command: check, parser: tap, fail_to_pass: [a]}}\n"
    );
    LoadedTask { task: Task::parse(&yaml, "t").unwrap(), dir: dir.to_owned() }
}

async fn run(actor: &mut Actor, script: &str) -> String {
    let command = format!("{IDENTITY}{script}");
    let seen = actor.perform(&Action::Bash { command }).await.unwrap();
    assert_eq!(seen.exit, Some(Exit::Code(0)), "{script}: {}", seen.output);
    seen.output
}

/// All that a student can do to a work directory, and then to its repository.
const WORK: &str = r#"
    test "$(cat version)" = 2
    echo committed > committed; git add -A; git commit -qm one; echo two >> committed; git commit -qam two
    printf 'a\r\nb' > windows; printf '\0\377' > bytes; printf 'caf\351\n' > latin; : > empty
    chmod +x runs; ln -s runs link; rm -r gone; rm file; mkdir file; echo x > file/x; rm -r dir; echo now > dir
    echo tab > "$(printf 'a\tb\nc "d" é')"
    echo log > x.log; mkdir build; echo out > build/out; echo more >> kept.log
    git init -q nested; echo n > nested/n; git clone -q --no-hardlinks . clone
    echo '*' > .gitignore; git config core.fileMode false; echo '* -text' > .git/info/attributes
    head -c 20000000 /dev/zero > huge; echo latin > "$(printf 'caf\351')"
    rm -rf .git"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_tells_of_all_that_a_student_did_and_of_nothing_else() {
    let spec = SandboxSpec::load("shell", Path::new("sandboxes")).unwrap();
    for kind in [BackendKind::Docker, BackendKind::Namespaces] {
        let Some(backend) = backend(kind, &spec).await else { continue };
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            (".gitignore", "*.log\nbuild/\n"),
            ("version", "1\n"),
            ("runs", "#!/bin/sh\n"),
            ("gone/a", "a\n"),
            ("file", "f\n"),
            ("dir/a", "a\n"),
            ("dir/b", "b\n"),
            ("kept.log", "k\n"),
        ] {
            let path = dir.path().join("repo").join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        let loaded = task("{path: repo}", "[echo 2 > version; echo made > made]", dir.path());
        let cache = dir.path().join("cache");
        let workspace = workspace::prepare(&loaded, &cache).unwrap();
        let order = Order { backend: &*backend, spec: &spec, task: &loaded.task, workspace: &workspace };
        // The second sandbox takes over what the first has set up.
        for ready in [Ready::anew(), Ready::below(&cache), Ready::below(&cache)] {
            let mut actor = ready.actor(&order).await.unwrap();
            assert_eq!(actor.patch().await.unwrap(), Extracted::default(), "{kind}");
            run(&mut actor, WORK).await;
            let extracted = actor.patch().await.unwrap();
            actor.stop().await.unwrap();
            is_that_work(&extracted, workspace.tree.as_deref().unwrap());
        }
    }
}

fn is_that_work(extracted: &Extracted, base: &Path) {
    let left_out: Vec<(&str, Why)> =
        extracted.left_out.iter().map(|left_out| (left_out.path.as_str(), left_out.why)).collect();
    let expected = [
        ("build/out", Why::Ignored),
        ("caf\u{fffd}", Why::Name),
        ("clone/.git", Why::Repository),
        ("clone/kept.log", Why::Ignored),
        ("huge", Why::TooLarge),
        ("nested/.git", Why::Repository),
        ("x.log", Why::Ignored),
    ];
    assert_eq!(left_out, expected);
    let patch = Patch::parse(&extracted.patch).unwrap();
    let applied = apply(&patch, &workspace::files_of(base, patch.paths()).unwrap()).unwrap();
    assert_eq!(applied.level, Level::Exact);
    let made: BTreeMap<String, Option<(Vec<u8>, &str)>> = applied
        .edits
        .into_iter()
        .map(|edit| (edit.path, edit.after.map(|file| (file.bytes, file.mode.octal()))))
        .collect();
    let file = |bytes: &[u8]| Some((bytes.to_vec(), "100644"));
    for (path, after) in [
        ("committed", file(b"committed\ntwo\n")),
        ("windows", file(b"a\r\nb")),
        ("bytes", file(b"\0\xff")),
        ("latin", file(b"caf\xe9\n")),
        ("empty", file(b"")),
        ("runs", Some((b"#!/bin/sh\n".to_vec(), "100755"))),
        ("link", Some((b"runs".to_vec(), "120000"))),
        ("gone/a", None),
        ("file", None),
        ("file/x", file(b"x\n")),
        ("dir/a", None),
        ("dir/b", None),
        ("dir", file(b"now\n")),
        ("a\tb\nc \"d\" \u{e9}", file(b"tab\n")),
        ("kept.log", file(b"k\nmore\n")),
        ("nested/n", file(b"n\n")),
        ("clone/committed", file(b"committed\ntwo\n")),
        (".gitignore", file(b"*\n")),
    ] {
        assert_eq!(made.get(path), Some(&after), "{path}");
    }
    for path in ["version", "made", "x.log", "huge"] {
        assert!(!made.contains_key(path), "{path}");
    }
}

/// An image whose work directory holds a repository that knows the answer; removed when dropped.
struct Poisoned {
    image: String,
    base: String,
}

fn docker(args: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(args).output().ok()?;
    let words = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        println!("docker {args:?}: {words}");
        return None;
    }
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

impl Poisoned {
    /// Made of the image of the sandbox `shell`.
    fn make() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let script = format!(
            "{IDENTITY}git init -q -b feature; echo '*.o' > .gitignore; echo one > f; touch built.o; git add -A; git add -f built.o; git commit -qm base
             git rev-parse HEAD; echo 'the answer' > f; git commit -qam fix; git tag v2; git stash list; git gc -q
             echo loose > f; git commit -qam more; git checkout -q HEAD~2; mkdir .git/x; cp .git/HEAD .git/ORIG_HEAD"
        );
        let made = Command::new("bash").arg("-ec").arg(script).current_dir(dir.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let base = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let from = docker(&["images", "-q", "apprentice/shell"])?;
        let container = docker(&["create", from.lines().next()?, "true"])?;
        let image = format!("apprentice-poisoned:{}", std::process::id());
        let copied =
            docker(&["cp", &format!("{}/.", dir.path().display()), &format!("{container}:/testbed")]);
        let kept = copied.and_then(|_| docker(&["commit", &container, &image]));
        docker(&["rm", "-f", &container]);
        kept.map(|_| Self { image, base })
    }
}

impl Drop for Poisoned {
    fn drop(&mut self) {
        // First what was made ready of it.
        let id = docker(&["inspect", "--format", "{{.Id}}", &self.image]).unwrap_or_default();
        let made = docker(&["images", "--quiet", "--filter", &format!("label=apprentice.base={id}")]);
        for image in made.unwrap_or_default().lines().chain([self.image.as_str()]) {
            docker(&["rmi", "--force", image]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_images_history_ends_at_the_base_commit() {
    let mut spec = SandboxSpec::load("shell", Path::new("sandboxes")).unwrap();
    let Some(backend) = backend(BackendKind::Docker, &spec).await else { return };
    let Some(poisoned) = Poisoned::make() else {
        println!("skipped: there is no image of the sandbox `shell`");
        return;
    };
    spec.image = Some(poisoned.image.clone());
    spec.bootstrap = None;
    let dir = tempfile::tempdir().unwrap();
    let workspace = Workspace { tree: None, identity: format!("image {}", poisoned.image) };
    let repo = |base: &str| format!("{{image: {}, base_commit: {base}}}", poisoned.image);
    let loaded = task(&repo(&poisoned.base), "[]", dir.path());
    let order = Order { backend: &*backend, spec: &spec, task: &loaded.task, workspace: &workspace };
    for ready in [Ready::anew(), Ready::below(dir.path()), Ready::below(dir.path())] {
        let mut actor = ready.actor(&order).await.unwrap();
        assert_eq!(actor.patch().await.unwrap(), Extracted::default());
        assert_eq!(run(&mut actor, "git log --all --format=%H").await.trim(), poisoned.base);
        assert_eq!(
            run(&mut actor, "git cat-file --batch-all-objects --batch | grep -ac answer || true").await,
            "0\n"
        );
        assert_eq!(run(&mut actor, "git status --porcelain; git stash list; git tag; git remote").await, "");
        run(
            &mut actor,
            "git blame f; echo two > f; git stash -q; git stash pop -q; echo x > new.o; echo y >> built.o",
        )
        .await;
        let Extracted { patch, left_out } = actor.patch().await.unwrap();
        actor.stop().await.unwrap();
        // The repository holds `built.o`, and ignores others of the kind.
        assert_eq!(Patch::parse(&patch).unwrap().paths(), ["built.o", "f"]);
        assert_eq!(left_out.iter().map(|left_out| left_out.path.as_str()).collect::<Vec<_>>(), ["new.o"]);
    }
    let loaded = task(&repo(&"f".repeat(40)), "[]", dir.path());
    let order = Order { task: &loaded.task, ..order };
    let error = Ready::anew().start(&order).await.err().unwrap();
    assert!(
        matches!(&error, SandboxError::History { reason } if reason.contains("does not hold the base commit")),
        "{error}"
    );
}

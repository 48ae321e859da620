//! Any two trees: the patch between them is read, applied by us and by git itself, and gives the second tree.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;

type Tree = BTreeMap<String, File>;

fn file(bytes: impl Into<Vec<u8>>, mode: Mode) -> File {
    File { bytes: bytes.into(), mode }
}

fn changes(before: &Tree, after: &Tree) -> Vec<Change> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |path: &&String| Change {
        path: (*path).clone(),
        before: before.get(*path).cloned(),
        after: after.get(*path).cloned(),
    };
    paths.iter().map(change).filter(|change| change.before != change.after).collect()
}

/// What our applier makes of `before`.
fn applied_by_us(before: &Tree, text: &str) -> Result<(Tree, Level), String> {
    let patch = Patch::parse(text).map_err(|error| error.to_string())?;
    let applied = apply(&patch, before).map_err(|reject| reject.to_string())?;
    let mut tree = before.clone();
    for Edit { path, after } in applied.edits {
        match after {
            Some(file) => drop(tree.insert(path, file)),
            None => drop(tree.remove(&path)),
        }
    }
    Ok((tree, applied.level))
}

/// What git makes of `before`.
fn applied_by_git(before: &Tree, text: &str) -> Result<Tree, String> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    fs_err::create_dir(&root).unwrap();
    for (path, file) in before {
        write_to(&root.join(path), file);
    }
    let patch = dir.path().join("patch");
    fs_err::write(&patch, text).unwrap();
    let mut git = Command::new("git");
    git.args(["apply", "--whitespace=nowarn"]).arg(&patch).current_dir(&root);
    let output = git.env("GIT_CEILING_DIRECTORIES", "/").env("HOME", dir.path()).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut tree = Tree::new();
    read_below(&root, "", &mut tree);
    Ok(tree)
}

fn write_to(path: &Path, file: &File) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    if file.mode == Mode::Link {
        return symlink(OsStr::from_bytes(&file.bytes), path).unwrap();
    }
    fs_err::write(path, &file.bytes).unwrap();
    let bits = if file.mode == Mode::Executable { 0o755 } else { 0o644 };
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}

fn read_below(root: &Path, prefix: &str, tree: &mut Tree) {
    for entry in fs_err::read_dir(root.join(prefix)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let meta = entry.metadata().unwrap();
        let found = if meta.is_dir() {
            read_below(root, &path, tree);
            continue;
        } else if meta.is_symlink() {
            file(fs_err::read_link(entry.path()).unwrap().as_os_str().as_bytes(), Mode::Link)
        } else {
            file(fs_err::read(entry.path()).unwrap(), Mode::of_file(meta.permissions().mode()))
        };
        tree.insert(path, found);
    }
}

/// The patch between two trees, after both appliers have made the second of the first.
fn faithful(before: &Tree, after: &Tree) -> Result<String, String> {
    let text = between(&changes(before, after)).map_err(|error| error.message().to_owned())?;
    if text.is_empty() {
        return if before == after { Ok(text) } else { Err("the patch is empty".to_owned()) };
    }
    let told = |who: &str, told: String| format!("{who}: {told}\n{text}");
    let ours = applied_by_us(before, &text).map_err(|error| told("we refuse it", error))?;
    if ours != (after.clone(), Level::Exact) {
        return Err(told("we make", format!("{ours:?}")));
    }
    let git = applied_by_git(before, &text).map_err(|error| told("git refuses it", error))?;
    if git != *after {
        return Err(told("git makes", format!("{git:?}")));
    }
    Ok(text)
}

fn tree(files: &[(&str, File)]) -> Tree {
    files.iter().map(|(path, file)| ((*path).to_owned(), file.clone())).collect()
}

fn text(text: &str) -> File {
    file(text, Mode::File)
}

#[test]
fn a_patch_is_gits_own_text() {
    let before = tree(&[("a.txt", text("one\ntwo\n")), ("old.txt", text("bye"))]);
    let after = tree(&[("a.txt", text("one\n2\n")), ("dir/new.txt", text("hi\n"))]);
    assert_eq!(
        faithful(&before, &after).unwrap(),
        "diff --git a/a.txt b/a.txt\nindex 814f4a4..99b356d 100644\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n\
         diff --git a/dir/new.txt b/dir/new.txt\nnew file mode 100644\nindex 0000000..45b983b\n--- /dev/null\n+++ b/dir/new.txt\n@@ -0,0 +1 @@\n+hi\n\
         diff --git a/old.txt b/old.txt\ndeleted file mode 100644\nindex 0abaeaa..0000000\n--- a/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n\\ No newline at end of file\n"
    );
}

#[test]
fn every_kind_of_file_becomes_every_other() {
    let link = |target: &[u8]| file(target, Mode::Link);
    let kinds: [(&str, &[(&str, File)]); 13] = [
        ("nothing", &[]),
        ("text", &[("x", text("one\ntwo\n"))]),
        ("other text", &[("x", text("one\n2\n"))]),
        ("empty", &[("x", text(""))]),
        ("windows", &[("x", text("one\r\ntwo\r\n"))]),
        ("no newline", &[("x", text("one\ntwo"))]),
        ("carriage return at the end", &[("x", text("one\ntwo\r"))]),
        ("latin", &[("x", file(*b"one\n\xe9\n", Mode::File))]),
        ("binary", &[("x", file((0..=255).collect::<Vec<u8>>(), Mode::File))]),
        ("executable", &[("x", file("one\ntwo\n", Mode::Executable))]),
        ("link", &[("x", link(b"y/z"))]),
        ("link to latin", &[("x", link(b"\xe9"))]),
        ("directory", &[("x/a", text("a\n")), ("x/b/c", file("c\n", Mode::Executable))]),
    ];
    for (from, before) in &kinds {
        for (to, after) in &kinds {
            faithful(&tree(before), &tree(after)).unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
        }
    }
}

#[test]
fn every_name_that_a_file_may_have_is_told() {
    for name in [
        "with space",
        "ends with space ",
        " begins",
        "tab\tbed",
        "new\nline",
        "carriage\r",
        "bell\u{7}\u{b}",
        "quo\"te",
        "back\\slash",
        "r\u{e9}sum\u{e9}",
        "a b/a b",
        "-dash",
        "dev/null",
        "q\" b/q",
        "b/x",
        "\u{1f600}",
        "a => b",
        "{x}",
    ] {
        let (none, one) = (Tree::new(), tree(&[(name, text("1\n"))]));
        let (empty, run) = (tree(&[(name, text(""))]), tree(&[(name, file("1\n", Mode::Executable))]));
        let bytes = tree(&[(name, file(*b"\0\xff", Mode::File))]);
        for (before, after) in [
            (&none, &one),
            (&one, &none),
            (&one, &empty),
            (&none, &empty),
            (&empty, &none),
            (&one, &run),
            (&none, &bytes),
            (&bytes, &one),
        ] {
            faithful(before, after).unwrap_or_else(|error| panic!("{name:?}: {error}"));
        }
    }
}

fn contents() -> impl Strategy<Value = File> {
    let lines = "([ab+\\- @\\\\]{0,3}(\n|\r\n|\r)){0,8}[ab]{0,2}".prop_map(String::into_bytes);
    let bytes = prop::collection::vec(prop_oneof![Just(0u8), Just(b'\n'), any::<u8>()], 0..40);
    let mode = prop_oneof![4 => Just(Mode::File), 1 => Just(Mode::Executable)];
    let regular = (prop_oneof![3 => lines, 1 => bytes], mode).prop_map(|(bytes, mode)| file(bytes, mode));
    // No link leads to itself: what stands behind such a one, git cannot even ask for.
    let link = "[d-f/]{1,4}".prop_map(|target| file(target, Mode::Link));
    prop_oneof![6 => regular, 1 => link]
}

/// Files of which none lies below another.
fn trees() -> impl Strategy<Value = Tree> {
    let name =
        prop_oneof![3 => "[abc]", 1 => "[a \\t\"\\\\é\n]{1,3}"].prop_filter("a name", |name| name != ".");
    let path = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    prop::collection::btree_map(path, contents(), 0..7).prop_map(|files| {
        let mut tree = Tree::new();
        for (path, file) in files {
            let below = format!("{path}/");
            let is_free =
                |other: &String| !other.starts_with(&below) && !path.starts_with(&format!("{other}/"));
            if tree.keys().all(is_free) {
                tree.insert(path, file);
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn any_tree_becomes_any_other(before in trees(), after in trees()) {
        if let Err(error) = faithful(&before, &after) {
            prop_assert!(false, "{before:?} to {after:?}: {error}");
        }
    }
}

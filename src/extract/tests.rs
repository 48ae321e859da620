//! Tests of students' patches, on trees in memory and applied by git too.

use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::patch::{Edit, Mode, Why};

type Tree = BTreeMap<String, File>;

fn file(bytes: impl Into<Vec<u8>>) -> File {
    File { bytes: bytes.into(), mode: Mode::File }
}

fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).to_owned(), file(*text))).collect()
}

fn compared(before: &Tree, after: &Tree) -> Compared {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |path: &String| Change {
        path: path.clone(),
        before: before.get(path).cloned(),
        after: after.get(path).cloned(),
    };
    let changes = paths.into_iter().map(change).filter(|change| change.before != change.after).collect();
    Compared { changes, left_out: Vec::new() }
}

fn rules(base: &Tree) -> Rules {
    let mut rules = Rules::default();
    for (path, file) in base.iter().filter(|(path, _)| Rules::stand_at(path)) {
        rules.add(path.rsplit_once('/').map_or("", |(directory, _)| directory), &file.bytes);
    }
    rules
}

/// The patch of a student who made `after` of what the set-up had made of `base`.
fn taken(base: &Tree, set_up: &Tree, after: &Tree) -> Result<Extracted, SandboxError> {
    let set_up = SetUp::of(&compared(base, set_up));
    extract(compared(base, after), &Baseline { rules: rules(base), set_up, ..Baseline::default() })
}

fn applied(base: &Tree, text: &str) -> Tree {
    let mut tree = base.clone();
    for Edit { path, after } in apply(&Patch::parse(text).unwrap(), base).unwrap().edits {
        match after {
            Some(file) => drop(tree.insert(path, file)),
            None => drop(tree.remove(&path)),
        }
    }
    tree
}

fn out(path: &str, why: Why) -> LeftOut {
    LeftOut { path: path.to_owned(), why }
}

#[test]
fn new_files_that_the_base_ignores_are_left_out_and_counted() {
    let base = tree(&[(".gitignore", "*.pyc\nbuild/\n"), ("old.pyc", "1"), ("a", "a\n")]);
    let after = tree(&[
        // Rules of the student do not count.
        (".gitignore", "*\n"),
        ("old.pyc", "2"),
        ("new.pyc", "3"),
        ("build/out", "4"),
        ("a", "a\n"),
        ("b", "5"),
    ]);
    let Extracted { patch, left_out } = taken(&base, &base, &after).unwrap();
    assert_eq!(left_out, [out("build/out", Why::Ignored), out("new.pyc", Why::Ignored)]);
    // A file of the base is the student's work, ignored or not.
    assert_eq!(Patch::parse(&patch).unwrap().paths(), [".gitignore", "b", "old.pyc"]);
    let baseline = Baseline { ignored: Ignored::Kept, rules: rules(&base), ..Baseline::default() };
    let all = extract(compared(&base, &after), &baseline).unwrap();
    assert_eq!((applied(&base, &all.patch), all.left_out), (after, vec![]));
}

#[test]
fn a_file_that_an_image_holds_and_its_base_commit_does_not_may_be_ignored() {
    let base = tree(&[(".gitignore", "*.so\n"), ("built.so", "1"), ("held.so", "1")]);
    let after = tree(&[(".gitignore", "*.so\n"), ("built.so", "2"), ("held.so", "2")]);
    let tracked = Some(BTreeSet::from([".gitignore".to_owned(), "held.so".to_owned()]));
    let baseline = Baseline { rules: rules(&base), tracked, ..Baseline::default() };
    let Extracted { patch, left_out } = extract(compared(&base, &after), &baseline).unwrap();
    assert_eq!(Patch::parse(&patch).unwrap().paths(), ["held.so"]);
    assert_eq!(left_out, [out("built.so", Why::Ignored)]);
}

#[test]
fn what_the_set_up_changed_is_not_the_students() {
    let base = tree(&[("a", "a\n"), ("version", "1\n"), ("gone", "g\n"), ("undone", "u\n")]);
    let set_up =
        tree(&[("a", "a\n"), ("version", "2\n"), ("made", "m\n"), ("info/x", "x\n"), ("undone", "v\n")]);
    let mut after = set_up.clone();
    after.insert("a".to_owned(), file("b\n"));
    assert_eq!(taken(&base, &set_up, &set_up).unwrap(), Extracted::default());
    let patch = taken(&base, &set_up, &after).unwrap().patch;
    assert_eq!(Patch::parse(&patch).unwrap().paths(), ["a"]);
    // What the student changed again is told against the base; what was put back cannot be.
    after.insert("version".to_owned(), file("3\n"));
    after.insert("made".to_owned(), file("n\n"));
    after.insert("undone".to_owned(), file("u\n"));
    after.remove("info/x");
    let Extracted { patch, left_out } = taken(&base, &set_up, &after).unwrap();
    let made = applied(&base, &patch);
    assert_eq!(
        (&made["version"], &made["made"], made.contains_key("gone")),
        (&file("3\n"), &file("n\n"), true)
    );
    assert_eq!(left_out, [out("info/x", Why::SetUp), out("undone", Why::SetUp)]);
}

#[test]
fn a_file_in_the_place_of_one_that_the_set_up_removed_brings_that_along() {
    let base = tree(&[("x", "x\n")]);
    let set_up = tree(&[("x/made", "m\n")]);
    let after = tree(&[("x/made", "m\n"), ("x/new", "n\n")]);
    let Extracted { patch, left_out } = taken(&base, &set_up, &after).unwrap();
    assert_eq!((applied(&base, &patch), left_out), (tree(&[("x/new", "n\n")]), vec![]));
}

#[test]
fn what_is_too_large_is_left_out_with_what_stands_in_its_place() {
    let large = || file(vec![b'x'; FILE_BYTES + 1]);
    let base = Tree::from([("old".to_owned(), large()), ("a".to_owned(), file("a\n"))]);
    let mut after = tree(&[("old/new", "n\n"), ("a", "b\n")]);
    after.insert("huge".to_owned(), large());
    let Extracted { patch, left_out } = taken(&base, &base, &after).unwrap();
    assert_eq!(Patch::parse(&patch).unwrap().paths(), ["a"]);
    let expected = [out("huge", Why::TooLarge), out("old", Why::TooLarge), out("old/new", Why::InTheWay)];
    assert_eq!(left_out, expected);
}

#[test]
fn many_files_are_bounded_together() {
    let large = |n: u8| file(vec![n; FILE_BYTES]);
    let after: Tree = (0..6).map(|n| (format!("{n}"), large(n))).collect();
    let Extracted { left_out, .. } = taken(&Tree::new(), &Tree::new(), &after).unwrap();
    assert_eq!(left_out, [out("4", Why::TooLarge), out("5", Why::TooLarge)]);
}

#[test]
fn what_a_sandbox_does_not_tell_is_passed_on_unless_the_set_up_left_it() {
    let told = |paths: &[(&str, Why)]| Compared {
        changes: Vec::new(),
        left_out: paths.iter().map(|(path, why)| out(path, *why)).collect(),
    };
    let set_up = SetUp::of(&told(&[("vendor/.git", Why::Repository)]));
    let baseline = Baseline { set_up, ..Baseline::default() };
    let both = told(&[("clone/.git", Why::Repository), ("vendor/.git", Why::Repository)]);
    let Extracted { patch, left_out } = extract(both, &baseline).unwrap();
    assert_eq!((patch.as_str(), left_out), ("", vec![out("clone/.git", Why::Repository)]));
}

#[test]
fn a_name_of_gits_own_is_left_out() {
    let names = [".git ", ".git:x/y", "b\\.Git", "git~1", "sub/.GIT/config"];
    let mut after = tree(&names.map(|name| (name, "x")));
    let told = [".gita", ".gitmodules", ".g\u{200c}it", "CON", "a", "a:b", "git~10"];
    after.extend(tree(&told.map(|name| (name, "x"))));
    let deep = "d/".repeat(PATH_LENGTH / 2) + "d";
    after.insert(deep.clone(), file("x"));
    let Extracted { patch, left_out } = taken(&Tree::new(), &Tree::new(), &after).unwrap();
    assert_eq!(Patch::parse(&patch).unwrap().paths(), told);
    let named: Vec<LeftOut> = left_out.iter().filter(|left_out| left_out.path != deep).cloned().collect();
    assert_eq!(named, names.map(|name| out(name, Why::Name)));
    assert!(left_out.contains(&out(&deep, Why::TooDeep)));
}

/// The check is ours: it fails when the host's base is another one than the sandbox started from.
#[test]
fn a_patch_that_does_not_give_the_sandboxs_files_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("a"), "other\n").unwrap();
    let baseline = Baseline { tree: Some(dir.path().to_owned()), ..Baseline::default() };
    let differs = || compared(&tree(&[("a", "a\n")]), &tree(&[("a", "b\n")]));
    let error = extract(differs(), &baseline).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the patch does not give `a` as the sandbox has it: hunk 1 of `a` does not match"
    );
    fs_err::write(dir.path().join("a"), "a\n").unwrap();
    assert!(extract(differs(), &baseline).is_ok());
}

/// What git makes of `base`, for the paths of `expected`.
fn git_gives(base: &Tree, text: &str, expected: &Tree) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    for (path, file) in base {
        let path = dir.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, &file.bytes).unwrap();
        let bits = if file.mode == Mode::Executable { 0o755 } else { 0o644 };
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
    }
    let patch = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(patch.path(), text).unwrap();
    let mut git = Command::new("git");
    git.args(["apply", "--whitespace=nowarn"]).arg(patch.path()).current_dir(dir.path());
    let output = git.env("GIT_CEILING_DIRECTORIES", "/").env("HOME", dir.path()).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let found =
        workspace::files_of(dir.path(), base.keys().chain(expected.keys()).map(String::as_str)).unwrap();
    if found == *expected { Ok(()) } else { Err(format!("git gives {found:?}")) }
}

fn contents() -> impl Strategy<Value = File> {
    let text = "([ab]{0,2}(\n|\r\n)){0,4}[ab]?".prop_map(String::into_bytes);
    let bytes = prop::collection::vec(any::<u8>(), 1..9);
    let mode = prop_oneof![4 => Just(Mode::File), 1 => Just(Mode::Executable)];
    (prop_oneof![2 => text, 1 => bytes], mode).prop_map(|(bytes, mode)| File { bytes, mode })
}

/// Writes in the order given: one that stands in the place of another replaces it.
fn edited(mut tree: Tree, edits: Vec<(String, Option<File>)>) -> Tree {
    for (path, file) in edits {
        tree.retain(|other, _| {
            *other != path
                && !other.starts_with(&format!("{path}/"))
                && !path.starts_with(&format!("{other}/"))
        });
        tree.extend(file.map(|file| (path, file)));
    }
    tree
}

fn edits() -> impl Strategy<Value = Vec<(String, Option<File>)>> {
    let path = prop::collection::vec("[ab]|x\\.o", 1..4).prop_map(|names| names.join("/"));
    prop::collection::vec((path, prop::option::weighted(0.7, contents())), 0..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    /// Whatever a set-up and a student do, the patch gives the student's files and leaves the rest of the base.
    #[test]
    fn the_patch_of_any_work_gives_that_work(first in edits(), second in edits(), third in edits()) {
        let mut base = edited(Tree::new(), first);
        base.insert(".gitignore".to_owned(), file("*.o\n"));
        let set_up = edited(base.clone(), second);
        let after = edited(set_up.clone(), third);
        let Extracted { patch, left_out } = taken(&base, &set_up, &after).unwrap();
        let made = applied(&base, &patch);
        let is_left_out = |path: &String| left_out.iter().any(|left_out| left_out.path == *path);
        for path in base.keys().chain(set_up.keys()).chain(after.keys()) {
            let (made, after) = (made.get(path), after.get(path));
            let is_students = set_up.get(path) != after;
            if is_left_out(path) {
                prop_assert_eq!(made, base.get(path), "{}", path);
            } else if is_students {
                prop_assert_eq!(made, after, "{}", path);
            } else {
                // What the set-up had removed goes along where the student needed its place.
                prop_assert!(made == base.get(path) || made == after, "{}", path);
            }
        }
        for left_out in &left_out {
            let is_ignored = rules(&base).ignore(&left_out.path);
            prop_assert_eq!(left_out.why, if is_ignored { Why::Ignored } else { Why::SetUp });
        }
        if !patch.is_empty() {
            let git = git_gives(&base, &patch, &made);
            prop_assert!(git.is_ok(), "{git:?}\n{patch}");
        }
    }
}

//! Tests of patches, on git's own output and recorded ones.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const LINES: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n";

fn file(text: &str) -> File {
    File { bytes: text.as_bytes().to_vec(), mode: Mode::File }
}

fn tree(files: &[(&str, &str)]) -> BTreeMap<String, File> {
    files.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
}

fn diff(hunk: &str) -> String {
    format!("diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n{hunk}")
}

/// Applies a patch to `f` alone: its text and the level, or why not.
fn apply_to(text: &str, patch: &str) -> Result<(String, Level), String> {
    let patch = Patch::parse(patch).map_err(|error| error.to_string())?;
    let applied = apply(&patch, &tree(&[("f", text)])).map_err(|reject| reject.to_string())?;
    let after = applied.edits[0].after.as_ref().map(|file| String::from_utf8(file.bytes.clone()).unwrap());
    Ok((after.unwrap_or_default(), applied.level))
}

#[test]
fn hunk_where_it_says_is_exact() {
    let patch = diff("@@ -2,3 +2,3 @@ heading\n two\n-three\n+3\n four\n");
    assert_eq!(apply_to(LINES, &patch), Ok((LINES.replace("three", "3"), Level::Exact)));
}

#[test]
fn moved_hunk_is_found_and_recorded() {
    let patch = diff("@@ -1,3 +1,3 @@\n two\n-three\n+3\n four\n");
    assert_eq!(apply_to(LINES, &patch), Ok((LINES.replace("three", "3"), Level::Offset)));
}

#[test]
fn stale_context_is_fuzz() {
    let patch = diff("@@ -2,3 +2,3 @@\n zwei\n-three\n+3\n four\n");
    assert_eq!(apply_to(LINES, &patch), Ok((LINES.replace("three", "3"), Level::Fuzz)));
}

#[test]
fn wrong_removed_line_is_never_fuzz() {
    let patch = diff("@@ -2,3 +2,3 @@\n two\n-tree\n+3\n four\n");
    assert_eq!(apply_to(LINES, &patch), Err("hunk 1 of `f` does not match".to_owned()));
}

#[test]
fn insertion_without_any_matching_context_is_refused() {
    let patch = diff("@@ -2,2 +2,3 @@\n zwei\n+neu\n drei\n");
    assert_eq!(apply_to(LINES, &patch), Err("hunk 1 of `f` does not match".to_owned()));
}

#[test]
fn crlf_file_keeps_its_line_endings() {
    let crlf = LINES.replace('\n', "\r\n");
    let patch = diff("@@ -2,3 +2,4 @@\n two\n-three\n+3\n+3.5\n four\n");
    assert_eq!(apply_to(&crlf, &patch), Ok((crlf.replace("three", "3\r\n3.5"), Level::LineEndings)));
    assert_eq!(
        apply_to(&crlf, &patch.replace('\n', "\r\n")),
        Ok((crlf.replace("three", "3\r\n3.5"), Level::Exact))
    );
}

#[test]
fn applied_patch_is_told_apart_from_one_that_does_not_fit() {
    let patch = diff("@@ -2,3 +2,3 @@\n two\n-three\n+3\n four\n");
    assert_eq!(
        apply_to(&LINES.replace("three", "3"), &patch),
        Err("the patch is already applied".to_owned())
    );
}

#[test]
fn missing_final_newline_survives_both_ways() {
    let patch = diff("@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n");
    assert_eq!(apply_to("a", &patch), Ok(("b\n".to_owned(), Level::Exact)));
    let back = Patch::parse(&patch).unwrap().reversed().to_string();
    assert_eq!(apply_to("b\n", &back), Ok(("a".to_owned(), Level::Exact)));
}

#[test]
fn nothing_is_written_when_one_file_does_not_fit() {
    let patch = diff("@@ -1 +1 @@\n-one\n+1\n") + "--- a/g\n+++ b/g\n@@ -1 +1 @@\n-x\n+y\n";
    let patch = Patch::parse(&patch).unwrap();
    assert_eq!(apply(&patch, &tree(&[("f", "one\n")])), Err(Reject::Missing("g".to_owned())));
}

#[test]
fn path_that_leaves_the_tree_is_refused() {
    for path in [
        "../x",
        "a/../../x",
        "/tmp/x",
        ".git/hooks/post-checkout",
        "sub/.GIT/config",
        ".git. /x",
        "a\\.git",
        "GIT~1/x",
        ".git::$INDEX_ALLOCATION/x",
    ] {
        let patch = format!("--- /dev/null\n+++ {path}\n@@ -0,0 +1 @@\n+x\n");
        assert_eq!(Patch::parse(&patch), Err(PatchError::Escapes { path: path.to_owned() }), "{path}");
    }
}

#[test]
fn link_made_by_the_patch_is_not_followed() {
    let link = "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/tmp\n\\ No newline at end of file\n";
    let patch = format!(
        "{link}diff --git a/l/x b/l/x\nnew file mode 100644\n--- /dev/null\n+++ b/l/x\n@@ -0,0 +1 @@\n+x\n"
    );
    let patch = Patch::parse(&patch).unwrap();
    assert_eq!(apply(&patch, &BTreeMap::new()), Err(Reject::ThroughLink("l/x".to_owned())));
}

#[test]
fn same_ignores_what_tools_write_differently() {
    let one = diff("@@ -2,3 +2,3 @@ def f():\n two\n-three\n+3\n four\n");
    let other = one.replace("index 1..2 100644\n", "").replace(" def f():", "").replace('\n', "\r\n");
    assert!(same(&one, &other));
    assert!(!same(&one, &one.replace("+3", "+4")));
    assert!(same("", "\n"));
    assert!(!same(&one, ""));
}

/// The verdicts of `git apply` and `patch` on 45 patches, and where we mean to differ.
#[test]
fn patches_apply_as_the_swe_bench_harness_applies_them() {
    // Accepted by us: line endings and paths without prefix. Refused by us: patches without
    // contents, already applied, that write to `.git` or an absolute path, or that hold nothing.
    const OURS: [(&str, bool); 8] = [
        ("crlf-file-lf-patch", true),
        ("no-prefix", true),
        ("only-newline", true),
        ("binary-no-data", false),
        ("already-applied", false),
        ("reversed", false),
        ("dot-git", false),
        ("absolute-path", false),
    ];
    let Some(fixtures) = crate::testlog::fixture("grading/patch_fixtures.json") else { return };
    let fixtures: Value = serde_json::from_str(&fixtures).unwrap();
    let base: BTreeMap<String, File> = fixtures["base_tree"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, text)| (path.clone(), file(text.as_str().unwrap())))
        .collect();
    for case in fixtures["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let patch = Patch::parse(case["patch"].as_str().unwrap());
        let mut files = base.clone();
        if case["pre_applied"] == true {
            for edit in apply(patch.as_ref().unwrap(), &files).unwrap().edits {
                files.insert(edit.path, edit.after.unwrap());
            }
        }
        let ours = patch.ok().is_some_and(|patch| apply(&patch, &files).is_ok());
        let theirs = !case["v5"]["applied_by"].is_null();
        let expected = OURS.iter().find(|(other, _)| *other == name).map_or(theirs, |(_, ours)| *ours);
        assert_eq!(ours, expected, "{name}");
    }
}

/// The index line says which bytes git had after the change.
#[test]
fn patched_files_have_the_object_ids_that_git_recorded() {
    let Some(fixtures) = crate::testlog::fixture("grading/patch_fixtures.json") else { return };
    let fixtures: Value = serde_json::from_str(&fixtures).unwrap();
    let base = fixtures["base_tree"].as_object().unwrap();
    let files: BTreeMap<String, File> =
        base.iter().map(|(path, text)| (path.clone(), file(text.as_str().unwrap()))).collect();
    let mut compared = Vec::new();
    for case in fixtures["cases"].as_array().unwrap() {
        let text = case["patch"].as_str().unwrap();
        let Some((_, ids)) = text.split_once("\nindex ") else { continue };
        let id = ids.split(['.', ' ', '\n', '\r']).nth(2).unwrap();
        let exact = case["v5"]["applied_by"] == "git apply --verbose" && case["pre_applied"] == false;
        if !exact || id.chars().all(|digit| digit == '0') {
            continue;
        }
        let applied = apply(&Patch::parse(text).unwrap(), &files).unwrap();
        let bytes = &applied.edits[0].after.as_ref().unwrap().bytes;
        let ours = git2::Oid::hash_object(git2::ObjectType::Blob, bytes).unwrap().to_string();
        assert!(ours.starts_with(id), "{}: {ours} {id}", case["name"]);
        compared.push(case["name"].as_str().unwrap());
    }
    assert!(compared.len() >= 15 && compared.contains(&"binary"), "{compared:?}");
}

proptest! {
    /// Any two texts: the diff that libgit2 writes is read, applied, written again and reversed.
    #[test]
    fn libgit2_patches_round_trip(old in "([ab\\-+ ]{0,2}\n){0,12}[ab]?", new in "([ab\\-+ ]{0,2}\n){0,12}[ab]?") {
        prop_assume!(old != new);
        let mut made = git2::Patch::from_buffers(old.as_bytes(), Some("f".as_ref()), new.as_bytes(), Some("f".as_ref()), None).unwrap();
        let text = made.to_buf().unwrap().as_str().unwrap().to_owned();
        let patch = Patch::parse(&text).unwrap();
        prop_assert!(same(&text, &patch.to_string()));
        prop_assert_eq!(apply_to(&old, &text), Ok((new.clone(), Level::Exact)));
        prop_assert_eq!(apply_to(&new, &patch.reversed().to_string()), Ok((old.clone(), Level::Exact)));
    }
}

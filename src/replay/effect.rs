//! What a patch makes of a repository, so that two ways to write one change are the same.
//!
//! Guarantees that the same files afterwards compare equal, however the hunks are cut. Line ends of Windows and modes
//! are no difference: recordings lose them. New files, which steps write with a clock at hand, are compared as
//! observations are.

use std::collections::BTreeMap;
use std::path::Path;

use super::normal::{self, Places};
use crate::patch::{self, File, Patch, apply};
use crate::trajectory::Action;
use crate::workspace;

/// The files that a patch changes, as they are afterwards; absent where one is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effect {
    files: BTreeMap<String, Option<Vec<u8>>>,
    /// Those that were there before.
    old: Vec<String>,
}

impl Effect {
    /// What `text` makes of the files in `tree`; absent when it is no patch or does not apply.
    pub fn of(tree: &Path, text: &str) -> Option<Self> {
        let patch = Patch::parse(text).ok()?;
        let before = workspace::files_of(tree, patch.paths()).ok()?;
        let plain = |file: &File| text_of(&file.bytes);
        let edits = apply(&patch, &before).ok()?.edits;
        let files: BTreeMap<String, Option<Vec<u8>>> = edits
            .into_iter()
            .map(|edit| (edit.path, edit.after.as_ref().map(plain)))
            .filter(|(path, after)| before.get(path).map(plain) != *after)
            .collect();
        let old = files.keys().filter(|path| before.contains_key(*path)).cloned().collect();
        Some(Self { files, old })
    }

    /// A file that this makes and `other` does not make alike.
    pub fn strange_to(&self, other: &Self) -> Option<&str> {
        let is_strange = |(path, after): &(&String, &Option<Vec<u8>>)| match (after, other.files.get(*path)) {
            (after, Some(made)) if *after == made => false,
            (Some(after), Some(Some(made))) => self.old.contains(path) || !are_alike(after, made),
            _ => true,
        };
        self.files.iter().find(is_strange).map(|(path, _)| path.as_str())
    }

    /// A file that was there before, that this changes and `other` leaves alone.
    pub fn left_by<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        self.old.iter().filter(|path| !other.files.contains_key(*path)).map(String::as_str)
    }
}

/// Whether two new files differ only in what observations may differ in.
fn are_alike(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
    let places = Places { recorded: String::new(), replayed: String::new() };
    let compared = normal::compare(&Action::Submit, &a, &b, &places);
    compared.recorded == compared.replayed
}

fn text_of(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        if !(*byte == b'\r' && bytes.get(at + 1) == Some(&b'\n')) {
            plain.push(*byte);
        }
    }
    plain
}

/// Whether two patches make the same of a repository; as far as their texts show where it is not at hand.
pub fn same(tree: Option<&Path>, a: &str, b: &str) -> bool {
    patch::same(a, b)
        || tree
            .is_some_and(|tree| Effect::of(tree, a).is_some_and(|effect| Some(effect) == Effect::of(tree, b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunk(lines: &str) -> String {
        format!("diff --git a/a b/a\n--- a/a\n+++ b/a\n{lines}")
    }

    #[test]
    fn the_same_change_cut_in_two_ways_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("a"), "x\ny\nx\ny\n").unwrap();
        let first = hunk("@@ -1,4 +1,2 @@\n-x\n-y\n x\n y\n");
        let last = hunk("@@ -1,4 +1,2 @@\n x\n y\n-x\n-y\n");
        let other = hunk("@@ -1,4 +1,3 @@\n-x\n y\n x\n y\n");
        assert!(!patch::same(&first, &last));
        assert!(same(Some(dir.path()), &first, &last));
        assert!(!same(Some(dir.path()), &first, &other));
        assert!(!same(None, &first, &last));
    }

    #[test]
    fn new_files_are_strange_and_not_left() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("a"), "x\n").unwrap();
        let changed = hunk("@@ -1 +1 @@\n-x\n+y\n");
        let new = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+n\n";
        let of = |text: &str| Effect::of(dir.path(), text).unwrap();
        let (one, both) = (of(&changed), of(&format!("{changed}{new}")));
        assert_eq!((one.strange_to(&both), both.strange_to(&one)), (None, Some("n")));
        assert_eq!(both.left_by(&one).count(), 0);
        assert_eq!(both.left_by(&of(new)).collect::<Vec<_>>(), ["a"]);
        assert_eq!(Effect::of(dir.path(), &hunk("@@ -1 +1 @@\n-z\n+y\n")), None);
        // A clock may show in a new file, and not in one that was there.
        let log = |text: &str| of(&new.replace("+n\n", &format!("+{text}\n")));
        assert_eq!(log("took 0.10s").strange_to(&log("took 0.25s")), None);
        assert_eq!(log("took 0.10s").strange_to(&log("lost 0.10s")), Some("n"));
        let timed = |text: &str| of(&changed.replace("+y", &format!("+{text}")));
        assert_eq!(timed("took 0.10s").strange_to(&timed("took 0.25s")), Some("a"));
    }
}

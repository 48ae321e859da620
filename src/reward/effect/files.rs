//! How alike two sets of changed files are.
//!
//! A change is a set of edits: this line goes, that line comes before this one. Where two changes are not the same they
//! are at most half alike, however many edits they share: a flipped operator in fifty good lines is another change.

use std::collections::BTreeMap;

use similar::{Algorithm, DiffTag, capture_diff_slices};

use crate::patch::{Change, File};

/// What changes that share every edit but one reach at most.
const NOT_THE_SAME: f64 = 0.5;
/// Lines, before and after together, beyond which a file is one edit as a whole: a diff takes their product at worst.
const LINES: usize = 20_000;

/// One thing that a change does.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edit<'a> {
    /// The file appears or goes, or its mode becomes another one.
    Mode(&'a str, Option<&'static str>),
    /// The line at this place goes.
    Removed(&'a str, usize, &'a [u8]),
    /// A line comes before the one that was at this place.
    Added(&'a str, usize, &'a [u8]),
    /// The file is another one.
    Whole(&'a str, &'a [u8]),
}

/// In [0, 1], and 1 for the same changes only.
pub(super) fn likeness(expert: &[Change], student: &[Change]) -> f64 {
    if expert == student {
        return 1.0;
    }
    let (expert, student) = (edits(expert), edits(student));
    let total = expert.values().sum::<usize>() + student.values().sum::<usize>();
    let common: usize =
        expert.iter().filter_map(|(edit, n)| student.get(edit).map(|other| *n.min(other))).sum();
    if total == 0 { NOT_THE_SAME } else { NOT_THE_SAME * 2.0 * common as f64 / total as f64 }
}

/// Every edit with how often it is made.
fn edits(changes: &[Change]) -> BTreeMap<Edit<'_>, usize> {
    let mut edits = BTreeMap::new();
    for change in changes {
        for edit in edits_of(change) {
            *edits.entry(edit).or_default() += 1;
        }
    }
    edits
}

fn edits_of(change: &Change) -> Vec<Edit<'_>> {
    let Change { path, before, after } = change;
    let mode = |file: &Option<File>| file.as_ref().map(|file: &File| file.mode.octal());
    let mut edits = Vec::new();
    if mode(before) != mode(after) {
        edits.push(Edit::Mode(path, mode(after)));
    }
    let (old, new) = (lines(before.as_ref()), lines(after.as_ref()));
    if LINES < old.len() + new.len() {
        let bytes = after.as_ref().map_or(&[][..], |file| &file.bytes);
        edits.push(Edit::Whole(path, bytes));
        return edits;
    }
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        if op.tag() == DiffTag::Equal {
            continue;
        }
        let place = op.old_range().start;
        edits.extend(op.old_range().map(|at| Edit::Removed(path, at, old[at])));
        edits.extend(op.new_range().map(|at| Edit::Added(path, place, new[at])));
    }
    edits
}

fn lines(file: Option<&File>) -> Vec<&[u8]> {
    file.map_or_else(Vec::new, |file| file.bytes.split_inclusive(|byte| *byte == b'\n').collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::Mode;

    fn change(path: &str, before: Option<&str>, after: Option<&str>) -> Change {
        let file = |text: &str| File { bytes: text.into(), mode: Mode::File };
        Change { path: path.to_owned(), before: before.map(file), after: after.map(file) }
    }

    #[test]
    fn the_same_edits_are_one_and_others_at_most_half() {
        let numbers: String = (0..60).map(|n| format!("{n}\n")).collect();
        let with = |from: &str, to: &str| vec![change("a", Some(&numbers), Some(&numbers.replace(from, to)))];
        let expert = with("30\n", "x < 3\n");
        assert_eq!(likeness(&expert, &expert), 1.0);
        // The line that goes is the same, the one that comes is not: one edit of two, halved.
        assert_eq!(likeness(&expert, &with("30\n", "x > 3\n")), 0.25);
        assert_eq!(likeness(&expert, &with("31\n", "x < 3\n")), 0.0);
        let long = numbers.replace('\n', " and more\n");
        let all = [change("a", Some(&numbers), Some(&long))];
        let all_but_one = [change("a", Some(&numbers), Some(&long.replace("30 and more", "30 and less")))];
        let alike = likeness(&all, &all_but_one);
        assert!(0.45 < alike && alike < 0.5, "{alike}");
    }

    #[test]
    fn another_path_or_a_missing_file_is_another_change() {
        let new = |path: &str| [change(path, None, Some("x\n"))];
        assert_eq!(likeness(&new("a"), &new("b")), 0.0);
        assert_eq!(likeness(&new("a"), &[]), 0.0);
        let gone = |path: &str| [change(path, Some("x\n"), None)];
        assert_eq!((likeness(&gone("a"), &gone("a")), likeness(&gone("a"), &gone("b"))), (1.0, 0.0));
    }
}

//! Repairs as `sed` commands: what takes a mutation back.
//!
//! Guarantees that the command leaves the right text, byte for byte, where the wrong one is as the mutation made it.

use crate::mutate::{Mutation, Slip};

/// The command that takes back the wrong piece of a line; what is more than a piece is written again.
pub(super) fn part(mutation: &Mutation, wrong: &str) -> String {
    match (&mutation.slip, &mutation.after) {
        (Some(slip), Some(after)) => {
            let (from, to) = smallest_unique(slip, after);
            in_place(mutation, &format!("{}s/{}/{}/", mutation.line, pattern(from), replacement(&to)))
        }
        _ => whole(mutation, wrong),
    }
}

/// The command that writes the right lines again; those that are missing are inserted into `wrong`.
pub(super) fn whole(mutation: &Mutation, wrong: &str) -> String {
    let line = mutation.line;
    let place = match &mutation.after {
        Some(after) => match after.matches('\n').count() {
            0 => format!("{line}c"),
            more => format!("{line},{}c", line + more),
        },
        None if wrong.lines().count() < line => format!("{}a", line - 1),
        None => format!("{line}i"),
    };
    in_place(mutation, &format!("{place}\\{}", raw(&mutation.before)))
}

fn in_place(mutation: &Mutation, script: &str) -> String {
    format!("sed -i '{}' {}", script.replace('\'', r"'\''"), mutation.file)
}

/// The right lines as `sed` takes a text: one follows its command, several stand below it.
fn raw(lines: &str) -> String {
    let escaped = lines.replace('\\', r"\\");
    match escaped.contains('\n') {
        true => format!("\n{}", escaped.replace('\n', "\\\n")),
        false => escaped,
    }
}

/// The wrong text and the right one, with as much of what stands left of them as makes the wrong
/// one the first of its kind on the line.
fn smallest_unique<'a>(slip: &Slip, wrong: &'a str) -> (&'a str, String) {
    let end = slip.column + slip.to.len();
    let mut start = slip.column;
    if wrong[..start].ends_with('$') {
        start -= 1;
    }
    while wrong.find(&wrong[start..end]) != Some(start) {
        let before = wrong[..start].trim_end();
        start = before
            .rfind([' ', '"', '(', '$'])
            .map_or(0, |at| if at + 1 < before.len() { at + 1 } else { at });
    }
    (&wrong[start..end], format!("{}{}", &wrong[start..slip.column], slip.from))
}

/// A text as a basic regular expression between slashes.
fn pattern(text: &str) -> String {
    let mut escaped = String::new();
    for (idx, c) in text.char_indices() {
        let is_last = idx + c.len_utf8() == text.len();
        let is_special = match c {
            '\\' | '/' | '*' | '.' | '[' => true,
            '^' => idx == 0,
            '$' => is_last,
            _ => false,
        };
        if is_special {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A text as the right side of a substitution between slashes.
fn replacement(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '\\' | '/' | '&') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

//! Ids of tests as they are compared: what differs from run to run is taken out.
//!
//! One function for the ids that a task expects and for those that a run names. Takes out colours, control
//! characters, times behind a name, directories of one run and addresses. Says nothing of spellings, which
//! differ between formats (`report`).

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// ` (0.01s)`, ` [12 ms]`, ` in 0.3 sec`, at the end.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\s+(?:\(\s*\d+(?:\.\d+)?\s*m?s\s*\)|\[\s*\d+(?:\.\d+)?\s*m?s\s*\]|in\s+\d+(?:\.\d+)?\s*m?s(?:ec)?)$",
    )
});
/// Directories that pytest and Python's `tempfile` make anew for each run.
static DIRECTORY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?:/private)?(?:/var)?/tmp/(?:pytest-of-[^/\s]+/pytest-(?:\d+|current)(?:/popen-gw\d+)?|tmp[A-Za-z0-9_]{6,})",
    )
});
/// `<object at 0x7f12a4c0>`.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| regex(r"0x[0-9a-fA-F]{6,16}\b"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: the pattern is valid")
}

/// The id without what differs from run to run.
pub(super) fn normal(id: &str) -> Cow<'_, str> {
    let id = if id.contains(char::is_control) { super::plain(id).into() } else { Cow::Borrowed(id) };
    let id = if id.ends_with([')', ']', 's', 'c']) { without(id, &TIME, "") } else { id };
    let id = if id.contains("/tmp/") { without(id, &DIRECTORY, "/tmp/*") } else { id };
    let id = if id.contains("0x") { without(id, &ADDRESS, "0x*") } else { id };
    match id.trim() {
        trimmed if trimmed.len() == id.len() => id,
        trimmed => trimmed.to_owned().into(),
    }
}

fn without<'a>(id: Cow<'a, str>, pattern: &Regex, instead: &str) -> Cow<'a, str> {
    match pattern.replace_all(&id, instead) {
        Cow::Borrowed(_) => id,
        Cow::Owned(changed) => changed.into(),
    }
}

/// Whether an id was cut within its parameters, as some published ids are: it has more `[` than `]`.
pub(super) fn is_cut(id: &str) -> bool {
    id.matches('[').count() > id.matches(']').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_taken_out() {
        let cases = [
            ("\u{1b}[32mt.py::a\u{1b}[0m\r", "t.py::a"),
            ("adds (0.01s)", "adds"),
            ("adds [12 ms]", "adds"),
            ("adds in 0.3 sec", "adds"),
            ("t.py::a[/tmp/pytest-of-me/pytest-12/x0/f]", "t.py::a[/tmp/*/x0/f]"),
            ("t.py::a[/tmp/tmpab12cd_x/f]", "t.py::a[/tmp/*/f]"),
            ("t.py::a[<o at 0x7f12a4c0>]", "t.py::a[<o at 0x*>]"),
        ];
        for (id, expected) in cases {
            assert_eq!(normal(id), expected, "{id}");
        }
    }

    #[test]
    fn what_is_part_of_a_name_stays() {
        for id in ["t.py::a[12s]", "t.py::a[/tmp/data/f]", "mask 0xff", "ten (10)", "runs in s", "waits"] {
            assert_eq!(normal(id), id);
        }
    }
}

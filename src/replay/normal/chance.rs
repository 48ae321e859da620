//! What a run chances upon: clocks, addresses, numbers and names that the system hands out, where things are installed.

use std::borrow::Cow;

use super::pattern;

/// Versions, plugins and directories that pytest prints first.
pub(super) fn pytest_header(text: &str) -> Cow<'_, str> {
    pattern!(r"(?m)^(?:platform [^\n]* -- Python [^\n]*|rootdir: [^\n]*|plugins: [^\n]*|cachedir: [^\n]*|configfile: [^\n]*|Using --random[^\n]*)\n")
        .replace_all(text, "")
}

/// ISO dates with a time, and those of `ls -l`.
pub(super) fn dates_and_times(text: &str) -> Cow<'_, str> {
    let iso = pattern!(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[+-]\d\d:?\d\d|Z)?");
    let listed = pattern!(
        r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} +(?:\d\d:\d\d(?::\d\d)?|\d{4})"
    );
    off_assertions(text, |line| {
        let line = iso.replace_all(line, "<date>");
        listed.replace_all(&line, "<date>").into_owned()
    })
}

/// Seconds with a fraction, as test runners, pip and `time` print them.
pub(super) fn durations(text: &str) -> Cow<'_, str> {
    let printed = pattern!(r"\b(?:\d+m)?\d+\.\d+ ?(?:s|ms|us|µs|sec|secs|seconds?)\b(?: \(\d+:\d\d:\d\d\))?");
    off_assertions(text, |line| printed.replace_all(line, "<duration>").into_owned())
}

/// Each line normalised, but for those that show what an assertion compares.
fn off_assertions(text: &str, normalise: impl Fn(&str) -> String) -> Cow<'_, str> {
    let is_compared = |line: &str| {
        line.trim_start().starts_with("E ") || line.contains("assert") || line.contains("Assert")
    };
    let line = |line: &str| if is_compared(line) { line.to_owned() } else { normalise(line) };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n").into()
}

/// Where an object lies in memory, as its name says it: `<f at 0x…>`. A bare number is one that a program computes with.
pub(super) fn addresses(text: &str) -> Cow<'_, str> {
    pattern!(r"(\bat |<)0x[0-9a-fA-F]{6,16}\b").replace_all(text, "${1}<address>")
}

/// Numbers that the kernel gives to processes.
pub(super) fn process_ids(text: &str) -> Cow<'_, str> {
    let text = pattern!(r"\b([Pp][Ii][Dd][ =:]+)\d+").replace_all(text, "${1}<pid>");
    pattern!(r"(?m)^(\[\d+\]\+? +)\d+\b").replace_all(&text, "${1}<pid>").into_owned().into()
}

/// Names that `mktemp`, Python's `tempfile`, pytest and pip make up, in the directory for temporary files.
pub(super) fn temporary_names(text: &str) -> Cow<'_, str> {
    let text =
        pattern!(r"/tmp/tmp(?:[a-z0-9_]{8}|\.[A-Za-z0-9]{10})\b").replace_all(text, "/tmp/<temporary>");
    let text = pattern!(r"/pytest-of-[\w.-]+/pytest-\d+\b").replace_all(&text, "/<pytest>");
    pattern!(r"/tmp/pip-([a-z-]+)-[a-z0-9_]{8}\b")
        .replace_all(&text, "/tmp/pip-${1}-<temporary>")
        .into_owned()
        .into()
}

/// Where Python is installed, and which release of it.
pub(super) fn python_directory(text: &str) -> Cow<'_, str> {
    pattern!(r"(?:/[\w.+-]+)+/lib/python3(?:\.\d+)?/").replace_all(text, "<python>/")
}

/// Which line of an installed package raised a warning: that changes with the package's release.
pub(super) fn python_warnings(text: &str) -> Cow<'_, str> {
    pattern!(r"(?m)^(\s*)(?:\S*/(?:site|dist)-packages/|<python>/)(\S+\.py):\d+: (\w*Warning)\b")
        .replace_all(text, "${1}<python>/${2}: ${3}")
}

/// The abbreviated hashes of a diff.
pub(super) fn git_blob_names(text: &str) -> Cow<'_, str> {
    pattern!(r"(?m)^index [0-9a-f]+\.\.[0-9a-f]+(?: \d+)?\n").replace_all(text, "")
}

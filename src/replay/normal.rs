//! Normalisers: differences between a recorded and a replayed observation that mean nothing.
//!
//! Each has a name and one reason. They are applied one after another only until the two texts are equal, so the
//! names that are reported are those that were needed. An observation that is equal as it is needs none.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// The work directory of the recording and of the replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// When it was recorded.
    pub recorded: String,
    /// Now.
    pub replayed: String,
}

/// Two observations as far as they were normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The recorded one.
    pub recorded: String,
    /// The replayed one.
    pub replayed: String,
    /// What changed either of them, in order.
    pub normalisers: Vec<&'static str>,
}

type Normaliser = (&'static str, fn(&str) -> Cow<'_, str>);

/// In the order in which they are tried: what a terminal adds first, what a run chances upon last.
const NORMALISERS: &[Normaliser] = &[
    ("carriage returns", carriage_returns),
    ("scaffold prompt", scaffold_prompt),
    ("trailing space", trailing_space),
    ("terminal control", terminal_control),
    ("pytest header", pytest_header),
    ("dates and times", dates_and_times),
    ("durations", durations),
    ("addresses", addresses),
    ("process ids", process_ids),
    ("python directory", python_directory),
    ("git blob names", git_blob_names),
];

/// Normalises both observations of `action` until they are equal or nothing is left to try.
pub fn compare(action: &str, recorded: &str, replayed: &str, places: &Places) -> Compared {
    let mut compared =
        Compared { recorded: recorded.to_owned(), replayed: replayed.to_owned(), normalisers: Vec::new() };
    if places.recorded != places.replayed {
        compared.try_each("work directory", |text| moved(text, &places.recorded, &places.replayed).into());
    }
    for (name, normalise) in NORMALISERS {
        compared.try_each(name, *normalise);
    }
    if lists_names(action) {
        compared.try_each("terminal columns", columns);
    }
    compared
}

impl Compared {
    fn try_each(&mut self, name: &'static str, normalise: impl Fn(&str) -> Cow<'_, str>) {
        if self.recorded == self.replayed {
            return;
        }
        let (recorded, replayed) = (normalise(&self.recorded), normalise(&self.replayed));
        if recorded != self.recorded.as_str() || replayed != self.replayed.as_str() {
            (self.recorded, self.replayed) = (recorded.into_owned(), replayed.into_owned());
            self.normalisers.push(name);
        }
    }
}

/// `text` with the directory `from` replaced by `to`, where it stands as a whole path or the start of one.
pub fn moved(text: &str, from: &str, to: &str) -> String {
    let mut moved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let end = at + from.len();
        let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let inside =
            rest[..at].ends_with(|c: char| in_name(c) || c == '/') || rest[end..].starts_with(in_name);
        moved.push_str(&rest[..at]);
        moved.push_str(if inside { from } else { to });
        rest = &rest[end..];
    }
    moved + rest
}

macro_rules! pattern {
    ($text:expr) => {{
        static PATTERN: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($text).expect("invariant: the pattern is fixed"));
        &*PATTERN
    }};
}

/// A terminal writes `\r\n`.
fn carriage_returns(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() }
}

/// SWE-agent appended its state to what the agent saw.
fn scaffold_prompt(text: &str) -> Cow<'_, str> {
    pattern!(r"(?:\n?\(Open file: [^\n]*\))?\n?\(Current directory: [^\n]*\)\n(?:bash-)?\$\s*$")
        .replace(text, "")
}

/// Spaces before a line end and empty lines around the text.
fn trailing_space(text: &str) -> Cow<'_, str> {
    let lines: Vec<&str> = text.split('\n').map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned().into()
}

/// Colours, cursor movements, and what a backspace wiped out.
fn terminal_control(text: &str) -> Cow<'_, str> {
    let text = pattern!(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-_])").replace_all(text, "");
    if !text.contains('\x08') {
        return text;
    }
    let mut line = String::new();
    for c in text.chars() {
        match c {
            '\x08' => drop(line.pop()),
            c => line.push(c),
        }
    }
    line.into()
}

/// Versions, plugins and directories that pytest prints first.
fn pytest_header(text: &str) -> Cow<'_, str> {
    pattern!(r"(?m)^(?:platform [^\n]* -- Python [^\n]*|rootdir: [^\n]*|plugins: [^\n]*|cachedir: [^\n]*|configfile: [^\n]*|Using --random[^\n]*)\n")
        .replace_all(text, "")
}

/// ISO dates, and those of `ls -l`.
fn dates_and_times(text: &str) -> Cow<'_, str> {
    let text = pattern!(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[+-]\d\d:?\d\d|Z)?)?")
        .replace_all(text, "<date>");
    pattern!(r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} +(?:\d\d:\d\d(?::\d\d)?|\d{4})")
        .replace_all(&text, "<date>")
        .into_owned()
        .into()
}

/// Seconds with a fraction, as test runners and pip print them.
fn durations(text: &str) -> Cow<'_, str> {
    pattern!(r"\b\d+\.\d+ ?(?:s|ms|us|µs|sec|secs|seconds?)\b").replace_all(text, "<duration>")
}

/// Where an object lies in memory.
fn addresses(text: &str) -> Cow<'_, str> {
    pattern!(r"0x[0-9a-fA-F]{6,16}\b").replace_all(text, "<address>")
}

/// Numbers that the kernel gives to processes.
fn process_ids(text: &str) -> Cow<'_, str> {
    let text = pattern!(r"\b([Pp][Ii][Dd][ =:]+)\d+").replace_all(text, "${1}<pid>");
    pattern!(r"(?m)^(\[\d+\]\+? +)\d+\b").replace_all(&text, "${1}<pid>").into_owned().into()
}

/// Where Python is installed, and which release of it.
fn python_directory(text: &str) -> Cow<'_, str> {
    pattern!(r"(?:/[\w.+-]+)+/lib/python3(?:\.\d+)?/").replace_all(text, "<python>/")
}

/// The abbreviated hashes of a diff.
fn git_blob_names(text: &str) -> Cow<'_, str> {
    pattern!(r"(?m)^index [0-9a-f]+\.\.[0-9a-f]+(?: \d+)?\n").replace_all(text, "")
}

fn lists_names(action: &str) -> bool {
    let mut words = action.split_whitespace();
    words.next() == Some("ls") && words.all(|word| word.starts_with('-') && !word.contains('l'))
}

/// A terminal shows names in columns, a pipe one a line; their order is the same but for the layout.
fn columns(text: &str) -> Cow<'_, str> {
    let mut names: Vec<&str> = text.split_whitespace().collect();
    names.sort_unstable();
    names.join("\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(action: &str, recorded: &str, replayed: &str) -> Option<Vec<&'static str>> {
        let places = Places { recorded: "/testbed".into(), replayed: "/moved".into() };
        let compared = compare(action, recorded, replayed, &places);
        (compared.recorded == compared.replayed).then_some(compared.normalisers)
    }

    #[test]
    fn equal_texts_need_no_normaliser() {
        assert_eq!(check("x", "a 0.12s\r\n", "a 0.12s\r\n"), Some(vec![]));
    }

    #[test]
    fn only_the_needed_normalisers_are_named() {
        assert_eq!(check("x", "a\r\nb", "a\nb"), Some(vec!["carriage returns"]));
        assert_eq!(
            check("x", "in /testbed/src 0.10s", "in /moved/src 0.2s"),
            Some(vec!["work directory", "durations"])
        );
        assert_eq!(
            check("ls -F", "a\tc/\nb", "a\nb\nc/\n"),
            Some(vec!["trailing space", "terminal columns"])
        );
        assert_eq!(
            check("x", "ok\n(Open file: n/a)\n(Current directory: /testbed)\nbash-$", "ok\n"),
            Some(vec!["work directory", "scaffold prompt", "trailing space"])
        );
        assert_eq!(check("x", "-\x08 \x08done", "done"), Some(vec!["terminal control"]));
    }

    #[test]
    fn results_are_not_smoothed_over() {
        assert_eq!(check("x", "344", "345"), None);
        assert_eq!(check("x", "1 failed in 0.1s", "1 passed in 0.1s"), None);
        assert_eq!(check("ls", "a b", "a c"), None);
    }

    #[test]
    fn a_directory_moves_only_as_a_whole() {
        let text = "/testbed /testbed/a /testbed2 x/testbed /a/testbed 'cd /testbed'";
        let there = "/moved /moved/a /testbed2 x/testbed /a/testbed 'cd /moved'";
        assert_eq!(moved(text, "/testbed", "/moved"), there);
    }
}

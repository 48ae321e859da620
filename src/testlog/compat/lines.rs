//! Parsers that match one line, or one stretch of the log, at a time: a pattern, a group that names the
//! test, and what decides its status.
//!
//! Guarantees that of several rules the first that matches a line decides it, whether or not it
//! names a status. Keeps no state between lines.

use super::python::{Pattern, rstrip, split_lines, strip};
use super::{ERROR, FAILED, Map, PASSED, SKIPPED};

/// A pattern and what a match of it says.
pub(super) struct Rule {
    pattern: Pattern,
    /// The group that names the test.
    id: usize,
    outcome: Outcome,
    write: Write,
    tidy: fn(&str) -> String,
    empty: Empty,
}

/// What decides the status of a match.
#[derive(Clone, Copy)]
enum Outcome {
    Is(&'static str),
    /// The text of a group, by a table; a text that is not in it names no status.
    Word(usize, &'static [(&'static str, &'static str)]),
}

/// What becomes of an earlier status of the same test.
#[derive(Clone, Copy)]
enum Write {
    Replaces,
    Keeps,
}

/// What becomes of a match whose name is empty.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    Counts,
    Goes,
}

/// A rule whose matches all have one status.
pub(super) const fn is(status: &'static str, pattern: &'static str, id: usize) -> Rule {
    rule(pattern, id, Outcome::Is(status))
}

/// A rule whose status is a word of the match.
pub(super) const fn word(
    pattern: &'static str,
    [id, group]: [usize; 2],
    table: &'static [(&'static str, &'static str)],
) -> Rule {
    rule(pattern, id, Outcome::Word(group, table))
}

/// A rule whose matches say nothing, and keep later rules from them.
pub(super) const fn ignored(pattern: &'static str) -> Rule {
    rule(pattern, 0, Outcome::Word(0, &[]))
}

const fn rule(pattern: &'static str, id: usize, outcome: Outcome) -> Rule {
    Rule {
        pattern: Pattern::new(pattern),
        id,
        outcome,
        write: Write::Replaces,
        tidy: str::to_owned,
        empty: Empty::Counts,
    }
}

impl Rule {
    /// The rule, but an earlier status of the same test stays.
    pub(super) const fn keeps(mut self) -> Self {
        self.write = Write::Keeps;
        self
    }

    /// The rule, with names changed by a function.
    pub(super) const fn tidy(mut self, tidy: fn(&str) -> String) -> Self {
        self.tidy = tidy;
        self
    }

    /// The rule, but a match whose name is empty is not noted.
    pub(super) const fn named(mut self) -> Self {
        self.empty = Empty::Goes;
        self
    }

    /// Notes what a match says; whether there was one.
    pub(super) fn apply(&self, line: &str, map: &mut Map) -> bool {
        let regex = self.pattern.regex();
        // Room for groups is made before a line is looked at, and most lines match nothing.
        if !regex.is_match(line) {
            return false;
        }
        let Some(found) = regex.captures(line) else { return false };
        self.note(&found, map);
        true
    }

    fn note(&self, found: &regex::Captures<'_>, map: &mut Map) {
        let group = |index: usize| found.get(index).map_or("", |group| group.as_str());
        let status = match self.outcome {
            Outcome::Is(status) => Some(status),
            Outcome::Word(index, table) => {
                table.iter().find(|(word, _)| *word == group(index)).map(|(_, status)| *status)
            }
        };
        let Some(status) = status else { return };
        let id = (self.tidy)(group(self.id));
        if id.is_empty() && self.empty == Empty::Goes {
            return;
        }
        match self.write {
            Write::Keeps => _ = map.entry(id).or_insert(status.into()),
            Write::Replaces => _ = map.insert(id, status.into()),
        }
    }
}

/// How a log becomes lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// `split("\n")`.
    Bare,
    /// `split("\n")`, each stripped.
    Stripped,
    /// `splitlines()`, each stripped, empty ones left out.
    SplitStripped,
    /// `splitlines()`, each stripped at its end, empty ones left out.
    SplitRstripped,
}

impl Cut {
    /// Hands each line over.
    pub(super) fn each(self, log: &str, mut line: impl FnMut(&str)) {
        match self {
            Self::Bare => log.split('\n').for_each(line),
            Self::Stripped => log.split('\n').map(strip).for_each(line),
            Self::SplitStripped => {
                split_lines(log).map(strip).filter(|text| !text.is_empty()).for_each(line);
            }
            Self::SplitRstripped => {
                for text in split_lines(log).map(rstrip).filter(|text| !text.is_empty()) {
                    line(text);
                }
            }
        }
    }
}

/// Rules for lines.
pub(super) struct Lines {
    cut: Cut,
    rules: &'static [Rule],
}

impl Lines {
    /// Rules tried in order on every line.
    pub(super) const fn new(cut: Cut, rules: &'static [Rule]) -> Self {
        Self { cut, rules }
    }

    /// Notes what the log says.
    pub(super) fn read(&self, log: &str, map: &mut Map) {
        self.cut.each(log, |line| self.line(line, map));
    }

    /// Notes what one line says.
    pub(super) fn line(&self, line: &str, map: &mut Map) {
        self.rules.iter().any(|rule| rule.apply(line, map));
    }
}

/// A name without white space around it.
pub(super) fn stripped(name: &str) -> String {
    strip(name).to_owned()
}

/// A name on one line, its white space made single spaces.
pub(super) fn on_one_line(name: &str) -> String {
    super::python::words(name).collect::<Vec<_>>().join(" ")
}

/// Notes every match in the whole log, rule after rule.
pub(super) fn search(rules: &[Rule], log: &str, map: &mut Map) {
    for rule in rules {
        for found in rule.pattern.regex().captures_iter(log) {
            rule.note(&found, map);
        }
    }
}

/// The words of most runners.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("PASS", PASSED),
    ("pass", PASSED),
    ("PASSED", PASSED),
    ("passed", PASSED),
    ("ok", PASSED),
    ("OK", PASSED),
    (".", PASSED),
    ("✓", PASSED),
    ("✔", PASSED),
    ("FAIL", FAILED),
    ("FAILED", FAILED),
    ("failed", FAILED),
    ("not ok", FAILED),
    ("ERR", FAILED),
    ("E", FAILED),
    ("F", FAILED),
    ("✕", FAILED),
    ("×", FAILED),
    ("✘", FAILED),
    ("✖", FAILED),
    ("ERROR", ERROR),
    ("SKIP", SKIPPED),
    ("SKIPPED", SKIPPED),
    ("skip", SKIPPED),
    ("ignore", SKIPPED),
    ("O", SKIPPED),
    ("○", SKIPPED),
    ("↓", SKIPPED),
    ("↩", SKIPPED),
];

//! Mutations of source text: every small, plausible mistake that a file could hold.
//!
//! Guarantees that the order is the same for the same files, that no two mutations of a file give
//! the same text, and that comments and quoted messages stay as they are. Does not run anything:
//! whether a mutation is a bug is for the repository's tests to say (`synth`).

mod kind;
mod shell;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use kind::Kind;
pub use syntax::{Language, RULES, Rule, definition, parses};

/// One planted mistake: some lines of a file that say something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutation {
    /// The file, relative to the repository.
    pub file: String,
    /// The first line that differs, from 1.
    pub line: usize,
    /// What sort of mistake it is.
    pub kind: Kind,
    /// The right lines, one at least, without the end of the last.
    pub before: String,
    /// The wrong lines; nothing when they are dropped.
    pub after: Option<String>,
    /// Where the mistake is within the line, if it is one piece of one line.
    pub slip: Option<Slip>,
}

/// A piece of a line that says something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slip {
    /// Where it begins, in bytes from 0.
    pub column: usize,
    /// The right text.
    pub from: String,
    /// The wrong text.
    pub to: String,
}

/// Lists every mutation of `files` (path → text), by path, line and kind.
///
/// Files of unknown languages have none.
pub fn enumerate(files: &BTreeMap<String, String>) -> Vec<Mutation> {
    files.iter().flat_map(|(file, text)| of_file(file, text)).collect()
}

/// Whether mutations of this file are known, judged by its name.
pub fn is_source(file: &str) -> bool {
    is_shell(file) || Language::of(file).is_some()
}

fn is_shell(file: &str) -> bool {
    matches!(file.rsplit_once('.'), Some((_, "sh" | "bash")))
}

fn of_file(file: &str, text: &str) -> Vec<Mutation> {
    let mut mutations = match Language::of(file) {
        Some(language) => syntax::mutations(language, file, text),
        None if is_shell(file) => shell::mutations(file, text),
        None => Vec::new(),
    };
    let column = |m: &Mutation| m.slip.as_ref().map_or(0, |slip| slip.column);
    mutations.sort_by_key(|m| (m.line, column(m), m.kind));
    let mut seen = BTreeSet::new();
    mutations.retain(|m| seen.insert((m.line, m.before.clone(), m.after.clone())));
    mutations
}

impl Mutation {
    /// How many lines of the right text it touches.
    pub fn lines(&self) -> usize {
        self.before.matches('\n').count() + 1
    }

    /// The file's text with the mistake in it.
    pub fn apply(&self, text: &str) -> String {
        let mut changed = String::with_capacity(text.len() + 8);
        let last = self.line + self.lines() - 1;
        for (idx, line) in text.split_inclusive('\n').enumerate() {
            if !(self.line..=last).contains(&(idx + 1)) {
                changed.push_str(line);
            } else if idx + 1 == last
                && let Some(after) = &self.after
            {
                changed.push_str(after);
                changed.push_str(&line[line.trim_end_matches(['\r', '\n']).len()..]);
            }
        }
        changed
    }

    /// A short name within its file, such as `l4-lt-le` or `l7-remove-loop`; not always unique.
    pub fn slug(&self) -> String {
        let what = match (self.kind, &self.slip) {
            (Kind::Dropped, _) => "drop".to_owned(),
            (Kind::Swapped, _) => "swap".to_owned(),
            (Kind::Negation, _) => "not".to_owned(),
            (kind, Some(slip)) if Kind::SHELL.contains(&kind) => {
                format!("{}-{}", spelled(&slip.from), spelled(&slip.to))
            }
            (kind, _) => kind.name().to_owned(),
        };
        format!("l{}-{what}", self.line)
    }
}

fn spelled(text: &str) -> String {
    let name = match text {
        "+" => "plus",
        "-" => "minus",
        "*" => "times",
        "/" => "over",
        "%" => "mod",
        "&&" => "and",
        "||" => "or",
        "=" | "==" => "eq",
        "!=" => "ne",
        "<" => "lt",
        "<=" => "le",
        ">" => "gt",
        ">=" => "ge",
        other => other,
    };
    let kept: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    kept.to_lowercase().replace('_', "")
}

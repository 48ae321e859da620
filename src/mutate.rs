//! Bug operators on source text: every small, plausible mistake that a file could hold.
//!
//! Guarantees that the order is the same for the same files, that no two mutations of a file give
//! the same text, and that comments and quoted messages stay as they are. Does not run anything:
//! whether a mutation is a bug is for the repository's tests to say (`synth`).

mod clike;
mod operators;
mod shell;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// One planted mistake, on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutation {
    /// The file, relative to the repository.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// Where the change begins in the line, in bytes from 0.
    pub column: usize,
    /// What sort of mistake it is.
    pub kind: Kind,
    /// The right text at the column; the whole line when it is dropped.
    pub from: String,
    /// The wrong text; empty when the line is dropped.
    pub to: String,
    /// The right line.
    pub before_line: String,
    /// The wrong line; nothing when it is dropped.
    pub after_line: Option<String>,
}

/// The sorts of mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `-lt` for `-le`, `=` for `!=`.
    Comparison,
    /// `+` for `-`, `/` for `%`.
    Operator,
    /// 3 for 4.
    OffByOne,
    /// 6 for 60, `yes` for `no`.
    Constant,
    /// Another variable of the function.
    Variable,
    /// A line is missing.
    Dropped,
    /// Two arguments or operands in the wrong order.
    Swapped,
    /// `&&` for `||`.
    Boolean,
    /// A condition that is turned around.
    Negation,
}

impl Kind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Comparison,
        Self::Operator,
        Self::OffByOne,
        Self::Constant,
        Self::Variable,
        Self::Dropped,
        Self::Swapped,
        Self::Boolean,
        Self::Negation,
    ];
}

/// How a file's text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Shell,
    Python,
    Braces,
}

/// Lists every mutation of `files` (path → text), by path, line, column and operator.
///
/// Files of unknown languages have none.
pub fn enumerate(files: &BTreeMap<String, String>) -> Vec<Mutation> {
    files.iter().flat_map(|(file, text)| of_file(file, text)).collect()
}

/// Whether mutations of this file are known, judged by its name.
pub fn is_source(file: &str) -> bool {
    language(file).is_some()
}

fn of_file(file: &str, text: &str) -> Vec<Mutation> {
    let Some(language) = language(file) else { return Vec::new() };
    let source = match language {
        Language::Shell => shell::scan(text),
        Language::Python => clike::scan(text, "#"),
        Language::Braces => clike::scan(text, "//"),
    };
    let mut seen = BTreeSet::new();
    let mut mutations = operators::mutations(&source, language);
    mutations.sort_by_key(|m| (m.line, m.column, m.kind));
    mutations.retain(|m| seen.insert((m.line, m.after_line.clone())));
    for mutation in &mut mutations {
        file.clone_into(&mut mutation.file);
    }
    mutations
}

fn language(file: &str) -> Option<Language> {
    match file.rsplit_once('.')?.1 {
        "sh" | "bash" => Some(Language::Shell),
        "py" => Some(Language::Python),
        "c" | "h" | "cc" | "cpp" | "go" | "java" | "js" | "mjs" | "rs" | "ts" => Some(Language::Braces),
        _ => None,
    }
}

impl Mutation {
    /// The file's text with the mistake in it.
    pub fn apply(&self, text: &str) -> String {
        let mut changed = String::with_capacity(text.len() + 8);
        for (idx, line) in text.split_inclusive('\n').enumerate() {
            if idx + 1 != self.line {
                changed.push_str(line);
            } else if let Some(after) = &self.after_line {
                changed.push_str(after);
                changed.push_str(&line[line.trim_end_matches(['\r', '\n']).len()..]);
            }
        }
        changed
    }

    /// A short name within its file, such as `l4-lt-le`; not always unique.
    pub fn slug(&self) -> String {
        let what = match self.kind {
            Kind::Dropped => "drop".to_owned(),
            Kind::Swapped => "swap".to_owned(),
            Kind::Negation => "not".to_owned(),
            _ => format!("{}-{}", spelled(&self.from), spelled(&self.to)),
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

#[cfg(test)]
mod tests;

//! Names of suites by indentation, and the runners of JavaScript that print tests below them.
//!
//! Guarantees the names that the references join, with their separators. What marks a test is each
//! parser's own.

use super::python::{indent, strip};

/// The suites that are open at a line, outermost first.
#[derive(Default)]
pub(super) struct Suites {
    open: Vec<(String, usize)>,
}

impl Suites {
    /// Opens the suite of a line; suites that are indented as far or further end.
    pub(super) fn enter(&mut self, line: &str) {
        let indent = indent(line);
        while self.open.last().is_some_and(|(_, other)| indent <= *other) {
            self.open.pop();
        }
        self.open.push((strip(line).to_owned(), indent));
    }

    /// The names of the open suites.
    pub(super) fn joined(&self, separator: &str) -> String {
        self.open.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(separator)
    }

    /// The names of the open suites and a test.
    pub(super) fn with(&self, separator: &str, test: &str) -> String {
        let names = self.open.iter().map(|(name, _)| name.as_str());
        names.chain([test]).collect::<Vec<_>>().join(separator)
    }
}

//! What tells the results of a test run: a report out of band, or the run's output.
//!
//! Names only; who reads them is `testlog`, which also knows the names of the reference parsers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The readers of test output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Parser {
    /// `pytest -rA`.
    #[default]
    Pytest,
    /// The Test Anything Protocol.
    Tap,
    /// `cargo test`.
    Cargo,
    /// `go test -v`.
    Go,
    /// A parser of a dataset's own harness: `swebench.parse_log_django`.
    Compat(String),
}

impl Parser {
    /// Our own readers.
    pub const OWN: [Self; 4] = [Self::Pytest, Self::Tap, Self::Cargo, Self::Go];

    /// Its name in a task file.
    pub fn name(&self) -> &str {
        match self {
            Self::Pytest => "pytest",
            Self::Tap => "tap",
            Self::Cargo => "cargo",
            Self::Go => "go",
            Self::Compat(name) => name,
        }
    }
}

impl From<String> for Parser {
    fn from(name: String) -> Self {
        Self::OWN.into_iter().find(|own| own.name() == name).unwrap_or(Self::Compat(name))
    }
}

impl From<Parser> for String {
    fn from(parser: Parser) -> Self {
        parser.name().to_owned()
    }
}

impl fmt::Display for Parser {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// A report that the test command writes beside its output. Where a task has one, its output says nothing
/// about its tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// What it is.
    pub format: ReportFormat,
    /// The file that the command leaves it in, from the work directory; absent when it is written to
    /// `$APPRENTICE_REPORT`, where nothing can be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The formats of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// JUnit's XML, as pytest, surefire, Gradle, nextest, jest-junit and PHPUnit write it; several documents
    /// may follow one another.
    Junit,
    /// The lines of our plug-in for pytest, which the grader brings along.
    PytestEvents,
    /// `go test -json`.
    GoJson,
    /// `cargo test -- -Z unstable-options --format json`, and that of nextest.
    LibtestJson,
    /// `jest --json`, and vitest's reporter `json`.
    JestJson,
}

impl Report {
    /// What makes it impossible to use.
    pub(super) fn fault(&self) -> Option<String> {
        let path = self.path.as_deref()?;
        if self.format == ReportFormat::PytestEvents {
            return Some("tests.report.path: our plug-in writes no file; remove it".to_owned());
        }
        let leaves = path.starts_with('/') || path.split('/').any(|part| part == "..");
        (path.is_empty() || leaves).then(|| {
            format!(
                "tests.report.path: `{path}` is no file below the work directory; write one, or leave it out"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parser_is_a_plain_name() {
        for name in ["pytest", "tap", "cargo", "go", "swebench.parse_log_django"] {
            let parser: Parser = serde_json::from_value(name.into()).unwrap();
            assert_eq!(serde_json::to_value(&parser).unwrap(), name);
            assert_eq!(matches!(parser, Parser::Compat(_)), name.contains('.'), "{name}");
        }
    }

    #[test]
    fn a_report_lies_below_the_work_directory() {
        let fault = |format, path: &str| Report { format, path: Some(path.to_owned()) }.fault();
        assert_eq!(fault(ReportFormat::Junit, "target/junit.xml"), None);
        for path in ["", "/tmp/junit.xml", "../junit.xml", "a/../../b"] {
            let said = fault(ReportFormat::Junit, path).unwrap();
            assert!(said.starts_with("tests.report.path: "), "{said}");
        }
        assert!(fault(ReportFormat::PytestEvents, "events.jsonl").is_some());
    }
}

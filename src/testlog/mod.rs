//! What a test run says of each test: reports out of band, and test output, read into one status a test.
//!
//! Pure functions on bytes and text; [`results`] is the one way in. Guarantees that a test which a run does
//! not name has no status, that several statuses of one test count as the worst, that what a test prints after its
//! runner's own report cannot improve a status, and that a report which is not whole says so. Cannot tell a runner
//! from code that perfectly imitates it.

mod cargo;
pub mod compat;
mod go;
mod ids;
pub mod pytest;
pub mod report;
pub mod tap;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::task::{Parser, Task, Tests};
pub use compat::Context;

/// What became of one test, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It passed.
    Passed,
    /// It passed although it was expected to fail.
    XPassed,
    /// It failed as expected.
    XFailed,
    /// It did not run.
    Skipped,
    /// Its set-up, its tear-down or its file broke.
    Error,
    /// It failed.
    Failed,
}

impl Status {
    /// Whether the runner counts it as a success.
    pub fn is_pass(self) -> bool {
        matches!(self, Self::Passed | Self::XPassed | Self::XFailed)
    }
}

/// The status of every test that a run names.
pub type Statuses = BTreeMap<String, Status>;

/// What a run says of its tests.
#[derive(Debug, Default)]
pub struct Results {
    statuses: Statuses,
    /// Why it does not say all: nothing was resolved then, whatever the statuses are.
    pub fault: Option<Fault>,
    spelling: Spelling,
    lookup: OnceLock<Statuses>,
}

/// How a format spells ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As the runner does.
    #[default]
    Plain,
    /// `QUALIFIER::TEST`: a package, crate or program, which an expected id may lack.
    Qualified,
    /// `CLASS::TEST`, where pytest would say `file.py::Class::test`.
    Classes,
}

/// Why a run does not say what became of its tests. The run's own failing, never the host's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The reference parser stops with an exception on this output.
    #[error("the reference parser raises {kind}: {message}")]
    Raises {
        /// The exception's class.
        kind: &'static str,
        /// What it says.
        message: String,
    },
    /// There is no report.
    #[error("the tests left no report")]
    NoReport,
    /// The report is longer than what is kept.
    #[error("the report of the tests exceeds {0} bytes")]
    TooLong(usize),
    /// The report is not what its format says.
    #[error("the report of the tests cannot be read: {0}")]
    Unreadable(String),
    /// The report ends before the run did.
    #[error("the report of the tests breaks off")]
    BreaksOff,
    /// Fewer tests ended than the runner had announced.
    #[error("of {announced} announced tests, {ended} ended")]
    Unended {
        /// How many the runner announced.
        announced: usize,
        /// How many ended.
        ended: usize,
    },
}

/// What was written to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written<'a> {
    /// Nothing, or there is no such file.
    Nothing,
    /// All of it.
    Whole(&'a [u8]),
    /// More than this many bytes, which is what is kept of it.
    TooMuch(usize),
}

/// What the run of `task`'s tests says, by its report where it has one, else by its output `log`.
///
/// # Errors
/// When no parser has the task's name: the task's fault, not the run's.
pub fn results(
    task: &Task,
    tests: &Tests,
    written: Written<'_>,
    log: &str,
) -> Result<Results, compat::Fault> {
    let Some(report) = &tests.report else {
        let context = Context { instance: &task.id, version: tests.version.as_deref().unwrap_or_default() };
        return of_log(&tests.parser, &context, log);
    };
    Ok(match written {
        Written::Nothing => Results::faulty(Fault::NoReport),
        Written::TooMuch(bytes) => Results::faulty(Fault::TooLong(bytes)),
        Written::Whole(bytes) => report::read(report.format, bytes),
    })
}

fn of_log(parser: &Parser, context: &Context<'_>, log: &str) -> Result<Results, compat::Fault> {
    let spelling = match parser {
        Parser::Cargo | Parser::Go => Spelling::Qualified,
        _ => Spelling::Plain,
    };
    match read(parser, context, log) {
        Ok(statuses) => Ok(Results::of(statuses, spelling)),
        Err(compat::Fault::Raises { kind, message }) => Ok(Results::faulty(Fault::Raises { kind, message })),
        Err(unknown) => Err(unknown),
    }
}

/// Reads the output of a test command.
///
/// # Errors
/// When no parser has this name, or the reference parser raises.
pub fn read(parser: &Parser, context: &Context<'_>, log: &str) -> Result<Statuses, compat::Fault> {
    Ok(match parser {
        Parser::Pytest => pytest::read(log),
        Parser::Tap => tap::read(log),
        Parser::Cargo => cargo::read(log),
        Parser::Go => go::read(log),
        Parser::Compat(name) => compat::statuses(&compat::read(name, context, log)?),
    })
}

/// What is wrong with how a task says that its results are read.
pub fn fault(tests: &Tests) -> Option<String> {
    let Parser::Compat(name) = &tests.parser else { return None };
    let nearest = compat::nearest_of(name, Parser::OWN.iter().map(|own| own.name().to_owned()))?;
    Some(format!("tests.parser: no parser is called `{name}`; did you mean `{nearest}`?"))
}

impl Results {
    pub(crate) fn of(statuses: Statuses, spelling: Spelling) -> Self {
        Self { statuses, spelling, ..Self::default() }
    }

    pub(crate) fn faulty(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    /// Every test that the run names.
    pub fn statuses(&self) -> &Statuses {
        &self.statuses
    }

    /// The status of the test that a task calls `id`: by that id as it stands, then by what of it does not differ
    /// from run to run, then, where it was cut within its parameters, by all that it begins, the worst of them.
    pub fn status(&self, id: &str) -> Option<Status> {
        if let Some(status) = self.statuses.get(id) {
            return Some(*status);
        }
        let lookup = self.lookup.get_or_init(|| self.spellings());
        let id = ids::normal(id);
        let spelled = match self.spelling {
            Spelling::Classes => report::class_spelling(&id),
            Spelling::Plain | Spelling::Qualified => None,
        };
        status_of(lookup, spelled.as_deref().unwrap_or(&id))
    }

    /// The statuses by their ids as they are compared.
    fn spellings(&self) -> Statuses {
        let mut lookup = Statuses::new();
        for (id, status) in &self.statuses {
            let id = ids::normal(id);
            note(&mut lookup, &id, *status);
            if let (Spelling::Qualified, Some((_, test))) = (self.spelling, id.split_once("::")) {
                note(&mut lookup, test, *status);
            }
        }
        lookup
    }
}

/// The status of the test `id`.
///
/// Published ids may be cut inside a parameter (more `[` than `]`): such an id stands for all
/// tests that start with it, and the worst of them counts.
pub fn status_of(statuses: &Statuses, id: &str) -> Option<Status> {
    if let Some(status) = statuses.get(id) {
        return Some(*status);
    }
    if !ids::is_cut(id) {
        return None;
    }
    let starting = statuses.range(id.to_owned()..).take_while(|(name, _)| name.starts_with(id));
    starting.map(|(_, status)| *status).max()
}

/// Notes a status; of several, the worst stays.
fn note(statuses: &mut Statuses, id: &str, status: Status) {
    let entry = statuses.entry(id.to_owned()).or_insert(status);
    *entry = status.max(*entry);
}

/// A line without colours and control characters.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' && chars.peek() == Some(&'[') {
            // A control sequence ends at its first letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else if !char.is_control() || char == '\t' {
            text.push(char);
        }
    }
    text
}

#[cfg(test)]
pub(crate) fn fixture(path: &str) -> Option<String> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures");
    let root = std::env::var("APPRENTICE_FIXTURES").unwrap_or_else(|_| default.to_owned());
    if !std::path::Path::new(&root).exists() {
        println!("skipped: ../shared is not here");
        return None;
    }
    Some(fs_err::read_to_string(format!("{root}/{path}")).unwrap())
}

#[cfg(test)]
mod tests;

//! The log parsers that public datasets were made with, by name: what a verdict of their own harness rests on.
//!
//! Pure functions on text. Guarantees, for every log of the fixtures, the same map as the reference,
//! its defects included, and a typed fault where the reference raises. So they are no way to learn what
//! became of a test (`testlog::read` is), only what the reference says became of it.
//!
//! Most are rows of a table over a few shapes: rules for lines (`lines`), words of pytest's summary
//! (`words`), suites by indentation (`suites`), blocks of markup (`markup`).

mod django;
mod javascript;
mod lines;
mod markup;
mod python;
mod rebench;
mod runners;
mod suites;
mod swebench;
mod swebench4;
mod swegym;
mod swesmith;
mod words;

use std::borrow::Cow;

use indexmap::IndexMap;

use self::lines::{Lines, Rule};
use self::words::Words;
use super::{Status, Statuses};

/// A status for every test that a parser finds, in the order of the log, as in the references' own maps. Statuses are text:
/// some parsers copy them from the log.
pub type Map = IndexMap<String, Cow<'static, str>, foldhash::fast::RandomState>;

const PASSED: &str = "PASSED";
const FAILED: &str = "FAILED";
const SKIPPED: &str = "SKIPPED";
const ERROR: &str = "ERROR";

/// What some parsers choose by, beside the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The task's id in its dataset, which ends with the number of the pull request.
    pub instance: &'a str,
    /// The version of the repository that the dataset gives.
    pub version: &'a str,
}

/// Why there is no map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No parser has this name.
    #[error("no log parser is called `{name}`; the nearest is `{nearest}`")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The name that differs least.
        nearest: String,
    },
    /// The reference stops with an exception on this log.
    #[error("the reference parser raises {kind}: {message}")]
    Raises {
        /// The exception's class.
        kind: &'static str,
        /// What it says.
        message: String,
    },
}

impl Fault {
    fn raises(kind: &'static str, message: impl Into<String>) -> Self {
        Self::Raises { kind, message: message.into() }
    }

    fn index() -> Self {
        Self::raises("IndexError", "list index out of range")
    }
}

/// The parsers of one package.
struct Package {
    name: &'static str,
    rows: &'static [Row],
}

/// A parser and its other names.
struct Row {
    name: &'static str,
    aliases: &'static [&'static str],
    shape: Shape,
}

/// How a parser reads.
enum Shape {
    /// Rules for each line.
    Lines(Lines),
    /// Rules for the whole log, one after another.
    Search(&'static [Rule]),
    /// Words of pytest's summary.
    Words(Words),
    /// Its own way.
    Own(fn(&str, &mut Map)),
    /// Its own way, which may raise.
    Raising(fn(&str, &mut Map) -> Result<(), Fault>),
    /// Another parser of the package, by the task.
    Chosen(fn(&Context<'_>) -> Result<&'static str, Fault>),
}

const fn row(name: &'static str, aliases: &'static [&'static str], shape: Shape) -> Row {
    Row { name, aliases, shape }
}

static PACKAGES: [&Package; 6] = [
    &swebench::PACKAGE,
    &swegym::PACKAGE,
    &swegym::R2E,
    &swesmith::PACKAGE,
    &rebench::PACKAGE,
    &swebench4::PACKAGE,
];

/// Reads a log as the parser `name` does: `swebench.parse_log_pytest`, or `parse_log_pytest` for the
/// first package that has it.
pub fn read(name: &str, context: &Context<'_>, log: &str) -> Result<Map, Fault> {
    let (package, row) = find(name)?;
    let mut map = Map::default();
    read_row(package, row, context, log, &mut map)?;
    Ok(map)
}

fn read_row(
    package: &Package,
    row: &Row,
    context: &Context<'_>,
    log: &str,
    map: &mut Map,
) -> Result<(), Fault> {
    match &row.shape {
        Shape::Lines(lines) => lines.read(log, map),
        Shape::Search(rules) => lines::search(rules, log, map),
        Shape::Words(words) => words.read(log, map)?,
        Shape::Own(read) => read(log, map),
        Shape::Raising(read) => read(log, map)?,
        Shape::Chosen(choose) => {
            let chosen = choose(context)?;
            let row = package.rows.iter().find(|row| row.name == chosen);
            let row = row.expect("invariant: a chosen parser is a row of its package");
            read_row(package, row, context, log, map)?;
        }
    }
    Ok(())
}

/// The map with statuses of our own. A text that is none (`PASSEDfoo`) is left out, so that
/// its test counts as missing.
pub fn statuses(map: &Map) -> Statuses {
    let status = |text: &str| {
        Some(match text {
            PASSED => Status::Passed,
            FAILED => Status::Failed,
            SKIPPED => Status::Skipped,
            ERROR => Status::Error,
            "XFAIL" => Status::XFailed,
            "XPASS" => Status::XPassed,
            _ => return None,
        })
    };
    map.iter().filter_map(|(id, text)| Some((id.clone(), status(text)?))).collect()
}

/// The full name of every parser.
pub fn names() -> impl Iterator<Item = String> {
    PACKAGES.iter().flat_map(|package| {
        let all =
            package.rows.iter().flat_map(|row| [row.name].into_iter().chain(row.aliases.iter().copied()));
        all.map(|name| format!("{}.{name}", package.name))
    })
}

fn find(name: &str) -> Result<(&'static Package, &'static Row), Fault> {
    for package in PACKAGES {
        let bare = name.strip_prefix(package.name).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
        let row = package.rows.iter().find(|row| row.name == bare || row.aliases.contains(&bare));
        if let Some(row) = row {
            return Ok((package, row));
        }
    }
    Err(Fault::Unknown { name: name.to_owned(), nearest: nearest(name, names()) })
}

/// Whether a parser reads what pytest prints.
pub fn reads_pytest(name: &str) -> bool {
    find(name).is_ok_and(|(_, row)| {
        matches!(row.shape, Shape::Words(_)) || row.name.starts_with("parse_log_pytest")
    })
}

/// The name nearest to one that no parser has, among `others` too; `None` where a parser has it.
pub(super) fn nearest_of(name: &str, others: impl Iterator<Item = String>) -> Option<String> {
    find(name).is_err().then(|| nearest(name, names().chain(others)))
}

/// The candidate that shares most pairs of letters with this name.
fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> String {
    let pairs = |text: &str| text.as_bytes().windows(2).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let wanted = pairs(name);
    let shared = |candidate: &String| {
        let found = pairs(candidate);
        let shared = wanted.iter().filter(|pair| found.contains(pair)).count();
        // Of two that share as much, the shorter is nearer.
        (shared, usize::MAX - candidate.len())
    };
    candidates.max_by_key(shared).unwrap_or_default()
}

#[cfg(test)]
mod tests;

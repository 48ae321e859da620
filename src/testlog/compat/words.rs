//! Parsers of pytest's summary by the words of a line: a status word, then an id.
//!
//! Guarantees what the references give, their defects included: statuses are the first word as it
//! stands (`PASSEDfoo`), and ids end at a space in most of them.

use std::borrow::Cow;

use super::python::{Pattern, words};
use super::{Fault, Map};

/// The statuses of most packages.
pub(super) const STATUSES: &[&str] = &["FAILED", "PASSED", "SKIPPED", "ERROR", "XFAIL"];

/// The choices in which these parsers differ.
pub(super) struct Words {
    /// The statuses that a line is recognised by.
    pub(super) statuses: &'static [&'static str],
    /// What happens to a line first.
    pub(super) clean: Clean,
    /// What becomes of the reason after an id that failed.
    pub(super) reason: Reason,
    /// Which words are the id.
    pub(super) id: Id,
    /// Whether `SKIPPED [N] …` counts.
    pub(super) skips: Skips,
    /// What a line without an id is.
    pub(super) short: Short,
    /// Whether a line may also end with its status.
    pub(super) ends: Ends,
}

/// What happens to a line first.
#[derive(PartialEq, Eq)]
pub(super) enum Clean {
    /// Nothing.
    Never,
    /// The names of two mouse buttons become their numbers.
    MouseButtons,
    /// Colours lose their brackets, control characters go.
    Colours,
    /// As `Colours`, and `FAILED [ 33%]` loses its percentage.
    ColoursAndProgress,
}

/// What becomes of the reason after an id that failed.
pub(super) enum Reason {
    /// ` - ` becomes a space.
    IsMore,
    /// It goes.
    Goes,
}

/// Which words are the id.
pub(super) enum Id {
    /// The one beside the status.
    One,
    /// The one beside the status, whose parameter loses directories.
    Option,
    /// All but the status.
    All,
}

/// Whether `SKIPPED [N] …` counts.
#[derive(PartialEq, Eq)]
pub(super) enum Skips {
    /// It does.
    Count,
    /// It does not.
    Go,
}

/// What a line without an id is.
pub(super) enum Short {
    /// Nothing.
    Ignored,
    /// The end of the parser.
    Raises,
}

/// Whether a line may also end with its status.
#[derive(PartialEq, Eq)]
pub(super) enum Ends {
    /// It may not.
    Never,
    /// It may, and the second word is the status.
    Second,
    /// It may, and the last word is the status.
    Last,
}

impl Words {
    /// Notes what the log says.
    pub(super) fn read(&self, log: &str, map: &mut Map) -> Result<(), Fault> {
        log.split('\n').try_for_each(|line| self.line(&self.clean.apply(line), map))
    }

    fn line(&self, line: &str, map: &mut Map) -> Result<(), Fault> {
        if self.statuses.iter().any(|status| line.starts_with(status)) {
            let line = if line.starts_with("FAILED") { self.reason.apply(line) } else { line.into() };
            let mut found = words(&line);
            let (Some(status), Some(id)) = (found.next(), found.next()) else {
                return self.short.outcome();
            };
            if self.skips == Skips::Go && status == "SKIPPED" && is_count(id) {
                return Ok(());
            }
            let id = match self.id {
                Id::One => id.to_owned(),
                Id::Option => short_option(id),
                Id::All => join(words(&line).skip(1)),
            };
            map.insert(id, status.to_owned().into());
        } else if self.ends != Ends::Never && self.statuses.iter().any(|status| line.ends_with(status)) {
            let found: Vec<&str> = words(line).collect();
            let ([first, second, ..], Some(last)) = (found.as_slice(), found.last()) else {
                return self.short.outcome();
            };
            let (id, status) = match self.ends {
                Ends::Last => (join(found[..found.len() - 1].iter().copied()), *last),
                _ => ((*first).to_owned(), *second),
            };
            map.insert(id, status.to_owned().into());
        }
        Ok(())
    }
}

impl Short {
    fn outcome(&self) -> Result<(), Fault> {
        match self {
            Self::Ignored => Ok(()),
            Self::Raises => Err(Fault::index()),
        }
    }
}

impl Clean {
    fn apply<'a>(&self, line: &'a str) -> Cow<'a, str> {
        static PROGRESS: Pattern = Pattern::new(r"FAILED\s*\[.*?\]");
        match self {
            Self::MouseButtons if line.contains("MouseButton.") => {
                line.replace("MouseButton.LEFT", "1").replace("MouseButton.RIGHT", "3").into()
            }
            Self::Never | Self::MouseButtons => line.into(),
            Self::Colours => without_colours(line),
            Self::ColoursAndProgress => {
                let line = without_colours(line);
                match PROGRESS.regex().replace_all(&line, "FAILED") {
                    Cow::Borrowed(_) => line,
                    Cow::Owned(line) => line.into(),
                }
            }
        }
    }
}

impl Reason {
    fn apply<'a>(&self, line: &'a str) -> Cow<'a, str> {
        match self {
            Self::IsMore => line.replace(" - ", " ").into(),
            Self::Goes => line.split_once(" - ").map_or(line, |(head, _)| head).into(),
        }
    }
}

/// Removes `[31m` (with or without its escape character), then control characters.
pub(super) fn without_colours(line: &str) -> Cow<'_, str> {
    static COLOUR: Pattern = Pattern::new(r"\[\d+m");
    let is_control = |char: char| ('\u{1}'..'\u{20}').contains(&char);
    let line = if line.contains('[') { COLOUR.regex().replace_all(line, "") } else { line.into() };
    if line.contains(is_control) { line.replace(is_control, "").into() } else { line }
}

/// Whether a word is `[3]`, the number of tests that one `SKIPPED` line stands for.
fn is_count(word: &str) -> bool {
    static COUNT: Pattern = Pattern::new(r"^\[\d+\]$");
    COUNT.regex().is_match(word)
}

/// `f[/tmp/a/b]` becomes `f[/b]`; what follows the last bracket goes.
fn short_option(id: &str) -> String {
    let Some((name, rest)) = id.split_once('[') else { return id.to_owned() };
    let Some((option, _)) = rest.rsplit_once(']') else {
        return id.to_owned();
    };
    let is_path = option.starts_with('/') && !option.starts_with("//") && !option.contains('*');
    match option.rsplit('/').next().filter(|_| is_path) {
        Some(last) => format!("{name}[/{last}]"),
        None => format!("{name}[{option}]"),
    }
}

fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

//! Normalisers: differences between a recorded and a replayed observation that mean nothing.
//!
//! Each has a name and one reason. They are applied one after another only until the two texts are equal, so the
//! names that are reported are those that were needed. An observation that is equal as it is needs none. What a test
//! counts, what an assertion compares and which names a listing holds are never normalised.

mod chance;
mod listing;
mod terminal;
#[cfg(test)]
mod tests;
mod truncation;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::trajectory::Action;
pub(super) use terminal::exit_code;

/// The work directory of the recording and of the replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Makes of one text what does not depend on the run.
type Normaliser = (&'static str, fn(&str) -> Cow<'_, str>);

/// In the order in which they are tried: what a terminal adds first, what a run chances upon last.
const NORMALISERS: &[Normaliser] = &[
    ("carriage returns", terminal::carriage_returns),
    (SCAFFOLD_PROMPT, terminal::scaffold_prompt),
    ("trailing space", terminal::trailing_space),
    ("terminal control", terminal::terminal_control),
    ("pytest header", chance::pytest_header),
    ("dates and times", chance::dates_and_times),
    ("durations", chance::durations),
    ("addresses", chance::addresses),
    ("process ids", chance::process_ids),
    ("temporary names", chance::temporary_names),
    ("python directory", chance::python_directory),
    ("python warnings", chance::python_warnings),
    ("git blob names", chance::git_blob_names),
];

/// The names of all normalisers, in the order in which they are tried.
pub fn names() -> Vec<&'static str> {
    let fixed = NORMALISERS.iter().map(|(name, _)| *name);
    [WORK_DIRECTORY].into_iter().chain(fixed).chain([COLUMNS, ORDER, TRUNCATION]).collect()
}

const WORK_DIRECTORY: &str = "work directory";
const SCAFFOLD_PROMPT: &str = "scaffold prompt";
const COLUMNS: &str = "terminal columns";
const ORDER: &str = "order of a listing";
const TRUNCATION: &str = "truncation";

/// Normalises both observations of `action` until they are equal or nothing is left to try.
pub fn compare(action: &Action, recorded: &str, replayed: &str, places: &Places) -> Compared {
    let mut compared =
        Compared { recorded: recorded.to_owned(), replayed: replayed.to_owned(), normalisers: Vec::new() };
    if places.recorded != places.replayed {
        compared.try_each(WORK_DIRECTORY, |text| moved(text, &places.recorded, &places.replayed).into());
    }
    // A scaffold's words go, but not where they tell of two different ends.
    let codes = (terminal::exit_code(recorded), terminal::exit_code(replayed));
    let is_other_end = matches!(codes, (Some(recorded), Some(replayed)) if recorded != replayed);
    for (name, normalise) in NORMALISERS {
        if !(is_other_end && *name == SCAFFOLD_PROMPT) {
            compared.try_each(name, *normalise);
        }
    }
    if listing::lists_names(action) {
        compared.try_each(COLUMNS, listing::columns);
    }
    if listing::lists_paths(action) {
        compared.try_each(ORDER, listing::sorted);
    }
    if compared.recorded != compared.replayed
        && let Some((recorded, replayed)) = truncation::cut_alike(&compared.recorded, &compared.replayed)
    {
        (compared.recorded, compared.replayed) = (recorded, replayed);
        compared.normalisers.push(TRUNCATION);
    }
    compared
}

/// What a command of ours printed, without all that depends on the run: for comparing live runs with each other. What
/// scaffolds add is left, because here it can only be the command's own.
pub fn everywhere(text: &str) -> String {
    let normalisers = NORMALISERS.iter().filter(|(name, _)| *name != SCAFFOLD_PROMPT);
    normalisers.fold(text.to_owned(), |text, (_, normalise)| normalise(&text).into_owned())
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
        let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let is_inside = |rest: &str| {
            // A dot ends a sentence, or goes on with a name.
            let mut after = rest.chars();
            let (next, one_more) = (after.next(), after.next());
            next.is_some_and(in_name) || (next == Some('.') && one_more.is_some_and(in_name))
        };
        let before = |c: char| in_name(c) || matches!(c, '.' | '/');
        let inside = moved.ends_with(before) && rest[..at].is_empty()
            || rest[..at].ends_with(before)
            || is_inside(&rest[end..]);
        moved.push_str(&rest[..at]);
        moved.push_str(if inside { from } else { to });
        rest = &rest[end..];
    }
    moved + rest
}

/// A pattern that is compiled once.
macro_rules! pattern {
    ($text:expr) => {{
        static PATTERN: std::sync::LazyLock<regex::Regex> =
            std::sync::LazyLock::new(|| regex::Regex::new($text).expect("invariant: the pattern is fixed"));
        &*PATTERN
    }};
}
use pattern;

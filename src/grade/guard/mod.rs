//! What a patch may not do: which of its files belong to the grader, and which of its words.
//!
//! Pure functions on the patch, the task and the files of the starting point. Guarantees that whatever judges the
//! patch (tests, their configuration, what an interpreter or a runner picks up by itself) is that of the
//! starting point and of the task's own patches, and that nothing is put back in silence. The rules are those of
//! docs/grading.md. Reads text: code that imitates its runner in words of its own making is not recognised.

mod sections;
mod table;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::patch::{File, Mode, Patch, PatchError, Reject};
use crate::task::{Parser, Task, Tests};
use crate::testlog::compat;
pub(super) use words::breach;

/// A path of the patch that belongs to the grader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flag {
    /// The path.
    pub path: String,
    /// What lies there.
    pub what: What,
    /// What became of it.
    pub done: Done,
}

/// What judges a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A test, or what tests read.
    Test,
    /// What says which tests run, and how.
    Configuration,
    /// What an interpreter or a shell runs before all else.
    StartUp,
    /// What a test runner loads by itself.
    Plugin,
    /// A module in the place of the runner's or the language's own.
    Shadow,
    /// A file with the name of a program that tests need.
    Program,
    /// Compiled code that stands for a source.
    Compiled,
    /// An installed package.
    Dependency,
    /// A link that leads out of the repository.
    Link,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// The file is that of the starting point again.
    Restored,
    /// The file, which the starting point lacks, is gone.
    Removed,
    /// The change stays, because the task's own solution changes that file as well.
    Kept,
}

/// The runners, as far as their output is known well enough to be doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    Pytest,
    Tap,
    /// It names each test that fails, and no more is known of it.
    Naming,
    /// A dataset's parser reads what the dataset's own script prints.
    Unknown,
}

impl Runner {
    pub(super) fn of(tests: &Tests) -> Self {
        match &tests.parser {
            Parser::Pytest => Self::Pytest,
            Parser::Tap => Self::Tap,
            Parser::Cargo | Parser::Go => Self::Naming,
            Parser::Compat(name) if compat::reads_pytest(name) => Self::Pytest,
            Parser::Compat(_) => Self::Unknown,
        }
    }
}

/// What a patch is that cannot be read.
pub(super) fn outcome_of(error: &PatchError) -> Outcome {
    match error {
        PatchError::Escapes { .. } => Outcome::Tampered,
        _ => Outcome::PatchDoesNotApply,
    }
}

/// What a patch is that does not fit: one that writes through a link of its own wants to get out.
pub(super) fn outcome_of_reject(reject: &Reject, patch: &Patch) -> Outcome {
    let Reject::ThroughLink(path) = reject else { return Outcome::PatchDoesNotApply };
    let mut links = patch.files.iter().filter(|file| file.new_mode == Some(Mode::Link));
    let is_own = links.any(|link| link.new.as_deref().is_some_and(|link| is_at_or_below(path, link)));
    if is_own { Outcome::Tampered } else { Outcome::PatchDoesNotApply }
}

/// Files before and after the patch, by path, as far as it names them.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) before: &'a BTreeMap<String, File>,
    pub(super) after: &'a BTreeMap<String, File>,
}

/// The paths of `patch` that belong to the grader, sorted.
pub(super) fn flags(task: &Task, tests: &Tests, patch: &Patch, files: Files<'_>) -> Vec<Flag> {
    let owned = Owned::of(task, tests);
    let flag = |path: &str| {
        let (before, after) = (files.before.get(path), files.after.get(path));
        let is_tasks = owned.is_tasks(path);
        let what = if is_tasks || owned.is_named(path) || (before.is_some() && owned.is_commanded(path)) {
            What::Test
        } else {
            let of_name = table::what(path, &owned.command, (before, after));
            of_name.or_else(|| after.filter(|file| leads_out(path, file)).map(|_| What::Link))?
        };
        let done = match before {
            _ if !is_tasks && owned.gold.iter().any(|gold| gold == path) => Done::Kept,
            Some(_) => Done::Restored,
            None => Done::Removed,
        };
        Some(Flag { path: path.to_owned(), what, done })
    };
    patch.paths().into_iter().filter_map(flag).collect()
}

/// What the task says of its tests.
struct Owned {
    /// Files and directories of `tests.patch` and `tests.restore`: the student's changes never stay.
    tasks: Vec<String>,
    /// Files that expected tests are named by, and the directories of tests around them.
    named: Vec<String>,
    /// The words of the test command.
    command: Vec<String>,
    /// The paths of the task's own solution.
    gold: Vec<String>,
}

impl Owned {
    fn of(task: &Task, tests: &Tests) -> Self {
        let paths = |text: &Option<String>| -> Vec<String> {
            let patch = text.as_deref().and_then(|text| Patch::parse(text).ok()).unwrap_or_default();
            patch.paths().into_iter().map(str::to_owned).collect()
        };
        let brought = paths(&tests.patch);
        let expected = tests.fail_to_pass.iter().chain(&tests.pass_to_pass).filter_map(|id| file_of(id));
        let mut named: Vec<String> = expected.map(str::to_owned).collect();
        let around = named.iter().chain(&brought).filter_map(|path| directory_of_tests(path));
        let around: Vec<String> = around.map(str::to_owned).collect();
        named.extend(around);
        named.sort_unstable();
        named.dedup();
        let restored = tests.restore.iter().map(|path| path.trim_end_matches('/').to_owned());
        Self {
            tasks: brought.into_iter().chain(restored).collect(),
            named,
            command: words_of(&tests.command),
            gold: paths(&task.gold),
        }
    }

    /// Whether the path is the file itself, something below a directory, or something in its way.
    fn is_tasks(&self, path: &str) -> bool {
        self.tasks.iter().any(|kept| is_at_or_below(path, kept) || is_at_or_below(kept, path))
    }

    fn is_named(&self, path: &str) -> bool {
        self.named.iter().any(|kept| is_at_or_below(path, kept) || is_at_or_below(kept, path))
    }

    /// Whether the test command names the file. It may name the program that is to be repaired, too: only a
    /// solution tells which.
    fn is_commanded(&self, path: &str) -> bool {
        !self.gold.is_empty() && self.command.iter().any(|word| word == path)
    }
}

/// The words of a command, without quotes, with what follows a `=` as a word of its own.
fn words_of(command: &str) -> Vec<String> {
    let ends = |char: char| char.is_whitespace() || ";|&()<>=\"'`".contains(char);
    let words = command.split(ends).filter(|word| !word.is_empty());
    words.map(|word| word.trim_start_matches("./").trim_end_matches('/').to_owned()).collect()
}

/// The file that a test's id begins with, as those of pytest do.
fn file_of(id: &str) -> Option<&str> {
    let (file, _) = id.split_once("::")?;
    file.contains(['/', '.']).then_some(file)
}

/// The outermost directory on the way to a test whose name says that tests lie there.
fn directory_of_tests(path: &str) -> Option<&str> {
    let directories = path.match_indices('/').map(|(end, _)| &path[..end]);
    let says = |dir: &&str| {
        matches!(dir.rsplit('/').next(), Some("test" | "tests" | "__tests__" | "spec" | "specs" | "t"))
    };
    directories.into_iter().find(says)
}

/// Whether a link stands for something outside of the repository.
fn leads_out(path: &str, file: &File) -> bool {
    if file.mode != Mode::Link {
        return false;
    }
    let target = String::from_utf8_lossy(&file.bytes);
    let mut depth = path.matches('/').count();
    target.starts_with('/')
        || target.split('/').any(|part| match part {
            "" | "." => false,
            ".." => match depth.checked_sub(1) {
                Some(less) => {
                    depth = less;
                    false
                }
                None => true,
            },
            _ => {
                depth += 1;
                false
            }
        })
}

fn is_at_or_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

//! Data sets of mathematics: one reader of rows each, for tasks and for worked solutions alike.
//!
//! A problem has the same id in both, made of its benchmark and its text, so that solutions find their tasks across files.

mod aime;
mod amc;
mod gsm8k;
mod hendrycks;
mod minerva;
mod olympiad_bench;
mod plain;
mod prose;
mod s1k;
mod solutions;
#[cfg(test)]
mod tests;

use super::TaskFormat;
use super::row::Row;
use crate::fsio;
use crate::solution::last_box;
use crate::task::{FORMAT, Kind, Origin, Task};

pub use prose::{Words, Worked, worked};
pub(in crate::import) use solutions::Solutions;

/// A data set of mathematics.
pub(super) struct Set {
    /// Its name after `--from`.
    name: &'static str,
    /// Whether a row looks like its rows, by its keys.
    recognizes: fn(&Row) -> bool,
    /// Reads a row, or says what is wrong with it.
    read: fn(&Row) -> Result<Problem, String>,
}

/// Every set, in the order in which they are tried: those with keys of their own first.
static SETS: [&Set; 9] = [
    &s1k::SET,
    &gsm8k::SET,
    &olympiad_bench::SET,
    &minerva::SET,
    &hendrycks::SET,
    &aime::SET,
    &aime::OF_2025,
    &amc::SET,
    &plain::SET,
];

/// The sets as forms of tasks.
pub(super) static TASKS: [TaskFormat; 9] = [
    tasks(&s1k::SET, |row| s1k::SET.task(row)),
    tasks(&gsm8k::SET, |row| gsm8k::SET.task(row)),
    tasks(&olympiad_bench::SET, |row| olympiad_bench::SET.task(row)),
    tasks(&minerva::SET, |row| minerva::SET.task(row)),
    tasks(&hendrycks::SET, |row| hendrycks::SET.task(row)),
    tasks(&aime::SET, |row| aime::SET.task(row)),
    tasks(&aime::OF_2025, |row| aime::OF_2025.task(row)),
    tasks(&amc::SET, |row| amc::SET.task(row)),
    tasks(&plain::SET, |row| plain::SET.task(row)),
];

/// The sets as forms of worked solutions; rows of AIME 2025 and AMC have none.
pub(in crate::import) static SOLUTIONS: [Solutions; 7] = [
    Solutions(&s1k::SET),
    Solutions(&gsm8k::SET),
    Solutions(&olympiad_bench::SET),
    Solutions(&minerva::SET),
    Solutions(&hendrycks::SET),
    Solutions(&aime::SET),
    Solutions(&plain::SET),
];

const fn tasks(set: &'static Set, task: fn(&Row) -> Result<Task, String>) -> TaskFormat {
    TaskFormat { name: set.name, recognizes: set.recognizes, task }
}

/// What a row says.
struct Problem {
    /// The benchmark that it counts for, such as `aime24`.
    benchmark: String,
    /// What is asked.
    text: String,
    /// The right answer, or why there is none.
    answer: Result<String, String>,
    /// Worked solutions.
    solutions: Vec<Solution>,
    difficulty: Option<String>,
}

/// A worked solution.
struct Solution {
    text: String,
    /// Who wrote it, where that is a model.
    model: Option<&'static str>,
    /// Whether it leads to the right answer, where the row says so.
    is_right: Option<bool>,
}

impl Solution {
    /// The reference's own, which is right by definition.
    fn reference(text: &str) -> Self {
        Self { text: text.to_owned(), model: None, is_right: Some(true) }
    }
}

impl Set {
    fn task(&self, row: &Row) -> Result<Task, String> {
        let problem = (self.read)(row)?;
        let (id, row_hash) = (problem.id(), fsio::sha256_hex(row.canonical().as_bytes()));
        let origin = Origin { dataset: self.name.to_owned(), repo: problem.benchmark, row_hash };
        Ok(Task {
            format: FORMAT.to_owned(),
            id,
            kind: Kind::Math,
            problem: problem.text,
            answer: Some(problem.answer?),
            origin: Some(origin),
            difficulty: problem.difficulty,
            ..Task::default()
        })
    }
}

impl Problem {
    /// A problem that counts for `benchmark`, without solutions.
    fn new(benchmark: &str, text: &str, answer: Result<String, String>) -> Self {
        let (benchmark, text) = (benchmark.to_owned(), text.trim().to_owned());
        Self { benchmark, text, answer, solutions: Vec::new(), difficulty: None }
    }

    /// The same with the reference's solution, if the row has one.
    fn with_reference(mut self, solution: Option<&str>) -> Self {
        self.solutions.extend(solution.map(Solution::reference));
        self
    }

    /// Benchmark and digest of the text: data sets number their rows anew in every file.
    fn id(&self) -> String {
        format!("{}-{}", self.benchmark, &fsio::sha256_hex(self.text.as_bytes())[..12])
    }
}

/// The problem's text under one of the names that data sets have for it.
fn asked<'a>(row: &Row<'a>) -> Result<&'a str, String> {
    let key = ["problem", "question", "Problem", "Question"].into_iter().find(|key| row.has(key));
    row.need(key.unwrap_or("problem"))
}

/// The answer of a key that holds it and nothing else, as the data set writes it; a pair of `$` around it goes.
fn stated(row: &Row, keys: &[&str]) -> Result<String, String> {
    let said =
        keys.iter().find_map(|key| row.scalar(key)).ok_or_else(|| format!("missing field `{}`", keys[0]))?;
    let bare = without_dollars(said.trim());
    if bare.is_empty() { Err(format!("{}: it is empty", keys[0])) } else { Ok(bare.to_owned()) }
}

/// The text between a pair of `$` around all of it.
fn without_dollars(text: &str) -> &str {
    let inner = text.strip_prefix('$').and_then(|text| text.strip_suffix('$'));
    inner.filter(|inner| !inner.contains('$')).map_or(text, str::trim)
}

/// The answer that stands in the last box of a solution.
fn boxed(key: &str, solution: &str) -> Result<String, String> {
    last_box(solution).map(str::to_owned).ok_or_else(|| format!("{key}: it has no `\\boxed` answer"))
}

//! Rows by what their solutions are: already in steps, or words that somebody may put into steps.

use std::path::Path;

use serde_json::Value;

use super::super::read::value;
use super::super::row::{Row, kind};
use super::super::{Place, Refusal};
use super::{SETS, Set, solutions};
use crate::import::{Origin, source};
use crate::solution::last_box;
use crate::trajectory::Trajectory;

/// A row with a solution.
#[derive(Debug, Clone, PartialEq)]
pub enum Worked {
    /// In steps.
    InSteps(Box<Trajectory>),
    /// In words.
    InWords(Words),
}

/// A problem whose solution has no steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The problem's id, as that of its task.
    pub id: String,
    /// What is asked.
    pub problem: String,
    /// The solution.
    pub solution: String,
    /// The answer that the solution leads to.
    pub answer: String,
    /// Whether that is right, where the row says so.
    pub is_right: Option<bool>,
    /// The row.
    pub place: Place,
}

/// The first solution of every row of `path`; `set` names the data set, which is found by each row where it is absent.
///
/// # Errors
/// When the file itself cannot be read, or no set of mathematics has this name; what is wrong with a row is a [`Refusal`].
pub fn worked(path: &Path, set: Option<&str>) -> anyhow::Result<Vec<Result<Worked, Refusal>>> {
    let set = match set {
        None => None,
        Some(name) => Some(SETS.into_iter().find(|set| set.name == name).ok_or_else(|| {
            let known: Vec<&str> = SETS.iter().map(|set| set.name).collect();
            anyhow::anyhow!("`{name}` is no data set of mathematics; known are {}", known.join(", "))
        })?),
    };
    let read = |record: anyhow::Result<source::Record>| {
        let record = record?;
        let place = Place { file: path.to_owned(), line: record.line };
        let refusal = |reason| Refusal { file: path.to_owned(), line: record.line, id: None, reason };
        Ok(value(&record).and_then(|value| of_row(&value, set, place)).map_err(refusal))
    };
    source::records(path)?.map(read).collect()
}

fn of_row(value: &Value, set: Option<&'static Set>, place: Place) -> Result<Worked, String> {
    let Value::Object(row) = value else {
        return Err(format!("a row must be an object, found {}", kind(value)));
    };
    let row = &Row::new(row);
    let sniffed = || SETS.into_iter().find(|set| (set.recognizes)(row));
    let set = set
        .or_else(sniffed)
        .ok_or_else(|| format!("no known data set of mathematics has {}", row.described()))?;
    let problem = (set.read)(row)?;
    let solution = problem.solutions.first().ok_or("the row has no worked solution")?;
    let origin = Origin { file: place.file.clone(), line: Some(place.line), task: None };
    if let Ok(trajectory) = solutions::trajectory(&problem, solution, set.name, &origin) {
        return Ok(Worked::InSteps(Box::new(trajectory)));
    }
    // A solution may be wrong; to put it into steps changes its words and not where it leads.
    let answer = match last_box(&solution.text) {
        Some(answer) => answer.to_owned(),
        None => problem.answer.clone()?,
    };
    Ok(Worked::InWords(Words {
        id: problem.id(),
        problem: problem.text.clone(),
        solution: solution.text.clone(),
        answer,
        is_right: solution.is_right,
        place,
    }))
}

//! Rows of mathematics as experts' trajectories: one for each worked solution that has steps.

use super::super::row::Row;
use super::{Problem, Set, Solution};
use crate::import::json::Json;
use crate::import::{Origin, RecordError, TrajectoryFormat};
use crate::solution::{split, without_thoughts};
use crate::trajectory::{End, FORMAT, Source, Trajectory};

/// The worked solutions of a data set.
pub(in crate::import) struct Solutions(pub(super) &'static Set);

impl TrajectoryFormat for Solutions {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn recognizes(&self, record: &Json) -> bool {
        let is_asked = ["problem", "question", "Problem"].iter().any(|key| record[*key].is_text());
        let is_run = ["messages", "trajectory", "history", "format"].iter().any(|key| record.has(key));
        is_asked && !is_run && (self.0.recognizes)(&Row::new(&record.to_map()))
    }

    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        let refused = |reason| RecordError::Record { reason };
        if !matches!(record, Json::Object(_)) {
            return Err(refused("a row must be an object".to_owned()));
        }
        let problem = (self.0.read)(&Row::new(&record.to_map())).map_err(refused)?;
        let mut reason = "the row has no worked solution".to_owned();
        let mut trajectories = Vec::new();
        for solution in &problem.solutions {
            match trajectory(&problem, solution, self.0.name, origin) {
                Ok(trajectory) => trajectories.push(trajectory),
                Err(error) => reason = error.to_string(),
            }
        }
        if trajectories.is_empty() { Err(RecordError::NoSteps { reason }) } else { Ok(trajectories) }
    }
}

/// The trajectory of one solution.
pub(super) fn trajectory(
    problem: &Problem,
    solution: &Solution,
    format: &str,
    origin: &Origin,
) -> Result<Trajectory, crate::solution::TooFewSteps> {
    let text = without_thoughts(&solution.text);
    let parts = split(text.trim())?;
    let id = problem.id();
    Ok(Trajectory {
        format: FORMAT.to_owned(),
        task: origin.task.clone().unwrap_or_else(|| id.clone()),
        id,
        source: Source {
            format: format.to_owned(),
            file: origin.file.display().to_string(),
            record: origin.line,
            model: solution.model.map(str::to_owned),
            ..Source::default()
        },
        problem: Some(problem.text.clone()),
        steps: parts.actions(),
        end: End::Submitted,
        patch: None,
        answer: parts.answer(),
        resolved: solution.is_right,
    })
}

//! Our own trajectories: JSONL, `apprentice.trajectory/1`.
//!
//! Guarantees that what [`crate::trajectory::Trajectory`] writes is read back equal.

use crate::trajectory::{FORMAT, Step, Trajectory};

use super::json::Json;
use super::{Origin, RecordError, TrajectoryFormat};

/// The format `apprentice.trajectory/1`.
pub struct Native;

impl TrajectoryFormat for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn recognizes(&self, record: &Json) -> bool {
        record["format"].raw().starts_with("apprentice.trajectory/")
    }

    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        let found = record["format"].text();
        let found = found.as_deref().unwrap_or("no format");
        if found != FORMAT {
            return Err(RecordError::Record { reason: format!("`format` is `{found}`, not `{FORMAT}`") });
        }
        let read = serde_json::from_value(record.to_value());
        let mut trajectory: Trajectory = read.map_err(|error| fault(record, &error))?;
        if let Some(task) = &origin.task {
            trajectory.task.clone_from(task);
        }
        Ok(vec![trajectory])
    }
}

/// The error, with its step where it is one step's.
fn fault(record: &Json, error: &serde_json::Error) -> RecordError {
    let steps = record["steps"].list().iter().enumerate();
    let faults = steps.filter_map(|(index, step)| {
        let error = serde_json::from_value::<Step>(step.to_value()).err()?;
        Some(RecordError::Step { step: index + 1, reason: error.to_string() })
    });
    faults.into_iter().next().unwrap_or_else(|| RecordError::Record { reason: error.to_string() })
}

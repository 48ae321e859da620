//! Our own trajectories: JSONL, `apprentice.trajectory/1`.
//!
//! Guarantees that what [`crate::trajectory::Trajectory`] writes is read back equal.

use serde_json::Value;

use crate::trajectory::{FORMAT, Trajectory};

use super::{Origin, RecordError, TrajectoryFormat};

/// The format `apprentice.trajectory/1`.
pub struct Native;

impl TrajectoryFormat for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn recognizes(&self, record: &Value) -> bool {
        record["format"].as_str().is_some_and(|format| format.starts_with("apprentice.trajectory/"))
    }

    fn parse(&self, record: &Value, origin: &Origin) -> Result<Trajectory, RecordError> {
        let found = record["format"].as_str().unwrap_or("no format");
        if found != FORMAT {
            return Err(RecordError::Record { reason: format!("`format` is `{found}`, not `{FORMAT}`") });
        }
        if let Some(steps) = record["steps"].as_array() {
            for (index, step) in steps.iter().enumerate() {
                serde_json::from_value::<crate::trajectory::Step>(step.clone())
                    .map_err(|error| RecordError::Step { step: index + 1, reason: error.to_string() })?;
            }
        }
        let mut trajectory: Trajectory = serde_json::from_value(record.clone())
            .map_err(|error| RecordError::Record { reason: error.to_string() })?;
        if let Some(task) = &origin.task {
            trajectory.task.clone_from(task);
        }
        Ok(trajectory)
    }
}

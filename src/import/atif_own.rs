//! ATIF records that `export` wrote: what ATIF has no place for stands under `extra.apprentice`.
//!
//! Guarantees that what `export` writes is read back equal. Reads no other project's ATIF: a record without our `extra` is
//! somebody else's.

use serde_json::{Value, json};

use super::RecordError;
use super::json::Json;
use crate::trajectory::{Action, EditorCall, FORMAT, Observation, Step, Trajectory};

/// The trajectory of a record that we wrote; none where somebody else did.
///
/// # Errors
/// When the record is ours and damaged.
pub(super) fn restored(record: &Json) -> Option<Result<Trajectory, RecordError>> {
    let is_ours = record["extra"]["apprentice"]["format"].is(FORMAT);
    is_ours.then(|| {
        let record = record.to_value();
        read(&record, &record["extra"]["apprentice"])
    })
}

fn read(record: &Value, own: &Value) -> Result<Trajectory, RecordError> {
    let mut steps = Vec::new();
    let mut problem = None;
    for step in record["steps"].as_array().into_iter().flatten() {
        match step["source"].as_str() {
            Some("user") if steps.is_empty() => problem = step["message"].as_str().map(str::to_owned),
            Some("agent") => take_step(step, &mut steps)?,
            _ => {}
        }
    }
    // The record's own fields under our names; the steps are put in below.
    let mut whole = own.clone();
    whole["id"] = record["trajectory_id"].clone();
    whole["problem"] = json!(problem);
    whole["steps"] = json!([]);
    let trajectory: Trajectory = serde_json::from_value(whole)
        .map_err(|error| RecordError::Record { reason: format!("`extra.apprentice`: {error}") })?;
    Ok(Trajectory { steps, ..trajectory })
}

fn take_step(step: &Value, steps: &mut Vec<Step>) -> Result<(), RecordError> {
    let results = step["observation"]["results"].as_array().cloned().unwrap_or_default();
    for (index, call) in step["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let number = steps.len() + 1;
        let bad = |reason: String| RecordError::Step { step: number, reason };
        let own = &call["extra"]["apprentice"];
        let said = if index == 0 { &step["message"] } else { &own["thought"] };
        let result = results.iter().find(|result| result["source_call_id"] == call["tool_call_id"]);
        steps.push(Step {
            thought: said.as_str().unwrap_or_default().to_owned(),
            action: action(call, own).map_err(bad)?,
            observation: result.map(observation).transpose().map_err(bad)?,
            executed: own["executed"].as_bool().unwrap_or(true),
            foreign: own["foreign"].as_bool().unwrap_or(false),
            continues: own["continues"].as_bool().unwrap_or(false),
        });
    }
    Ok(())
}

fn action(call: &Value, own: &Value) -> Result<Action, String> {
    let arguments = &call["arguments"];
    let text = |key: &str| {
        arguments[key].as_str().map(str::to_owned).ok_or_else(|| format!("`arguments.{key}` must be text"))
    };
    if !own["dialect"].is_null() {
        let dialect = serde_json::from_value(own["dialect"].clone()).map_err(|error| error.to_string())?;
        let text = own["text"].as_str().ok_or("an editor's call has no `text`")?.to_owned();
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        return Ok(Action::Editor(EditorCall { dialect, text, arguments }));
    }
    match call["function_name"].as_str() {
        Some("bash") => Ok(Action::Bash { command: text("command")? }),
        Some("submit") => Ok(Action::Submit),
        Some("answer") => Ok(Action::Answer { text: text("text")? }),
        name => Err(format!("`function_name` is {}, which we never write", json!(name))),
    }
}

fn observation(result: &Value) -> Result<Observation, String> {
    let output = result["content"].as_str().ok_or("a result's `content` must be text")?;
    let own = &result["extra"]["apprentice"];
    if own.is_null() {
        return Ok(Observation::recorded(output));
    }
    let mut whole = own.clone();
    whole["output"] = output.into();
    serde_json::from_value(whole).map_err(|error| error.to_string())
}

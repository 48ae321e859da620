//! ATIF, the Agent Trajectory Interchange Format 1.x.
//!
//! Steps of the agent with their tool calls and results; what users and systems say before them is the
//! problem. Trajectories of sub-agents are not followed.

use std::borrow::Cow;

use crate::trajectory::{Dialect, Trajectory};

use super::atif_own;
use super::chat::{self, Conversation, Manner, Written};
use super::family::{Family, Fields, MESSAGES, OPEN_HANDS, SWE_AGENT};
use super::json::Json;
use super::steps::Steps;
use super::tools::Call;
use super::{Origin, RecordError, TrajectoryFormat};

/// All versions that begin with `ATIF-`.
pub(super) struct Atif;

const FAMILY: Family = Family {
    name: "atif",
    recognizes,
    manner: OPEN_HANDS,
    fresh_shells: false,
    fields: Fields {
        id: &["trajectory_id", "session_id"],
        task: &["extra.instance_id", "extra.task", "extra.task_id", "task_id"],
        problem: &["extra.problem"],
        model: &["agent.model_name"],
        patch: &["extra.patch", "extra.model_patch"],
        resolved: &["extra.resolved"],
        status: &["extra.end", "extra.exit_status"],
        ..MESSAGES
    },
};

fn recognizes(record: &Json) -> bool {
    record["schema_version"].raw().starts_with("ATIF-")
}

impl TrajectoryFormat for Atif {
    fn name(&self) -> &'static str {
        FAMILY.name
    }

    fn recognizes(&self, record: &Json) -> bool {
        recognizes(record)
    }

    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        if let Some(restored) = atif_own::restored(record) {
            let mut trajectory = restored?;
            if let Some(task) = &origin.task {
                trajectory.task.clone_from(task);
            }
            return Ok(vec![trajectory]);
        }
        let manner = manner(record);
        let mut conversation =
            Conversation { steps: Steps::default(), prompt: None, written: Written::ToolCalls };
        let recorded = &record["steps"];
        if !recorded.is_list() {
            let reason = format!("`steps` must be a list, found {}", recorded.kind());
            return Err(RecordError::Record { reason });
        }
        for (index, step) in recorded.list().iter().enumerate() {
            let fault = |reason: String| RecordError::Step { step: index + 1, reason };
            let message = chat::content(&step["message"]);
            if step["source"].is("agent") {
                let text = chat::with_reasoning(step, message);
                let calls = step["tool_calls"]
                    .list()
                    .iter()
                    .map(call)
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(fault)?;
                chat::reply(&mut conversation.steps, &text, calls, Written::ToolCalls, manner);
                results(&mut conversation.steps, step, manner);
            } else if step["source"].is("user") && conversation.steps.is_empty() {
                conversation.prompt = Some(message.into_owned());
            } else if !step["source"].is_text() {
                return Err(fault("`source` is missing".to_owned()));
            }
        }
        let mut trajectory = Family { manner, fresh_shells: is_of(record, "mini"), ..FAMILY }.trajectory(
            record,
            origin,
            conversation,
        )?;
        trajectory.source.workdir =
            record["extra"]["workdir"].text().map(Cow::into_owned).or(trajectory.source.workdir);
        Ok(vec![trajectory])
    }
}

fn is_of(record: &Json, word: &str) -> bool {
    record["agent"]["name"].raw().to_ascii_lowercase().contains(word)
}

/// SWE-agent's editor for SWE-agent, the other for everybody else.
fn manner(record: &Json) -> Manner {
    let silent = OPEN_HANDS.silent;
    let dialect = if is_of(record, "swe-agent") && !is_of(record, "mini") {
        Dialect::SweAgentStrReplace
    } else {
        Dialect::OpenHands
    };
    match dialect {
        Dialect::SweAgentStrReplace => Manner { silent, ..SWE_AGENT },
        _ => Manner { dialect, ..OPEN_HANDS },
    }
}

fn call(call: &Json) -> Result<Call, String> {
    let name = call["function_name"].text().ok_or("a tool call has no `function_name`")?.into_owned();
    let id = call["tool_call_id"].text().map(Cow::into_owned);
    let arguments = &call["arguments"];
    if !arguments.is_object() && !arguments.is_null() {
        return Err(format!("the arguments of `{name}` must be an object, found {}", arguments.kind()));
    }
    Ok(Call { name, arguments: arguments.to_map(), id })
}

/// Gives results to their calls. One that names none of several is what was seen after the last.
fn results(steps: &mut Steps, step: &Json, manner: Manner) {
    let results = step["observation"]["results"].list();
    let last = step["tool_calls"].list().last().map(|call| &call["tool_call_id"]);
    for result in results {
        let own = result["source_call_id"].text();
        let id = own.or_else(|| if results.len() == 1 { last?.text() } else { None });
        steps.see(id.as_deref(), chat::seen(&result["content"], manner));
    }
}

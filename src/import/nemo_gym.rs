//! NeMo-Gym's rollouts: items of the Responses API and a verdict.
//!
//! Consecutive calls without a result between them are one reply.

use std::borrow::Cow;

use crate::trajectory::Trajectory;

use super::chat::{Conversation, Written};
use super::family::{Family, Fields, MESSAGES, OPEN_HANDS, text};
use super::json::Json;
use super::responses;
use super::{Origin, RecordError, TrajectoryFormat, chat};

/// Its rollouts.
pub(super) struct NemoGym;

const FAMILY: Family = Family {
    name: "nemo-gym",
    recognizes,
    manner: OPEN_HANDS,
    fresh_shells: false,
    fields: Fields {
        task: &["instance_config.instance_id", "instance_id", "instance_config.id"],
        problem: &["problem_statement", "instance_config.problem_statement"],
        model: &["response.model", "responses_create_params.model"],
        patch: &["model_patch"],
        resolved: &["resolved", "reward"],
        status: &["error_kind"],
        ..MESSAGES
    },
};

fn recognizes(record: &Json) -> bool {
    record["responses_create_params"].is_object()
}

impl TrajectoryFormat for NemoGym {
    fn name(&self) -> &'static str {
        FAMILY.name
    }

    fn recognizes(&self, record: &Json) -> bool {
        recognizes(record)
    }

    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        let steps = responses::steps(record["response"]["output"].list(), FAMILY.manner)?;
        let prompt = prompt(&record["responses_create_params"]["input"]).map(Cow::into_owned);
        let conversation = Conversation { steps, prompt, written: Written::ToolCalls };
        let mut trajectory = FAMILY.trajectory(record, origin, conversation)?;
        if record["agent_timed_out"].truth() == Some(true) {
            trajectory.end = crate::trajectory::End::TimeLimit;
        }
        Ok(vec![trajectory])
    }
}

/// What the agent was asked: the text, or the last message of the user.
fn prompt<'a>(input: &Json<'a>) -> Option<Cow<'a, str>> {
    let last = || input.list().iter().rfind(|message| message["role"].is("user"));
    input
        .text()
        .or_else(|| last().map(|message| chat::content(&message["content"])))
        .or_else(|| text(input, &["content"]))
}

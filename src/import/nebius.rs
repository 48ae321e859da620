//! nebius' trajectories of SWE-agent: turns of `ai` and `user` with `text`, the windowed editor of 0.x.
//!
//! Guarantees the state after each step from the prompt that every observation ends with.

use std::sync::LazyLock;

use regex::Regex;

use crate::trajectory::{Action, Dialect, Edition, EditorSetup, Trajectory};

use super::chat::{self, Blocks, Conversation, Manner, Written};
use super::family::{Family, Fields, MESSAGES, SWE_AGENT};
use super::json::Json;
use super::observed::{self, Wrapper};
use super::steps::Steps;
use super::{Origin, RecordError, TrajectoryFormat};

/// Rows of `nebius/SWE-agent-trajectories`.
pub(super) struct Nebius;

const FAMILY: Family = Family {
    name: "nebius",
    recognizes,
    manner: Manner {
        dialect: Dialect::SweAgentRange,
        wrappers: &[Wrapper::Terminal, Wrapper::Prompt, Wrapper::Silence],
        blocks: Blocks::Last,
        ..SWE_AGENT
    },
    fresh_shells: false,
    fields: Fields {
        messages: &["trajectory"],
        model: &["model_name"],
        patch: &["generated_patch"],
        resolved: &["target", "resolved"],
        ..MESSAGES
    },
};

fn recognizes(record: &Json) -> bool {
    let first = &record["trajectory"][0];
    first.has("text") && (first.has("system_prompt") || first.has("mask"))
}

impl TrajectoryFormat for Nebius {
    fn name(&self) -> &'static str {
        FAMILY.name
    }

    fn recognizes(&self, record: &Json) -> bool {
        recognizes(record)
    }

    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        let mut conversation =
            Conversation { steps: Steps::default(), prompt: None, written: Written::Blocks };
        let mut has_begun = false;
        for turn in record["trajectory"].list() {
            let text = turn["text"].text().unwrap_or_default();
            let role = turn["role"].text().unwrap_or_default();
            let steps = &mut conversation.steps;
            match &*role {
                "system" => {}
                "ai" | "assistant" => {
                    has_begun = true;
                    chat::reply(steps, &text, Vec::new(), Written::Blocks, FAMILY.manner);
                }
                "user" if !has_begun => conversation.prompt = Some(text.into_owned()),
                "user" => drop(steps.see(None, observed::seen(text, FAMILY.manner.wrappers))),
                role => return Err(chat::fault(steps, format!("`role` is `{role}`, which nobody has"))),
            }
        }
        let mut trajectory = FAMILY.trajectory(record, origin, conversation)?;
        let is_call = |action: &Action| matches!(action, Action::Editor(_));
        trajectory.source.editor = trajectory.steps.iter().any(|step| is_call(&step.action)).then(|| {
            EditorSetup { edition: Edition::Shell, window: window(record), ..EditorSetup::default() }
        });
        Ok(vec![trajectory])
    }
}

/// The lines that the editor shows at a time, which the system prompt says.
fn window(record: &Json) -> usize {
    static LINES: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"shows you (\d+) lines").expect("invariant: the pattern is fixed"));
    let found = LINES.captures(record["trajectory"][0]["system_prompt"].raw());
    found.and_then(|found| found[1].parse().ok()).unwrap_or(EditorSetup::default().window)
}

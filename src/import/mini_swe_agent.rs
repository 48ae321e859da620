//! mini-swe-agent's trajectories: version 1 and 2, bare lists of messages, and the data sets made with it.
//!
//! Actions are one fenced block, tags, tool calls or items of the Responses API; where version 2 lists them
//! in `extra`, that list counts. Each command had a fresh shell. A reply without exactly one action was never
//! run. The last command that echoes the mark of the end is the submission; what it prints is the patch.
//! `edit_via_str_replace` stays a command: it is a program of the image.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::trajectory::{Action, Dialect, End, Exit, Step, Trajectory};

use super::chat::{self, Blocks, Conversation, Manner, Said, Silent, Written};
use super::family::{Family, Fields, MESSAGES, has_messages, is_chat, is_told, speaks, with_messages};
use super::json::Json;
use super::markup::{self, Trim};
use super::observed::{Seen, Wrapper};
use super::responses;
use super::steps::Steps;
use super::tools::Call;
use super::{Origin, RecordError, TrajectoryFormat, ends};

/// mini-swe-agent's messages under the name of whoever published them.
pub(super) struct MiniSweAgent(Family);

/// Its own files, and bare lists.
pub(super) const FORMAT: MiniSweAgent = MiniSweAgent(Family { name: "mini-swe-agent", recognizes, ..FAMILY });
/// `mini-coder-trajs`: `verified` is its label.
pub(super) const MINI_CODER: MiniSweAgent =
    MiniSweAgent(Family { name: "mini-coder", recognizes: is_mini_coder, ..FAMILY });
/// Kwai-Klear's, whose agents had `edit_via_str_replace`.
pub(super) const KWAI_KLEAR: MiniSweAgent =
    MiniSweAgent(Family { name: "kwai-klear", recognizes: is_kwai_klear, ..FAMILY });

const FAMILY: Family = Family {
    name: "mini-swe-agent",
    recognizes,
    manner: Manner {
        dialect: Dialect::OpenHands,
        wrappers: &[Wrapper::Returncode],
        trim: Trim::LineEnds,
        blocks: Blocks::OneOfBash,
        silent: Silent::Mistake,
    },
    fresh_shells: true,
    fields: Fields {
        model: &["info.config.model.model_name", "model"],
        patch: &["info.submission", "patch"],
        resolved: &["resolved", "verified"],
        status: &["info.exit_status", "exit_status"],
        ..MESSAGES
    },
};

/// The program that Kwai-Klear's agents edit with.
const EDIT: &str = "edit_via_str_replace";

fn recognizes(record: &Json) -> bool {
    let is_named = record["trajectory_format"].raw().starts_with("mini-swe-agent");
    let is_chat = has_messages(record) || (is_chat(record) && record[0].has("role"));
    is_named
        || (is_chat
            && ["```bash", "```mswea_bash_command", "<mswea_bash_command>"]
                .iter()
                .any(|mark| speaks(record, mark)))
}

fn is_mini_coder(record: &Json) -> bool {
    has_messages(record) && record.has("verified")
}

fn is_kwai_klear(record: &Json) -> bool {
    has_messages(record)
        && !record.has("trajectory_format")
        && (speaks(record, EDIT) || is_told(record, EDIT))
}

impl TrajectoryFormat for MiniSweAgent {
    fn name(&self) -> &'static str {
        self.0.name
    }

    fn recognizes(&self, record: &Json) -> bool {
        (self.0.recognizes)(record)
    }

    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        let conversation = with_messages(record, self.0.fields.messages, conversation)?;
        let mut trajectory = self.0.trajectory(record, origin, conversation)?;
        submit(&mut trajectory);
        let cwd = &record["info"]["config"]["environment"]["cwd"];
        trajectory.source.workdir = cwd.text().filter(|path| path.starts_with('/')).map(Cow::into_owned);
        Ok(vec![trajectory])
    }
}

fn conversation(messages: &[Json]) -> Result<Conversation, RecordError> {
    let manner = FAMILY.manner;
    let mut read = Conversation { steps: Steps::default(), prompt: None, written: chat::written(messages) };
    let mut has_begun = false;
    for message in messages {
        let steps = &mut read.steps;
        if message["type"].is("function_call_output") {
            responses::output(steps, message, manner);
            refuse_unexecuted(steps, message, message["call_id"].text().as_deref());
            continue;
        }
        if message["object"].is("response") {
            has_begun = true;
            read.written = Written::ToolCalls;
            let mut reply = responses::Reply::default();
            for item in message["output"].list() {
                reply.add(item).map_err(|reason| chat::fault(steps, reason))?;
            }
            reply.end(steps, manner.dialect);
            continue;
        }
        if message["role"].is("exit") {
            continue;
        }
        match chat::said(message).map_err(|reason| chat::fault(steps, reason))? {
            Said::System => {}
            Said::Reply { text, calls } => {
                has_begun = true;
                reply(steps, message, &text, calls, read.written);
            }
            Said::Result { .. } if !has_begun => {
                read.prompt = Some(chat::content(&message["content"]).into_owned());
            }
            Said::Result { id } => {
                refuse_unexecuted(steps, message, id.as_deref());
                steps.see(id.as_deref(), seen(message));
            }
        }
    }
    Ok(read)
}

fn reply(steps: &mut Steps, message: &Json, text: &str, calls: Vec<Call>, written: Written) {
    let listed = message["extra"]["actions"].list();
    if listed.is_empty() {
        return chat::reply(steps, text, calls, written, FAMILY.manner);
    }
    let call = |action: &Json| {
        let command = action["command"].text().unwrap_or_default().into_owned();
        let id = action["tool_call_id"].text().map(Cow::into_owned);
        Call {
            name: "bash".to_owned(),
            arguments: Map::from_iter([("command".to_owned(), Value::from(command))]),
            id,
        }
    };
    let before = markup::blocks(text).first().map_or(text, |block| block.before);
    let before = before.split("<mswea_bash_command>").next().unwrap_or_default();
    steps.reply(chat::unlabelled(before), listed.iter().map(call).collect(), FAMILY.manner.dialect);
}

/// An observation with the exit code that version 2 keeps beside it.
fn seen(message: &Json) -> Seen {
    let mut seen = chat::seen(&message["content"], FAMILY.manner);
    let extra = &message["extra"];
    let code = extra["returncode"].number().map(|code| Exit::Code(code as i32));
    let observation = &mut seen.observation;
    observation.exit = observation.exit.or(code);
    if extra["exception_info"].raw().contains("timed out") {
        observation.exit = Some(Exit::TimedOut);
    }
    seen
}

/// Commands after one that ended the episode are listed, and were never run.
fn refuse_unexecuted(steps: &mut Steps, message: &Json, id: Option<&str>) {
    if message["extra"]["exception_info"].raw().contains("not executed") {
        steps.refuse(id);
    }
}

/// Makes the last executed command the submission where it echoed the mark of the end.
fn submit(trajectory: &mut Trajectory) {
    let Some(step) = trajectory.steps.iter_mut().rfind(|step| step.executed) else { return };
    if !ends_episode(step) {
        return;
    }
    step.action = Action::Submit;
    if trajectory.end == End::Unknown {
        trajectory.end = End::Submitted;
    }
    if trajectory.patch.is_none() {
        trajectory.patch = step.observation.as_ref().and_then(|seen| ends::patch(&seen.output));
    }
}

/// Whether the step's command echoes a mark of the end first, and succeeded as far as is known.
fn ends_episode(step: &Step) -> bool {
    let Action::Bash { command } = &step.action else { return false };
    let Some(words) = command.trim_start().strip_prefix("echo ") else { return false };
    let word = words.trim_start().trim_start_matches(['"', '\'']);
    let is_mark = ["COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", "MINI_SWE_AGENT_FINAL_OUTPUT"]
        .iter()
        .any(|mark| word.starts_with(mark));
    let exit = step.observation.as_ref().and_then(|seen| seen.exit);
    is_mark && exit.is_none_or(Exit::is_success)
}

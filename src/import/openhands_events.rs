//! OpenHands' event streams: saved trajectories, evaluation rows, and the flat form of 2024.
//!
//! An event that acts is a step, its observation a later event that names it as its cause. The call behind an
//! action is taken from the model's response where the event keeps it, else from the event's own arguments.
//! Messages of the agent are the beginning of its next thought.

use std::borrow::Cow;

use serde_json::Map;

use crate::trajectory::{End, Exit, Observation, Trajectory};

use super::chat::{self, Conversation, Written};
use super::family::{Family, Fields, MESSAGES, OPEN_HANDS, text};
use super::json::Json;
use super::observed::{self, Seen};
use super::steps::Steps;
use super::tools::Call;
use super::{Origin, RecordError, TrajectoryFormat};

/// Streams of events.
pub(super) struct OpenHandsEvents;

const FAMILY: Family = Family {
    name: "openhands-events",
    recognizes,
    manner: OPEN_HANDS,
    fresh_shells: false,
    fields: Fields {
        problem: &["instance.problem_statement"],
        model: &["metadata.llm_config.model"],
        patch: &["test_result.git_patch", "git_patch"],
        resolved: &["resolved", "test_result.resolved", "report.resolved"],
        status: &[],
        ..MESSAGES
    },
};

fn recognizes(record: &Json) -> bool {
    let events = events(record);
    let first = events.first().map(|first| if first.is_list() { &first[0] } else { first });
    first.is_some_and(|event| is_event(event) && !event.has("role"))
}

fn is_event(event: &Json) -> bool {
    event["action"].is_text() && (event.has("source") || event.has("args") || !event.has("observation"))
        || event["observation"].is_text() && (event.has("source") || event.has("content"))
}

/// The events: the record itself, or what it keeps them under.
fn events<'a, 'b>(record: &'b Json<'a>) -> &'b [Json<'a>] {
    if record.is_list() {
        return record.list();
    }
    let keys = ["history", "trajectory", "events"];
    keys.iter().map(|key| record[*key].list()).find(|events| !events.is_empty()).unwrap_or_default()
}

impl TrajectoryFormat for OpenHandsEvents {
    fn name(&self) -> &'static str {
        FAMILY.name
    }

    fn recognizes(&self, record: &Json) -> bool {
        recognizes(record)
    }

    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        let mut stream = Stream::default();
        // Rows of 2024 keep pairs of action and observation.
        for event in events(record) {
            match event {
                Json::List(pair) => pair.iter().try_for_each(|event| stream.take(event))?,
                event => stream.take(event)?,
            }
        }
        let Stream { steps, prompt, .. } = stream;
        let conversation = Conversation { steps, prompt, written: Written::ToolCalls };
        let mut trajectory = FAMILY.trajectory(record, origin, conversation)?;
        trajectory.source.tools = Some("events".to_owned());
        if let Some(end) = text(record, &["error"]).and_then(|error| end(&error)) {
            trajectory.end = end;
        }
        Ok(vec![trajectory])
    }
}

/// What the error of an evaluation says about the end: free text, so only OpenHands' own phrases count.
fn end(error: &str) -> Option<End> {
    const PHRASES: &[(&str, End)] = &[
        ("reached maximum iteration", End::StepLimit),
        ("reached maximum budget", End::StepLimit),
        ("ContextWindowExceed", End::ContextLimit),
        ("EvalTimeoutException", End::TimeLimit),
        ("Function timed out after", End::TimeLimit),
        ("AgentRuntimeError", End::SandboxLost),
        ("AgentRuntimeDisconnectedError", End::SandboxLost),
        ("AgentRuntimeUnavailableError", End::SandboxLost),
    ];
    PHRASES.iter().find(|(phrase, _)| error.contains(phrase)).map(|(_, end)| *end)
}

#[derive(Default)]
struct Stream {
    steps: Steps,
    prompt: Option<String>,
    /// The model's response that the last call was part of.
    response: Option<String>,
}

/// What concerns the scaffold and not the task.
const SILENT: &[&str] = &[
    "system",
    "recall",
    "change_agent_state",
    "agent_state_changed",
    "null",
    "initialize",
    "start",
    "condensation",
    "condensation_request",
    "pause",
    "resume",
    "stop",
    "send_pr",
    "push",
    "summarize",
    "loop_recovery",
];

impl Stream {
    fn take(&mut self, event: &Json) -> Result<(), RecordError> {
        match (event["action"].text(), event["observation"].text()) {
            (Some(action), _) if SILENT.contains(&&*action) => {}
            (Some(action), _) => self.act(&action, event),
            (None, Some(observation)) if SILENT.contains(&&*observation) => {}
            (None, Some(_)) => self.see(event),
            (None, None) if event.is_object() => {}
            (None, None) => {
                let reason = format!("an event must be an object, found {}", event.kind());
                return Err(chat::fault(&self.steps, reason));
            }
        }
        Ok(())
    }

    fn act(&mut self, action: &str, event: &Json) {
        // The flat form has no arguments of their own.
        let arguments = if event["args"].is_object() { &event["args"] } else { event };
        let words = text(arguments, &["content"]).or_else(|| text(event, &["message"])).unwrap_or_default();
        match (action, event["source"].is("user")) {
            ("message", true) if self.steps.is_empty() => {
                self.prompt.get_or_insert_with(|| words.into_owned());
            }
            ("message", true) => {}
            ("message", false) => self.steps.say(&words),
            _ => {
                self.open(event, arguments);
                let mut call = recorded_call(event).unwrap_or_else(|| own_call(action, arguments));
                call.id = (!event["id"].is_null()).then(|| event["id"].to_value().to_string());
                self.steps.call(call, FAMILY.manner.dialect);
            }
        }
    }

    /// Begins a reply, unless the event is a further call of the last one.
    fn open(&mut self, event: &Json, arguments: &Json) {
        let response = event["tool_call_metadata"]["model_response"].opened();
        let response = response["id"].text().map(Cow::into_owned);
        if response.is_none() || response != self.response {
            self.steps.open(&text(arguments, &["thought"]).unwrap_or_default());
        }
        self.response = response;
    }

    fn see(&mut self, event: &Json) {
        let cause = (!event["cause"].is_null()).then(|| event["cause"].to_value().to_string());
        let extras = &event["extras"];
        // The agent was shown this, not the difference.
        let shown = text(extras, &["formatted_output_and_error"]).or_else(|| event["content"].text());
        let code =
            [&extras["exit_code"], &extras["metadata"]["exit_code"]].into_iter().find_map(Json::number);
        let Seen { observation, directory, refused } =
            observed::seen(shown.unwrap_or_default(), FAMILY.manner.wrappers);
        // −1 says that it still runs.
        let exit = code.filter(|code| 0.0 <= *code).map(|code| Exit::Code(code as i32)).or(observation.exit);
        let directory = text(extras, &["metadata.working_dir"]).map(Cow::into_owned).or(directory);
        let observation = Observation { exit, ..observation };
        self.steps.see(cause.as_deref(), Seen { observation, directory, refused });
    }
}

/// The tool call that the model made, where the event keeps its response.
fn recorded_call(event: &Json) -> Option<Call> {
    let metadata = &event["tool_call_metadata"];
    let id = metadata["tool_call_id"].text()?;
    let response = metadata["model_response"].opened();
    let calls = chat::tool_calls(&response["choices"][0]["message"]).ok()?;
    calls.into_iter().find(|call| call.id.as_deref() == Some(&id))
}

/// The call that an event's own arguments tell of.
fn own_call(action: &str, arguments: &Json) -> Call {
    let all = arguments.to_map();
    let pick = |keys: &[&str]| {
        let picked = keys.iter().filter_map(|key| Some(((*key).to_owned(), all.get(*key)?.clone())));
        picked.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>()
    };
    let call = |name: &str, arguments| Call { name: name.to_owned(), arguments, id: None };
    match action {
        "run" => call("bash", pick(&["command", "is_input"])),
        "run_ipython" => call("run_ipython", pick(&["code"])),
        "read" => call("read", read_range(pick(&["path", "start", "end"]))),
        "write" => call("write", pick(&["path", "content"])),
        "edit" if arguments["command"].is_text() => call(
            "str_replace_editor",
            pick(&["command", "path", "file_text", "old_str", "new_str", "insert_line", "view_range"]),
        ),
        "think" => call("think", pick(&["thought"])),
        "finish" | "reject" => call("finish", Map::new()),
        other => call(
            other,
            pick(&["thought", "content", "path", "url", "browser_actions", "agent", "inputs", "code"]),
        ),
    }
}

/// Lines of these events count from 0.
fn read_range(mut arguments: Map<String, serde_json::Value>) -> Map<String, serde_json::Value> {
    if let Some(start) = arguments.get("start").and_then(serde_json::Value::as_i64) {
        arguments.insert("start".to_owned(), start.saturating_add(1).into());
    }
    arguments
}

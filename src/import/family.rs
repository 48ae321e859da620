//! Formats that are a conversation and some fields around it: a table says which fields, and how the agents act.
//!
//! Guarantees one way to read them all, so that a new data set of this kind is one table more.

use std::borrow::Cow;

use memchr::memmem;

use crate::trajectory::{Dialect, Edition, EditorSetup, End, FORMAT, Source, Trajectory};

use super::chat::{self, Blocks, Conversation, Manner, Silent};
use super::json::Json;
use super::markup::Trim;
use super::observed::Wrapper;
use super::problem::{directory, problem};
use super::{Origin, RecordError, TrajectoryFormat, ends, names};

/// A format of chat messages.
pub(super) struct Family {
    /// Its name after `--from`.
    pub name: &'static str,
    /// Whether a record is one.
    pub recognizes: fn(&Json) -> bool,
    /// How its agents act.
    pub manner: Manner,
    /// Whether each command had a fresh shell.
    pub fresh_shells: bool,
    /// Where what stands.
    pub fields: Fields,
}

/// The keys under which a format keeps what; paths have dots. The first that holds something counts.
pub(super) struct Fields {
    /// The messages: a list, or the JSON text of one.
    pub messages: &'static [&'static str],
    /// The trajectory's own id.
    pub id: &'static [&'static str],
    /// The task's id.
    pub task: &'static [&'static str],
    /// The problem.
    pub problem: &'static [&'static str],
    /// The model.
    pub model: &'static [&'static str],
    /// The patch.
    pub patch: &'static [&'static str],
    /// The published label.
    pub resolved: &'static [&'static str],
    /// Why it stopped.
    pub status: &'static [&'static str],
}

/// Fields that hold nothing but messages; a family names what else it has.
pub(super) const MESSAGES: Fields = Fields {
    messages: &["messages"],
    id: &[],
    task: &["instance_id"],
    problem: &["problem_statement"],
    model: &["model"],
    patch: &["patch"],
    resolved: &["resolved"],
    status: &["exit_status"],
};

/// How SWE-agent's agents act, and what its terminal writes.
pub(super) const SWE_AGENT: Manner = Manner {
    dialect: Dialect::SweAgentStrReplace,
    wrappers: &[Wrapper::Label, Wrapper::Terminal, Wrapper::Prompt, Wrapper::Silence],
    trim: Trim::LineEnds,
    blocks: Blocks::Last,
    silent: Silent::Mistake,
};

/// How OpenHands' agents act.
pub(super) const OPEN_HANDS: Manner = Manner {
    dialect: Dialect::OpenHands,
    wrappers: &[Wrapper::Label, Wrapper::Execution, Wrapper::Terminal, Wrapper::Finished],
    trim: Trim::LineEnds,
    blocks: Blocks::Last,
    silent: Silent::Words,
};

impl TrajectoryFormat for Family {
    fn name(&self) -> &'static str {
        self.name
    }

    fn recognizes(&self, record: &Json) -> bool {
        (self.recognizes)(record)
    }

    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        with_messages(record, self.fields.messages, |messages| {
            let conversation = chat::conversation(messages, self.manner)?;
            Ok(vec![self.trajectory(record, origin, conversation)?])
        })
    }
}

impl Family {
    /// The trajectory of a conversation and the record around it.
    pub(super) fn trajectory(
        &self,
        record: &Json,
        origin: &Origin,
        conversation: Conversation,
    ) -> Result<Trajectory, RecordError> {
        let Conversation { steps, prompt, written } = conversation;
        let fields = &self.fields;
        let prompt = prompt.unwrap_or_default();
        let workdir = directory(&prompt).or_else(|| steps.directory().map(str::to_owned));
        let recorded = text(record, fields.status).map(|status| ends::end(&status));
        let end = recorded.filter(|end| *end != End::Unknown).unwrap_or_else(|| steps.end());
        let editor = (self.manner.dialect == Dialect::SweAgentStrReplace)
            .then(|| EditorSetup { edition: Edition::Tools, ..EditorSetup::default() });
        let steps = steps.finish();
        if steps.is_empty() {
            return Err(RecordError::Record { reason: "it has no steps".to_owned() });
        }
        let task = origin.task.clone().or_else(|| text(record, fields.task).map(Cow::into_owned));
        Ok(Trajectory {
            format: FORMAT.to_owned(),
            id: text(record, fields.id).map_or_else(|| names::trajectory_id(origin), Cow::into_owned),
            task: task.unwrap_or_else(|| names::task_of_file(&origin.file, workdir.as_deref())),
            source: Source {
                format: self.name.to_owned(),
                file: origin.file.display().to_string(),
                record: origin.line,
                workdir,
                model: text(record, fields.model).map(Cow::into_owned),
                tools: Some(written.name().to_owned()),
                fresh_shells: self.fresh_shells,
                editor,
            },
            problem: text(record, fields.problem).map(Cow::into_owned).or_else(|| problem(&prompt)),
            end,
            patch: text(record, fields.patch).and_then(|patch| ends::patch(&patch)),
            answer: None,
            resolved: fields.resolved.iter().find_map(|path| record.at(path).truth()),
            steps,
        })
    }
}

/// The text at the first of `paths` that holds one that is not empty.
pub(super) fn text<'a>(record: &Json<'a>, paths: &[&str]) -> Option<Cow<'a, str>> {
    paths.iter().find_map(|path| record.at(path).text()).filter(|text| !text.is_empty())
}

/// Calls `read` with the messages of `record`, whether they are a list or the JSON text of one.
pub(super) fn with_messages<T>(
    record: &Json,
    paths: &[&str],
    read: impl FnOnce(&[Json]) -> Result<T, RecordError>,
) -> Result<T, RecordError> {
    if record.is_list() {
        return read(record.list());
    }
    let found = paths.iter().map(|path| record.at(path)).find(|value| !value.is_null());
    let key = paths.first().copied().unwrap_or("messages");
    match found {
        Some(Json::List(messages)) => read(messages),
        Some(encoded @ Json::Text(_)) => {
            let encoded = encoded.text().unwrap_or_default();
            let parsed = Json::parse(&encoded)
                .map_err(|error| RecordError::Record { reason: format!("`{key}`: {}", error.reason) })?;
            if !parsed.is_list() {
                let reason = format!("`{key}` must hold a list, found {}", parsed.kind());
                return Err(RecordError::Record { reason });
            }
            read(parsed.list())
        }
        Some(other) => {
            Err(RecordError::Record { reason: format!("`{key}` must be a list, found {}", other.kind()) })
        }
        None => Err(RecordError::Record { reason: format!("`{key}` is missing") }),
    }
}

/// Whether the first replies of the agent hold `word` (which has no escapes); in encoded messages, whether anything
/// does.
pub(super) fn speaks(record: &Json, word: &str) -> bool {
    const MOST: usize = 4;
    let messages = if record.is_list() { record } else { &record["messages"] };
    if messages.is_text() {
        return holds(messages, word);
    }
    let replies = messages.list().iter().map(chat::unwrapped).filter(|message| chat::is_agent(message));
    replies.take(MOST).any(|message| chat::parts(&message["content"]).any(|part| holds(part, word)))
}

/// Whether the first message of the user holds `word` (which has no escapes).
pub(super) fn is_told(record: &Json, word: &str) -> bool {
    let messages = &record["messages"];
    let first = messages.list().iter().find(|message| message["role"].is("user"));
    first.is_some_and(|message| chat::parts(&message["content"]).any(|part| holds(part, word)))
}

fn holds(text: &Json, word: &str) -> bool {
    memmem::find(text.raw().as_bytes(), word.as_bytes()).is_some()
}

/// Whether a tool of this name was called, in the API's way or as text.
pub(super) fn calls(record: &Json, tool: &str) -> bool {
    let encoded = record["messages"].raw();
    let is_encoded = ["\\\"name\\\": \\\"", "\\\"name\\\":\\\""]
        .iter()
        .any(|name| memmem::find(encoded.as_bytes(), format!("{name}{tool}\\\"").as_bytes()).is_some());
    let is_called = |call: &Json| call["function"]["name"].is(tool) || call["name"].is(tool);
    let calls = |message: &Json| message["tool_calls"].list().iter().any(is_called);
    is_encoded
        || record["messages"].list().iter().chain(record.list()).map(chat::unwrapped).any(calls)
        || speaks(record, &format!("<function={tool}>"))
}

/// Whether the record has messages: a list of objects with roles, or a list's text.
pub(super) fn has_messages(record: &Json) -> bool {
    let messages = &record["messages"];
    messages.raw().trim_start().starts_with('[') || is_chat(messages)
}

/// Whether this is a list of messages.
pub(super) fn is_chat(messages: &Json) -> bool {
    let has_role = |message: &Json| message["role"].is_text() || message["type"].is_text();
    messages.list().first().map(chat::unwrapped).is_some_and(has_role)
}

//! Conversations: chat messages of any scaffold become steps.
//!
//! Reads roles, parts of content, tool calls of the chat API, calls written as text, fenced blocks, and the
//! items of the Responses API. Guarantees that results find their calls. What a user says to an agent that
//! did not act is left out: a step has no place for it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::editor;
use crate::trajectory::{Action, Dialect, EditorCall};

use super::RecordError;
use super::json::Json;
use super::markup::{self, Trim};
use super::observed::{self, Seen, Wrapper};
use super::steps::Steps;
use super::tools::Call;

/// How the agents of a format act, and what is written around what they see.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Whose `str_replace_editor` they call.
    pub dialect: Dialect,
    /// What is written around observations, in the order in which it comes off.
    pub wrappers: &'static [Wrapper],
    /// How values of calls written as text are trimmed.
    pub trim: Trim,
    /// Which fenced blocks are actions.
    pub blocks: Blocks,
    /// What a reply without an action is.
    pub silent: Silent,
}

/// Which fenced blocks of a reply are its action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks {
    /// The last one (SWE-agent).
    Last,
    /// The only one that is marked as bash (mini-swe-agent); two are a mistake.
    OneOfBash,
}

/// What a reply without an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silent {
    /// Words for the user.
    Words,
    /// A mistake that the scaffold answers.
    Mistake,
}

/// How calls are written in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Tool calls of an API.
    ToolCalls,
    /// `<function=…>`.
    Functions,
    /// Fenced blocks.
    Blocks,
    /// `<mswea_bash_command>`.
    Tag,
}

impl Written {
    /// Its name in a trajectory's source.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ToolCalls => "tool calls",
            Self::Functions => "xml",
            Self::Blocks => "ticks",
            Self::Tag => "tag",
        }
    }
}

/// A conversation, read.
#[derive(Debug)]
pub(super) struct Conversation {
    /// What was done.
    pub steps: Steps,
    /// What the agent was asked.
    pub prompt: Option<String>,
    /// How it called its tools.
    pub written: Written,
}

/// One message or item.
pub(super) enum Said<'a> {
    /// Of the system.
    System,
    /// Of the agent.
    Reply {
        /// Words, reasoning first.
        text: Cow<'a, str>,
        /// Tool calls.
        calls: Vec<Call>,
    },
    /// Of a tool or the user.
    Result {
        /// The call that it answers.
        id: Option<Cow<'a, str>>,
    },
}

/// Reads all `messages`, which may each be wrapped in a list.
///
/// # Errors
/// When a message has no role or holds a call that is none.
pub(super) fn conversation(messages: &[Json], manner: Manner) -> Result<Conversation, RecordError> {
    let written = written(messages);
    let mut conversation = Conversation { steps: Steps::default(), prompt: None, written };
    let mut has_begun = false;
    for message in messages.iter().map(unwrapped).filter(|message| !is_demonstration(message)) {
        let said = said(message).map_err(|reason| fault(&conversation.steps, reason))?;
        match said {
            Said::System => {}
            Said::Reply { text, calls } => {
                has_begun = true;
                reply(&mut conversation.steps, &text, calls, written, manner);
            }
            Said::Result { .. } if !has_begun => {
                conversation.prompt = Some(content(&message["content"]).into_owned());
            }
            Said::Result { id } => {
                let seen = seen(&message["content"], manner);
                claim(&mut conversation.steps, id.as_deref(), seen)?;
            }
        }
    }
    Ok(conversation)
}

/// What a content shows after an action.
pub(super) fn seen(shown: &Json, manner: Manner) -> Seen {
    let is_terminals = manner.wrappers.contains(&Wrapper::Terminal);
    match if is_terminals { shown.printed() } else { None } {
        Some(text) => observed::seen_plain(text, manner.wrappers),
        None => observed::seen(content(shown), manner.wrappers),
    }
}

/// Gives a result to its call. What a user says answers none; a result that names its call must find it.
pub(super) fn claim(steps: &mut Steps, id: Option<&str>, seen: Seen) -> Result<(), RecordError> {
    let is_claimed = steps.see(id, seen);
    match id {
        Some(id) if !is_claimed => {
            Err(fault(steps, format!("a result names the call `{id}`, which does not wait for one")))
        }
        _ => Ok(()),
    }
}

/// The error of the step that is being read.
pub(super) fn fault(steps: &Steps, reason: String) -> RecordError {
    RecordError::Step { step: steps.len() + 1, reason }
}

/// A message that some releases wrap in a list of its own.
pub(super) fn unwrapped<'a, 'b>(message: &'b Json<'a>) -> &'b Json<'a> {
    match message {
        Json::List(items) if items.len() == 1 => &items[0],
        message => message,
    }
}

fn is_demonstration(message: &Json) -> bool {
    message["is_demo"].truth() == Some(true)
}

/// How the agent of `messages` calls its tools: as its first call is written.
pub(super) fn written(messages: &[Json]) -> Written {
    for message in messages.iter().map(unwrapped).filter(|message| is_agent(message)) {
        if !message["tool_calls"].list().is_empty() || message["function_call"].is_object() {
            return Written::ToolCalls;
        }
        let has = |word: &str| parts(&message["content"]).any(|part| part.raw().contains(word));
        if has("<function=") {
            return Written::Functions;
        }
        if has("<mswea_bash_command>") {
            return Written::Tag;
        }
        if has("```") {
            return Written::Blocks;
        }
    }
    Written::Functions
}

/// Whether the agent said this.
pub(super) fn is_agent(message: &Json) -> bool {
    ["assistant", "ai", "gpt", "agent", "model"].iter().any(|role| message["role"].is(role))
}

/// The strings of a content: itself, or its parts.
pub(super) fn parts<'a, 'b>(content: &'b Json<'a>) -> impl Iterator<Item = &'b Json<'a>> {
    let own = content.is_text().then_some(content);
    own.into_iter().chain(content.list().iter().map(|part| if part.is_text() { part } else { &part["text"] }))
}

/// The text of a content, which is a string or a list of parts.
pub(super) fn content<'a>(content: &Json<'a>) -> Cow<'a, str> {
    let mut texts = parts(content).filter_map(Json::text);
    match (texts.next(), texts.next()) {
        (None, _) => Cow::Borrowed(""),
        (Some(text), None) => text,
        (Some(first), Some(second)) => Cow::Owned([first, second].into_iter().chain(texts).collect()),
    }
}

/// Reads one message by its role.
pub(super) fn said<'a>(message: &Json<'a>) -> Result<Said<'a>, String> {
    let Some(role) = message["role"].text() else {
        return Err(match message {
            Json::Object(_) => format!("`role` must be text, found {}", message["role"].kind()),
            other => format!("a message must be an object, found {}", other.kind()),
        });
    };
    match &*role {
        "system" | "developer" => Ok(Said::System),
        "assistant" | "ai" | "gpt" | "agent" | "model" => {
            let text = with_reasoning(message, content(&message["content"]));
            Ok(Said::Reply { text, calls: tool_calls(message)? })
        }
        "user" | "human" | "tool" | "function" | "environment" | "observation" => {
            Ok(Said::Result { id: result_id(message) })
        }
        role => Err(format!("`role` is `{role}`, which nobody has")),
    }
}

fn result_id<'a>(message: &Json<'a>) -> Option<Cow<'a, str>> {
    message["tool_call_id"].text().or_else(|| message["tool_call_ids"][0].text())
}

/// The words of a message after its reasoning, which some models keep apart.
pub(super) fn with_reasoning<'a>(message: &Json<'a>, text: Cow<'a, str>) -> Cow<'a, str> {
    let mut thinking: Vec<Cow<str>> =
        ["reasoning_content", "reasoning"].iter().filter_map(|key| message[*key].text()).take(1).collect();
    if thinking.is_empty() {
        thinking
            .extend(message["thinking_blocks"].list().iter().filter_map(|block| block["thinking"].text()));
    }
    thinking.retain(|text| !text.trim().is_empty());
    if thinking.is_empty() {
        return text;
    }
    thinking.push(text);
    Cow::Owned(
        thinking
            .iter()
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n\n"),
    )
}

/// The tool calls of a message.
pub(super) fn tool_calls(message: &Json) -> Result<Vec<Call>, String> {
    if message["function_call"].is_object() && message["tool_calls"].list().is_empty() {
        return Ok(vec![function(&message["function_call"], None)?]);
    }
    let id = |call: &Json| call["id"].text().map(Cow::into_owned);
    message["tool_calls"]
        .list()
        .iter()
        .map(|call| {
            let inner = if call["function"].is_object() { &call["function"] } else { call };
            function(inner, id(call))
        })
        .collect()
}

/// A function's name and arguments. Arguments that are no JSON are the agent's mistake: they are kept as text.
pub(super) fn function(function: &Json, id: Option<String>) -> Result<Call, String> {
    let name = function["name"].text().ok_or("a tool call has no name")?.into_owned();
    let arguments = match &function["arguments"] {
        Json::Null => Map::new(),
        arguments @ Json::Object(_) => arguments.to_map(),
        arguments @ Json::Text(_) => {
            let text = arguments.text().unwrap_or_default();
            match Json::parse(&text) {
                Ok(parsed @ Json::Object(_)) => parsed.to_map(),
                _ if text.trim().is_empty() => Map::new(),
                _ => Map::from_iter([("arguments".to_owned(), Value::from(&*text))]),
            }
        }
        other => return Err(format!("the arguments of `{name}` must be an object, found {}", other.kind())),
    };
    Ok(Call { name, arguments, id })
}

/// Adds a reply's steps.
pub(super) fn reply(steps: &mut Steps, text: &str, calls: Vec<Call>, written: Written, manner: Manner) {
    if !calls.is_empty() {
        return steps.reply(text, calls, manner.dialect);
    }
    match (markup::calls(text, manner.trim), written) {
        (Some(parts), _) => steps.reply(unlabelled(&parts.thought), parts.calls, manner.dialect),
        (None, Written::Blocks) => blocks(steps, text, manner),
        (None, Written::Tag) => tag(steps, text, manner),
        (None, _) => silence(steps, text, manner),
    }
}

fn silence(steps: &mut Steps, text: &str, manner: Manner) {
    match manner.silent {
        Silent::Words => steps.open(text),
        Silent::Mistake => steps.refused("", Action::Answer { text: text.trim().to_owned() }),
    }
}

fn blocks(steps: &mut Steps, text: &str, manner: Manner) {
    let found = markup::blocks(text);
    match manner.blocks {
        Blocks::Last => match found.last() {
            Some(block) => steps.act(unlabelled(block.before), line(block.body, manner.dialect)),
            None => silence(steps, text, manner),
        },
        Blocks::OneOfBash => {
            let is_bash = |language: &str| matches!(language, "bash" | "mswea_bash_command" | "sh");
            let bash: Vec<_> = found.iter().filter(|block| is_bash(block.language)).collect();
            match bash.as_slice() {
                [block] => {
                    let thought = [block.before.trim(), block.after.trim()].join("\n\n");
                    steps.act(unlabelled(&thought), line(block.body, manner.dialect));
                }
                [] => silence(steps, text, manner),
                several => {
                    let scripts: Vec<&str> = several.iter().map(|block| block.body).collect();
                    steps.refused(unlabelled(several[0].before), Action::bash(scripts.join("\n")));
                }
            }
        }
    }
}

fn tag(steps: &mut Steps, text: &str, manner: Manner) {
    let inner = |(before, rest): (&str, &str)| {
        let (body, _) = rest.rsplit_once("</mswea_bash_command>")?;
        Some((before.to_owned(), body.trim().to_owned()))
    };
    match text.split_once("<mswea_bash_command>").and_then(inner) {
        Some((before, body)) => steps.act(unlabelled(&before), line(&body, manner.dialect)),
        None => silence(steps, text, manner),
    }
}

/// The action behind a line that an agent wrote for a shell.
pub(super) fn line(text: &str, dialect: Dialect) -> Action {
    let text = text.trim();
    match text {
        "submit" | "exit_forfeit" => Action::Submit,
        text if editor::is_call(dialect, text) => {
            Action::Editor(EditorCall { dialect, text: text.to_owned(), arguments: Map::new() })
        }
        text => Action::bash(text),
    }
}

/// A thought without the labels that some prompts ask for.
pub(super) fn unlabelled(thought: &str) -> &str {
    let mut thought = thought.trim();
    for label in ["DISCUSSION", "THOUGHT:", "THOUGHT"] {
        if let Some(rest) = thought
            .strip_prefix(label)
            .filter(|rest| rest.starts_with([' ', '\n', ':']) || label.ends_with(':'))
        {
            thought = rest.trim_start_matches(':').trim();
        }
    }
    for label in ["COMMAND:", "COMMAND"] {
        if let Some(rest) = thought.strip_suffix(label).filter(|rest| rest.is_empty() || rest.ends_with('\n'))
        {
            thought = rest.trim();
        }
    }
    thought
}

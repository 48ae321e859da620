//! SWE-agent's `.traj` files, from the first releases to 1.x, retried runs, and demonstrations that hold only a history.
//!
//! Guarantees one step for each action that SWE-agent recorded, in order, its observation as recorded but for
//! the terminal's carriage returns. Tool calls are the source of an editor call's arguments where the record
//! has them; else its text is. The release and the window of the editor are told from what it printed. Of a
//! run that was tried several times each attempt is a trajectory; the one that was chosen has the plain id.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::sync::LazyLock;

use memchr::memmem;
use regex::Regex;
use serde_json::{Map, Value};

use crate::editor;
use crate::trajectory::{
    Action, Dialect, Edition, EditorCall, EditorSetup, End, FORMAT, Observation, Source, Step, Trajectory,
};

use super::chat::{self, content};
use super::json::Json;
use super::observed::{Wrapper, seen, seen_plain};
use super::problem::{directory, problem};
use super::steps::{is_move, without_tags};
use super::{Origin, RecordError, TrajectoryFormat, ends, family, markup, names};

/// The format of `.traj` files.
pub struct SweAgent;

impl TrajectoryFormat for SweAgent {
    fn name(&self) -> &'static str {
        "swe-agent"
    }

    fn recognizes(&self, record: &Json) -> bool {
        match &record["trajectory"] {
            Json::List(steps) => steps.first().map_or(record["history"].is_list(), |step| {
                step["action"].is_text() && step.has("observation") && !step.has("source")
            }),
            _ => is_history(&record["history"]) || self.recognizes_attempts(record),
        }
    }

    fn parse(&self, record: &Json, origin: &Origin) -> Result<Vec<Trajectory>, RecordError> {
        let attempts = record["attempts"].list();
        if attempts.is_empty() {
            return Ok(vec![run(record, record, origin)?]);
        }
        let chosen = chosen(record, attempts);
        let attempt = |(index, attempt): (usize, &Json)| {
            let mut trajectory = run(attempt, record, origin)?;
            if index != chosen {
                trajectory.id = format!("{}.attempt-{}", trajectory.id, index + 1);
            }
            Ok(trajectory)
        };
        attempts.iter().enumerate().map(attempt).collect()
    }
}

impl SweAgent {
    fn recognizes_attempts(&self, record: &Json) -> bool {
        record["attempts"].list().first().is_some_and(|attempt| self.recognizes(attempt))
    }
}

/// The attempt that the record copies to its top; the last one where it copies none.
fn chosen(record: &Json, attempts: &[Json]) -> usize {
    let is_copied = |attempt: &Json| {
        record["trajectory"].is_list()
            && attempt["trajectory"].list().len() == record["trajectory"].list().len()
            && attempt["info"]["submission"] == record["info"]["submission"]
    };
    attempts.iter().position(is_copied).unwrap_or(attempts.len() - 1)
}

/// One run; what it does not say itself stands in the `whole` record.
fn run(record: &Json, whole: &Json, origin: &Origin) -> Result<Trajectory, RecordError> {
    let history = if record["history"].is_list() { &record["history"] } else { &whole["history"] };
    let mut turns = match &record["trajectory"] {
        Json::List(steps) => recorded_turns(steps, history)?,
        Json::Null => history_turns(history)?,
        other => {
            let reason = format!("`trajectory` must be a list, found {}", other.kind());
            return Err(RecordError::Record { reason });
        }
    };
    if turns.is_empty() {
        return Err(RecordError::Record { reason: "it has no steps".to_owned() });
    }
    let dialect = dialect(&turns, history);
    let setup = EditorSetup { window: window(history), edition: edition(&turns), ..EditorSetup::default() };
    let workdir = workdir(&turns, history);
    let config = &(if record.has("replay_config") { record } else { whole })["replay_config"];
    let config_text = config.text();
    let config_read = config_text.as_deref().map(|text| Json::parse(text).unwrap_or(Json::Null));
    // The run's configuration is an object, or the JSON text of one.
    let replay = config_read.as_ref().unwrap_or(config);
    let info = &record["info"];
    let task = origin.task.clone().unwrap_or_else(|| task_id(replay, origin, workdir.as_deref()));
    let tools = tools(&turns);
    let steps: Vec<Step> = turns.iter_mut().map(|turn| turn.step(dialect)).collect();
    Ok(Trajectory {
        format: FORMAT.to_owned(),
        id: names::trajectory_id(origin),
        task,
        source: Source {
            format: SweAgent.name().to_owned(),
            file: origin.file.display().to_string(),
            record: origin.line,
            workdir,
            model: replay["agent"]["model"]["name"].text().map(Cow::into_owned),
            tools: Some(tools.to_owned()),
            fresh_shells: false,
            editor: steps.iter().any(|step| matches!(step.action, Action::Editor(_))).then_some(setup),
        },
        problem: replay["problem_statement"]["text"]
            .text()
            .map(|text| text.trim().to_owned())
            .or_else(|| told_problem(history)),
        end: end(info["exit_status"].text().as_deref(), &turns),
        patch: patch(info, &steps),
        answer: None,
        resolved: None,
        steps,
    })
}

/// One recorded step, before its action is understood.
struct Turn {
    thought: String,
    action: String,
    arguments: Map<String, Value>,
    observation: Option<Observation>,
    executed: bool,
    directory: Option<String>,
    state: Shape,
    messages: bool,
}

/// How the record keeps the state after a step; tells releases apart.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Shape {
    Text,
    Object,
    Absent,
}

impl Turn {
    /// The step, which takes arguments and observation over.
    fn step(&mut self, dialect: Dialect) -> Step {
        let action = match self.action.trim() {
            "submit" => Action::Submit,
            text if editor::is_call(dialect, text) => Action::Editor(EditorCall {
                dialect,
                text: text.to_owned(),
                arguments: std::mem::take(&mut self.arguments),
            }),
            command => Action::bash(command),
        };
        let step = Step::new(chat::unlabelled(&without_tags(&self.thought)), action);
        Step { observation: self.observation.take(), executed: self.executed, ..step }
    }
}

fn recorded_turns(steps: &[Json], history: &Json) -> Result<Vec<Turn>, RecordError> {
    // Most runs have no step without an observation, and then nobody asks.
    let said = LazyCell::new(|| said(history));
    let mut calls = ToolCalls { messages: history.list().iter() };
    let turn = |(index, step): (usize, &Json)| {
        let fault = |key: &str| RecordError::Step {
            step: index + 1,
            reason: match step.get(key) {
                None => format!("`{key}` is missing"),
                Some(found) => format!("`{key}` must be text, found {}", found.kind()),
            },
        };
        let action = step["action"].text().ok_or_else(|| fault("action"))?;
        let observation = step["observation"].printed().ok_or_else(|| fault("observation"))?;
        let was_silent = observation.is_empty();
        let (state, directory) = read_state(&step["state"]);
        let seen = seen_plain(observation, &[]);
        Ok(Turn {
            thought: step["thought"].text().unwrap_or_default().into_owned(),
            arguments: calls.arguments_of(step, &action),
            executed: !seen.refused && (!was_silent || was_executed(&said, &action, step)),
            action: action.into_owned(),
            observation: Some(seen.observation),
            directory,
            state,
            messages: step.has("messages") || step.has("query"),
        })
    };
    steps.iter().enumerate().map(turn).collect()
}

/// The actions and replies that the history keeps: a refused step is in the trajectory but never here.
fn said(history: &Json) -> Vec<String> {
    let spoken = history.list().iter().filter(|message| message["role"].is("assistant") && !is_demo(message));
    spoken
        .flat_map(|message| [message["action"].text(), Some(content(&message["content"]))])
        .flatten()
        .map(|text| text.trim().to_owned())
        .collect()
}

fn is_demo(message: &Json) -> bool {
    message["is_demo"].truth() == Some(true)
}

/// Whether a step that showed nothing is among what the history keeps.
fn was_executed(said: &[String], action: &str, step: &Json) -> bool {
    let kept = |text: &str| said.iter().any(|said| said == text.trim());
    let is_reply_kept =
        || step["response"].text().is_some_and(|reply| !reply.trim().is_empty() && kept(&reply));
    said.is_empty() || kept(action) || is_reply_kept()
}

/// The history's tool calls, handed out in order.
struct ToolCalls<'a, 'b> {
    messages: std::slice::Iter<'b, Json<'a>>,
}

impl ToolCalls<'_, '_> {
    /// The arguments of the tool call behind `action`: the history has it, or else the step's own messages, which
    /// are the whole prompt and seldom worth reading.
    fn arguments_of(&mut self, step: &Json, action: &str) -> Map<String, Value> {
        let is_call = |message: &Json| {
            message["tool_calls"].is_list() && message["action"].text().is_some_and(|text| text == action)
        };
        let mut rest = self.messages.clone();
        if let Some(message) = rest.find(|message| is_call(message)) {
            self.messages = rest;
            return arguments(message);
        }
        let own = step["messages"].opened();
        own.list().iter().rev().find(|message| is_call(message)).map(arguments).unwrap_or_default()
    }
}

fn arguments(message: &Json) -> Map<String, Value> {
    let [call] = message["tool_calls"].list() else { return Map::new() };
    match &call["function"]["arguments"] {
        text @ Json::Text(_) => Json::parse(&text.text().unwrap_or_default())
            .map(|arguments| arguments.to_map())
            .unwrap_or_default(),
        other => other.to_map(),
    }
}

fn history_turns(history: &Json) -> Result<Vec<Turn>, RecordError> {
    let mut turns: Vec<Turn> = Vec::new();
    for message in history.list().iter().filter(|message| !is_demo(message)) {
        let text = content(&message["content"]);
        if message["role"].is("assistant") {
            turns.push(history_turn(message, &text, turns.len())?);
        } else if (message["role"].is("user") || message["role"].is("tool"))
            && let Some(turn) = turns.last_mut().filter(|turn| turn.observation.is_none())
        {
            let seen = seen(text, &[Wrapper::Terminal, Wrapper::Prompt]);
            turn.observation = Some(seen.observation);
            turn.executed &= !seen.refused;
            turn.directory = seen.directory;
        }
    }
    Ok(turns)
}

fn history_turn(message: &Json, text: &str, before: usize) -> Result<Turn, RecordError> {
    let block = markup::blocks(text).last().copied();
    let action = message["action"].text().or_else(|| block.map(|block| Cow::Borrowed(block.body)));
    let Some(action) = action else {
        return Err(RecordError::Step { step: before + 1, reason: "it has no action".to_owned() });
    };
    let thought =
        message["thought"].text().unwrap_or_else(|| Cow::Borrowed(block.map_or(text, |block| block.before)));
    Ok(Turn {
        thought: thought.into_owned(),
        arguments: arguments(message),
        action: action.into_owned(),
        observation: None,
        executed: true,
        directory: None,
        state: Shape::Absent,
        messages: false,
    })
}

fn is_history(history: &Json) -> bool {
    let messages = history.list();
    messages.iter().any(|message| message["role"].is("assistant"))
        && messages.iter().all(|message| message["role"].is_text() && message.has("content"))
}

fn read_state(state: &Json) -> (Shape, Option<String>) {
    let directory = |state: &Json| state["working_dir"].text().map(Cow::into_owned);
    match state {
        Json::Text(_) => {
            let text = state.text().unwrap_or_default();
            (Shape::Text, Json::parse(text.trim()).ok().as_ref().and_then(directory))
        }
        Json::Object(_) => (Shape::Object, directory(state)),
        _ => (Shape::Absent, None),
    }
}

/// How the agent called its tools.
fn tools(turns: &[Turn]) -> &'static str {
    if turns.iter().any(|turn| !turn.arguments.is_empty()) { "tool calls" } else { "text" }
}

/// The problem in the last message before the agent's first that is no demonstration.
fn told_problem(history: &Json) -> Option<String> {
    problem(&prompt(history)?)
}

fn prompt<'a>(history: &Json<'a>) -> Option<Cow<'a, str>> {
    let before =
        history.list().iter().take_while(|message| !message["role"].is("assistant") || is_demo(message));
    let prompt = before.filter(|message| message["role"].is("user") && !is_demo(message)).last()?;
    Some(content(&prompt["content"]))
}

static RANGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*edit\s+\d+:\d+").expect("invariant: the pattern is fixed"));

fn dialect(turns: &[Turn], history: &Json) -> Dialect {
    let first_word = |turn: &&Turn| turn.action.split_whitespace().next() == Some("edit");
    if turns.iter().any(|turn| turn.action.starts_with("str_replace_editor")) {
        return Dialect::SweAgentStrReplace;
    }
    if turns.iter().any(|turn| turn.action.starts_with("set_cursors")) {
        return Dialect::SweAgentCursors;
    }
    let Some(edit) = turns.iter().find(first_word) else { return promised_dialect(history) };
    match edit.action.trim_start() {
        action if RANGE.is_match(action) => Dialect::SweAgentRange,
        action if action.starts_with("edit\n") => Dialect::SweAgentCursors,
        _ => Dialect::SweAgentReplace,
    }
}

/// The dialect that the system prompt explains.
fn promised_dialect(history: &Json) -> Dialect {
    match &*content(&history[0]["content"]) {
        prompt if prompt.contains("str_replace_editor") => Dialect::SweAgentStrReplace,
        prompt if prompt.contains("set_cursors") => Dialect::SweAgentCursors,
        prompt if prompt.contains("edit <search>") => Dialect::SweAgentReplace,
        _ => Dialect::SweAgentRange,
    }
}

fn edition(turns: &[Turn]) -> Edition {
    let saw = |text: &str| {
        turns.iter().any(|turn| {
            turn.observation
                .as_ref()
                .is_some_and(|seen| memmem::find(seen.output.as_bytes(), text.as_bytes()).is_some())
        })
    };
    let messages = turns.iter().any(|turn| turn.messages);
    match turns[0].state {
        Shape::Text if saw("Please understand the fixes") => Edition::ShellEarly,
        Shape::Text => Edition::Shell,
        _ if saw("1. The edited file is correctly indented") => Edition::Tools,
        _ if saw("(0 lines total)") => Edition::ToolsLatest,
        Shape::Object if !messages => Edition::ToolsDev,
        Shape::Object if saw("(correct indentation, no duplicate lines, etc)") => Edition::ToolsBeta,
        _ => Edition::Tools,
    }
}

/// The lines that the editor shows at a time, which the system prompt says.
fn window(history: &Json) -> usize {
    static LINES: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"shows you (\d+) lines").expect("invariant: the pattern is fixed"));
    let prompt = content(&history[0]["content"]);
    let found = LINES.captures(&prompt).and_then(|found| found[1].parse().ok());
    found.unwrap_or(EditorSetup::default().window)
}

/// The directory that the prompt tells, else the one that a step saw before a command went elsewhere.
fn workdir(turns: &[Turn], history: &Json) -> Option<String> {
    // Releases that keep the state as text took it before the action.
    let is_before = |turn: &Turn| turn.state == Shape::Text;
    let stays = |turn: &&Turn| is_before(turn) || !is_move(&Action::bash(turn.action.as_str()));
    let seen = || turns.iter().take_while(stays).find_map(|turn| turn.directory.clone());
    let told = prompt(history).and_then(|prompt| directory(&prompt));
    told.or_else(seen).filter(|directory| directory.starts_with('/'))
}

/// The task's id: what the run was configured with, else what the file tells.
fn task_id(replay: &Json, origin: &Origin, workdir: Option<&str>) -> String {
    let configured = [&replay["problem_statement"]["id"], &replay["agent"]["name"]];
    let found = configured.iter().filter_map(|id| id.text()).find(|id| id.contains("__"));
    found.map_or_else(|| names::task_of_file(&origin.file, workdir), Cow::into_owned)
}

fn end(status: Option<&str>, turns: &[Turn]) -> End {
    let told = status.map_or(End::Unknown, ends::end);
    let has_submitted = turns.last().is_some_and(|turn| turn.action.trim() == "submit");
    if told == End::Unknown && has_submitted { End::Submitted } else { told }
}

/// The submitted patch with plain line ends; a history's is what its last `submit` printed.
fn patch(info: &Json, steps: &[Step]) -> Option<String> {
    if let Some(submission) = family::text(info, &["submission"]) {
        return ends::patch(&submission);
    }
    let last = steps.last().filter(|step| step.action == Action::Submit)?;
    ends::patch(&last.observation.as_ref()?.output)
}

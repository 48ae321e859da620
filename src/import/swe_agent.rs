//! SWE-agent's `.traj` files, from the first releases to 1.x, and demonstrations that hold only a history.
//!
//! Guarantees one step for each action that SWE-agent recorded, in order, its observation as recorded. Tool
//! calls are the source of an editor call's arguments where the record has them; else its text is. The
//! release and the window of the editor are told from what it printed.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::editor;
use crate::trajectory::{
    Action, Dialect, Edition, EditorCall, EditorSetup, End, FORMAT, Observation, Source, Step, Trajectory,
};

use super::{Origin, RecordError, TrajectoryFormat};

/// The format of `.traj` files.
pub struct SweAgent;

impl TrajectoryFormat for SweAgent {
    fn name(&self) -> &'static str {
        "swe-agent"
    }

    fn recognizes(&self, record: &Value) -> bool {
        match record["trajectory"].as_array() {
            Some(steps) => steps.first().map_or(record["history"].is_array(), |step| {
                step["action"].is_string() && step.get("observation").is_some()
            }),
            None => is_history(&record["history"]),
        }
    }

    fn parse(&self, record: &Value, origin: &Origin) -> Result<Trajectory, RecordError> {
        let turns = match record["trajectory"].as_array() {
            Some(steps) => recorded_turns(steps, &record["history"])?,
            None => history_turns(&record["history"])?,
        };
        if turns.is_empty() {
            return Err(RecordError::Record { reason: "it has no steps".to_owned() });
        }
        let dialect = dialect(&turns, &record["history"]);
        let setup = EditorSetup {
            window: window(&record["history"]),
            edition: edition(&turns),
            ..EditorSetup::default()
        };
        let workdir = workdir(&turns);
        let replay = replay_config(record);
        let info = &record["info"];
        let task = origin.task.clone().unwrap_or_else(|| task_id(&replay, &origin.file, workdir.as_deref()));
        Ok(Trajectory {
            format: FORMAT.to_owned(),
            id: trajectory_id(&origin.file, origin.line),
            task,
            source: Source {
                format: self.name().to_owned(),
                file: origin.file.display().to_string(),
                record: origin.line,
                workdir,
                model: replay["agent"]["model"]["name"].as_str().map(str::to_owned),
                tools: None,
                fresh_shells: false,
                editor: turns.iter().any(|turn| editor::is_call(dialect, &turn.action)).then_some(setup),
            },
            problem: None,
            end: end(info["exit_status"].as_str(), &turns),
            patch: patch(info, &turns),
            resolved: None,
            steps: turns.into_iter().map(|turn| turn.step(dialect)).collect(),
        })
    }
}

/// One recorded step, before its action is understood.
struct Turn {
    thought: String,
    action: String,
    arguments: Map<String, Value>,
    observation: Option<String>,
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
    fn step(self, dialect: Dialect) -> Step {
        let action = match self.action.trim() {
            "submit" => Action::Submit,
            text if editor::is_call(dialect, text) => {
                Action::Editor(EditorCall { dialect, text: text.to_owned(), arguments: self.arguments })
            }
            command => Action::bash(command),
        };
        Step {
            thought: self.thought.trim().to_owned(),
            action,
            observation: self.observation.map(Observation::recorded),
            executed: self.executed,
            continues: false,
        }
    }
}

fn recorded_turns(steps: &[Value], history: &Value) -> Result<Vec<Turn>, RecordError> {
    let said = said(history);
    let mut calls = ToolCalls::new(history);
    let turn = |(index, step): (usize, &Value)| {
        let text = |key: &str| {
            step[key].as_str().ok_or_else(|| RecordError::Step {
                step: index + 1,
                reason: match step.get(key) {
                    None => format!("`{key}` is missing"),
                    Some(found) => format!("`{key}` must be text, found {}", kind(found)),
                },
            })
        };
        let (action, observation) = (text("action")?, text("observation")?);
        let response = step["response"].as_str().unwrap_or_default();
        let (state, directory) = read_state(&step["state"]);
        Ok(Turn {
            thought: step["thought"].as_str().unwrap_or_default().to_owned(),
            action: action.to_owned(),
            arguments: calls.arguments_of(step, action),
            observation: Some(observation.to_owned()),
            executed: was_executed(&said, action, response, observation),
            directory,
            state,
            messages: step.get("messages").or(step.get("query")).is_some(),
        })
    };
    steps.iter().enumerate().map(turn).collect()
}

/// The actions and replies that the history keeps: a refused step is in the trajectory but never here.
fn said(history: &Value) -> Vec<String> {
    let messages = history.as_array().map(Vec::as_slice).unwrap_or_default();
    let spoken =
        messages.iter().filter(|message| message["role"] == "assistant" && message["is_demo"] != true);
    spoken
        .flat_map(|message| {
            [message["action"].as_str().map(str::to_owned), Some(content(&message["content"]))]
        })
        .flatten()
        .map(|text| text.trim().to_owned())
        .collect()
}

fn was_executed(said: &[String], action: &str, response: &str, observation: &str) -> bool {
    let kept = |text: &str| said.iter().any(|said| said == text.trim());
    !observation.is_empty()
        || said.is_empty()
        || kept(action)
        || (!response.trim().is_empty() && kept(response))
}

/// The history's tool calls, handed out in order.
struct ToolCalls<'a> {
    messages: std::slice::Iter<'a, Value>,
}

impl<'a> ToolCalls<'a> {
    fn new(history: &'a Value) -> Self {
        Self { messages: history.as_array().map(Vec::as_slice).unwrap_or_default().iter() }
    }

    /// The arguments of the tool call behind `action`: the step's own messages have it, or the history.
    fn arguments_of(&mut self, step: &Value, action: &str) -> Map<String, Value> {
        let own = step["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_call = |message: &&Value| message["action"] == action && message["tool_calls"].is_array();
        if let Some(message) = own.iter().rev().find(is_call) {
            return arguments(message);
        }
        let mut rest = self.messages.clone();
        let Some(message) = rest.find(is_call) else { return Map::new() };
        self.messages = rest;
        arguments(message)
    }
}

fn arguments(message: &Value) -> Map<String, Value> {
    let [call] = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        return Map::new();
    };
    match &call["function"]["arguments"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        Value::Object(object) => object.clone(),
        _ => Map::new(),
    }
}

fn history_turns(history: &Value) -> Result<Vec<Turn>, RecordError> {
    let messages = history.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut turns: Vec<Turn> = Vec::new();
    for message in messages.iter().filter(|message| message["is_demo"] != true) {
        let text = content(&message["content"]);
        match message["role"].as_str() {
            Some("assistant") => {
                let Some(action) =
                    message["action"].as_str().map(str::to_owned).or_else(|| last_block(&text))
                else {
                    return Err(RecordError::Step {
                        step: turns.len() + 1,
                        reason: "it has no action".to_owned(),
                    });
                };
                turns.push(Turn {
                    thought: message["thought"].as_str().map_or_else(|| before_block(&text), str::to_owned),
                    arguments: if message["tool_calls"].is_array() { arguments(message) } else { Map::new() },
                    action,
                    observation: None,
                    executed: true,
                    directory: None,
                    state: Shape::Absent,
                    messages: false,
                });
            }
            Some("user" | "tool") => {
                if let Some(turn) = turns.last_mut().filter(|turn| turn.observation.is_none()) {
                    let (observation, directory) = without_prompt(&text);
                    turn.observation = Some(observation.to_owned());
                    turn.directory = directory;
                }
            }
            _ => {}
        }
    }
    Ok(turns)
}

/// An observation of a history without the state lines that SWE-agent appended, and the directory they name.
fn without_prompt(text: &str) -> (&str, Option<String>) {
    static PROMPT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\n?\(Open file: [^\n]*\)\n\(Current directory: ([^\n)]*)\)\nbash-\$\s*$")
            .expect("invariant: the pattern is fixed")
    });
    match PROMPT.captures(text) {
        Some(found) => (&text[..text.len() - found[0].len()], Some(found[1].to_owned())),
        None => (text, None),
    }
}

fn last_block(text: &str) -> Option<String> {
    let (before, _) = text.rsplit_once("```")?;
    let (_, block) = before.rsplit_once("```")?;
    Some(block.split_once('\n').map_or(block, |(_, block)| block).to_owned())
}

fn before_block(text: &str) -> String {
    text.split("```").next().unwrap_or_default().to_owned()
}

fn is_history(history: &Value) -> bool {
    let messages = history.as_array().map(Vec::as_slice).unwrap_or_default();
    messages.iter().any(|message| message["role"] == "assistant")
        && messages.iter().all(|message| message["role"].is_string() && message.get("content").is_some())
}

/// A message's text, which is a string or a list of text parts.
fn content(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn read_state(state: &Value) -> (Shape, Option<String>) {
    let directory = |state: &Value| state["working_dir"].as_str().map(str::to_owned);
    match state {
        Value::String(text) => (Shape::Text, serde_json::from_str(text).ok().as_ref().and_then(directory)),
        Value::Object(_) => (Shape::Object, directory(state)),
        _ => (Shape::Absent, None),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

static RANGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*edit\s+\d+:\d+").expect("invariant: the pattern is fixed"));

fn dialect(turns: &[Turn], history: &Value) -> Dialect {
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
fn promised_dialect(history: &Value) -> Dialect {
    match content(&history[0]["content"]) {
        prompt if prompt.contains("str_replace_editor") => Dialect::SweAgentStrReplace,
        prompt if prompt.contains("set_cursors") => Dialect::SweAgentCursors,
        prompt if prompt.contains("edit <search>") => Dialect::SweAgentReplace,
        _ => Dialect::SweAgentRange,
    }
}

fn edition(turns: &[Turn]) -> Edition {
    let saw = |text: &str| {
        turns
            .iter()
            .any(|turn| turn.observation.as_ref().is_some_and(|observation| observation.contains(text)))
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
fn window(history: &Value) -> usize {
    static LINES: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"shows you (\d+) lines").expect("invariant: the pattern is fixed"));
    let prompt = content(&history[0]["content"]);
    let found = LINES.captures(&prompt).and_then(|found| found[1].parse().ok());
    found.unwrap_or(EditorSetup::default().window)
}

/// The directory that the first step saw: nothing has left it yet.
fn workdir(turns: &[Turn]) -> Option<String> {
    turns.iter().find_map(|turn| turn.directory.clone()).filter(|directory| directory.starts_with('/'))
}

fn replay_config(record: &Value) -> Value {
    match &record["replay_config"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        config => config.clone(),
    }
}

/// The task's id: what the run was configured with, else what the file is called, else the file's name.
fn task_id(replay: &Value, file: &Path, workdir: Option<&str>) -> String {
    static ID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"[A-Za-z0-9][\w.-]*?__[\w.-]*?-\d+").expect("invariant: the pattern is fixed")
    });
    static SHORT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^([A-Za-z0-9][\w-]*?)-(\d+)").expect("invariant: the pattern is fixed")
    });
    let configured = [&replay["problem_statement"]["id"], &replay["agent"]["name"]];
    if let Some(id) = configured.iter().filter_map(|id| id.as_str()).find(|id| id.contains("__")) {
        return id.to_owned();
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if let Some(id) = ID.find(&name) {
        return id.as_str().to_owned();
    }
    let repository =
        workdir.map(|workdir| workdir.trim_start_matches('/')).filter(|name| name.contains("__"));
    if let (Some(repository), Some(short)) = (repository, SHORT.captures(&name))
        && repository.ends_with(&format!("__{}", &short[1]))
    {
        return format!("{repository}-{}", &short[2]);
    }
    stem(&name).to_owned()
}

fn trajectory_id(file: &Path, line: Option<u64>) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match line {
        Some(line) => format!("{}:{line}", stem(&name)),
        None => stem(&name).to_owned(),
    }
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".traj").or_else(|| name.strip_suffix(".jsonl")).unwrap_or(name)
}

fn end(status: Option<&str>, turns: &[Turn]) -> End {
    match status {
        Some(status) if status.contains("exit_context") => End::ContextLimit,
        Some(status) if status.contains("exit_format") => End::Malformed,
        Some(status) if status.contains("exit_cost") => End::StepLimit,
        Some(status) if status.contains("time") => End::TimeLimit,
        Some(status) if status.starts_with("submitted") => End::Submitted,
        _ if turns.last().is_some_and(|turn| turn.action.trim() == "submit") => End::Submitted,
        _ => End::Unknown,
    }
}

/// The submitted patch with plain line ends; a history's is what its last `submit` printed.
fn patch(info: &Value, turns: &[Turn]) -> Option<String> {
    let submitted = info["submission"].as_str().map(str::to_owned).or_else(|| {
        let last = turns.last().filter(|turn| turn.action.trim() == "submit")?;
        last.observation.clone()
    })?;
    let submitted = submitted.replace("\r\n", "\n");
    let patch = submitted.trim_start_matches('\n');
    patch.starts_with("diff ").then(|| format!("{}\n", patch.trim_end_matches('\n')))
}

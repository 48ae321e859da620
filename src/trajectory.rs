//! Trajectories: what an agent did on a task, step by step.
//!
//! Plain data and its native JSONL form (`apprentice.trajectory/1`). Guarantees that every step
//! has exactly one action. Does not say how an action is run (`act`) or compared (`reward`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Name and version in the first field of every native trajectory record.
pub const FORMAT: &str = "apprentice.trajectory/1";

/// One run of an agent on a task. Written once, never edited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// Always [`FORMAT`].
    pub format: String,
    /// Unique within its file.
    pub id: String,
    /// The id of the task it worked on.
    pub task: String,
    /// Where the record came from.
    #[serde(default)]
    pub source: Source,
    /// The problem as the record states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// Why it stopped.
    pub end: End,
    /// The patch that was submitted or recorded, in git's format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// The final answer where a worked solution sets it apart from its steps (math).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The published label: did it resolve its task? Unverified until replayed and graded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<bool>,
}

impl Trajectory {
    /// The whole solution in words: what was done, step after step, and the final answer (math).
    pub fn solution(&self) -> String {
        let steps = self.steps.iter().map(|step| step.action.text());
        let parts: Vec<_> = steps.chain(self.answer.as_deref().map(Cow::Borrowed)).collect();
        parts.join("\n\n")
    }
}

/// Where a trajectory came from: enough to find the original record again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The importer, policy or generator, such as `swe-agent` or `synth`.
    pub format: String,
    /// The file it was read from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The record's line (JSONL) or index, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// The directory that the repository had when it was recorded, such as `/testbed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// The model that acted, where the record says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How it called its tools, such as `tool calls` or `xml`, where a format has several ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<String>,
    /// Whether each command had a fresh shell; else directory and variables carried over.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fresh_shells: bool,
    /// Which release of its editor was at work, where that shows in what it printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub editor: Option<EditorSetup>,
}

/// How an editor was set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditorSetup {
    /// Which release.
    pub edition: Edition,
    /// Lines shown at a time.
    pub window: usize,
    /// Lines that stay visible when scrolling.
    pub overlap: usize,
}

impl Default for EditorSetup {
    fn default() -> Self {
        Self { edition: Edition::default(), window: 100, overlap: 2 }
    }
}

/// The releases of SWE-agent's editors whose output differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edition {
    /// Shell functions, before May 2024.
    ShellEarly,
    /// Shell functions, up to 0.7.
    Shell,
    /// Programs, November 2024.
    ToolsDev,
    /// Programs, December 2024: windows after a replacement start one line higher.
    ToolsBeta,
    /// Programs of 1.0: longer advice after a replacement.
    Tools,
    /// Programs of 1.1 and later: new files are empty, the last line can be reached.
    #[default]
    ToolsLatest,
}

/// One thought, one action, and what came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What the agent thought or said before it acted; may be empty.
    #[serde(default)]
    pub thought: String,
    /// What it did.
    pub action: Action,
    /// What it saw; absent when nothing was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Observation>,
    /// False for a recorded step that did not run as a command: its scaffold refused it (format error, block list),
    /// or it asks for what no sandbox has (a browser, a notebook, keys for a running program).
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub executed: bool,
    /// Whether it ran where it was recorded, by a tool that no sandbox has here (a notebook, a browser, keys to a running
    /// program); then `executed` is false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub foreign: bool,
    /// Whether it was taken in the same reply as the step before it (several tool calls in one turn).
    #[serde(default, skip_serializing_if = "is_false")]
    pub continues: bool,
}

impl Step {
    /// A step that was taken in a reply of its own, with nothing seen yet.
    pub fn new(thought: impl Into<String>, action: Action) -> Self {
        Self {
            thought: thought.into(),
            action,
            observation: None,
            executed: true,
            foreign: false,
            continues: false,
        }
    }

    /// The same step, and what was seen after it.
    #[must_use]
    pub fn seeing(self, observation: Observation) -> Self {
        Self { observation: Some(observation), ..self }
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// One canonical action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// A shell script, run by bash in the sandbox.
    Bash {
        /// The script.
        command: String,
    },
    /// A call of an editor that we emulate over the sandbox's files.
    Editor(EditorCall),
    /// The agent says that it is done.
    Submit,
    /// A step or final answer in words (math); nothing runs.
    Answer {
        /// The text.
        text: String,
    },
}

/// A call of an agent's editor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EditorCall {
    /// Whose editor, and so which exact observations.
    pub dialect: Dialect,
    /// The line(s) that an agent writes for this call; what the reward compares.
    pub text: String,
    /// The lossless arguments where the record has them (tool calls); else parsed from `text`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub arguments: Map<String, Value>,
}

/// The editors that are emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// SWE-agent's windowed editor with line-range edits: `open`, `goto`, `edit 3:5 … end_of_edit`.
    SweAgentRange,
    /// SWE-agent's windowed editor with cursors: `set_cursors`, `edit … end_of_edit`.
    SweAgentCursors,
    /// SWE-agent's windowed editor with search and replace.
    SweAgentReplace,
    /// `str_replace_editor` as SWE-agent ships it.
    SweAgentStrReplace,
    /// `str_replace_editor` as OpenHands ships it.
    OpenHands,
    /// `str_replace_editor` of our own, without the faults of the others.
    Ours,
    /// SEARCH/REPLACE blocks, each below the path of its file: all edits in one text.
    SearchReplace,
    /// Paths, one a line, of files that are shown whole.
    NamedFiles,
}

impl Action {
    /// A shell command.
    pub fn bash(command: impl Into<String>) -> Self {
        Self::Bash { command: command.into() }
    }

    /// The bare action: what the student writes and the reward compares, without wrapper tags.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Bash { command } => Cow::Borrowed(command),
            Self::Editor(call) => Cow::Borrowed(&call.text),
            Self::Submit => Cow::Borrowed("submit"),
            Self::Answer { text } => Cow::Borrowed(text),
        }
    }
}

/// What a command gave back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Standard output and error in their order, within the byte bound, invalid UTF-8 replaced.
    pub output: String,
    /// How the command ended; absent when the record does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Bytes that the bound left out of the middle of `output`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted_bytes: u64,
    /// Wall time.
    #[serde(default)]
    pub elapsed_seconds: f64,
    /// Command lines of processes that run on in the background, at most a few dozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub background: Vec<String>,
    /// What each stream printed, where they were asked for apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<Apart>,
    /// What was written to its report, where it was given one; no record keeps it.
    #[serde(skip)]
    pub report: Option<Reported>,
}

/// What a command wrote beside its output, in the order in which it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reported {
    /// The first bytes, within the bound.
    pub bytes: Vec<u8>,
    /// How many followed.
    pub omitted_bytes: u64,
}

/// A command's two streams, each by itself, within the byte bound that they share.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Apart {
    /// Standard output as it was printed (in JSON, invalid UTF-8 replaced); says where bytes of its own are left out.
    #[serde(with = "text")]
    pub stdout: Vec<u8>,
    /// Standard error, likewise.
    #[serde(with = "text")]
    pub stderr: Vec<u8>,
    /// Who printed what in [`Observation::output`], in order and without overlap; what none of them covers is
    /// our word about bytes that were left out.
    pub pieces: Vec<Piece>,
}

/// A part of an observation's output that one stream printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Which.
    pub stream: Stream,
    /// Its first byte in the output.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

/// Where a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Bytes as text, for formats that hold text.
mod text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        String::deserialize(deserializer).map(String::into_bytes)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Observation {
    /// An observation that ended with `code`.
    pub fn new(output: impl Into<String>, code: i32) -> Self {
        Self { exit: Some(Exit::Code(code)), ..Self::recorded(output) }
    }

    /// An observation from a record, which seldom says how the command ended.
    pub fn recorded(output: impl Into<String>) -> Self {
        Self {
            output: output.into(),
            exit: None,
            omitted_bytes: 0,
            elapsed_seconds: 0.0,
            background: Vec::new(),
            apart: None,
            report: None,
        }
    }
}

/// How a command ended. All of these are the agent's doing, never an error of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited by itself.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// The deadline passed and its whole process tree was killed.
    TimedOut,
    /// The memory limit ended it.
    OutOfMemory,
}

impl Exit {
    /// Whether the command reported success.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// Why an episode stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The agent said that it is done.
    Submitted,
    /// It used up its steps.
    StepLimit,
    /// It used up its time.
    TimeLimit,
    /// It used up the tokens that it may write.
    TokenLimit,
    /// Its context is full.
    ContextLimit,
    /// A reply had no readable action.
    Malformed,
    /// The sandbox was lost: ours, never a result.
    SandboxLost,
    /// The record does not say.
    Unknown,
}

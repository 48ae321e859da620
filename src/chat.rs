//! What the student reads, and how its reply is read: two halves of one contract.
//!
//! A conversation about code only ever grows at its end, so the prompt of step k is a prefix of the prompt of
//! step k+1 and the prefix tree shares it; mathematics shares all but the end of its one message. Does not tokenise: `model::tokenizer` does.

mod calls;
mod scaffold;
mod template;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::task::{Kind, Task};
use crate::trajectory::{self, Action, EditorCall, Observation, Step};

pub use scaffold::{Dialect, Limits, Scaffold, ScaffoldError, Shows, Tool};
pub use template::Template;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The scaffold's rules.
    System,
    /// The task and the observations.
    User,
    /// The student, or the expert in its place.
    Assistant,
}

/// How much of a trajectory the student sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// Everything so far.
    #[default]
    Full,
    /// The last n steps (the paper's SWE setting is 2).
    Last(usize),
}

/// A well-formed reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<'a> {
    /// What stands between the think tags, trimmed.
    pub thought: &'a str,
    /// The bare action, trimmed.
    pub action: &'a str,
}

/// Why a reply earns the format penalty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The reply does not begin with `<think>`, or the tag is not closed.
    #[error("the reply must begin with one <think>…</think>")]
    NoThought,
    /// A think tag occurs twice.
    #[error("the reply must have exactly one <think>…</think>")]
    SeveralThoughts,
    /// Nothing stands between the tags.
    #[error("the thought is empty")]
    EmptyThought,
    /// Nothing follows the thought.
    #[error("the action is empty")]
    EmptyAction,
    /// The action begins as a tool call and is none.
    #[error("the tool call cannot be read")]
    UnreadableCall,
    /// The length limit cut the reply.
    #[error("the reply was cut at the length limit")]
    Unfinished,
}

/// What a student is told that goes on with a solution by one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MathScaffold {
    /// The system message.
    pub system: String,
    /// Whether the student is told the title of the step that it is to write (footnote 1 of the paper).
    pub title_hint: bool,
}

impl Default for MathScaffold {
    fn default() -> Self {
        Self { system: MATH.to_owned(), title_hint: false }
    }
}

const MATH: &str = "You work on a problem of mathematics together with its solution so far. \
Think first inside <think>…</think>, as freely and as long as you need to be sure, \
then write the one step that comes next and nothing else: do not finish the solution.";

/// What a student is told that solves a whole problem: the paper's evaluation (v3, B.2.2), word for word, so that rates
/// compare with its own.
const SOLVE: &str = "Please reason step by step, and put your final answer within \\boxed{}. \
You can draft your thinking process inside <think> </think> tags anywhere. This is your \"scratch paper\".";

/// The conversation that a whole solution answers.
pub fn solving(task: &Task) -> Vec<Message> {
    let message = |role, content: &str| Message { role, content: content.to_owned() };
    vec![message(Role::System, SOLVE), message(Role::User, task.problem.trim_end())]
}

/// The conversation that the next reply answers.
pub fn conversation(scaffold: &Scaffold, task: &Task, history: &[Step]) -> Vec<Message> {
    let first = match scaffold.context {
        Context::Full => 0,
        Context::Last(n) => history.len().saturating_sub(n),
    };
    match task.kind {
        Kind::Code => working(scaffold, task, &history[first..]),
        Kind::Math => continuing(scaffold, task, &history[first..]),
    }
}

/// The problem with the solution so far in one message, as in the paper's Fig. 3: nobody answers a step.
fn continuing(scaffold: &Scaffold, task: &Task, shown: &[Step]) -> Vec<Message> {
    let mut content = task.problem.trim_end().to_owned();
    for (index, step) in shown.iter().enumerate() {
        content.push_str(if index == 0 { "\n\nSolution so far:\n\n" } else { "\n\n" });
        content.push_str(step.action.text().trim());
    }
    vec![
        Message { role: Role::System, content: scaffold.math.system.clone() },
        Message { role: Role::User, content },
    ]
}

fn working(scaffold: &Scaffold, task: &Task, shown: &[Step]) -> Vec<Message> {
    let opening = match scaffold.shows() {
        Shows::Nothing => scaffold.opened(&task.problem, ""),
        // Whoever had a look at the repository has put what it saw into the problem.
        Shows::GoldFiles | Shows::Structure => task.problem.clone(),
    };
    let mut messages = vec![
        Message { role: Role::System, content: scaffold.told().to_owned() },
        Message { role: Role::User, content: opening },
    ];
    for step in shown {
        messages.push(Message { role: Role::Assistant, content: scaffold.reply(step) });
        let observation = step.observation.as_ref();
        messages.push(Message { role: Role::User, content: render_observation(scaffold, observation) });
    }
    messages
}

impl Scaffold {
    /// The reply that takes this step.
    pub fn reply(&self, step: &Step) -> String {
        match self.dialect {
            Dialect::Text => render_reply(step),
            Dialect::ToolCalls => format!("{}\n{}", render_thought(step), calls::written(&step.action)),
        }
    }

    /// The action that a well-formed reply asks for; none where the student has no such tool.
    pub fn action(&self, text: &str) -> Option<Action> {
        if self.dialect == Dialect::ToolCalls || calls::is_call(text) {
            let (tool, action) = calls::read(text)?;
            return self.has(tool).then_some(action);
        }
        let call = |dialect| {
            let text = text.trim().to_owned();
            Some(Action::Editor(EditorCall { dialect, text, arguments: serde_json::Map::new() }))
        };
        let is_edit = text.contains("<<<<<<< SEARCH");
        let is_alone = !self.has(Tool::Bash) && !self.has(Tool::NameFiles);
        if self.has(Tool::Submit) && text.trim() == "submit" {
            Some(Action::Submit)
        } else if self.has(Tool::StrReplaceEditor) && text.split_whitespace().next() == Some(EDITOR) {
            call(trajectory::Dialect::Ours)
        } else if self.has(Tool::SearchReplace) && (is_edit || is_alone) {
            call(trajectory::Dialect::SearchReplace)
        } else if self.has(Tool::Bash) {
            Some(Action::bash(text.trim()))
        } else if self.has(Tool::NameFiles) {
            call(trajectory::Dialect::NamedFiles)
        } else {
            // An editor alone says itself what it cannot read.
            call(trajectory::Dialect::Ours)
        }
    }
}

/// The word that begins a call of the editor.
const EDITOR: &str = "str_replace_editor";

/// The bare action of a reply: that of a tool call, else the text itself.
pub fn bare(action: &str) -> Cow<'_, str> {
    match calls::read(action) {
        Some((_, action)) => Cow::Owned(action.text().into_owned()),
        None => Cow::Borrowed(action),
    }
}

/// The reply that takes this step, its action as bare text.
pub fn render_reply(step: &Step) -> String {
    format!("{}\n{}", render_thought(step), step.action.text())
}

fn render_thought(step: &Step) -> String {
    let thought = match step.thought.trim() {
        // A reply without a thought is malformed, so an expert that said nothing gets the least one.
        "" => "…".to_owned(),
        thought => thought.replace("<think>", "").replace("</think>", ""),
    };
    format!("<think>{thought}</think>")
}

fn render_observation(scaffold: &Scaffold, observation: Option<&Observation>) -> String {
    let output = observation.map_or("", |o| o.output.trim_end());
    let output = clip_middle(output, scaffold.observation_chars);
    scaffold.observation.filled(&[("output", output.into())])
}

fn clip_middle(text: &str, limit: usize) -> String {
    let total = text.chars().count();
    if total <= limit {
        return text.to_owned();
    }
    let half = limit / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(total - half).collect();
    format!("{head}\n[… {} characters left out …]\n{tail}", total - 2 * half)
}

/// Reads a reply: exactly one `<think>…</think>` first, a thought, an action.
///
/// # Errors
/// A [`FormatError`], which is data: it earns the penalty.
pub fn parse_reply(text: &str) -> Result<Reply<'_>, FormatError> {
    let rest = text.trim_start().strip_prefix("<think>").ok_or(FormatError::NoThought)?;
    let (thought, action) = rest.split_once("</think>").ok_or(FormatError::NoThought)?;
    if [thought, action].iter().any(|part| part.contains("<think>") || part.contains("</think>")) {
        return Err(FormatError::SeveralThoughts);
    }
    match (thought.trim(), action.trim()) {
        ("", _) => Err(FormatError::EmptyThought),
        (_, "") => Err(FormatError::EmptyAction),
        (_, action) if calls::is_call(action) && calls::read(action).is_none() => {
            Err(FormatError::UnreadableCall)
        }
        (thought, action) => Ok(Reply { thought, action }),
    }
}

#[cfg(test)]
mod tests;

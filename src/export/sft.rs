//! Chats for supervised fine-tuning: one conversation a trajectory.
//!
//! Guarantees that a conversation ends with the expert and that steps which were not executed are left out. A turn that is
//! no target stays, because later ones build on it, and says `"weight": 0`, as OpenAI's fine-tuning reads it.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::{Chat, ChatSink, ExportFormat, Options, Sink, Thoughts};
use crate::chat::{Context, Message, Role, Scaffold, conversation, solving};
use crate::fsio::whole::WholeFile;
use crate::task::Kind;
use crate::trajectory::Step;

/// Lists of messages.
pub(super) struct Sft;

impl ExportFormat for Sft {
    fn name(&self) -> &'static str {
        "sft"
    }

    fn about(&self) -> &'static str {
        "one chat a trajectory, as JSON lines of messages"
    }

    fn open(&self, out: &Path, options: Options) -> anyhow::Result<Sink> {
        Ok(Sink::Chats(Box::new(Chats { file: WholeFile::create(out)?, thoughts: options.thoughts })))
    }
}

struct Chats {
    file: WholeFile,
    thoughts: Thoughts,
}

impl ChatSink for Chats {
    fn push(&mut self, chat: Chat<'_>) -> anyhow::Result<()> {
        let Chat { task, trajectory, targets, scaffold } = chat;
        if task.kind == Kind::Math {
            // The steps of a solution are no turns: a chat is the problem and the whole solution.
            let mut messages = solving(task);
            messages.push(Message { role: Role::Assistant, content: trajectory.solution() });
            return self
                .file
                .push(&json!({"messages": messages, "trajectory": trajectory.id, "task": task.id}));
        }
        let executed = trajectory.steps.iter().enumerate().filter(|(_, step)| step.executed);
        let (numbers, steps): (Vec<usize>, Vec<Step>) =
            executed.map(|(index, step)| (index, step.clone())).unzip();
        // A chat is the whole conversation; a trainer cuts it.
        let scaffold = Scaffold { context: Context::Full, ..scaffold.clone() };
        let mut messages = conversation(&scaffold, task, &steps);
        // What came after the last step is nothing to answer.
        messages.pop_if(|message| message.role == Role::User && !steps.is_empty());
        let mut replies = numbers.iter().zip(&steps);
        let turn = |mut message: Message| {
            let mut is_target = true;
            if message.role == Role::Assistant
                && let Some((index, step)) = replies.next()
            {
                said(&mut message, step, self.thoughts);
                is_target = targets.contains(index);
            }
            Turn { message, weight: (!is_target).then_some(0) }
        };
        let turns: Vec<Turn> = messages.into_iter().map(turn).collect();
        self.file.push(&json!({"messages": turns, "trajectory": trajectory.id, "task": task.id}))
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec![self.file.finish()?])
    }
}

#[derive(Serialize)]
struct Turn {
    #[serde(flatten)]
    message: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u8>,
}

fn said(message: &mut Message, step: &Step, thoughts: Thoughts) {
    let action = step.action.text();
    match (thoughts, step.thought.trim()) {
        (Thoughts::Tags, _) => {}
        (Thoughts::Plain, thought) if !thought.is_empty() => {
            message.content = format!("{thought}\n\n{action}");
        }
        _ => message.content = action.into_owned(),
    }
}

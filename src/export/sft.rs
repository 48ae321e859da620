//! Chats for supervised fine-tuning: one conversation a trajectory.
//!
//! Guarantees that a conversation ends with the expert and that steps which were not executed are left out: a trainer
//! would learn them.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{ChatSink, ExportFormat, Options, Sink, Thoughts};
use crate::chat::{Message, Role, Scaffold, conversation};
use crate::fsio::whole::WholeFile;
use crate::task::Task;
use crate::trajectory::{Step, Trajectory};

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
    fn push(&mut self, task: &Task, trajectory: &Trajectory) -> anyhow::Result<()> {
        let steps: Vec<Step> = trajectory.steps.iter().filter(|step| step.executed).cloned().collect();
        let mut messages = conversation(&Scaffold::default(), task, &steps);
        let replies = messages.iter_mut().filter(|message| message.role == Role::Assistant);
        for (message, step) in replies.zip(&steps) {
            said(message, step, self.thoughts);
        }
        // What came after the last step is nothing to answer.
        messages.pop_if(|message| message.role == Role::User && !steps.is_empty());
        self.file.push(&json!({"messages": messages, "trajectory": trajectory.id, "task": task.id}))
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec![self.file.finish()?])
    }
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

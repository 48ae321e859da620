//! Lessons: examples written out, as files of examples and other trainers' data hold them.
//!
//! Guarantees the same messages and reply as our own trainer makes of an example, as long as no hint is asked for.

use super::hint;
use crate::chat::{Context, Message, Scaffold, conversation};
use crate::example::Example;
use crate::trajectory::Step;

/// Whether the student is told the title of the step that it is to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hint {
    /// It is not.
    #[default]
    Off,
    /// It is, where the step has a title (mathematics).
    Title,
}

/// How examples are written out.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// What the student is told, and how much of the history it sees.
    pub scaffold: Scaffold,
    /// Whether it is told the next step's title.
    pub hint: Hint,
}

/// An example written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson<'a> {
    /// The trajectory's id.
    pub trajectory: &'a str,
    /// The task's id.
    pub task: &'a str,
    /// `code` or `math`.
    pub ability: &'static str,
    /// The step's number in the record, from 1.
    pub step: usize,
    /// What the student sees.
    pub messages: Vec<Message>,
    /// What the expert said.
    pub reply: String,
    /// The bare action in it.
    pub action: String,
}

impl Style {
    /// The steps of the history that the student sees.
    pub fn shown<'a>(&self, example: &Example<'a>) -> &'a [Step] {
        match self.scaffold.context {
            Context::Full => example.history,
            Context::Last(n) => &example.history[example.history.len().saturating_sub(n)..],
        }
    }

    /// The conversation before the example's step, without the oldest `lost` of the steps shown.
    pub fn messages(&self, example: &Example<'_>, lost: usize) -> Vec<Message> {
        let scaffold = Scaffold { context: Context::Full, ..self.scaffold.clone() };
        let mut messages = conversation(&scaffold, example.task, &self.shown(example)[lost..]);
        if self.hint == Hint::Title {
            hint::add(&mut messages, example);
        }
        messages
    }

    /// The lesson of an example whose step has this number in the record.
    pub fn lesson<'a>(&self, number: usize, example: &Example<'a>, lost: usize) -> Lesson<'a> {
        Lesson {
            trajectory: example.trajectory,
            task: &example.task.id,
            ability: match example.task.kind {
                crate::task::Kind::Code => "code",
                crate::task::Kind::Math => "math",
            },
            step: number,
            messages: self.messages(example, lost),
            reply: self.scaffold.reply(example.expert),
            action: example.action().text().into_owned(),
        }
    }
}

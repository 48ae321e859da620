//! TRL: conversational prompts and completions, with the expert's step as a column for the reward.
//!
//! One file serves GRPO, which reads the prompt and hands the other columns to the reward, and SFT, which reads both.

use std::path::Path;

use serde_json::{Value, json};

use super::lines::Lines;
use super::{ExportFormat, Options, Sink, plugin};
use crate::curate::lesson::Lesson;
use crate::fsio::whole::WholeFile;

/// TRL's data sets.
pub(super) struct Trl;

impl ExportFormat for Trl {
    fn name(&self) -> &'static str {
        "trl"
    }

    fn about(&self) -> &'static str {
        "prompt and completion for TRL's GRPO and SFT trainers"
    }

    fn open(&self, out: &Path, options: Options) -> anyhow::Result<Sink> {
        let reward = plugin::source(options.scope, include_str!("plugin/trl.py"));
        Ok(Sink::Lessons(Box::new(Lines {
            file: WholeFile::create(&out.join("train.jsonl"))?,
            row,
            beside: vec![(out.join(plugin::FILE), reward)],
        })))
    }
}

fn row(lesson: &Lesson<'_>) -> Value {
    json!({
        "prompt": lesson.messages,
        "completion": [{"role": "assistant", "content": lesson.reply}],
        "expert_step": lesson.action,
        "trajectory": lesson.trajectory,
        "task": lesson.task,
        "step": lesson.step,
    })
}

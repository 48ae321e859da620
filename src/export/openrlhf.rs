//! OpenRLHF: a prompt and a label, the expert's step.

use std::path::Path;

use serde_json::{Value, json};

use super::lines::Lines;
use super::{ExportFormat, Options, Sink, plugin};
use crate::curate::lesson::Lesson;
use crate::fsio::whole::WholeFile;

/// OpenRLHF's prompt data sets.
pub(super) struct OpenRlhf;

impl ExportFormat for OpenRlhf {
    fn name(&self) -> &'static str {
        "openrlhf"
    }

    fn about(&self) -> &'static str {
        "prompt and label for OpenRLHF"
    }

    fn open(&self, out: &Path, options: Options) -> anyhow::Result<Sink> {
        let reward = plugin::source(options.scope, include_str!("plugin/openrlhf.py"));
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
        "label": lesson.action,
        "trajectory": lesson.trajectory,
        "task": lesson.task,
        "step": lesson.step,
    })
}

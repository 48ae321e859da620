//! prime-rl and verifiers (v1): a Python package with a task set, its data and its reward.

use std::path::Path;

use serde_json::{Value, json};

use super::lines::Lines;
use super::{ExportFormat, Options, Sink, plugin};
use crate::curate::lesson::Lesson;
use crate::fsio::whole::WholeFile;

/// A package of verifiers.
pub(super) struct Prime;

const PROJECT: &str = "[project]
name = \"apprentice-srl\"
version = \"0.1.0\"
description = \"Step-wise SRL on an expert's trajectories\"
requires-python = \">=3.11\"
dependencies = [\"verifiers>=0.4\"]

[build-system]
requires = [\"hatchling\"]
build-backend = \"hatchling.build\"

[tool.hatch.build.targets.wheel]
packages = [\"apprentice_srl\"]
";

impl ExportFormat for Prime {
    fn name(&self) -> &'static str {
        "prime"
    }

    fn about(&self) -> &'static str {
        "a package for verifiers and prime-rl"
    }

    fn open(&self, out: &Path, options: Options) -> anyhow::Result<Sink> {
        let package = out.join("apprentice_srl");
        Ok(Sink::Lessons(Box::new(Lines {
            file: WholeFile::create(&package.join("data.jsonl"))?,
            row,
            beside: vec![
                (out.join("pyproject.toml"), PROJECT.to_owned()),
                (package.join("__init__.py"), include_str!("plugin/prime.py").to_owned()),
                (package.join(plugin::FILE), plugin::source(options.scope, "")),
            ],
        })))
    }
}

fn row(lesson: &Lesson<'_>) -> Value {
    json!({
        "id": format!("{}#{}", lesson.trajectory, lesson.step),
        "prompt": lesson.messages,
        "expert_step": lesson.action,
        "trajectory": lesson.trajectory,
        "task": lesson.task,
        "step": lesson.step,
    })
}

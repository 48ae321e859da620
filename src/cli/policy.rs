//! Policies as they are named on the command line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::anyhow;
use serde::Deserialize;

use super::ask::AskArgs;
use super::failure::Failure;
use crate::fsio;
use crate::grade::JobPrediction;
use crate::policy::{Policy, Scripted};
use crate::remote::{Dialect, Endpoint};
use crate::task::LoadedTask;
use crate::trajectory::Trajectory;

/// A policy's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// Does what the trajectories of a file did.
    Expert(PathBuf),
    /// Says what a file says: JSON lines of `{"task": id, "replies": [text, …]}`.
    Scripted(PathBuf),
    /// A model directory.
    Checkpoint(PathBuf),
    /// A model behind an endpoint.
    Remote(Endpoint),
    /// Applies the task's own solution.
    Gold,
    /// Does nothing.
    Noop,
}

/// A policy that is ready.
pub(super) enum Chosen {
    /// It acts in sandboxes.
    Policy(Box<dyn Policy>),
    /// Its patch is known without acting.
    Prediction(JobPrediction),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    task: String,
    replies: Vec<String>,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "gold" => Ok(Self::Gold),
            None if text == "noop" => Ok(Self::Noop),
            Some(("expert", file)) => Ok(Self::Expert(file.into())),
            Some(("scripted", file)) => Ok(Self::Scripted(file.into())),
            Some(("checkpoint", dir)) => Ok(Self::Checkpoint(dir.into())),
            Some((dialect, _)) if Dialect::named(dialect).is_some() => text.parse().map(Self::Remote),
            _ => Err("use expert:FILE, scripted:FILE, checkpoint:DIR, openai:URL#MODEL (or vllm:, sglang:, mistralrs:), \
                gold or noop"
                .to_owned()),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expert(file) => write!(f, "expert:{}", file.display()),
            Self::Scripted(file) => write!(f, "scripted:{}", file.display()),
            Self::Checkpoint(dir) => write!(f, "checkpoint:{}", dir.display()),
            Self::Remote(endpoint) => endpoint.fmt(f),
            Self::Gold => f.write_str("gold"),
            Self::Noop => f.write_str("noop"),
        }
    }
}

impl Named {
    /// The policy itself.
    ///
    /// # Errors
    /// When its file is invalid, or it has nothing to say on one of the tasks.
    pub(super) fn open(
        &self,
        tasks: &BTreeMap<String, LoadedTask>,
        ask: &AskArgs,
    ) -> Result<Chosen, Failure> {
        if !matches!(self, Self::Remote(_)) {
            ask.check_no_endpoint(&self.to_string())?;
        }
        match self {
            Self::Gold => Ok(Chosen::Prediction(JobPrediction::Gold)),
            Self::Noop => Ok(Chosen::Prediction(JobPrediction::Noop)),
            Self::Expert(file) => {
                let trajectories: Vec<Trajectory> = fsio::read_json_lines(file).map_err(Failure::input)?;
                known(Scripted::expert(self.to_string(), &trajectories), file, tasks).map(Chosen::Policy)
            }
            Self::Scripted(file) => {
                let scripts: Vec<Script> = fsio::read_json_lines(file).map_err(Failure::input)?;
                let replies = scripts.into_iter().map(|script| (script.task, script.replies)).collect();
                known(Scripted::new(self.to_string(), replies), file, tasks).map(Chosen::Policy)
            }
            Self::Checkpoint(dir) => checkpoint(dir, self.to_string(), ask),
            Self::Remote(endpoint) => Ok(Chosen::Policy(Box::new(ask.remote(endpoint)?))),
        }
    }
}

/// A task without a script would count as the policy's failure, which it is not.
pub(super) fn known(
    policy: Scripted,
    file: &Path,
    tasks: &BTreeMap<String, LoadedTask>,
) -> Result<Box<dyn Policy>, Failure> {
    match tasks.keys().find(|task| !policy.knows(task)) {
        None => Ok(Box::new(policy)),
        Some(task) => Err(Failure::input(anyhow!("`{}` says nothing on task `{task}`", file.display()))
            .with_hint("name only tasks that it covers, by `--tasks`")),
    }
}

#[cfg(feature = "train")]
fn checkpoint(dir: &Path, name: String, ask: &AskArgs) -> Result<Chosen, Failure> {
    use crate::model::cpu;
    use crate::model::policy::StudentPolicy;
    use crate::model::{SampleOptions, Student};

    ask.check()?;
    let default = SampleOptions::default();
    let max_new_tokens = ask.reply_tokens.unwrap_or(default.max_new_tokens);
    let options = SampleOptions { temperature: ask.temperature, max_new_tokens, ..default };
    let dir = crate::train::checkpoint::pointed(dir).map_err(Failure::input)?;
    let student = Student::load(&dir, &cpu()).map_err(super::model::failure)?;
    Ok(Chosen::Policy(Box::new(StudentPolicy { student, options, name })))
}

#[cfg(not(feature = "train"))]
fn checkpoint(_dir: &Path, name: String, _ask: &AskArgs) -> Result<Chosen, Failure> {
    Err(Failure::usage(anyhow!("`{name}` needs a program built with the feature `train`")))
}

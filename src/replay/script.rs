//! What a trajectory runs: its actions, moved from the recording's directory to the sandbox's.
//!
//! Guarantees that what the scaffold refused when it was recorded is not run, and that only the last `submit` ends an
//! episode: one before it made the scaffold ask for a review. Runs nothing itself.

use std::sync::LazyLock;

use regex::Regex;

use super::normal::{self, Places};
use crate::sandbox::spec::is_workdir;
use crate::trajectory::{Action, EditorCall, EditorSetup, Trajectory};

/// A trajectory's actions, ready to be run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Script {
    pub(super) places: Places,
    /// One entry a step; absent where nothing is run.
    pub(super) actions: Vec<Option<Action>>,
}

/// What must agree for two trajectories of a task to share a sandbox.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ground {
    pub(super) fresh_shells: bool,
    pub(super) editor: Option<EditorSetup>,
}

impl Ground {
    pub(super) fn of(trajectory: &Trajectory) -> Self {
        Self { fresh_shells: trajectory.source.fresh_shells, editor: trajectory.source.editor }
    }
}

impl Script {
    /// The actions of `trajectory` in a sandbox whose work directory is `workdir`.
    pub(super) fn new(trajectory: &Trajectory, workdir: &str) -> Self {
        let recorded = recorded_workdir(trajectory).unwrap_or_else(|| workdir.to_owned());
        let places = Places { recorded, replayed: workdir.to_owned() };
        let last = trajectory.steps.iter().rposition(|step| step.executed);
        let action = |(at, step): (usize, &crate::trajectory::Step)| {
            let is_review = step.action == Action::Submit && Some(at) != last;
            (step.executed && !is_review).then(|| moved(&step.action, &places))
        };
        let actions = trajectory.steps.iter().enumerate().map(action).collect();
        Self { places, actions }
    }

    /// The actions that are run, in order.
    pub(super) fn run(&self) -> Vec<Action> {
        self.actions.iter().flatten().cloned().collect()
    }
}

/// The directory that the repository had: as the record says, else as its commands name it. One that no sandbox can
/// have, such as `/` or one with `..`, is not believed.
pub fn recorded_workdir(trajectory: &Trajectory) -> Option<String> {
    // OpenHands gives each repository a directory of its own, named after it and its version.
    static WORKSPACE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"/workspace/[\w.-]+?__[\w.-]*\w|/testbed\b").expect("invariant: the pattern is fixed")
    });
    let named = || {
        let texts = trajectory.steps.iter().map(|step| step.action.text());
        texts.into_iter().find_map(|text| Some(WORKSPACE.find(&text)?.as_str().to_owned()))
    };
    trajectory.source.workdir.clone().or_else(named).filter(|workdir| is_workdir(workdir))
}

/// The action with the recorded work directory replaced by the sandbox's, where they differ.
pub(super) fn moved(action: &Action, places: &Places) -> Action {
    if places.recorded == places.replayed {
        return action.clone();
    }
    let there = |text: &str| normal::moved(text, &places.recorded, &places.replayed);
    match action {
        Action::Bash { command } => Action::bash(there(command)),
        Action::Editor(call) => {
            let arguments = call.arguments.iter().map(|(key, value)| {
                let value = value.as_str().map_or_else(|| value.clone(), |text| there(text).into());
                (key.clone(), value)
            });
            Action::Editor(EditorCall {
                text: there(&call.text),
                arguments: arguments.collect(),
                ..call.clone()
            })
        }
        action => action.clone(),
    }
}

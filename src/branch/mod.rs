//! Branches: students' actions run in forks of the states that an expert acted in, and rewarded for what they do there.
//!
//! Implements [`StepReward`] over `replay`, `act` and `grade`. The expert's trajectory is run once; each state that it
//! acted in is forked for every distinct action. Guarantees that the expert's own action earns exactly 1, that equal
//! actions earn equal rewards, that a reward depends on the states and actions alone, and that a sandbox which is lost is
//! made again and never becomes a reward. docs/effect.md has the formula.

mod cost;
mod forest;
mod kept;
mod potentials;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;

use crate::chat::bare;
use crate::editor;
use crate::example::Example;
use crate::group::Reward;
use crate::policy::Sample;
use crate::replay::{self, Options, Work};
use crate::reward::effect::{Effect, EffectReward, MixReward};
use crate::reward::{StepReward, TextReward, read};
use crate::trajectory::{Action, EditorCall, Trajectory};
pub use cost::Cost;
use forest::Forest;

/// What a reply earns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Judging {
    /// By its effect alone.
    Effect(EffectReward),
    /// By text and effect.
    Mix(MixReward),
}

impl Judging {
    /// How effects are compared.
    pub fn effect(self) -> EffectReward {
        match self {
            Self::Effect(effect) => effect,
            Self::Mix(mix) => mix.effect,
        }
    }

    /// What the student's action earns beside the expert's.
    fn value(self, expert: (&str, &Effect), student: (&str, &Effect)) -> f64 {
        let text = |reward: TextReward| reward.similarity(expert.0, student.0);
        let of_effects =
            |effect: EffectReward| effect.likeness(expert.1, student.1, || text(TextReward::default())).value;
        match self {
            Self::Effect(effect) => of_effects(effect),
            Self::Mix(mix) => mix.of(text(mix.text), of_effects(mix.effect)),
        }
    }
}

/// Rewards replies by what they do.
pub struct Branches {
    judging: Judging,
    /// Drives the sandboxes, which are asynchronous, for a trainer, which is not.
    runtime: Arc<Runtime>,
    forest: Mutex<Forest>,
}

impl Branches {
    /// A judge of replies to the steps of `works`; `options.parallel` branches run at a time.
    ///
    /// # Errors
    /// When two trajectories have the same id, or a repository cannot be prepared.
    pub fn new(works: Vec<Work>, options: Options, judging: Judging, runtime: Arc<Runtime>) -> Result<Self> {
        let forest = runtime.block_on(Forest::new(works, options, judging.effect()))?;
        Ok(Self { judging, runtime, forest: Mutex::new(forest) })
    }

    /// What the expert did at `step` (from 0) of a trajectory.
    ///
    /// # Errors
    /// When its sandbox is lost again and again, or the host fails otherwise.
    pub fn expert(&self, trajectory: &str, step: usize) -> Result<Arc<Effect>> {
        let mut forest = self.forest();
        let grown = self.runtime.block_on(forest.grow(trajectory, step, &[]));
        let place = || format!("could not run step {} of trajectory `{trajectory}`", step + 1);
        Ok(grown.with_context(place)?.0)
    }

    fn forest(&self) -> std::sync::MutexGuard<'_, Forest> {
        self.forest.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

impl Drop for Branches {
    fn drop(&mut self) {
        // Where a panic left the lock poisoned, sandboxes end with this process.
        if let Ok(forest) = self.forest.get_mut() {
            self.runtime.block_on(forest.end());
        }
    }
}

impl StepReward for Branches {
    fn rewards(&self, example: &Example<'_>, replies: &[Sample]) -> Result<Vec<Reward>> {
        let said: Vec<Option<&str>> =
            replies.iter().map(|reply| read(reply).ok().map(|reply| reply.action)).collect();
        let texts: Vec<&str> = said.iter().flatten().copied().collect();
        if texts.is_empty() {
            return Ok(vec![Reward::MALFORMED; replies.len()]);
        }
        let (id, step) = (example.trajectory, example.index);
        let mut forest = self.forest();
        let grown = self.runtime.block_on(forest.grow(id, step, &texts));
        let (expert, students) = grown.with_context(|| {
            format!("could not run the replies to step {} of trajectory `{id}`", step + 1)
        })?;
        let expert_text = example.action().text();
        let mut students = std::iter::zip(texts, students);
        let reward = |said: Option<&str>| {
            let Some((text, student)) = said.and_then(|_| students.next()) else { return Reward::MALFORMED };
            Reward::new(self.judging.value((&expert_text, &expert), (text, &student)))
        };
        Ok(said.into_iter().map(reward).collect())
    }

    fn cost(&self) -> BTreeMap<String, f64> {
        self.forest().take_cost().metrics()
    }
}

/// The action that a student's text asks for where it was shown `trajectory`: as in a rollout, and a call of the editor
/// that the expert used is one.
fn action_of(text: &str, trajectory: &Trajectory, workdir: &str) -> Action {
    let dialect = trajectory.steps.iter().find_map(|step| match &step.action {
        Action::Editor(call) => Some(call.dialect),
        _ => None,
    });
    let text = bare(text);
    let action = match (text.trim(), dialect) {
        ("submit", _) => Action::Submit,
        (call, Some(dialect)) if editor::is_call(dialect, call) => {
            Action::Editor(EditorCall { dialect, text: call.to_owned(), arguments: serde_json::Map::new() })
        }
        (command, _) => Action::bash(command),
    };
    replay::action_like(trajectory, workdir, &action)
}

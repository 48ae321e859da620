//! Profiling: which of the experts' steps are worth practising, judged once before a training by the student that it begins
//! with (PivotRL, arXiv 2603.21383).
//!
//! A step whose replies all earn alike gives no advantage, and one that the student takes as the expert does has nothing
//! left to teach. Guarantees that equal students find the same, and that no reward comes from anywhere but the judge.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::TrainConfig;
use super::data::{DataSet, name};
use super::reinforce::Groups;
use crate::group::{Attempt, Group};
use crate::model::{Prompt, Student};
use crate::reward::StepReward;
use crate::seed;

/// Name and version in the first field of a line of `profile.jsonl`.
pub const FORMAT: &str = "apprentice.profile/1";

/// Which steps are practised on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Replies to each step; 0 asks for none and takes all steps.
    pub samples: usize,
    /// The population standard deviation of their rewards must exceed this,
    pub min_spread: f64,
    /// and their mean must be below this; above 1 every mean is.
    pub max_mean: f64,
}

impl Default for Selection {
    fn default() -> Self {
        Self { samples: 0, min_spread: 0.01, max_mean: 2.0 }
    }
}

/// What the student did at a step: a line of `profile.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Always [`FORMAT`].
    pub format: String,
    /// The trajectory's id.
    pub trajectory: String,
    /// Which of its steps, from 1.
    pub step: usize,
    /// What each reply earned.
    pub rewards: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Their population standard deviation.
    pub spread: f64,
    /// Whether the step is practised on.
    pub kept: bool,
}

/// Profiles every step of `data` that fits the context, in their order; `done` hears how many were answered so far.
///
/// # Errors
/// When the judge, the device or `done` fails.
pub fn profile(
    config: &TrainConfig,
    (selection, groups): (Selection, &Groups),
    data: &DataSet<'_>,
    (student, judge): (&Student, &dyn StepReward),
    mut done: impl FnMut(u64) -> Result<()>,
) -> Result<Vec<Profile>> {
    let prompter = config.prompter(student);
    let sampling = groups.sampling(config.limits.reply);
    let mut profiles = Vec::with_capacity(data.examples().len());
    for (chunk_idx, examples) in data.examples().chunks(Prompt::AT_ONCE).enumerate() {
        let (mut prompts, mut answered) = (Vec::new(), Vec::new());
        for (index, example) in examples.iter().enumerate() {
            let Some(fitted) = prompter.prompt(student.tokenizer(), example)? else { continue };
            let place = (chunk_idx * Prompt::AT_ONCE + index) as u64;
            let seed = seed::derive(config.seed, "profile", &[place]);
            prompts.push(Prompt { tokens: fitted.tokens, n: selection.samples, seed });
            answered.push(example);
        }
        for (example, replies) in answered.into_iter().zip(student.generate(&prompts, &sampling)?) {
            let context = || format!("could not profile step {}", name(example));
            let rewards = judge.rewards(example, &replies).with_context(context)?;
            let attempt = |(reply, reward)| Attempt { replies: vec![reply], reward };
            let group =
                Group::new(replies.into_iter().zip(rewards).map(attempt).collect()).with_context(context)?;
            profiles.push(Profile {
                format: FORMAT.to_owned(),
                trajectory: example.trajectory.to_owned(),
                step: example.index + 1,
                rewards: group.attempts().iter().map(|attempt| attempt.reward.value).collect(),
                mean: group.mean(),
                spread: group.spread(),
                kept: selection.keeps(&group),
            });
        }
        done(profiles.len() as u64)?;
    }
    Ok(profiles)
}

impl Selection {
    fn keeps(&self, group: &Group) -> bool {
        group.is_informative(self.min_spread) && group.mean() < self.max_mean
    }
}

/// The steps that are practised on: trajectories' ids with numbers from 1.
pub fn kept(profiles: &[Profile]) -> BTreeSet<(&str, usize)> {
    profiles
        .iter()
        .filter(|profile| profile.kept)
        .map(|profile| (&*profile.trajectory, profile.step))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Reward;
    use crate::policy::Sample;

    #[test]
    fn steps_are_kept_whose_replies_differ_and_are_not_good_enough() {
        let selection = Selection { samples: 2, min_spread: 0.1, max_mean: 0.9 };
        let cases = [
            ([0.2, 0.8], true),
            // Alike.
            ([0.5, 0.5], false),
            // Spread 0.05.
            ([0.5, 0.6], false),
            // Mean 0.9.
            ([0.8, 1.0], false),
        ];
        for (rewards, expected) in cases {
            let attempt =
                |value| Attempt { replies: vec![Sample::from_text("")], reward: Reward::new(value) };
            let group = Group::new(rewards.map(attempt).to_vec()).unwrap();
            assert_eq!(selection.keeps(&group), expected, "{rewards:?}");
        }
    }
}

//! GRPO on outcomes (RLVR): the student works on whole tasks by itself, and each group of its episodes is rewarded by
//! what became of the tasks.
//!
//! An episode is one sequence: its replies share an advantage, and what they saw in between is read and not learned.
//! The loop is [`reinforce`]'s. Runs no task: a [`Practice`] does, and knows no token.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, ensure};

use super::data::Deck;
use super::reinforce::{self, Harvest, Reinforcement, Source};
use super::samples::About;
use super::{Outcome, TrainConfig, Training};
use crate::group::{Attempt, Group, Reward};
use crate::model::{SampleOptions, Student};
use crate::policy::{Policy, Sample, SampleRequest};
use crate::seed;

/// Tasks that a policy can work on.
pub trait Practice {
    /// Their ids, each once.
    fn tasks(&self) -> Vec<String>;

    /// Lets a policy try each of `tasks`, indices of [`Self::tasks`], `n` times; gives what each try earned, in order,
    /// and nothing for a try that the host lost.
    ///
    /// Requests carry the task's id, the try from 0 to `n` − 1 and the step; a try that begins again, again from step 0.
    ///
    /// # Errors
    /// When the policy fails, or the host cannot work on tasks at all.
    fn rewards(
        &mut self,
        policy: &mut dyn Policy,
        tasks: &[usize],
        n: usize,
        seed: u64,
    ) -> Result<Vec<Vec<Option<Reward>>>>;
}

/// Trains until the budget is used.
///
/// # Errors
/// When there is no task, none fits the context, the practice or an update fails, or a file cannot be written.
pub fn train(
    config: &TrainConfig,
    method: &Reinforcement,
    practice: &mut dyn Practice,
    training: &mut Training<'_>,
) -> Result<Outcome> {
    let ids = practice.tasks();
    ensure!(!ids.is_empty(), "there is no task to practise on");
    let hands = (0..ids.len()).map(|task| vec![task]).collect();
    let deck = Deck::new(hands, config.seed, training.progress.dealt);
    let context = config.limits.context.min(training.student.config().max_positions);
    let max_prompt = context.saturating_sub(config.limits.reply);
    let sampling = method.groups.sampling(config.limits.reply);
    let n = method.groups.group_size;
    reinforce::train(config, method, &mut Tasks { practice, ids, deck, n, sampling, max_prompt }, training)
}

/// Groups of episodes.
struct Tasks<'a> {
    practice: &'a mut dyn Practice,
    ids: Vec<String>,
    deck: Deck,
    n: usize,
    sampling: SampleOptions,
    max_prompt: usize,
}

impl Source for Tasks<'_> {
    fn draw(&mut self, count: usize, seed: u64, student: &Student, harvest: &mut Harvest) -> Result<()> {
        for (round_idx, tasks) in without_twins(self.deck.deal(count)).into_iter().enumerate() {
            let seed = seed::derive(seed, "practice", &[round_idx as u64]);
            let mut player = Player::new(student, self.sampling, self.max_prompt);
            let rewards = self
                .practice
                .rewards(&mut player, &tasks, self.n, seed)
                .context("could not let the student work on tasks")?;
            ensure!(
                rewards.len() == tasks.len(),
                "invariant: the tries of every task are rewarded, in order"
            );
            for (task, rewards) in std::iter::zip(tasks, rewards) {
                let said = player.said.remove(&self.ids[task]).unwrap_or_default();
                gather(&self.ids[task], rewards, said, harvest)?;
            }
        }
        Ok(())
    }

    fn dealt(&self) -> u64 {
        self.deck.dealt()
    }

    fn epoch(&self) -> u64 {
        self.deck.epoch()
    }

    fn fruitless(&self) -> anyhow::Error {
        anyhow!(
            "the student could not try a single task: the host lost its sandboxes, or no problem fits the context"
        )
    }
}

/// Cuts tasks, in order, into runs that hold none twice, as tries are told apart by task: a batch may reach into the
/// next epoch.
fn without_twins(tasks: Vec<usize>) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    let mut seen = BTreeSet::new();
    for task in tasks {
        if runs.is_empty() || !seen.insert(task) {
            runs.push(Vec::new());
            seen = BTreeSet::from([task]);
        }
        runs.last_mut().expect("invariant: a task begins a run where none is").push(task);
    }
    runs
}

/// Makes a group of the tries at a task that the host did not lose.
fn gather(
    task: &str,
    rewards: Vec<Option<Reward>>,
    mut said: BTreeMap<usize, Vec<Sample>>,
    harvest: &mut Harvest,
) -> Result<()> {
    for turn in 0.. {
        let replies = said.values().filter_map(|replies: &Vec<Sample>| replies.get(turn));
        if replies.clone().next().is_none() {
            break;
        }
        harvest.tally.count_sampling_apart(replies);
    }
    if said.is_empty() && rewards.iter().any(Option::is_some) {
        harvest.tally.too_long += 1;
        return Ok(());
    }
    let mut attempts = Vec::with_capacity(rewards.len());
    for (attempt, reward) in rewards.into_iter().enumerate() {
        match reward {
            Some(reward) => {
                let replies = said.remove(&attempt).unwrap_or_default();
                attempts.push(Attempt { replies, reward });
            }
            None => harvest.tally.lost += 1,
        }
    }
    // What is left of a group whose other tries were lost has nothing to compare with.
    if 2 <= attempts.len() {
        let group = Group::new(attempts).with_context(|| format!("could not group the tries at {task}"))?;
        harvest.take(About::Task(task), group);
    }
    Ok(())
}

/// The student as it works on tasks; remembers the tokens of what it said.
struct Player<'a> {
    student: &'a Student,
    sampling: SampleOptions,
    max_prompt: usize,
    /// Replies by task and try, in order.
    said: BTreeMap<String, BTreeMap<usize, Vec<Sample>>>,
}

impl<'a> Player<'a> {
    fn new(student: &'a Student, sampling: SampleOptions, max_prompt: usize) -> Self {
        Self { student, sampling, max_prompt, said: BTreeMap::new() }
    }

    fn fits(&self, request: &SampleRequest) -> Result<bool> {
        Ok(self.student.tokenizer().encode_prompt(&request.messages)?.len() <= self.max_prompt)
    }

    fn remember(&mut self, request: &SampleRequest, sample: &Sample) {
        let tries = self.said.entry(request.task.clone()).or_default();
        let replies = tries.entry(request.attempt).or_default();
        // A try whose sandbox was lost began again.
        replies.truncate(request.step);
        replies.push(sample.clone());
    }
}

impl Policy for Player<'_> {
    fn name(&self) -> String {
        "student".to_owned()
    }

    fn sample(&mut self, requests: &[SampleRequest]) -> Result<Vec<Vec<Sample>>> {
        let mut replies = vec![Vec::new(); requests.len()];
        let mut places = Vec::new();
        for (place, request) in requests.iter().enumerate() {
            if self.fits(request)? {
                places.push(place);
            }
        }
        let fitting: Vec<SampleRequest> = places.iter().map(|&place| requests[place].clone()).collect();
        for (place, samples) in std::iter::zip(places, self.student.answer(&fitting, &self.sampling)?) {
            for sample in &samples {
                self.remember(&requests[place], sample);
            }
            replies[place] = samples;
        }
        Ok(replies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_no_task_twice_and_keep_the_order() {
        assert_eq!(without_twins(vec![2, 0, 1, 0, 2, 2]), [vec![2, 0, 1], vec![0, 2], vec![2]]);
        assert!(without_twins(Vec::new()).is_empty());
    }
}

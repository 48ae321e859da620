//! Practice: the student works on tasks in sandboxes, and each try earns what the grader says of it.
//!
//! Implements [`grpo::Practice`](Practice) over `rollout` and `grade`: 1 where the task is resolved, else 0. Guarantees
//! that a sandbox which is lost gives no reward at all, and that equal patches of a task are graded once. Knows no
//! token: whoever asks remembers what was said. Mathematics is practised without sandboxes, in [`Exercises`].

mod exercises;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use anyhow::{Result, bail};
use tokio::runtime::Runtime;

use crate::grade::{self, JobPrediction, Verdict};
use crate::group::Reward;
use crate::policy::Policy;
use crate::rollout::{self, Finished};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, SandboxError};
use crate::task::LoadedTask;
use crate::train::grpo::Practice;
use crate::trajectory::End;
use crate::workspace::Workspace;

pub use exercises::Exercises;

/// A task with all that it takes to work on it.
#[derive(Clone)]
pub struct Place {
    /// The task.
    pub task: Arc<LoadedTask>,
    /// The sandbox that it names.
    pub spec: Arc<SandboxSpec>,
    /// What starts that sandbox.
    pub backend: Arc<dyn Backend>,
    /// Its repository.
    pub workspace: Workspace,
}

/// Where a student practises.
pub struct Workshop {
    /// Its tasks.
    pub places: Vec<Place>,
    /// How episodes run; the seed is that of each batch.
    pub rollout: rollout::Options,
    /// How what they leave is graded.
    pub grade: grade::Options,
    /// Drives the sandboxes, which are asynchronous, for a trainer, which is not.
    pub runtime: Arc<Runtime>,
}

impl Practice for Workshop {
    fn tasks(&self) -> Vec<String> {
        self.places.iter().map(|place| place.task.task.id.clone()).collect()
    }

    fn rewards(
        &mut self,
        policy: &mut dyn Policy,
        tasks: &[usize],
        n: usize,
        seed: u64,
    ) -> Result<Vec<Vec<Option<Reward>>>> {
        let tries: Vec<&Place> =
            tasks.iter().flat_map(|&task| std::iter::repeat_n(&self.places[task], n)).collect();
        let rewards = self.runtime.block_on(async {
            let finished = self.roll_out(policy, &tries, n, seed).await?;
            let outcomes = self.grade(&tries, &finished).await;
            anyhow::Ok(std::iter::zip(&finished, outcomes).map(reward).collect::<Vec<_>>())
        })?;
        Ok(rewards.chunks(n).map(<[Option<Reward>]>::to_vec).collect())
    }
}

impl Workshop {
    /// The episodes of the tries, of which each task has `n` in a row.
    async fn roll_out(
        &self,
        policy: &mut dyn Policy,
        tries: &[&Place],
        n: usize,
        seed: u64,
    ) -> Result<Vec<Finished>> {
        let mut jobs = Vec::with_capacity(tries.len());
        for (index, place) in tries.iter().enumerate() {
            let Place { task, spec, backend, workspace } = place;
            let attempt = index % n;
            jobs.push(rollout::Job {
                backend: backend.clone(),
                task: Arc::new(task.task.clone()),
                spec: spec.clone(),
                workspace: workspace.clone(),
                attempt,
            });
        }
        let options = rollout::Options { seed, ..self.rollout.clone() };
        let finished = rollout::run(policy, &jobs, &options, |_| Ok(())).await?;
        match finished.iter().map(|episode| episode.lost.as_ref()).collect::<Option<Vec<&SandboxError>>>() {
            Some(lost) if !lost.is_empty() => {
                bail!("every sandbox was lost; the first: {}", lost[0].with_causes())
            }
            _ => Ok(finished),
        }
    }

    /// The verdict on each episode; none for one whose sandbox was lost.
    async fn grade(&self, tries: &[&Place], finished: &[Finished]) -> Vec<Option<Verdict>> {
        let mut jobs = Vec::new();
        let mut known: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut of_try = Vec::with_capacity(tries.len());
        for (place, episode) in std::iter::zip(tries, finished) {
            let (None, Some(patch)) = (&episode.lost, &episode.trajectory.patch) else {
                of_try.push(None);
                continue;
            };
            let job = match known.entry((&place.task.task.id, patch)) {
                Entry::Occupied(same) => *same.get(),
                Entry::Vacant(new) => {
                    let Place { task, spec, backend, .. } = (*place).clone();
                    jobs.push(grade::Job {
                        task,
                        spec,
                        backend,
                        prediction: JobPrediction::Patch(patch.clone()),
                    });
                    *new.insert(jobs.len() - 1)
                }
            };
            of_try.push(Some(job));
        }
        let verdicts = grade::grade_all(jobs, self.rollout.parallel, &self.grade, |_| ()).await;
        of_try.into_iter().map(|job| job.map(|job| verdicts[job].clone())).collect()
    }
}

/// What a try earned; nothing where the host failed, which says nothing of the student.
fn reward((episode, verdict): (&Finished, Option<Verdict>)) -> Option<Reward> {
    let verdict = verdict.filter(|verdict| verdict.outcome.is_valid())?;
    let value = if verdict.is_resolved() { 1.0 } else { 0.0 };
    Some(Reward { value, well_formed: episode.trajectory.end != End::Malformed })
}

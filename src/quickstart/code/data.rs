//! Tasks and experts: bugs planted in the embedded repositories, each repaired by a scripted expert
//! whose work is replayed in a sandbox and graded there.
//!
//! Guarantees that every kept trajectory was seen to resolve its task, and that no bug of a held-out
//! task is trained on at its place. The observations are those of the replay, by the same code that
//! later runs the student, so training and rollout show the same bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{bail, ensure};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::Plan;
use crate::event::{Event, EventSink};
use crate::fsio;
use crate::grade::{self, Prediction, Verdict};
use crate::policy::{Policy, Scripted};
use crate::quickstart::{ended, phase};
use crate::rollout::{self, Finished, Job};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, SandboxError};
use crate::synth::{self, Bench};
use crate::task::{LoadedTask, Task};
use crate::task_dir;
use crate::trajectory::Trajectory;
use crate::workspace::{self, Workspace};

/// Episodes and grades that run at once.
const PARALLEL: usize = 24;

/// The data are the same for every seed of a run, so that the held-out tasks of one are not trained on in another.
const DATA_SEED: u64 = 0;

/// Tasks with the experts that were seen to resolve them.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) train: Side,
    pub(super) held_out: Side,
}

/// One side of the split.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) tasks: Vec<LoadedTask>,
    pub(super) experts: Vec<Trajectory>,
}

impl Side {
    /// Each expert with its task.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Task, &Trajectory)> {
        self.tasks.iter().map(|loaded| &loaded.task).zip(&self.experts)
    }
}

/// Where what is prepared of tasks is kept.
pub(super) fn cache(dir: &Path) -> PathBuf {
    dir.join("cache")
}

/// Where tasks are worked on.
pub(super) struct Workshop<'a> {
    pub(super) backend: &'a Arc<dyn Backend>,
    pub(super) spec: &'a Arc<SandboxSpec>,
    /// Below the run directory: tasks and what is prepared of them.
    pub(super) dir: PathBuf,
    pub(super) options: rollout::Options,
}

impl Workshop<'_> {
    fn cache(&self) -> PathBuf {
        cache(&self.dir)
    }

    /// Makes the data, or reads what an earlier start made.
    pub(super) async fn data(&self, plan: &Plan, events: &mut dyn EventSink) -> anyhow::Result<Data> {
        let (train, held_out) = (self.dir.join("tasks/train"), self.dir.join("tasks/held-out"));
        let done = self.dir.join("tasks/experts-replayed");
        if !done.exists() {
            self.synthesise(plan, [&train, &held_out], events).await?;
            for dir in [&train, &held_out] {
                self.replay(dir, events).await?;
            }
            fsio::write_atomic(&done, b"")?;
        }
        Ok(Data { train: read_side(&train)?, held_out: read_side(&held_out)? })
    }

    async fn synthesise(
        &self,
        plan: &Plan,
        [train, held_out]: [&Path; 2],
        events: &mut dyn EventSink,
    ) -> anyhow::Result<()> {
        phase(events, "synthesis", None)?;
        let started = std::time::Instant::now();
        let mut repositories = synth::repositories();
        repositories.truncate(plan.tasks.repositories);
        let bench = Bench::new(&**self.backend, self.spec);
        let options = synth::Options {
            seed: DATA_SEED,
            style: plan.experts.clone(),
            count: Some((plan.tasks.train + plan.tasks.held_out).div_ceil(repositories.len()) + 4),
            sandbox: self.spec.name.clone(),
        };
        let synthesis = synth::synthesise(&repositories, &bench, &options, &|_, _| ()).await?;
        let counts = synthesis.counts;
        let mut split = synth::split(synthesis.tasks, DATA_SEED, plan.tasks.held_out);
        if plan.tasks.rehearse {
            split = synth::split(split.train, DATA_SEED, plan.tasks.held_out);
        }
        split.train.truncate(plan.tasks.train);
        synth::write(train, &repositories, &split.train)?;
        synth::write(held_out, &repositories, &split.held_out)?;
        ended(events, "synthesis", started)?;
        events.emit(&Event::Note {
            text: format!(
                "{} bugs tried, {} caught by tests: {} tasks to train on, {} held out",
                counts.tried,
                counts.caught,
                split.train.len(),
                split.held_out.len()
            ),
        })
    }

    /// Runs the experts of a directory and keeps those that resolve their tasks.
    async fn replay(&self, dir: &Path, events: &mut dyn EventSink) -> anyhow::Result<()> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let scripts: Vec<Trajectory> = fsio::read_json_lines(&dir.join("trajectories.jsonl"))?;
        let tasks = read_tasks(dir)?;
        let mut expert = Scripted::expert("expert", &scripts);
        let graded = self.roll_out(&format!("replay {name}"), &mut expert, &tasks, events).await?;
        // A host that fails must not decide what is learned from.
        if let Some(lost) = graded.iter().find(|done| !done.verdict.outcome.is_valid()) {
            bail!("could not replay the expert of `{}`: {}", lost.verdict.id, lost.verdict.reason);
        }
        let total = graded.len();
        let kept: Vec<Trajectory> = graded.into_iter().filter_map(Graded::into_resolved).collect();
        ensure!(!kept.is_empty(), "no expert of `{}` resolves its task", dir.display());
        fsio::write_json_lines(&dir.join("experts.jsonl"), &kept)?;
        events.emit(&Event::Note {
            text: format!("{} of {total} experts resolve their {name} tasks and are kept", kept.len()),
        })
    }

    /// Lets a policy work on every task once, and grades what it leaves.
    pub(super) async fn roll_out(
        &self,
        name: &str,
        policy: &mut dyn Policy,
        tasks: &[LoadedTask],
        events: &mut dyn EventSink,
    ) -> anyhow::Result<Vec<Graded>> {
        phase(events, name, Some(tasks.len() as u64))?;
        let started = std::time::Instant::now();
        let workspaces: Vec<Workspace> =
            tasks.iter().map(|task| workspace::prepare(task, &self.cache())).collect::<Result<_, _>>()?;
        let job = |(loaded, workspace): (&LoadedTask, Workspace)| Job {
            backend: self.backend.clone(),
            task: Arc::new(loaded.task.clone()),
            spec: self.spec.clone(),
            workspace,
            attempt: 0,
        };
        let jobs: Vec<Job> = tasks.iter().zip(workspaces).map(job).collect();
        let mut graded = Vec::with_capacity(tasks.len());
        for (jobs, tasks) in jobs.chunks(PARALLEL).zip(tasks.chunks(PARALLEL)) {
            let finished = rollout::run(policy, jobs, &self.options, |_| Ok(())).await?;
            for (job, lost) in jobs
                .iter()
                .zip(&finished)
                .flat_map(|(job, done)| done.lost_before.iter().map(move |lost| (job, lost)))
            {
                let text =
                    format!("the episode of {} was started again: {}", job.task.id, lost.with_causes());
                events.emit(&Event::Note { text })?;
            }
            graded.extend(self.grade(tasks, finished).await);
            events.emit(&Event::PhaseAdvanced { phase: name.to_owned(), done: graded.len() as u64 })?;
        }
        for done in &graded {
            for lost in &done.verdict.lost_before {
                let text = format!("the grade of {} was made again: {lost}", done.verdict.id);
                events.emit(&Event::Note { text })?;
            }
            events.emit(&Event::TaskGraded {
                phase: name.to_owned(),
                task: done.verdict.id.clone(),
                attempt: 0,
                outcome: done.verdict.outcome.name().to_owned(),
            })?;
        }
        // The evidence: every action, observation and verdict of the phase.
        fsio::write_json_lines(&self.dir.join("rollouts").join(format!("{name}.jsonl")), &graded)?;
        ended(events, name, started)?;
        Ok(graded)
    }

    async fn grade(&self, tasks: &[LoadedTask], finished: Vec<Finished>) -> Vec<Graded> {
        let options = grade::Options { cache: self.cache(), ready: self.options.ready.clone() };
        let options = &options;
        let grade = |(task, finished): (&'_ LoadedTask, Finished)| {
            let task = task.clone();
            async move {
                let verdict = match (&finished.lost, &finished.trajectory.patch) {
                    (None, Some(patch)) => {
                        grade::grade(&**self.backend, self.spec, &task, Prediction::Patch(patch), options)
                            .await
                    }
                    (lost, _) => {
                        let reason = lost.as_ref().map_or_else(String::new, SandboxError::with_causes);
                        Verdict::new(&task.task.id, grade::Outcome::Infrastructure, reason)
                    }
                };
                Graded { trajectory: finished.trajectory, verdict }
            }
        };
        let work: Vec<_> = tasks.iter().zip(finished).map(grade).collect();
        stream::iter(work).buffered(PARALLEL).collect().await
    }
}

/// An episode and its verdict.
#[derive(Debug, Serialize)]
pub(super) struct Graded {
    pub(super) trajectory: Trajectory,
    pub(super) verdict: Verdict,
}

impl Graded {
    fn into_resolved(self) -> Option<Trajectory> {
        let resolved = Some(self.verdict.is_resolved());
        self.verdict.is_resolved().then_some(Trajectory { resolved, ..self.trajectory })
    }
}

fn read_tasks(dir: &Path) -> anyhow::Result<Vec<LoadedTask>> {
    Ok(task_dir::load_all(dir)?.into_values().collect())
}

/// The experts that were kept, with their tasks, in the order of the tasks' ids.
fn read_side(dir: &Path) -> anyhow::Result<Side> {
    let experts: Vec<Trajectory> = fsio::read_json_lines(&dir.join("experts.jsonl"))?;
    let mut experts: BTreeMap<String, Trajectory> =
        experts.into_iter().map(|expert| (expert.task.clone(), expert)).collect();
    let with_expert = |loaded: LoadedTask| experts.remove(&loaded.task.id).map(|expert| (loaded, expert));
    let (tasks, experts) = read_tasks(dir)?.into_iter().filter_map(with_expert).unzip();
    Ok(Side { tasks, experts })
}

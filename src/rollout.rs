//! Rollouts: many episodes of one policy, each in a sandbox of its own.
//!
//! All live episodes advance in lock-step: one batched `sample` for all of them, then all commands
//! at once, then the next turn. It waits for the slowest command (bounded by its deadline) and buys
//! full batches and results that depend on no arrival order. An episode whose sandbox is lost starts again from
//! its beginning with the same seed; when its tries are used up it ends as [`End::SandboxLost`] with the error
//! kept, which is never a result. Does not grade: `grade` does.

use std::path::Path;

use futures_util::future::join_all;

use crate::act::Actor;
use crate::chat::Scaffold;
use crate::episode::{Episode, Turn};
use crate::policy::{Policy, SampleRequest};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, Exec, PAUSES, SandboxError, Start};
use crate::seed;
use crate::task::Task;
use crate::trajectory::{End, Exit, Trajectory};

/// One episode to run.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The task.
    pub task: &'a Task,
    /// The sandbox it is worked on in.
    pub spec: &'a SandboxSpec,
    /// The repository at its starting point, on the host.
    pub tree: Option<&'a Path>,
    /// Which try at the task this is, from 0.
    pub attempt: usize,
}

/// What all episodes of a rollout share.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the policy reads.
    pub scaffold: Scaffold,
    /// Actions after which an episode ends.
    pub max_steps: usize,
    /// The run's seed.
    pub seed: u64,
    /// Episodes that are live at once; later ones wait.
    pub parallel: usize,
}

/// An episode that is over.
#[derive(Debug)]
pub struct Finished {
    /// What was done; its patch is what the work directory ended as.
    pub trajectory: Trajectory,
    /// Why the sandbox was lost, if it was.
    pub lost: Option<SandboxError>,
    /// Why the tries before this one were lost.
    pub lost_before: Vec<SandboxError>,
}

/// Runs every job to its end, in the order of the jobs.
///
/// # Errors
/// When the policy fails. Sandboxes that fail are reported per episode.
pub async fn run(
    backend: &dyn Backend,
    policy: &mut dyn Policy,
    jobs: &[Job<'_>],
    options: &Options,
) -> anyhow::Result<Vec<Finished>> {
    let mut finished = Vec::with_capacity(jobs.len());
    for wave in jobs.chunks(options.parallel.max(1)) {
        finished.extend(run_wave(backend, policy, wave, options).await?);
    }
    Ok(finished)
}

/// Runs jobs side by side; those whose sandbox is lost start again.
async fn run_wave(
    backend: &dyn Backend,
    policy: &mut dyn Policy,
    wave: &[Job<'_>],
    options: &Options,
) -> anyhow::Result<Vec<Finished>> {
    let mut finished = try_once(backend, policy, wave, options).await?;
    for pause in PAUSES {
        let is_lost = |idx: &usize| finished[*idx].lost.as_ref().is_some_and(SandboxError::is_lost);
        let again: Vec<usize> = (0..wave.len()).filter(is_lost).collect();
        if again.is_empty() {
            break;
        }
        tokio::time::sleep(pause).await;
        let jobs: Vec<Job<'_>> = again.iter().map(|idx| wave[*idx]).collect();
        let next = try_once(backend, policy, &jobs, options).await?;
        for (idx, next) in again.into_iter().zip(next) {
            let before = std::mem::replace(&mut finished[idx], next);
            finished[idx].lost_before = before.lost_before.into_iter().chain(before.lost).collect();
        }
    }
    Ok(finished)
}

/// Runs jobs side by side from their beginning.
async fn try_once(
    backend: &dyn Backend,
    policy: &mut dyn Policy,
    jobs: &[Job<'_>],
    options: &Options,
) -> anyhow::Result<Vec<Finished>> {
    let mut live = join_all(jobs.iter().map(|job| Live::start(backend, *job, options))).await;
    while advance(policy, &mut live, options).await? {}
    let name = policy.name();
    Ok(join_all(live.into_iter().map(|live| live.finish(&name))).await)
}

/// One turn of every live episode; false when all are over.
async fn advance(policy: &mut dyn Policy, live: &mut [Live<'_>], options: &Options) -> anyhow::Result<bool> {
    let mut asking: Vec<&mut Live<'_>> =
        live.iter_mut().filter(|live| *live.episode.turn() == Turn::Ask).collect();
    if asking.is_empty() {
        return Ok(false);
    }
    let requests: Vec<SampleRequest> = asking.iter().map(|live| live.request(options)).collect();
    let replies = policy.sample(&requests)?;
    anyhow::ensure!(replies.len() == requests.len(), "policy `{}` left requests unanswered", policy.name());
    for (live, samples) in asking.iter_mut().zip(replies) {
        match samples.into_iter().next() {
            Some(sample) if sample.finished => live.episode.reply(&sample.text),
            Some(_) => live.episode.end(End::Malformed),
            // A script that is used up, or a conversation that no longer fits the student.
            None => live.episode.end(End::ContextLimit),
        }
    }
    join_all(asking.into_iter().map(Live::act)).await;
    Ok(true)
}

/// Starts a sandbox and prepares it as the task asks.
async fn start(backend: &dyn Backend, job: &Job<'_>) -> Result<Actor, SandboxError> {
    let mut sandbox = backend.start(&Start { spec: job.spec, tree: job.tree }).await?;
    for script in &job.task.setup {
        let limits = &job.spec.limits;
        let (timeout, output_bytes) = (limits.command_timeout(), limits.output_bytes);
        let done = sandbox.exec(&Exec::new(script, timeout, output_bytes)).await?;
        if !done.exit.is_some_and(Exit::is_success) {
            let reason = format!("it ended with {:?}: {}", done.exit, done.output.trim_end());
            drop(sandbox.stop().await);
            return Err(SandboxError::SetUp { command: script.clone(), reason });
        }
    }
    let mut limits = job.spec.limits.clone();
    if let Some(seconds) = job.task.limits.and_then(|limits| limits.command_seconds) {
        limits.command_seconds = seconds;
    }
    Ok(Actor::new(sandbox, limits))
}

/// An episode with its sandbox.
struct Live<'a> {
    job: Job<'a>,
    episode: Episode<'a>,
    actor: Option<Actor>,
    lost: Option<SandboxError>,
}

impl<'a> Live<'a> {
    async fn start(backend: &dyn Backend, job: Job<'a>, options: &'a Options) -> Self {
        let mut episode = Episode::new(job.task, &options.scaffold, options.max_steps);
        let (actor, lost) = match start(backend, &job).await {
            Ok(actor) => (Some(actor), None),
            Err(error) => {
                episode.end(End::SandboxLost);
                (None, Some(error))
            }
        };
        Self { job, episode, actor, lost }
    }

    fn request(&self, options: &Options) -> SampleRequest {
        let step = self.episode.steps().len();
        let attempt = self.job.attempt;
        let place = format!("rollout {}", self.job.task.id);
        SampleRequest {
            messages: self.episode.conversation(),
            task: self.job.task.id.clone(),
            attempt,
            step,
            n: 1,
            seed: seed::derive(options.seed, &place, &[attempt as u64, step as u64]),
        }
    }

    async fn act(&mut self) {
        let (Turn::Run(action), Some(actor)) = (self.episode.turn().clone(), self.actor.as_mut()) else {
            return;
        };
        match actor.perform(&action).await {
            Ok(observation) => self.episode.observe(observation),
            Err(error) => {
                self.lost = Some(error);
                self.episode.end(End::SandboxLost);
            }
        }
    }

    async fn finish(mut self, policy: &str) -> Finished {
        let patch = match self.actor.take() {
            Some(actor) => self.close(actor).await,
            None => None,
        };
        let id = format!("{}.{}", self.job.task.id, self.job.attempt);
        let trajectory = self.episode.finish(id, policy, patch);
        Finished { trajectory, lost: self.lost, lost_before: Vec::new() }
    }

    /// Takes the patch and stops the sandbox; a failure of either loses the episode.
    async fn close(&mut self, mut actor: Actor) -> Option<String> {
        let patch = actor.diff().await;
        let stopped = actor.stop().await;
        match (patch, stopped) {
            (Ok(patch), Ok(())) if self.lost.is_none() => Some(patch),
            (Err(error), _) | (_, Err(error)) => {
                self.lost.get_or_insert(error);
                self.episode.end(End::SandboxLost);
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

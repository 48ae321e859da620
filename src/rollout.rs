//! Rollouts: many episodes of one policy, each in a sandbox of its own.
//!
//! All live episodes advance in lock-step: one batched `sample` for all of them, then all commands
//! at once, then the next turn. It waits for the slowest command (bounded by its deadline) and buys
//! full batches and results that depend on no arrival order. While a wave works, the sandboxes of the next
//! start, as far as the machine bears both. An episode whose sandbox is lost starts again from
//! its beginning with the same seed; when its tries are used up it ends as [`End::SandboxLost`] with the error
//! kept, which is never a result. Does not grade: `grade` does.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::act::Actor;
use crate::chat::Scaffold;
use crate::episode::{Episode, Turn};
use crate::extract::Extracted;
use crate::patch::LeftOut;
use crate::policy::{Policy, Sample, SampleRequest};
use crate::rate::Cost;
use crate::ready::{Order, Ready};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, Contact, PAUSES, SandboxError};
use crate::seed;
use crate::task::Task;
use crate::trajectory::{End, Trajectory};
use crate::workspace::Workspace;

/// One episode to run.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Makes its sandbox.
    pub backend: &'a dyn Backend,
    /// The task.
    pub task: &'a Task,
    /// The sandbox it is worked on in.
    pub spec: &'a SandboxSpec,
    /// The repository at its starting point.
    pub workspace: &'a Workspace,
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
    /// Makes their sandboxes ready.
    pub ready: Arc<Ready>,
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
    /// Hosts that its commands asked the sandbox's proxy for.
    pub contacts: Vec<Contact>,
    /// What differs in the work directory and is not in the patch.
    pub left_out: Vec<LeftOut>,
    /// What this try took, those before it not counted.
    pub cost: Cost,
}

/// Runs every job to its end, in the order of the jobs; `done` hears of each when its wave is over.
///
/// # Errors
/// When the policy or `done` fails. Sandboxes that fail are reported per episode.
pub async fn run(
    policy: &mut dyn Policy,
    jobs: &[Job<'_>],
    options: &Options,
    mut done: impl FnMut(&Finished) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Finished>> {
    let mut finished = Vec::with_capacity(jobs.len());
    let waves = waves(jobs, options.parallel).await;
    let mut ahead = Vec::new();
    for (wave_idx, wave) in waves.iter().enumerate() {
        let mut live = std::mem::take(&mut ahead);
        live.extend(start_all(&wave.jobs[live.len()..], options).await);
        let next = waves.get(wave_idx + 1).map_or(&[][..], |next| next.beside(wave));
        // While a wave works, the sandboxes of the next are started.
        let (ended, started) =
            tokio::join!(run_wave(policy, wave.jobs, live, options), start_all(next, options));
        ahead = started;
        match ended.and_then(|ended| ended.iter().try_for_each(&mut done).map(|()| ended)) {
            Ok(ended) => finished.extend(ended),
            Err(error) => {
                join_all(ahead.into_iter().map(|live| live.finish(""))).await;
                return Err(error);
            }
        }
    }
    Ok(finished)
}

/// Episodes that are live together, because a turn of them waits for the slowest.
struct Wave<'j, 'a> {
    jobs: &'j [Job<'a>],
    /// How many parts of the machine each of them takes, of [`WHOLE`].
    parts: Vec<u64>,
}

/// All parts of a machine.
const WHOLE: u64 = 1_000_000;

impl<'j, 'a> Wave<'j, 'a> {
    /// Those of its jobs that find room while `earlier` works; what waited for the end of an episode of `earlier`
    /// could make that wait for it.
    fn beside(&self, earlier: &Self) -> &'j [Job<'a>] {
        let mut left = WHOLE.saturating_sub(earlier.parts.iter().sum());
        let fits = |part: &&u64| {
            let rest = left.checked_sub(**part);
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        &self.jobs[..self.parts.iter().take_while(fits).count()]
    }
}

/// Cuts jobs into waves of at most `parallel` that the machine can bear.
async fn waves<'j, 'a>(jobs: &'j [Job<'a>], parallel: usize) -> Vec<Wave<'j, 'a>> {
    let mut parts = Vec::with_capacity(jobs.len());
    for job in jobs {
        // A backend that cannot say how much it can bear says why when it is to start something.
        let at_once = job.backend.at_once(job.spec).await.unwrap_or(usize::MAX);
        parts.push(WHOLE / (at_once.max(1) as u64));
    }
    let (mut waves, mut begin) = (Vec::new(), 0);
    while begin < jobs.len() {
        let mut end = begin + 1;
        while end < jobs.len() && end - begin < parallel && parts[begin..=end].iter().sum::<u64>() <= WHOLE {
            end += 1;
        }
        waves.push(Wave { jobs: &jobs[begin..end], parts: parts[begin..end].to_vec() });
        begin = end;
    }
    waves
}

/// Runs jobs side by side; those whose sandbox is lost start again.
async fn run_wave<'a>(
    policy: &mut dyn Policy,
    wave: &[Job<'a>],
    live: Vec<Live<'a>>,
    options: &'a Options,
) -> anyhow::Result<Vec<Finished>> {
    let mut finished = run_live(policy, live, options).await?;
    for pause in PAUSES {
        let is_lost = |idx: &usize| finished[*idx].lost.as_ref().is_some_and(SandboxError::is_lost);
        let again: Vec<usize> = (0..wave.len()).filter(is_lost).collect();
        if again.is_empty() {
            break;
        }
        tokio::time::sleep(pause).await;
        let jobs: Vec<Job<'_>> = again.iter().map(|idx| wave[*idx]).collect();
        let next = run_live(policy, start_all(&jobs, options).await, options).await?;
        for (idx, next) in again.into_iter().zip(next) {
            let before = std::mem::replace(&mut finished[idx], next);
            finished[idx].lost_before = before.lost_before.into_iter().chain(before.lost).collect();
        }
    }
    Ok(finished)
}

/// Starts the sandboxes of jobs side by side.
async fn start_all<'a>(jobs: &[Job<'a>], options: &'a Options) -> Vec<Live<'a>> {
    join_all(jobs.iter().map(|job| Live::start(*job, options))).await
}

/// Runs episodes to their end, side by side.
async fn run_live(
    policy: &mut dyn Policy,
    mut live: Vec<Live<'_>>,
    options: &Options,
) -> anyhow::Result<Vec<Finished>> {
    let advanced = async {
        while advance(policy, &mut live, options).await? {}
        anyhow::Ok(())
    }
    .await;
    let name = policy.name();
    // A policy that fails leaves no sandbox behind either.
    let finished = join_all(live.into_iter().map(|live| live.finish(&name))).await;
    advanced.map(|()| finished)
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
        live.count(&samples);
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

/// Starts an agent where the task's set-up is done.
async fn start(job: &Job<'_>, options: &Options) -> Result<Actor, SandboxError> {
    let Job { backend, task, spec, workspace, .. } = *job;
    options.ready.actor(&Order { backend, spec, task, workspace }).await
}

/// An episode with its sandbox.
struct Live<'a> {
    job: Job<'a>,
    episode: Episode<'a>,
    actor: Option<Actor>,
    lost: Option<SandboxError>,
    contacts: Vec<Contact>,
    left_out: Vec<LeftOut>,
    /// Tokens that were read and sampled; absent for a policy without any.
    tokens: Option<(u64, u64)>,
}

impl<'a> Live<'a> {
    async fn start(job: Job<'a>, options: &'a Options) -> Self {
        let mut episode = Episode::new(job.task, &options.scaffold, options.max_steps);
        let (actor, lost) = match start(&job, options).await {
            Ok(actor) => (Some(actor), None),
            Err(error) => {
                episode.end(End::SandboxLost);
                (None, Some(error))
            }
        };
        Self { job, episode, actor, lost, contacts: Vec::new(), left_out: Vec::new(), tokens: None }
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

    fn count(&mut self, samples: &[Sample]) {
        for sample in samples.iter().filter(|sample| !sample.tokens.is_empty()) {
            let (read, sampled) = self.tokens.unwrap_or_default();
            self.tokens = Some((read + sample.prompt.len() as u64, sampled + sample.tokens.len() as u64));
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
        let seen = trajectory.steps.iter().filter_map(|step| step.observation.as_ref());
        let cost = Cost {
            prompt_tokens: self.tokens.map(|(read, _)| read),
            reply_tokens: self.tokens.map(|(_, sampled)| sampled),
            command_seconds: Some(seen.map(|observation| observation.elapsed_seconds).sum()),
            test_seconds: None,
        };
        let Self { lost, contacts, left_out, .. } = self;
        Finished { trajectory, lost, lost_before: Vec::new(), contacts, left_out, cost }
    }

    /// Takes the patch and stops the sandbox; a failure of either loses the episode.
    async fn close(&mut self, mut actor: Actor) -> Option<String> {
        let patch = actor.patch().await;
        self.contacts = actor.contacts();
        let stopped = actor.stop().await;
        match (patch, stopped) {
            (Ok(Extracted { patch, left_out }), Ok(())) if self.lost.is_none() => {
                self.left_out = left_out;
                Some(patch)
            }
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

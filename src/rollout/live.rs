//! One episode with its sandbox, from its start to the patch that it leaves.
//!
//! Guarantees that a sandbox which was started is stopped, also where the rollout is broken off.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::desk::Line;
use super::{Finished, Job, Options, Samples};
use crate::act::Actor;
use crate::chat::{Limits, Scaffold, Shows};
use crate::episode::{Budget, Episode, Turn};
use crate::extract::Extracted;
use crate::patch::{LeftOut, Patch};
use crate::policy::{Sample, SampleRequest};
use crate::rate::Cost;
use crate::ready::Order;
use crate::sandbox::{Contact, PAUSES, SandboxError};
use crate::seed;
use crate::trajectory::{Action, End};

/// What the episodes of a rollout have in common.
pub(super) struct Shared {
    pub(super) scaffold: Arc<Scaffold>,
    pub(super) options: Options,
    /// The policy's name.
    pub(super) policy: String,
    /// Those that are live hold one.
    pub(super) places: Semaphore,
}

/// Runs a job to its end and tells `line`; one whose sandbox is lost starts again.
pub(super) async fn run(job: Job, place: usize, shared: Arc<Shared>, line: Line) {
    let mut leaving = line.leaving(place);
    let Ok(_place) = shared.places.acquire().await else { return };
    let (mut lost_before, mut pauses) = (Vec::new(), PAUSES.into_iter());
    loop {
        let mut live = Live::start(&job, &shared).await;
        let is_answered = live.work(place, &shared, &line).await;
        let mut finished = live.finish(&shared.policy).await;
        if !is_answered {
            return;
        }
        match (finished.lost.take_if(|error| error.is_lost()), pauses.next()) {
            (Some(lost), Some(pause)) => {
                lost_before.push(lost);
                tokio::time::sleep(pause).await;
            }
            (lost, _) => {
                finished.lost = lost.or(finished.lost);
                finished.lost_before = lost_before;
                leaving.finished = Some(Box::new(finished));
                return;
            }
        }
    }
}

/// An episode with its sandbox.
struct Live<'a> {
    job: &'a Job,
    episode: Episode,
    actor: Option<Actor>,
    lost: Option<SandboxError>,
    contacts: Vec<Contact>,
    left_out: Vec<LeftOut>,
    /// Tokens that were read and sampled; absent for a policy without any.
    tokens: Option<(u64, u64)>,
    samples: Vec<Sample>,
}

impl<'a> Live<'a> {
    /// Starts an agent where the task's set-up is done.
    async fn start(job: &'a Job, shared: &Shared) -> Self {
        let Job { backend, task, spec, workspace, .. } = job;
        let budget = budget(job, &shared.options);
        let episode = Episode::new(Arc::clone(task), Arc::clone(&shared.scaffold), budget);
        let (contacts, left_out, samples) = (Vec::new(), Vec::new(), Vec::new());
        let mut live =
            Self { job, episode, actor: None, lost: None, contacts, left_out, tokens: None, samples };
        let order = Order { backend: &**backend, spec, task, workspace };
        let begun = match shared.options.ready.actor(&order).await {
            Ok(actor) => live.open(actor, &shared.scaffold).await,
            Err(error) => Err(error),
        };
        if let Err(error) = begun {
            live.lose(error);
        }
        live
    }

    /// Shows the student what its scaffold shows beside the problem.
    async fn open(&mut self, actor: Actor, scaffold: &Scaffold) -> Result<(), SandboxError> {
        let actor = self.actor.insert(actor);
        let shown = match scaffold.shows() {
            Shows::Nothing => return Ok(()),
            Shows::Structure => actor.structure().await?,
            Shows::GoldFiles => {
                let gold = self.job.task.gold.as_deref().and_then(|gold| Patch::parse(gold).ok());
                let paths = gold.iter().flat_map(|gold| &gold.files).filter_map(|file| file.old.as_deref());
                actor.show(&paths.collect::<Vec<_>>()).await?
            }
        };
        self.episode = self.episode.clone().opened(&shown);
        Ok(())
    }

    fn lose(&mut self, error: SandboxError) {
        self.lost.get_or_insert(error);
        self.episode.end(End::SandboxLost);
    }

    /// Takes turns until it is over; false when nobody answers any more.
    async fn work(&mut self, place: usize, shared: &Shared, line: &Line) -> bool {
        loop {
            match self.episode.turn() {
                Turn::Ask => match line.ask(place, self.request(shared.options.seed)).await {
                    Some(samples) => self.hear(samples, shared.options.samples),
                    None => return false,
                },
                Turn::Run(action) => {
                    let action = action.clone();
                    self.act(&action).await;
                }
                Turn::Done(_) => return true,
            }
        }
    }

    fn request(&self, seed: u64) -> SampleRequest {
        let Job { task, attempt, .. } = self.job;
        let (attempt, step) = (*attempt, self.episode.steps().len());
        let place = format!("rollout {}", task.id);
        SampleRequest {
            messages: self.episode.conversation(),
            task: task.id.clone(),
            attempt,
            step,
            n: 1,
            seed: seed::derive(seed, &place, &[attempt as u64, step as u64]),
        }
    }

    fn hear(&mut self, samples: Vec<Sample>, kept: Samples) {
        // A script that is used up, or a conversation that no longer fits the student.
        let Some(sample) = samples.into_iter().next() else { return self.episode.end(End::ContextLimit) };
        if !sample.tokens.is_empty() {
            let (read, sampled) = self.tokens.unwrap_or_default();
            self.tokens = Some((read + sample.prompt.len() as u64, sampled + sample.tokens.len() as u64));
            self.episode.count(sample.tokens.len() as u64);
        }
        if sample.finished {
            self.episode.reply(&sample.text);
        } else {
            self.episode.end(End::Malformed);
        }
        if kept == Samples::Kept {
            self.samples.push(sample);
        }
    }

    async fn act(&mut self, action: &Action) {
        let actor = self.actor.as_mut().expect("invariant: an episode without a sandbox has ended");
        match actor.perform(action).await {
            Ok(observation) => self.episode.observe(observation),
            Err(error) => self.lose(error),
        }
    }

    async fn finish(mut self, policy: &str) -> Finished {
        let patch = match self.actor.take() {
            Some(actor) => self.close(actor).await,
            None => None,
        };
        let trajectory = self.episode.finish(self.job.id(), policy, patch);
        let seen = trajectory.steps.iter().filter_map(|step| step.observation.as_ref());
        let cost = Cost {
            prompt_tokens: self.tokens.map(|(read, _)| read),
            reply_tokens: self.tokens.map(|(_, sampled)| sampled),
            command_seconds: Some(seen.map(|observation| observation.elapsed_seconds).sum()),
            test_seconds: None,
        };
        let Self { lost, contacts, left_out, samples, .. } = self;
        Finished { trajectory, lost, lost_before: Vec::new(), contacts, left_out, cost, samples }
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
                self.lose(error);
                None
            }
            _ => None,
        }
    }
}

/// What an episode may use up: the task's own number of steps goes before the user's, else all bounds hold.
fn budget(job: &Job, options: &Options) -> Budget {
    let steps = job.task.limits.and_then(|limits| limits.steps).unwrap_or(options.budget.steps);
    let sandbox = Budget { seconds: Some(job.spec.limits.episode_seconds), ..Budget::of_steps(usize::MAX) };
    let Limits { steps: most, seconds, tokens } = options.scaffold.limits;
    let seconds = seconds.map(|seconds| seconds as f64);
    let scaffold = Budget { steps: most.unwrap_or(usize::MAX), seconds, tokens };
    Budget { steps, ..options.budget }.within(sandbox).within(scaffold)
}

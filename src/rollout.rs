//! Rollouts: many episodes of one policy, each in a sandbox of its own.
//!
//! Every live episode is a task of the runtime and advances by itself (`live`); those that wait for the policy are
//! asked for together, on the caller's own thread, while the sandboxes of the others go on (`desk`). A request is
//! made of the task, the try and the step alone, so what an episode becomes depends on no other one, and results come in the
//! order of the jobs. An episode whose sandbox is lost starts again from its beginning with the same seed; when its tries are
//! used up it ends as [`End::SandboxLost`](crate::trajectory::End) with the error kept, which is never a result. Does not
//! grade: `grade` does.

mod desk;
mod live;

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::desk::Desk;
use self::live::Shared;
use crate::chat::{Scaffold, Shows};
use crate::episode::Budget;
use crate::patch::{LeftOut, Patch};
use crate::policy::{Policy, Sample};
use crate::rate::Cost;
use crate::ready::Ready;
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, Contact, SandboxError};
use crate::task::Task;
use crate::trajectory::Trajectory;
use crate::workspace::Workspace;

/// One episode to run.
#[derive(Clone)]
pub struct Job {
    /// Makes its sandbox.
    pub backend: Arc<dyn Backend>,
    /// The task.
    pub task: Arc<Task>,
    /// The sandbox it is worked on in.
    pub spec: Arc<SandboxSpec>,
    /// The repository at its starting point.
    pub workspace: Workspace,
    /// Which try at the task this is, from 0.
    pub attempt: usize,
}

impl Job {
    /// The id of its trajectory.
    pub fn id(&self) -> String {
        format!("{}.{}", self.task.id, self.attempt)
    }
}

/// What all episodes of a rollout share.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the policy reads.
    pub scaffold: Scaffold,
    /// What an episode may use up, where neither its task nor its sandbox says less.
    pub budget: Budget,
    /// The run's seed.
    pub seed: u64,
    /// Episodes that are live at once; later ones wait.
    pub parallel: usize,
    /// What becomes of the policy's replies.
    pub samples: Samples,
    /// Makes their sandboxes ready.
    pub ready: Arc<Ready>,
}

/// What becomes of a policy's replies, whose words are in the trajectory unless they could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Samples {
    /// Nobody asks for them.
    #[default]
    Dropped,
    /// They come with the episode, with tokens and log-probabilities.
    Kept,
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
    /// What the policy said, step by step, where it is kept.
    pub samples: Vec<Sample>,
}

/// What goes on in a rollout.
#[derive(Debug)]
pub enum News<'a> {
    /// An episode ended; they end in any order.
    Ended(&'a Finished),
    /// The policy answered, or an episode ended.
    Advanced(Standing),
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Episodes that are over.
    pub done: u64,
    /// Episodes that have a sandbox, or wait for one.
    pub live: u64,
    /// Of those that are over, how many lost their sandbox.
    pub lost: u64,
    /// Replies of the policy, in all episodes together.
    pub steps: u64,
}

/// Why a task cannot be worked on under a scaffold, if it cannot.
pub fn unfit(scaffold: &Scaffold, task: &Task) -> Option<String> {
    let is_known = || task.gold.as_deref().is_some_and(|gold| Patch::parse(gold).is_ok());
    let lacks = scaffold.shows() == Shows::GoldFiles && !is_known();
    lacks.then(|| {
        let name = &scaffold.name;
        format!("`{name}` shows the files that the task's solution touches, and `{}` has no `gold`", task.id)
    })
}

/// Runs every job to its end and gives the episodes in the order of the jobs; `hear` is told at once.
///
/// # Errors
/// When the policy or `hear` fails; every sandbox is stopped before. Sandboxes that fail are reported per episode.
pub async fn run(
    policy: &mut dyn Policy,
    jobs: &[Job],
    options: &Options,
    hear: impl FnMut(News<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Finished>> {
    let mut episodes = JoinSet::new();
    let parallel = options.parallel.clamp(1, jobs.len().max(1));
    let (line, desk) = Desk::open(parallel);
    let shared = Arc::new(Shared {
        scaffold: Arc::new(options.scaffold.clone()),
        options: options.clone(),
        policy: policy.name(),
        places: Semaphore::new(parallel),
    });
    let start = |place: usize| {
        episodes.spawn(live::run(jobs[place].clone(), place, Arc::clone(&shared), line.clone()));
    };
    let mut rollout = Rollout {
        finished: std::iter::repeat_with(|| None).take(jobs.len()).collect(),
        // A few wait for a place, so that one is taken while the policy thinks.
        most: parallel.saturating_mul(2),
        standing: Standing::default(),
        hear,
    };
    let ended = rollout.drive(policy, desk, start).await;
    // Where the policy failed, nobody answers any more: who waits for a place gets none, and all others stop their sandboxes.
    shared.places.close();
    while let Some(joined) = episodes.join_next().await {
        if let Err(error) = joined
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    ended?;
    Ok(rollout.finished.into_iter().flatten().collect())
}

/// The rollout as it goes.
struct Rollout<F> {
    /// By the place of the job.
    finished: Vec<Option<Finished>>,
    /// Episodes that have begun or wait for a place.
    most: usize,
    standing: Standing,
    hear: F,
}

impl<F: FnMut(News<'_>) -> anyhow::Result<()>> Rollout<F> {
    /// Starts episodes and lets the policy answer them until all are over.
    async fn drive(
        &mut self,
        policy: &mut dyn Policy,
        mut desk: Desk,
        mut start: impl FnMut(usize),
    ) -> anyhow::Result<()> {
        let mut begun = 0;
        loop {
            while begun < self.finished.len() && (self.standing.live as usize) < self.most {
                start(begun);
                desk.expect(begun);
                begun += 1;
                self.standing.live += 1;
            }
            if self.standing.live == 0 {
                return Ok(());
            }
            for (place, finished) in desk.gather().await {
                self.end(place, *finished.context("an episode panicked")?)?;
            }
            self.standing.steps += desk.answer(policy)?;
            (self.hear)(News::Advanced(self.standing))?;
        }
    }

    fn end(&mut self, place: usize, finished: Finished) -> anyhow::Result<()> {
        self.standing.live -= 1;
        self.standing.done += 1;
        self.standing.lost += u64::from(finished.lost.is_some());
        (self.hear)(News::Ended(&finished))?;
        self.finished[place] = Some(finished);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

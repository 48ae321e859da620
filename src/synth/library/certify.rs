//! Certifying drafts: the grader itself judges the start, the solution and what the expert submitted.
//!
//! Guarantees that a task which is kept was resolved by its solution and by its expert, each in a fresh sandbox, and
//! was not by its start. A sandbox that is lost is an error, never a reason.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{Reason, Shop, expert, recorded};
use crate::grade::{self, Outcome, Prediction};
use crate::mutate::Mutation;
use crate::ready::{Order, Ready};
use crate::synth::SynthTask;
use crate::task::{LoadedTask, Task};
use crate::trajectory::Trajectory;
use crate::workspace;

/// A task that nobody has judged yet.
pub(super) struct Draft {
    pub(super) task: Task,
    pub(super) bug: Mutation,
    pub(super) text: String,
    pub(super) plan: Vec<expert::Planned>,
}

/// Judges drafts side by side; each comes back in its order, with the reason against it if there is one.
pub(super) async fn all(
    shop: &Shop<'_>,
    drafts: Vec<Draft>,
) -> anyhow::Result<Vec<(SynthTask, Option<Reason>)>> {
    let judged = drafts.into_iter().map(|draft| one(shop, draft));
    stream::iter(judged).buffered(shop.site.workers.max(1)).try_collect().await
}

async fn one(shop: &Shop<'_>, draft: Draft) -> anyhow::Result<(SynthTask, Option<Reason>)> {
    // Of its own, so that what is prepared for a task goes when the task is judged.
    let scratch = tempfile::tempdir_in(shop.site.scratch)?;
    let loaded = shop.load(draft.task)?;
    let ready = Arc::new(Ready::below(scratch.path()));
    let judge = Judge { shop, loaded: &loaded, scratch: scratch.path(), ready };
    let (reason, expert) = judge.reason(&draft.plan).await?;
    let task = SynthTask {
        task: loaded.task,
        repository: shop.library.name.clone(),
        bug: draft.bug,
        text: draft.text,
        expert,
    };
    Ok((task, reason))
}

struct Judge<'a> {
    shop: &'a Shop<'a>,
    loaded: &'a LoadedTask,
    scratch: &'a Path,
    ready: Arc<Ready>,
}

impl Judge<'_> {
    /// Why the task is not kept, and what its expert did.
    async fn reason(&self, plan: &[expert::Planned]) -> anyhow::Result<(Option<Reason>, Trajectory)> {
        let mut expert = self.follow(plan).await?;
        let submitted = expert.patch.clone().unwrap_or_default();
        let reason = if self.outcome(Prediction::Noop).await? == Outcome::Resolved {
            Some(Reason::NoopResolved)
        } else if self.outcome(Prediction::Gold).await? != Outcome::Resolved {
            Some(Reason::GoldUnresolved)
        } else if !self.is_gold(&submitted)
            && self.outcome(Prediction::Patch(&submitted)).await? != Outcome::Resolved
        {
            Some(Reason::ExpertUnresolved)
        } else {
            None
        };
        expert.resolved = Some(reason.is_none());
        Ok((reason, expert))
    }

    /// Whether a patch is the solution's, line by line: then it has the solution's verdict.
    fn is_gold(&self, patch: &str) -> bool {
        let lines = |patch: &str| -> Vec<String> {
            patch.lines().filter(|line| !line.starts_with("index ")).map(str::to_owned).collect()
        };
        self.loaded.task.gold.as_deref().is_some_and(|gold| lines(gold) == lines(patch))
    }

    async fn follow(&self, plan: &[expert::Planned]) -> anyhow::Result<Trajectory> {
        let site = self.shop.site;
        let (loaded, scratch) = (self.loaded.clone(), self.scratch.to_owned());
        let workspace = tokio::task::spawn_blocking(move || workspace::prepare(&loaded, &scratch)).await??;
        let order =
            Order { backend: site.backend, spec: site.spec, task: &self.loaded.task, workspace: &workspace };
        let mut actor = self.ready.actor(&order).await?;
        let followed = recorded::follow(&mut actor, &self.loaded.task.id, plan).await;
        actor.stop().await?;
        Ok(followed?)
    }

    async fn outcome(&self, prediction: Prediction<'_>) -> anyhow::Result<Outcome> {
        let site = self.shop.site;
        let options = grade::Options { cache: self.scratch.to_owned(), ready: Arc::clone(&self.ready) };
        let verdict = grade::grade(site.backend, site.spec, self.loaded, prediction, &options).await;
        if !verdict.outcome.is_valid() {
            bail!("could not grade `{}`: {}", verdict.id, verdict.reason);
        }
        Ok(verdict.outcome)
    }
}

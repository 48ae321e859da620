//! What a student starts from in a ready sandbox, looked at before the student comes.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Order, Ready};
use crate::extract::{Baseline, Rules, SetUp};
use crate::sandbox::{Exec, FileRead, Sandbox, SandboxError};
use crate::trajectory::Exit;

/// Lists the files of the base commit.
const LIST: &str =
    "git -c safe.directory='*' -c core.hooksPath=/dev/null -c core.fsmonitor=false ls-files -z";
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of that list.
const LIST_BYTES: usize = 64 << 20;

impl Ready {
    /// The baseline of a sandbox that was just made ready; `start` names the start that it has in common with
    /// others, which then have the same one.
    pub(super) async fn baseline(
        &self,
        order: &Order<'_>,
        sandbox: &mut dyn Sandbox,
        start: Option<&str>,
    ) -> Result<Arc<Baseline>, SandboxError> {
        if let Some(known) = start.and_then(|start| self.known(start)) {
            return Ok(known);
        }
        let (rules, tracked) = match &order.workspace.tree {
            Some(tree) => {
                let (path, walked) = (tree.clone(), tree.clone());
                let walking = tokio::task::spawn_blocking(move || Rules::of_tree(&walked)).await;
                let rules = walking.unwrap_or_else(|panic| Err(io::Error::other(panic)));
                let doing = "read the ignore rules of";
                (rules.map_err(|source| SandboxError::Host { doing, path, source })?, None)
            }
            None if order.is_from_image() => of_image(sandbox).await?,
            None => (Rules::default(), None),
        };
        let set_up = match order.task.setup.is_empty() {
            true => SetUp::default(),
            false => SetUp::of(&sandbox.compare().await?),
        };
        let tree = order.workspace.tree.clone();
        let baseline = Arc::new(Baseline { ignored: self.ignored, rules, tracked, set_up, tree });
        if let Some(start) = start {
            self.learn(start, &baseline);
        }
        Ok(baseline)
    }

    fn known(&self, start: &str) -> Option<Arc<Baseline>> {
        self.baselines.lock().expect("invariant: nothing panics while it holds this lock").get(start).cloned()
    }

    fn learn(&self, start: &str, baseline: &Arc<Baseline>) {
        let mut baselines =
            self.baselines.lock().expect("invariant: nothing panics while it holds this lock");
        baselines.insert(start.to_owned(), baseline.clone());
    }
}

/// What an image's own repository ignores, and the files of its base commit.
async fn of_image(sandbox: &mut dyn Sandbox) -> Result<(Rules, Option<BTreeSet<String>>), SandboxError> {
    let listed = sandbox.exec(&Exec::new(LIST, PATIENCE, LIST_BYTES).fresh()).await?;
    let mut rules = Rules::default();
    if !listed.exit.is_some_and(Exit::is_success) {
        // There is no repository, or no git: then nothing is ignored.
        return Ok((rules, None));
    }
    let tracked: BTreeSet<String> =
        listed.output.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    for path in tracked.iter().filter(|path| Rules::stand_at(path)) {
        if let FileRead::File(contents) = sandbox.read(path).await? {
            rules.add(path.rsplit_once('/').map_or("", |(directory, _)| directory), &contents);
        }
    }
    Ok((rules, Some(tracked)))
}

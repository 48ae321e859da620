//! Containers that wait, started and filled, for whoever needs one like them.
//!
//! A container takes tenths of a second to start. Guarantees that no more wait than asked for, and that
//! those that nobody will need end with the last sandbox of their kind.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use futures_util::StreamExt;

use super::recipe::Recipe;
use super::running::Running;
use crate::sandbox::SandboxError;

/// An engine gains nothing from more.
const AT_A_TIME: usize = 4;

/// Those that wait.
#[derive(Default)]
pub(super) struct Warm {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: Vec<Running>,
    n_coming: usize,
}

impl Warm {
    /// Gives one that waits, or makes one. One that ended meanwhile, with its engine perhaps, is passed over.
    pub(super) async fn take(&self, recipe: &Recipe) -> Result<Running, SandboxError> {
        let ready = std::iter::from_fn(|| self.state().ready.pop()).find(Running::is_open);
        match ready {
            Some(running) => Ok(running),
            None => recipe.make().await,
        }
    }

    /// Makes as many as are missing to `wanted`, a few at a time.
    pub(super) async fn fill(&self, recipe: &Recipe, wanted: usize) -> Result<(), SandboxError> {
        let missing = {
            let mut state = self.state();
            let missing = wanted.saturating_sub(state.ready.len() + state.n_coming);
            state.n_coming += missing;
            missing
        };
        let made =
            futures_util::stream::iter(0..missing).map(|_| recipe.make_warm()).buffer_unordered(AT_A_TIME);
        let mut made = std::pin::pin!(made);
        let mut result = Ok(());
        while let Some(made) = made.next().await {
            let mut state = self.state();
            state.n_coming -= 1;
            match made {
                Ok(running) => state.ready.push(running),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Starts as many as are missing to `wanted`.
    pub(super) fn refill(&self, recipe: &Arc<Recipe>, wanted: usize) {
        let missing = {
            let mut state = self.state();
            let missing = wanted.saturating_sub(state.ready.len() + state.n_coming);
            state.n_coming += missing;
            missing
        };
        for _ in 0..missing {
            drop(tokio::spawn(add(Arc::downgrade(recipe))));
        }
    }

    /// Ends all that wait.
    pub(super) async fn drain(&self) -> Result<(), SandboxError> {
        let ready = std::mem::take(&mut self.state().ready);
        for mut running in ready {
            running.remove().await?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

/// Makes one more that waits, unless its last sandbox has ended.
async fn add(recipe: Weak<Recipe>) {
    let Some(recipe) = recipe.upgrade() else { return };
    let made = recipe.make_warm().await;
    let mut state = recipe.warm.state();
    state.n_coming -= 1;
    match made {
        Ok(running) => state.ready.push(running),
        // Whoever needs one makes it, and is told why that fails.
        Err(error) => tracing::debug!(%error, "no container could be made ahead"),
    }
}

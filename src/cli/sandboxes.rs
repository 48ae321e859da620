//! The flags that every command with prepared repositories and sandboxes shares.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::failure::Failure;
use super::output::Output;
use super::sandbox::{self, BackendArgs};
use crate::ready::Ready;
use crate::sandbox::admission::{Admission, Host};
use crate::sandbox::select::Selection;
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, SandboxError};
use crate::task::LoadedTask;

/// Where grades are made.
#[derive(Debug, Clone, clap::Args)]
pub struct HostArgs {
    /// What runs the sandboxes.
    #[command(flatten)]
    pub backend: BackendArgs,
    /// Where prepared repositories are kept (default: the user's cache directory)
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Run each task's set-up in every one of its sandboxes, instead of once and keeping what it leaves
    #[arg(long)]
    pub set_up_each: bool,
    /// How many sandboxes work at once, as far as memory and cores suffice (default: one a core)
    #[arg(long, value_name = "N")]
    pub parallel: Option<usize>,
}

impl HostArgs {
    /// Where prepared repositories are kept.
    pub fn cache(&self) -> PathBuf {
        cache_dir(self.cache.as_ref())
    }

    /// Makes sandboxes ready, and says what it keeps and finds.
    pub fn ready(&self, output: Output) -> Arc<Ready> {
        let ready = if self.set_up_each { Ready::anew() } else { Ready::below(&self.cache()) };
        Arc::new(ready.telling(move |line| output.say(line)))
    }

    /// How many sandboxes run at once.
    pub fn parallel(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.parallel.unwrap_or_else(cores)
    }

    /// The sandboxes that `tasks` name, with what runs them.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn benches(&self, tasks: impl IntoIterator<Item = &LoadedTask>) -> Result<Benches, Failure> {
        let mut benches = BTreeMap::new();
        let host = Arc::<Host>::default();
        for loaded in tasks {
            let name = name_of(loaded);
            if !benches.contains_key(name) {
                let spec = Arc::new(self.backend.spec(name)?);
                let chosen = self.backend.select(&spec).await?;
                let backend: Arc<dyn Backend> =
                    Arc::new(Admission::new(chosen.backend.clone(), host.clone()));
                let selection = Selection { backend, ..chosen };
                benches.insert(name.to_owned(), Bench { spec, selection });
            }
        }
        Ok(Benches(benches))
    }
}

/// A kind of sandbox, and what runs it.
pub struct Bench {
    /// The sandbox.
    pub spec: Arc<SandboxSpec>,
    /// What runs it.
    pub selection: Selection,
}

/// Every kind of sandbox that a command uses: chosen once, so that an engine which is away for a moment does
/// not change what runs them.
#[derive(Default)]
pub struct Benches(BTreeMap<String, Bench>);

impl Benches {
    /// The one that a task names.
    pub fn of(&self, loaded: &LoadedTask) -> &Bench {
        &self.0[name_of(loaded)]
    }

    /// What was chosen and why, for the user.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|bench| bench.selection.line.as_str())
    }
}

fn name_of(loaded: &LoadedTask) -> &str {
    loaded.task.sandbox.as_deref().expect("invariant: a code task names its sandbox")
}

/// The directory that the user names, else `apprentice` in the user's cache directory.
pub fn cache_dir(named: Option<&PathBuf>) -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    named.cloned().or_else(|| Some(own()?.join("apprentice"))).unwrap_or_else(|| ".apprentice-cache".into())
}

/// A sandbox's error as a command's failure, with its hint.
pub fn host(error: SandboxError) -> Failure {
    sandbox::failure(error)
}

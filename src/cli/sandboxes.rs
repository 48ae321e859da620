//! The flags that every command with prepared repositories and sandboxes shares.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::failure::Failure;
use super::output::Output;
use super::sandbox::{self, BackendArgs};
use crate::extract::Ignored;
use crate::fsio;
use crate::isolation::Protection;
use crate::ready::Ready;
use crate::replay::{self, Work};
use crate::sandbox::admission::{Admission, Host};
use crate::sandbox::select::Selection;
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, SandboxError};
use crate::task::{LoadedTask, SandboxChoice};
use crate::trajectory::Trajectory;

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
        self.ready_with(Ignored::LeftOut, output)
    }

    /// The same, where `ignored` says what becomes of ignored files in students' patches.
    pub fn ready_with(&self, ignored: Ignored, output: Output) -> Arc<Ready> {
        let ready = if self.set_up_each { Ready::anew() } else { Ready::below(&self.cache()) };
        Arc::new(ready.with_ignored(ignored).telling(move |line| output.say(line)))
    }

    /// How many sandboxes run at once.
    pub fn parallel(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.parallel.unwrap_or_else(cores)
    }

    /// The sandboxes that `tasks` name, with what runs them. Their images are here when this ends: those that are
    /// missing are pulled side by side, and `output` is told.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn benches(
        &self,
        tasks: impl IntoIterator<Item = &LoadedTask>,
        output: Output,
    ) -> Result<Benches, Failure> {
        let mut specs = BTreeMap::new();
        for loaded in tasks {
            if let Entry::Vacant(place) = specs.entry(key(loaded)) {
                place.insert(Arc::new(spec_of(&self.backend, loaded)?));
            }
        }
        let (keys, specs): (Vec<Key>, Vec<Arc<SandboxSpec>>) = specs.into_iter().unzip();
        let choice = self.backend.choice()?;
        let selections = choice.backends(&specs, &|line| output.say(line)).await.map_err(host)?;
        let machine = Arc::<Host>::default();
        let admitted = |chosen: Selection| {
            let backend: Arc<dyn Backend> = Arc::new(Admission::new(chosen.backend.clone(), machine.clone()));
            Selection { backend, ..chosen }
        };
        let benches = specs.into_iter().zip(selections.into_iter().map(admitted));
        let benches = benches.map(|(spec, selection)| Bench { spec, selection });
        Ok(Benches(keys.into_iter().zip(benches).collect()))
    }
}

/// What tells one kind of sandbox from another: what a task says of it, with the image that holds its repository.
type Key = SandboxChoice;

fn key(loaded: &LoadedTask) -> Key {
    let choice = loaded.task.sandbox.clone().expect("invariant: a code task names its sandbox");
    let image = loaded.task.repo.as_ref().and_then(|repo| repo.image.clone());
    SandboxChoice { image: image.or(choice.image), ..choice }
}

/// The sandbox that a task names, with what it wants otherwise; a task whose repository lies in an image brings that
/// image for it.
///
/// # Errors
/// See [`Failure`].
pub fn spec_of(backend: &BackendArgs, loaded: &LoadedTask) -> Result<SandboxSpec, Failure> {
    let SandboxChoice { like, image, workdir, user, memory_mib, env } = key(loaded);
    let mut spec = backend.spec(&like)?;
    if image.is_some() {
        // Nothing else holds the repository or its programs: neither what the kind is made of, nor this host.
        spec = SandboxSpec { image, dockerfile: None, bootstrap: None, host: false, ..spec };
    }
    spec.workdir = workdir.unwrap_or(spec.workdir);
    spec.user = user.unwrap_or(spec.user);
    spec.limits.memory_mib = memory_mib.unwrap_or(spec.limits.memory_mib);
    spec.env.extend(env);
    Ok(spec)
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
pub struct Benches(BTreeMap<Key, Bench>);

impl Benches {
    /// The one that a task names.
    pub fn of(&self, loaded: &LoadedTask) -> &Bench {
        &self.0[&key(loaded)]
    }

    /// What a trajectory is run again with: its repository lies where the recording had it, so that no path needs to be
    /// rewritten. An image keeps its own place.
    pub fn work(&self, loaded: &LoadedTask, trajectory: Trajectory) -> Work {
        let Bench { spec, selection } = self.of(loaded);
        let is_image = loaded.task.repo.as_ref().is_some_and(|repo| repo.image.is_some());
        let spec = match replay::recorded_workdir(&trajectory) {
            Some(workdir) if !is_image && workdir != spec.workdir => {
                Arc::new(SandboxSpec { workdir, ..SandboxSpec::clone(spec) })
            }
            _ => Arc::clone(spec),
        };
        let (trajectory, task) = (Arc::new(trajectory), Arc::new(loaded.clone()));
        Work { trajectory, task, spec, backend: Arc::clone(&selection.backend) }
    }

    /// What the sandboxes are made of, for the manifest: by name, and by image where tasks bring theirs.
    pub fn digests(&self) -> BTreeMap<String, String> {
        let digest = |(key, bench): (&Key, &Bench)| {
            let made_of = bench.selection.made_of.clone();
            (
                key.image.as_ref().map_or_else(|| key.like.clone(), |image| format!("{}: {image}", key.like)),
                made_of,
            )
        };
        self.0.iter().map(digest).collect()
    }

    /// What stands between the sandboxes and the host, of all kinds the weakest.
    pub fn protection(&self) -> Option<&Protection> {
        self.0
            .values()
            .map(|bench| &bench.selection.protection)
            .max_by_key(|protection| protection.missing.len())
    }

    /// What was chosen and why, for the user.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let lines: BTreeSet<&str> = self.0.values().map(|bench| bench.selection.line.as_str()).collect();
        lines.into_iter()
    }
}

/// The directory that the user names, else `apprentice` in the user's cache directory.
pub fn cache_dir(named: Option<&PathBuf>) -> PathBuf {
    named.cloned().or_else(fsio::cache_of_user).unwrap_or_else(|| ".apprentice-cache".into())
}

/// A sandbox's error as a command's failure, with its hint.
pub fn host(error: SandboxError) -> Failure {
    sandbox::failure(error)
}

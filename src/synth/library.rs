//! Tasks from a library: its tests are run clean, mutations are tried in forks of the sandbox where that was done, and
//! what the tests catch becomes a task that is certified before it is kept.
//!
//! Guarantees that a task's own solution resolves it, that its start does not, and that its expert was followed in a
//! sandbox, saw there what its trajectory says, and resolved it; that no two tasks have the same symptoms; and that
//! the same library, seed and options give the same tasks, however many work side by side. What its experts saw may
//! differ by what the tests print of clocks.

mod certify;
mod clean;
mod expert;
mod recorded;
mod statement;
mod statistics;
mod symptom;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rand::seq::SliceRandom as _;

use super::style::Hint;
use super::{Repository, SynthTask, kinds_in_turn, repository, write};
use crate::mutate::{self, Language, Mutation};
use crate::ready::{Order, Ready};
use crate::sandbox::Backend;
use crate::sandbox::spec::SandboxSpec;
use crate::seed;
use crate::task::{self, Kind, Limits, LoadedTask, Repo, Task, Tests};
use crate::workspace;
use clean::Clean;
pub use statistics::{Reason, Statistics};
use symptom::Symptom;
use trial::{Caught, Prepared, Tried};

/// Mutations that are tried before those that were caught are certified. No worker's number is in it, so that how
/// many work decides nothing.
const WAVE: usize = 16;
/// Actions that an episode may take.
const STEP_LIMIT: usize = 40;

/// Where a library is worked on.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// Makes the sandboxes.
    pub backend: &'a dyn Backend,
    /// What they are made of.
    pub spec: &'a SandboxSpec,
    /// A directory for what is prepared: repositories and set-ups. Nothing of it is needed afterwards.
    pub scratch: &'a Path,
    /// Sandboxes that work at the same time.
    pub workers: usize,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Decides which mutations are tried first and how each expert goes about it.
    pub seed: u64,
    /// How many tasks, at most.
    pub count: usize,
    /// The languages whose files are mutated; all when empty.
    pub languages: Vec<Language>,
    /// How much a problem gives away.
    pub hint: Hint,
    /// The sandbox that the tasks name.
    pub sandbox: String,
}

/// What was made.
#[derive(Debug, Clone, Default)]
pub struct Certified {
    /// The tasks, in the order in which their mutations were tried.
    pub tasks: Vec<SynthTask>,
    /// What became of all mutations.
    pub statistics: Statistics,
}

/// A mutation with its task's name.
#[derive(Debug, Clone)]
struct Planned {
    id: String,
    mutation: Mutation,
}

/// Makes certified tasks from a library; `tell` hears after every wave.
///
/// # Errors
/// When the tests do not pass without a mutation, or a sandbox is lost. Never for what a mutation does.
pub async fn certified(
    library: &Repository,
    site: &Site<'_>,
    wanted: &Wanted,
    tell: &(dyn Fn(&Statistics) + Sync),
) -> anyhow::Result<Certified> {
    let shop = Shop::open(library, site, wanted)?;
    let mut prepared = shop.prepare().await?;
    let clean = match clean::run(&mut *prepared, library).await {
        Ok(clean) => clean,
        Err(error) => {
            // The first failure is the one to report.
            drop(prepared.stop().await);
            return Err(error);
        }
    };
    let prepared = Prepared::new(prepared);
    let made = shop.make(&prepared, &clean, tell).await;
    prepared.stop().await?;
    made
}

/// What all of one call share.
struct Shop<'a> {
    library: &'a Repository,
    site: &'a Site<'a>,
    wanted: &'a Wanted,
    /// Where the library lies as its tasks will find it.
    home: PathBuf,
}

impl<'a> Shop<'a> {
    fn open(library: &'a Repository, site: &'a Site<'a>, wanted: &'a Wanted) -> anyhow::Result<Self> {
        let home = site.scratch.join("tasks");
        write::copy(&home, library).context("could not copy the library")?;
        Ok(Self { library, site, wanted, home })
    }

    /// A sandbox with the library as it is, its set-up done.
    async fn prepare(&self) -> anyhow::Result<Box<dyn crate::sandbox::Sandbox>> {
        let evidence = Caught { fail_to_pass: vec!["-".to_owned()], ..Caught::default() };
        let loaded = self.load(self.task("clean", "-", None, &evidence))?;
        let workspace = workspace::prepare(&loaded, self.site.scratch)?;
        let Site { backend, spec, .. } = *self.site;
        let order = Order { backend, spec, task: &loaded.task, workspace: &workspace };
        Ready::anew().start(&order).await.context("could not start a sandbox to try mutations in")
    }

    async fn make(
        &self,
        prepared: &Prepared,
        clean: &Clean,
        tell: &(dyn Fn(&Statistics) + Sync),
    ) -> anyhow::Result<Certified> {
        let mut made = Certified::default();
        made.statistics.flaky.clone_from(&clean.flaky);
        let mut symptoms: BTreeSet<Vec<Symptom>> = BTreeSet::new();
        for wave in self.planned().chunks(WAVE) {
            let tried = trial::run_all(self.site, prepared, self.library, clean, wave).await?;
            let mut caught = Vec::new();
            for (planned, tried) in wave.iter().zip(tried) {
                match tried {
                    Tried::Dropped(reason) => made.statistics.drop(planned.mutation.kind, reason),
                    Tried::Caught(evidence) if !symptoms.insert(evidence.symptoms.clone()) => {
                        made.statistics.drop(planned.mutation.kind, Reason::Repeated);
                    }
                    Tried::Caught(evidence) => caught.push((planned, *evidence)),
                }
            }
            self.certify(caught, &mut made).await?;
            tell(&made.statistics);
            if made.tasks.len() == self.wanted.count {
                break;
            }
        }
        Ok(made)
    }

    /// Certifies what a wave caught, no more at a time than are still wanted.
    async fn certify(&self, caught: Vec<(&Planned, Caught)>, made: &mut Certified) -> anyhow::Result<()> {
        let mut waiting = caught.into_iter();
        loop {
            let missing = self.wanted.count - made.tasks.len();
            let drafts: Vec<_> =
                waiting.by_ref().take(missing).map(|(planned, it)| self.draft(planned, &it)).collect();
            if drafts.is_empty() {
                return Ok(());
            }
            for (task, reason) in certify::all(self, drafts).await? {
                if let Some(reason) = reason {
                    made.statistics.drop(task.bug.kind, reason);
                } else {
                    made.statistics.keep(task.bug.kind);
                    made.tasks.push(task);
                }
            }
        }
    }

    /// Every mutation with its id, in a seeded order that takes one of each kind in turn.
    fn planned(&self) -> Vec<Planned> {
        let is_wanted = |file: &str| {
            self.wanted.languages.is_empty()
                || Language::of(file).is_some_and(|language| self.wanted.languages.contains(&language))
        };
        let mut sources = self.library.sources();
        sources.retain(|file, _| is_wanted(file));
        let mut mutations = mutate::enumerate(&sources);
        mutations.shuffle(&mut seed::rng(self.wanted.seed, "synth library", &[]));
        let mut ids: BTreeMap<String, usize> = BTreeMap::new();
        let name = |mutation: Mutation| {
            let stem = repository::stem(&mutation.file);
            let base = format!("{}-{stem}-{}", self.library.name, mutation.slug());
            let seen = ids.entry(base.clone()).or_insert(0);
            *seen += 1;
            let id = if *seen == 1 { base } else { format!("{base}-{seen}") };
            Planned { id, mutation }
        };
        kinds_in_turn(mutations.into_iter().map(name).collect(), |planned| planned.mutation.kind)
    }

    /// The task of a mutation that was caught, with its expert's plan instead of a trajectory.
    fn draft(&self, planned: &Planned, evidence: &Caught) -> certify::Draft {
        let mutation = &planned.mutation;
        let right = &self.library.files[&mutation.file];
        let wrong = mutation.apply(right);
        let problem = statement::statement(self.library, mutation, evidence, self.wanted.hint);
        let task = self.task(&planned.id, &problem, Some((mutation, &wrong)), evidence);
        let plan = expert::plan(self.library, mutation, (&wrong, evidence), self.wanted.seed);
        certify::Draft { task, bug: mutation.clone(), text: wrong, plan }
    }

    fn task(&self, id: &str, problem: &str, bug: Option<(&Mutation, &str)>, evidence: &Caught) -> Task {
        let library = self.library;
        let patch = |(bug, wrong): (&Mutation, &str), back: bool| {
            let right = library.files[&bug.file].as_str();
            let (before, after) = if back { (wrong, right) } else { (right, wrong) };
            repository::patch(&bug.file, before, after)
        };
        Task {
            format: task::FORMAT.to_owned(),
            id: id.to_owned(),
            kind: Kind::Code,
            problem: problem.to_owned(),
            sandbox: Some(self.wanted.sandbox.as_str().into()),
            repo: Some(Repo {
                path: Some(write::repository_path(library)),
                patch: bug.map(|bug| patch(bug, false)),
                ..Repo::default()
            }),
            setup: library.setup.clone(),
            tests: Some(Tests {
                command: library.test_command.clone(),
                parser: library.parser.clone(),
                restore: library.restore.clone(),
                fail_to_pass: evidence.fail_to_pass.clone(),
                pass_to_pass: evidence.pass_to_pass.clone(),
                ..Tests::default()
            }),
            gold: bug.map(|bug| patch(bug, true)),
            limits: Some(Limits { steps: Some(STEP_LIMIT), command_seconds: None, test_seconds: None }),
            ..Task::default()
        }
    }

    /// The task as if it had been read from its directory.
    fn load(&self, task: Task) -> anyhow::Result<LoadedTask> {
        let dir = self.home.join(&task.id);
        fs_err::create_dir_all(&dir)?;
        Ok(LoadedTask { task, dir })
    }
}

#[cfg(test)]
mod tests;

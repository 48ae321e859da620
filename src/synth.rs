//! Synthesis: plants bugs in a repository, keeps those that its tests catch, and scripts the expert
//! that repairs each one.
//!
//! Guarantees that every task fails at least one test and loses none, that its gold patch is the
//! exact reverse of its bug, and that the same repositories, seed and options give the same tasks.
//! Does not judge the expert by itself: `replay` and `grade` do, like any other trajectory.

mod bench;
mod embedded;
mod expert;
pub mod library;
pub mod math;
mod problem;
mod repository;
mod sed;
mod split;
mod style;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::mutate::{self, Mutation};
use crate::seed;
use crate::task::{self, Kind, Limits, Repo, Task, Tests};
use crate::trajectory::Trajectory;

pub use bench::Bench;
pub use embedded::{repositories, repository};
pub use repository::Repository;
pub use split::{Split, split};
pub use style::{Hint, Listing, Order, Reading, Repair, Style};
pub use write::write;

/// A bug, its task and the expert that repairs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SynthTask {
    /// The task; `repo.path` leads from its directory to the repository's copy, as [`write()`] lays it out.
    pub task: Task,
    /// The repository's name.
    pub repository: String,
    /// Where the bug is and what it is.
    pub bug: Mutation,
    /// The file's whole text with the bug in it.
    pub text: String,
    /// The scripted expert.
    pub expert: Trajectory,
}

/// What synthesis is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Decides which bugs are tried first and how each expert goes about it.
    pub seed: u64,
    /// How many tasks are wanted of each repository, of as many kinds as there are; all that the
    /// tests catch when absent.
    pub count: Option<usize>,
    /// The ways in which experts may work.
    pub style: Style,
    /// The sandbox that the tasks name.
    pub sandbox: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 0, count: Some(40), style: Style::default(), sandbox: "shell".to_owned() }
    }
}

/// What synthesis gave.
#[derive(Debug, Clone, Default)]
pub struct Synthesis {
    /// The tasks, by repository; within one in the order in which the bugs were tried.
    pub tasks: Vec<SynthTask>,
    /// What became of every bug that was tried.
    pub counts: Counts,
}

/// What became of the bugs that were tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Bugs that were tried.
    pub tried: usize,
    /// Bugs that the tests caught.
    pub caught: usize,
    /// Bugs that no test noticed: another way to write the same, or a gap in the tests.
    pub unnoticed: usize,
    /// Bugs that kept tests from running at all, or from ending.
    pub broken: usize,
}

/// One bug before it was tried.
#[derive(Debug, Clone)]
struct Candidate {
    id: String,
    mutation: Mutation,
    text: String,
}

/// Plants bugs in `repositories`, tries each in a sandbox, and writes tasks and experts.
///
/// `progress` hears how many bugs are tried, of how many.
///
/// # Errors
/// When a repository's own tests fail without a bug, or a sandbox is lost. Never for what a bug does.
pub async fn synthesise(
    repositories: &[Repository],
    bench: &Bench<'_>,
    options: &Options,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> anyhow::Result<Synthesis> {
    let plans: Vec<(&Repository, Vec<Candidate>)> = repositories
        .iter()
        .enumerate()
        .map(|(idx, repository)| (repository, candidates(repository, idx, options)))
        .collect();
    let (results, counts) = bench.try_all(&plans, options.count, progress).await?;
    let mut synthesis = Synthesis { tasks: Vec::new(), counts };
    for ((repository, _), caught) in plans.iter().zip(results) {
        for (candidate, evidence) in caught {
            synthesis.tasks.push(assemble(repository, candidate, &evidence, options));
        }
    }
    Ok(synthesis)
}

/// Every bug of a repository with its id; in a seeded order when only some are wanted.
fn candidates(repository: &Repository, idx: usize, options: &Options) -> Vec<Candidate> {
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let mut texts = BTreeSet::new();
    let mut found = Vec::new();
    for mutation in mutate::enumerate(&repository.sources()) {
        let text = mutation.apply(&repository.files[&mutation.file]);
        if !texts.insert((mutation.file.clone(), text.clone())) {
            continue;
        }
        let stem = repository::stem(&mutation.file);
        let base = format!("{}-{stem}-{}", repository.name, mutation.slug());
        let seen = ids.entry(base.clone()).or_insert(0);
        *seen += 1;
        let id = if *seen == 1 { base } else { format!("{base}-{seen}") };
        found.push(Candidate { id, mutation, text });
    }
    if options.count.is_some() {
        found.shuffle(&mut seed::rng(options.seed, "synth candidates", &[idx as u64]));
        found = kinds_in_turn(found, |candidate| candidate.mutation.kind);
    }
    found
}

/// Takes one of each kind in turn, so that the first ones are of as many kinds as there are.
fn kinds_in_turn<T>(all: Vec<T>, kind: impl Fn(&T) -> mutate::Kind) -> Vec<T> {
    let mut turns: BTreeMap<mutate::Kind, usize> = BTreeMap::new();
    let mut placed: Vec<(usize, T)> = Vec::with_capacity(all.len());
    for one in all {
        let turn = turns.entry(kind(&one)).or_default();
        *turn += 1;
        placed.push((*turn, one));
    }
    placed.sort_by_key(|(turn, one)| (*turn, kind(one)));
    placed.into_iter().map(|(_, one)| one).collect()
}

fn assemble(
    repository: &Repository,
    candidate: &Candidate,
    evidence: &bench::Evidence,
    options: &Options,
) -> SynthTask {
    let right = &repository.files[&candidate.mutation.file];
    let gold = repository::patch(&candidate.mutation.file, &candidate.text, right);
    let task = Task {
        format: task::FORMAT.to_owned(),
        id: candidate.id.clone(),
        kind: Kind::Code,
        problem: problem::statement(repository, candidate, evidence, options.style.hint),
        sandbox: Some(options.sandbox.as_str().into()),
        repo: Some(Repo {
            path: Some(write::repository_path(repository)),
            patch: Some(repository::patch(&candidate.mutation.file, right, &candidate.text)),
            ..Repo::default()
        }),
        setup: repository.setup.clone(),
        tests: Some(Tests {
            command: repository.test_command.clone(),
            parser: repository.parser.clone(),
            restore: repository.restore.clone(),
            fail_to_pass: evidence.fail_to_pass.clone(),
            pass_to_pass: evidence.pass_to_pass.clone(),
            ..Tests::default()
        }),
        gold: Some(gold.clone()),
        limits: Some(Limits {
            steps: Some(options.style.step_limit),
            command_seconds: None,
            test_seconds: None,
        }),
        ..Task::default()
    };
    let expert = expert::trajectory(repository, candidate, evidence, options, gold);
    SynthTask {
        task,
        repository: repository.name.clone(),
        bug: candidate.mutation.clone(),
        text: candidate.text.clone(),
        expert,
    }
}

/// Reads a repository from a directory and checks that it has sources to plant bugs in.
///
/// # Errors
/// When it cannot be read, or holds no source whose language is known.
pub fn open(root: &std::path::Path, test_command: &str) -> anyhow::Result<Repository> {
    let repository = Repository::open(root, test_command)
        .with_context(|| format!("could not read the repository `{}`", root.display()))?;
    anyhow::ensure!(
        !repository.sources().is_empty(),
        "`{}` holds no source file outside its tests that bugs can be planted in",
        root.display()
    );
    Ok(repository)
}

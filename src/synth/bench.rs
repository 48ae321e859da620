//! Trying bugs: one sandbox a worker, many bugs a sandbox.
//!
//! Guarantees that the result does not depend on the number of workers or on who finishes first.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{Candidate, Counts, Repository};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, Exec, FileWrite, Sandbox, SandboxError, Start};
use crate::testlog::{self, Context, Statuses};
use crate::trajectory::{Exit, Observation};

/// Bugs that one sandbox tries before the next one starts.
const CHUNK: usize = 48;
/// The same where only some tasks are wanted.
const SMALL_CHUNK: usize = 8;

/// Where bugs are tried.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// Makes the sandboxes.
    pub backend: &'a dyn Backend,
    /// What they are made of.
    pub spec: &'a SandboxSpec,
    /// Wall time of one run of the tests; a bug that needs more is dropped.
    pub deadline: Duration,
    /// Sandboxes that work at the same time.
    pub workers: usize,
}

/// What the tests said of a bug.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    pub(super) fail_to_pass: Vec<String>,
    pub(super) pass_to_pass: Vec<String>,
    /// The expert's test command with the bug in place.
    pub(super) failing: Observation,
    /// The same without.
    pub(super) passing: Observation,
}

enum Verdict {
    Caught(Box<Evidence>),
    Unnoticed,
    Broken,
}

/// One sandbox's work: some bugs of a repository.
struct Job<'p, 't> {
    /// Which plan it belongs to.
    idx: usize,
    repository: &'p Repository,
    tree: &'t std::path::Path,
    candidates: &'p [Candidate],
}

type Caught<'p> = Vec<(&'p Candidate, Evidence)>;
type Verdicts<'p> = Vec<(&'p Candidate, Verdict)>;

/// What was found so far, in the order of the candidates.
struct Tally<'p> {
    count: Option<usize>,
    caught: Vec<Caught<'p>>,
    counts: Counts,
}

impl<'p> Tally<'p> {
    fn is_full(&self, idx: usize) -> bool {
        self.count.is_some_and(|count| self.caught[idx].len() >= count)
    }

    /// Counts a chunk's verdicts up to the one that makes its plan full.
    fn add(&mut self, idx: usize, verdicts: Verdicts<'p>) {
        for (candidate, verdict) in verdicts {
            if self.is_full(idx) {
                return;
            }
            self.counts.add(&verdict);
            if let Verdict::Caught(evidence) = verdict {
                self.caught[idx].push((candidate, *evidence));
            }
        }
    }
}

impl<'a> Bench<'a> {
    /// A bench with a deadline of ten seconds and a worker a core.
    pub fn new(backend: &'a dyn Backend, spec: &'a SandboxSpec) -> Self {
        let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { backend, spec, deadline: Duration::from_secs(10), workers }
    }

    /// Tries every candidate, or until `count` of a repository are caught.
    pub(super) async fn try_all<'p>(
        &self,
        plans: &'p [(&'p Repository, Vec<Candidate>)],
        count: Option<usize>,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> anyhow::Result<(Vec<Caught<'p>>, Counts)> {
        let trees =
            plans.iter().map(|(repository, _)| tree(repository)).collect::<anyhow::Result<Vec<_>>>()?;
        let total = plans.iter().map(|(_, candidates)| candidates.len()).sum();
        let chunk = if count.is_some() { SMALL_CHUNK } else { CHUNK };
        let mut jobs = Vec::new();
        for (idx, (repository, candidates)) in plans.iter().enumerate() {
            let job = |chunk| Job { idx, repository, tree: trees[idx].path(), candidates: chunk };
            jobs.extend(candidates.chunks(chunk).map(job).enumerate());
        }
        // Every repository's first chunk, then every second one: what fills a repository comes early.
        jobs.sort_by_key(|(turn, _)| *turn);
        let mut waiting: VecDeque<_> = jobs.into_iter().map(|(_, job)| job).collect();
        let mut tally =
            Tally { count, caught: plans.iter().map(|_| Vec::new()).collect(), counts: Counts::default() };
        while !waiting.is_empty() {
            let wave: Vec<_> = waiting.drain(..waiting.len().min(self.workers * 8)).collect();
            let running = wave.iter().map(|job| async move { anyhow::Ok((job.idx, self.run(job).await?)) });
            let mut results = stream::iter(running).buffered(self.workers.max(1));
            while let Some((idx, verdicts)) = results.try_next().await? {
                tally.add(idx, verdicts);
                progress(tally.counts.tried, total);
            }
            // A small count is met by the first chunks: later ones of that repository never start.
            waiting.retain(|job| !tally.is_full(job.idx));
        }
        Ok((tally.caught, tally.counts))
    }

    async fn run<'p>(&self, job: &Job<'p, '_>) -> anyhow::Result<Verdicts<'p>> {
        let start = Start { spec: self.spec, tree: Some(job.tree) };
        let mut sandbox =
            self.backend.start(&start).await.context("could not start a sandbox to try bugs in")?;
        let tried = self.run_in(&mut *sandbox, job).await;
        sandbox.stop().await?;
        tried
    }

    async fn run_in<'p>(&self, sandbox: &mut dyn Sandbox, job: &Job<'p, '_>) -> anyhow::Result<Verdicts<'p>> {
        let (clean, passing) = self.clean(sandbox, job.repository).await?;
        let mut verdicts = Vec::with_capacity(job.candidates.len());
        for candidate in job.candidates {
            let file = &candidate.mutation.file;
            put(sandbox, file, &candidate.text).await?;
            let verdict = self.judge(sandbox, job.repository, (&clean, &passing)).await?;
            put(sandbox, file, &job.repository.files[file]).await?;
            verdicts.push((candidate, verdict));
        }
        Ok(verdicts)
    }

    /// Runs the tests without a bug: all that they report must pass.
    async fn clean(
        &self,
        sandbox: &mut dyn Sandbox,
        repository: &Repository,
    ) -> anyhow::Result<(Statuses, Observation)> {
        let observation = self.exec(sandbox, &repository.test_command).await?;
        let clean = testlog::read(&repository.parser, &Context::default(), &observation.output)?;
        if !clean.values().any(|status| status.is_pass()) {
            bail!(
                "no test of `{}` passes without a bug; `{}` printed:\n{}",
                repository.name,
                repository.test_command,
                observation.output
            );
        }
        let passing = match repository.expert_command == repository.test_command {
            true => observation,
            false => self.exec(sandbox, &repository.expert_command).await?,
        };
        Ok((clean, passing))
    }

    async fn judge(
        &self,
        sandbox: &mut dyn Sandbox,
        repository: &Repository,
        (clean, passing): (&Statuses, &Observation),
    ) -> anyhow::Result<Verdict> {
        let observation = self.exec(sandbox, &repository.test_command).await?;
        let statuses = testlog::read(&repository.parser, &Context::default(), &observation.output)?;
        // A suite that lost tests was kept from running or from ending.
        if observation.exit == Some(Exit::TimedOut) || !statuses.keys().eq(clean.keys()) {
            return Ok(Verdict::Broken);
        }
        let (pass_to_pass, fail_to_pass): (Vec<_>, Vec<_>) =
            clean.keys().filter(|id| clean[*id].is_pass()).cloned().partition(|id| statuses[id].is_pass());
        if fail_to_pass.is_empty() {
            return Ok(Verdict::Unnoticed);
        }
        let failing = match repository.expert_command == repository.test_command {
            true => observation,
            false => self.exec(sandbox, &repository.expert_command).await?,
        };
        Ok(Verdict::Caught(Box::new(Evidence {
            fail_to_pass,
            pass_to_pass,
            failing,
            passing: passing.clone(),
        })))
    }

    async fn exec(&self, sandbox: &mut dyn Sandbox, command: &str) -> Result<Observation, SandboxError> {
        // Two texts of one size in one second would share Python's compiled file.
        let script = format!("export PYTHONDONTWRITEBYTECODE=1\n{command}");
        let exec = Exec::new(&script, self.deadline, 1 << 20).fresh();
        let mut observation = sandbox.exec(&exec).await?;
        // No clock reaches a result.
        observation.elapsed_seconds = 0.0;
        Ok(observation)
    }
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        self.tried += 1;
        match verdict {
            Verdict::Caught(_) => self.caught += 1,
            Verdict::Unnoticed => self.unnoticed += 1,
            Verdict::Broken => self.broken += 1,
        }
    }
}

fn tree(repository: &Repository) -> anyhow::Result<tempfile::TempDir> {
    let dir = tempfile::tempdir().context("could not make a temporary directory")?;
    repository.write_to(dir.path())?;
    Ok(dir)
}

async fn put(sandbox: &mut dyn Sandbox, file: &str, text: &str) -> anyhow::Result<()> {
    match sandbox.write(file, text.as_bytes()).await? {
        FileWrite::Written => Ok(()),
        FileWrite::Refused(why) => bail!("the sandbox does not let `{file}` be written: {why}"),
    }
}

//! Grading: does a patch resolve its task?
//!
//! Each grade has a fresh sandbox whose files we made ourselves from the starting point with its set-up done,
//! the student's patch and the task's tests, so nothing that grades was ever writable by the student. A grade whose sandbox
//! is lost is made again; one that stays lost is [`Outcome::Infrastructure`], never "unresolved". Cannot tell an honest test run from code
//! under test that imitates its runner perfectly (see `testlog`).

mod closing;
mod edits;
mod expect;
mod guard;
mod infrastructure;
mod input;
mod plan;
mod quarantine;
pub mod reference;
mod repeat;
mod report;
mod reported;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::patch::{File, Level, Mode, Patch};
use crate::ready::{Order, Ready};
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, Exec, FileRead, PAUSES, Sandbox, Start};
use crate::task::{Kind, LoadedTask, Task, Tests};
use crate::testlog::{self, Status};
use crate::trajectory::Exit;
use crate::workspace::{self, Workspace};
pub use guard::{Done, Flag, What};
pub use infrastructure::{Infrastructure, Trouble};
pub use input::input;
pub use repeat::agreed;
pub use report::{Instance, Report};

use plan::{Plan, Refusal, plan};
use quarantine::Quarantine;
use reported::Run;

/// Wall seconds that the tests may take where the task does not say it; as in the SWE-bench harness.
const TEST_SECONDS: f64 = 1800.0;
/// Bytes kept of the tests' output: a summary of 100 000 tests fits.
const LOG_BYTES: usize = 16 << 20;

/// What is graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction<'a> {
    /// A student's patch; a blank one is not run.
    Patch(&'a str),
    /// The task's own solution.
    Gold,
    /// The starting point, with its tests run.
    Noop,
}

/// Where grading keeps what it prepares.
#[derive(Debug, Clone)]
pub struct Options {
    /// Prepared repositories.
    pub cache: PathBuf,
    /// Makes sandboxes ready.
    pub ready: Arc<Ready>,
}

/// The verdict on one prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The task's id.
    pub id: String,
    /// The verdict.
    pub outcome: Outcome,
    /// Why, in words; empty where it is resolved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How the patch was made to fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Level>,
    /// Tests and their configuration that the patch had changed and that were put back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<String>,
    /// What the patch changed of that by which it is judged, and what became of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// What failed, where the outcome is [`Outcome::Infrastructure`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<Infrastructure>,
    /// A digest of all that decides on the verdict ([`input`]), where somebody asked for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub input: String,
    /// What became of the tests that must start to pass; null where the output does not name one.
    #[serde(default)]
    pub fail_to_pass: BTreeMap<String, Option<Status>>,
    /// What became of the tests that must keep passing.
    #[serde(default)]
    pub pass_to_pass: BTreeMap<String, Option<Status>>,
    /// Tests that the task's certificate quarantines: neither required nor counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
    /// How the test command ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Wall seconds of the test command.
    #[serde(skip)]
    pub seconds: Option<f64>,
    /// What a reference harness says, where somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<reference::Reference>,
    /// What the test command printed.
    #[serde(skip)]
    pub log: String,
    /// Why the tries before this one were lost.
    #[serde(skip)]
    pub lost_before: Vec<String>,
}

/// The kinds of verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every expected test passes.
    Resolved,
    /// An expected test does not pass, or the test run cannot be believed.
    Unresolved,
    /// Every test that passed before still passes, and some of those that failed, but not all.
    Partial,
    /// The patch does not fit the starting point.
    PatchDoesNotApply,
    /// There is no change to grade.
    EmptyPatch,
    /// The patch breaks a rule of docs/grading.md, or the test run contradicts itself.
    Tampered,
    /// The tests overran their deadline.
    TimedOut,
    /// Several grades of the same patch disagree.
    Flaky,
    /// The sandbox, the host or the task failed: nothing is said about the patch.
    Infrastructure,
}

impl Outcome {
    /// Whether it says something about the patch, and so counts in a rate.
    pub fn is_valid(self) -> bool {
        self != Self::Infrastructure
    }

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Unresolved => "unresolved",
            Self::Partial => "partial",
            Self::PatchDoesNotApply => "patch_does_not_apply",
            Self::EmptyPatch => "empty_patch",
            Self::Tampered => "tampered",
            Self::TimedOut => "timed_out",
            Self::Flaky => "flaky",
            Self::Infrastructure => "infrastructure",
        }
    }
}

impl Verdict {
    /// A verdict without a test run.
    pub fn new(id: &str, outcome: Outcome, reason: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            outcome,
            reason: reason.into(),
            applied: None,
            restored: Vec::new(),
            flags: Vec::new(),
            infrastructure: None,
            input: String::new(),
            fail_to_pass: BTreeMap::new(),
            pass_to_pass: BTreeMap::new(),
            quarantined: Vec::new(),
            exit: None,
            seconds: None,
            reference: None,
            log: String::new(),
            lost_before: Vec::new(),
        }
    }

    /// Whether the task is resolved.
    pub fn is_resolved(&self) -> bool {
        self.outcome == Outcome::Resolved
    }
}

/// Grades one prediction in a fresh sandbox.
pub async fn grade(
    backend: &dyn Backend,
    spec: &SandboxSpec,
    loaded: &LoadedTask,
    prediction: Prediction<'_>,
    options: &Options,
) -> Verdict {
    grade_in_turn((backend, spec), loaded, prediction, options, &Turns::of(1)).await
}

/// Who may go on of those that grade side by side. Those that have no turn yet start their sandboxes
/// already; whoever begins again gives back its turn first, so that nobody waits for one that waits for it.
struct Turns {
    ahead: Semaphore,
    slots: Semaphore,
}

impl Turns {
    /// Turns for `parallel` graders.
    fn of(parallel: usize) -> Self {
        let slots = parallel.clamp(1, Semaphore::MAX_PERMITS / 2);
        Self { ahead: Semaphore::new(2 * slots), slots: Semaphore::new(slots) }
    }
}

async fn grade_in_turn(
    (backend, spec): (&dyn Backend, &SandboxSpec),
    loaded: &LoadedTask,
    prediction: Prediction<'_>,
    options: &Options,
    turns: &Turns,
) -> Verdict {
    let mut lost_before = Vec::new();
    loop {
        match judge((backend, spec), loaded, prediction, options, turns).await {
            Ok(verdict) => return Verdict { lost_before, ..verdict },
            Err(error) => match PAUSES.get(lost_before.len()) {
                Some(pause) if Infrastructure::of(&error).retryable => {
                    lost_before.push(format!("{error:#}"));
                    tokio::time::sleep(*pause).await;
                }
                _ => {
                    let infrastructure = Some(Infrastructure::of(&error));
                    let verdict =
                        Verdict::new(&loaded.task.id, Outcome::Infrastructure, format!("{error:#}"));
                    return Verdict { infrastructure, lost_before, ..verdict };
                }
            },
        }
    }
}

/// A sandbox with everything in place, and the plan of its grade.
type Started = (Box<dyn Sandbox>, Plan);

/// Starts a sandbox that holds the patched repository with its tests put back, set up as the task asks before
/// anything was changed, as the student found it.
async fn start(
    order: &Order<'_>,
    ready: &Ready,
    (tests, patch): (&Tests, &Patch),
) -> anyhow::Result<Result<Started, Refusal>> {
    let (files, sandbox) = base(order, ready, &plan::paths(tests, patch)?).await?;
    let plan = match plan(order.task, tests, patch, &files)? {
        Ok(plan) => plan,
        Err(refusal) => {
            if let Some(sandbox) = sandbox {
                sandbox.stop().await?;
            }
            return Ok(Err(refusal));
        }
    };
    let mut sandbox = match sandbox {
        Some(sandbox) => sandbox,
        None => ready.start(order).await?,
    };
    match edits::write(&mut *sandbox, &plan.edits).await {
        Ok(()) => Ok(Ok((sandbox, plan))),
        Err(error) => {
            // The first failure is the one to report.
            drop(sandbox.stop().await);
            Err(error)
        }
    }
}

/// Those of `paths` that the repository holds without its set-up, which is what a patch is made against. Where only
/// a sandbox can tell, that comes along, unless it lacks the set-up.
async fn base(
    order: &Order<'_>,
    ready: &Ready,
    paths: &[String],
) -> anyhow::Result<(BTreeMap<String, File>, Option<Box<dyn Sandbox>>)> {
    if let Some(tree) = &order.workspace.tree {
        return Ok((workspace::files_of(tree, paths.iter().map(String::as_str))?, None));
    }
    let has_setup = !order.task.setup.is_empty();
    let mut sandbox = match has_setup {
        true => order.backend.start(&Start { spec: order.spec, tree: None }).await?,
        false => ready.start(order).await?,
    };
    let files = read_all(&mut *sandbox, paths).await?;
    if !has_setup {
        return Ok((files, Some(sandbox)));
    }
    sandbox.stop().await?;
    Ok((files, None))
}

async fn judge(
    (backend, spec): (&dyn Backend, &SandboxSpec),
    loaded: &LoadedTask,
    prediction: Prediction<'_>,
    options: &Options,
    turns: &Turns,
) -> anyhow::Result<Verdict> {
    let task = &loaded.task;
    let (Kind::Code, Some(tests)) = (task.kind, &task.tests) else {
        return Err(anyhow!("a math task has no tests to grade a patch by"));
    };
    let text = match prediction {
        Prediction::Noop => "",
        Prediction::Gold => task.gold.as_deref().context("the task has no gold patch")?,
        Prediction::Patch(text) if text.trim().is_empty() => {
            return Ok(Verdict::new(&task.id, Outcome::EmptyPatch, "the patch is empty"));
        }
        Prediction::Patch(text) => text,
    };
    let patch = match Patch::parse(text) {
        Ok(patch) => patch,
        Err(error) => {
            let outcome = guard::outcome_of(&error);
            return Ok(Verdict::new(&task.id, outcome, error.to_string()));
        }
    };
    let quarantine = quarantine_of(loaded).await?;
    let workspace = prepare(loaded, &options.cache).await?;
    let order = Order { backend, spec, task, workspace: &workspace };
    let _ahead = turns.ahead.acquire().await?;
    let (mut sandbox, plan) = match start(&order, &options.ready, (tests, &patch)).await? {
        Ok(started) => started,
        Err(refusal) => return Ok(refusal.verdict(&task.id)),
    };
    let _slot = turns.slots.acquire().await?;
    let run = run_tests(&mut *sandbox, task, tests).await;
    if let Err(error) = sandbox.stop().await {
        // The tests have run: what is left behind is for `sandbox prune`, not for the verdict.
        tracing::warn!(%error, task = task.id, "could not stop the sandbox");
    }
    let run = run?;
    let seconds = Some(run.observation.elapsed_seconds);
    let mut verdict = verdict(task, &quarantine.counted(tests), run)?;
    (verdict.quarantined, verdict.seconds) = (quarantine.ids(), seconds);
    verdict.restored = plan.restored();
    (verdict.applied, verdict.flags) = (plan.level, plan.flags);
    Ok(verdict)
}

async fn quarantine_of(loaded: &LoadedTask) -> anyhow::Result<Quarantine> {
    let loaded = loaded.clone();
    tokio::task::spawn_blocking(move || Quarantine::of(&loaded)).await?
}

async fn prepare(loaded: &LoadedTask, cache: &Path) -> anyhow::Result<Workspace> {
    let (loaded, cache) = (loaded.clone(), cache.to_owned());
    tokio::task::spawn_blocking(move || workspace::prepare(&loaded, &cache)).await?
}

/// Reads those of `paths` that a sandbox's own repository holds.
async fn read_all(sandbox: &mut dyn Sandbox, paths: &[String]) -> anyhow::Result<BTreeMap<String, File>> {
    let mut files = BTreeMap::new();
    for path in paths {
        if let FileRead::File(bytes) = sandbox.read(path).await? {
            files.insert(path.clone(), File { bytes, mode: Mode::File });
        }
    }
    Ok(files)
}

async fn run_tests(sandbox: &mut dyn Sandbox, task: &Task, tests: &Tests) -> anyhow::Result<Run> {
    let seconds = task.limits.and_then(|limits| limits.test_seconds).unwrap_or(TEST_SECONDS);
    let timeout = Duration::from_secs_f64(seconds);
    reported::run(sandbox, tests, Exec::new(&tests.command, timeout, LOG_BYTES)).await
}

/// The verdict that a run of the tests amounts to. An error is the task's: nothing can read its results.
fn verdict(task: &Task, tests: &Tests, run: Run) -> anyhow::Result<Verdict> {
    let results = testlog::results(task, tests, run.written(), &run.observation.output)?;
    let observation = run.observation;
    let decision = expect::decide(tests, &results, observation.exit);
    let outcome = match (observation.exit, decision.reason.is_empty()) {
        (Some(Exit::TimedOut), _) => Outcome::TimedOut,
        (_, true) => Outcome::Resolved,
        _ if decision.is_partial => Outcome::Partial,
        _ => Outcome::Unresolved,
    };
    let doubt = closing::doubt(tests, observation.exit, (&observation.output, results.statuses()));
    let reason = match (outcome, observation.exit) {
        (Outcome::TimedOut, _) => "the tests overran their deadline".to_owned(),
        (Outcome::Unresolved, Some(Exit::OutOfMemory)) => "the tests ran out of memory".to_owned(),
        _ => decision.reason,
    };
    let (outcome, reason) = closing::judged(outcome, reason, doubt);
    let mut verdict = Verdict::new(&task.id, outcome, reason);
    (verdict.fail_to_pass, verdict.pass_to_pass) = (decision.fail_to_pass, decision.pass_to_pass);
    (verdict.exit, verdict.log) = (observation.exit, observation.output);
    Ok(verdict)
}

/// One prediction that waits for its grade.
#[derive(Clone)]
pub struct Job {
    /// Its task.
    pub task: Arc<LoadedTask>,
    /// The sandbox that its task names.
    pub spec: Arc<SandboxSpec>,
    /// What starts that sandbox.
    pub backend: Arc<dyn Backend>,
    /// What is graded.
    pub prediction: JobPrediction,
}

/// A [`Prediction`] that owns its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobPrediction {
    /// A student's patch.
    Patch(String),
    /// The task's own solution.
    Gold,
    /// The starting point.
    Noop,
}

impl JobPrediction {
    /// The same, borrowed.
    pub fn borrowed(&self) -> Prediction<'_> {
        match self {
            Self::Patch(text) => Prediction::Patch(text),
            Self::Gold => Prediction::Gold,
            Self::Noop => Prediction::Noop,
        }
    }
}

/// Grades `jobs`, at most `parallel` at a time; verdicts come back in the order of the jobs, and
/// `done` hears of each as it is made.
pub async fn grade_all(
    jobs: Vec<Job>,
    parallel: usize,
    options: &Options,
    mut done: impl FnMut(&Verdict),
) -> Vec<Verdict> {
    grade_each(jobs, parallel, options, |_, verdict| done(verdict)).await
}

/// The same, with `done` told which job it was, counted from 0.
pub async fn grade_each(
    jobs: Vec<Job>,
    parallel: usize,
    options: &Options,
    mut done: impl FnMut(usize, &Verdict),
) -> Vec<Verdict> {
    let turns = Arc::new(Turns::of(parallel));
    let mut running = JoinSet::new();
    let ids: Vec<String> = jobs.iter().map(|job| job.task.task.id.clone()).collect();
    for (job_idx, job) in jobs.into_iter().enumerate() {
        let (turns, options) = (Arc::clone(&turns), options.clone());
        running.spawn(async move {
            let prediction = job.prediction.borrowed();
            let bench = (&*job.backend, &*job.spec);
            let verdict = grade_in_turn(bench, &job.task, prediction, &options, &turns).await;
            (job_idx, verdict)
        });
    }
    let mut verdicts = vec![None; ids.len()];
    while let Some(joined) = running.join_next().await {
        // A panic is a bug of ours; it must not be read as "unresolved" either.
        let Ok((job_idx, verdict)) = joined else { continue };
        done(job_idx, &verdict);
        verdicts[job_idx] = Some(verdict);
    }
    let lost = |id: &str| Verdict {
        infrastructure: Some(Infrastructure::GRADER),
        ..Verdict::new(id, Outcome::Infrastructure, "the grader itself broke down")
    };
    std::iter::zip(verdicts, &ids).map(|(verdict, id)| verdict.unwrap_or_else(|| lost(id))).collect()
}

#[cfg(test)]
mod tests;

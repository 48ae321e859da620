//! Certification: are a task's grades to be trusted?
//!
//! Runs a task's tests with its gold patch several times, without any repair, with its tests' patch alone and in other
//! orders, and says in a certificate what was seen (docs/certificates.md). Guarantees that a failure of the host
//! gives no certificate, and that what was decided depends neither on how many sandboxes work at once nor on who ends
//! first. A test that fails once in a thousand runs is not found.

mod decide;
mod order;
mod statement;

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::certificate::{Certificate, Check, CheckRun, CheckedIn, FORMAT, LEAST_SECONDS};
use crate::grade::{self, JobPrediction, Outcome, Verdict};
use crate::patch::Patch;
use crate::sandbox::Backend;
use crate::sandbox::spec::SandboxSpec;
use crate::task::LoadedTask;
use crate::task_dir::certified;
use crate::testlog::Status;

use decide::{Seen, decide, is_surprising};
use order::Order;

/// A task to certify.
#[derive(Clone)]
pub struct Case {
    /// The task; it has a gold patch.
    pub task: Arc<LoadedTask>,
    /// The sandbox that it names.
    pub spec: Arc<SandboxSpec>,
    /// What starts that sandbox.
    pub backend: Arc<dyn Backend>,
    /// What that sandbox is made of, for the record.
    pub made_of: String,
}

/// How tasks are tried.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where grades keep what they prepare.
    pub grade: grade::Options,
    /// How often the tests run with the gold patch.
    pub runs: usize,
    /// How many other orders of the tests are tried.
    pub orders: usize,
    /// Sandboxes that work at once.
    pub parallel: usize,
}

/// A task's certificate, or why the host could not say anything about it.
pub type Certified = Result<Certificate, String>;

/// Certifies tasks side by side, in their order; `done` hears of each as soon as it is known.
///
/// # Errors
/// When `done` fails; what others would have said is then lost.
pub async fn certify_all(
    cases: Vec<Case>,
    options: &Options,
    mut done: impl FnMut(&Case, &Certified) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Certified>> {
    let slots = Arc::new(Semaphore::new(options.parallel.clamp(1, Semaphore::MAX_PERMITS)));
    let mut running = JoinSet::new();
    for (case_idx, case) in cases.iter().cloned().enumerate() {
        let bench = Bench { case, options: options.clone(), slots: slots.clone() };
        running.spawn(async move { (case_idx, bench.certify().await) });
    }
    let mut certified: Vec<Certified> =
        cases.iter().map(|_| Err("the check itself broke down".to_owned())).collect();
    while let Some(joined) = running.join_next().await {
        // A panic is a bug of ours; it must not be read as a fault of the task either.
        let Ok((case_idx, result)) = joined else { continue };
        done(&cases[case_idx], &result)?;
        certified[case_idx] = result;
    }
    Ok(certified)
}

/// One task with what it is tried by.
#[derive(Clone)]
struct Bench {
    case: Case,
    options: Options,
    slots: Arc<Semaphore>,
}

/// One run of the tests that is to be made.
struct Planned {
    check: Check,
    order: Option<Order>,
    task: Arc<LoadedTask>,
    prediction: JobPrediction,
}

impl Bench {
    async fn certify(self) -> Certified {
        let seen = self.look().await.map_err(|error| format!("{error:#}"))?;
        if let Some(lost) = seen.iter().find(|seen| seen.verdict.outcome == Outcome::Infrastructure) {
            return Err(lost.verdict.reason.clone());
        }
        self.certificate(&seen).map_err(|error| format!("{error:#}"))
    }

    /// Makes all runs, those of the start again where they surprise.
    async fn look(&self) -> anyhow::Result<Vec<Seen>> {
        let mut seen = self.run_all(self.planned()).await?;
        let again = self.options.runs.saturating_sub(1);
        if let Some(at) = seen.iter().position(|seen| seen.check == Check::Noop)
            && is_surprising(&seen[at].verdict)
        {
            let noops = (0..again).map(|_| self.planned_as(Check::Noop, JobPrediction::Noop)).collect();
            let more = self.run_all(noops).await?;
            let rest = seen.split_off(at + 1);
            seen.extend(more.into_iter().chain(rest));
        }
        Ok(seen)
    }

    fn planned(&self) -> Vec<Planned> {
        let golds = (0..self.options.runs.max(1)).map(|_| self.planned_as(Check::Gold, JobPrediction::Gold));
        let mut planned: Vec<Planned> = golds.collect();
        planned.push(self.planned_as(Check::Noop, JobPrediction::Noop));
        let Some(tests) = &self.case.task.task.tests else { return planned };
        if let Some(patch) = &tests.patch {
            planned.push(self.planned_as(Check::TestsOnly, JobPrediction::Patch(patch.clone())));
        }
        let orders = if order::is_pytest(tests) { order::orders(self.options.orders) } else { Vec::new() };
        planned.extend(orders.into_iter().map(|order| Planned {
            order: Some(order),
            task: Arc::new(LoadedTask {
                task: order::reordered(&self.case.task.task, order),
                ..(*self.case.task).clone()
            }),
            ..self.planned_as(Check::Order, JobPrediction::Gold)
        }));
        planned
    }

    fn planned_as(&self, check: Check, prediction: JobPrediction) -> Planned {
        Planned { check, order: None, task: self.case.task.clone(), prediction }
    }

    /// Makes runs side by side; they come back in their order.
    async fn run_all(&self, planned: Vec<Planned>) -> anyhow::Result<Vec<Seen>> {
        let mut running = JoinSet::new();
        let n_planned = planned.len();
        for (run_idx, planned) in planned.into_iter().enumerate() {
            let bench = self.clone();
            running.spawn(async move {
                let verdict = bench.run(&planned).await;
                (run_idx, Seen { check: planned.check, order: planned.order, verdict })
            });
        }
        let mut seen: Vec<(usize, Seen)> = Vec::with_capacity(n_planned);
        while let Some(joined) = running.join_next().await {
            seen.push(joined.context("a run of the tests broke down")?);
        }
        seen.sort_by_key(|(run_idx, _)| *run_idx);
        Ok(seen.into_iter().map(|(_, seen)| seen).collect())
    }

    async fn run(&self, planned: &Planned) -> Verdict {
        let _slot = self.slots.acquire().await.expect("invariant: nobody closes the slots");
        let Case { spec, backend, .. } = &self.case;
        let prediction = planned.prediction.borrowed();
        grade::grade(&**backend, spec, &planned.task, prediction, &self.options.grade).await
    }

    fn certificate(&self, seen: &[Seen]) -> anyhow::Result<Certificate> {
        let Case { task: loaded, spec, backend, made_of } = &self.case;
        let gold = loaded.task.gold.as_deref().context("the task has no gold patch")?;
        let gold = Patch::parse(gold).context("the task's gold patch cannot be read")?;
        let statement = statement::compare(&loaded.task.problem, &gold);
        let decision = decide(seen, &statement);
        let gold_seconds = seen.iter().filter(|seen| seen.check == Check::Gold);
        let gold_seconds = gold_seconds.filter_map(|seen| seen.verdict.seconds).fold(0.0, f64::max);
        Ok(Certificate {
            format: FORMAT.to_owned(),
            task: loaded.task.id.clone(),
            task_digest: certified::digest(loaded)?,
            sandbox: CheckedIn {
                name: spec.name.clone(),
                backend: backend.name().to_owned(),
                made_of: made_of.clone(),
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            certified: decision.faults.is_empty(),
            faults: decision.faults,
            remarks: decision.remarks,
            quarantined: decision.quarantined,
            gold_seconds,
            suggested_test_seconds: (5.0 * gold_seconds).ceil().max(LEAST_SECONDS),
            statement,
            runs: seen.iter().map(record).collect(),
        })
    }
}

fn record(seen: &Seen) -> CheckRun {
    let Verdict { outcome, reason, seconds, fail_to_pass, pass_to_pass, .. } = &seen.verdict;
    let all = fail_to_pass.iter().chain(pass_to_pass);
    let mut not_passed: Vec<String> =
        all.filter(|(_, status)| !status.is_some_and(Status::is_pass)).map(|(id, _)| id.clone()).collect();
    not_passed.sort_unstable();
    CheckRun {
        check: seen.check,
        order: seen.order.map(|order| order.to_string()),
        outcome: outcome.name().to_owned(),
        reason: reason.clone(),
        seconds: *seconds,
        not_passed,
    }
}

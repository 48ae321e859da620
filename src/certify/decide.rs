//! What the runs of a task's checks amount to.
//!
//! A pure function. Guarantees that a test is quarantined only for results that were seen to differ, and that a run which
//! says nothing of a test (it overran its deadline, it named none) is no evidence about it.

use std::collections::{BTreeMap, BTreeSet};

use super::order::{self, Order};
use crate::certificate::{Check, Finding, Quarantined, Statement, Why};
use crate::grade::{Outcome, Verdict};
use crate::testlog::Status;
use crate::trajectory::Exit;

/// One run of the tests.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) check: Check,
    /// The order of the tests, where it was not the command's own.
    pub(super) order: Option<Order>,
    pub(super) verdict: Verdict,
}

/// What follows from all runs.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Decision {
    pub(super) faults: Vec<Finding>,
    pub(super) remarks: Vec<Finding>,
    pub(super) quarantined: Vec<Quarantined>,
}

/// The share of the gold patch's lines in the problem from which on a student need only copy.
const GIVEN_AWAY: f64 = 0.5;

/// Weighs the runs of one task, and what its problem gives away.
pub(super) fn decide(seen: &[Seen], statement: &Statement) -> Decision {
    let mut decision = Decision { quarantined: quarantined(seen), ..Decision::default() };
    let ids: BTreeSet<&str> = decision.quarantined.iter().map(|test| test.id.as_str()).collect();
    let fault = |check: Check, what: String| Finding { check, what };
    let faults = gold_fault(seen, &ids).map(|what| fault(Check::Gold, what));
    let faults = faults.into_iter().chain(noop_faults(seen, &ids).map(|what| fault(Check::Noop, what)));
    let tests_alone = of(seen, Check::TestsOnly).find(|seen| seen.verdict.is_resolved());
    let faults = faults
        .chain(tests_alone.map(|_| fault(Check::TestsOnly, "the tests' patch alone resolves it".to_owned())));
    decision.faults = faults.collect();
    decision.remarks = noop_remark(seen).map(|what| fault(Check::Noop, what)).into_iter().collect();
    decision.remarks.extend(order_remarks(seen).into_iter().map(|what| fault(Check::Order, what)));
    let (given, remarks) = statement_findings(statement);
    decision.faults.extend(given.map(|what| fault(Check::Statement, what)));
    decision.remarks.extend(remarks.into_iter().map(|what| fault(Check::Statement, what)));
    decision
}

/// Whether a run at the start surprises, so that it takes more of them to tell a fault from a flaky test.
pub(super) fn is_surprising(noop: &Verdict) -> bool {
    let passes = noop.fail_to_pass.values().any(|status| kind(*status) == Kind::Passed);
    passes || (ran(noop) && noop.pass_to_pass.values().any(|status| kind(*status) == Kind::Not))
}

/// What a status means for a test that is expected to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Passed,
    Skipped,
    /// It failed, broke, or did not run.
    Not,
}

fn kind(status: Option<Status>) -> Kind {
    match status {
        Some(status) if status.is_pass() => Kind::Passed,
        Some(Status::Skipped) => Kind::Skipped,
        _ => Kind::Not,
    }
}

fn of(seen: &[Seen], check: Check) -> impl Iterator<Item = &Seen> {
    seen.iter().filter(move |seen| seen.check == check)
}

/// Whether the tests ran to their end and said something.
fn ran(verdict: &Verdict) -> bool {
    let said = verdict.fail_to_pass.values().chain(verdict.pass_to_pass.values()).any(Option::is_some);
    said && !matches!(verdict.exit, None | Some(Exit::TimedOut))
}

fn results(verdict: &Verdict) -> impl Iterator<Item = (&str, Kind)> {
    let all = verdict.fail_to_pass.iter().chain(&verdict.pass_to_pass);
    all.map(|(id, status)| (id.as_str(), kind(*status)))
}

fn quarantined(seen: &[Seen]) -> Vec<Quarantined> {
    let mut caught: BTreeMap<&str, Why> = BTreeMap::new();
    for check in [Check::Gold, Check::Noop] {
        let kinds = kinds(of(seen, check).filter(|seen| ran(&seen.verdict)));
        caught.extend(kinds.into_iter().filter(|(_, kinds)| 1 < kinds.len()).map(|(id, _)| (id, Why::Flaky)));
    }
    let usual = kinds(of(seen, Check::Gold).filter(|seen| ran(&seen.verdict)));
    for other in of(seen, Check::Order).filter(|seen| ran(&seen.verdict) && is_reordered(seen)) {
        for (id, kind) in results(&other.verdict) {
            if usual.get(id).is_some_and(|usual| !usual.contains(&kind)) {
                caught.entry(id).or_insert(Why::Order);
            }
        }
    }
    caught.into_iter().map(|(id, why)| Quarantined { id: id.to_owned(), why }).collect()
}

/// Each test's different results in some runs.
fn kinds<'a>(runs: impl Iterator<Item = &'a Seen>) -> BTreeMap<&'a str, BTreeSet<Kind>> {
    let mut kinds: BTreeMap<&str, BTreeSet<Kind>> = BTreeMap::new();
    for run in runs {
        for (id, kind) in results(&run.verdict) {
            kinds.entry(id).or_default().insert(kind);
        }
    }
    kinds
}

fn is_reordered(seen: &Seen) -> bool {
    seen.order.is_some_and(|order| order::came_about(&seen.verdict.log, order))
}

fn gold_fault(seen: &[Seen], quarantined: &BTreeSet<&str>) -> Option<String> {
    let runs: Vec<&Verdict> = of(seen, Check::Gold).map(|seen| &seen.verdict).collect();
    let first = runs.first()?;
    if !first.fail_to_pass.is_empty() && first.fail_to_pass.keys().all(|id| quarantined.contains(id.as_str()))
    {
        return Some("every test of `fail_to_pass` is quarantined, so nothing tells a repair".to_owned());
    }
    let resolves = |verdict: &Verdict| verdict.is_resolved() || only_quarantined_fail(verdict, quarantined);
    let wrong: Vec<&&Verdict> = runs.iter().filter(|verdict| !resolves(verdict)).collect();
    let one = wrong.first()?;
    let times = if wrong.len() == runs.len() {
        String::new()
    } else {
        format!(" in {} of {} runs", wrong.len(), runs.len())
    };
    Some(format!("the gold patch{times}: {}: {}", one.outcome.name(), one.reason))
}

/// Whether a run that did not resolve the task would have, were it not for quarantined tests.
fn only_quarantined_fail(verdict: &Verdict, quarantined: &BTreeSet<&str>) -> bool {
    let repairs = verdict.fail_to_pass.iter().filter(|(_, status)| kind(**status) != Kind::Passed);
    let keeps = verdict.pass_to_pass.iter().filter(|(_, status)| kind(**status) == Kind::Not);
    let mut wrong = repairs.chain(keeps).map(|(id, _)| id.as_str()).peekable();
    ran(verdict) && wrong.peek().is_some() && wrong.all(|id| quarantined.contains(id))
}

fn noop_faults<'a>(seen: &'a [Seen], quarantined: &'a BTreeSet<&str>) -> impl Iterator<Item = String> + 'a {
    let runs: Vec<&Verdict> = of(seen, Check::Noop).map(|seen| &seen.verdict).collect();
    let ids = |list: fn(&Verdict) -> &BTreeMap<String, Option<Status>>, wrong: Kind| -> BTreeSet<&'a str> {
        let ran = runs.iter().filter(|verdict| ran(verdict));
        let found = ran.flat_map(|verdict| list(verdict)).filter(|(_, status)| kind(**status) == wrong);
        found.map(|(id, _)| id.as_str()).filter(|id| !quarantined.contains(id)).collect()
    };
    let passing = ids(|verdict| &verdict.fail_to_pass, Kind::Passed);
    let mut broken = ids(|verdict| &verdict.pass_to_pass, Kind::Not);
    // Some runners name failures only; what nobody saw pass cannot be seen to break.
    let kept = kinds(of(seen, Check::Gold));
    broken.retain(|id| kept.get(id).is_some_and(|kinds| kinds.iter().any(|kind| *kind != Kind::Not)));
    let resolved = runs.iter().any(|verdict| verdict.is_resolved());
    let already = match resolved {
        true => Some("doing nothing resolves it".to_owned()),
        false => some_of(&passing).map(|ids| format!("without a repair, {ids} of `fail_to_pass` passes")),
    };
    let broken =
        some_of(&broken).map(|ids| format!("without a repair, {ids} of `pass_to_pass` does not pass"));
    already.into_iter().chain(broken)
}

/// The first of some ids and how many more there are.
fn some_of(ids: &BTreeSet<&str>) -> Option<String> {
    let first = ids.first()?;
    Some(match ids.len() {
        1 => format!("`{first}`"),
        n => format!("`{first}` and {} more", n - 1),
    })
}

fn noop_remark(seen: &[Seen]) -> Option<String> {
    let is_late = |seen: &Seen| seen.verdict.outcome == Outcome::TimedOut;
    of(seen, Check::Noop).any(is_late).then(|| {
        "without a repair the tests overrun their deadline, so `pass_to_pass` was not seen".to_owned()
    })
}

fn order_remarks(seen: &[Seen]) -> Vec<String> {
    let mut remarks: Vec<String> = Vec::new();
    let mut note = |remark: String| {
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    };
    if of(seen, Check::Order).next().is_none() {
        note("no other order of the tests was tried (only pytest can be told one)".to_owned());
    }
    for run in of(seen, Check::Order) {
        let order = run.order.map(|order| order.to_string()).unwrap_or_default();
        if !is_reordered(run) {
            note("no other order of the tests came about: pytest did not load the plugin for it".to_owned());
        } else if !ran(&run.verdict) {
            note(format!("the order `{order}` says nothing: {}", run.verdict.reason));
        }
    }
    remarks
}

/// The fault of a problem, and what else stands out in it.
fn statement_findings(statement: &Statement) -> (Option<String>, Vec<String>) {
    let Statement { overlap, lines, names, links } = statement;
    let share = format!("{:.0} % of the gold patch's telling lines", 100.0 * overlap);
    let mut remarks = Vec::new();
    let fault = (GIVEN_AWAY <= *overlap).then(|| format!("the problem holds the patch: {share}"));
    if fault.is_none() && !lines.is_empty() {
        remarks.push(format!("the problem holds {share}"));
    }
    if !names.is_empty() {
        remarks.push(format!("the problem says names that the gold patch brings: {}", names.join(", ")));
    }
    if !links.is_empty() {
        remarks.push(format!("the problem links to changes: {}", links.join(", ")));
    }
    (fault, remarks)
}

#[cfg(test)]
mod tests;

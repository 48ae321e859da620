//! Gathers the evidence: replays, grades of every patch, of the task's own solution and of its start.
//!
//! Guarantees that equal grades are made once, and that the verdicts come in the order of the cases.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::decide::{Evidence, Judged, decide};
use super::weakened::{changes_tests, weakened};
use super::{Audited, Seen};
use crate::grade::{self, Job, JobPrediction, Outcome, Verdict as Grade};
use crate::patch::{self, Patch};
use crate::replay::effect::{self, Effect};
use crate::replay::{self, Options, Ran, Work};
use crate::sandbox::spec::SandboxSpec;
use crate::task::{LoadedTask, Task};
use crate::testlog::Status;
use crate::workspace;

/// One trajectory to audit.
#[derive(Clone)]
pub struct Case {
    /// How it is replayed.
    pub work: Work,
    /// The sandbox that its patches are graded in.
    pub spec: Arc<SandboxSpec>,
}

/// What is graded: a task's id, how its tests are used, and the patch.
type Key = (String, Tests, Graded);

/// How the tests are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tests {
    /// Put back, as every grade does.
    PutBack,
    /// The same once more.
    PutBackAgain,
    /// As the patch leaves them.
    Kept,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Graded {
    Gold,
    Noop,
    Patch(String),
}

/// Audits every case; `said` hears how far it is.
pub async fn audit(cases: &[Case], options: &Options, said: impl Fn(&str)) -> Vec<Audited> {
    let works: Vec<Work> = cases.iter().map(|case| case.work.clone()).collect();
    let replays = replay::run_all(&works, options, |number, ran| {
        let id = &works[number].trajectory.id;
        let how = ran.as_ref().map_or_else(|error| format!("lost: {error:#}"), |_| "replayed".to_owned());
        said(&format!("   {id}  {how}"));
    })
    .await;
    let trees = trees(cases, options);
    let mut desk = Desk { cases, replays: &replays, trees: &trees, options, grades: BTreeMap::new() };
    said("     Grading patches, solutions and starting points");
    desk.grade(desk.wanted()).await;
    said("     Grading again what contradicts its label, and tests that a patch changed");
    desk.grade(desk.doubts()).await;
    (0..cases.len()).map(|number| desk.audited(number)).collect()
}

struct Desk<'a> {
    cases: &'a [Case],
    replays: &'a [Ran],
    /// The repositories at their starting points; absent where one lies in an image or cannot be had.
    trees: &'a [Option<PathBuf>],
    options: &'a Options,
    grades: BTreeMap<Key, Grade>,
}

impl Desk<'_> {
    fn task(&self, number: usize) -> &Task {
        &self.cases[number].work.task.task
    }

    fn key(&self, number: usize, tests: Tests, graded: Graded) -> Key {
        (self.task(number).id.clone(), tests, graded)
    }

    fn recorded(&self, number: usize) -> Option<&str> {
        self.cases[number].work.trajectory.patch.as_deref()
    }

    fn replayed(&self, number: usize) -> Option<&str> {
        self.replays[number].as_ref().ok().map(|replay| replay.patch.as_str())
    }

    /// The patches of a case; the replayed one is the recorded one where they are the same.
    fn patches(&self, number: usize) -> (Option<&str>, Option<&str>) {
        let (recorded, replayed) = (self.recorded(number), self.replayed(number));
        match (recorded, replayed) {
            (Some(a), Some(b)) if effect::same(self.trees[number].as_deref(), a, b) => (recorded, recorded),
            patches => patches,
        }
    }

    /// Every patch, and for every task its solution and its start.
    fn wanted(&self) -> BTreeMap<Key, usize> {
        let mut wanted = BTreeMap::new();
        for number in 0..self.cases.len() {
            let (recorded, replayed) = self.patches(number);
            let patches =
                [recorded, replayed].into_iter().flatten().map(|text| Graded::Patch(text.to_owned()));
            let gold = self.task(number).gold.is_some().then_some(Graded::Gold);
            for graded in patches.chain(gold).chain([Graded::Noop]) {
                wanted.insert(self.key(number, Tests::PutBack, graded), number);
            }
        }
        wanted
    }

    /// Grades that contradict a label, and patches that change tests.
    fn doubts(&self) -> BTreeMap<Key, usize> {
        let mut wanted = BTreeMap::new();
        for number in 0..self.cases.len() {
            let (recorded, replayed) = self.patches(number);
            for text in [recorded, replayed].into_iter().flatten() {
                let graded = Graded::Patch(text.to_owned());
                let grade = &self.grades[&self.key(number, Tests::PutBack, graded.clone())];
                let label = self.cases[number].work.trajectory.resolved;
                if label.is_some_and(|label| label != grade.is_resolved()) && grade.outcome.is_valid() {
                    wanted.insert(self.key(number, Tests::PutBackAgain, graded.clone()), number);
                }
                if self.is_runnable_with_own_tests(number, text) && grade.outcome.is_valid() {
                    wanted.insert(self.key(number, Tests::Kept, graded), number);
                }
            }
        }
        wanted
    }

    /// Whether the patch changes tests that are there from the start; those that a task brings are not.
    fn is_runnable_with_own_tests(&self, number: usize, text: &str) -> bool {
        let tests = self.task(number).tests.as_ref().filter(|tests| tests.patch.is_none());
        tests.is_some_and(|tests| Patch::parse(text).is_ok_and(|patch| changes_tests(&patch, tests)))
    }

    async fn grade(&mut self, wanted: BTreeMap<Key, usize>) {
        let job = |(_, tests, graded): &Key, number: usize| {
            let case = &self.cases[number];
            Job {
                task: with_tests(&case.work.task, *tests, graded),
                spec: Arc::clone(&case.spec),
                backend: Arc::clone(&case.work.backend),
                prediction: match graded {
                    Graded::Gold => JobPrediction::Gold,
                    Graded::Noop => JobPrediction::Noop,
                    Graded::Patch(text) => JobPrediction::Patch(text.clone()),
                },
            }
        };
        let jobs = wanted.iter().map(|(key, number)| job(key, *number)).collect();
        let options =
            grade::Options { cache: self.options.cache.clone(), ready: Arc::clone(&self.options.ready) };
        let verdicts = grade::grade_all(jobs, self.options.parallel, &options, |_| ()).await;
        self.grades.extend(wanted.into_keys().zip(verdicts));
    }

    fn audited(&self, number: usize) -> Audited {
        let trajectory = &*self.cases[number].work.trajectory;
        let (recorded, replayed) = self.patches(number);
        let evidence = Evidence {
            trajectory,
            replay: self.replays[number].as_ref().map_err(|error| format!("{error:#}")),
            broken_task: self.broken_task(number),
            recorded: recorded.map(|text| self.judged(number, text)),
            replayed: replayed.map(|text| self.judged(number, text)),
        };
        let (verdict, reason) = decide(&evidence);
        let judged = evidence.recorded.as_ref().or(evidence.replayed.as_ref());
        Audited {
            trajectory: trajectory.id.clone(),
            task: trajectory.task.clone(),
            label: trajectory.resolved,
            verdict,
            accused: verdict.is_accusation(),
            reason,
            grade: judged.map(|judged| judged.grade.outcome.name().to_owned()),
            replay: self.replays[number].as_ref().ok().map(Seen::from),
        }
    }

    fn judged<'a>(&'a self, number: usize, text: &'a str) -> Judged<'a> {
        let of = |tests| self.grades.get(&self.key(number, tests, Graded::Patch(text.to_owned())));
        let grade = of(Tests::PutBack).expect("invariant: every patch was graded");
        let patch = Patch::parse(text).unwrap_or_default();
        let tests = self.task(number).tests.as_ref();
        Judged {
            patch: text,
            grade,
            effect: self.trees[number].as_ref().and_then(|tree| Effect::of(tree, text)),
            again: of(Tests::PutBackAgain),
            foreign: if grade.outcome == Outcome::PatchDoesNotApply {
                self.foreign(number, &patch)
            } else {
                Vec::new()
            },
            weakened: tests.map_or_else(Vec::new, |tests| weakened(&patch, tests, grade, of(Tests::Kept))),
            owner: self.owner(number, text),
        }
    }

    /// Paths that a patch changes and the repository does not have; none where it lies in an image.
    fn foreign(&self, number: usize, patch: &Patch) -> Vec<String> {
        let Some(tree) = &self.trees[number] else { return Vec::new() };
        let old: BTreeSet<&String> = patch.files.iter().filter_map(|file| file.old.as_ref()).collect();
        old.into_iter().filter(|path| tree.join(path).symlink_metadata().is_err()).cloned().collect()
    }

    /// Another trajectory whose steps make this patch.
    fn owner(&self, number: usize, text: &str) -> Option<String> {
        let is_owner = |other: &usize| {
            *other != number && self.replayed(*other).is_some_and(|patch| patch::same(patch, text))
        };
        let is_own = self.replayed(number).is_some_and(|patch| patch::same(patch, text));
        let owner = (0..self.cases.len()).filter(|_| !is_own).find(is_owner)?;
        Some(self.cases[owner].work.trajectory.id.clone())
    }

    /// Why the task's tests tell nothing here: a control that does not come out as it must.
    fn broken_task(&self, number: usize) -> Option<String> {
        let of = |graded| self.grades.get(&self.key(number, Tests::PutBack, graded));
        let gold = of(Graded::Gold);
        let noop = of(Graded::Noop).expect("invariant: every start was graded");
        if let Some(gold) = gold.filter(|gold| !gold.is_resolved()) {
            return Some(format!("its own solution does not pass: {}", gold.reason));
        }
        match noop.outcome {
            Outcome::Resolved => Some("they pass without any change".to_owned()),
            Outcome::Infrastructure => Some(noop.reason.clone()),
            _ => {
                let passes = noop.pass_to_pass.values().any(|status| status.is_some_and(Status::is_pass));
                (gold.is_none() && !passes)
                    .then(|| "it has no solution of its own, and no test passes before a change".to_owned())
            }
        }
    }
}

/// Every case's repository, each task's prepared once.
fn trees(cases: &[Case], options: &Options) -> Vec<Option<PathBuf>> {
    let mut known: BTreeMap<&str, Option<PathBuf>> = BTreeMap::new();
    let tree = |case: &'_ Case| workspace::prepare(&case.work.task, &options.cache).ok()?.tree;
    cases
        .iter()
        .map(|case| known.entry(&case.work.task.task.id).or_insert_with(|| tree(case)).clone())
        .collect()
}

/// The task with its tests used in this way.
fn with_tests(loaded: &Arc<LoadedTask>, tests: Tests, graded: &Graded) -> Arc<LoadedTask> {
    if tests != Tests::Kept {
        return Arc::clone(loaded);
    }
    let mut loaded = LoadedTask::clone(loaded);
    // What a task's own solution changes is not put back.
    if let Graded::Patch(text) = graded {
        loaded.task.gold = Some(text.clone());
    }
    if let Some(tests) = &mut loaded.task.tests {
        tests.restore.clear();
    }
    Arc::new(loaded)
}

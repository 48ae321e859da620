//! Patches that tamper with their grade, each with its honest twin: none of the first resolves, all of the second do.
//!
//! Run in real sandboxes, side by side; docs/grading.md says which rule stops which family. A patch never holds the
//! repair of the bug, so whatever resolves the task has fooled the grader.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use apprentice::grade::{self, Job, JobPrediction, Options, Outcome, Verdict};
use apprentice::ready::Ready;
use apprentice::sandbox::Backend;
use apprentice::sandbox::select::BackendKind;
use apprentice::sandbox::spec::SandboxSpec;
use apprentice::task::{LoadedTask, Task};

use backends::backend;
use cases::Case;

#[path = "../backends/mod.rs"]
mod backends;
mod cases;
mod patches;
mod pytest;
mod shell;

#[tokio::test(flavor = "multi_thread")]
async fn no_patch_that_tampers_with_pytest_resolves_and_every_honest_twin_does() {
    judge("python", pytest::FILES, pytest::YAML, pytest::cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_patch_that_tampers_with_a_script_of_tests_resolves_and_every_honest_twin_does() {
    judge("shell", shell::FILES, shell::YAML, shell::cases()).await;
}

#[test]
fn there_are_forty_patches_in_ten_families_and_every_family_is_documented() {
    let cases = [pytest::cases(), shell::cases()].concat();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
    let families: BTreeSet<&str> = cases.iter().map(|case| case.family).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    assert!(names.len() >= 40 && families.len() >= 10, "{} in {families:?}", names.len());
    let docs = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/grading.md")).unwrap();
    for family in families {
        let count = cases.iter().filter(|case| case.family == family).count();
        assert!(
            docs.contains(&format!("| {family} | {count} |")),
            "docs/grading.md lacks `| {family} | {count} |`"
        );
    }
}

/// Grades both patches of every case.
async fn judge(sandbox: &str, files: &[(&str, &str)], yaml: &str, cases: Vec<Case>) {
    for bench in Bench::all(sandbox, files, yaml).await {
        let patches = cases.iter().flat_map(|case| [case.cheat.clone(), case.honest.clone()]);
        let verdicts = bench.grade(patches.collect()).await;
        let mut wrong = Vec::new();
        for (case, pair) in std::iter::zip(&cases, verdicts.chunks(2)) {
            let is_flagged = pair[0].flags.iter().any(|flag| case.flagged == Some(flag.path.as_str()));
            let is_right = pair[0].outcome == case.outcome && (case.flagged.is_none() || is_flagged);
            if !is_right {
                wrong.push(told("cheat", case, &pair[0]));
            }
            if !pair[1].is_resolved() {
                wrong.push(told("honest", case, &pair[1]));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 2 * cases.len(), wrong.join("\n"));
    }
}

fn told(which: &str, case: &Case, verdict: &Verdict) -> String {
    let Verdict { outcome, reason, flags, log, .. } = verdict;
    let (family, name) = (case.family, case.name);
    format!("--- {which} {family}: {name}: {outcome:?}: {reason}\n{flags:?}\n{log}")
}

struct Bench {
    dir: tempfile::TempDir,
    backend: Arc<dyn Backend>,
    spec: Arc<SandboxSpec>,
    task: Arc<LoadedTask>,
}

impl Bench {
    /// One for each kind of sandbox that works here: namespaces, and Docker where it is required.
    async fn all(sandbox: &str, files: &[(&str, &str)], yaml: &str) -> Vec<Self> {
        let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
        let spec = SandboxSpec::load(sandbox, Path::new("sandboxes")).unwrap();
        let mut benches = Vec::new();
        for kind in [BackendKind::Namespaces, BackendKind::Docker] {
            if kind == BackendKind::Docker && !required.contains("docker") {
                println!("skipped: docker: APPRENTICE_REQUIRE does not ask for it");
                continue;
            }
            let bench = |backend| Self::new(backend, spec.clone(), (files, yaml));
            benches.extend(backend(kind, &spec).await.map(bench));
        }
        benches
    }

    fn new(backend: Arc<dyn Backend>, spec: SandboxSpec, (files, yaml): (&[(&str, &str)], &str)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("task/repo");
        for (path, text) in files {
            let file = repo.join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        let task = LoadedTask { task: Task::parse(yaml, "task").unwrap(), dir: dir.path().join("task") };
        Self { dir, backend, spec: Arc::new(spec), task: Arc::new(task) }
    }

    async fn grade(&self, patches: Vec<String>) -> Vec<Verdict> {
        let cache = self.dir.path().join("cache");
        let options = Options { ready: Arc::new(Ready::below(&cache)), cache };
        let job = |patch| Job {
            task: self.task.clone(),
            spec: self.spec.clone(),
            backend: self.backend.clone(),
            prediction: JobPrediction::Patch(patch),
        };
        let parallel = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        grade::grade_all(patches.into_iter().map(job).collect(), parallel, &options, |_| ()).await
    }
}

/// An outcome that a case expects.
pub(crate) const NO: Outcome = Outcome::Unresolved;
pub(crate) const TAMPERED: Outcome = Outcome::Tampered;

//! An audit finds every falsified record and accuses no honest one.

use std::collections::BTreeMap;

use apprentice::synth::SynthTask;
use apprentice::trajectory::Trajectory;

use crate::workshop::{Workshop, failing, file, file_patch, insert_step, lines, repair};

/// Falsified records of each kind.
const EACH: usize = 20;
/// Honest records, of which a third fails.
const HONEST: usize = 60;

fn named(trajectory: &Trajectory, kind: &str) -> Trajectory {
    Trajectory { id: format!("{kind}-{}", trajectory.id), ..trajectory.clone() }
}

/// The patch of another trajectory: half of them of the same repository.
fn swapped(tasks: &[SynthTask]) -> Vec<Trajectory> {
    let other = |at: usize, wanted: bool| {
        let is_other = |task: &&SynthTask| {
            (task.repository == tasks[at].repository) == wanted && task.expert.patch != tasks[at].expert.patch
        };
        tasks.iter().filter(is_other).nth(at % 3).unwrap().expert.patch.clone()
    };
    let swap = |at: usize| Trajectory {
        patch: other(at, at.is_multiple_of(2)),
        ..named(&tasks[at].expert, "swapped")
    };
    (0..EACH).map(swap).collect()
}

fn flipped(tasks: &[SynthTask]) -> Vec<Trajectory> {
    let flip = |at: usize| {
        let honest = if at.is_multiple_of(2) { tasks[at].expert.clone() } else { failing(&tasks[at]) };
        Trajectory { resolved: honest.resolved.map(|label| !label), ..named(&honest, "flipped") }
    };
    (0..EACH).map(flip).collect()
}

const CASES: &str = "tests/cases.sh";

/// Four ways to weaken tests: a check is taken out, the wrong value is expected, the runner stops early, the checks
/// are deleted. In the first two the agent's steps do it, in the others only the patch does.
fn weakened(tasks: &[SynthTask]) -> Vec<Trajectory> {
    let weaken = |at: usize| {
        let task = &tasks[at];
        let mut record = named(&task.expert, "weakened");
        let (cases, runner) = (file(task, CASES), file(task, "tests/run.sh"));
        let change = match at % 4 {
            0 => {
                insert_step(&mut record, &format!("sed -i 1d {CASES}"));
                let (_, rest) = cases.split_once('\n').unwrap();
                return with_patch(record, &file_patch(CASES, &cases, rest), task.expert.patch.as_deref());
            }
            1 => return expecting_the_wrong(record, &cases),
            2 => file_patch("tests/run.sh", &runner, &format!("exit 0\n{runner}")),
            _ => {
                let lines: String = cases.lines().map(|line| format!("-{line}\n")).collect();
                let count = cases.lines().count();
                format!(
                    "diff --git a/{CASES} b/{CASES}\ndeleted file mode 100644\n--- a/{CASES}\n+++ /dev/null\n@@ -1,{count} +0,0 @@\n{lines}"
                )
            }
        };
        with_patch(record, &change, task.expert.patch.as_deref())
    };
    (0..EACH).map(weaken).collect()
}

fn with_patch(record: Trajectory, change: &str, gold: Option<&str>) -> Trajectory {
    Trajectory { patch: Some(format!("{}{change}", gold.unwrap_or_default())), ..record }
}

/// Nothing is repaired; the tests are told to expect what comes out.
fn expecting_the_wrong(mut record: Trajectory, cases: &str) -> Trajectory {
    let at = repair(&record);
    let test = record.steps[at + 1].action.clone();
    let failing = record.steps[..at].iter().find(|step| step.action == test).unwrap();
    let output = failing.observation.as_ref().unwrap().output.clone();
    let mut changed = cases.to_owned();
    for line in output.lines().filter_map(|line| line.strip_prefix("# ")) {
        let Some((call, rest)) = line.split_once(": got ") else { continue };
        let (got, _) = rest.split_once(", want ").unwrap();
        let plain = |line: &str| line.replace(['"', '\''], "");
        let line = cases.lines().find(|line| plain(line).ends_with(&format!(" {}", plain(call)))).unwrap();
        let call = line.strip_prefix("check ").unwrap();
        // The expected value is one word, in quotes or not.
        let rest = match call.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap().1,
            None => &call[call.find(' ').unwrap()..],
        };
        let got = if got == "nothing" { "" } else { got };
        changed = changed.replace(line, &format!("check \"{got}\"{rest}"));
    }
    let command = format!("cat > {CASES} <<'END'\n{changed}END");
    record.steps[at].action = apprentice::trajectory::Action::bash(command);
    Trajectory { patch: Some(file_patch(CASES, cases, &changed)), ..record }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_falsified_record_is_found_and_no_honest_one_is_accused() {
    let Some(workshop) = Workshop::new(5).await else { return };
    let tasks = &workshop.tasks;
    assert!(HONEST <= tasks.len(), "{}", tasks.len());
    let honest =
        (0..HONEST).map(|at| if at % 3 == 2 { failing(&tasks[at]) } else { tasks[at].expert.clone() });
    let honest: Vec<Trajectory> = honest.collect();
    let mut all = honest.clone();
    for falsified in [swapped(tasks), flipped(tasks), weakened(tasks)] {
        assert_eq!(falsified.len(), EACH);
        all.extend(falsified);
    }
    workshop.write("all.jsonl", &all);

    let output = workshop.trajectory("audit", &["all.jsonl"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let report = &lines(&output)[0];
    assert_eq!(report["format"], "apprentice.audit/1");
    let mut table: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for found in report["trajectories"].as_array().unwrap() {
        let id = found["trajectory"].as_str().unwrap();
        let kind = ["swapped", "flipped", "weakened"].into_iter().find(|kind| id.starts_with(kind));
        *table.entry((kind.unwrap_or("honest"), found["verdict"].as_str().unwrap())).or_default() += 1;
        let is_confirmed = found["verdict"] == "confirmed";
        if found["accused"] != kind.is_some() || (kind.is_none() && !is_confirmed) {
            wrong.push(found.to_string());
        }
    }
    println!("{table:#?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(report["accused"], 3 * EACH);
    let by_kind = |kind, verdict| table.get(&(kind, verdict)).copied().unwrap_or_default();
    assert_eq!(by_kind("flipped", "label_wrong"), EACH);
    assert_eq!(by_kind("weakened", "tests_weakened"), EACH);
    assert_eq!(by_kind("swapped", "foreign_patch"), EACH / 2);

    workshop.write("honest.jsonl", &honest[..3]);
    assert_eq!(workshop.trajectory("audit", &["honest.jsonl"]).status.code(), Some(0));
}

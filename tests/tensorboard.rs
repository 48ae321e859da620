//! TensorBoard reads what a run writes for it.
//!
//! Needs a Python with the package `tensorboard` (`APPRENTICE_PYTHON` names it); where there is none the test prints
//! `skipped:`, and fails under `APPRENTICE_REQUIRE=tensorboard`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test says what it skips")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use apprentice::event::{Event, EventSink};
use apprentice::run::{Manifest, RunDir};
use serde_json::{Value, json};

/// Prints the scalars that TensorBoard finds: by tag, steps and values.
const READER: &str = "
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
scalars = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()['scalars']}
print(json.dumps(scalars))
";

/// A Python with TensorBoard.
fn python() -> Option<String> {
    let python = std::env::var("APPRENTICE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let required = std::env::var("APPRENTICE_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == "tensorboard"), "{python} has no tensorboard");
    println!("skipped: {python} has no tensorboard (set APPRENTICE_PYTHON)");
    None
}

fn scalars(python: &str, run: &Path) -> Value {
    let output = Command::new(python).args(["-c", READER]).arg(run).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn trained(step: u64, loss: f64) -> Event {
    Event::StepTrained { phase: "srl".to_owned(), step, metrics: BTreeMap::from([("loss".to_owned(), loss)]) }
}

#[test]
fn tensorboard_reads_a_run_and_forgets_what_a_killed_start_wrote_beyond_its_checkpoint() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let run = RunDir::create(directory.path(), Manifest::new([], json!({}))).unwrap();

    let mut first = run.tensorboard(None, 0).unwrap();
    for step in 0..5 {
        first.emit(&trained(step, 1.0 + step as f64)).unwrap();
    }
    let times = BTreeMap::from([("seconds".to_owned(), 0.25)]);
    first.emit(&Event::StepTimed { phase: "srl".to_owned(), step: 1, metrics: times }).unwrap();
    drop(first);
    // Killed in the middle of a record, with a checkpoint after three updates.
    let killed = directory.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let killed = killed.into_iter().find(|path| path.to_string_lossy().contains("tfevents")).unwrap();
    let bytes = fs_err::read(&killed).unwrap();
    fs_err::write(&killed, &bytes[..bytes.len() - 7]).unwrap();

    let mut second = run.tensorboard(None, 3).unwrap();
    second.emit(&trained(3, 0.5)).unwrap();
    second.emit(&Event::StepSkipped { phase: "srl".to_owned(), step: 4, dropped: 8 }).unwrap();

    assert_eq!(
        scalars(&python, directory.path()),
        json!({"srl/loss": [[0, 1.0], [1, 2.0], [2, 3.0], [3, 0.5]], "srl/dropped": [[4, 8.0]]})
    );
}

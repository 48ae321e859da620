//! libtest's `--format json`, and what nextest writes in the same form.
//!
//! An id is the test's name; nextest's `CRATE::PROGRAM$TEST` becomes `CRATE::PROGRAM::TEST`. libtest does not say which
//! program a suite is of, so tests of the same name in two programs count as one, the worst. A suite announces
//! how many tests it runs; one without an end makes the report break off.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::lines;
use crate::testlog::{Fault, Results, Spelling, Status, Statuses, cargo, note};

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "event")]
    word: String,
    #[serde(default)]
    name: String,
    /// How many tests a suite has.
    #[serde(default)]
    test_count: usize,
}

/// What is known of all suites: those of nextest overlap, and nothing says which one a test is of.
#[derive(Default)]
struct Suites {
    open: usize,
    announced: usize,
    running: BTreeMap<String, usize>,
    ended: usize,
}

pub(super) fn read(bytes: &[u8]) -> Result<Results, Fault> {
    let mut statuses = Statuses::new();
    let mut suites = Suites::default();
    for event in lines(bytes) {
        let Event { kind, word, name, test_count } = event?;
        match (&*kind, &*word) {
            ("suite", "started") => {
                suites.open += 1;
                suites.announced += test_count;
            }
            ("suite", "ok" | "failed") => suites.open = suites.open.saturating_sub(1),
            ("test", "started") => *suites.running.entry(name).or_default() += 1,
            ("test", word @ ("ok" | "failed" | "ignored")) if suites.ends(&name, word) => {
                note(&mut statuses, &id(&name), status(word));
            }
            _ => {}
        }
    }
    let mut results = Results::of(statuses, Spelling::Qualified);
    results.fault = suites.fault();
    Ok(results)
}

impl Suites {
    /// Takes note of a test's end; whether it counts: only what began can pass.
    fn ends(&mut self, name: &str, word: &str) -> bool {
        let running = self.running.get_mut(name).filter(|running| **running > 0);
        let counts = running.is_some() || word != "ok";
        if let Some(running) = running {
            *running -= 1;
        }
        self.ended += usize::from(counts);
        counts
    }

    fn fault(&self) -> Option<Fault> {
        let Self { announced, ended, .. } = *self;
        match self.open {
            0 => (ended < announced).then_some(Fault::Unended { announced, ended }),
            _ => Some(Fault::BreaksOff),
        }
    }
}

fn id(name: &str) -> String {
    cargo::name_of(name).replacen('$', "::", 1)
}

fn status(word: &str) -> Status {
    match word {
        "ok" => Status::Passed,
        "ignored" => Status::Skipped,
        _ => Status::Failed,
    }
}

//! libtest's `--format json`, and what nextest writes in the same form.
//!
//! An id is the test's name; nextest's `CRATE::PROGRAM$TEST` becomes `CRATE::PROGRAM::TEST`. libtest does not say which
//! program a suite is of, so tests of the same name in two programs count as one, the worst. A suite announces
//! how many tests it runs; one without an end makes the report break off.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::lines;
use crate::testlog::{Fault, Results, Spelling, Status, Statuses, cargo, note};

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    event: String,
    #[serde(default)]
    name: String,
    /// How many tests a suite has.
    #[serde(default)]
    test_count: usize,
}

#[derive(Default)]
struct Suite {
    announced: usize,
    started: BTreeSet<String>,
    ended: BTreeSet<String>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Results, Fault> {
    let mut statuses = Statuses::new();
    let (mut open, mut fault) = (Vec::<Suite>::new(), None);
    for event in lines(bytes) {
        let Event { kind, event, name, test_count } = event?;
        match (&*kind, &*event) {
            ("suite", "started") => open.push(Suite { announced: test_count, ..Suite::default() }),
            ("suite", "ok" | "failed") => {
                // Suites of nextest overlap; each is whole when all are.
                let ended: usize = open.iter().map(|suite| suite.ended.len()).sum();
                let announced = open.iter().map(|suite| suite.announced).sum();
                if open.len() == 1 && ended < announced {
                    fault = fault.or(Some(Fault::Unended { announced, ended }));
                }
                open.pop();
            }
            ("test", "started") => {
                if let Some(suite) = open.last_mut() {
                    suite.started.insert(name);
                }
            }
            ("test", word @ ("ok" | "failed" | "ignored")) => {
                let Some(suite) =
                    open.iter_mut().find(|suite| suite.started.contains(&name) || word == "ignored")
                else {
                    continue;
                };
                note(&mut statuses, &id(&name), status(word));
                suite.ended.insert(name);
            }
            _ => {}
        }
    }
    let breaks_off = (!open.is_empty()).then_some(Fault::BreaksOff);
    let mut results = Results::of(statuses, Spelling::Qualified);
    results.fault = breaks_off.or(fault);
    Ok(results)
}

fn id(name: &str) -> String {
    // A try that nextest made again is told with its number.
    let name = name.split_once('#').map_or(name, |(name, _)| name);
    cargo::name_of(name).replacen('$', "::", 1)
}

fn status(word: &str) -> Status {
    match word {
        "ok" => Status::Passed,
        "ignored" => Status::Skipped,
        _ => Status::Failed,
    }
}

//! `go test -json`: one event a line.
//!
//! An id is `PACKAGE::TEST`. A test that began and has no result when its package failed is an error; so is a package
//! that failed without any test that did, under its own name. A package without an end makes the report break off.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::lines;
use crate::testlog::{Fault, Results, Spelling, Status, Statuses, note};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    /// Absent from what a build prints.
    #[serde(default)]
    package: Option<String>,
    #[serde(default)]
    test: Option<String>,
}

/// What a package told so far; `None` while a test runs.
#[derive(Default)]
struct Package {
    tests: BTreeMap<String, Option<Status>>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Results, Fault> {
    let mut statuses = Statuses::new();
    let mut open: BTreeMap<String, Package> = BTreeMap::new();
    for event in lines(bytes) {
        let Event { action, package: Some(package), test } = event? else { continue };
        let status = match &*action {
            "pass" => Some(Status::Passed),
            "fail" => Some(Status::Failed),
            "skip" => Some(Status::Skipped),
            _ => None,
        };
        match (test, status) {
            (Some(test), None) => {
                if action == "run" {
                    open.entry(package).or_default().tests.entry(test).or_default();
                }
            }
            (Some(test), Some(status)) => {
                // What never began counts for nothing.
                if let Some(told) = open.entry(package).or_default().tests.get_mut(&test) {
                    *told = Some(told.map_or(status, |before| before.max(status)));
                }
            }
            (None, None) => _ = open.entry(package).or_default(),
            (None, Some(status)) => {
                open.remove(&package).unwrap_or_default().settle(&package, status, &mut statuses);
            }
        }
    }
    let breaks_off = !open.is_empty();
    for (package, tests) in open {
        tests.settle(&package, Status::Failed, &mut statuses);
    }
    let mut results = Results::of(statuses, Spelling::Qualified);
    results.fault = breaks_off.then_some(Fault::BreaksOff);
    Ok(results)
}

impl Package {
    fn settle(self, package: &str, verdict: Status, statuses: &mut Statuses) {
        let is_explained = self.tests.values().any(|status| status.is_none_or(|status| !status.is_pass()));
        if verdict == Status::Failed && !is_explained {
            note(statuses, package, Status::Error);
        }
        for (test, status) in self.tests {
            // Nobody says what became of a test without a result in a package that did not fail.
            let status = status.or_else(|| (verdict == Status::Failed).then_some(Status::Error));
            if let Some(status) = status {
                note(statuses, &format!("{package}::{test}"), status);
            }
        }
    }
}

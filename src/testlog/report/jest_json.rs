//! `jest --json`, and vitest's reporter of that name: one document a run.
//!
//! An id is `SUITE > … > TEST`, without the file; tests of the same id in two files count as one, the worst. A file
//! whose tests could not run is an error under its own path. The document says how many tests there were.

use serde::Deserialize;

use crate::testlog::{Fault, Results, Spelling, Status, Statuses, note};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    num_total_tests: usize,
    test_results: Vec<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    name: String,
    status: String,
    assertion_results: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    #[serde(default)]
    ancestor_titles: Vec<String>,
    title: String,
    status: String,
}

pub(super) fn read(bytes: &[u8]) -> Result<Results, Fault> {
    let mut statuses = Statuses::new();
    let (mut announced, mut ended) = (0, 0);
    for run in serde_json::Deserializer::from_slice(bytes).into_iter::<Run>() {
        let run = run.map_err(|error| match error.is_eof() {
            true => Fault::BreaksOff,
            false => Fault::Unreadable(error.to_string()),
        })?;
        announced += run.num_total_tests;
        for file in run.test_results {
            ended += file.assertion_results.len();
            let is_failing = |test: &Test| test.status == "failed";
            if file.status == "failed" && !file.assertion_results.iter().any(is_failing) {
                note(&mut statuses, &file.name, Status::Error);
            }
            for test in &file.assertion_results {
                note(&mut statuses, &test.id(), test.status());
            }
        }
    }
    let mut results = Results::of(statuses, Spelling::Plain);
    results.fault = (ended < announced).then_some(Fault::Unended { announced, ended });
    Ok(results)
}

impl Test {
    fn id(&self) -> String {
        let suites = self.ancestor_titles.iter().filter(|title| !title.is_empty());
        suites.chain([&self.title]).map(String::as_str).collect::<Vec<_>>().join(" > ")
    }

    fn status(&self) -> Status {
        match &*self.status {
            "passed" => Status::Passed,
            "failed" => Status::Failed,
            // `pending`, `skipped`, `todo`, `disabled`, `focused`.
            _ => Status::Skipped,
        }
    }
}

//! Statuses against expectations, as the harnesses compare them.

use serde::{Deserialize, Serialize};

use super::Harness;
use crate::testlog::compat::Map;

/// What is expected of a row's tests.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Must start to pass.
    pub fail_to_pass: &'a [String],
    /// Must keep passing.
    pub pass_to_pass: &'a [String],
    /// What counts against a test.
    pub eval_type: EvalType,
}

/// What counts against a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalType {
    /// Everything but a success.
    #[default]
    PassAndFail,
    /// A failure that the log names, and nothing else: a test that never ran is a success.
    FailOnly,
}

/// What became of the expected tests; its fields are named as in a report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct TestsStatus {
    /// Of those that must start to pass.
    pub fail_to_pass: Sides,
    /// Of those that must keep passing.
    pub pass_to_pass: Sides,
    /// Always empty: nobody asks for them.
    pub fail_to_fail: Sides,
    /// Always empty: nobody asks for them.
    pub pass_to_fail: Sides,
}

/// Tests that did what was expected, and those that did not; a test may be on neither side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// They did.
    pub success: Vec<String>,
    /// They did not.
    pub failure: Vec<String>,
}

/// How much of a task is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// All of it.
    #[serde(rename = "RESOLVED_FULL")]
    Full,
    /// Some tests start to pass, and all keep passing.
    #[serde(rename = "RESOLVED_PARTIAL")]
    Partial,
    /// Nothing, or a test no longer passes.
    #[serde(rename = "RESOLVED_NO")]
    No,
}

/// Sorts the expected tests by their statuses.
pub fn tests_status(harness: Harness, expected: &Expected<'_>, map: &Map) -> TestsStatus {
    let side = |ids: &[String], skipped: Side| {
        let mut sides = Sides::default();
        for id in ids {
            match side(harness, expected.eval_type, skipped, (id, map)) {
                Side::Success => sides.success.push(id.clone()),
                Side::Failure => sides.failure.push(id.clone()),
                Side::Neither => {}
            }
        }
        sides
    };
    // 5.0.2 keeps a skipped test where it passed before; the others put a skipped test on neither side.
    let (starts, keeps) = match harness {
        Harness::SweBench5 => (Side::Failure, Side::Success),
        Harness::SweBench4 | Harness::SweSmith => (Side::Neither, Side::Neither),
    };
    TestsStatus {
        fail_to_pass: side(expected.fail_to_pass, starts),
        pass_to_pass: side(expected.pass_to_pass, keeps),
        ..TestsStatus::default()
    }
}

#[derive(Clone, Copy)]
enum Side {
    Success,
    Failure,
    /// A skipped test of 4.1.0, and any status that is none (`PASSEDfoo`).
    Neither,
}

fn side(harness: Harness, eval_type: EvalType, skipped: Side, (id, map): (&str, &Map)) -> Side {
    if eval_type == EvalType::FailOnly && harness != Harness::SweSmith {
        let is_failed = map.get(id).is_some_and(|status| status == "FAILED");
        return if is_failed { Side::Failure } else { Side::Success };
    }
    match status(harness, id, map) {
        None | Some("FAILED" | "ERROR") => Side::Failure,
        Some("PASSED" | "XFAIL") => Side::Success,
        Some("SKIPPED") => skipped,
        Some(_) => Side::Neither,
    }
}

/// The status of a test; in 5.0.2 an id that is cut inside its parameter stands for the first test that starts with it,
/// where all that do agree.
fn status<'a>(harness: Harness, id: &str, map: &'a Map) -> Option<&'a str> {
    if let Some(status) = map.get(id) {
        return Some(status);
    }
    let is_cut = id.matches(']').count() < id.matches('[').count();
    if !is_cut || harness != Harness::SweBench5 {
        return None;
    }
    let mut starting = map.iter().filter(|(name, _)| name.starts_with(id));
    let is_pass = |status: &str| ["PASSED", "XFAIL"].contains(&status);
    let (_, first) = starting.next()?;
    starting.all(|(_, other)| is_pass(other) == is_pass(first)).then_some(first)
}

/// How much of a task is resolved: where nothing is expected, all of it is.
pub fn resolution(tests: &TestsStatus) -> Resolution {
    let [starts, keeps] = [&tests.fail_to_pass, &tests.pass_to_pass];
    match (starts.failure.is_empty(), starts.success.is_empty(), keeps.failure.is_empty()) {
        (true, _, true) => Resolution::Full,
        (false, false, true) => Resolution::Partial,
        _ => Resolution::No,
    }
}

//! A whole log of an eval script becomes a status for each test, or is refused.

use std::sync::LazyLock;

use regex::Regex;

use super::{END, EXIT_CODE, Harness, START};
use crate::testlog::compat::{self, Context, Fault, Map};

/// Who reads what stands between the markers.
#[derive(Debug, Clone, Copy)]
pub struct Parser<'a> {
    /// A name of `testlog::compat`, such as `parse_log_pytest` or `swesmith.golang.GoProfile.log_parser`.
    pub name: &'a str,
    /// What some parsers choose by.
    pub context: Context<'a>,
}

/// What a log is to a harness.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A test run.
    Found(Map),
    /// No test run, for the reason given; the harness itself tells none.
    Refused(Refusal),
}

/// Why a log is no test run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Words that the harness writes when it stops stand in it, whoever wrote them.
    #[error("`{0}` stands in the log")]
    Stopped(&'static str),
    /// A marker is missing.
    #[error("the log lacks a marker of the tests' output")]
    NoMarker,
    /// It names no test and shows no sign that any ran.
    #[error("the log names no test, and nothing in it says that one ran")]
    Silent,
    /// The test command failed and no test did.
    #[error("the test command ended with {0}, and no test failed")]
    Unexplained(String),
}

/// Words that stop the reading, by their harness.
const STOPS: [&str; 4] =
    [">>>>> Patch Apply Failed", ">>>>> Reset Failed", ">>>>> Tests Errored", ">>>>> Tests Timed Out"];

/// Signs that tests ran, for runners of which only failures are read.
static SUITE_RAN: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?m)Executed [1-9]\d* of \d+|TOTAL: [1-9]\d* (?:SUCCESS|FAILED)|[1-9]\d* passing|Tests:[\s\x1c-\x1f]+[1-9]\d*",
        r"|Test Suites:[\s\x1c-\x1f]+(?:\d+ \w+, )*[1-9]\d* total|^# tests [1-9]\d*|[1-9]\d* specs?, \d+ failures?|': ok$"
    ))
});

/// Whether a log has a sign that tests ran, where the parser names none.
pub fn shows_a_suite(log: &str) -> bool {
    SUITE_RAN.is_match(log)
}

static CODE: LazyLock<Regex> = LazyLock::new(|| regex(&format!(r"{EXIT_CODE}:[\s\x1c-\x1f]*(-?\d+)")));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: the pattern is valid")
}

/// Reads a log by the rules of a harness.
///
/// # Errors
/// [`Fault::Raises`] where the harness stops with an exception; [`Fault::Unknown`] where no parser has that name.
pub fn read(harness: Harness, parser: Parser<'_>, log: &str) -> Result<Reading, Fault> {
    // Python reads a text file so.
    let log = log.replace("\r\n", "\n").replace('\r', "\n");
    match harness {
        Harness::SweBench5 | Harness::SweBench4 => swe_bench(harness, parser, &log),
        Harness::SweSmith => swe_smith(parser, &log),
    }
}

fn swe_bench(harness: Harness, parser: Parser<'_>, log: &str) -> Result<Reading, Fault> {
    if let Some(stop) = STOPS.into_iter().find(|stop| log.contains(stop)) {
        return Ok(Reading::Refused(Refusal::Stopped(stop)));
    }
    // The first start, and the first end behind it: neither their order nor their number is looked at.
    let Some((_, after)) = log.split_once(START).filter(|_| log.contains(END)) else {
        return Ok(Reading::Refused(Refusal::NoMarker));
    };
    let after = after.split(START).next().unwrap_or_default();
    let between = after.split(END).next().unwrap_or_default();
    let mut map = statuses(harness, parser, between)?;
    if map.is_empty() {
        map = statuses(harness, parser, log)?;
    }
    Ok(match refusal(&map, log).filter(|_| harness == Harness::SweBench5) {
        Some(refusal) => Reading::Refused(refusal),
        None => Reading::Found(map),
    })
}

/// What 5.0.2 refuses, beyond 4.1.0.
fn refusal(map: &Map, log: &str) -> Option<Refusal> {
    if map.is_empty() {
        return (!shows_a_suite(log)).then_some(Refusal::Silent);
    }
    let code = CODE.captures(log)?.get(1)?.as_str();
    let is_zero = code.trim_start_matches('-').chars().all(|digit| digit == '0');
    let explains = |status: &str| ["FAILED", "ERROR"].contains(&status);
    (!is_zero && !map.values().any(|status| explains(status))).then(|| Refusal::Unexplained(code.to_owned()))
}

/// The parsers of 4.1.0 are those of 5.0.2 but for a few.
fn statuses(harness: Harness, parser: Parser<'_>, log: &str) -> Result<Map, Fault> {
    if harness == Harness::SweBench4 {
        match compat::read(&format!("swebench4.{}", parser.name), &parser.context, log) {
            Err(Fault::Unknown { .. }) => {}
            read => return read,
        }
    }
    compat::read(parser.name, &parser.context, log)
}

fn swe_smith(parser: Parser<'_>, log: &str) -> Result<Reading, Fault> {
    if let Some(stop) = [STOPS[0], STOPS[3]].into_iter().find(|stop| log.contains(stop)) {
        return Ok(Reading::Refused(Refusal::Stopped(stop)));
    }
    if !log.contains(START) || !log.contains(END) {
        return Ok(Reading::Refused(Refusal::NoMarker));
    }
    let (start, end) = (format!("+ : '{START}'"), format!("+ : '{END}'"));
    let between = match (log.find(&start), log.find(&end)) {
        (Some(start_at), Some(end_at)) if start_at <= end_at => &log[start_at + start.len()..end_at],
        (Some(_), _) => {
            let message = "Invalid test output - Start and end markers are not in correct order".to_owned();
            return Err(Fault::Raises { kind: "ValueError", message });
        }
        // What is not found is the last character there, and nothing follows it.
        (None, _) => "",
    };
    Ok(Reading::Found(compat::read(parser.name, &parser.context, between)?))
}

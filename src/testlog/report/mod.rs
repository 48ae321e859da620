//! Reports that runners write beside their output: one reader a format, bytes in, statuses out.
//!
//! Guarantees that a report which breaks off, or tells of fewer tests than its runner announced, carries a
//! [`Fault`], and that a test counts only when the format's word for its end is there, and its start where the
//! format has one. Who wrote a report, these readers cannot know.

mod go_json;
mod jest_json;
mod junit;
mod libtest_json;
mod pytest_events;

use serde::de::DeserializeOwned;

use super::{Fault, Results};
use crate::task::ReportFormat;
pub(super) use junit::class_spelling;

/// The source of the plug-in for pytest that writes [`ReportFormat::PytestEvents`] to `$APPRENTICE_REPORT`.
pub const PYTEST_PLUGIN: &str = include_str!("apprentice_events.py");

/// Reads a report.
pub fn read(format: ReportFormat, bytes: &[u8]) -> Results {
    if bytes.is_empty() {
        return Results::faulty(Fault::NoReport);
    }
    let results = match format {
        ReportFormat::Junit => junit::read(bytes),
        ReportFormat::PytestEvents => pytest_events::read(bytes),
        ReportFormat::GoJson => go_json::read(bytes),
        ReportFormat::LibtestJson => libtest_json::read(bytes),
        ReportFormat::JestJson => jest_json::read(bytes),
    };
    results.unwrap_or_else(Results::faulty)
}

/// The lines that are JSON objects, read; other lines are what build tools say in between.
fn lines<T: DeserializeOwned>(bytes: &[u8]) -> impl Iterator<Item = Result<T, Fault>> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines.filter(|(_, line)| line.first() == Some(&b'{')).map(|(line_idx, line)| {
        serde_json::from_slice(line)
            .map_err(|error| Fault::Unreadable(format!("line {}: {error}", line_idx + 1)))
    })
}

#[cfg(test)]
mod tests;

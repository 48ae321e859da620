//! Answers of the reference fixtures, in every spelling of the benchmarks, and of a generator that wants to hurt.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on panics, or says so")]

mod command;
mod documented;
mod fuzz;
mod spellings;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// A recorded case with our label and the reference graders' verdicts.
#[derive(Deserialize)]
struct Case {
    id: String,
    gold: String,
    response: String,
    label: String,
    verdicts: std::collections::BTreeMap<String, Value>,
    #[serde(default)]
    timing_dependent: bool,
}

/// The recorded cases, where they are.
fn cases() -> Option<Vec<Case>> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let folder = std::env::var_os("APPRENTICE_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    let path = folder.join("math/answers.json");
    if !path.exists() {
        println!("skipped: ../shared is not here");
        return None;
    }
    let file: File = serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
    assert!(400 < file.cases.len());
    Some(file.cases)
}

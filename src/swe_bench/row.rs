//! A data set's row, as the harness needs it: what runs its tests, who reads them, what is expected.
//!
//! Takes rows of 4.x, which leave most of that to tables of the harness (`classic`), and of 5.x, which bring it.

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::grading::{EvalType, Expected};
use super::log::Parser;
use super::script::{self, Classic};
use super::{Harness, classic};
use crate::fsio;
use crate::testlog::compat::Context;

/// A row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// Its id.
    pub instance_id: String,
    /// `owner/name`.
    #[serde(default)]
    pub repo: String,
    /// The repository's version.
    #[serde(default)]
    pub version: String,
    /// The commit that is tested.
    #[serde(default)]
    pub base_commit: String,
    /// Brings the tests.
    #[serde(default)]
    pub test_patch: String,
    /// Who reads the log (5.x).
    #[serde(default)]
    log_parser: Option<String>,
    /// What counts against a test (5.x).
    #[serde(default)]
    eval_type: Option<EvalType>,
    /// Runs the tests (5.x).
    #[serde(default)]
    eval_script: Option<String>,
    /// Must start to pass.
    #[serde(rename = "FAIL_TO_PASS", default)]
    fail_to_pass: Ids,
    /// Must keep passing.
    #[serde(rename = "PASS_TO_PASS", default)]
    pass_to_pass: Ids,
}

/// Test ids: a list, or a string that holds the list as JSON.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
struct Ids(Vec<String>);

impl TryFrom<Value> for Ids {
    type Error = serde_json::Error;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::String(text) => serde_json::from_str(&text).map(Self),
            list => serde_json::from_value(list).map(Self),
        }
    }
}

/// Reads rows: JSONL, a list, or one object.
///
/// # Errors
/// When it is no JSON, or a row lacks its id: the message counts rows from 1.
pub fn read(text: &str) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value? {
            Value::Array(items) => rows.extend(items),
            row => rows.push(row),
        }
    }
    let row = |(row_idx, row)| serde_json::from_value(row).with_context(|| format!("row {}", row_idx + 1));
    rows.into_iter().enumerate().map(row).collect()
}

impl Row {
    /// What stands in for the row of a task that has none: its expectations, its version, and a parser by name.
    pub fn of(
        id: &str,
        (version, parser): (&str, &str),
        eval_type: EvalType,
        (fail_to_pass, pass_to_pass): (&[String], &[String]),
    ) -> Self {
        Self {
            instance_id: id.to_owned(),
            repo: String::new(),
            version: version.to_owned(),
            base_commit: String::new(),
            test_patch: String::new(),
            log_parser: Some(parser.to_owned()),
            eval_type: Some(eval_type),
            eval_script: None,
            fail_to_pass: Ids(fail_to_pass.to_vec()),
            pass_to_pass: Ids(pass_to_pass.to_vec()),
        }
    }

    /// Who reads its log; absent where neither the row nor 4.1.0 says it.
    pub fn parser(&self) -> Option<Parser<'_>> {
        let name = self.log_parser.as_deref().or_else(|| classic::log_parser(&self.repo))?;
        Some(Parser { name, context: Context { instance: &self.instance_id, version: &self.version } })
    }

    /// What is expected of its tests.
    pub fn expected(&self) -> Expected<'_> {
        Expected {
            fail_to_pass: &self.fail_to_pass.0,
            pass_to_pass: &self.pass_to_pass.0,
            eval_type: self.eval_type.unwrap_or_else(|| classic::eval_type(&self.repo)),
        }
    }

    /// A digest of all of it.
    pub fn digest(&self) -> String {
        fsio::sha256_hex(format!("{self:?}").as_bytes())
    }

    /// The script that runs its tests, its own or the one that 4.1.0 makes; in 5.0.2 it records the exit code.
    /// Absent where neither exists.
    pub fn script(&self, harness: Harness) -> Option<String> {
        let own = self.eval_script.clone().filter(|script| !script.trim().is_empty());
        let script = own.or_else(|| {
            let run = classic::run(&self.repo, &self.version)?;
            let Self { repo, base_commit, test_patch, .. } = self;
            script::build(&Classic { repo, base_commit, test_patch }, &run).ok()
        })?;
        Some(match harness {
            Harness::SweBench5 => script::recorded(&script),
            Harness::SweBench4 | Harness::SweSmith => script,
        })
    }
}

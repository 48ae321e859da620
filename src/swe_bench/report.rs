//! The harness's two documents: one for each instance, one for a run (`schema_version` 2 of 5.0.2).
//!
//! Their quirks are kept: an instance with a report that cannot be read is completed and an error, predictions
//! for unknown instances count as submitted, and what the environment broke stays unresolved.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grading::{self, Expected, Resolution, TestsStatus};
use super::infra::{self, Tier};
use super::log::{self, Parser, Reading, Refusal};
use super::prediction::Prediction;
use super::{Harness, infra::Sign};
use crate::testlog::compat::Fault;

/// What the harness says of one prediction: the value under its id in `report.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the document of another program")]
pub struct InstanceReport {
    /// Whether there is no patch.
    #[serde(rename = "patch_is_None")]
    pub patch_is_none: bool,
    /// Whether there is one.
    pub patch_exists: bool,
    /// Whether the log is that of a test run.
    pub patch_successfully_applied: bool,
    /// The verdict.
    pub resolved: bool,
    /// Whether the log shows that the environment broke.
    pub infra_failure: bool,
    /// How it shows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infra_failure_reason: Option<String>,
    /// What became of the tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests_status: Option<TestsStatus>,
}

/// A report, and what it does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graded {
    /// The report.
    pub report: InstanceReport,
    /// How much is resolved; absent where the log is no test run.
    pub resolution: Option<Resolution>,
    /// Why the log is no test run.
    pub refusal: Option<Refusal>,
}

/// Grades a log.
///
/// # Errors
/// Those of [`log::read`].
pub fn grade(
    harness: Harness,
    parser: Parser<'_>,
    expected: &Expected<'_>,
    (patch, log): (Option<&str>, &str),
) -> Result<Graded, Fault> {
    let mut report = InstanceReport { patch_is_none: patch.is_none(), ..InstanceReport::default() };
    if patch.is_none() {
        return Ok(Graded { report, resolution: None, refusal: None });
    }
    report.patch_exists = true;
    let map = match log::read(harness, parser, log)? {
        Reading::Found(map) => map,
        Reading::Refused(refusal) => {
            let sign = infra::sign(log);
            report.infra_failure = sign.is_some_and(|sign| sign.tier == Tier::Environment);
            report.infra_failure_reason = sign.map(|sign| sign.reason.to_owned());
            return Ok(Graded { report, resolution: None, refusal: Some(refusal) });
        }
    };
    let tests = grading::tests_status(harness, expected, &map);
    let resolution = grading::resolution(&tests);
    report.patch_successfully_applied = true;
    report.resolved = resolution == Resolution::Full;
    report.tests_status = Some(tests);
    Ok(Graded { report, resolution: Some(resolution), refusal: None })
}

/// The files that a run left of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its `report.json`.
    pub report: Option<String>,
    /// Its `test_output.txt` and `run_instance.log`, those that exist.
    pub logs: Vec<String>,
}

/// The report of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the document of another program: each field is named there")]
pub struct RunReport {
    pub total_instances: usize,
    pub submitted_instances: usize,
    pub completed_instances: usize,
    pub resolved_instances: usize,
    pub unresolved_instances: usize,
    pub infra_failure_instances: usize,
    pub ambiguous_failure_instances: usize,
    pub empty_patch_instances: usize,
    pub error_instances: usize,
    pub completed_ids: BTreeSet<String>,
    pub incomplete_ids: BTreeSet<String>,
    pub empty_patch_ids: BTreeSet<String>,
    pub submitted_ids: BTreeSet<String>,
    pub resolved_ids: BTreeSet<String>,
    pub unresolved_ids: BTreeSet<String>,
    pub infra_failure_ids: BTreeSet<String>,
    pub ambiguous_failure_ids: BTreeSet<String>,
    pub failure_reasons: BTreeMap<String, &'static str>,
    pub error_ids: BTreeSet<String>,
    pub schema_version: u32,
}

impl RunReport {
    /// Sums a run up: the ids of the whole data set, the predictions, and what is left of each.
    pub fn new<'a>(
        dataset: impl IntoIterator<Item = &'a str>,
        predictions: &[Prediction],
        kept: impl Fn(&str) -> Kept,
    ) -> Self {
        // Of several predictions for an instance, the last counts.
        let predictions: BTreeMap<&str, &Prediction> =
            predictions.iter().map(|one| (one.instance_id.as_str(), one)).collect();
        let mut report = Self { schema_version: 2, ..Self::default() };
        report.submitted_ids = predictions.keys().map(|id| (*id).to_owned()).collect();
        for id in dataset {
            report.total_instances += 1;
            match predictions.get(id) {
                None => _ = report.incomplete_ids.insert(id.to_owned()),
                Some(prediction) if !prediction.is_run() => {
                    report.empty_patch_ids.insert(id.to_owned());
                }
                Some(_) => report.note(id, &kept(id)),
            }
        }
        report.count(predictions.len());
        report
    }

    fn note(&mut self, id: &str, kept: &Kept) {
        let is_resolved = kept.report.as_ref().and_then(|text| {
            self.completed_ids.insert(id.to_owned());
            serde_json::from_str::<Value>(text).ok()?.get(id)?.get("resolved")?.as_bool()
        });
        match is_resolved {
            Some(true) => {
                self.resolved_ids.insert(id.to_owned());
                return;
            }
            Some(false) => _ = self.unresolved_ids.insert(id.to_owned()),
            None => _ = self.error_ids.insert(id.to_owned()),
        }
        let Some(Sign { reason, tier }) = infra::sign(&kept.logs.join("\n")) else { return };
        self.failure_reasons.insert(id.to_owned(), reason);
        match tier {
            Tier::Environment => _ = self.infra_failure_ids.insert(id.to_owned()),
            Tier::Ambiguous => _ = self.ambiguous_failure_ids.insert(id.to_owned()),
        }
    }

    fn count(&mut self, n_submitted: usize) {
        self.submitted_instances = n_submitted;
        self.completed_instances = self.completed_ids.len();
        self.resolved_instances = self.resolved_ids.len();
        self.unresolved_instances = self.unresolved_ids.len();
        self.infra_failure_instances = self.infra_failure_ids.len();
        self.ambiguous_failure_instances = self.ambiguous_failure_ids.len();
        self.empty_patch_instances = self.empty_patch_ids.len();
        self.error_instances = self.error_ids.len();
    }
}

/// The name of a run's report: of the first prediction's model.
pub fn file_name(predictions: &[Prediction], run_id: &str) -> Option<String> {
    predictions.first().map(|first| format!("{}.{run_id}.json", first.model_dir()))
}

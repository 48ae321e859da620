//! What a reference harness says of a prediction, beside our own verdict.
//!
//! Two ways, and each verdict says which: the row's own script in a fresh sandbox of the image that holds the
//! repository ([`run`]), or, where there is none, the harness's rules on what our own run printed ([`of_our_log`]).
//! Guarantees that nothing here changes our verdict, and that what is not known stays unknown: a host that fails and
//! a run that was not made are never "unresolved". docs/grading-compat.md says what is reproduced and what is not.

mod compare;
mod run;

use serde::{Deserialize, Serialize};

pub use compare::{Comparison, Difference};
pub use run::{Bench, run};

use super::{Outcome, Verdict};
use crate::swe_bench::grading::{EvalType, Resolution};
use crate::swe_bench::report::{self, Graded, InstanceReport};
use crate::swe_bench::row::Row;
use crate::swe_bench::{END, EXIT_CODE, Harness, START};
use crate::task::{Expect, Parser, Tests};
use crate::testlog::compat::Fault;
use crate::trajectory::Exit;

/// The verdict of a reference harness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Which harness.
    pub profile: Harness,
    /// What it was given.
    pub from: Source,
    /// Whether it counts the task as resolved; null where it is not known.
    pub resolved: Option<bool>,
    /// How much of the task it counts as resolved; absent where it graded no test run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// The command that applied the patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_by: Option<String>,
    /// Why there is no resolution; empty where there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A digest of the row that it was judged by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub row: String,
    /// What the harness would have left of the prediction; absent where the verdict was read from a file.
    #[serde(skip)]
    pub files: Option<Files>,
}

/// What a reference verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A run of the harness's own commands: its chain on the patch, then the row's script.
    OwnRun,
    /// The output of our own run, between the harness's markers.
    OurLog,
    /// Nothing was run.
    Nothing,
}

/// The files of an instance in the harness's directory of logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// `report.json`; absent where the harness ends with an error.
    pub report: Option<InstanceReport>,
    /// `eval.sh`.
    pub script: Option<String>,
    /// `test_output.txt`.
    pub output: Option<String>,
    /// `run_instance.log`: here one line a step, without the harness's own words.
    pub log: String,
}

impl Reference {
    fn nothing(profile: Harness, resolved: Option<bool>, reason: impl Into<String>) -> Self {
        Self {
            profile,
            from: Source::Nothing,
            resolved,
            resolution: None,
            applied_by: None,
            reason: reason.into(),
            row: String::new(),
            files: Some(Files::default()),
        }
    }

    /// Whether it is what `harness` says by `row`, so that an earlier verdict on the same patch still holds.
    pub fn is_of(&self, harness: Harness, row: &Row) -> bool {
        self.profile == harness && self.resolved.is_some() && self.row == row.digest()
    }

    /// The verdict where the host failed.
    pub fn unknown(profile: Harness, error: &anyhow::Error) -> Self {
        Self::nothing(profile, None, format!("{error:#}"))
    }

    /// The verdict on a log.
    fn of_log(profile: Harness, from: Source, row: &Row, (patch, log): (&str, String)) -> Self {
        let mut reference = Self { from, ..Self::nothing(profile, None, "") };
        let mut files = Files::default();
        let Some(parser) = row.parser() else {
            "neither the row nor 4.1.0 names who reads its log".clone_into(&mut reference.reason);
            return reference;
        };
        match report::grade(profile, parser, &row.expected(), (Some(patch), &log)) {
            Ok(Graded { report, resolution, refusal }) => {
                (reference.resolved, reference.resolution) = (Some(report.resolved), resolution);
                reference.reason = refusal.map(|refusal| refusal.to_string()).unwrap_or_default();
                files.report = Some(report);
            }
            // Its exception ends in an error, which is unresolved there.
            Err(fault @ Fault::Raises { .. }) => {
                (reference.resolved, reference.reason) = (Some(false), fault.to_string());
            }
            Err(fault @ Fault::Unknown { .. }) => reference.reason = fault.to_string(),
        }
        files.output = Some(log);
        Self { files: Some(files), ..reference }
    }
}

/// The harness's verdict on what our own run printed: its rules and parsers, our way of applying the patch, of
/// putting tests back and of running them.
pub fn of_our_log(
    harness: Harness,
    row: &Row,
    tests: &Tests,
    (patch, verdict): (&str, &Verdict),
) -> Reference {
    let timed_out = verdict.exit == Some(Exit::TimedOut);
    let reference = match verdict.outcome {
        _ if patch.is_empty() => {
            Reference::nothing(harness, Some(false), "the patch is empty, and the harness does not run it")
        }
        _ if timed_out => Reference::nothing(harness, Some(false), "the tests overran their deadline"),
        Outcome::Infrastructure => Reference::nothing(harness, None, "the host could not grade it"),
        _ if verdict.log.is_empty() => {
            Reference::nothing(harness, None, "our grader has no output of a test run")
        }
        _ => Reference::of_log(harness, Source::OurLog, row, (patch, marked(tests, verdict))),
    };
    Reference { row: row.digest(), ..reference }
}

/// Our run's output with the harness's markers around it, unless the test command prints them itself.
fn marked(tests: &Tests, verdict: &Verdict) -> String {
    let code = match verdict.exit {
        Some(Exit::Code(code)) => code,
        Some(Exit::Signal(signal)) => 128 + signal,
        Some(Exit::OutOfMemory | Exit::TimedOut) | None => 137,
    };
    let log = &verdict.log;
    if tests.command.contains(START) {
        return format!("{log}\n{EXIT_CODE}: {code}\n");
    }
    format!("+ : '{START}'\n{log}\n+ : '{END}'\n{EXIT_CODE}: {code}\n")
}

/// What stands in for the row of a task where the user gives none.
pub fn row_of(id: &str, tests: &Tests) -> Row {
    let parser = match &tests.parser {
        Parser::Pytest => "parse_log_pytest",
        Parser::Tap => "parse_log_tap",
        Parser::Cargo => "parse_log_cargo",
        Parser::Go => "parse_log_gotest",
        Parser::Compat(name) => name.strip_prefix("swebench.").unwrap_or(name),
    };
    let version = tests.version.as_deref().unwrap_or_default();
    let eval_type = match tests.expect {
        Expect::FailOnly => EvalType::FailOnly,
        Expect::Lists | Expect::ExitZero | Expect::Exact(_) => EvalType::PassAndFail,
    };
    Row::of(id, (version, parser), eval_type, (&tests.fail_to_pass, &tests.pass_to_pass))
}

#[cfg(test)]
mod tests;

//! The messages about one command: what to run, and how it went.
//!
//! Plain data; the manager and the process inside have both.

use serde::{Deserialize, Serialize};

use crate::sandbox::output::{Parts, text_of};
use crate::sandbox::session::{Invocation, SessionDir};
use crate::sandbox::{Exec, Session, Streams};
use crate::trajectory::{Exit, Observation, Reported};

/// A program to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Run {
    /// It and its arguments.
    pub argv: Vec<String>,
    /// Variables beside the sandbox's own.
    pub env: Vec<(String, String)>,
    /// Milliseconds until it is killed.
    pub timeout_ms: u64,
    /// Bytes of output to keep.
    pub output_bytes: usize,
    /// What to do with processes that outlive it.
    pub survivors: Survivors,
    /// The session that it carries on.
    pub session: Option<SessionDir>,
    /// Whether its two streams are told apart.
    pub streams: Streams,
    /// The pipe for its report, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportTo>,
}

/// A pipe for what a command writes beside its output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct ReportTo {
    /// Where it is made, as seen from inside.
    pub path: String,
    /// Bytes to keep.
    pub bytes: usize,
}

impl Run {
    /// How `exec` runs, which `invocation` says, in `session`.
    pub(in crate::sandbox) fn of(invocation: Invocation, exec: &Exec<'_>, session: &SessionDir) -> Self {
        let (survivors, carried) = match exec.session {
            Session::Carried => (Survivors::Keep, Some(session.clone())),
            Session::Fresh => (Survivors::Kill, None),
        };
        let bytes = exec.report_bytes;
        let report = (bytes > 0).then(|| ReportTo { path: session.report_path(), bytes });
        Self {
            argv: invocation.argv,
            env: invocation.env,
            timeout_ms: exec.timeout.as_millis() as u64,
            output_bytes: exec.output_bytes,
            survivors,
            session: carried,
            streams: exec.streams,
            report,
        }
    }
}

/// What to do with processes that outlive their command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Survivors {
    /// They go on.
    Keep,
    /// They are killed.
    Kill,
}

/// How a program ended; its output is the payload: the finished text, or what is kept of it where `parts` tell
/// its streams apart. Behind it stands what is kept of its report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::sandbox) struct Ran {
    /// How.
    pub exit: Exit,
    /// Bytes left out of the middle.
    pub omitted_bytes: u64,
    /// Wall time.
    pub elapsed_seconds: f64,
    /// Command lines of processes that run on.
    pub background: Vec<String>,
    /// Which stream printed what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// Where what was left out can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whereabouts: Option<String>,
    /// How much of the payload is the report, and how much of that is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<(usize, u64)>,
}

impl Ran {
    /// What the manager's caller sees.
    pub(in crate::sandbox) fn observation(self, mut payload: Vec<u8>) -> Observation {
        let report = self.report.map(|(kept, omitted_bytes)| {
            let bytes = payload.split_off(payload.len().saturating_sub(kept));
            Reported { bytes, omitted_bytes }
        });
        let (output, apart) = match &self.parts {
            Some(parts) => {
                let (output, apart) = parts.tell(&payload, self.whereabouts.as_deref());
                (output, Some(apart))
            }
            None => (text_of(payload), None),
        };
        Observation {
            output,
            exit: Some(self.exit),
            omitted_bytes: self.omitted_bytes,
            elapsed_seconds: self.elapsed_seconds,
            background: self.background,
            apart,
            report,
        }
    }
}

//! The lines of our plug-in for pytest: a session's tests, and each test's start, phases and end.
//!
//! A session is whole when it tells its end and each test that it collected ended. The status of a test is the
//! worst of its phases: a failed set-up or tear-down is an error, and a try that was run again does not count.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::lines;
use crate::testlog::{Fault, Results, Spelling, Status, Statuses, note};

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    /// A session begins.
    Begin,
    /// So many different tests will run.
    Collected {
        tests: usize,
    },
    /// A file or class could not be collected.
    Broken {
        id: String,
    },
    Start {
        id: String,
    },
    Phase {
        id: String,
        when: When,
        outcome: String,
        xfail: bool,
    },
    Finish {
        id: String,
    },
    /// The session ends by itself.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    Setup,
    Call,
    Teardown,
}

/// What is known of a session.
#[derive(Default)]
struct Session {
    collected: usize,
    running: BTreeMap<String, Option<Status>>,
    ended: BTreeSet<String>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Results, Fault> {
    let mut statuses = Statuses::new();
    let mut session: Option<Session> = None;
    let mut fault = None;
    for event in lines(bytes) {
        let event = event?;
        if matches!(event, Event::Begin) {
            if session.replace(Session::default()).is_some() {
                fault = Some(Fault::BreaksOff);
            }
            continue;
        }
        let Some(now) = &mut session else { return Err(Fault::Unreadable("no session begins".to_owned())) };
        match event {
            Event::Begin => {}
            Event::Collected { tests } => now.collected = now.collected.max(tests),
            Event::Broken { id } => note(&mut statuses, &id, Status::Error),
            Event::Start { id } => _ = now.running.insert(id, None),
            Event::Phase { id, when, outcome, xfail } => now.phase(&id, when, &outcome, xfail),
            Event::Finish { id } => {
                if let Some(Some(status)) = now.running.remove(&id) {
                    note(&mut statuses, &id, status);
                    now.ended.insert(id);
                }
            }
            Event::End => {
                fault = fault.or_else(|| now.fault());
                session = None;
            }
        }
    }
    let mut results = Results::of(statuses, Spelling::Plain);
    results.fault = if session.is_some() { Some(Fault::BreaksOff) } else { fault };
    Ok(results)
}

impl Session {
    fn phase(&mut self, id: &str, when: When, outcome: &str, xfail: bool) {
        let Some(status) = self.running.get_mut(id) else { return };
        let told = match (outcome, when) {
            // A plug-in runs it again.
            ("rerun", _) => {
                *status = None;
                return;
            }
            ("passed", When::Call) if xfail => Status::XPassed,
            // That only a set-up or tear-down passed is no success; it takes nothing away either.
            ("passed", When::Call) => Status::Passed,
            ("passed", _) => return,
            ("skipped", _) if xfail => Status::XFailed,
            ("skipped", _) => Status::Skipped,
            (_, When::Call) => Status::Failed,
            _ => Status::Error,
        };
        *status = Some(status.map_or(told, |before| before.max(told)));
    }

    fn fault(&self) -> Option<Fault> {
        let (announced, ended) = (self.collected, self.ended.len());
        (ended < announced).then_some(Fault::Unended { announced, ended })
    }
}

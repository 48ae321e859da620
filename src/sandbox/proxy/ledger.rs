//! What the commands of a sandbox asked its proxy for, and what came of it.
//!
//! Guarantees that it stays small whatever is asked for: beyond [`HOSTS`] lines, others are counted together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;

/// Hosts that are told apart.
const HOSTS: usize = 256;
/// Hosts that one line names.
const SHOWN: usize = 8;
/// What stands for the others, and for requests that name no host.
const OTHERS: &str = "other hosts";
const NOBODY: &str = "no host";

/// What came of a request to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The host was connected to.
    Reached,
    /// The list refused it, or it could not be read.
    Refused,
    /// The host is listed and was not to be had.
    Failed,
}

/// A host that commands asked the proxy for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// `HOST:PORT`.
    pub host: String,
    /// What came of it.
    pub outcome: Outcome,
    /// How often.
    pub times: u64,
}

impl Contact {
    /// One line of a sandbox's contacts; none where there were none.
    pub fn summary(contacts: &[Self]) -> Option<String> {
        let shown: Vec<String> = contacts.iter().take(SHOWN).map(Self::to_string).collect();
        let more = match contacts.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!shown.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Reached => "reached",
            Outcome::Refused => "was refused",
            Outcome::Failed => "did not reach",
        };
        write!(f, "{outcome} {}", self.host)?;
        if self.times > 1 { write!(f, " ({} times)", self.times) } else { Ok(()) }
    }
}

/// The list of one sandbox; clones share it.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct Ledger(Arc<Mutex<BTreeMap<(String, Outcome), u64>>>);

impl Ledger {
    pub(super) fn note(&self, host: Option<&dyn fmt::Display>, outcome: Outcome) {
        let host = host.map_or_else(|| NOBODY.to_owned(), ToString::to_string);
        let mut lines = self.lines();
        let has_room = lines.len() < HOSTS || lines.contains_key(&(host.clone(), outcome));
        let host = if has_room { host } else { OTHERS.to_owned() };
        *lines.entry((host, outcome)).or_default() += 1;
    }

    /// All of it, by host.
    pub(in crate::sandbox) fn contacts(&self) -> Vec<Contact> {
        let lines = self.lines();
        let contact = |((host, outcome), times): (&(String, Outcome), &u64)| Contact {
            host: host.clone(),
            outcome: *outcome,
            times: *times,
        };
        lines.iter().map(contact).collect()
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<(String, Outcome), u64>> {
        self.0.lock().expect("invariant: nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_line_and_too_many_are_one_together() {
        let ledger = Ledger::default();
        for n in 0..1000 {
            ledger.note(Some(&format!("{n}.org:443")), Outcome::Refused);
            ledger.note(Some(&"a.org:443"), Outcome::Reached);
        }
        let contacts = ledger.contacts();
        assert!(contacts.len() <= HOSTS + 1, "{}", contacts.len());
        assert_eq!(contacts.iter().map(|contact| contact.times).sum::<u64>(), 2000);
        let reached = contacts.iter().find(|contact| contact.host == "a.org:443").unwrap();
        assert_eq!(reached.to_string(), "reached a.org:443 (1000 times)");
    }
}

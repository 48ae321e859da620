//! What files held before they were edited, for editors that can take an edit back.
//!
//! Guarantees that a clone shares the bytes and not the changes: a fork undoes on its own. Does not read or write
//! files.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What was at a path before an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing: the edit made the file.
    Missing,
    /// A file with these bytes.
    File(Arc<[u8]>),
}

/// The past of every edited file, by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct History(BTreeMap<String, VecDeque<Before>>);

impl History {
    /// Remembers what was there; of each file the last `most` times.
    pub(super) fn push(&mut self, path: &str, before: Before, most: usize) {
        let past = self.0.entry(path.to_owned()).or_default();
        past.push_back(before);
        while most < past.len() {
            past.pop_front();
        }
    }

    /// Takes back what was there last.
    pub(super) fn pop(&mut self, path: &str) -> Option<Before> {
        self.0.get_mut(path)?.pop_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_undoes_on_its_own_and_the_oldest_are_forgotten() {
        let mut trunk = History::default();
        for byte in 0..4_u8 {
            trunk.push("/a", Before::File(Arc::from([byte])), 3);
        }
        let mut branch = trunk.clone();
        let popped: Vec<Before> = std::iter::from_fn(|| branch.pop("/a")).collect();
        assert_eq!(popped, [3, 2, 1].map(|byte: u8| Before::File(Arc::from([byte]))));
        assert_eq!(trunk.pop("/a"), Some(Before::File(Arc::from([3_u8]))));
        assert_eq!(trunk.pop("/b"), None);
    }
}

//! The body of a request: keys that are read, keys that may only say what we do anyway, and no others.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::difflib::{self, Autojunk};

/// From which likeness on a key may have been meant: that of Python's `difflib.get_close_matches`.
const ALIKE: f64 = 0.6;
/// Bytes of a key that is compared with others.
const LONGEST: usize = 64;

/// What is left of a request to read.
pub(super) struct Body {
    rest: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Body {
    /// Reads JSON.
    pub(super) fn new(bytes: &[u8]) -> Result<Self, Refusal> {
        let wrong =
            |e| Refusal::new(hyper::StatusCode::BAD_REQUEST, format!("the body is not a JSON object: {e}"));
        Ok(Self { rest: serde_json::from_slice(bytes).map_err(wrong)?, known: Vec::new() })
    }

    /// The value of a key; `null` is none.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &'static str) -> Result<Option<T>, Refusal> {
        self.known.push(key);
        match self.rest.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|e| Refusal::key(key, format!("`{key}` cannot be read: {e}"))),
        }
    }

    /// The value of a key that must be there.
    pub(super) fn need<T: DeserializeOwned>(&mut self, key: &'static str) -> Result<T, Refusal> {
        self.take(key)?.ok_or_else(|| Refusal::key(key, format!("`{key}` is missing")))
    }

    /// A number within bounds, or what is taken without it.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        (low, high): (f64, f64),
        default: f64,
    ) -> Result<f64, Refusal> {
        let number = self.take(key)?.unwrap_or(default);
        if (low..=high).contains(&number) {
            return Ok(number);
        }
        Err(Refusal::key(key, format!("`{key}` is {number}, not in {low}..={high}")))
    }

    /// A count within bounds, or what is taken without it.
    pub(super) fn count(
        &mut self,
        key: &'static str,
        (low, high): (usize, usize),
        default: usize,
    ) -> Result<usize, Refusal> {
        let count = self.take(key)?.unwrap_or(default);
        if (low..=high).contains(&count) {
            return Ok(count);
        }
        Err(Refusal::key(key, format!("`{key}` is {count}, not in {low}..={high}")))
    }

    /// A key that is accepted only where it asks for what happens without it.
    pub(super) fn only(&mut self, key: &'static str, neutral: &[Value]) -> Result<(), Refusal> {
        match self.take::<Value>(key)? {
            Some(value) if !neutral.contains(&value) => {
                Err(Refusal::key(key, format!("`{key}` is not supported here, except as {}", neutral[0])))
            }
            _ => Ok(()),
        }
    }

    /// A key that says something to others than us.
    pub(super) fn ignore(&mut self, key: &'static str) {
        self.known.push(key);
        self.rest.remove(key);
    }

    /// Refuses what nobody read.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        let Some(key) = self.rest.keys().next() else { return Ok(()) };
        let likeness = |known: &&str| difflib::ratio(key, known, Autojunk::Off);
        let known =
            self.known.iter().copied().filter(|known| key.len() <= LONGEST && likeness(known) >= ALIKE);
        let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let hint = nearest.map(|known| format!("; the nearest known one is `{known}`")).unwrap_or_default();
        Err(Refusal::key(key.clone(), format!("`{key}` is not a known key{hint}")))
    }
}

//! In a build without the student nothing counts tokens.

use std::path::Path;

use serde_json::Value;

use super::super::failure::Failure;
use super::curation::Tokens;
use crate::curate::lesson::Style;
use crate::example::Example;

/// There is none.
pub(super) enum Counter {}

impl Counter {
    /// Refuses.
    pub(super) fn open(dir: &Path, _max_tokens: usize) -> Result<Self, Failure> {
        let refused = anyhow::anyhow!("this build cannot read the model `{}`", dir.display());
        Err(Failure::usage(refused).with_hint("build with the feature `train`"))
    }

    pub(super) fn count(
        &mut self,
        _style: &Style,
        _example: &Example<'_>,
    ) -> Result<Option<Tokens>, Failure> {
        match *self {}
    }

    pub(super) fn end_trajectory(&mut self) {
        match *self {}
    }

    pub(super) fn summary(&self) -> Value {
        match *self {}
    }

    pub(super) fn described(&self) -> String {
        match *self {}
    }
}

//! verl: rows with a rule's ground truth, the expert's step.

use std::path::Path;

use super::rows::{self, Layout};
use super::{ExportFormat, Options, Sink};

/// verl's data sets.
pub(super) struct Verl;

const LAYOUT: Layout = Layout {
    word: ("ability", None),
    reward: ("reward_model", "style"),
    plugin: include_str!("plugin/verl.py"),
};

impl ExportFormat for Verl {
    fn name(&self) -> &'static str {
        "verl"
    }

    fn about(&self) -> &'static str {
        "rows for verl, in Parquet"
    }

    fn open(&self, out: &Path, options: Options) -> anyhow::Result<Sink> {
        rows::open(out, LAYOUT, options)
    }
}

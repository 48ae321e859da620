//! SkyRL: rows for an environment that takes one reply.

use std::path::Path;

use super::rows::{self, Layout};
use super::{ExportFormat, Options, Sink};

/// SkyRL's data sets.
pub(super) struct SkyRl;

const LAYOUT: Layout = Layout {
    word: ("env_class", Some("srl")),
    reward: ("reward_spec", "method"),
    plugin: include_str!("plugin/skyrl.py"),
};

impl ExportFormat for SkyRl {
    fn name(&self) -> &'static str {
        "skyrl"
    }

    fn about(&self) -> &'static str {
        "rows and an environment for SkyRL, in Parquet"
    }

    fn open(&self, out: &Path, options: Options) -> anyhow::Result<Sink> {
        rows::open(out, LAYOUT, options)
    }
}

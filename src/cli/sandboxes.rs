//! The flags that every command with prepared repositories and sandboxes shares.

use std::path::PathBuf;

use super::failure::Failure;
use super::sandbox::{self, BackendArgs};
use crate::sandbox::SandboxError;

/// Where grades are made.
#[derive(Debug, Clone, clap::Args)]
pub struct HostArgs {
    /// What runs the sandboxes.
    #[command(flatten)]
    pub backend: BackendArgs,
    /// Where prepared repositories are kept (default: the user's cache directory)
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How many sandboxes run at once (default: one a core)
    #[arg(long, value_name = "N")]
    pub parallel: Option<usize>,
}

impl HostArgs {
    /// Where prepared repositories are kept.
    pub fn cache(&self) -> PathBuf {
        cache_dir(self.cache.as_ref())
    }

    /// How many sandboxes run at once.
    pub fn parallel(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.parallel.unwrap_or_else(cores)
    }
}

/// The directory that the user names, else `apprentice` in the user's cache directory.
pub fn cache_dir(named: Option<&PathBuf>) -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    named.cloned().or_else(|| Some(own()?.join("apprentice"))).unwrap_or_else(|| ".apprentice-cache".into())
}

/// A sandbox's error as a command's failure, with its hint.
pub fn host(error: SandboxError) -> Failure {
    sandbox::failure(error)
}

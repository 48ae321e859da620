//! Which sandboxes a command uses: the flags that every command with sandboxes shares.

use std::path::PathBuf;
use std::sync::Arc;

use super::failure::Failure;
use crate::sandbox::spec::SandboxSpec;
use crate::sandbox::{Backend, SandboxError};

/// Flags of commands that start sandboxes.
#[derive(Debug, Clone, clap::Args)]
pub struct SandboxArgs {
    /// What makes the sandboxes: auto, docker or namespaces
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub sandbox: String,
    /// Where sandboxes are described, beside the shipped ones
    #[arg(long, value_name = "DIR", default_value = "sandboxes")]
    pub sandboxes: PathBuf,
    /// Where prepared repositories are kept (default: the user's cache directory)
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How many sandboxes run at once (default: one a core)
    #[arg(long, value_name = "N")]
    pub parallel: Option<usize>,
}

impl SandboxArgs {
    /// The description of the sandbox `name`.
    ///
    /// # Errors
    /// When there is none or it is invalid.
    pub fn spec(&self, name: &str) -> Result<SandboxSpec, Failure> {
        SandboxSpec::load(name, &self.sandboxes).map_err(|error| {
            let hint = error.hint();
            Failure::input(error).with_hint(hint)
        })
    }

    /// The backend that was asked for.
    ///
    /// # Errors
    /// When this host has none.
    pub async fn backend(&self) -> Result<Arc<dyn Backend>, Failure> {
        let isolation = crate::isolation::Isolation::Full;
        let docker = crate::sandbox::docker::DockerBackend::connect(isolation).await.map_err(host)?;
        Ok(Arc::new(docker))
    }

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

/// A sandbox error as a command's failure, with its hint.
pub fn host(error: SandboxError) -> Failure {
    let hint = match &error {
        SandboxError::Unavailable { hint, .. }
        | SandboxError::WeakIsolation { hint, .. }
        | SandboxError::Image { hint, .. } => Some(hint.clone()),
        SandboxError::Lost { .. } | SandboxError::Host { .. } => None,
    };
    let failure = Failure::host(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

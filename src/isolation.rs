//! What a sandbox may do, and what this host can enforce.
//!
//! Plain data. Guarantees nothing by itself: a backend reports a [`Protection`] and refuses to
//! start when it is less than asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds of one sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of all its processes, in MiB.
    pub memory_mib: u64,
    /// Processor cores, fractions allowed.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes it may write, in MiB.
    pub disk_mib: u64,
    /// Bytes kept of one command's output; the middle is left out.
    pub output_bytes: usize,
    /// MiB of whole outputs that exceed it, kept in files of the sandbox where an agent can look at their middle;
    /// the oldest go first. None when 0.
    pub spill_mib: u64,
    /// Wall seconds of one command.
    pub command_seconds: f64,
    /// Wall seconds without output after which a command is ended; as long as it likes when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_seconds: Option<f64>,
    /// Wall seconds of an episode.
    pub episode_seconds: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mib: 2048,
            cpus: 2.0,
            pids: 256,
            disk_mib: 4096,
            output_bytes: 64 * 1024,
            spill_mib: 0,
            command_seconds: 60.0,
            quiet_seconds: None,
            episode_seconds: 1800.0,
        }
    }
}

impl Limits {
    /// The deadline of one command.
    pub fn command_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.command_seconds)
    }

    /// How long a command may print nothing.
    pub fn quiet_timeout(&self) -> Option<Duration> {
        self.quiet_seconds.map(Duration::from_secs_f64)
    }
}

/// What a sandbox may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Its own loopback only.
    #[default]
    None,
    /// What the host reaches; for builds, never for students.
    Host,
}

/// What stands between a sandbox and the host, as this host really enforces it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protection {
    /// The backend that gives it.
    pub backend: String,
    /// What is enforced, one measure a line, such as `no network (network namespace)`.
    pub enforced: Vec<String>,
    /// What is not, one lack a line, each with its remedy.
    pub missing: Vec<Lack>,
}

/// A measure that this host cannot enforce.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lack {
    /// What is not enforced.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// Whether a sandbox may start with less protection than the full set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Less is a refusal.
    #[default]
    Full,
    /// The user said `--accept-weaker-isolation`; the manifest records it.
    AcceptWeaker,
}

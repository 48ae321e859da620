//! What a sandbox is made of: `sandboxes/<name>/sandbox.yaml` (`apprentice.sandbox/1`).
//!
//! Plain data and its validation; the file's origin is kept so that errors and relative paths can name it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::isolation::{Limits, Network};

/// Name and version in the first field of every sandbox file.
pub const FORMAT: &str = "apprentice.sandbox/1";

/// One kind of sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxSpec {
    /// Always [`FORMAT`].
    pub format: String,
    /// Its name, also its directory's.
    pub name: String,
    /// A Docker image to use, pulled when it is not local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A Dockerfile beside this file, built when the image cannot be pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// A distribution's packages, used where no image registry answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,
    /// Whether the namespaces backend may use the host's own programs read-only.
    #[serde(default)]
    pub host: bool,
    /// Where the repository lies.
    #[serde(default = "default_workdir")]
    pub workdir: String,
    /// Who runs the commands.
    #[serde(default = "default_user")]
    pub user: String,
    /// What it may reach.
    #[serde(default)]
    pub network: Network,
    /// Variables of every command.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Its bounds.
    #[serde(default)]
    pub limits: Limits,
}

/// A root file system from a distribution's packages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// The release, such as `bookworm`.
    pub suite: String,
    /// Packages beyond the minimum.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Shell commands run in the finished root, such as a `pip install`.
    #[serde(default)]
    pub run: Vec<String>,
}

fn default_workdir() -> String {
    "/testbed".to_owned()
}

fn default_user() -> String {
    "agent".to_owned()
}

//! The manifest: how a run was begun, so that a reader can repeat it and a resume can refuse.
//!
//! Guarantees that the file on disk is always a whole manifest. Holds no clock.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunError;
use crate::fsio;
use crate::isolation::{Isolation, Protection};

/// Name and version in the first field of `manifest.json`.
pub const FORMAT: &str = "apprentice.manifest/1";

/// How a run was begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: String,
    /// The command line.
    pub argv: Vec<String>,
    /// The recipe after overrides and defaults.
    pub recipe: Value,
    /// Seeds by what they are for.
    pub seeds: BTreeMap<String, u64>,
    /// SHA-256 of what the run reads.
    pub digests: Digests,
    /// What stood between its sandboxes and the host; absent when it used none.
    pub protection: Option<Protection>,
    /// Whether the user accepted less than full protection.
    pub isolation: Isolation,
    /// Versions by name: this program's, and of whatever else the results depend on.
    pub versions: BTreeMap<String, String>,
}

/// What a run reads, by name: SHA-256 digests, of models and data in hexadecimal digits alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Digests {
    /// Model directories.
    #[serde(default)]
    pub model: BTreeMap<String, String>,
    /// Tasks and trajectories.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
    /// What sandboxes are made of, by their kind: a registry's digest or an image's id, the digest of a root file
    /// system, or the statement that they use the host's programs.
    #[serde(default)]
    pub sandboxes: BTreeMap<String, String>,
}

impl Manifest {
    /// The manifest of a run begun by `argv` with the resolved `recipe`.
    pub fn new(argv: impl IntoIterator<Item = String>, recipe: Value) -> Self {
        let version = (env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        Self {
            format: FORMAT.to_owned(),
            argv: argv.into_iter().collect(),
            recipe,
            seeds: BTreeMap::new(),
            digests: Digests::default(),
            protection: None,
            isolation: Isolation::Full,
            versions: BTreeMap::from([version, ("target".to_owned(), target)]),
        }
    }

    /// What `other` asks for that this run was not begun with, one key each; empty when it may resume.
    ///
    /// The command line, versions and the host's protection may differ: they do not reach the weights.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        compare("recipe", &self.recipe, &other.recipe, &mut differences);
        let value = |of: &dyn Fn(&Self) -> serde_json::Result<Value>, manifest: &Self| {
            of(manifest).expect("invariant: maps of strings are JSON")
        };
        for (name, of) in [
            ("seeds", &(|m: &Self| serde_json::to_value(&m.seeds)) as &dyn Fn(&Self) -> _),
            ("digests", &|m: &Self| serde_json::to_value(&m.digests)),
            ("isolation", &|m: &Self| serde_json::to_value(m.isolation)),
        ] {
            compare(name, &value(of, self), &value(of, other), &mut differences);
        }
        differences
    }

    /// Writes it to `path`, in one step.
    ///
    /// # Errors
    /// When the file cannot be written; the old one then stays.
    pub fn save(&self, path: &Path) -> Result<(), RunError> {
        fsio::write_json(path, self).map_err(RunError::File)
    }

    pub(super) fn load(path: &Path) -> Result<Self, RunError> {
        let text = fs_err::read_to_string(path)?;
        let damaged = |source: serde_json::Error| RunError::Damaged {
            path: path.to_owned(),
            line: source.line(),
            source,
        };
        let value: Value = serde_json::from_str(&text).map_err(damaged)?;
        let found = value["format"].as_str().unwrap_or("none").to_owned();
        if found != FORMAT {
            return Err(RunError::Format { path: path.to_owned(), found, expected: FORMAT });
        }
        serde_json::from_str(&text).map_err(damaged)
    }
}

/// Lists the leaves below `key` at which two values differ.
fn compare(key: &str, recorded: &Value, asked: &Value, differences: &mut Vec<String>) {
    if recorded == asked {
        return;
    }
    if let (Value::Object(recorded), Value::Object(asked)) = (recorded, asked) {
        let keys: std::collections::BTreeSet<&String> = recorded.keys().chain(asked.keys()).collect();
        for name in keys {
            let of = |map: &serde_json::Map<String, Value>| map.get(name).cloned().unwrap_or(Value::Null);
            compare(&format!("{key}.{name}"), &of(recorded), &of(asked), differences);
        }
        return;
    }
    differences.push(format!("`{key}` was {}, now {}", shown(recorded), shown(asked)));
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "absent".to_owned(),
        // Twelve digits tell two digests apart.
        Value::String(text) if text.len() == 64 && text.is_ascii() => {
            format!("{:?}", format!("{}…", &text[..12]))
        }
        other => other.to_string(),
    }
}

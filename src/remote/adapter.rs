//! Adapters at an endpoint, a name of its own for each version of a policy.
//!
//! Guarantees that a name never stands for two adapters: servers keep what they computed under a name (vLLM issues 30931 and 42125), so
//! the name holds a digest of the adapter. The version before is unloaded once the next one answers.

use std::path::Path;

use serde_json::{Value, json};

use super::client::Client;
use super::dialect::AdapterPaths;
use super::error::RemoteError;
use super::wire::{Fault, Question};
use crate::fsio;

/// The name of an adapter directory as version `version` of a policy.
///
/// # Errors
/// When its files cannot be read.
pub fn adapter_name(policy: &str, version: u64, dir: &Path) -> anyhow::Result<String> {
    let digest = fsio::sha256_dir(dir)?;
    Ok(format!("{policy}-v{version}-{}", &digest[..12]))
}

/// Swaps the adapter that answers at an endpoint.
#[derive(Debug, Default)]
pub struct AdapterVersions {
    loaded: Option<String>,
}

impl AdapterVersions {
    /// Lets the adapter of a directory, which the server sees too, answer under this name from now on.
    ///
    /// # Errors
    /// When the endpoint cannot load it; then the version before goes on answering.
    pub fn swap(&mut self, client: &mut Client, name: &str, dir: &Path) -> Result<(), RemoteError> {
        if self.loaded.as_deref() == Some(name) {
            return Ok(());
        }
        let AdapterPaths { load, .. } = paths(client)?;
        command(client, load, json!({"lora_name": name, "lora_path": dir}))?;
        client.set_adapter(Some(name.to_owned()));
        match self.loaded.replace(name.to_owned()) {
            Some(before) => unload(client, &before),
            None => Ok(()),
        }
    }

    /// Lets the model itself answer again, for the last calls.
    ///
    /// # Errors
    /// When the endpoint cannot unload the adapter.
    pub fn clear(&mut self, client: &mut Client) -> Result<(), RemoteError> {
        client.set_adapter(None);
        // An endpoint that is gone has nothing loaded, so one try is enough.
        client.set_tries(1);
        self.loaded.take().map_or(Ok(()), |loaded| unload(client, &loaded))
    }
}

fn unload(client: &Client, name: &str) -> Result<(), RemoteError> {
    command(client, paths(client)?.unload, json!({"lora_name": name}))
}

fn paths(client: &Client) -> Result<AdapterPaths, RemoteError> {
    let dialect = client.endpoint().dialect;
    let cannot = RemoteError::Cannot { dialect: dialect.name(), what: "load adapters" };
    dialect.words().adapters.ok_or(cannot)
}

/// Loads or unloads an adapter.
fn command(client: &Client, path: &'static str, body: Value) -> Result<(), RemoteError> {
    match client.call(&Question { path, body }, 0, done) {
        // A try before this one was heard and its answer lost.
        Err(RemoteError::Refused { status: 400, message, .. }) if message.contains("already") => Ok(()),
        answer => answer.map(|_| ()),
    }
}

/// What an answer to a command says; SGLang answers 200 to what it did not do.
fn done(value: &Value) -> Result<(), Fault> {
    match value["success"].as_bool() {
        Some(false) => Err(value["error_message"].as_str().unwrap_or("it did not succeed").into()),
        _ => Ok(()),
    }
}

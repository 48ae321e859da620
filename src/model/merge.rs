//! LoRA adapters in PEFT layout, merged into the weights: W + scale · B A.
//!
//! Guarantees that every tensor of the adapter was used; an adapter with anything that this sum cannot express is
//! refused by the key that asks for it.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use super::error::ModelError;
use super::network::Network;
use super::weights;

/// The network with the adapter of `dir` merged into it.
///
/// # Errors
/// When a file is missing or damaged, or the adapter does not fit the network.
pub fn merge(network: &Network, dir: &Path) -> Result<Network, ModelError> {
    let config_path = dir.join("adapter_config.json");
    let path = dir.join("adapter_model.safetensors");
    let problem = |path: &Path, problem: String| ModelError::Adapter { path: path.to_owned(), problem };
    let config: Value = serde_json::from_str(&fs_err::read_to_string(&config_path)?)
        .map_err(|e| problem(&config_path, e.to_string()))?;
    let scale = scale(&config).map_err(|e| problem(&config_path, e))?;
    let mut adapter = weights::load_file(&path)?;
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for (name, var) in network.vars() {
        let base = var.as_detached_tensor().to_device(&Device::Cpu)?;
        let merged = match pair(&mut adapter, name) {
            None => base.copy()?,
            Some((a, b)) => {
                add(&base, &a, &b, scale).map_err(|e| problem(&path, format!("`{name}`: {e}")))?
            }
        };
        tensors.insert(name.clone(), merged);
    }
    if let Some(name) = adapter.keys().next() {
        return Err(problem(&path, format!("`{name}` belongs to no weight of the model")));
    }
    Network::from_tensors(network.config().clone(), tensors, network.device())
}

/// Takes a weight's two factors out of the adapter.
fn pair(adapter: &mut BTreeMap<String, Tensor>, name: &str) -> Option<(Tensor, Tensor)> {
    let stem = name.strip_suffix(".weight")?;
    let key = |factor: &str| format!("base_model.model.{stem}.{factor}.weight");
    if !adapter.contains_key(&key("lora_B")) {
        return None;
    }
    adapter.remove(&key("lora_A")).zip(adapter.remove(&key("lora_B")))
}

fn add(base: &Tensor, a: &Tensor, b: &Tensor, scale: f64) -> candle_core::Result<Tensor> {
    let change = b.to_dtype(DType::F32)?.matmul(&a.to_dtype(DType::F32)?)?;
    base + (change * scale)?
}

fn scale(config: &Value) -> Result<f64, String> {
    if config["peft_type"].as_str() != Some("LORA") {
        return Err(format!("`peft_type` is {}, not \"LORA\"", config["peft_type"]));
    }
    for key in ["use_dora", "fan_in_fan_out", "lora_bias", "use_qalora", "use_bdlora"] {
        if config[key].as_bool() == Some(true) {
            return Err(format!("`{key}` is true"));
        }
    }
    for key in ["rank_pattern", "alpha_pattern"] {
        if config[key].as_object().is_some_and(|pattern| !pattern.is_empty()) {
            return Err(format!("`{key}` is not empty"));
        }
    }
    if config["bias"].as_str().is_some_and(|bias| bias != "none") {
        return Err(format!("`bias` is {}", config["bias"]));
    }
    let number =
        |key: &str| config[key].as_f64().filter(|x| *x > 0.0).ok_or(format!("`{key}` is not a number"));
    let (rank, alpha) = (number("r")?, number("lora_alpha")?);
    Ok(alpha / if config["use_rslora"].as_bool() == Some(true) { rank.sqrt() } else { rank })
}

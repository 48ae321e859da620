//! LoRA adapters merged into the weights: W + scale · B A.
//!
//! Guarantees that every tensor of the adapter was used.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::adapter::Adapter;
use super::error::ModelError;
use super::network::Network;

/// The network with the adapter of `dir` merged into it.
///
/// # Errors
/// When a file is missing or damaged, or the adapter does not fit the network.
pub fn merge(network: &Network, dir: &Path) -> Result<Network, ModelError> {
    let mut adapter = Adapter::load(dir)?;
    let scale = adapter.lora.scale();
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for (name, var) in network.vars() {
        let base = var.as_detached_tensor().to_device(&Device::Cpu)?;
        let merged = match adapter.take(name) {
            None => base.copy()?,
            Some((a, b)) => {
                let sum = b.matmul(&a).and_then(|change| &base + (change * scale)?.to_dtype(base.dtype())?);
                sum.map_err(|e| adapter.problem(format!("`{name}`: {e}")))?
            }
        };
        tensors.insert(name.clone(), merged);
    }
    adapter.check_used()?;
    Network::from_tensors(network.config().clone(), tensors, network.device())
}

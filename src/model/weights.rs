//! Weights on disk: one safetensors file, or shards with an index.
//!
//! Guarantees that every tensor the configuration asks for was read with its shape, and that nothing
//! else of the model's was left unread; otherwise the error names the file. Reads f32, f16 and bf16, writes f32.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorView;
use serde_json::Value;

use super::config::{HEAD, QwenConfig};
use super::error::ModelError;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Reads the weights that `config` describes from a model directory.
pub(crate) fn load(dir: &Path, config: &QwenConfig) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let files = weight_files(dir)?;
    let mut wanted: BTreeMap<String, Vec<usize>> = config.shapes().into_iter().collect();
    let mut found = BTreeMap::new();
    for path in &files {
        for (name, tensor) in load_file(path)? {
            match wanted.remove(&name) {
                Some(shape) => {
                    check_shape(path, &name, &tensor, &shape)?;
                    found.insert(name, tensor.to_dtype(DType::F32)?);
                }
                None if found.contains_key(&name) => {
                    return Err(problem(path, format!("`{name}` is in another file already")));
                }
                None if is_derived(&name) => {}
                None => return Err(problem(path, format!("`{name}` is not part of the model"))),
            }
        }
    }
    match wanted.keys().next() {
        None => Ok(found),
        Some(name) => {
            let last = files.last().expect("invariant: at least one file was found");
            Err(problem(last, format!("`{name}` is missing ({} tensors are)", wanted.len())))
        }
    }
}

/// Reads one safetensors file.
pub(crate) fn load_file(path: &Path) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let bytes = fs_err::read(path)?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| problem(path, e.to_string()))?;
    Ok(tensors.into_iter().collect())
}

/// Writes one safetensors file as transformers does; a reader never sees half of it.
pub(crate) fn save<'a>(
    dir: &Path,
    tensors: impl Iterator<Item = (&'a String, &'a Tensor)>,
) -> Result<(), ModelError> {
    let path = dir.join(SINGLE);
    let mut buffers = Vec::new();
    for (name, tensor) in tensors {
        let values = tensor.flatten_all()?.to_device(&Device::Cpu)?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        buffers.push((name, tensor.dims().to_vec(), bytes));
    }
    let mut views = Vec::with_capacity(buffers.len());
    for (name, shape, bytes) in &buffers {
        let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes)
            .map_err(|e| problem(&path, e.to_string()))?;
        views.push((*name, view));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| problem(&path, e.to_string()))?;
    let half = dir.join("model.safetensors.part");
    fs_err::write(&half, bytes)?;
    fs_err::rename(&half, &path)?;
    Ok(())
}

fn weight_files(dir: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let index = dir.join(INDEX);
    if !index.is_file() {
        let single = dir.join(SINGLE);
        return if single.is_file() {
            Ok(vec![single])
        } else {
            Err(ModelError::NoWeights { dir: dir.to_owned() })
        };
    }
    let shards = shard_names(&index)?;
    let missing: Vec<String> = shards.iter().filter(|name| !dir.join(name).is_file()).cloned().collect();
    if !missing.is_empty() {
        return Err(ModelError::MissingShards { index, missing });
    }
    Ok(shards.iter().map(|name| dir.join(name)).collect())
}

fn shard_names(index: &Path) -> Result<BTreeSet<String>, ModelError> {
    let text = fs_err::read_to_string(index)?;
    let value: Value = serde_json::from_str(&text).map_err(|e| problem(index, e.to_string()))?;
    let map = value["weight_map"]
        .as_object()
        .filter(|map| !map.is_empty())
        .ok_or_else(|| problem(index, "`weight_map` is not a table of shards".to_owned()))?;
    map.iter()
        .map(|(name, shard)| match shard.as_str() {
            // The index may come from anywhere; it names files of this directory only.
            Some(shard) if !shard.contains(['/', '\\']) => Ok(shard.to_owned()),
            _ => Err(problem(index, format!("the shard of `{name}` is not a file name"))),
        })
        .collect()
}

fn check_shape(path: &Path, name: &str, tensor: &Tensor, shape: &[usize]) -> Result<(), ModelError> {
    if tensor.dims() == shape {
        return Ok(());
    }
    Err(problem(path, format!("`{name}` has shape {:?}, not {shape:?}", tensor.dims())))
}

/// Whether a tensor follows from others: some checkpoints store the tied head and the rotary frequencies.
fn is_derived(name: &str) -> bool {
    name == HEAD || name.ends_with("rotary_emb.inv_freq")
}

fn problem(path: &Path, problem: String) -> ModelError {
    ModelError::Weights { path: path.to_owned(), problem }
}

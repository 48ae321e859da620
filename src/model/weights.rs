//! Weights on disk: one safetensors file, or shards with an index, or one GGUF file ([`gguf`](super::gguf)).
//!
//! Guarantees that every tensor the configuration asks for was read with its shape, and that nothing
//! else of the model's was left unread; otherwise the error names the file. Tensors pass one by one, so that what keeps
//! them smaller never holds them all in full.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor};
use half::bf16;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use super::config::{HEAD, QwenConfig};
use super::error::ModelError;
use super::gguf;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Bytes of a shard, as transformers cuts them.
pub(crate) const SHARD_BYTES: usize = 5_000_000_000;

/// Reads the weights that `config` describes from a model directory; `keep` says what becomes of each.
pub(crate) fn load<T>(
    dir: &Path,
    config: &QwenConfig,
    mut keep: impl FnMut(&str, Loaded<'_>) -> candle_core::Result<T>,
) -> Result<BTreeMap<String, T>, ModelError> {
    let mut wanted = Wanted { shapes: config.shapes().into_iter().collect(), found: BTreeMap::new() };
    let files = weight_files(dir)?;
    for path in &files {
        if gguf::is_gguf(path) {
            gguf::read(path, |name, blocks| {
                let shape = blocks.shape().dims().to_vec();
                wanted.take(path, name, &shape, || keep(name, Loaded::Blocks(blocks)))
            })?;
            continue;
        }
        let bytes = fs_err::read(path)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| problem(path, e.to_string()))?;
        for (name, view) in tensors.iter() {
            let shape = view.shape().to_vec();
            wanted.take(path, name, &shape, || keep(name, Loaded::Dense(&view)))?;
        }
    }
    let last = files.last().expect("invariant: at least one file was found");
    match wanted.shapes.keys().next() {
        None => Ok(wanted.found),
        Some(name) => {
            Err(problem(last, format!("`{name}` is missing ({} tensors are)", wanted.shapes.len())))
        }
    }
}

/// A tensor as a file holds it.
pub(crate) enum Loaded<'a> {
    /// f32, f16 or bf16.
    Dense(&'a TensorView<'a>),
    /// As GGUF has it.
    Blocks(candle_core::quantized::QTensor),
}

impl Loaded<'_> {
    /// Its values.
    pub(crate) fn tensor(&self) -> candle_core::Result<Tensor> {
        match self {
            Self::Dense(view) => view.load(&Device::Cpu),
            Self::Blocks(blocks) => blocks.dequantize(&Device::Cpu),
        }
    }
}

/// What was found of what a configuration asks for.
struct Wanted<T> {
    shapes: BTreeMap<String, Vec<usize>>,
    found: BTreeMap<String, T>,
}

impl<T> Wanted<T> {
    fn take(
        &mut self,
        path: &Path,
        name: &str,
        shape: &[usize],
        keep: impl FnOnce() -> candle_core::Result<T>,
    ) -> Result<(), ModelError> {
        match self.shapes.remove(name) {
            Some(wanted) if wanted == shape => {
                self.found
                    .insert(name.to_owned(), keep().map_err(|e| problem(path, format!("`{name}`: {e}")))?);
                Ok(())
            }
            Some(wanted) => Err(problem(path, format!("`{name}` has shape {shape:?}, not {wanted:?}"))),
            None if self.found.contains_key(name) => {
                Err(problem(path, format!("`{name}` is in another file already")))
            }
            None if is_derived(name) => Ok(()),
            None => Err(problem(path, format!("`{name}` is not part of the model"))),
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

/// Writes the weights of a model as transformers does: one file, or shards of at most `shard_bytes` with an index.
pub(crate) fn save<'a>(
    dir: &Path,
    tensors: impl Iterator<Item = (&'a String, &'a Tensor)>,
    shard_bytes: usize,
) -> Result<(), ModelError> {
    let shards = shards(tensors, shard_bytes);
    if let [all] = &shards[..] {
        save_file(&dir.join(SINGLE), all.iter().copied())?;
        return remove(&dir.join(INDEX));
    }
    let (mut map, mut total) = (serde_json::Map::new(), 0);
    for (index, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", index + 1, shards.len());
        save_file(&dir.join(&name), shard.iter().copied())?;
        total += shard.iter().map(|(_, tensor)| bytes_of(tensor)).sum::<usize>();
        map.extend(shard.iter().map(|(tensor, _)| ((*tensor).to_owned(), name.clone().into())));
    }
    let index = json!({"metadata": {"total_size": total}, "weight_map": map});
    let text = serde_json::to_string_pretty(&index).expect("invariant: a value is JSON");
    crate::fsio::write_atomic(&dir.join(INDEX), (text + "\n").as_bytes())
        .map_err(|e| problem(&dir.join(INDEX), e.to_string()))?;
    remove(&dir.join(SINGLE))
}

/// Tensors, in order, in as few shards as hold them; a larger tensor is a shard of its own.
fn shards<'a>(
    tensors: impl Iterator<Item = (&'a String, &'a Tensor)>,
    shard_bytes: usize,
) -> Vec<Vec<(&'a str, &'a Tensor)>> {
    let (mut shards, mut size) = (vec![Vec::new()], 0);
    for (name, tensor) in tensors {
        let bytes = bytes_of(tensor);
        if shard_bytes < size + bytes && 0 < size {
            shards.push(Vec::new());
            size = 0;
        }
        size += bytes;
        shards.last_mut().expect("invariant: there is a shard").push((name.as_str(), tensor));
    }
    shards
}

fn bytes_of(tensor: &Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}

fn remove(path: &Path) -> Result<(), ModelError> {
    if path.exists() {
        fs_err::remove_file(path)?;
    }
    Ok(())
}

/// Writes one safetensors file, f32 or bf16; a reader never sees half of it.
pub(crate) fn save_file<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
) -> Result<(), ModelError> {
    let mut buffers = Vec::new();
    for (name, tensor) in tensors {
        let (dtype, bytes) = bytes(tensor)?;
        buffers.push((name, tensor.dims().to_vec(), dtype, bytes));
    }
    let mut views = Vec::with_capacity(buffers.len());
    for (name, shape, dtype, bytes) in &buffers {
        let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| problem(path, e.to_string()))?;
        views.push((*name, view));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| problem(path, e.to_string()))?;
    let half = path.with_extension("safetensors.part");
    fs_err::write(&half, bytes)?;
    fs_err::rename(&half, path)?;
    Ok(())
}

fn bytes(tensor: &Tensor) -> candle_core::Result<(safetensors::Dtype, Vec<u8>)> {
    let tensor = tensor.flatten_all()?.to_device(&Device::Cpu)?;
    if tensor.dtype() == DType::BF16 {
        let values = tensor.to_vec1::<bf16>()?;
        return Ok((safetensors::Dtype::BF16, values.iter().flat_map(|value| value.to_le_bytes()).collect()));
    }
    let values = tensor.to_vec1::<f32>()?;
    Ok((safetensors::Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
}

fn weight_files(dir: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let index = dir.join(INDEX);
    if !index.is_file() {
        let single = dir.join(SINGLE);
        let found = if single.is_file() { Some(single) } else { gguf::only_file(dir)? };
        return found.map(|file| vec![file]).ok_or_else(|| ModelError::NoWeights { dir: dir.to_owned() });
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

/// Whether a tensor follows from others: some checkpoints store the tied head and the rotary frequencies.
fn is_derived(name: &str) -> bool {
    name == HEAD || name.ends_with("rotary_emb.inv_freq")
}

pub(super) fn problem(path: &Path, problem: String) -> ModelError {
    ModelError::Weights { path: path.to_owned(), problem }
}

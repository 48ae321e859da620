//! GGUF files of Qwen models, as llama.cpp writes them: quantised tensors under names of their own.
//!
//! Reads the tensors alone: the shape and the tokenizer come from `config.json` and `tokenizer.json` beside the file.

use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::Content;

use super::error::ModelError;
use super::weights::problem;

/// Whether a file is one, by its name.
pub(crate) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gguf")
}

/// The GGUF file of a directory, if there is one; of several nobody can say which is meant.
pub(crate) fn only_file(dir: &Path) -> Result<Option<PathBuf>, ModelError> {
    if !dir.is_dir() {
        return Ok(None);
    }
    let mut files = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        files.extend(Some(entry?.path()).filter(|path| is_gguf(path)));
    }
    files.sort();
    match &files[..] {
        [first, second, ..] => Err(problem(second, format!("`{}` is there too; keep one", first.display()))),
        _ => Ok(files.pop()),
    }
}

/// Gives each tensor of a file under its Hugging Face name, in the order of GGUF's names.
pub(crate) fn read(
    path: &Path,
    mut give: impl FnMut(&str, QTensor) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let mut file = std::io::BufReader::new(fs_err::File::open(path)?);
    let content = Content::read(&mut file).map_err(|e| problem(path, e.to_string()))?;
    let mut names: Vec<&String> = content.tensor_infos.keys().collect();
    names.sort();
    for name in names {
        let tensor = content.tensor(&mut file, name, &Device::Cpu);
        let tensor = tensor.map_err(|e| problem(path, format!("`{name}`: {e}")))?;
        give(&hugging_face_name(name), tensor)?;
    }
    Ok(())
}

/// A tensor's Hugging Face name; one that is unknown stays, and the reader of the model refuses it.
fn hugging_face_name(name: &str) -> String {
    let whole = match name {
        "token_embd.weight" => Some("model.embed_tokens.weight"),
        "output_norm.weight" => Some("model.norm.weight"),
        "output.weight" => Some("lm_head.weight"),
        _ => None,
    };
    if let Some(whole) = whole {
        return whole.to_owned();
    }
    let parts = name.strip_prefix("blk.").and_then(|rest| {
        let (layer, rest) = rest.split_once('.')?;
        let (module, kind) = rest.rsplit_once('.')?;
        Some((layer, MODULES.iter().find(|(theirs, _)| *theirs == module)?.1, kind))
    });
    match parts {
        Some((layer, module, kind)) => format!("model.layers.{layer}.{module}.{kind}"),
        None => name.to_owned(),
    }
}

/// GGUF's names of a layer's modules, and Hugging Face's.
const MODULES: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

//! The parameters of a network as fields, whatever they hold: weights to read, gradients to fill.

use std::collections::BTreeMap;

use crate::model::config::{Architecture, EMBEDDING, FINAL_NORM, HEAD, QwenConfig};

/// All parameters.
#[derive(Debug)]
pub(crate) struct Parameters<T> {
    pub(crate) embedding: T,
    pub(crate) layers: Vec<Layer<T>>,
    pub(crate) norm: T,
    /// `None` when the head is the embedding.
    pub(crate) head: Option<T>,
}

/// One layer's parameters.
#[derive(Debug)]
pub(crate) struct Layer<T> {
    pub(crate) input_norm: T,
    /// Query, key and value projections.
    pub(crate) projections: [T; 3],
    /// Their biases (Qwen2).
    pub(crate) biases: Option<[T; 3]>,
    /// The norms of query and key heads (Qwen3).
    pub(crate) head_norms: Option<[T; 2]>,
    pub(crate) output: T,
    pub(crate) middle_norm: T,
    pub(crate) gate: T,
    pub(crate) up: T,
    pub(crate) down: T,
}

impl<T> Parameters<T> {
    /// The same fields with other values.
    pub(crate) fn map<'s, U>(&'s self, mut f: impl FnMut(&'s T) -> U) -> Parameters<U> {
        Parameters {
            embedding: f(&self.embedding),
            layers: self.layers.iter().map(|layer| layer.map(&mut f)).collect(),
            norm: f(&self.norm),
            head: self.head.as_ref().map(&mut f),
        }
    }

    /// Asks for every parameter by its Hugging Face name.
    pub(crate) fn build(config: &QwenConfig, mut get: impl FnMut(&str) -> T) -> Self {
        Self {
            embedding: get(EMBEDDING),
            layers: (0..config.layers).map(|layer| Layer::build(config, layer, &mut get)).collect(),
            norm: get(FINAL_NORM),
            head: (!config.tied).then(|| get(HEAD)),
        }
    }

    /// Every parameter under its Hugging Face name.
    pub(crate) fn named(self) -> BTreeMap<String, T> {
        let mut all =
            BTreeMap::from([(EMBEDDING.to_owned(), self.embedding), (FINAL_NORM.to_owned(), self.norm)]);
        all.extend(self.head.map(|head| (HEAD.to_owned(), head)));
        for (index, layer) in self.layers.into_iter().enumerate() {
            let prefix = format!("model.layers.{index}");
            all.extend(layer.named().into_iter().map(|(name, value)| (format!("{prefix}.{name}"), value)));
        }
        all
    }
}

impl<T> Layer<T> {
    /// The same fields with other values.
    pub(crate) fn map<'s, U>(&'s self, mut f: impl FnMut(&'s T) -> U) -> Layer<U> {
        Layer {
            input_norm: f(&self.input_norm),
            projections: self.projections.each_ref().map(&mut f),
            biases: self.biases.as_ref().map(|biases| biases.each_ref().map(&mut f)),
            head_norms: self.head_norms.as_ref().map(|norms| norms.each_ref().map(&mut f)),
            output: f(&self.output),
            middle_norm: f(&self.middle_norm),
            gate: f(&self.gate),
            up: f(&self.up),
            down: f(&self.down),
        }
    }

    fn build(config: &QwenConfig, index: usize, get: &mut impl FnMut(&str) -> T) -> Self {
        let mut get = |name: &str| get(&format!("model.layers.{index}.{name}"));
        let qwen2 = config.architecture == Architecture::Qwen2;
        Self {
            input_norm: get(INPUT_NORM),
            projections: PROJECTIONS.map(&mut get),
            biases: qwen2.then(|| BIASES.map(&mut get)),
            head_norms: (!qwen2).then(|| HEAD_NORMS.map(&mut get)),
            output: get(OUTPUT),
            middle_norm: get(MIDDLE_NORM),
            gate: get(GATE),
            up: get(UP),
            down: get(DOWN),
        }
    }

    fn named(self) -> Vec<(&'static str, T)> {
        let mut all = vec![
            (INPUT_NORM, self.input_norm),
            (OUTPUT, self.output),
            (MIDDLE_NORM, self.middle_norm),
            (GATE, self.gate),
            (UP, self.up),
            (DOWN, self.down),
        ];
        all.extend(PROJECTIONS.into_iter().zip(self.projections));
        all.extend(self.biases.into_iter().flat_map(|biases| BIASES.into_iter().zip(biases)));
        all.extend(self.head_norms.into_iter().flat_map(|norms| HEAD_NORMS.into_iter().zip(norms)));
        all
    }
}

const INPUT_NORM: &str = "input_layernorm.weight";
const PROJECTIONS: [&str; 3] =
    ["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"];
const BIASES: [&str; 3] = ["self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"];
const HEAD_NORMS: [&str; 2] = ["self_attn.q_norm.weight", "self_attn.k_norm.weight"];
const OUTPUT: &str = "self_attn.o_proj.weight";
const MIDDLE_NORM: &str = "post_attention_layernorm.weight";
const GATE: &str = "mlp.gate_proj.weight";
const UP: &str = "mlp.up_proj.weight";
const DOWN: &str = "mlp.down_proj.weight";

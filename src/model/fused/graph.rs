//! The fused pass as part of the tensor library's graph.
//!
//! An operation there has at most three inputs, but the log-probabilities have every parameter. So a
//! chain of joints ties all parameters to one scalar, from which the log-probabilities are made. On the way back
//! the last operation computes all gradients, and each joint hands two of them out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp3, Device, Layout, Result, Shape, Storage, Tensor, Var, bail,
};

use super::Tape;
use super::head::Query;
use super::parameters::Parameters;
use crate::model::config::QwenConfig;
use crate::model::network::Network;
use crate::model::tree::Packed;

/// The log-probability of `targets[i]` after row `rows[i]`, with graph.
pub(crate) fn logprobs(
    network: &Network,
    packed: &Packed,
    rows: &[u32],
    targets: &[u32],
    temperature: f64,
) -> Result<Tensor> {
    let inverse_temperature = temperature.recip() as f32;
    let (tape, (logprobs, normalizers)) = with_weights(network, |weights| {
        let tape = super::forward(network.config(), weights, packed);
        let query = Query { rows, targets, inverse_temperature };
        let answer = weights.head(network.config()).forward(tape.hidden(), &query);
        (tape, answer)
    })?;
    let gradients = Gradients::default();
    let joint = join(network.vars(), &gradients)?;
    joint.apply_op1(Logprobs {
        network: network.clone(),
        packed: packed.clone(),
        rows: rows.to_vec(),
        targets: targets.to_vec(),
        inverse_temperature,
        tape,
        logprobs,
        normalizers,
        gradients,
    })
}

/// The logits after each row, without graph.
pub(crate) fn logits(network: &Network, packed: &Packed, rows: &[u32]) -> Result<Tensor> {
    let config = network.config();
    let logits = with_weights(network, |weights| {
        let head = weights.head(config);
        let normed = head.normed(&super::prefill(config, weights, packed).hidden, rows);
        let mut logits = Vec::new();
        head.logits(&normed, 0..config.vocab_size, 1.0, &mut logits);
        logits
    })?;
    Tensor::from_vec(logits, (rows.len(), config.vocab_size), &Device::Cpu)
}

/// Calls `f` with the values of all parameters, which stay locked meanwhile.
pub(crate) fn with_weights<R>(network: &Network, f: impl FnOnce(&Parameters<&[f32]>) -> R) -> Result<R> {
    let mut guards = BTreeMap::new();
    for (name, var) in network.vars() {
        guards.insert(name.as_str(), var.as_tensor().storage_and_layout());
    }
    let mut values = BTreeMap::new();
    for (name, (storage, layout)) in &guards {
        let Storage::Cpu(storage) = &**storage else { bail!("`{name}` is not on the CPU") };
        values.insert(*name, contiguous(storage, layout)?);
    }
    Ok(f(&Parameters::build(network.config(), |name| values[name])))
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a tensor is not contiguous") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Gradients that wait to be handed out, by the parameters' names.
#[derive(Debug, Clone, Default)]
struct Gradients(Arc<Mutex<BTreeMap<String, Vec<f32>>>>);

impl Gradients {
    fn put(&self, all: BTreeMap<String, Vec<f32>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    fn take(&self, name: &str, like: &Tensor) -> Result<Tensor> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        let Some(values) = taken else { bail!("the gradient of `{name}` was asked for twice") };
        Tensor::from_vec(values, like.shape(), &Device::Cpu)
    }
}

fn join(vars: &BTreeMap<String, Var>, gradients: &Gradients) -> Result<Tensor> {
    let vars: Vec<(&String, &Var)> = vars.iter().collect();
    let mut joint = Tensor::zeros((), candle_core::DType::F32, &Device::Cpu)?;
    for pair in vars.chunks(2) {
        let (first, second) = (pair[0], *pair.last().expect("invariant: a chunk is not empty"));
        let names = (first.0.clone(), (pair.len() == 2).then(|| second.0.clone()));
        joint = joint.apply_op3(first.1, second.1, Joint { names, gradients: gradients.clone() })?;
    }
    Ok(joint)
}

/// A scalar that depends on two parameters (or one, named once) and the joint before it.
struct Joint {
    names: (String, Option<String>),
    gradients: Gradients,
}

type Three = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl CustomOp3 for Joint {
    fn name(&self) -> &'static str {
        "joint"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, joint: &Tensor, first: &Tensor, second: &Tensor, _: &Tensor, _: &Tensor) -> Result<Three> {
        let first = self.gradients.take(&self.names.0, first)?;
        let second = self.names.1.as_ref().map(|name| self.gradients.take(name, second)).transpose()?;
        Ok((Some(joint.zeros_like()?), Some(first), second))
    }
}

/// The log-probabilities, computed before the operation is made.
struct Logprobs {
    network: Network,
    packed: Packed,
    rows: Vec<u32>,
    targets: Vec<u32>,
    inverse_temperature: f32,
    tape: Tape,
    logprobs: Vec<f32>,
    normalizers: Vec<f32>,
    gradients: Gradients,
}

impl CustomOp1 for Logprobs {
    fn name(&self) -> &'static str {
        "logprobs"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.logprobs.clone()), Shape::from(self.logprobs.len())))
    }

    fn bwd(&self, joint: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let config: &QwenConfig = self.network.config();
        let query =
            Query { rows: &self.rows, targets: &self.targets, inverse_temperature: self.inverse_temperature };
        let upstream = upstream.flatten_all()?.to_vec1::<f32>()?;
        let gradients = with_weights(&self.network, |weights| {
            self.tape.backward((config, weights), &self.packed, &query, (&self.normalizers, &upstream))
        })?;
        self.gradients.put(gradients.named());
        Ok(Some(joint.zeros_like()?))
    }
}

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
use super::gradient::Gradient;
use super::head::Query;
use super::parameters::Parameters;
use super::weight::{Factors, Role, Values, Weight};
use crate::model::config::QwenConfig;
use crate::model::network::Network;
use crate::model::precision::Frozen;
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
    let (tape, (answers, normalizers)) = with_weights(network, |weights| {
        let tape = super::forward(network.config(), weights, packed, network.activations());
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
        answers,
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

/// Calls `f` with all parameters, which stay locked meanwhile.
pub(crate) fn with_weights<R>(network: &Network, f: impl FnOnce(&Parameters<Weight<'_>>) -> R) -> Result<R> {
    let mut guards = BTreeMap::new();
    for (name, var) in network.vars() {
        guards.insert(name.as_str(), var.as_tensor().storage_and_layout());
    }
    for (name, frozen) in network.frozen() {
        if let Frozen::Dense(tensor) = frozen {
            guards.insert(name.as_str(), tensor.storage_and_layout());
        }
    }
    let mut values = BTreeMap::new();
    for (name, (storage, layout)) in &guards {
        let Storage::Cpu(storage) = &**storage else { bail!("`{name}` is not on the CPU") };
        values.insert(*name, contiguous(storage, layout)?);
    }
    for (name, frozen) in network.frozen() {
        if let Frozen::Blocks(blocks) = frozen {
            values.insert(name.as_str(), Values::Blocks(blocks));
        }
    }
    let weight = |name: &str| Weight { values: values[name], role: role(network, &values, name) };
    Ok(f(&Parameters::build(network.config(), weight)))
}

fn role<'a>(network: &Network, values: &BTreeMap<&str, Values<'a>>, name: &str) -> Role<'a> {
    let Some(lora) = network.adapter() else {
        return if network.vars().contains_key(name) { Role::Trained } else { Role::Frozen };
    };
    let Some([a, b]) = lora.factors(name) else { return Role::Frozen };
    let (Values::F32(a), Values::F32(b)) = (values[a.as_str()], values[b.as_str()]) else {
        unreachable!("invariant: an adapter's factors are f32")
    };
    Role::Adapted(Factors { a, b, rank: lora.rank, scale: lora.scale() as f32 })
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Values<'a>> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a tensor is not contiguous") };
    match storage {
        CpuStorage::F32(values) => Ok(Values::F32(&values[start..end])),
        CpuStorage::BF16(values) => Ok(Values::Bf16(&values[start..end])),
        _ => bail!("a weight is neither f32 nor bf16"),
    }
}

/// The gradients by the names of the variables that they are of.
fn by_variable(network: &Network, gradients: Parameters<Gradient<'_>>) -> BTreeMap<String, Vec<f32>> {
    let mut all = BTreeMap::new();
    for (name, gradient) in gradients.named() {
        match gradient {
            Gradient::None => {}
            Gradient::Whole(values) => {
                all.insert(name, values);
            }
            Gradient::Factors { a, b, .. } => {
                let names = network.adapter().and_then(|lora| lora.factors(&name));
                let [a_name, b_name] = names.expect("invariant: a parameter with factors has their names");
                all.extend([(a_name, a), (b_name, b)]);
            }
        }
    }
    all
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
        // The graph adds gradients up in the variable's own precision.
        Tensor::from_vec(values, like.shape(), &Device::Cpu)?.to_dtype(like.dtype())
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
    answers: Vec<f32>,
    normalizers: Vec<f32>,
    gradients: Gradients,
}

impl CustomOp1 for Logprobs {
    fn name(&self) -> &'static str {
        "logprobs"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.answers.clone()), Shape::from(self.answers.len())))
    }

    fn bwd(&self, joint: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let config: &QwenConfig = self.network.config();
        let query =
            Query { rows: &self.rows, targets: &self.targets, inverse_temperature: self.inverse_temperature };
        let upstream = upstream.flatten_all()?.to_vec1::<f32>()?;
        with_weights(&self.network, |weights| {
            let upstream = (&self.normalizers[..], &upstream[..]);
            let gradients = self.tape.backward((config, weights), &self.packed, &query, upstream);
            self.gradients.put(by_variable(&self.network, gradients));
        })?;
        Ok(Some(joint.zeros_like()?))
    }
}

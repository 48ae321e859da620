//! AdamW with decoupled weight decay, as PyTorch computes it.
//!
//! Moments are f32, and so are the weights it works on: a model of lower precision keeps an f32 copy here, for
//! at a learning rate of 1e-6 a bf16 weight never moves. On the CPU weights change in place. Guarantees that a
//! missing gradient is an error; decays matrices only, not norms and biases.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{CpuStorage, DType, InplaceOp2, InplaceOp3, Layout, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::gradients::Gradients;

/// AdamW's constants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Share of a matrix that a rate of 1 takes away.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

/// The optimizer's state.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    updates: u64,
    state: BTreeMap<String, State>,
}

#[derive(Debug)]
struct State {
    /// The f32 weight where the parameter has lower precision.
    master: Option<Tensor>,
    first: Tensor,
    second: Tensor,
}

/// What one update does to every parameter.
#[derive(Debug, Clone, Copy)]
struct Stride {
    config: AdamWConfig,
    grad_scale: f64,
    rate: f64,
    /// 1 − β₁ᵗ.
    correction1: f64,
    /// 1 − β₂ᵗ.
    correction2: f64,
}

impl AdamW {
    /// An optimizer for these parameters that made no update yet.
    ///
    /// # Errors
    /// When the device has no memory for the moments.
    pub fn new(config: AdamWConfig, vars: &BTreeMap<String, Var>) -> Result<Self> {
        let mut state = BTreeMap::new();
        for (name, var) in vars {
            let master = match var.dtype() {
                DType::F32 => None,
                _ => Some(var.to_dtype(DType::F32)?),
            };
            let zeros = || Tensor::zeros(var.shape(), DType::F32, var.device());
            state.insert(name.clone(), State { master, first: zeros()?, second: zeros()? });
        }
        Ok(Self { config, updates: 0, state })
    }

    /// Updates every parameter with its gradient times `grad_scale` at the learning rate `rate`.
    ///
    /// # Errors
    /// When a parameter has no gradient.
    pub fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        gradients: &Gradients,
        grad_scale: f64,
        rate: f64,
    ) -> Result<()> {
        self.updates += 1;
        let power = |beta: f64| 1.0 - beta.powf(self.updates as f64);
        let (correction1, correction2) = (power(self.config.beta1), power(self.config.beta2));
        let stride = Stride { config: self.config, grad_scale, rate, correction1, correction2 };
        for (name, var) in vars {
            let state = self.state.get_mut(name);
            let state = state.with_context(|| format!("parameter `{name}` is unknown to the optimizer"))?;
            stride.take(var, state, gradients.of(name)?)?;
        }
        Ok(())
    }

    /// Writes the moments, and the f32 weights where there are any.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut tensors = HashMap::new();
        for (name, state) in &self.state {
            tensors.insert(format!("first.{name}"), state.first.clone());
            tensors.insert(format!("second.{name}"), state.second.clone());
            if let Some(master) = &state.master {
                tensors.insert(format!("master.{name}"), master.clone());
            }
        }
        let updates = Tensor::new(&[u32::try_from(self.updates)?], &candle_core::Device::Cpu)?;
        tensors.insert("updates".to_owned(), updates);
        candle_core::safetensors::save(&tensors, path)
            .with_context(|| format!("could not write `{}`", path.display()))
    }

    /// Reads what [`Self::save`] wrote for these parameters.
    ///
    /// # Errors
    /// When the file is damaged or belongs to another model.
    pub fn load(config: AdamWConfig, vars: &BTreeMap<String, Var>, path: &Path) -> Result<Self> {
        let mut adamw = Self::new(config, vars)?;
        // Read on the CPU and moved one by one, so that the device never holds the moments twice.
        let mut tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu)
            .with_context(|| format!("could not read `{}`", path.display()))?;
        let mut taken = |key: String, like: &Tensor| -> Result<Tensor> {
            let tensor =
                tensors.remove(&key).with_context(|| format!("`{}` has no `{key}`", path.display()))?;
            anyhow::ensure!(
                tensor.shape() == like.shape(),
                "`{}`: `{key}` has another shape",
                path.display()
            );
            Ok(tensor.to_device(like.device())?)
        };
        for (name, state) in &mut adamw.state {
            state.first = taken(format!("first.{name}"), &state.first)?;
            state.second = taken(format!("second.{name}"), &state.second)?;
            if let Some(master) = &mut state.master {
                *master = taken(format!("master.{name}"), master)?;
            }
        }
        let updates =
            tensors.remove("updates").with_context(|| format!("`{}` has no `updates`", path.display()))?;
        adamw.updates = u64::from(updates.to_vec1::<u32>()?[0]);
        Ok(adamw)
    }
}

impl Stride {
    fn take(&self, var: &Var, state: &mut State, grad: &Tensor) -> Result<()> {
        let weight = state.master.as_ref().unwrap_or(var.as_tensor()).clone();
        if var.device().is_cpu() {
            self.take_in_place(&weight, state, grad)?;
        } else {
            self.take_anew(&weight, state, grad)?;
        }
        if state.master.is_some() {
            var.set(&weight.to_dtype(var.dtype())?)?;
        }
        Ok(())
    }

    fn take_in_place(&self, weight: &Tensor, state: &State, grad: &Tensor) -> candle_core::Result<()> {
        let scale = self.grad_scale as f32;
        let value = |grad: f32, scale: f32| grad * scale;
        state.first.inplace_op2(grad, &Blend { keep: self.config.beta1, of: value, scale })?;
        let square = |grad: f32, scale: f32| (grad * scale) * (grad * scale);
        state.second.inplace_op2(grad, &Blend { keep: self.config.beta2, of: square, scale })?;
        let descend = Descend {
            decay: self.decay(weight) as f32,
            rate: (self.rate / self.correction1) as f32,
            root: (1.0 / self.correction2.sqrt()) as f32,
            epsilon: self.config.epsilon as f32,
        };
        weight.inplace_op3(&state.first, &state.second, &descend)
    }

    /// The same arithmetic in whole-tensor operations, for devices other than the CPU.
    fn take_anew(&self, weight: &Tensor, state: &mut State, grad: &Tensor) -> candle_core::Result<()> {
        let (beta1, beta2) = (self.config.beta1, self.config.beta2);
        let grad = (grad * self.grad_scale)?;
        state.first = ((&state.first * beta1)? + (&grad * (1.0 - beta1))?)?;
        state.second = ((&state.second * beta2)? + (grad.sqr()? * (1.0 - beta2))?)?;
        let root = ((state.second.sqrt()? / self.correction2.sqrt())? + self.config.epsilon)?;
        let step = ((&state.first / root)? * (self.rate / self.correction1))?;
        weight.slice_set(&((weight * self.decay(weight))? - step)?, 0, 0)
    }

    /// What a weight is multiplied with before its step.
    fn decay(&self, weight: &Tensor) -> f64 {
        if weight.rank() < 2 { 1.0 } else { 1.0 - self.rate * self.config.weight_decay }
    }
}

/// moment ← keep · moment + (1 − keep) · of(gradient, scale)
struct Blend {
    keep: f64,
    of: fn(f32, f32) -> f32,
    scale: f32,
}

impl InplaceOp2 for Blend {
    fn name(&self) -> &'static str {
        "adamw-blend"
    }

    fn cpu_fwd(
        &self,
        moment: &mut CpuStorage,
        moment_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> candle_core::Result<()> {
        // Subtracted in f64: 1 − 0.999 in f32 is off by 5·10⁻⁵ of itself.
        let (keep, add) = (self.keep as f32, (1.0 - self.keep) as f32);
        let moment = floats_mut(moment, moment_layout)?;
        for (moment, grad) in moment.iter_mut().zip(floats(grad, grad_layout)?) {
            *moment = keep * *moment + add * (self.of)(*grad, self.scale);
        }
        Ok(())
    }
}

/// weight ← decay · weight − rate · first / (root · √second + epsilon)
struct Descend {
    decay: f32,
    rate: f32,
    root: f32,
    epsilon: f32,
}

impl InplaceOp3 for Descend {
    fn name(&self) -> &'static str {
        "adamw-descend"
    }

    fn cpu_fwd(
        &self,
        weight: &mut CpuStorage,
        weight_layout: &Layout,
        first: &CpuStorage,
        first_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
    ) -> candle_core::Result<()> {
        let weight = floats_mut(weight, weight_layout)?;
        let moments = floats(first, first_layout)?.iter().zip(floats(second, second_layout)?);
        for (weight, (first, second)) in weight.iter_mut().zip(moments) {
            let step = self.rate * first / (self.root * second.sqrt() + self.epsilon);
            *weight = self.decay * *weight - step;
        }
        Ok(())
    }
}

fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => candle_core::bail!("the optimizer works on contiguous f32 tensors"),
    }
}

fn floats_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> candle_core::Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => candle_core::bail!("the optimizer works on contiguous f32 tensors"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const CONFIG: AdamWConfig = AdamWConfig { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };

    fn one(values: &Tensor) -> BTreeMap<String, Var> {
        BTreeMap::from([("weight".to_owned(), Var::from_tensor(values).unwrap())])
    }

    /// The gradient of ½·w² is w.
    fn gradients(vars: &BTreeMap<String, Var>) -> Gradients {
        let weight = vars["weight"].to_dtype(DType::F32).unwrap();
        let loss = (weight.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap();
        let mut gradients = Gradients::default();
        gradients.add(vars, loss.backward().unwrap()).unwrap();
        gradients
    }

    #[test]
    fn updates_match_golden() {
        // PyTorch's rule in f64:
        //   for w in (1.0, -0.5):
        //       m = v = 0
        //       for t in 1, 2, 3:
        //           g = w; w *= 1 - 0.1 * 0.1
        //           m = 0.9 * m + 0.1 * g; v = 0.999 * v + 0.001 * g * g
        //           w -= 0.1 * m / (1 - 0.9**t) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        let golden = [[0.890000001, -0.395000002], [0.781571857, -0.292338706], [0.675101223, -0.193415607]];
        let vars = one(&Tensor::new(&[[1.0f32, -0.5]], &Device::Cpu).unwrap());
        let mut adamw = AdamW::new(CONFIG, &vars).unwrap();
        for expected in golden {
            let gradients = gradients(&vars);
            adamw.step(&vars, &gradients, 1.0, 0.1).unwrap();
            let weight = vars["weight"].to_vec2::<f32>().unwrap()[0].clone();
            for (ours, expected) in weight.iter().zip(expected) {
                assert!((ours - expected).abs() < 1e-6, "{weight:?} and {expected:?}");
            }
        }
    }

    #[test]
    fn whole_tensor_updates_equal_those_in_place() {
        let values = Tensor::new(&[[1.0f32, -0.5, 3.0]], &Device::Cpu).unwrap();
        let (here, there) = (one(&values), one(&values));
        let mut states = [AdamW::new(CONFIG, &here).unwrap(), AdamW::new(CONFIG, &there).unwrap()];
        for update in 1..=3 {
            let (correction1, correction2) = (1.0 - 0.9f64.powi(update), 1.0 - 0.999f64.powi(update));
            let stride = Stride { config: CONFIG, grad_scale: 0.5, rate: 0.1, correction1, correction2 };
            let [in_place, anew] = &mut states;
            let state = in_place.state.get_mut("weight").unwrap();
            let grad = gradients(&here);
            stride.take_in_place(here["weight"].as_tensor(), state, grad.of("weight").unwrap()).unwrap();
            let state = anew.state.get_mut("weight").unwrap();
            let grad = gradients(&there);
            stride.take_anew(there["weight"].as_tensor(), state, grad.of("weight").unwrap()).unwrap();
        }
        let difference = (here["weight"].as_tensor() - there["weight"].as_tensor()).unwrap();
        assert!(difference.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-6);
    }

    #[test]
    fn bf16_weights_move_at_small_rates() {
        let vars = one(&Tensor::new(&[[0.5f32]], &Device::Cpu).unwrap().to_dtype(DType::BF16).unwrap());
        let mut adamw = AdamW::new(AdamWConfig { weight_decay: 0.0, ..CONFIG }, &vars).unwrap();
        for _ in 0..1000 {
            let gradients = gradients(&vars);
            adamw.step(&vars, &gradients, 1.0, 1e-5).unwrap();
        }
        let weight = vars["weight"].to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap()[0][0];
        assert!((weight - 0.49).abs() < 2e-3, "{weight}");
    }

    #[test]
    fn biases_do_not_decay() {
        let vars = one(&Tensor::new(&[0.0f32, 2.0], &Device::Cpu).unwrap());
        let mut adamw = AdamW::new(CONFIG, &vars).unwrap();
        adamw.step(&vars, &gradients(&vars), 0.0, 0.1).unwrap();
        assert_eq!(vars["weight"].to_vec1::<f32>().unwrap(), [0.0, 2.0]);
    }

    #[test]
    fn a_saved_optimizer_goes_on_as_if_never_saved() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let start = Tensor::new(&[[1.0f32, -0.5]], &Device::Cpu).unwrap();
        let (whole, parted) = (one(&start), one(&start));
        let mut unbroken = AdamW::new(CONFIG, &whole).unwrap();
        let mut broken = AdamW::new(CONFIG, &parted).unwrap();
        for update in 0..4 {
            if update == 2 {
                broken.save(file.path()).unwrap();
                broken = AdamW::load(CONFIG, &parted, file.path()).unwrap();
            }
            unbroken.step(&whole, &gradients(&whole), 1.0, 0.1).unwrap();
            broken.step(&parted, &gradients(&parted), 1.0, 0.1).unwrap();
        }
        let values = |vars: &BTreeMap<String, Var>| vars["weight"].to_vec2::<f32>().unwrap();
        assert_eq!(values(&whole), values(&parted));
    }
}

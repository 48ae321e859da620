//! Gradients by parameter name: summed over micro-batches, measured, clipped.
//!
//! Guarantees that every trainable parameter is present and finite, or an error names it. Does not update
//! weights: `adamw` does.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};

/// Why an update must not happen.
#[derive(Debug, thiserror::Error)]
pub enum GradientError {
    /// The loss does not reach the parameter: an operation without derivative lies between.
    #[error("parameter `{0}` received no gradient")]
    Missing(String),
    /// The gradient is infinite or not a number.
    #[error("the gradient of parameter `{0}` is not finite")]
    NotFinite(String),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
}

/// The gradient of every trainable parameter, in f32.
#[derive(Debug, Default)]
pub struct Gradients {
    by_name: BTreeMap<String, Tensor>,
}

impl Gradients {
    /// Adds the gradients of one backward pass.
    ///
    /// # Errors
    /// When a parameter received none.
    pub fn add(&mut self, vars: &BTreeMap<String, Var>, mut grads: GradStore) -> Result<(), GradientError> {
        for (name, var) in vars {
            let grad = grads.remove(var).ok_or_else(|| GradientError::Missing(name.clone()))?;
            let grad = grad.to_dtype(DType::F32)?;
            let sum = match self.by_name.remove(name) {
                Some(sum) => (sum + grad)?,
                None => grad.contiguous()?,
            };
            self.by_name.insert(name.clone(), sum);
        }
        Ok(())
    }

    /// The Euclidean norm over all parameters.
    ///
    /// # Errors
    /// When a gradient is not finite.
    pub fn norm(&self) -> Result<f64, GradientError> {
        let mut squares = 0.0;
        for (name, grad) in &self.by_name {
            let square = f64::from(grad.sqr()?.sum_all()?.to_scalar::<f32>()?);
            if !square.is_finite() {
                return Err(GradientError::NotFinite(name.clone()));
            }
            squares += square;
        }
        Ok(squares.sqrt())
    }

    /// The gradient of a parameter.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(&self, name: &str) -> Result<&Tensor, GradientError> {
        self.by_name.get(name).ok_or_else(|| GradientError::Missing(name.to_owned()))
    }
}

/// What gradients of this norm are multiplied with, so that their norm is at most `max_norm`.
pub fn clip_scale(norm: f64, max_norm: f64) -> f64 {
    // PyTorch's `clip_grad_norm_` has the same guard against a norm of zero.
    (max_norm / (norm + 1e-6)).min(1.0)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn vars(names: &[&str]) -> BTreeMap<String, Var> {
        let var = |_: &&str| Var::new(&[3.0f32, 4.0], &Device::Cpu).unwrap();
        names.iter().map(|name| ((*name).to_owned(), var(name))).collect()
    }

    #[test]
    fn a_parameter_without_gradient_is_named() {
        let vars = vars(&["used", "unused"]);
        let loss = vars["used"].sqr().unwrap().sum_all().unwrap();
        let error = Gradients::default().add(&vars, loss.backward().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "parameter `unused` received no gradient");
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_named() {
        let vars = vars(&["weight"]);
        let loss = (vars["weight"].sum_all().unwrap() * f64::INFINITY).unwrap();
        let mut gradients = Gradients::default();
        gradients.add(&vars, loss.backward().unwrap()).unwrap();
        let error = gradients.norm().unwrap_err();
        assert_eq!(error.to_string(), "the gradient of parameter `weight` is not finite");
    }

    #[test]
    fn passes_add_up() {
        let vars = vars(&["weight"]);
        let mut gradients = Gradients::default();
        for _ in 0..2 {
            let loss = (vars["weight"].sqr().unwrap().sum_all().unwrap() * 0.5).unwrap();
            gradients.add(&vars, loss.backward().unwrap()).unwrap();
        }
        assert_eq!(gradients.norm().unwrap(), 10.0); // Twice (3, 4).
    }

    #[test]
    fn only_long_gradients_are_scaled() {
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
        assert!((clip_scale(4.0, 1.0) - 0.25).abs() < 1e-6);
    }
}

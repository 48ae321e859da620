//! Learning rates over the course of a training.
//!
//! Time is the share of the budget that is used, so that a schedule fits updates, epochs and compute alike.

use serde::{Deserialize, Serialize};

/// A learning rate that changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// The highest learning rate.
    pub rate: f64,
    /// What follows the warm-up.
    pub shape: Shape,
    /// The share of the training that it takes to reach the highest rate.
    pub warm_up: f64,
}

/// How a learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Not at all.
    #[default]
    Constant,
    /// Evenly, to zero.
    Linear,
    /// Along half a cosine, to zero.
    Cosine,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { rate: 5e-7, shape: Shape::Constant, warm_up: 0.0 }
    }
}

/// The share of the rate that a warm-up begins with: at zero the first update would be wasted.
const FIRST: f64 = 0.01;

impl Schedule {
    /// The learning rate after the share `progress` of the training, from 0 to 1.
    pub fn at(&self, progress: f64) -> f64 {
        if progress < self.warm_up {
            return self.rate * (progress / self.warm_up).max(FIRST);
        }
        let rest = ((progress - self.warm_up) / (1.0 - self.warm_up).max(f64::EPSILON)).clamp(0.0, 1.0);
        self.rate
            * match self.shape {
                Shape::Constant => 1.0,
                Shape::Linear => 1.0 - rest,
                Shape::Cosine => f64::midpoint(1.0, (std::f64::consts::PI * rest).cos()),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_rates(schedule: Schedule, expected: &[(f64, f64)]) {
        for &(progress, rate) in expected {
            assert!((schedule.at(progress) - rate).abs() < 1e-12, "{schedule:?} at {progress}");
        }
    }

    #[test]
    fn rates_rise_to_the_highest_and_fall_to_zero() {
        let warm = Schedule { rate: 2.0, shape: Shape::Linear, warm_up: 0.5 };
        assert_rates(warm, &[(0.0, 0.02), (0.25, 1.0), (0.5, 2.0), (0.75, 1.0), (1.0, 0.0)]);
        let cosine = Schedule { rate: 2.0, shape: Shape::Cosine, warm_up: 0.0 };
        assert_rates(cosine, &[(0.0, 2.0), (0.5, 1.0), (1.0, 0.0), (1.5, 0.0)]);
        let constant = Schedule { rate: 2.0, shape: Shape::Constant, warm_up: 0.0 };
        assert_rates(constant, &[(0.0, 2.0), (1.0, 2.0)]);
    }
}

//! Axes: the range that holds some values, and round numbers in it.

/// The range of an axis and where its ticks are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) step: f64,
}

/// How far an axis reaches beyond its values.
#[derive(Clone, Copy)]
pub(super) enum Snap {
    /// To the values themselves.
    Ends,
    /// To the next tick.
    Ticks,
}

impl Axis {
    pub(super) fn over(values: impl Iterator<Item = f64>, snap: Snap) -> Self {
        let (mut low, mut high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if high < low {
            (low, high) = (0.0, 1.0);
        }
        if high - low < 1e-12 * high.abs().max(1e-12) {
            // Most of what is drawn cannot be below zero.
            (low, high) = match low {
                0.0 => (0.0, 1.0),
                _ => (low - 0.5 * low.abs(), high + 0.5 * low.abs()),
            };
        }
        // A distance to zero that is not shown makes small changes look large.
        if matches!(snap, Snap::Ticks) && 0.0 < low && low < 0.5 * high {
            low = 0.0;
        }
        let step = nice_step((high - low) / 5.0);
        match snap {
            Snap::Ends => Self { low, high, step },
            Snap::Ticks => Self {
                low: (low / step + 1e-9).floor() * step,
                high: (high / step - 1e-9).ceil() * step,
                step,
            },
        }
    }

    pub(super) fn place(&self, value: f64, from: f64, to: f64) -> f64 {
        from + (value - self.low) / (self.high - self.low) * (to - from)
    }

    pub(super) fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step - 1e-9).ceil() as i64;
        let last = (self.high / self.step + 1e-9).floor() as i64;
        (first..=last).map(|tick| tick as f64 * self.step).collect()
    }

    pub(super) fn label(&self, tick: f64) -> String {
        if tick == 0.0 {
            return "0".to_owned();
        }
        if self.step < 1e-4 || 1e6 <= tick.abs() {
            return format!("{tick:.1e}").replace(".0e", "e");
        }
        let digits = (-self.step.log10().floor()).max(0.0) as usize;
        format!("{tick:.digits$}")
    }
}

/// The least of 1, 2, 5 times a power of ten that is at least `rough`.
fn nice_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| rough <= factor * power * (1.0 + 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(values: &[f64]) -> Vec<String> {
        let axis = Axis::over(values.iter().copied(), Snap::Ticks);
        axis.ticks().into_iter().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_numbers_that_hold_the_values() {
        assert_eq!(axis(&[0.13, 0.93]), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(axis(&[-1.0, 1.0]), ["-1.0", "-0.5", "0", "0.5", "1.0"]);
        assert_eq!(axis(&[0.0, 16.0]), ["0", "5", "10", "15", "20"]);
        assert_eq!(axis(&[1e-6, 2e-5]), ["0", "5e-6", "1e-5", "1.5e-5", "2e-5"]);
    }

    #[test]
    fn a_flat_or_empty_line_still_has_an_axis() {
        assert_eq!(axis(&[]).len(), 6);
        assert!(1 < axis(&[0.5, 0.5]).len());
        assert_eq!(axis(&[0.0, 0.0]), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    }
}

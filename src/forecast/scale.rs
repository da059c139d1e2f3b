//! Values brought to the size of one, so that squares neither overflow nor vanish and tolerances mean the same
//! for bytes and for ratios.

use crate::series::median;

/// An affine change of unit: `value = centre + unit * scaled`, `unit` a power of two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    centre: f64,
    unit: f64,
}

impl Scale {
    /// Centres on the median and divides by the reach: scaled values lie in -1..1 or a little beyond.
    pub fn centred(values: &[f64]) -> Scale {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let centre = median(&finite).unwrap_or(0.0);
        // Halved before the difference, which could overflow.
        let reach = finite.iter().map(|value| (value * 0.5 - centre * 0.5).abs()).fold(0.0, f64::max);
        Scale { centre, unit: power_of_two_of(reach * 2.0) }
    }

    /// Divides only, for methods in which zero has a meaning.
    pub fn uncentred(values: &[f64]) -> Scale {
        let reach = values.iter().filter(|value| value.is_finite()).map(|value| value.abs()).fold(0.0, f64::max);
        Scale { centre: 0.0, unit: power_of_two_of(reach) }
    }

    pub fn apply(&self, value: f64) -> f64 {
        value / self.unit - self.centre / self.unit
    }

    /// The value behind a scaled one, held within what a float can hold.
    pub fn undo(&self, scaled: f64) -> f64 {
        ((self.centre / self.unit + scaled) * self.unit).clamp(-f64::MAX, f64::MAX)
    }

    pub fn unit(&self) -> f64 {
        self.unit
    }
}

/// The power of two at or above `reach`, 1 for zero: multiplying by it is exact.
fn power_of_two_of(reach: f64) -> f64 {
    if !(reach.is_finite() && reach >= f64::MIN_POSITIVE * 16.0) {
        return if reach.is_finite() { 1.0 } else { 2f64.powi(1023) };
    }
    2f64.powi((reach.log2().ceil() as i32).clamp(-1000, 1023))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_scale_to_the_size_of_one_and_back() {
        for values in [[1e300, -1e300, 5e299], [3e-300, 1e-300, 2e-300], [f64::MAX, -f64::MAX, 0.0], [7.0, 7.0, 7.0]] {
            let scale = Scale::centred(&values);
            for value in values {
                let scaled = scale.apply(value);
                assert!(scaled.abs() <= 2.0, "{value} became {scaled}");
                let error = (scale.undo(scaled) * 0.5 - value * 0.5).abs();
                assert!(error <= 1e-15 * value.abs().max(scale.unit()), "{value}");
            }
        }
    }
}

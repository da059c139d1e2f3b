//! The scale on which a method works: logarithms where a series moves in shares of itself, else its own unit.

use super::scale::Scale;

/// A series whose smallest value is below this share of its mean touches zero, where logarithms run away.
const LEAST_SHARE: f64 = 0.02;

/// A value so many times the reach of the history is no value of this series.
const WILDEST: f64 = 1e60;

/// A change of scale that can be undone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Transform {
    /// Logarithms. What lies further from the series than it reaches itself, and a factor of e, is held there: zeros,
    /// negative values, explosions.
    Log {
        /// That of the smallest value.
        least: f64,
        /// That of the largest value.
        most: f64,
    },
    /// The size of one.
    Linear(Scale),
}

impl Transform {
    /// Logarithms for `values` that are all well above zero.
    pub fn of(values: &[f64]) -> Transform {
        let seen = || values.iter().copied().filter(|value| !value.is_nan());
        let n = seen().count().max(1) as f64;
        let mean: f64 = seen().map(|value| value / n).sum();
        let (least, most) = seen().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if least > LEAST_SHARE * mean && least >= f64::MIN_POSITIVE && most.is_finite() {
            return Transform::Log { least: least.ln(), most: most.ln() };
        }
        Transform::linear(values)
    }

    /// The size of one, whatever the values are.
    pub fn linear(values: &[f64]) -> Transform {
        Transform::Linear(Scale::centred(values))
    }

    /// On the method's scale; NaN for a gap and for what is no value of this series.
    pub fn apply(&self, value: f64) -> f64 {
        match self {
            Transform::Log { .. } if value.is_nan() => f64::NAN,
            Transform::Log { .. } => self.held(value.max(f64::MIN_POSITIVE).ln()),
            Transform::Linear(scale) => {
                let scaled = scale.apply(value);
                if scaled.abs() < WILDEST { scaled } else { f64::NAN }
            }
        }
    }

    /// The finite value behind a transformed one.
    pub fn undo(&self, transformed: f64) -> f64 {
        match self {
            Transform::Log { .. } => self.held(transformed).exp().min(f64::MAX),
            Transform::Linear(scale) => scale.undo(self.held(transformed)),
        }
    }

    /// What values may be off by, on the method's scale.
    pub fn tolerance(&self, tolerance: f64) -> f64 {
        match self {
            Transform::Log { most, .. } => tolerance / most.exp(),
            Transform::Linear(scale) => tolerance / scale.unit(),
        }
    }

    /// A transformed value within what this series may reach.
    pub fn held(&self, transformed: f64) -> f64 {
        match self {
            Transform::Log { least, most } => {
                let reach = 1.0 + most - least;
                transformed.clamp(least - reach, most + reach)
            }
            Transform::Linear(_) => transformed.clamp(-WILDEST, WILDEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_extremes_stay_finite() {
        let positive = Transform::of(&[3.0, f64::NAN, 8.0, 5.0]);
        let signed = Transform::of(&[3.0, -8.0, 5.0]);
        assert!(matches!(positive, Transform::Log { .. }) && matches!(signed, Transform::Linear(_)));
        for transform in [positive, signed] {
            assert!((transform.undo(transform.apply(4.5)) - 4.5).abs() < 1e-12);
            assert!(transform.apply(f64::NAN).is_nan());
            for wild in [1e300, -1e300, 0.0, 5e-324, f64::MAX] {
                let transformed = transform.apply(wild);
                assert!(transformed.is_nan() || transform.undo(transformed * 1e9).is_finite(), "{wild}");
            }
        }
        assert_eq!(positive.apply(0.0), positive.apply(-7.0));
        assert!((positive.undo(positive.apply(0.0)) - 9.0 / 8.0 / 1f64.exp()).abs() < 1e-12);
        // A count that touches zero and values that are nothing keep their unit.
        assert!(matches!(Transform::of(&[0.0, 9.0, 5.0]), Transform::Linear(_)));
        assert!(matches!(Transform::of(&[]), Transform::Linear(_)));
    }
}

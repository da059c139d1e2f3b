//! Numbers that a fitted model keeps, at half their size.
//!
//! In: finite values, or NaN for a gap, of a size that is known when the model is fitted. Out: the same but for a
//! rounding that is small beside what the values vary by: what a forecast is made of is known far less well than to
//! seven digits, and there are thousands of models.

/// Values as their distances from a centre, in single precision: within a ten millionth of how far they lie from it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Singles {
    centre: f64,
    offsets: Vec<f32>,
}

impl Singles {
    /// No values.
    pub const NONE: Singles = Singles { centre: 0.0, offsets: Vec::new() };

    /// About the middle of `values`.
    pub fn of(values: &[f64]) -> Singles {
        let bounds = values
            .iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &value| (least.min(value), most.max(value)));
        let centre = if bounds.0 <= bounds.1 { f64::midpoint(bounds.0, bounds.1) } else { 0.0 };
        Singles { centre, offsets: values.iter().map(|value| single(value - centre)).collect() }
    }

    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub fn get(&self, idx: usize) -> f64 {
        self.centre + f64::from(self.offsets[idx])
    }

    pub fn set(&mut self, idx: usize, value: f64) {
        self.offsets[idx] = single(value - self.centre);
    }

    /// Drops the first and appends `value`; nothing where nothing is kept.
    pub fn shift(&mut self, value: f64) {
        if let Some(last) = self.offsets.len().checked_sub(1) {
            self.offsets.rotate_left(1);
            self.set(last, value);
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = f64> + Clone + '_ {
        self.offsets.iter().map(|offset| self.centre + f64::from(*offset))
    }

    /// What it holds on the heap, in bytes.
    pub fn n_bytes(&self) -> usize {
        size_of_val(&self.offsets[..])
    }
}

/// The nearest single, finite for all that is.
pub(super) fn single(value: f64) -> f32 {
    value.clamp(-f64::from(f32::MAX), f64::from(f32::MAX)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singles_round_by_how_far_values_vary_and_not_by_how_large_they_are() {
        let values: Vec<f64> = (0..100).map(|t| 1e9 + f64::from(t * 37 % 101) / 7.0).collect();
        let mut kept = Singles::of(&values);
        kept.shift(1e9 + 0.3);
        for (kept, value) in kept.iter().zip(values[1..].iter().chain([&(1e9 + 0.3)])) {
            assert!((kept - value).abs() < 1e-6, "{kept} {value}");
        }
        assert_eq!((kept.len(), kept.n_bytes()), (100, 400));
        kept.set(3, f64::INFINITY);
        assert!(kept.get(3).is_finite() && kept.get(3) > 1e30);
        kept.set(3, f64::NAN);
        assert!(kept.get(3).is_nan() && Singles::NONE.is_empty());
        // A constant stays what it is.
        assert!(Singles::of(&[0.1; 7]).iter().all(|value| value == 0.1));
    }
}

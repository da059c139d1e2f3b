//! What a forecast may not be: beyond the metric's range, or off into the sky.

use super::past::Past;

/// Holds `value` within the metric's range.
pub(super) fn clip(value: f64, valid_min: Option<f64>, valid_max: Option<f64>) -> f64 {
    // Two comparisons rather than `clamp`, which panics on a range that is backwards.
    let value = valid_max.map_or(value, |most| value.min(most));
    valid_min.map_or(value, |least| value.max(least))
}

/// How far from its past a forecast of a series may go before it is taken for an explosion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fence {
    least: f64,
    most: f64,
}

impl Fence {
    /// The history's range, widened on both sides by itself, in proportion when the horizon is longer than the
    /// history: a straight line stays inside.
    pub fn around(past: &Past<'_>, horizon: usize) -> Fence {
        let values = || past.values().iter().copied().filter(|value| !value.is_nan());
        let (least, most) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let longer = (1.5 * horizon as f64 / past.len().max(1) as f64).max(1.0);
        // Halved and doubled, as the difference of two huge values can overflow.
        let reach = ((most * 0.5 - least * 0.5) * longer).min(f64::MAX / 4.0) * 2.0;
        Fence { least: least - reach, most: most + reach }
    }

    pub fn holds(&self, points: &[f64]) -> bool {
        points.iter().all(|point| point.is_finite() && (self.least..=self.most).contains(point))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Step;

    #[test]
    fn a_line_stays_inside_and_an_explosion_does_not() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let past = Past::new(0, Step::seconds(1), &values);
        assert!(Fence::around(&past, 400).holds(&[100.0, 499.0]));
        assert!(!Fence::around(&past, 10).holds(&[100.0, 1000.0]));
        assert!(!Fence::around(&past, 10).holds(&[f64::NAN]));
    }

    #[test]
    fn a_range_holds_even_backwards() {
        assert_eq!(clip(120.0, Some(0.0), Some(100.0)), 100.0);
        assert_eq!(clip(-1.0, Some(0.0), None), 0.0);
        assert_eq!(clip(5.0, Some(9.0), Some(1.0)), 9.0);
    }
}

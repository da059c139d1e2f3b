//! What a forecast may not be: beyond the metric's range, or off into the sky.

use super::backtest::mean;
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
    /// history: a straight line stays inside. Above what never was below zero, also twice the growth that there was
    /// over any span as long as the horizon: so does what doubles again and again.
    pub fn around(past: &Past<'_>, horizon: usize) -> Fence {
        let values = || past.values().iter().copied().filter(|value| !value.is_nan());
        let (least, most) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let longer = (1.5 * horizon as f64 / past.len().max(1) as f64).max(1.0);
        // Halved and doubled, as the difference of two huge values can overflow.
        let reach = ((most * 0.5 - least * 0.5) * longer).min(f64::MAX / 4.0) * 2.0;
        let grown = if least > 0.0 { (2.0 * most * growth(past.values(), horizon)).min(f64::MAX) } else { 0.0 };
        Fence { least: least - reach, most: (most + reach).max(grown) }
    }

    pub fn holds(&self, points: &[f64]) -> bool {
        points.iter().all(|point| point.is_finite() && (self.least..=self.most).contains(point))
    }
}

/// Spans over which growth is taken to go on.
const MOST_SPANS: f64 = 6.0;

/// By which factor the level rose over the last span of up to `horizon` cells, in proportion when the horizon is longer
/// than a third of the past; 1 where it did not, or not steadily: over the span before as well.
fn growth(values: &[f64], horizon: usize) -> f64 {
    let span = horizon.min(values.len() / 3);
    // Halves of a span stand for its level, which one value is not.
    let level = |end: usize| mean(values[end - span.div_ceil(2)..end].iter().copied());
    if span == 0 {
        return 1.0;
    }
    let n = values.len();
    let [now, before, first] = [n, n - span, n - 2 * span].map(level);
    let rate = (now / before).min(before / first).max(1.0);
    if rate.is_finite() { rate.powf((horizon as f64 / span as f64).min(MOST_SPANS)) } else { 1.0 }
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
    fn what_doubles_again_and_again_stays_inside_however_far() {
        let values: Vec<f64> = (0..300).map(|t| (f64::from(t) / 50.0).exp()).collect();
        let past = Past::new(0, Step::seconds(1), &values);
        for horizon in [12, 48, 150, 300] {
            let most = (f64::from(299 + horizon) / 50.0).exp();
            let fence = Fence::around(&past, horizon as usize);
            assert!(fence.holds(&[most]) && !fence.holds(&[20.0 * most]), "{horizon}");
        }
        // One leap is no growth, and what was below zero has no proportion.
        let leap: Vec<f64> = (0..300).map(|t| if t < 280 { 1.0 } else { 50.0 }).collect();
        assert!(!Fence::around(&Past::new(0, Step::seconds(1), &leap), 48).holds(&[200.0]));
        let below: Vec<f64> = values.iter().map(|value| value - 2.0).collect();
        assert!(!Fence::around(&Past::new(0, Step::seconds(1), &below), 150).holds(&[4_000.0]));
    }

    #[test]
    fn a_range_holds_even_backwards() {
        assert_eq!(clip(120.0, Some(0.0), Some(100.0)), 100.0);
        assert_eq!(clip(-1.0, Some(0.0), None), 0.0);
        assert_eq!(clip(5.0, Some(9.0), Some(1.0)), 9.0);
    }
}

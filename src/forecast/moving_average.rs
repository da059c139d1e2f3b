//! Moving average: the mean of the last values, for every lead.
//!
//! In: at least two values; gaps are passed over. Out: one level. The window is given, or the one of a list of
//! lengths, spaced as Fibonacci's numbers, whose mean forecast the next value best over the last [`LOOK_BACK`] values.

use std::collections::BTreeMap;

use super::compact::{COARSE, Kept};
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use crate::series::Season;

const WINDOWS: [usize; 12] = [2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377];

/// Values on which windows are compared.
const LOOK_BACK: usize = 2000;

/// The mean of a window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MovingAverage {
    /// Adds whole cycles to the windows that are compared; a window of one cycle averages the season out.
    pub season: Option<Season>,
    /// Used instead of the best one.
    pub window: Option<usize>,
}

#[derive(Clone, Debug)]
struct FittedMovingAverage {
    // The last values, gaps left out, in the order in which they are replaced from `oldest` on; `window` of them, or
    // fewer when there are no more. Never empty.
    last: Kept,
    oldest: usize,
    window: usize,
    // Whether the window was given, or is the best one of the values fitted to.
    is_given: bool,
}

impl Forecaster for MovingAverage {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let values: Vec<f64> = past.values().iter().copied().filter(|value| !value.is_nan()).collect();
        if values.len() < 2 {
            return Err(FitError::TooShort { needed: 2, got: values.len() });
        }
        let window = self.window.unwrap_or_else(|| self.best_window(&values)).max(1);
        let last = Kept::whole(&values[values.len().saturating_sub(window)..]);
        Ok(Box::new(FittedMovingAverage { last, oldest: 0, window, is_given: self.window.is_some() }))
    }
}

impl MovingAverage {
    fn best_window(&self, values: &[f64]) -> usize {
        let cycle = self.season.map(Season::steps);
        let mut windows: Vec<usize> = WINDOWS.into_iter().chain(cycle).chain(cycle.map(|steps| 2 * steps)).collect();
        // A window must leave values to be compared on.
        windows.retain(|&window| window <= values.len() / 2);
        let Some(&longest) = windows.iter().max() else {
            return values.len().min(2);
        };
        let tail = &values[values.len().saturating_sub(LOOK_BACK + longest)..];
        let unit = tail.iter().fold(0.0f64, |most, value| most.max(value.abs())).max(f64::MIN_POSITIVE);
        let sums: Vec<f64> = std::iter::once(0.0)
            .chain(tail.iter().scan(0.0, |sum, value| {
                *sum += value / unit;
                Some(*sum)
            }))
            .collect();
        let error_of = |window: usize| -> f64 {
            (longest..tail.len())
                .map(|idx| (tail[idx] / unit - (sums[idx] - sums[idx - window]) / window as f64).abs())
                .sum()
        };
        let mut best = (f64::INFINITY, longest);
        for window in windows {
            let error = error_of(window);
            if error < best.0 {
                best = (error, window);
            }
        }
        best.1
    }
}

impl Fitted for FittedMovingAverage {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        // Divided before they are added: the sum of huge values would not be a number.
        let len = self.last.len();
        // In the order of a fit, so that the sum is the same to the last bit.
        let in_order = (0..len).map(|nr| self.last.get((self.oldest + nr) % len));
        let mean = in_order.map(|value| value / len as f64).sum::<f64>();
        let (least, most) = self.last.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        points.fill(mean.clamp(least, most));
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        if value.is_finite() {
            if self.last.len() < self.window {
                self.last.push(value);
            } else {
                self.last.set(self.oldest, value);
                self.oldest = (self.oldest + 1) % self.last.len();
            }
        }
        if self.is_given { Updated::Exact } else { Updated::Filtered }
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::from([("window", self.window as f64)])
    }

    fn thin(&mut self, tolerance: f64) {
        self.last.coarsen(COARSE * tolerance);
    }

    fn n_bytes(&self) -> usize {
        self.last.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::series::Step;

    fn fit(values: Vec<f64>, window: Option<usize>) -> Box<dyn Fitted> {
        MovingAverage { season: None, window }.fit(&Past::new(0, Step::seconds(1), &values)).unwrap()
    }

    #[test]
    fn it_is_the_mean_of_the_window() {
        let one = Horizon::new(1).unwrap();
        let mut fitted = fit(vec![9.0, 1.0, 2.0, f64::NAN, 6.0], Some(3));
        assert_eq!(fitted.points(one), [3.0]);
        fitted.update(7.0, Regressors::NONE);
        assert_eq!(fitted.points(one), [5.0]);
    }

    #[test]
    fn noise_chooses_a_long_window_and_a_wandering_level_a_short_one() {
        let noise: Vec<f64> = (0..400u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 16) / 65_536.0).collect();
        assert!(fit(noise, None).settings()["window"] >= 21.0);
        let steps: Vec<f64> = (0..400).map(|i| f64::from(i / 25 * 7 % 11)).collect();
        assert!(fit(steps, None).settings()["window"] <= 3.0);
    }
}

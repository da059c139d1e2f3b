//! IQR: is it beyond the outer fences of the last samples?
//!
//! In: the last [`WINDOW`] samples before this one.
//! Out: the quartiles ± [`FENCE`] interquartile ranges as the band; each side has its own reach from the median, so a
//! skewed series gets a skewed band.
//! Source: Tukey (1977): 1.5 ranges are the inner fences, which 70 in 10,000 samples of Gaussian noise cross, 3 the
//! outer, "far out", which 0.02 do; an alarm needs the outer.

use super::contract::{Made, Method, in_band, widening};
use super::detector::{Detector, Score};
use super::registry::Settings;
use super::sorted::SortedWindow;
use crate::series::Millis;

/// Samples in the window.
const WINDOW: usize = 201;
/// Fewer than these, and a quartile is a guess.
const MIN_SAMPLES: usize = 20;
/// Interquartile ranges between a quartile and its fence.
const FENCE: f64 = 3.0;
/// How far the outer fences of Gaussian noise are from its centre, in standard deviations.
const FENCE_SIGMAS: f64 = 4.72;

/// Builds the method.
pub(super) fn build(settings: &Settings) -> Box<dyn Detector> {
    Made::detector(settings, |_| Fences { window: SortedWindow::new(WINDOW) })
}

#[derive(Debug)]
struct Fences {
    window: SortedWindow,
}

impl Fences {
    /// From the median to the lower and to the upper fence.
    fn reach(&self, centre: f64) -> (f64, f64) {
        if self.window.is_constant() {
            return (0.0, 0.0);
        }
        let (first, third) = (self.window.quantile(0.25), self.window.quantile(0.75));
        let range = third - first;
        if range > 0.0 {
            return (centre - first + FENCE * range, third - centre + FENCE * range);
        }
        // Half of the samples are the same; what the other half does is the spread there is.
        let reach = FENCE_SIGMAS * self.window.sigma(centre);
        (reach, reach)
    }
}

impl Method for Fences {
    fn judge(&mut self, _at: Millis, value: f64) -> Option<Score> {
        let n = self.window.len();
        let score = (n >= MIN_SAMPLES).then(|| {
            let centre = self.window.quantile(0.5);
            let (below, above) = self.reach(centre);
            in_band(value, centre, below * widening(n, 10.0), above * widening(n, 10.0))
        });
        self.window.push(value);
        score
    }
}

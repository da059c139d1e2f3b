//! Robust z-score: how many median absolute deviations from the median of the last samples?
//!
//! In: the last [`WINDOW`] samples before this one.
//! Out: median ± [`EDGE`] robust deviations as the band. Up to half the window may be outliers.
//! Source: Iglewicz and Hoaglin (1993): 1.4826 MAD estimates the deviation, and the mean absolute deviation stands in
//! when the MAD is zero.

use super::contract::{Made, Method, in_band, widening};
use super::detector::{Detector, Score};
use super::registry::Settings;
use super::sorted::SortedWindow;
use crate::series::Millis;

/// Samples in the window.
const WINDOW: usize = 201;
/// Fewer than these, and a deviation is a guess.
const MIN_SAMPLES: usize = 20;
/// Robust deviations at the band's edge; more than the plain z-score's, because the MAD of a window is less certain.
const EDGE: f64 = 4.5;

/// Builds the method.
pub(super) fn build(settings: &Settings) -> Box<dyn Detector> {
    Made::detector(settings, |_| Rolling { window: SortedWindow::new(WINDOW) })
}

#[derive(Debug)]
struct Rolling {
    window: SortedWindow,
}

impl Method for Rolling {
    fn judge(&mut self, _at: Millis, value: f64) -> Option<Score> {
        let n = self.window.len();
        let score = (n >= MIN_SAMPLES).then(|| {
            let centre = self.window.quantile(0.5);
            let reach = if self.window.is_constant() { 0.0 } else { EDGE * self.window.sigma(centre) };
            in_band(value, centre, reach * widening(n, 10.0), reach * widening(n, 10.0))
        });
        self.window.push(value);
        score
    }
}

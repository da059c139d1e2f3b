//! Learned threshold: is it higher, or lower, than this series ever needs to be?
//!
//! In: the last [`WINDOW`] samples that were not beyond a threshold themselves.
//! Out: a threshold on each side that one in 50,000 samples would cross, extrapolated from the tails; the score grows
//! from the median to the threshold. Unlike the other methods it has no notion of recent: it learns what a person
//! would set by hand after looking at a chart.
//! Source: SPOT (Siffer et al. 2017) on both tails; see [`tail_quantile`].

use std::collections::VecDeque;

use super::contract::{Made, Method, in_band, widening};
use super::detector::{Detector, Score};
use super::registry::Settings;
use super::tail::tail_quantile;
use crate::series::{Millis, quantile_sorted};

/// Samples that the thresholds are learned from.
const WINDOW: usize = 1024;
/// Fewer than these tell nothing of a tail.
const MIN_SAMPLES: usize = 50;
/// The thresholds are learned anew after so many samples.
const RENEW_EVERY: usize = 64;
/// The share of samples that may cross a threshold.
const PROBABILITY: f64 = 2e-5;
/// After so many samples in a row beyond a threshold, that is how the series is now.
const ACCEPT_AFTER: usize = 32;

/// Builds the method.
pub(super) fn build(settings: &Settings) -> Box<dyn Detector> {
    Made::detector(settings, |_| Thresholds::default())
}

#[derive(Debug, Default)]
struct Thresholds {
    learned: VecDeque<f64>,
    /// Median, reach below, reach above.
    band: Option<(f64, f64, f64)>,
    n_since: usize,
    n_beyond: usize,
}

impl Method for Thresholds {
    fn judge(&mut self, _at: Millis, value: f64) -> Option<Score> {
        let score = self.band.map(|(centre, below, above)| in_band(value, centre, below, above));
        let is_beyond = score.is_some_and(|score| score.value > 1.0);
        self.n_beyond = if is_beyond { self.n_beyond + 1 } else { 0 };
        if !is_beyond || self.n_beyond >= ACCEPT_AFTER {
            self.learn(value);
        }
        score
    }
}

impl Thresholds {
    fn learn(&mut self, value: f64) {
        if self.n_beyond == ACCEPT_AFTER {
            // A new level: the old one would hold the thresholds back for a thousand samples.
            self.learned.clear();
            self.band = None;
            self.n_beyond = 0;
        }
        if self.learned.len() == WINDOW {
            self.learned.pop_front();
        }
        self.learned.push_back(value);
        self.n_since += 1;
        let n = self.learned.len();
        if n >= MIN_SAMPLES && (self.band.is_none() || self.n_since >= RENEW_EVERY) {
            self.n_since = 0;
            let mut sorted: Vec<f64> = self.learned.iter().copied().collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let mirrored: Vec<f64> = sorted.iter().rev().map(|value| -value).collect();
            let centre = quantile_sorted(&sorted, 0.5).unwrap_or(value);
            let above = tail_quantile(&sorted, PROBABILITY).map_or(0.0, |edge| edge - centre);
            let below = tail_quantile(&mirrored, PROBABILITY).map_or(0.0, |edge| edge + centre);
            let wide = widening(n, 20.0);
            self.band = Some((centre, below.max(0.0) * wide, above.max(0.0) * wide));
        }
    }
}

//! What is usual at this time of the cycle: a day, a week, or a season that was given.
//!
//! In: samples at their times. Out: the usual value at a time, between the centres of two bins, once those bins were
//! seen. Bins count time, not samples, so gaps and jitter do not shift the profile.

use super::bins::{Bins, MAX_VISITS};
use super::registry::Settings;
use crate::series::Millis;

/// More bins than this resolve more than operations data repeats.
const MAX_BINS: i64 = 288;
/// Least share by which a new visit renews a bin: the profile is of about the last five cycles. That is the share after
/// as many visits as are counted.
const RENEWAL: f64 = 1.0 / (MAX_VISITS as f64 + 1.0);
/// Cycles before the profile is of use: one to learn, one to be measured.
const MIN_CYCLES: i64 = 2;

/// A cycle in time and how finely it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cycle {
    span: Millis,
    n_bins: usize,
}

impl Cycle {
    /// A cycle of `span` for samples `spacing` apart, with at most `max_bins`; `None` when it has fewer than four
    /// samples.
    pub(super) fn new(span: Millis, spacing: Millis, max_bins: i64) -> Option<Cycle> {
        let n_samples = span / spacing.max(1);
        (n_samples >= 4).then(|| Cycle { span, n_bins: n_samples.min(max_bins) as usize })
    }

    /// The cycle that the settings name, for samples `spacing` apart.
    pub(super) fn given(settings: &Settings, spacing: Millis) -> Option<Cycle> {
        let in_steps = || settings.season.map(|season| (season.steps() as Millis).saturating_mul(spacing));
        Cycle::new(settings.metric.season.or_else(in_steps)?, spacing, MAX_BINS)
    }
}

/// The usual value per bin of a cycle.
#[derive(Debug)]
pub(super) struct Profile {
    span: Millis,
    bins: Bins,
    /// The bin that is being visited, and the sum and count of its values; before the first value the count is 0.
    visited: u16,
    count: u32,
    sum: f64,
    first_at: Millis,
    last_at: Millis,
}

impl Profile {
    pub(super) fn new(cycle: Cycle) -> Profile {
        let bins = Bins::new(cycle.n_bins);
        Profile { span: cycle.span, bins, visited: 0, count: 0, sum: 0.0, first_at: 0, last_at: 0 }
    }

    /// Where in the cycle a time lies, counted in bins.
    fn position(&self, at: Millis) -> f64 {
        let into = at.rem_euclid(self.span);
        into as f64 * self.bins.len() as f64 / self.span as f64
    }

    /// The usual value at a time; `None` where nothing was seen yet.
    pub(super) fn expected(&self, at: Millis) -> Option<f64> {
        let n = self.bins.len();
        let position = self.position(at) - 0.5;
        let below = position.floor();
        let part = position - below;
        let first = (below as i64).rem_euclid(n as i64) as usize;
        match (self.bins.level(first), self.bins.level((first + 1) % n)) {
            (Some(first), Some(second)) => Some(first * (1.0 - part) + second * part),
            (one, None) | (None, one) => one,
        }
    }

    /// As [`Profile::expected`], around 0, once the profile is complete; else 0.
    pub(super) fn shape(&self, at: Millis) -> f64 {
        if !self.is_complete() {
            return 0.0;
        }
        self.expected(at).map_or(0.0, |value| value - self.bins.mean())
    }

    /// Whether the cycle was seen twice, nearly everywhere.
    pub(super) fn is_complete(&self) -> bool {
        let lasted = if self.count > 0 { self.last_at.saturating_sub(self.first_at) } else { 0 };
        lasted >= MIN_CYCLES.saturating_mul(self.span) && self.bins.n_seen() * 5 >= self.bins.len() * 4
    }

    /// Samples in a cycle, as far as the bins tell.
    pub(super) fn n_bins(&self) -> usize {
        self.bins.len()
    }

    /// Learns a value. A bin takes in the mean of a visit when the visit is over.
    pub(super) fn learn(&mut self, at: Millis, value: f64) {
        if self.count == 0 {
            self.first_at = at;
        }
        self.last_at = at;
        let bin = (self.position(at) as usize).min(self.bins.len() - 1);
        let current = usize::from(self.visited);
        if self.count > 0 && current == bin {
            self.sum += value;
            self.count = self.count.saturating_add(1);
            return;
        }
        if self.count > 0 {
            self.end_visit(current, self.sum / f64::from(self.count));
            if bin < current {
                self.bins.settle();
            }
        }
        (self.visited, self.sum, self.count) = (bin as u16, value, 1);
    }

    fn end_visit(&mut self, bin: usize, mean: f64) {
        let share = (1.0 / (f64::from(self.bins.visits(bin)) + 1.0)).max(RENEWAL);
        let level = self.bins.level(bin).map_or(mean, |level| level + share * (mean - level));
        self.bins.visit(bin, level);
    }
}

/// Finds the usual distance between samples from the first few.
#[derive(Debug, Default)]
pub(super) struct Spacing {
    last: Option<Millis>,
    distances: Vec<Millis>,
}

impl Spacing {
    /// Distances that are enough to go by.
    const ENOUGH: usize = 15;

    /// Takes in a time; the median distance once there are enough, and only then.
    pub(super) fn next(&mut self, at: Millis) -> Option<Millis> {
        if let Some(last) = self.last.replace(at) {
            self.distances.push(at.saturating_sub(last).max(1));
        }
        if self.distances.len() < Self::ENOUGH {
            return None;
        }
        self.distances.sort_unstable();
        Some(self.distances[Self::ENOUGH / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{DAY, HOUR, MINUTE};

    #[test]
    fn a_profile_learns_the_day() {
        let mut profile = Profile::new(Cycle::new(DAY, 5 * MINUTE, 96).unwrap());
        let truth = |at: Millis| (at.rem_euclid(DAY) as f64 / DAY as f64 * std::f64::consts::TAU).sin();
        for step in 0..(3 * 288) {
            let at = 1_700_000_000_000 + step * 5 * MINUTE;
            profile.learn(at, truth(at));
        }
        assert!(profile.is_complete());
        for hour in 0..24 {
            let at = 1_800_000_000_000 + hour * HOUR;
            assert!((profile.expected(at).unwrap() - truth(at)).abs() < 0.02, "{hour}");
        }
    }

    #[test]
    fn a_cycle_needs_four_samples() {
        assert_eq!(Cycle::new(DAY, DAY, 96), None);
        assert_eq!(Cycle::new(DAY, HOUR, 96).map(|cycle| cycle.n_bins), Some(24));
        assert_eq!(Cycle::new(DAY, MINUTE, 96).map(|cycle| cycle.n_bins), Some(96));
    }

    #[test]
    fn the_spacing_is_the_median_distance() {
        let mut spacing = Spacing::default();
        let found: Vec<Millis> = (0..16).filter_map(|i| spacing.next(i * 10 + if i == 9 { 5 } else { 0 })).collect();
        assert_eq!(found, [10]);
    }
}

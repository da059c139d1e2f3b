//! What is usual at this time of the cycle: a day, a week, or a season that was given.
//!
//! In: samples at their times. Out: the usual value at a time, between the centres of two bins, once those bins were
//! seen. Bins count time, not samples, so gaps and jitter do not shift the profile.

use super::registry::Settings;
use crate::series::Millis;

/// More bins than this resolve more than operations data repeats.
const MAX_BINS: i64 = 288;
/// Least share by which a new visit renews a bin: the profile is of about the last five cycles.
const RENEWAL: f64 = 0.2;
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
    cycle: Cycle,
    bins: Vec<f64>,
    visits: Vec<u8>,
    n_seen: usize,
    /// Over the bins seen.
    sum: f64,
    /// The bin that is being visited: which, sum and count of its values.
    visit: Option<(usize, f64, f64)>,
    first_at: Option<Millis>,
    last_at: Millis,
}

impl Profile {
    pub(super) fn new(cycle: Cycle) -> Profile {
        Profile {
            cycle,
            bins: vec![0.0; cycle.n_bins],
            visits: vec![0; cycle.n_bins],
            n_seen: 0,
            sum: 0.0,
            visit: None,
            first_at: None,
            last_at: 0,
        }
    }

    /// Where in the cycle a time lies, counted in bins.
    fn position(&self, at: Millis) -> f64 {
        let into = at.rem_euclid(self.cycle.span);
        into as f64 * self.bins.len() as f64 / self.cycle.span as f64
    }

    /// The usual value at a time; `None` where nothing was seen yet.
    pub(super) fn expected(&self, at: Millis) -> Option<f64> {
        let n = self.bins.len();
        let position = self.position(at) - 0.5;
        let below = position.floor();
        let part = position - below;
        let first = (below as i64).rem_euclid(n as i64) as usize;
        let second = (first + 1) % n;
        match (self.visits[first] > 0, self.visits[second] > 0) {
            (true, true) => Some(self.bins[first] * (1.0 - part) + self.bins[second] * part),
            (true, false) => Some(self.bins[first]),
            (false, true) => Some(self.bins[second]),
            (false, false) => None,
        }
    }

    /// As [`Profile::expected`], around 0, once the profile is complete; else 0.
    pub(super) fn shape(&self, at: Millis) -> f64 {
        if !self.is_complete() {
            return 0.0;
        }
        let mean = self.sum / self.n_seen.max(1) as f64;
        self.expected(at).map_or(0.0, |value| value - mean)
    }

    /// Whether the cycle was seen twice, nearly everywhere.
    pub(super) fn is_complete(&self) -> bool {
        let lasted = self.first_at.map_or(0, |first| self.last_at.saturating_sub(first));
        lasted >= MIN_CYCLES.saturating_mul(self.cycle.span) && self.n_seen * 5 >= self.bins.len() * 4
    }

    /// Samples in a cycle, as far as the bins tell.
    pub(super) fn n_bins(&self) -> usize {
        self.bins.len()
    }

    /// Learns a value. A bin takes in the mean of a visit when the visit is over.
    pub(super) fn learn(&mut self, at: Millis, value: f64) {
        self.first_at.get_or_insert(at);
        self.last_at = at;
        let bin = (self.position(at) as usize).min(self.bins.len() - 1);
        match &mut self.visit {
            Some((current, sum, count)) if *current == bin => {
                *sum += value;
                *count += 1.0;
            }
            visit => {
                if let Some((done, sum, count)) = visit.replace((bin, value, 1.0)) {
                    self.end_visit(done, sum / count);
                }
            }
        }
    }

    fn end_visit(&mut self, bin: usize, mean: f64) {
        let visits = &mut self.visits[bin];
        if *visits == 0 {
            self.n_seen += 1;
        }
        let share = (1.0 / (f64::from(*visits) + 1.0)).max(RENEWAL);
        *visits = visits.saturating_add(1);
        let moved = share * (mean - self.bins[bin]);
        self.bins[bin] += moved;
        self.sum += moved;
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

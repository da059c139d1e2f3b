//! A season taken off before a method that knows none, and put on again after it.
//!
//! In: values, NaN for a gap, and a season's length. Out: the values without their season, and the [`Adjustment`] that
//! takes it off later values and puts it on forecasts.
//!
//! The season is that of the classical decomposition: what is left beside a centred moving average, averaged by place
//! in the cycle; as differences or as factors, whichever leaves less. It is taken off only if it foretells: each
//! cycle is predicted by the mean of the others, and that must be nearer than no season at all. Unlike a test of the
//! autocorrelation at the season's lag this needs one pass whatever the season's length, and neighbouring values that
//! resemble each other do not mislead it.
//! Source: classical decomposition as in Hyndman and Athanasopoulos, "Forecasting: Principles and Practice".

use super::compact::{COARSE, Kept};
use crate::series::filled;

/// A factor below this would be divided by: the season is added instead.
const LEAST_FACTOR: f64 = 0.01;

/// A season with fewer cycles has its trend held level at both ends, so that each place is seen at least twice.
const FEW_CYCLES: usize = 4;

/// How a season is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Subtracted; neutral is 0.
    Additive,
    /// Divided by; neutral is 1.
    Multiplicative,
}

/// A season, and where in it the next value stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Adjustment {
    kind: Kind,
    // Empty without a season.
    slots: Kept,
    next: usize,
}

impl Adjustment {
    /// No season.
    pub fn none() -> Adjustment {
        Adjustment { kind: Kind::Additive, slots: Kept::none(), next: 0 }
    }

    /// The season of `steps` steps in `cells`, if it foretells; stands at the first cell.
    pub fn find(cells: &[f64], steps: usize) -> Adjustment {
        if steps < 2 || cells.len() < 2 * steps {
            return Adjustment::none();
        }
        let trend = centred_mean(&filled(cells), steps);
        let rests = |kind: Kind| cells.iter().zip(&trend).map(move |(value, trend)| rest(*value, *trend, kind));
        let differences = ByPlace::of(rests(Kind::Additive), steps);
        if !differences.foretells(rests(Kind::Additive)) {
            return Adjustment::none();
        }
        let added = differences.normalised(Kind::Additive);
        let is_positive = cells.iter().all(|value| value.is_nan() || *value > 0.0);
        if is_positive {
            let factors = ByPlace::of(rests(Kind::Multiplicative), steps).normalised(Kind::Multiplicative);
            let is_usable = factors.iter().all(|factor| *factor >= LEAST_FACTOR);
            let unexplained = |slots: &[f64], kind| unexplained(cells, &trend, slots, kind);
            if is_usable && unexplained(&factors, Kind::Multiplicative) < unexplained(&added, Kind::Additive) {
                return Adjustment { kind: Kind::Multiplicative, slots: Kept::of(&factors), next: 0 };
            }
        }
        Adjustment { kind: Kind::Additive, slots: Kept::of(&added), next: 0 }
    }

    /// The season's length; `None` without one.
    pub fn steps(&self) -> Option<usize> {
        (!self.slots.is_empty()).then_some(self.slots.len())
    }

    /// `value` at the next place without its season; moves on by one.
    pub fn take_off(&mut self, value: f64) -> f64 {
        if self.slots.is_empty() {
            return value;
        }
        let slot = self.slots.get(self.next);
        self.next = if self.next + 1 == self.slots.len() { 0 } else { self.next + 1 };
        match self.kind {
            Kind::Additive => value - slot,
            Kind::Multiplicative => value / slot,
        }
    }

    /// Puts the season on `points`, the first of which stands at the next place.
    pub fn put_on(&self, points: &mut [f64]) {
        for (point, slot) in points.iter_mut().zip(self.slots.iter().cycle().skip(self.next)) {
            match self.kind {
                Kind::Additive => *point += slot,
                Kind::Multiplicative => *point *= slot,
            }
        }
    }

    /// Keeps the season as well as forecasts of values up to `largest` need that may be off by `tolerance`.
    pub fn thin(&mut self, tolerance: f64, largest: f64) {
        let unit = if self.kind == Kind::Additive { 1.0 } else { largest };
        self.slots.coarsen(COARSE * tolerance / unit);
    }

    /// What it holds on the heap, in bytes.
    pub fn n_bytes(&self) -> usize {
        self.slots.n_bytes()
    }
}

/// What a season of `steps` adds at each place, whether it foretells or not; on average nothing.
pub(super) fn additive_profile(cells: &[f64], steps: usize) -> Vec<f64> {
    let trend = centred_mean(&filled(cells), steps);
    let rests = cells.iter().zip(&trend).map(|(value, trend)| rest(*value, *trend, Kind::Additive));
    ByPlace::of(rests, steps).normalised(Kind::Additive)
}

/// The share of what is left beside the trend that a season of `steps` explains, 0 to 1; 0 without a season.
pub(super) fn seasonal_strength(cells: &[f64], steps: usize) -> f64 {
    let trend = centred_mean(&filled(cells), steps);
    let rests = || cells.iter().zip(&trend).map(|(value, trend)| rest(*value, *trend, Kind::Additive));
    let slots = ByPlace::of(rests(), steps).normalised(Kind::Additive);
    let with = unexplained(cells, &trend, &slots, Kind::Additive);
    let without: f64 = rests().filter(|rest| rest.is_finite()).map(|rest| rest * rest).sum();
    if without > 0.0 { (1.0 - with / without).clamp(0.0, 1.0) } else { 0.0 }
}

/// What `value` is beside `trend`; NaN where either is.
fn rest(value: f64, trend: f64, kind: Kind) -> f64 {
    match kind {
        Kind::Additive => value - trend,
        Kind::Multiplicative => value / trend,
    }
}

/// Sums and counts at each place of a cycle.
struct ByPlace {
    sums: Vec<f64>,
    counts: Vec<f64>,
}

impl ByPlace {
    fn of(rests: impl Iterator<Item = f64>, steps: usize) -> ByPlace {
        let mut by_place = ByPlace { sums: vec![0.0; steps], counts: vec![0.0; steps] };
        let mut place = 0;
        for rest in rests {
            if rest.is_finite() {
                by_place.sums[place] += rest;
                by_place.counts[place] += 1.0;
            }
            place = if place + 1 == steps { 0 } else { place + 1 };
        }
        by_place
    }

    /// Whether the mean of the other cycles foretells a rest better than nothing does.
    fn foretells(&self, rests: impl Iterator<Item = f64>) -> bool {
        let (mut with, mut without) = (0.0, 0.0);
        let mut place = 0;
        for rest in rests {
            let (sum, count) = (self.sums[place], self.counts[place]);
            if rest.is_finite() && count > 1.0 {
                let off = rest - (sum - rest) / (count - 1.0);
                with += off * off;
                without += rest * rest;
            }
            place = if place + 1 == self.sums.len() { 0 } else { place + 1 };
        }
        with < without
    }

    /// Means by place; on average 0 or 1. A place never seen is neutral.
    fn normalised(&self, kind: Kind) -> Vec<f64> {
        let neutral = if kind == Kind::Additive { 0.0 } else { 1.0 };
        let mut slots: Vec<f64> = self
            .sums
            .iter()
            .zip(&self.counts)
            .map(|(sum, count)| if *count > 0.0 { sum / count } else { neutral })
            .collect();
        let mean = slots.iter().sum::<f64>() / slots.len() as f64;
        for slot in &mut slots {
            match kind {
                Kind::Additive => *slot -= mean,
                Kind::Multiplicative => *slot /= mean,
            }
        }
        slots
    }
}

/// The sum of squares that trend and season leave.
fn unexplained(cells: &[f64], trend: &[f64], slots: &[f64], kind: Kind) -> f64 {
    let mut sum = 0.0;
    for ((value, trend), slot) in cells.iter().zip(trend).zip(slots.iter().cycle()) {
        let off = match kind {
            Kind::Additive => value - trend - slot,
            Kind::Multiplicative => value - trend * slot,
        };
        if off.is_finite() {
            sum += off * off;
        }
    }
    sum
}

/// The mean over `steps` values around each, those at the rim counting half when `steps` is even. NaN at the ends, or
/// with fewer than [`FEW_CYCLES`] the nearest one.
fn centred_mean(values: &[f64], steps: usize) -> Vec<f64> {
    let (n, half) = (values.len(), steps / 2);
    let mut means = vec![f64::NAN; n];
    if n < steps + 1 {
        return means;
    }
    let mut sum: f64 = values[..steps].iter().sum();
    for middle in half..n - half {
        // `sum` covers the `steps` values from `middle - half` on.
        means[middle] = if steps.is_multiple_of(2) {
            (sum + 0.5 * (values[middle + half] - values[middle - half])) / steps as f64
        } else {
            sum / steps as f64
        };
        if let Some(entering) = values.get(middle - half + steps) {
            sum += entering - values[middle - half];
        }
    }
    if n < FEW_CYCLES * steps {
        let (first, last) = (means[half], means[n - half - 1]);
        means[..half].fill(first);
        means[n - half..].fill(last);
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::forecast::tests::Noise;

    /// Made with the classical decomposition of statsmodels 0.14 through statsforecast 2.1, January first.
    #[test]
    fn the_passengers_factors_are_those_of_the_reference() {
        let found = Adjustment::find(&AIR_PASSENGERS, 12);
        let expected = [
            0.910230, 0.883625, 1.007366, 0.975906, 0.981378, 1.112776, 1.226556, 1.219911, 1.060492, 0.921757,
            0.801178, 0.898824,
        ];
        assert_eq!(found.kind, Kind::Multiplicative);
        for (slot, expected) in found.slots.iter().zip(expected) {
            assert!((slot - expected).abs() < 1e-6, "{slot} {expected}");
        }
    }

    #[test]
    fn a_season_is_found_and_taken_off_whatever_its_length_and_none_is_found_in_noise() {
        let mut noise = Noise::seeded(3);
        for steps in [2, 7, 24, 168, 2016] {
            let at = |t: usize| 50.0 + (t % steps * 31 % 11) as f64;
            let cells: Vec<f64> = (0..3 * steps + 9).map(|t| at(t) + noise.normal() - 60.0).collect();
            let mut found = Adjustment::find(&cells, steps);
            assert_eq!((found.kind, found.steps()), (Kind::Additive, Some(steps)));
            let squares = |values: &[f64]| {
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>()
            };
            let off: Vec<f64> = cells.iter().map(|&cell| found.take_off(cell)).collect();
            assert!(squares(&off) < 0.3 * squares(&cells), "{steps}: {} {}", squares(&off), squares(&cells));
            let mut points = vec![0.0; steps];
            found.put_on(&mut points);
            assert!((points[0] - found.slots.get(9 % steps)).abs() < 1e-12);
        }
        let n_found = (0..50).filter(|_| Adjustment::find(&noise.walk(300, 0.9), 12) != Adjustment::none()).count();
        assert!(n_found <= 6, "{n_found} of 50");
    }

    #[test]
    fn gaps_and_short_or_constant_series_are_no_season() {
        assert_eq!(Adjustment::find(&[1.0, 2.0, 3.0], 2), Adjustment::none());
        assert_eq!(Adjustment::find(&[4.0; 60], 12), Adjustment::none());
        assert_eq!(Adjustment::find(&[f64::NAN; 60], 12), Adjustment::none());
        let mut holed: Vec<f64> = (0..60).map(|t| f64::from(t % 6)).collect();
        holed[13] = f64::NAN;
        let mut found = Adjustment::find(&holed, 6);
        assert_eq!(found.steps(), Some(6));
        let off: Vec<f64> = holed.iter().map(|&cell| found.take_off(cell)).collect();
        assert!(off[13].is_nan() && off.iter().all(|v| v.is_nan() || (v - 2.5).abs() < 0.2), "{off:?}");
    }
}

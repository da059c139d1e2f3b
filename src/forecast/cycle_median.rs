//! Cycle median: what each place of the cycle usually is, on the level that the last cycles usually had.
//!
//! In: at least two cycles, in logarithms where they are well above zero; gaps are left out. Out: for each place the
//! median of what it was above or below its cycle's median, on top of the median of the last [`OF_LEVEL`] cycles without
//! it. Nothing it is made of is moved by a few values that went astray, and its level by no single day: it is for
//! horizons of many cycles, where the last values say little. Where the slot profile keeps to the longest cycle and its
//! last one, this has one cycle and looks back further.

use std::collections::BTreeMap;

use super::compact::{COARSE, Kept, single};
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use super::profile::mended;
use super::transform::Transform;
use crate::series::{Season, median_of};

/// Cycles of which a place's usual value is the median, the last ones.
const OF_PROFILE: usize = 26;

/// Cycles of which the level is the median, the last ones.
const OF_LEVEL: usize = 4;

/// How often in a cycle the level is looked at anew while values are taken in, at the least: up to seven times where
/// the cycle is not a multiple of this.
const LOOKS: usize = 4;

/// With one season.
#[derive(Clone, Copy, Debug)]
pub(super) struct CycleMedian {
    pub season: Option<Season>,
}

#[derive(Clone, Debug)]
struct FittedCycleMedian {
    transform: Transform,
    // `profile[next]` belongs to the coming step.
    profile: Kept,
    next: usize,
    // The last cycles without the profile, in the order in which they are replaced from `oldest` on. Gaps of the fitted
    // history are NaN; later ones are skipped, so that from then on these are the last values rather than cycles.
    rest: Kept,
    oldest: usize,
    // Their median.
    level: f64,
    // Where `rest` is let go of: how many it was of, and how far off they count.
    thinned: Option<(f32, f32)>,
}

/// The median of what is not a gap; NaN without.
fn middle(values: impl Iterator<Item = f64>) -> f64 {
    median_of(values).unwrap_or(f64::NAN)
}

impl Forecaster for CycleMedian {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let season = self.season.ok_or(FitError::NoSeason)?.steps();
        let n_cycles = (past.len() / season).min(OF_PROFILE);
        let tail = past.tail(n_cycles * season);
        let n_values = tail.len() - tail.n_gaps();
        if n_cycles < 2 || n_values < season {
            return Err(FitError::TooShort { needed: 2 * season, got: n_values });
        }
        let transform = Transform::of(tail.values());
        let cells: Vec<f64> = tail.values().iter().map(|&value| transform.apply(value)).collect();
        let middles: Vec<f64> = cells.chunks_exact(season).map(|cycle| middle(cycle.iter().copied())).collect();
        let of_place = |place: usize| {
            let column = cells.iter().skip(place).step_by(season);
            middle(column.zip(&middles).map(|(value, of_cycle)| value - of_cycle))
        };
        let profile = mended(&(0..season).map(of_place).collect::<Vec<f64>>());
        let from = (n_cycles - OF_LEVEL.min(n_cycles)) * season;
        let rest: Vec<f64> =
            cells[from..].iter().zip(profile.iter().cycle()).map(|(value, usual)| value - usual).collect();
        let level = middle(rest.iter().copied());
        if level.is_nan() {
            return Err(FitError::NotFinite("the last cycles hold no value".to_owned()));
        }
        let (profile, rest) = (Kept::of(&profile), Kept::of(&rest));
        Ok(Box::new(FittedCycleMedian { transform, profile, next: 0, rest, oldest: 0, level, thinned: None }))
    }
}

impl Fitted for FittedCycleMedian {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        for (ahead, point) in points.iter_mut().enumerate() {
            let place = (self.next + ahead) % self.profile.len();
            *point = self.transform.undo(self.level + self.profile.get(place));
        }
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        let rest = self.transform.apply(value) - self.profile.get(self.next);
        self.next = (self.next + 1) % self.profile.len();
        if let Some((n, usual)) = self.thinned {
            if !rest.is_nan() {
                // A median of n moves by one in n of those that come: towards each by as much, however far it lies.
                let off = (rest - self.level).clamp(-f64::from(usual), f64::from(usual));
                self.level += 2.0 * off / (f64::from(n) + 1.0);
            }
            return Updated::Filtered;
        }
        // In a silence the last values known stay the level.
        if !rest.is_nan() {
            self.rest.set(self.oldest, rest);
            self.oldest = (self.oldest + 1) % self.rest.len();
        }
        if self.next.is_multiple_of((self.profile.len() / LOOKS).max(1)) {
            self.level = middle(self.rest.iter());
        }
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::from([("season", self.profile.len() as f64), ("level", self.transform.undo(self.level))])
    }

    fn thin(&mut self, tolerance: f64) {
        self.profile.coarsen(COARSE * self.transform.tolerance(tolerance));
        if self.thinned.is_none() {
            let off = middle(self.rest.iter().map(|rest| (rest - self.level).abs()));
            self.thinned = Some((self.rest.len() as f32, 2.0 * single(off)));
            self.rest = Kept::none();
        }
    }

    fn n_bytes(&self) -> usize {
        self.profile.n_bytes() + self.rest.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::tests::Noise;
    use crate::series::Step;

    fn fit(values: &[f64], season: usize) -> Box<dyn Fitted> {
        CycleMedian { season: Season::new(season) }.fit(&Past::new(0, Step::seconds(3600), values)).unwrap()
    }

    #[test]
    fn places_stand_on_the_middle_of_the_last_four_cycles() {
        // About their cycle's middle the places are -1, 0 and 5, but for two values astray.
        let levels = [-1.0, 0.0, 12.0, 13.0, 14.0, 15.0];
        let mut values: Vec<f64> = levels.iter().flat_map(|level| [level - 1.0, *level, level + 5.0]).collect();
        (values[5], values[9]) = (900.0, -300.0);
        let points = fit(&values, 3).points(Horizon::new(4).unwrap());
        // Without the places the last four are 12 thrice, 13 twice and one astray, 14 and 15 thrice.
        for (point, place) in points.iter().zip([-1.0, 0.0, 5.0, -1.0]) {
            assert!((point - 13.5 - place).abs() < 1e-3, "{points:?}");
        }
    }

    #[test]
    fn what_went_astray_does_not_move_it() {
        let mut noise = Noise::seeded(5);
        let mut values: Vec<f64> = (0..7 * 30).map(|t| 50.0 + f64::from(t % 7) + 0.1 * noise.normal()).collect();
        let calm = fit(&values, 7).points(Horizon::new(14).unwrap());
        (20..210).step_by(11).for_each(|t| values[t] = 500.0);
        let astray = fit(&values, 7).points(Horizon::new(14).unwrap());
        for ((one, other), place) in calm.iter().zip(&astray).zip((0..7).cycle()) {
            assert!((one - 50.0 - f64::from(place)).abs() < 0.2 && (one - other).abs() < 0.2, "{calm:?} {astray:?}");
        }
    }

    #[test]
    fn a_week_of_hours_is_small_and_follows_a_new_level() {
        let at = |t: usize| (t % 168) as f64 + if t >= 1680 { 30.0 } else { 0.0 };
        let values: Vec<f64> = (0..1680).map(at).collect();
        let mut fitted = fit(&values, 168);
        assert!(fitted.n_bytes() <= 4096, "{}", fitted.n_bytes());
        (1680..1680 + 168 * 3).for_each(|t| assert_eq!(fitted.update(at(t), Regressors::NONE), Updated::Filtered));
        let from = 1680 + 168 * 3;
        for (ahead, point) in fitted.points(Horizon::new(168).unwrap()).iter().enumerate() {
            assert!((point - at(from + ahead)).abs() < 1e-3, "{ahead}: {point}");
        }
    }
}

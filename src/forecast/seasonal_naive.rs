//! Seasonal naive: next Monday is like last Monday.
//!
//! In: at least one cycle. Out: the last value seen at each place of the cycle, repeated. The yardstick for series
//! with a season. A place whose value is a gap takes the one of the cycle before; a place never seen, what a straight
//! line between its neighbours in the cycle gives.
//! Source: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", on benchmark methods.

use std::collections::BTreeMap;

use super::compact::{COARSE, Kept};
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use super::profile::mended;
use super::recent::Shared;
use crate::series::Season;

/// Repeats the last cycle.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeasonalNaive {
    pub season: Option<Season>,
}

#[derive(Clone, Debug)]
struct FittedSeasonalNaive {
    // Exactly one cycle, so never empty; `cycle[next]` belongs to the coming step. NaN at a place never seen, but
    // never everywhere.
    cycle: Kept,
    // The cycle without NaN; empty when it has none.
    mended: Kept,
    next: usize,
    // Where the cycle is part of what a pool keeps.
    lent: Option<Lent>,
}

#[derive(Clone, Debug)]
struct Lent {
    recent: Shared,
    season: usize,
}

impl Forecaster for SeasonalNaive {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let season = self.season.ok_or(FitError::NoSeason)?.steps();
        let cells = past.values();
        let n_values = cells.len() - past.n_gaps();
        if cells.len() < season || n_values == 0 {
            return Err(FitError::TooShort { needed: season, got: n_values });
        }
        let mut cycle = vec![f64::NAN; season];
        let mut n_missing = season;
        for (back, &value) in cells.iter().rev().enumerate() {
            let slot = &mut cycle[season - 1 - back % season];
            if slot.is_nan() && !value.is_nan() {
                *slot = value;
                n_missing -= 1;
            }
            if n_missing == 0 {
                break;
            }
        }
        let mended = if n_missing > 0 { Kept::whole(&mended(&cycle)) } else { Kept::none() };
        Ok(Box::new(FittedSeasonalNaive { cycle: Kept::whole(&cycle), mended, next: 0, lent: None }))
    }
}

impl Fitted for FittedSeasonalNaive {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        if let Some(Lent { recent, season }) = &self.lent {
            let recent = recent.read();
            points.iter_mut().enumerate().for_each(|(ahead, point)| *point = recent.get(season - ahead % season));
            return;
        }
        let cycle = if self.mended.is_empty() { &self.cycle } else { &self.mended };
        for (point, value) in points.iter_mut().zip(cycle.iter().cycle().skip(self.next)) {
            *point = value;
        }
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        if self.lent.is_some() {
            return Updated::Filtered;
        }
        if value.is_finite() {
            self.cycle.set(self.next, value);
            if !self.mended.is_empty() {
                let cycle: Vec<f64> = self.cycle.iter().collect();
                let is_known = !cycle.iter().any(|value| value.is_nan());
                self.mended = if is_known { Kept::none() } else { Kept::whole(&mended(&cycle)) };
            }
        }
        self.next = (self.next + 1) % self.cycle.len();
        Updated::Exact
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let season = self.lent.as_ref().map_or(self.cycle.len(), |lent| lent.season);
        BTreeMap::from([("season", season as f64)])
    }

    fn recent(&self) -> Vec<f64> {
        let cycle = if self.mended.is_empty() { &self.cycle } else { &self.mended };
        cycle.iter().cycle().skip(self.next).take(cycle.len()).collect()
    }

    fn lean_on(&mut self, recent: &Shared) {
        let season = self.cycle.len();
        if self.lent.is_none() && recent.read().len() >= season {
            self.lent = Some(Lent { recent: Shared::clone(recent), season });
            (self.cycle, self.mended) = (Kept::none(), Kept::none());
        }
    }

    fn thin(&mut self, tolerance: f64) {
        self.cycle.coarsen(COARSE * tolerance);
        self.mended.coarsen(COARSE * tolerance);
    }

    fn n_bytes(&self) -> usize {
        self.cycle.n_bytes() + self.mended.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::series::Step;

    #[test]
    fn it_repeats_the_last_cycle_over_gaps() {
        let gap = f64::NAN;
        let values = [0.0, 1.0, 2.0, 3.0, gap, 5.0, 6.0];
        let past = Past::new(0, Step::seconds(1), &values);
        let mut fitted = SeasonalNaive { season: Season::new(3) }.fit(&past).unwrap();
        let five = Horizon::new(5).unwrap();
        assert_eq!(fitted.points(five), [1.0, 5.0, 6.0, 1.0, 5.0]);
        fitted.update(7.0, Regressors::NONE);
        assert_eq!(fitted.points(five), [5.0, 6.0, 7.0, 5.0, 6.0]);
    }

    #[test]
    fn a_place_never_seen_lies_between_its_neighbours_round_the_cycle() {
        let gap = f64::NAN;
        let values = [4.0, gap, 2.0, gap, 4.0, gap, 2.0, gap, 4.0];
        let fit =
            |n: usize| SeasonalNaive { season: Season::new(4) }.fit(&Past::new(0, Step::seconds(1), &values[..n]));
        let mut grown = fit(4).unwrap();
        let four = Horizon::new(4).unwrap();
        assert_eq!(grown.points(four), [4.0, 3.0, 2.0, 3.0]);
        for n in 5..=values.len() {
            grown.update(values[n - 1], Regressors::NONE);
            assert_eq!(grown.points(four), fit(n).unwrap().points(four), "{n}");
        }
    }

    #[test]
    fn it_says_what_it_lacks() {
        let past = Past::new(0, Step::seconds(1), &[0.0, 1.0]);
        let fit = |season| SeasonalNaive { season }.fit(&past).unwrap_err();
        assert_eq!(fit(None), FitError::NoSeason);
        assert_eq!(fit(Season::new(3)), FitError::TooShort { needed: 3, got: 2 });
    }
}

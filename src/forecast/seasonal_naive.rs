//! Seasonal naive: next Monday is like last Monday.
//!
//! In: at least one cycle. Out: the last value seen at each place of the cycle, repeated. The yardstick for series
//! with a season. A place whose value is a gap takes the one of the cycle before; a place never seen, what a straight
//! line between its neighbours gives.
//! Source: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", on benchmark methods.

use std::collections::BTreeMap;

use super::model::{FitError, Fitted, Forecaster, Horizon, Updated};
use crate::series::{History, Season};

/// Repeats the last cycle.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeasonalNaive {
    pub season: Option<Season>,
}

#[derive(Clone, Debug)]
struct FittedSeasonalNaive {
    // Exactly one cycle, so never empty; `cycle[next]` belongs to the coming step.
    cycle: Vec<f64>,
    next: usize,
}

impl Forecaster for SeasonalNaive {
    fn fit(&self, history: &History) -> Result<Box<dyn Fitted>, FitError> {
        let season = self.season.ok_or(FitError::NoSeason)?.steps();
        let cells = history.values();
        let n_values = cells.len() - history.n_gaps();
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
        if n_missing > 0 {
            cycle = History::new(0, history.step(), cycle).filled();
        }
        Ok(Box::new(FittedSeasonalNaive { cycle, next: 0 }))
    }
}

impl Fitted for FittedSeasonalNaive {
    fn points(&self, horizon: Horizon) -> Vec<f64> {
        self.cycle.iter().copied().cycle().skip(self.next).take(horizon.steps()).collect()
    }

    fn update(&mut self, value: f64) -> Updated {
        if value.is_finite() {
            self.cycle[self.next] = value;
        }
        self.next = (self.next + 1) % self.cycle.len();
        Updated::InPlace
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::from([("season", self.cycle.len() as f64)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Step;

    #[test]
    fn it_repeats_the_last_cycle_over_gaps() {
        let gap = f64::NAN;
        let history = History::new(0, Step::seconds(1), vec![0.0, 1.0, 2.0, 3.0, gap, 5.0, 6.0]);
        let mut fitted = SeasonalNaive { season: Season::new(3) }.fit(&history).unwrap();
        let five = Horizon::new(5).unwrap();
        assert_eq!(fitted.points(five), [1.0, 5.0, 6.0, 1.0, 5.0]);
        fitted.update(7.0);
        assert_eq!(fitted.points(five), [5.0, 6.0, 7.0, 5.0, 6.0]);
    }

    #[test]
    fn it_says_what_it_lacks() {
        let history = History::new(0, Step::seconds(1), vec![0.0, 1.0]);
        let fit = |season| SeasonalNaive { season }.fit(&history).unwrap_err();
        assert_eq!(fit(None), FitError::NoSeason);
        assert_eq!(fit(Season::new(3)), FitError::TooShort { needed: 3, got: 2 });
    }
}

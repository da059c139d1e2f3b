//! MSTL: the series taken apart into seasons and a rest, each continued and put together again.
//!
//! In: at least two of the longest cycle. Out: the last cycle of each season on top of what a trend method, any of ours,
//! makes of the values without them. Gaps are crossed by lines for the decomposition alone; the trend method sees them.
//! Source: Bandara, Hyndman and Bergmeir, "MSTL: A seasonal-trend decomposition algorithm", 2021, over Cleveland and
//! others, "STL", 1990; the loess is the library's that augurs brings, in 64 bits.
//!
//! Values are centred and scaled first. A long history is cut to its last [`LONGEST`] cells or [`MOST_CYCLES`] of the
//! longest cycle, whichever is more.

use std::collections::BTreeMap;

use augurs::mstl::stlrs;

use super::damped::Damped;
use super::ets::Ets;
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use super::scale::Scale;
use super::theta::Theta;
use crate::series::Season;

/// Cells that a fit looks back on.
const LONGEST: usize = 1000;

/// Cycles of the longest season that a fit looks back on when that is longer.
const MOST_CYCLES: usize = 5;

/// The cells that the loess of STL may jump at most; R's default is a tenth of the window.
const JUMPS_PER_WINDOW: usize = 10;

/// Passes over season and trend; R's default.
const N_PASSES: usize = 2;

/// Decomposes by `seasons`, shortest first.
#[derive(Clone, Debug)]
pub(super) struct Mstl {
    pub seasons: Vec<Season>,
    /// Makes the method that continues the rest.
    pub trend: fn() -> Box<dyn Forecaster>,
}

impl Mstl {
    /// With a damped trend.
    pub fn of(seasons: &[Season]) -> Mstl {
        Mstl { seasons: seasons.to_vec(), trend: || Box::new(Damped::default()) }
    }

    /// With exponential smoothing chosen by AICc.
    pub fn with_ets(seasons: &[Season]) -> Mstl {
        Mstl { seasons: seasons.to_vec(), trend: || Box::new(Ets { season: None }) }
    }

    /// With theta.
    pub fn with_theta(seasons: &[Season]) -> Mstl {
        Mstl { seasons: seasons.to_vec(), trend: || Box::new(Theta { season: None, member: None }) }
    }
}

#[derive(Debug)]
struct FittedMstl {
    trend: Box<dyn Fitted>,
    // The last cycle of each season, in the values' unit; `cycle[next % len]` belongs to the coming step.
    cycles: Vec<Vec<f64>>,
    next: usize,
}

impl Forecaster for Mstl {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let mut seasons: Vec<usize> = self.seasons.iter().map(|season| season.steps()).collect();
        // The shortest must go first, or the longest would take its pattern with it.
        seasons.sort_unstable();
        seasons.dedup();
        let longest = *seasons.last().ok_or(FitError::NoSeason)?;
        let tail = past.tail(LONGEST.max(MOST_CYCLES * longest));
        let n_values = tail.len() - tail.n_gaps();
        let needed = (2 * longest + 1).max(8);
        if n_values < needed {
            return Err(FitError::TooShort { needed, got: n_values });
        }
        let filled = tail.filled();
        let scale = Scale::centred(&filled);
        let scaled: Vec<f64> = filled.iter().map(|&value| scale.apply(value)).collect();
        let parts = decompose(&scaled, &seasons)?;
        let without = |(idx, value): (usize, &f64)| {
            let of_seasons: f64 = parts.iter().map(|part| part[idx]).sum();
            if value.is_nan() { f64::NAN } else { scale.undo(scaled[idx] - of_seasons) }
        };
        let rest: Vec<f64> = tail.values().iter().enumerate().map(without).collect();
        let trend = (self.trend)().fit(&Past::new(tail.start(), tail.step(), &rest))?;
        let last_cycle = |(part, steps): (&Vec<f64>, &usize)| -> Vec<f64> {
            part[part.len() - steps..].iter().map(|value| value * scale.unit()).collect()
        };
        let cycles = parts.iter().zip(&seasons).map(last_cycle).collect();
        Ok(Box::new(FittedMstl { trend, cycles, next: 0 }))
    }
}

/// What each season adds at each cell.
fn decompose(scaled: &[f64], seasons: &[usize]) -> Result<Vec<Vec<f64>>, FitError> {
    let longest = seasons.last().copied().unwrap_or(1);
    let mut stl = stlrs::params();
    stl.seasonal_degree(0).trend_degree(1).low_pass_degree(1).inner_loops(N_PASSES).outer_loops(0);
    let jump = |window: usize| (window / JUMPS_PER_WINDOW).max(1);
    stl.seasonal_jump(1).trend_jump(jump(3 * longest / 2)).low_pass_jump(jump(longest));
    let mut params = stlrs::MstlParams::new();
    params.stl_params(stl);
    let parts = params.fit(scaled, seasons).map_err(|error| FitError::NotFinite(error.to_string()))?;
    let (seasonal, ..) = parts.into_parts();
    let is_finite = seasonal.iter().flatten().all(|value| value.is_finite());
    if is_finite { Ok(seasonal) } else { Err(FitError::NotFinite("the decomposition".to_owned())) }
}

impl FittedMstl {
    fn of_seasons(&self, ahead: usize) -> f64 {
        self.cycles.iter().map(|cycle| cycle[(self.next + ahead) % cycle.len()]).sum()
    }
}

impl Fitted for FittedMstl {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        self.trend.points_into(known, points);
        for (ahead, point) in points.iter_mut().enumerate() {
            *point = (*point + self.of_seasons(ahead)).clamp(-f64::MAX, f64::MAX);
        }
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        let updated = self.trend.update(value - self.of_seasons(0), known);
        if updated == Updated::NeedsRefit {
            return updated;
        }
        self.next += 1;
        Updated::Filtered
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let names = ["season", "second_season", "third_season"];
        let mut settings = self.trend.settings();
        settings.extend(names.into_iter().zip(self.cycles.iter().map(|cycle| cycle.len() as f64)));
        settings
    }

    fn n_bytes(&self) -> usize {
        let of_cycles = self.cycles.iter().map(|cycle| size_of_val(cycle.as_slice())).sum::<usize>();
        size_of_val(&*self.trend) + self.trend.n_bytes() + size_of_val(self.cycles.as_slice()) + of_cycles
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::air_passengers::AIR_PASSENGERS;
    use crate::forecast::naive::Naive;
    use crate::series::Step;

    /// statsmodels 0.14: STL with a seasonal window of 11 and degree 0, two inner passes, none outer.
    #[test]
    fn the_decomposition_gives_the_reference_seasons() {
        let seasonal = decompose(&AIR_PASSENGERS, &[12]).unwrap().swap_remove(0);
        for (idx, expected) in [(0, -16.99670858), (72, -24.64646247), (143, -44.06779986)] {
            assert!((seasonal[idx] - expected).abs() < 1e-6, "{idx}: {}", seasonal[idx]);
        }
    }

    fn at(t: usize) -> f64 {
        let (day, week) = (t % 24, t / 24 % 7);
        1e9 + 0.02 * t as f64 + (day as f64 - 11.5).abs() + if week >= 5 { -6.0 } else { 0.0 }
    }

    const N: usize = 24 * 7 * 4 + 5;

    fn error(fitted: &dyn Fitted, from: usize) -> f64 {
        let points = fitted.points(Horizon::new(168).unwrap());
        points.iter().enumerate().map(|(idx, p)| (p - at(from + idx)).abs()).sum::<f64>() / 168.0
    }

    #[test]
    fn two_seasons_are_continued_by_any_trend_and_move_on() {
        let mut values: Vec<f64> = (0..N).map(at).collect();
        values[200] = f64::NAN;
        let past = Past::new(0, Step::seconds(3600), &values);
        let seasons: Vec<Season> = [24, 168].into_iter().filter_map(Season::new).collect();
        for mstl in [Mstl::of(&seasons), Mstl::with_ets(&seasons), Mstl::with_theta(&seasons)] {
            let mut fitted = mstl.fit(&past).unwrap();
            assert!(error(&*fitted, N) < 1.2, "{}", error(&*fitted, N));
            assert_eq!((fitted.settings()["season"], fitted.settings()["second_season"]), (24.0, 168.0));
            assert!(fitted.n_bytes() < 4096, "{}", fitted.n_bytes());
            if fitted.update(at(N), Regressors::NONE) == Updated::Filtered {
                assert!(error(&*fitted, N + 1) < 2.0, "{}", error(&*fitted, N + 1));
            }
        }
        let flat = Mstl { seasons, trend: || Box::new(Naive) }.fit(&past).unwrap();
        assert!(error(&*flat, N) < 4.0, "{}", error(&*flat, N));
    }
}

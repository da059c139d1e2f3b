//! MSTL: the series taken apart into a trend and one season or two, each continued and put together again.
//!
//! In: at least two of the longest cycle; gaps are filled by straight lines. Out: the last cycle of each season on a
//! trend that any method of ours continues. The decomposition is augurs' (its `stlrs`); the trend's method, a damped
//! smoothing unless told otherwise, reaches it through augurs' own trait. Source: Bandara, Hyndman and Bergmeir, "MSTL: A seasonal-trend decomposition algorithm", 2021.
//!
//! augurs computes in 32-bit floats. Values are centred and scaled to -1..1 first, so that what is lost is a ten
//! millionth of their spread, not of their size. A long history is cut to its last [`LONGEST`] cells or
//! [`MOST_CYCLES`] of the longest cycle, whichever is more.

use std::collections::BTreeMap;

use augurs::mstl::{FittedMSTLModel, MSTLModel, stlrs};
use augurs::{Fit, Predict};

use super::damped::Damped;
use super::edge_augurs::AugursTrend;
use super::model::{FitError, Fitted, Forecaster};
use super::past::{Past, Regressors};
use super::scale::Scale;
use crate::series::Season;

/// Cells that a fit looks back on.
const LONGEST: usize = 1000;

/// Cycles of the longest season that a fit looks back on when that is longer.
const MOST_CYCLES: usize = 5;

/// The cells that the loess of STL may jump at most; R's default is a tenth of the window.
const JUMPS_PER_WINDOW: usize = 10;

/// Decomposes by `seasons`, shortest first.
#[derive(Clone, Debug)]
pub(super) struct Mstl {
    pub seasons: Vec<Season>,
    /// Makes the method that continues the trend.
    pub trend: fn() -> Box<dyn Forecaster>,
}

impl Mstl {
    /// With a damped trend.
    pub fn of(seasons: &[Season]) -> Mstl {
        Mstl { seasons: seasons.to_vec(), trend: || Box::new(Damped::default()) }
    }
}

#[derive(Debug)]
struct FittedMstl {
    scale: Scale,
    model: FittedMSTLModel,
    seasons: Vec<usize>,
    // augurs keeps the whole decomposition, in 32 bits: each season, the trend, the rest and weights, and the values.
    n_held: usize,
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
        let scaled: Vec<f64> = filled.into_iter().map(|value| scale.apply(value)).collect();
        let trend = AugursTrend { method: (self.trend)(), start: tail.start(), step: tail.step() };
        let model = MSTLModel::new(seasons.clone(), trend)
            .mstl_params(params(longest))
            .fit(&scaled)
            .map_err(|error| FitError::NotFinite(error.to_string()))?;
        let n_held = (seasons.len() + 4) * scaled.len() * size_of::<f32>();
        let fitted = FittedMstl { scale, model, seasons, n_held };
        let mut one_cycle = vec![0.0; longest];
        fitted.points_into(Regressors::NONE, &mut one_cycle);
        if one_cycle.iter().any(|point| !point.is_finite()) {
            return Err(FitError::NotFinite("the decomposition".to_owned()));
        }
        Ok(Box::new(fitted))
    }
}

/// R's settings, with jumps so that long cycles stay affordable.
fn params(longest: usize) -> stlrs::MstlParams {
    let mut stl = stlrs::params();
    let window = 3 * longest / 2;
    let jump = (window / JUMPS_PER_WINDOW).max(1);
    stl.seasonal_degree(0).trend_degree(1).low_pass_degree(1).inner_loops(2).outer_loops(0);
    stl.seasonal_jump(2).trend_jump(jump).low_pass_jump((longest / JUMPS_PER_WINDOW).max(1));
    let mut params = stlrs::MstlParams::new();
    params.stl_params(stl);
    params
}

impl Fitted for FittedMstl {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        // The trend and the seasons have been fitted, and neither can fail without intervals.
        let ahead = self.model.predict(points.len(), None).map(|forecast| forecast.point).unwrap_or_default();
        for (point, ahead) in points.iter_mut().zip(ahead) {
            *point = self.scale.undo(ahead);
        }
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let names = ["season", "second_season", "third_season"];
        names.into_iter().zip(self.seasons.iter().map(|&steps| steps as f64)).collect()
    }

    fn n_bytes(&self) -> usize {
        self.n_held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::naive::Naive;
    use crate::series::Step;

    #[test]
    fn two_seasons_on_a_trend_are_continued() {
        let at = |t: usize| {
            let (day, week) = (t % 24, t / 24 % 7);
            1e9 + 0.02 * t as f64 + (day as f64 - 11.5).abs() + if week >= 5 { -6.0 } else { 0.0 }
        };
        let n = 24 * 7 * 4 + 5;
        let values: Vec<f64> = (0..n).map(at).collect();
        let past = Past::new(0, Step::seconds(3600), &values);
        let seasons: Vec<Season> = [24, 168].into_iter().filter_map(Season::new).collect();
        let fitted = Mstl::of(&seasons).fit(&past).unwrap();
        let points = fitted.points(Horizon::new(168).unwrap());
        let error = points.iter().enumerate().map(|(idx, p)| (p - at(n + idx)).abs()).sum::<f64>() / 168.0;
        assert!(error < 1.2, "{error}");
        assert_eq!(fitted.settings(), BTreeMap::from([("season", 24.0), ("second_season", 168.0)]));
        let flat = Mstl { seasons, trend: || Box::new(Naive) }.fit(&past).unwrap();
        let last = flat.points(Horizon::new(168).unwrap());
        let error = last.iter().enumerate().map(|(idx, p)| (p - at(n + idx)).abs()).sum::<f64>() / 168.0;
        assert!(last != points && error < 4.0, "{error}");
    }
}

//! MSTL: the series taken apart into a trend and one season or two, each continued and put together again.
//!
//! In: at least two of the longest cycle; gaps are filled by straight lines. Out: the last cycle of each season on a
//! damped trend. The decomposition is augurs' (its `stlrs`); the trend model is our damped smoothing through augurs'
//! own trait. Source: Bandara, Hyndman and Bergmeir, "MSTL: A seasonal-trend decomposition algorithm", 2021.
//!
//! augurs computes in 32-bit floats. Values are centred and scaled to -1..1 first, so that what is lost is a ten
//! millionth of their spread, not of their size. A long history is cut to its last [`LONGEST`] cells or
//! [`MOST_CYCLES`] of the longest cycle, whichever is more.

use std::collections::BTreeMap;

use augurs::mstl::{FittedMSTLModel, MSTLModel, stlrs};
use augurs::{Fit, Predict};

use super::damped::Damped;
use super::edge_augurs::AugursTrend;
use super::model::{FitError, Fitted, Forecaster, Horizon};
use super::scale::Scale;
use crate::series::{History, Season};

/// Cells that a fit looks back on.
const LONGEST: usize = 1000;

/// Cycles of the longest season that a fit looks back on when that is longer.
const MOST_CYCLES: usize = 5;

/// The cells that the loess of STL may jump at most; R's default is a tenth of the window.
const JUMPS_PER_WINDOW: usize = 10;

/// Decomposes by `seasons`, shortest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Mstl {
    pub seasons: Vec<Season>,
}

#[derive(Debug)]
struct FittedMstl {
    scale: Scale,
    model: FittedMSTLModel,
    seasons: Vec<usize>,
}

impl Forecaster for Mstl {
    fn fit(&self, history: &History) -> Result<Box<dyn Fitted>, FitError> {
        let mut seasons: Vec<usize> = self.seasons.iter().map(|season| season.steps()).collect();
        // The shortest must go first, or the longest would take its pattern with it.
        seasons.sort_unstable();
        seasons.dedup();
        let longest = *seasons.last().ok_or(FitError::NoSeason)?;
        let tail = history.tail(LONGEST.max(MOST_CYCLES * longest));
        let n_values = tail.len() - tail.n_gaps();
        let needed = (2 * longest + 1).max(8);
        if n_values < needed {
            return Err(FitError::TooShort { needed, got: n_values });
        }
        let filled = tail.filled();
        let scale = Scale::centred(&filled);
        let scaled: Vec<f64> = filled.into_iter().map(|value| scale.apply(value)).collect();
        let trend = AugursTrend { name: "damped", method: Damped::default() };
        let model = MSTLModel::new(seasons.clone(), trend)
            .mstl_params(params(longest))
            .fit(&scaled)
            .map_err(|error| FitError::NotFinite(error.to_string()))?;
        let fitted = FittedMstl { scale, model, seasons };
        let one_cycle = Horizon::new(longest).expect("a season is at least two steps");
        if fitted.points(one_cycle).iter().any(|point| !point.is_finite()) {
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
    fn points(&self, horizon: Horizon) -> Vec<f64> {
        // The trend and the seasons have been fitted, and neither can fail without intervals.
        let points = self.model.predict(horizon.steps(), None).map(|forecast| forecast.point).unwrap_or_default();
        points.into_iter().map(|point| self.scale.undo(point)).collect()
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        let names = ["season", "second_season", "third_season"];
        names.into_iter().zip(self.seasons.iter().map(|&steps| steps as f64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Step;

    #[test]
    fn two_seasons_on_a_trend_are_continued() {
        let at = |t: usize| {
            let (day, week) = (t % 24, t / 24 % 7);
            1e9 + 0.02 * t as f64 + (day as f64 - 11.5).abs() + if week >= 5 { -6.0 } else { 0.0 }
        };
        let n = 24 * 7 * 4 + 5;
        let history = History::new(0, Step::seconds(3600), (0..n).map(at).collect());
        let seasons = [24, 168].into_iter().filter_map(Season::new).collect();
        let fitted = Mstl { seasons }.fit(&history).unwrap();
        let points = fitted.points(Horizon::new(168).unwrap());
        let error = points.iter().enumerate().map(|(idx, p)| (p - at(n + idx)).abs()).sum::<f64>() / 168.0;
        assert!(error < 1.2, "{error}");
        assert_eq!(fitted.settings(), BTreeMap::from([("season", 24.0), ("second_season", 168.0)]));
    }
}

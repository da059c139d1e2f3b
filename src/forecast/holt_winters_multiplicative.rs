//! Holt-Winters, multiplicative: a level, a trend and a season that is multiplied.
//!
//! In: At least two cycles of positive values. Out: a line with the season multiplied with it. The trend may be damped;
//! how much is estimated, and 1, which is not at all, is within reach.
//! Source: Winters, "Forecasting sales by exponentially weighted moving averages", 1960; recursion and estimation in
//! `smoothing`.

use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;
use super::smoothing::{self, Seasonal, Shape, Trend, Weights};
use crate::series::Season;

/// The share of the trend kept per step: from R's lower bound to a trend that goes on for ever.
const DAMPING: Trend = Trend::Damped { least: 0.8, most: 1.0 };

/// A level, a trend and a season that is multiplied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HoltWintersMultiplicative {
    pub season: Option<Season>,
    /// Used instead of estimated ones.
    pub fixed: Option<Weights>,
}

impl Forecaster for HoltWintersMultiplicative {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let season = self.season.ok_or(FitError::NoSeason)?;
        let shape = Shape { trend: DAMPING, seasonal: Seasonal::Multiplicative(season.steps()) };
        Ok(Box::new(smoothing::fit(shape, self.fixed, past)?))
    }
}

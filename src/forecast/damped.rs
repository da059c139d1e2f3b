//! Damped Holt: a level and a trend that levels off.
//!
//! In: at least four values. Out: a line that bends towards a plateau; safer than Holt's beyond a few steps.
//! Source: Gardner and McKenzie, "Forecasting trends in time series", 1985; recursion and estimation in `smoothing`.

use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;
use super::smoothing::{self, Seasonal, Shape, Trend, Weights};

/// The share of the trend kept per step; the bounds that R's `ets` uses.
const DAMPING: Trend = Trend::Damped { least: 0.8, most: 0.98 };

/// A level and a trend that fades.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Damped {
    /// Used instead of estimated ones.
    pub fixed: Option<Weights>,
}

impl Forecaster for Damped {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let shape = Shape { trend: DAMPING, seasonal: Seasonal::None };
        Ok(Box::new(smoothing::fit(shape, self.fixed, past)?))
    }
}

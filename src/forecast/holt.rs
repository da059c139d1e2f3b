//! Holt's linear method: a level and a trend that both forget, the trend going on for ever.
//!
//! In: at least four values. Out: a straight line. Source: Holt, "Forecasting seasonals and trends by exponentially
//! weighted moving averages", 1957; recursion and estimation in `smoothing`.

use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;
use super::smoothing::{self, Seasonal, Shape, Trend, Weights};

/// A level and a straight trend.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holt {
    /// Used instead of estimated ones.
    pub fixed: Option<Weights>,
}

impl Forecaster for Holt {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let shape = Shape { trend: Trend::Straight, seasonal: Seasonal::None };
        Ok(Box::new(smoothing::fit(shape, self.fixed, past)?))
    }
}

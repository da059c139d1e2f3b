//! Simple exponential smoothing: a level that forgets.
//!
//! In: at least two values. Out: one level for every lead; older values count less, by the estimated weight alpha.
//! Source: Brown, "Statistical Forecasting for Inventory Control", 1959; recursion and estimation in `smoothing`.

use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;
use super::smoothing::{self, Seasonal, Shape, Trend, Weights};

/// A level and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ses {
    /// Used instead of estimated ones.
    pub fixed: Option<Weights>,
}

impl Forecaster for Ses {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let shape = Shape { trend: Trend::None, seasonal: Seasonal::None };
        Ok(Box::new(smoothing::fit(shape, self.fixed, past)?))
    }
}

//! Croston's method for intermittent counts: the usual size of what comes, by the usual interval between.
//!
//! Source: Croston, "Forecasting and stock control for intermittent demands", 1972; the recursion is in `intermittent`.

use super::intermittent::{self, Rule};
use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;

/// Size by interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Croston;

impl Forecaster for Croston {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        intermittent::fit(Rule::Croston, past)
    }
}

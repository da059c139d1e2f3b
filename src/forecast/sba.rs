//! Croston's method without its bias: a mean of ratios is too large, by about half the smoothing weight.
//!
//! Source: Syntetos and Boylan, "The accuracy of intermittent demand estimates", 2005; the recursion is in `intermittent`.

use super::intermittent::{self, Rule};
use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;

/// Size by interval, less its bias.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sba;

impl Forecaster for Sba {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        intermittent::fit(Rule::Sba, past)
    }
}

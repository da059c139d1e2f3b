//! Size times chance for intermittent counts that may die out: the chance falls at every step at which nothing comes.
//!
//! Source: Teunter, Syntetos and Babai, "Intermittent demand: linking forecasting to inventory obsolescence", 2011; the
//! recursion is in `intermittent`.

use super::intermittent::{self, Rule};
use super::model::{FitError, Fitted, Forecaster};
use super::past::Past;

/// Size times chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tsb;

impl Forecaster for Tsb {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        intermittent::fit(Rule::Tsb, past)
    }
}

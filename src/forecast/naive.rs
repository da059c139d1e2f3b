//! Naive: tomorrow is like today.
//!
//! In: a history with at least one value.
//! Out: the last value, for ever. The best forecast of a random walk, and the yardstick of every other method.

use std::collections::BTreeMap;

use super::model::{FitError, Fitted, Forecaster, Horizon, Updated};
use crate::series::History;

/// Repeats the last value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naive;

#[derive(Clone, Debug)]
struct FittedNaive {
    last: f64,
}

impl Forecaster for Naive {
    fn fit(&self, history: &History) -> Result<Box<dyn Fitted>, FitError> {
        let last = history.values().iter().rev().find(|value| !value.is_nan());
        let last = *last.ok_or(FitError::TooShort { needed: 1, got: 0 })?;
        Ok(Box::new(FittedNaive { last }))
    }
}

impl Fitted for FittedNaive {
    fn points(&self, horizon: Horizon) -> Vec<f64> {
        vec![self.last; horizon.steps()]
    }

    fn update(&mut self, value: f64) -> Updated {
        if value.is_finite() {
            self.last = value;
        }
        Updated::InPlace
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Step;

    #[test]
    fn it_repeats_the_last_value_and_passes_over_gaps() {
        let history = History::new(0, Step::seconds(1), vec![1.0, 4.0, f64::NAN]);
        let mut fitted = Naive.fit(&history).unwrap();
        let two = Horizon::new(2).unwrap();
        assert_eq!(fitted.points(two), [4.0, 4.0]);
        fitted.update(5.0);
        fitted.update(f64::NAN);
        assert_eq!(fitted.points(two), [5.0, 5.0]);
    }
}

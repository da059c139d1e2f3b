//! Naive: tomorrow is like today.
//!
//! In: a history with at least one value.
//! Out: the last value, for ever. The best forecast of a random walk, and the yardstick of every other method.

use std::collections::BTreeMap;

use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};

/// Repeats the last value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naive;

#[derive(Clone, Debug)]
struct FittedNaive {
    last: f64,
}

impl Forecaster for Naive {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let last = past.values().iter().rev().find(|value| !value.is_nan());
        let last = *last.ok_or(FitError::TooShort { needed: 1, got: 0 })?;
        Ok(Box::new(FittedNaive { last }))
    }
}

impl Fitted for FittedNaive {
    fn points_into(&self, _known: Regressors<'_>, points: &mut [f64]) {
        points.fill(self.last);
    }

    fn update(&mut self, value: f64, _known: Regressors<'_>) -> Updated {
        if value.is_finite() {
            self.last = value;
        }
        Updated::Exact
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        BTreeMap::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::series::Step;

    #[test]
    fn it_repeats_the_last_value_and_passes_over_gaps() {
        let values = [1.0, 4.0, f64::NAN];
        let mut fitted = Naive.fit(&Past::new(0, Step::seconds(1), &values)).unwrap();
        let two = Horizon::new(2).unwrap();
        assert_eq!(fitted.points(two), [4.0, 4.0]);
        fitted.update(5.0, Regressors::NONE);
        fitted.update(f64::NAN, Regressors::NONE);
        assert_eq!(fitted.points(two), [5.0, 5.0]);
    }
}

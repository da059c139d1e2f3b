//! Forecasts that the metric can take: within its range, whole where it counts.
//!
//! Wrapped around a method before it is judged, so that selection, bands and answers see the same points.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::guard::clip;
use super::model::{FitError, Fitted, Forecaster, Updated};
use super::past::{Past, Regressors};
use super::recent::Shared;

/// A method whose points keep to what is known of the metric.
pub(super) struct Shaped<F>(pub F);

#[derive(Debug)]
struct FittedShaped {
    inner: Box<dyn Fitted>,
    facts: Facts,
}

/// The nearest value to `value` that the metric can take.
pub(super) fn shape(value: f64, facts: &Facts) -> f64 {
    let value = if facts.is_integer { value.round() } else { value };
    clip(value, facts.min, facts.max)
}

impl<F: Forecaster> Forecaster for Shaped<F> {
    fn fit(&self, past: &Past<'_>) -> Result<Box<dyn Fitted>, FitError> {
        let inner = self.0.fit(past)?;
        let facts = past.facts();
        if facts.min.is_none() && facts.max.is_none() && !facts.is_integer {
            return Ok(inner);
        }
        Ok(Box::new(FittedShaped { inner, facts: facts.clone() }))
    }
}

impl Fitted for FittedShaped {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        self.inner.points_into(known, points);
        points.iter_mut().for_each(|point| *point = shape(*point, &self.facts));
    }

    fn quantile_into(&self, share: f64, known: Regressors<'_>, points: &mut [f64]) -> bool {
        let knows = self.inner.quantile_into(share, known, points);
        points.iter_mut().filter(|_| knows).for_each(|point| *point = shape(*point, &self.facts));
        knows
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        self.facts.take(value);
        self.inner.update(value, known)
    }

    fn fitted_again(&self, past: &Past<'_>) -> Option<Box<dyn Fitted>> {
        let inner = self.inner.fitted_again(past)?;
        Some(Box::new(FittedShaped { inner, facts: self.facts.clone() }))
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        self.inner.settings()
    }

    fn recent(&self) -> Vec<f64> {
        self.inner.recent()
    }

    fn lean_on(&mut self, recent: &Shared) {
        self.inner.lean_on(recent);
    }

    fn thin(&mut self, tolerance: f64) {
        self.inner.thin(tolerance);
    }

    fn n_bytes(&self) -> usize {
        size_of_val(&*self.inner) + self.inner.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Horizon;
    use crate::forecast::linear::Linear;
    use crate::series::Step;

    #[test]
    fn points_keep_to_the_range_and_to_whole_numbers() {
        let values: Vec<f64> = (0..20).map(|t| 30.0 - 1.4 * f64::from(t)).collect();
        let facts = Facts { min: Some(0.0), max: Some(2.5), is_integer: true, ..Facts::default() };
        let past = Past::new(0, Step::seconds(1), &values).with_facts(&facts);
        let points = Shaped(Linear::default()).fit(&past).unwrap().points(Horizon::new(5).unwrap());
        assert_eq!(points, [2.0, 1.0, 0.0, 0.0, 0.0]);
    }
}

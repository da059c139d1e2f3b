//! Our methods in augurs' ecosystem.
//!
//! [`Augurs`] wraps any [`Forecaster`] as augurs' `Fit` and `Predict`, so that it runs wherever augurs takes a model.
//! Intervals are split conformal, from a replay of the wrapped method on the same values; a level that the values cannot
//! promise is an error, not a made-up width.
//!
//! augurs hands over bare values. Where a method goes by the calendar, [`Augurs::starting`] says when they begin.
//!
//! augurs asks for in-sample predictions as well: ours are one-step forecasts from a replay, so out-of-sample; NaN
//! where there were too few values before.

use std::fmt;
use std::sync::Arc;

use augurs::{Fit, ModelError, Predict};

use super::backtest::{MOST_FITS, MOST_ORIGINS, Plan, replay};
use super::conformal::Conformal;
use super::model::{Coverage, FitError, Fitted, Forecaster, Horizon, Updated};
use super::past::{Past, Regressors};
use crate::series::{Millis, Step};

/// A [`Forecaster`] as augurs' `Fit`.
#[derive(Clone)]
pub struct Augurs {
    method: Arc<dyn Forecaster>,
    start: Millis,
    step: Step,
}

/// A fitted method as augurs' `Predict`.
#[derive(Clone)]
pub struct FittedAugurs {
    by: Augurs,
    fitted: Arc<dyn Fitted>,
    values: Arc<[f64]>,
}

/// Why augurs gets no model or prediction.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AugursError {
    /// The method cannot be fitted.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The level is not between 0 and 1, or cannot be promised.
    #[error("no interval at level {level}: {reason}")]
    NoInterval {
        /// What was asked for.
        level: f64,
        /// Why there is none.
        reason: String,
    },
}

impl ModelError for AugursError {}

impl fmt::Debug for Augurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Augurs")
    }
}

impl fmt::Debug for FittedAugurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FittedAugurs").field("fitted", &self.fitted).finish_non_exhaustive()
    }
}

impl Augurs {
    /// Wraps `method`; values are taken for seconds since the epoch.
    pub fn new(method: Box<dyn Forecaster>) -> Augurs {
        Augurs { method: method.into(), start: 0, step: Step::seconds(1) }
    }

    /// The same for values that begin at `start` and stand `step` apart.
    #[must_use]
    pub fn starting(self, start: Millis, step: Step) -> Augurs {
        Augurs { start, step, ..self }
    }

    fn past<'a>(&self, values: &'a [f64]) -> Past<'a> {
        Past::new(self.start, self.step, values)
    }
}

/// augurs' callers may hand in infinities, which are gaps here.
fn cleared(values: &[f64]) -> Vec<f64> {
    values.iter().map(|&value| if value.is_finite() { value } else { f64::NAN }).collect()
}

impl Fit for Augurs {
    type Fitted = FittedAugurs;
    type Error = AugursError;

    fn fit(&self, y: &[f64]) -> Result<FittedAugurs, AugursError> {
        let values = cleared(y);
        let fitted = self.method.fit(&self.past(&values))?;
        Ok(FittedAugurs { by: self.clone(), fitted: fitted.into(), values: values.into() })
    }
}

impl FittedAugurs {
    /// Lower and upper offsets for each of `n_leads`, or why there are none.
    fn offsets(&self, n_leads: usize, level: f64) -> Result<Vec<(f64, f64)>, AugursError> {
        let coverage = Coverage::new(level)
            .ok_or_else(|| AugursError::NoInterval { level, reason: "it must lie between 0 and 1".to_owned() })?;
        let past = self.by.past(&self.values);
        let replayed = Plan::new(past.len(), n_leads.max(1), None, MOST_ORIGINS)
            .map(|plan| replay(&*self.by.method, &past, &plan, MOST_FITS).known())
            .unwrap_or_default();
        let bands = Conformal::new(&replayed, None);
        bands.check(n_leads).map_err(|reason| AugursError::NoInterval { level, reason })?;
        let reaches = bands.reaches(coverage.share());
        Ok((0..n_leads).map(|lead| reaches(past.len(), lead)).map(|(below, above)| (-below, above)).collect())
    }
}

impl Predict for FittedAugurs {
    type Error = AugursError;

    fn predict_in_sample_inplace(
        &self,
        level: Option<f64>,
        forecast: &mut augurs::Forecast,
    ) -> Result<(), AugursError> {
        forecast.point = self.one_step_replay();
        forecast.intervals = match level {
            Some(level) => {
                let offset = self.offsets(1, level)?[0];
                Some(around(&forecast.point, level, |_| offset))
            }
            None => None,
        };
        Ok(())
    }

    fn predict_inplace(
        &self,
        horizon: usize,
        level: Option<f64>,
        forecast: &mut augurs::Forecast,
    ) -> Result<(), AugursError> {
        forecast.point = Horizon::new(horizon).map_or_else(Vec::new, |horizon| self.fitted.points(horizon));
        forecast.intervals = match level {
            Some(level) => {
                let offsets = self.offsets(horizon, level)?;
                Some(around(&forecast.point, level, |idx| offsets[idx]))
            }
            None => None,
        };
        Ok(())
    }

    fn training_data_size(&self) -> usize {
        self.values.len()
    }
}

fn around(points: &[f64], level: f64, offset: impl Fn(usize) -> (f64, f64)) -> augurs::ForecastIntervals {
    let (lower, upper) =
        points.iter().enumerate().map(|(idx, point)| (point + offset(idx).0, point + offset(idx).1)).unzip();
    augurs::ForecastIntervals { level, lower, upper }
}

impl FittedAugurs {
    /// The forecast of each value from those before it; refitted when the values have doubled.
    fn one_step_replay(&self) -> Vec<f64> {
        let one = Horizon::new(1).expect("one is not zero");
        let past = self.by.past(&self.values);
        let mut fitted: Option<Box<dyn Fitted>> = None;
        let mut fit_again_at = 0;
        (0..past.len())
            .map(|n| {
                let took = match &mut fitted {
                    Some(fitted) if n < fit_again_at => {
                        fitted.update(self.values[n - 1], Regressors::NONE) != Updated::NeedsRefit
                    }
                    _ => false,
                };
                if !took {
                    fitted = self.by.method.fit(&past.upto(n)).ok();
                    fit_again_at = n * 2;
                }
                fitted.as_ref().map_or(f64::NAN, |fitted| fitted.points(one)[0])
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Settings, find};
    use crate::series::Season;

    /// What a user of augurs writes: generic over its traits, knowing nothing of ours.
    fn through_augurs<M: Fit>(model: &M, y: &[f64], horizon: usize, level: f64) -> augurs::Forecast {
        let fitted = model.fit(y).expect("fits");
        assert_eq!(fitted.training_data_size(), y.len());
        assert_eq!(fitted.predict_in_sample(None).expect("replays").point.len(), y.len());
        fitted.predict(horizon, level).expect("predicts")
    }

    #[test]
    fn a_method_of_ours_runs_through_the_api_of_augurs() {
        let y: Vec<f64> = (0..200).map(|i| 50.0 + [0.0, 9.0, 4.0, -6.0][i % 4] + (i * 37 % 11) as f64 / 10.0).collect();
        let build = find("holt-winters-additive").unwrap().build;
        let model =
            Augurs::new(build(&Settings { seasons: Season::new(4).into_iter().collect(), ..Settings::default() }));
        let forecast = through_augurs(&model, &y, 4, 0.9);
        let intervals = forecast.intervals.unwrap();
        for (ahead, point) in forecast.point.iter().enumerate() {
            assert!((point - 50.5 - [0.0, 9.0, 4.0, -6.0][ahead % 4]).abs() < 1.0, "{ahead}: {point}");
            assert!(intervals.lower[ahead] < *point && *point < intervals.upper[ahead]);
        }
    }

    #[test]
    fn a_level_that_cannot_be_promised_is_an_error() {
        let model = Augurs::new((find("naive").unwrap().build)(&Settings::default()));
        let fitted = model.fit(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(fitted.predict(2, None).unwrap().point, [3.0, 3.0]);
        assert!(matches!(fitted.predict(2, 0.95), Err(AugursError::NoInterval { .. })));
        assert!(matches!(fitted.predict(2, 1.5), Err(AugursError::NoInterval { .. })));
    }
}

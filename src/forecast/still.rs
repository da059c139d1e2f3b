//! A series that stands still goes on at a level it has.
//!
//! In: a fitted model, and a past that mostly repeats its last value. Out: the model, each of its points moved to the
//! nearest of two levels: where the series stands, and where it lately stood most, which differ when the last value is a
//! blip. Near a level that is kept to the digit, a mean of methods is off by a trifle where naive is not off at all.

use std::collections::BTreeMap;

use super::model::{Fitted, Updated};
use super::past::{Past, Regressors};
use crate::series::median;

/// Horizons in which a level counts as recent,
const RECENT: usize = 2;
/// and at least so many cells.
const LEAST_RECENT: usize = 12;

/// A model that keeps to levels.
#[derive(Debug)]
pub(super) struct Still {
    fitted: Box<dyn Fitted>,
    last: f64,
    usual: f64,
}

impl Still {
    /// `fitted`, kept to the levels of `past`; as it is, when that is empty.
    pub fn over(fitted: Box<dyn Fitted>, past: &Past<'_>, horizon: usize) -> Box<dyn Fitted> {
        let values = past.values();
        let n_recent = (RECENT * horizon).max(LEAST_RECENT).min(values.len());
        let recent: Vec<f64> = values[values.len() - n_recent..].iter().copied().filter(|v| !v.is_nan()).collect();
        match (recent.last(), median(&recent)) {
            (Some(&last), Some(usual)) => Box::new(Still { fitted, last, usual }),
            _ => fitted,
        }
    }
}

impl Fitted for Still {
    fn points_into(&self, known: Regressors<'_>, points: &mut [f64]) {
        self.fitted.points_into(known, points);
        for point in points {
            let is_nearer_last = (*point - self.last).abs() <= (*point - self.usual).abs();
            *point = if is_nearer_last { self.last } else { self.usual };
        }
    }

    fn update(&mut self, value: f64, known: Regressors<'_>) -> Updated {
        if !value.is_nan() {
            self.last = value;
        }
        self.fitted.update(value, known)
    }

    fn settings(&self) -> BTreeMap<&'static str, f64> {
        self.fitted.settings()
    }

    fn n_bytes(&self) -> usize {
        size_of::<Still>() + self.fitted.n_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::model::{Coverage, Horizon};
    use crate::forecast::{Request, prepare};
    use crate::series::Step;

    /// What `auto` says of the next six steps, and whether it says that they keep to levels.
    fn points(values: &[f64]) -> (Vec<f64>, bool) {
        let horizon = Horizon::new(6).unwrap();
        let past = Past::new(0, Step::seconds(60), values);
        let request = Request { horizon, ..Request::default() };
        let forecast = prepare(past, &request).unwrap().forecast(horizon, Coverage::P95);
        (forecast.points, forecast.fallback.is_some_and(|reason| reason.contains("levels")))
    }

    #[test]
    fn a_series_that_stands_still_goes_on_exactly_there() {
        // At one level and then at another, which nobody foretold: means of both would be off.
        let mut values = vec![0.1; 300];
        values[180..].fill(0.7);
        assert_eq!(points(&values), (vec![0.7; 6], true));
    }

    #[test]
    fn a_blip_at_the_end_is_not_where_it_stands() {
        #[derive(Debug)]
        struct Nearly(f64);
        impl Fitted for Nearly {
            fn points_into(&self, _: Regressors<'_>, points: &mut [f64]) {
                points.fill(self.0);
            }
            fn settings(&self) -> BTreeMap<&'static str, f64> {
                BTreeMap::new()
            }
        }
        let mut values = vec![2.0; 100];
        values[99] = 9.0;
        let past = Past::new(0, Step::seconds(60), &values);
        let of = |point: f64| Still::over(Box::new(Nearly(point)), &past, 3).points(Horizon::new(3).unwrap());
        assert_eq!(of(2.4), [2.0; 3]);
        assert_eq!(of(8.8), [9.0; 3]);
    }

    #[test]
    fn a_job_that_comes_every_hour_is_not_stillness() {
        // Naive is exactly right from most origins, and wrong when the job runs, which others know.
        let values: Vec<f64> = (0..900).map(|t| if t % 60 >= 56 { 8.0 } else { 1.0 }).collect();
        let (found, keeps_to_levels) = points(&values[..894]);
        assert!(!keeps_to_levels && found[2..].iter().all(|point| *point > 6.0), "{found:?}");
    }
}

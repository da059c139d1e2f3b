//! Static threshold: has the metric crossed the limit or the range it was given?
//!
//! In: [`MetricSettings::limit`] with the side that matters, else the valid range.
//! Out: 1 at the limit, above 1 beyond it, and below it the share of the way there. No learning and no band of its
//! own: the limit is the band's edge.

use super::contract::{Guarded, Method, tame};
use super::detector::{Detector, Score, Scorer, StartError};
use super::registry::Settings;
use crate::series::{History, MetricSettings, Millis, Side};

/// The registered name; anomalies of this detector are of kind threshold.
pub(super) const NAME: &str = "static-threshold";

/// Builds the method.
pub(super) fn build(settings: &Settings) -> Box<dyn Detector> {
    Box::new(StaticThreshold { metric: settings.metric.clone() })
}

struct StaticThreshold {
    metric: MetricSettings,
}

impl Detector for StaticThreshold {
    fn start(&self, warmup: &History) -> Result<Box<dyn Scorer>, StartError> {
        let metric = &self.metric;
        let finite = |value: Option<f64>, name| match value {
            Some(got) if !got.is_finite() => Err(StartError::BadSetting { name, got, expected: "finite" }),
            other => Ok(other),
        };
        let limit = finite(metric.limit, "limit")?;
        let bounded = |bound: Option<f64>| bound.filter(|bound| !bound.is_infinite());
        let min = finite(bounded(metric.valid_min), "valid_min")?;
        let max = finite(bounded(metric.valid_max), "valid_max")?;
        let edges = match (limit, metric.matters) {
            (Some(limit), Side::Down) => Edges { lower: Some(edge(limit, max)), upper: None },
            (Some(limit), Side::Up | Side::Both) => Edges { lower: None, upper: Some(edge(limit, min)) },
            (None, _) => {
                let middle = min.zip(max).map(|(min, max)| min + (max - min) / 2.0);
                Edges { lower: min.map(|min| edge(min, middle)), upper: max.map(|max| edge(max, middle)) }
            }
        };
        if edges.lower.is_none() && edges.upper.is_none() {
            return Err(StartError::Missing("a limit, or a valid range, in the metric's settings"));
        }
        Ok(Guarded::start(edges, metric, warmup))
    }
}

/// An edge with the distance over which the score falls from 1 to 0.
fn edge(at: f64, zero_at: Option<f64>) -> (f64, f64) {
    let reach = zero_at.map_or(at.abs(), |zero| (at - zero).abs());
    (at, if reach > 0.0 { reach } else { 1.0 })
}

#[derive(Debug)]
struct Edges {
    lower: Option<(f64, f64)>,
    upper: Option<(f64, f64)>,
}

impl Method for Edges {
    fn judge(&mut self, _at: Millis, value: f64) -> Option<Score> {
        let below = self.lower.map_or(0.0, |(edge, reach)| 1.0 + (edge - value) / reach);
        let above = self.upper.map_or(0.0, |(edge, reach)| 1.0 + (value - edge) / reach);
        Some(Score {
            value: tame(below.max(above)),
            expected: None,
            lower: self.lower.map(|(edge, _)| edge),
            upper: self.upper.map(|(edge, _)| edge),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Sample, Step};

    fn check(metric: MetricSettings, values: &[(f64, f64)]) {
        let settings = Settings { metric, ..Settings::default() };
        let nothing = History::new(0, Step::seconds(1), Vec::new());
        let mut scorer = build(&settings).start(&nothing).unwrap();
        for (at, (value, expected)) in values.iter().enumerate() {
            let score = scorer.score(Sample { at: at as Millis, value: *value }).unwrap().value;
            assert!((score - expected).abs() < 1e-12, "{value}: {score}, not {expected}");
        }
    }

    #[test]
    fn the_limit_scores_one_and_more_beyond() {
        let full = MetricSettings { limit: Some(200.0), ..MetricSettings::default() };
        check(full, &[(0.0, 0.0), (100.0, 0.5), (200.0, 1.0), (300.0, 1.5), (-100.0, 0.0)]);
        let free = MetricSettings { limit: Some(10.0), matters: Side::Down, ..MetricSettings::default() };
        check(free, &[(100.0, 0.0), (20.0, 0.0), (15.0, 0.5), (10.0, 1.0), (0.0, 2.0)]);
    }

    #[test]
    fn a_range_scores_from_its_middle() {
        let range = MetricSettings { valid_min: Some(0.0), valid_max: Some(100.0), ..MetricSettings::default() };
        check(range, &[(50.0, 0.0), (75.0, 0.5), (100.0, 1.0), (0.0, 1.0)]);
    }

    #[test]
    fn without_a_limit_it_says_what_is_missing() {
        let nothing = History::new(0, Step::seconds(1), Vec::new());
        let error = build(&Settings::default()).start(&nothing).unwrap_err();
        assert!(error.to_string().contains("a limit"), "{error}");
    }
}

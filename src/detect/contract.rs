//! What holds for every method, written once: [`Guarded`] stands between the world and a [`Method`].
//!
//! In: any sample at all.
//! Out: nothing, or a score that is finite and not negative, and at least 1.01 outside the metric's valid range. A
//! method behind the guard sees finite values within ±[`LARGEST`] at strictly rising timestamps. [`Made`] is the
//! detector of every method that is made of the settings alone.

use std::fmt::Debug;

use super::detector::{Detector, Score, Scorer, StartError};
use super::registry::Settings;
use crate::series::{History, MetricSettings, Millis, Sample};

/// Values are cut to this size before a method sees them, so that squares and their sums stay finite.
pub(super) const LARGEST: f64 = 1e150;
/// Scores are cut here: a ratio to a spread near zero says "very", not how very.
pub(super) const MAX_SCORE: f64 = 1e9;
/// The least score of a value outside the metric's valid range, and of a deviation where there never was one.
pub(super) const OUTSIDE: f64 = 1.01;
/// A deviation of this share of the level adds ln 2 to the score of a series that never moved.
const FLAT_SHARE: f64 = 1e-3;

/// The part of a scorer that differs between methods.
pub(super) trait Method: Send + Debug {
    /// Scores the value against what was learned before, then learns it; `None` while there is too little to go by.
    fn judge(&mut self, at: Millis, value: f64) -> Option<Score>;
}

/// The detector of a method that is made of the settings alone.
pub(super) struct Made<M> {
    settings: Settings,
    make: fn(&Settings) -> M,
}

impl<M: Method + 'static> Made<M> {
    /// A detector with these settings, whose scorers begin as `make` makes them.
    pub(super) fn detector(settings: &Settings, make: fn(&Settings) -> M) -> Box<dyn Detector> {
        Box::new(Made { settings: settings.clone(), make })
    }
}

impl<M: Method + 'static> Detector for Made<M> {
    fn start(&self, warmup: &History) -> Result<Box<dyn Scorer>, StartError> {
        Ok(Guarded::start((self.make)(&self.settings), &self.settings.metric, warmup))
    }
}

/// A method behind the guard; the scorer that every registered detector starts.
#[derive(Debug)]
pub(super) struct Guarded<M> {
    method: M,
    last: Option<Millis>,
    valid_min: Option<f64>,
    valid_max: Option<f64>,
}

impl<M: Method + 'static> Guarded<M> {
    /// A scorer around `method` that has walked along `warmup`.
    pub(super) fn start(method: M, metric: &MetricSettings, warmup: &History) -> Box<dyn Scorer> {
        // Infinite ones say that there is none.
        let [valid_min, valid_max] =
            [metric.valid_min, metric.valid_max].map(|bound| bound.filter(|it| it.is_finite()));
        let mut scorer = Guarded { method, last: None, valid_min, valid_max };
        for sample in warmup.samples() {
            scorer.score(sample);
        }
        Box::new(scorer)
    }

    /// How far outside the valid range, in units of the range or, with one bound only, of that bound.
    fn overshoot(&self, value: f64) -> Option<f64> {
        let beyond = match (self.valid_min, self.valid_max) {
            (Some(min), _) if value < min => min - value,
            (_, Some(max)) if value > max => value - max,
            _ => return None,
        };
        let unit = match (self.valid_min, self.valid_max) {
            (Some(min), Some(max)) => (max - min).abs(),
            (Some(bound), None) | (None, Some(bound)) => bound.abs(),
            (None, None) => 1.0,
        };
        Some(beyond / if unit > 0.0 { unit } else { 1.0 })
    }
}

impl<M: Method + 'static> Scorer for Guarded<M> {
    fn score(&mut self, sample: Sample) -> Option<Score> {
        if !sample.value.is_finite() || self.last.is_some_and(|last| sample.at <= last) {
            return None;
        }
        self.last = Some(sample.at);
        let overshoot = self.overshoot(sample.value);
        // An impossible value is learned as the nearest possible one.
        let mut value = sample.value.clamp(-LARGEST, LARGEST);
        value = self.valid_min.map_or(value, |min| value.max(min));
        value = self.valid_max.map_or(value, |max| value.min(max));
        let judged = self.method.judge(sample.at, value);
        let score = match (judged, overshoot) {
            (judged, None) => judged?,
            (Some(score), Some(over)) => Score { value: score.value.max(OUTSIDE + over), ..score },
            (None, Some(over)) => {
                Score { value: OUTSIDE + over, expected: None, lower: self.valid_min, upper: self.valid_max }
            }
        };
        Some(Score {
            value: tame(score.value),
            expected: score.expected.filter(|value| value.is_finite()),
            lower: cut(score.lower, f64::max, self.valid_min),
            upper: cut(score.upper, f64::min, self.valid_max),
        })
    }
}

/// A score that is finite and not negative.
pub(super) fn tame(score: f64) -> f64 {
    if score.is_nan() { MAX_SCORE } else { score.clamp(0.0, MAX_SCORE) }
}

fn cut(edge: Option<f64>, inner: fn(f64, f64) -> f64, bound: Option<f64>) -> Option<f64> {
    let edge = edge.filter(|edge| edge.is_finite())?;
    Some(bound.map_or(edge, |bound| inner(edge, bound)))
}

/// The score of `value` in a band around `centre` that reaches `below` and `above` it.
///
/// With no reach on the value's side there is no spread to measure by, and [`flat`] answers.
pub(super) fn in_band(value: f64, centre: f64, below: f64, above: f64) -> Score {
    let reach = if value < centre { below } else { above };
    let off = (value - centre).abs();
    let score = if off == 0.0 {
        0.0
    } else if reach > 0.0 {
        tame(off / reach)
    } else {
        flat(value, centre)
    };
    Score { value: score, expected: Some(centre), lower: Some(centre - below), upper: Some(centre + above) }
}

/// The score in a series that never moved from `centre`: 0 there, above 1 anywhere else, growing with the distance.
pub(super) fn flat(value: f64, centre: f64) -> f64 {
    let off = (value - centre).abs();
    if off == 0.0 { 0.0 } else { OUTSIDE + (off / (centre.abs().max(1.0) * FLAT_SHARE)).ln_1p().min(MAX_SCORE) }
}

/// How much wider a band must be that was learned from `n` samples; it tends to 1.
pub(super) fn widening(n: usize, weight: f64) -> f64 {
    1.0 + weight / (n.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_that_never_moved_has_a_defined_score() {
        assert_eq!(flat(5.0, 5.0), 0.0);
        assert!(flat(5.0 + 1e-12, 5.0) > 1.0);
        assert!(flat(6.0, 5.0) > flat(5.1, 5.0));
        assert!(flat(LARGEST, -LARGEST).is_finite());
    }

    #[test]
    fn the_edge_of_the_band_scores_one() {
        let score = in_band(7.0, 5.0, 1.0, 2.0);
        assert_eq!((score.value, score.lower, score.upper), (1.0, Some(4.0), Some(7.0)));
        assert_eq!(in_band(4.0, 5.0, 1.0, 2.0).value, 1.0);
        assert_eq!(in_band(5.0, 5.0, 0.0, 0.0).value, 0.0);
        assert!(in_band(5.1, 5.0, 0.0, 0.0).value > 1.0);
        assert_eq!(in_band(5.1, 5.0, 1e-300, 1e-300).value, MAX_SCORE);
    }
}
